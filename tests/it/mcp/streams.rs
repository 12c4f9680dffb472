//! A stream that the upstream cuts goes on where its agent can be spared to know, and ends
//! visibly where not.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};

use doorward::model::fault::{CredentialError, LoginReason};
use doorward::model::mcp::Identity;
use doorward::web::routes::{RouteSpec, SignInTold};

use super::server::{CALL, HELLO, LOST, Ways};
use crate::support::agent::{Agent, Options, publish, upstream};
use crate::support::raw::{EVENTS, Message, Upstream, WATCHDOG, Wire, answer, chunk};

/// A call that is answered by a stream.
pub(super) const STREAM: &str =
    r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"stream"}}"#;

/// What the server does with the stream that is open.
pub(super) enum Act {
    Send(String),
    /// Breaks it.
    Cut,
    /// Sends this in the place of a stream.
    Answer(Vec<u8>),
    /// Looks after the next one.
    Leave,
    /// The same, and leaves this one open.
    Hush,
}

pub(super) struct Scene {
    pub(super) agent: Agent,
    ways: Arc<Mutex<Ways>>,
    acts: Sender<Act>,
    /// The requests for streams.
    pub(super) asked: Receiver<Message>,
    _up: Upstream,
}

fn obey(mut wire: Wire, acts: &Receiver<Act>) {
    while let Ok(act) = acts.recv_timeout(WATCHDOG) {
        match act {
            Act::Send(text) => {
                wire.write(text);
            }
            Act::Cut => return wire.reset(),
            Act::Answer(bytes) => {
                wire.write(bytes);
                return;
            }
            Act::Leave => return,
            // It stays open to the end of the test.
            Act::Hush => return std::mem::forget(wire),
        }
    }
}

impl Scene {
    pub(super) fn set() -> Self {
        Self::with(HELLO, |_| {})
    }

    /// With another handshake, before an upstream that is configured otherwise.
    pub(super) fn with(hello: &str, change: impl FnOnce(&mut RouteSpec)) -> Self {
        let (acts, todo) = channel();
        let (tell, asked) = channel();
        let ways = Arc::new(Mutex::new(Ways::new()));
        let shared = Arc::clone(&ways);
        let (todo, tell) = (Mutex::new(todo), Mutex::new(tell));
        let up = Upstream::scripted(move |mut wire| {
            while let Some(request) = wire.message() {
                let stream = request.start.starts_with("GET") || request.text().contains("stream");
                if stream {
                    let _ = tell.lock().expect("unpoisoned").send(request);
                    return obey(wire, &todo.lock().expect("unpoisoned"));
                }
                let answer = shared.lock().expect("unpoisoned").answer(&request);
                wire.write(answer);
            }
        });
        let mut spec = upstream("up", up.url("/mcp"));
        change(&mut spec);
        let agent = Agent::start(Options {
            upstreams: vec![spec],
            ..Options::default()
        });
        publish(&agent.slot("up"), 1);
        let hello = agent.post(hello);
        assert_eq!(hello.field("mcp-session-id"), Some("s-1"));
        Self {
            agent,
            ways,
            acts,
            asked,
            _up: up,
        }
    }

    pub(super) fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().expect("unpoisoned")
    }

    pub(super) fn act(&self, act: Act) {
        self.acts.send(act).expect("the server obeys");
    }

    /// Begins a stream.
    pub(super) fn begin(&self, first: &str) {
        self.act(Act::Send(format!("{EVENTS}{}", chunk(first))));
    }

    /// What the server was asked.
    pub(super) fn asked(&self) -> Message {
        self.asked.recv_timeout(WATCHDOG).expect("a stream")
    }

    /// A stream of the agent's, and its first chunk.
    pub(super) fn open(&self, method: &str, first: &str) -> Wire {
        self.begin(first);
        let fields = "accept: text/event-stream\r\nmcp-session-id: s-1\r\nx-team: web\r\n";
        let body = if method == "POST" { STREAM } else { "" };
        let mut wire = self.agent.connect();
        wire.write(self.agent.request(method, "/u/up", fields, body));
        assert_eq!(wire.head().expect("a head").status(), 200);
        read(&mut wire, first);
        let asked = self.asked();
        assert_eq!(asked.all("mcp-session-id"), ["s-1"]);
        assert_eq!(asked.field("last-event-id"), None);
        wire
    }

    pub(super) fn ends_visibly(&self, wire: &mut Wire) {
        assert_eq!(wire.chunk(), Err(()), "a broken stream looks broken");
        assert!(self.asked.try_recv().is_err(), "nothing more was asked");
    }
}

