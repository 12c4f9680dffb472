//! The program: parse arguments, run, map the outcome to an exit code.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A forwarded request takes some thirty small pieces of memory; the C library's allocator spends
/// twice the instructions on them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(doorward::cli::run(std::env::args_os()))
}
