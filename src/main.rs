//! The program: parse arguments, run, map the outcome to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(doorward::cli::run(std::env::args_os()))
}
