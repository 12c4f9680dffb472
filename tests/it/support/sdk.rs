//! The official SDK clients, kept open and told what to do line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::parts::Daemon;

/// A client that has connected.
pub(crate) struct Sdk {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// The revision that was agreed on; null for a client that does not tell.
    pub(crate) revision: Value,
}

impl Sdk {
    /// The TypeScript SDK.
    pub(crate) fn typescript(daemon: &Daemon, credential: &str) -> Self {
        Self::start(daemon, credential, "node".into(), "ts_client.mjs", &[])
    }

    /// The Python SDK.
    pub(crate) fn python(daemon: &Daemon, credential: &str) -> Self {
        let python = Self::parts().join(".venv/bin/python");
        Self::start(daemon, credential, python, "py_client.py", &[])
    }

    /// Each of them, connected and listed, before any call: the TypeScript SDK in both versions,
    /// the newer one and the Python SDK in both eras.
    pub(crate) fn all_idle(daemon: &Daemon) -> [Self; 5] {
        const WAYS: [&[&str]; 5] = [
            &["--sdk", "1"],
            &["--sdk", "2"],
            &["--sdk", "2", "--mode", "auto"],
            &["--mode", "legacy"],
            &["--mode", "auto"],
        ];
        WAYS.map(|way| {
            let (program, script) = if way[0] == "--sdk" {
                ("node".into(), "ts_client.mjs")
            } else {
                (Self::parts().join(".venv/bin/python"), "py_client.py")
            };
            let credential = daemon.mint(&format!("sdk {}", way[1..].concat())).1;
            // Five of them are started and told what to do one after the other.
            let more = [&["--calls", "0", "--timeout", "200"], way].concat();
            Self::start(daemon, &credential, program, script, &more)
        })
    }

    /// Each SDK over HTTP+SSE, before any call.
    pub(crate) fn all_sse(daemon: &Daemon) -> [Self; 2] {
        let python = Self::parts().join(".venv/bin/python");
        let mint = |label: &str| daemon.mint(label).1;
        let sse = ["--calls", "0", "--sse"];
        [
            Self::start(daemon, &mint("ts"), "node".into(), "ts_client.mjs", &sse),
            Self::start(daemon, &mint("py"), python, "py_client.py", &sse),
        ]
    }

    /// The TypeScript SDK v2 in the revision without sessions, with these arguments besides: over
    /// HTTP, and over a pipe. Its server has to be known to speak that.
    pub(crate) fn stateless(daemon: &Daemon, more: &[&str]) -> [Self; 2] {
        let both = Self::both(daemon, &[&["--sdk", "2", "--mode", "auto"], more].concat());
        for sdk in &both {
            assert_eq!(sdk.revision, "2026-07-28");
        }
        both
    }

    /// The TypeScript SDK with these arguments: over HTTP, and over a pipe.
    pub(crate) fn both(daemon: &Daemon, way: &[&str]) -> [Self; 2] {
        let state = daemon.state();
        let words = ["--state-dir", state.to_str().expect("text"), "bridge", "ev"];
        let command = json!([&[env!("CARGO_BIN_EXE_doorward")][..], &words].concat()).to_string();
        let idle = ["--calls", "0", "--timeout", "200"];
        [&[][..], &["--stdio", &command]].map(|pipe| {
            let credential = daemon.mint("sdk").1;
            let more = [&idle[..], way, pipe].concat();
            Self::start(daemon, &credential, "node".into(), "ts_client.mjs", &more)
        })
    }

    fn parts() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parts")
    }

    fn start(
        daemon: &Daemon,
        credential: &str,
        program: PathBuf,
        script: &str,
        more: &[&str],
    ) -> Self {
        let mut child = Command::new(program)
            .arg(Self::parts().join(script))
            .args([&format!("{}/u/ev", daemon.url), "--interactive"])
            .args(more)
            .env("DOORWARD_SESSION", credential)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut sdk = Self {
            child,
            stdin,
            stdout,
            revision: Value::Null,
        };
        let mut connected = sdk.line();
        assert_eq!(connected["connected"], true, "{connected}");
        sdk.revision = connected["revision"].take();
        sdk
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"))
    }

    /// Tells it to do something, which must succeed.
    pub(crate) fn does(&mut self, order: &str) -> Value {
        let done = self.tries(order);
        assert_eq!(done["ok"], true, "{order}: {done}");
        done
    }

    /// Tells it to do something, and what came of it.
    pub(crate) fn tries(&mut self, order: &str) -> Value {
        writeln!(self.stdin, "{order}").expect("it reads");
        self.line()
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