pub(super) fn read(wire: &mut Wire, text: &str) {
    let piece = wire.chunk().expect("whole").expect("a piece");
    assert_eq!(String::from_utf8_lossy(&piece), text);
}

#[test]
fn pain_45_a_stream_that_is_cut_goes_on_after_its_last_event() {
    let scene = Scene::set();
    let mut wire = scene.open("GET", "id: 1\ndata: a\n\nid: 2\r\ndata: b\r\n\r\n");
    publish(&scene.agent.slot("up"), 2);
    scene.act(Act::Cut);
    scene.begin("id: 3\ndata: c\n\n");
    read(&mut wire, "id: 3\ndata: c\n\n");
    let again = scene.asked();
    assert!(again.start.starts_with("GET /mcp "));
    assert_eq!(again.all("last-event-id"), ["2"]);
    assert_eq!(again.all("authorization"), ["Bearer token-2"]);
    assert_eq!(again.all("mcp-session-id"), ["s-1"]);
    assert_eq!(again.all("accept"), ["text/event-stream"]);
    assert_eq!(again.all("x-team"), ["web"]);
    // A token that ended meanwhile is replaced.
    scene.act(Act::Cut);
    scene.act(Act::Answer(answer("401 Unauthorized", "", "")));
    scene.begin("data: d\n\n");
    read(&mut wire, "data: d\n\n");
    assert_eq!(scene.asked().all("authorization"), ["Bearer token-2"]);
    let again = scene.asked();
    assert_eq!(again.all("authorization"), ["Bearer token-3"]);
    assert_eq!(again.all("last-event-id"), ["3"]);
    // An end is an end.
    scene.act(Act::Send("0\r\n\r\n".to_owned()));
    assert_eq!(wire.chunk(), Ok(None));
    assert!(scene.asked.try_recv().is_err());
}

#[test]
fn pain_45_a_stream_is_opened_again_after_a_while_where_the_server_is_not_back_yet() {
    for refusal in ["503 Service Unavailable", "429 Slow Down", "409 Conflict"] {
        let scene = Scene::set();
        let mut wire = scene.open("GET", "id: 1\ndata: a\n\n");
        scene.act(Act::Cut);
        scene.act(Act::Answer(answer(refusal, "", "")));
        scene.begin("id: 2\ndata: b\n\n");
        read(&mut wire, "id: 2\ndata: b\n\n");
        for _ in 0..2 {
            assert_eq!(scene.asked().all("last-event-id"), ["1"]);
        }
    }
}

#[test]
fn px_abnormal_end_propagates_where_a_stream_cannot_go_on() {
    for (method, first) in [
        ("GET", "data: no id\n\n"),
        ("GET", "id: 1\ndata: a\n\ndata: half"),
        ("GET", "id: 1\ndata: a\n\nid: 2\n"),
        ("GET", "id: 1\ndata: a\n\nid:\ndata: b\n\n"),
        // There is no place for words.
        ("POST", "id: 1\ndata: a\n\ndata: half"),
    ] {
        let scene = Scene::set();
        let mut wire = scene.open(method, first);
        scene.act(Act::Cut);
        scene.ends_visibly(&mut wire);
    }
    for refusal in [
        answer("404 Not Found", "", LOST),
        answer("405 Method Not Allowed", "allow: POST\r\n", ""),
        answer("200 OK", "content-type: application/json\r\n", "{}"),
        answer("302 Found", "location: /\r\n", ""),
        answer("403 Forbidden", "", ""),
    ] {
        let scene = Scene::set();
        let mut wire = scene.open("GET", "id: 1\ndata: a\n\n");
        scene.act(Act::Cut);
        scene.act(Act::Answer(refusal));
        assert_eq!(scene.asked().all("last-event-id"), ["1"]);
        scene.ends_visibly(&mut wire);
    }
}

