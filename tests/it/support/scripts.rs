//! Agent programs as scripts, and what `session headers` tells them.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::parts::Daemon;

/// A command line that means this daemon.
pub(crate) fn line(daemon: &Daemon, words: &str) -> String {
    let program = env!("CARGO_BIN_EXE_doorward");
    format!("{program} --state-dir {} {words}", daemon.state().display())
}

/// A program of an agent's name: a script.
pub(crate) fn program(daemon: &Daemon, name: &str, script: &str) -> PathBuf {
    let path = daemon.state().join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("ours");
    path
}

/// One that runs until its input ends.
pub(crate) struct Running {
    pub(crate) child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, output }
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Gives it a line to read.
    pub(crate) fn on(&mut self) {
        let input = self.child.stdin.as_mut().expect("piped");
        input.write_all(b"\n").expect("it reads");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn plain(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_remove("DOORWARD_SESSION")
        .env("PATH", "/usr/bin:/bin");
    command
}

pub(crate) fn id_of(credential: &str) -> String {
    format!("s_{}", credential.split('_').nth(1).expect("it has one"))
}

/// The credential in what `session headers` wrote.
pub(crate) fn bearer(text: &str) -> String {
    let headers: Value = serde_json::from_str(text).expect("one JSON object");
    let fields = headers.as_object().expect("an object");
    assert!(fields.values().all(Value::is_string), "{text}");
    let value = headers["Authorization"].as_str().expect("a text");
    value.strip_prefix("Bearer ").expect("a bearer").to_owned()
}
