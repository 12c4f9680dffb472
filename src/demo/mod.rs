//! A sign-in, calls and a refresh played through on this machine, without any account.

use crate::model::catalogue::{Code, Problem};

/// Plays it.
pub fn run() -> Result<(), Problem> {
    Err(Problem::new(Code::Internal).with("detail", "the demo is not part of this build"))
}
