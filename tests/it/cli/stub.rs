//! A stand-in for the daemon, and documents for it to answer with.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde_json::{Value, json};

/// One request that the stub received.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) line: String,
    pub(super) body: Value,
}

/// Answers requests in order, whatever they are.
pub(super) fn stub(socket: &Path, answers: Vec<(u16, Value)>) -> Receiver<Request> {
    let listener = UnixListener::bind(socket).expect("binds");
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for (status, answer) in answers {
            let Ok((stream, _)) = listener.accept() else {
                return;
            };
            serve(stream, status, &answer, &sender);
        }
    });
    receiver
}

fn serve(stream: UnixStream, status: u16, answer: &Value, requests: &Sender<Request>) {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        if line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_owned());
    }
    let length = head
        .iter()
        .find_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length: ")?
                .parse()
                .ok()
        })
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let request = Request {
        line: head[0].clone(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let _ = requests.send(request);
    let answer = answer.to_string();
    let _ = write!(
        reader.into_inner(),
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    );
}

pub(super) fn account(name: &str, state: &str) -> Value {
    json!({
        "name": name, "account": "default", "label": null,
        "url": format!("https://mcp.{name}.example/mcp"),
        "local_url": format!("http://127.0.0.1:5177/u/{name}"),
        "auth": "oauth", "state": state, "identity": "ana@example.com", "scopes": ["read"],
        "token": {"expires_at": null, "refreshed_at": null, "refreshable": true},
        "last_used_at": null, "sessions": 1, "problem": null
    })
}

pub(super) fn status(accounts: Vec<Value>) -> Value {
    json!({
        "schema": "doorward/status/v1",
        "daemon": {"state": "running", "version": "0.1.0", "pid": 4120, "started_at": null,
                   "base_url": "http://127.0.0.1:5177", "socket": "unix:x", "locked": false,
                   "store": {"kind": "file", "ok": true}},
        "counts": {"sessions": 1, "active": 0, "upstreams": 1, "need_login": 0, "failing": 0},
        "upstreams": accounts
    })
}

pub(super) fn session(id: &str) -> Value {
    json!({
        "id": id, "label": "nightly", "client": {"name": "claude"}, "origin": "mint",
        "state": "idle", "grant": [{"upstream": "linear", "account": "default"}],
        "created_at": "2026-11-21T08:00:00Z", "last_used_at": null,
        "expires_at": "2096-11-21T08:00:00Z", "idle_expires_at": null, "max_expires_at": null,
        "bound": null,
        "counters": {"calls": 41, "errors": 0, "bytes_in": 0, "bytes_out": 0, "streams_open": 0},
        "parent": null, "ended_at": null, "ended_by": null, "fingerprint": "sha256:3f9a00000000"
    })
}
