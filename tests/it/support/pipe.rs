//! An agent that speaks to the bridge.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use super::parts::Daemon;

/// An agent that has a pipe only, with the environment that the poorest of them give.
pub(crate) struct Pipe {
    pub(crate) child: Child,
    pub(crate) input: Option<ChildStdin>,
    pub(crate) output: BufReader<ChildStdout>,
    next: u64,
}

impl Pipe {
    pub(crate) fn open(daemon: &Daemon, upstream: &str) -> Self {
        Self::told(
            daemon,
            &["bridge", upstream, "--label", "pipe", "--no-autostart"],
        )
    }

    pub(crate) fn told(daemon: &Daemon, arguments: &[&str]) -> Self {
        let mut child = daemon
            .command()
            .env("USER", "somebody")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().expect("piped")),
            child,
            next: 0,
        }
    }

    pub(crate) fn write(&mut self, line: &str) {
        let input = self.input.as_mut().expect("open");
        input.write_all(line.as_bytes()).expect("it reads");
        input.write_all(b"\n").expect("it reads");
    }

    /// The next line, which must be JSON-RPC.
    pub(crate) fn read(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        if line.is_empty() {
            return None;
        }
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        Some(message)
    }

    /// Sends a request and reads until its answer.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        let id = format!("id {}", self.next);
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.write(&request.to_string());
        loop {
            let message = self.read().expect("an answer");
            if message["id"] == *id && message.get("method").is_none() {
                return message;
            }
        }
    }

    pub(crate) fn shake_hands(&mut self) -> Value {
        let hello = json!({
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "pipe", "version": "0"},
        });
        let answer = self.ask("initialize", &hello);
        self.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        answer
    }

    pub(crate) fn echo(&mut self, text: &str) -> Value {
        let params = json!({"name": "echo", "arguments": {"message": text}});
        let answer = self.ask("tools/call", &params);
        answer["result"]["content"][0]["text"].clone()
    }

    /// Ends the input; the exit code, and what was said on standard error.
    pub(crate) fn close(mut self) -> (Option<i32>, String) {
        self.input = None;
        while self.read().is_some() {}
        let mut said = String::new();
        let mut errors = self.child.stderr.take().expect("piped");
        errors.read_to_string(&mut said).expect("text");
        (self.child.wait().expect("it ends").code(), said)
    }
}
