//! Agents that begin while their server cannot be asked.

use std::sync::{Arc, Mutex, MutexGuard};

use doorward::model::fault::{CredentialError, LoginReason};
use doorward::web::routes::RouteSpec;
use serde_json::Value;

use super::server::{HELLO, Ways};
use crate::support::agent::{Agent, Options, publish, upstream};
use crate::support::raw::{Message, Upstream, Wire};

mod begun;
mod elicited;
mod listening;
mod remembered;

pub(super) const TOOLS: &str = r#"{"jsonrpc":"2.0","id":"t","method":"tools/list"}"#;
pub(super) const SIGN_IN: &str =
    r#"{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"sign_in"}}"#;

/// A server, and an agent before it that nobody has signed in for.
pub(super) struct Absent {
    pub(super) up: Upstream,
    pub(super) agent: Agent,
    ways: Arc<Mutex<Ways>>,
}

impl Absent {
    pub(super) fn set(change: impl FnOnce(&mut RouteSpec)) -> Self {
        let ways = Arc::new(Mutex::new(Ways::new()));
        let shared = Arc::clone(&ways);
        let up =
            Upstream::answering(move |request| shared.lock().expect("unpoisoned").answer(request));
        let mut spec = upstream("up", up.url("/mcp"));
        change(&mut spec);
        let agent = Agent::start(Options {
            upstreams: vec![spec],
            ..Options::default()
        });
        agent.source.behave(|slot, rejected| match slot.load() {
            Some(held) if Some(held.generation) != rejected => Ok(()),
            _ => Err(CredentialError::LoginRequired(LoginReason::Never)),
        });
        Self { up, agent, ways }
    }

    pub(super) fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().expect("unpoisoned")
    }

    pub(super) fn sign_in(&self) {
        publish(&self.agent.slot("up"), 1);
    }

    /// Shakes hands; the id of the session.
    pub(super) fn greet(&self) -> String {
        let welcome = self.agent.post(HELLO);
        assert_eq!(welcome.status(), 200, "{}", welcome.text());
        let id = welcome.field("mcp-session-id").expect("a session");
        id.to_owned()
    }

    pub(super) fn ask(&self, session: &str, method: &str, fields: &str, body: &str) -> Message {
        let fields = format!("mcp-session-id: {session}\r\n{fields}");
        self.agent.ask(method, "/u/up", &fields, body)
    }

    pub(super) fn post(&self, session: &str, body: &str) -> Message {
        self.ask(session, "POST", "", body)
    }

    /// What the upstream was asked: methods, and the session they were in.
    pub(super) fn told(&self) -> Vec<(String, Option<String>)> {
        let count = |message: Message| {
            let body: Value = serde_json::from_slice(&message.body).unwrap_or_default();
            let verb = message.start.split(' ').next().unwrap_or_default();
            let what = body["method"].as_str().unwrap_or(verb).to_owned();
            (what, message.field("mcp-session-id").map(ToOwned::to_owned))
        };
        self.up.all_seen().into_iter().map(count).collect()
    }

    /// A stream that is open, and of which the first sign of life has come.
    pub(super) fn listen(&self, session: &str) -> Wire {
        let fields = format!("mcp-session-id: {session}\r\naccept: text/event-stream\r\n");
        let mut wire = self.agent.connect();
        wire.write(self.agent.request("GET", "/u/up", &fields, ""));
        let head = wire.head().expect("an answer");
        assert_eq!(head.status(), 200);
        assert_eq!(head.field("content-type"), Some("text/event-stream"));
        assert_eq!(wire.chunk(), Ok(Some(b":\n\n".to_vec())));
        wire
    }
}

pub(super) fn repaired(id: &str) -> Vec<(String, Option<String>)> {
    let id = Some(id.to_owned());
    vec![
        ("initialize".to_owned(), None),
        ("notifications/initialized".to_owned(), id.clone()),
        ("tools/call".to_owned(), id),
    ]
}
