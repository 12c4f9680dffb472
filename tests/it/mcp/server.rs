//! A server that forgets its sessions when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::raw::{Message, Upstream, Wire, answer};

pub(super) const HELLO: &str = r#"{"jsonrpc":"2.0","id": 0,"method":"initialize",
    "params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"é"}}}"#;
pub(super) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
pub(super) const CALL: &str =
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}"#;
pub(super) const LOST: &str =
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}"#;

/// How it behaves.
pub(super) struct Ways {
    live: BTreeSet<String>,
    opened: usize,
    /// The answer to a request whose session it does not know.
    pub(super) lost: Vec<u8>,
    /// The answer to a handshake in the place of the usual one.
    pub(super) hello: Option<Vec<u8>>,
    /// What it answers to who wants to listen by a request.
    pub(super) listening: Option<Vec<u8>>,
    /// Whether it answers handshakes with a stream of events.
    pub(super) events: bool,
    /// Whether it opens sessions at all.
    pub(super) sessions: bool,
    /// Whether a session ends with the credential it was opened with.
    pub(super) one_credential: bool,
    /// What it answers to some methods.
    pub(super) results: BTreeMap<&'static str, Value>,
    /// The only credential that it takes.
    pub(super) only: Option<&'static str>,
    /// A method for which it knows no session at all.
    pub(super) never: Option<&'static str>,
    credentials: BTreeMap<String, String>,
}

impl Ways {
    pub(super) fn new() -> Self {
        Self {
            live: BTreeSet::new(),
            opened: 0,
            lost: answer("404 Not Found", "x-own: 1\r\n", LOST),
            hello: None,
            listening: None,
            events: false,
            sessions: true,
            one_credential: false,
            results: BTreeMap::new(),
            only: None,
            never: None,
            credentials: BTreeMap::new(),
        }
    }

    pub(super) fn forget(&mut self) {
        self.live.clear();
    }

    pub(super) fn answer(&mut self, request: &Message) -> Vec<u8> {
        let message: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let session = request.field("mcp-session-id").map(ToOwned::to_owned);
        let credential = request.field("authorization");
        if self.only.is_some_and(|only| credential != Some(only)) {
            return answer("401 Unauthorized", "", "");
        }
        if message["method"] == "initialize" {
            return self.open(request);
        }
        if let Some(id) = &session {
            let credential = request.field("authorization").unwrap_or_default();
            let same = self.credentials.get(id).is_some_and(|it| it == credential);
            let never = self.never.is_some_and(|never| message["method"] == never);
            if never || !self.live.contains(id) || (self.one_credential && !same) {
                return self.lost.clone();
            }
        }
        let field = session.map_or_else(String::new, |id| format!("Mcp-Session-Id: {id}\r\n"));
        if request.start.starts_with("DELETE") || message["id"].is_null() {
            return answer("202 Accepted", &field, "");
        }
        let method = message["method"].as_str().unwrap_or_default();
        if let (Some(answer), "subscriptions/listen") = (&self.listening, method) {
            return answer.clone();
        }
        let result = self.results.get(method).cloned().unwrap_or(json!({}));
        let result = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        answer("200 OK", &field, &result.to_string())
    }

    fn open(&mut self, request: &Message) -> Vec<u8> {
        if let Some(hello) = &self.hello {
            return hello.clone();
        }
        self.opened += 1;
        let id = format!("s-{}", self.opened);
        let mut fields = String::new();
        if self.sessions {
            let credential = request.field("authorization").unwrap_or_default();
            self.credentials.insert(id.clone(), credential.to_owned());
            self.live.insert(id.clone());
            fields = format!("Mcp-Session-Id: {id}\r\n");
        }
        let result = welcome("2025-06-18");
        if self.events {
            fields += "content-type: text/event-stream\r\n";
            return answer("200 OK", &fields, &format!("id: 1\ndata: {result}\n\n"));
        }
        answer("200 OK", &fields, &result)
    }
}

/// What a server says that opens a session in this revision.
pub(super) fn welcome(revision: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": revision}}).to_string()
}

/// The server and an agent before it that has shaken hands: it knows its session as `s-1`.
pub(super) struct Scene {
    pub(super) up: Upstream,
    pub(super) agent: Agent,
    ways: Arc<Mutex<Ways>>,
}

impl Scene {
    pub(super) fn set() -> Self {
        Self::with(HELLO, |_| {})
    }

    /// With another handshake, and something done before every answer.
    pub(super) fn with(hello: &str, before: impl Fn(&Message) + Send + Sync + 'static) -> Self {
        let ways = Arc::new(Mutex::new(Ways::new()));
        let shared = Arc::clone(&ways);
        let up = Upstream::answering(move |request| {
            let answer = shared.lock().expect("unpoisoned").answer(request);
            before(request);
            answer
        });
        let agent = Agent::before(up.url("/mcp"));
        let welcome = agent.post(hello);
        assert_eq!(welcome.field("mcp-session-id"), Some("s-1"));
        up.seen();
        Self { up, agent, ways }
    }

    pub(super) fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().expect("unpoisoned")
    }

    /// A request in the session that the agent knows.
    pub(super) fn ask(&self, method: &str, fields: &str, body: &str) -> Message {
        let fields = format!("mcp-session-id: s-1\r\n{fields}");
        self.agent.ask(method, "/u/up", &fields, body)
    }

    /// A call, which must succeed, in the session that the agent knows.
    pub(super) fn call(&self) {
        let answer = self.ask("POST", "", CALL);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(answer.json()["id"], 7);
        assert_eq!(answer.all("mcp-session-id"), ["s-1"]);
    }

    /// So many calls at once, in the session that the agent knows.
    pub(super) fn together(&self, count: usize) -> Vec<Message> {
        let fields = "mcp-session-id: s-1\r\n";
        let request = self.agent.request("POST", "/u/up", fields, CALL);
        let address = self.agent.address;
        let ask = |_| {
            let request = request.clone();
            std::thread::spawn(move || Wire::connect(address).ask(request))
        };
        let asked: Vec<_> = (0..count).map(ask).collect();
        let answers = asked.into_iter().map(std::thread::JoinHandle::join);
        answers.map(|answer| answer.expect("an answer")).collect()
    }

    /// What the upstream was asked: method or body's method, and session.
    pub(super) fn told(&self) -> Vec<(String, Option<String>)> {
        let count = |message: Message| {
            let body: Value = serde_json::from_slice(&message.body).unwrap_or_default();
            let verb = message.start.split(' ').next().unwrap_or_default();
            let what = body["method"].as_str().unwrap_or(verb).to_owned();
            (what, message.field("mcp-session-id").map(ToOwned::to_owned))
        };
        self.up.all_seen().into_iter().map(count).collect()
    }
}

/// In the form of [`Scene::told`].
pub(super) fn expected(list: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    let one = |(what, id): &(&str, &str)| {
        let id = Some((*id).to_owned()).filter(|id| !id.is_empty());
        ((*what).to_owned(), id)
    };
    list.iter().map(one).collect()
}
