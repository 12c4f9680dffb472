//! The built binary: what it prints, where, and with which exit code. Where a command needs a
//! daemon, a stub on a Unix socket stands in for it, so that every answer can be chosen.

mod bridge;
mod connect;
mod demo;
mod first;
mod forms;
mod import;
mod local;
mod logs;
mod remote;
mod stub;

use std::path::PathBuf;

use assert_cmd::Command;

/// A home of its own for one test.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(&path, text).expect("written");
        path
    }

    fn doorward(&self) -> Command {
        let mut command = Command::cargo_bin("doorward").expect("built");
        command
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", "/usr/bin:/bin")
            .env("DOORWARD_STATE_DIR", self.path("state"));
        command
    }
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(command: &mut Command) -> Ran {
    let output = command.output().expect("runs");
    Ran {
        code: output.status.code().expect("exits"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}
