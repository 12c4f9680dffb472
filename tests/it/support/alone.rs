//! Tests that need a process of their own: to have their own environment, or to be killed.

use std::process::{Command, Output, Stdio};

/// A run of one ignored test of this program, named with its module, in a process of its own.
pub(crate) fn alone(test: &str) -> Command {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .stdin(Stdio::null());
    command
}

/// Runs it to its end and fails unless it passed.
pub(crate) fn pass(command: &mut Command) {
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{command:?} failed in its own process:\n{}",
        told(&output)
    );
}

/// What it wrote.
pub(crate) fn told(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}\n{err}")
}