#[test]
fn pain_45_a_stream_that_is_always_cut_is_opened_three_times_a_minute() {
    let scene = Scene::set();
    let mut wire = scene.open("GET", "id: 0\n\n");
    for number in 1..=3 {
        scene.act(Act::Cut);
        let event = format!("id: {number}\n\n");
        scene.begin(&event);
        read(&mut wire, &event);
        scene.asked();
    }
    scene.act(Act::Cut);
    scene.ends_visibly(&mut wire);
}

#[test]
fn pain_13_streams_move_with_a_session_that_was_opened_anew() {
    let calls = |scene: &Scene| {
        scene.ways().forget();
        let fields = "mcp-session-id: s-1\r\n";
        let answer = scene.agent.ask("POST", "/u/up", fields, CALL);
        assert_eq!(answer.status(), 200, "{}", answer.text());
    };
    let scene = Scene::set();
    let mut wire = scene.open("GET", "id: 1\ndata: a\n\n");
    for session in ["s-2", "s-3"] {
        calls(&scene);
        scene.act(Act::Leave);
        scene.begin("id: 1\ndata: b\n\n");
        read(&mut wire, "id: 1\ndata: b\n\n");
        let moved = scene.asked();
        assert_eq!(moved.all("mcp-session-id"), [session]);
        assert_eq!(moved.field("last-event-id"), None);
    }
    // In the middle of an event it cannot.
    let scene = Scene::set();
    let mut wire = scene.open("GET", "id: 1\ndata: half");
    calls(&scene);
    scene.ends_visibly(&mut wire);
}

#[test]
fn px_session_reset_on_identity_change_ends_streams_that_are_cut() {
    for later in [Some("bob"), None] {
        let scene = Scene::set();
        let slot = scene.agent.slot("up");
        let mut wire = scene.open("GET", "id: 1\ndata: a\n\n");
        for who in [Some("ann"), later] {
            slot.signed_in(Identity {
                issuer: "https://as".to_owned(),
                who: who.map(str::to_owned),
            });
        }
        publish(&slot, 2);
        scene.act(Act::Cut);
        scene.ends_visibly(&mut wire);
    }
}

#[test]
fn px_url_elicitation_optin_completion_on_the_stream_of_a_session_that_was_open_before() {
    let hello = HELLO.replace(
        r#""capabilities":{}"#,
        r#""capabilities":{"elicitation":{"url":{}}}"#,
    );
    let scene = Scene::with(&hello, |spec| spec.sign_in = SignInTold::Elicited);
    let mut wire = scene.open("GET", "data: a\n\ndata: ha");
    let slot = scene.agent.slot("up");
    scene
        .agent
        .source
        .behave(|_, _| Err(CredentialError::LoginRequired(LoginReason::Never)));
    slot.retract();
    let asked = scene
        .agent
        .ask("POST", "/u/up", "mcp-session-id: s-1\r\n", CALL);
    let asked = asked.json();
    assert_eq!(asked["error"]["code"], -32042, "{asked}");
    let id = asked["error"]["data"]["elicitations"][0]["elicitationId"]
        .as_str()
        .expect("an id");
    publish(&slot, 2);
    // Not in the middle of an event.
    scene.act(Act::Send(chunk("lf\n\n")));
    read(&mut wire, "lf\n\n");
    let news = wire.chunk().expect("whole").expect("news");
    let news = String::from_utf8(news).expect("text");
    assert!(
        news.contains("notifications/elicitation/complete") && news.contains(id),
        "{news}"
    );
    // Once, and what comes then comes as it is; a refresh is no news.
    publish(&slot, 3);
    scene.act(Act::Send(chunk("data: b\n\n")));
    read(&mut wire, "data: b\n\n");
}
