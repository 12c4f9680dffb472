//! What a person is told when the files of a daemon cannot be used.

use super::PathError;
use crate::model::catalogue::{Code, Problem};

impl PathError {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::NoHome => "name a directory: doorward --state-dir DIR up".to_owned(),
            Self::Exposed {
                path,
                directory: true,
                ..
            } => {
                let path = path.display();
                format!("use a directory of its own, or close this one: chmod 700 {path}")
            }
            Self::Exposed { path, .. } => format!("chmod 600 {}", path.display()),
            Self::NotOurs { .. } => "name one of yours: doorward --state-dir DIR up".to_owned(),
            Self::Unexpected { .. } => "move it away, then: doorward up".to_owned(),
            Self::Running { .. } => "doorward status".to_owned(),
            Self::Io { .. } => "make it accessible, then: doorward up".to_owned(),
        }
    }

    /// The entry of the catalogue for it.
    pub fn problem(&self) -> Problem {
        let problem = match self {
            Self::Running { pid } => {
                let who = pid.map_or("another process".to_owned(), |pid| format!("pid {pid}"));
                Problem::new(Code::AlreadyRunning)
                    .because(format!("{who} serves this state directory"))
            }
            error => Problem::new(Code::StartFailed).because(error),
        };
        problem.next_step(self.remedy())
    }
}
