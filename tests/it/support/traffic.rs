//! What agents send: single calls, and lines that stay open for many.

use serde_json::{Value, json};

use super::parts::{Agent, Daemon};
use super::raw::{Message, Wire};

pub(crate) fn hello() -> Value {
    json!({"name": "echo", "arguments": {"message": "hello"}})
}

/// A tool call on a connection of its own; its status and its body.
pub(crate) fn echo(daemon: &Daemon, agent: &Agent) -> (u16, String) {
    let answer = daemon.call(agent, "tools/call", &hello());
    (answer.status, answer.body)
}

pub(crate) fn works(daemon: &Daemon, agent: &Agent) -> bool {
    let (status, body) = echo(daemon, agent);
    status == 200 && body.contains("Echo: hello")
}

/// A connection of an agent that stays open. What identifies the agent is written once, when the
/// line is made, as programs do that never look at their headers again.
pub(crate) struct Line {
    wire: Wire,
    head: String,
}

impl Line {
    pub(crate) fn of(daemon: &Daemon, agent: &Agent) -> Self {
        let authority = daemon.url.strip_prefix("http://").expect("http");
        let head = format!(
            "POST /u/ev HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {}\r\n\
             mcp-session-id: {}\r\nmcp-protocol-version: 2025-06-18\r\n\
             content-type: application/json\r\naccept: application/json, text/event-stream\r\n",
            agent.credential,
            agent.session(),
        );
        let address = authority.parse().expect("an address");
        Self {
            wire: Wire::connect(address),
            head,
        }
    }

    /// Sends a request with some more fields and reads its answer.
    pub(crate) fn ask(&mut self, fields: &str, method: &str, params: &Value) -> Message {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let body = body.to_string();
        let length = body.len();
        let head = &self.head;
        let request = format!("{head}{fields}content-length: {length}\r\n\r\n{body}");
        self.wire.ask(request)
    }

    /// A tool call, which must succeed.
    pub(crate) fn echoes(&mut self) {
        let answer = self.ask("", "tools/call", &hello());
        let text = answer.text();
        let good = answer.status() == 200 && answer.whole && text.contains("Echo: hello");
        assert!(good, "{} {text}", answer.start);
    }

    /// The smallest request that reaches the upstream, which must succeed.
    pub(crate) fn pings(&mut self) {
        let answer = self.ask("", "ping", &json!({}));
        let text = answer.text();
        let good = answer.status() == 200 && answer.whole && text.contains("\"result\":{}");
        assert!(good, "{} {text}", answer.start);
    }
}
