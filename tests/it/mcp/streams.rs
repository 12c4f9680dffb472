//! A stream that the upstream cuts goes on where its agent can be spared to know, and ends
//! visibly where not.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};

use doorward::model::mcp::Identity;

use super::server::{CALL, HELLO, LOST, Ways};
use crate::support::agent::{Agent, publish};
use crate::support::raw::{EVENTS, Message, Upstream, WATCHDOG, Wire, answer, chunk};

/// What the server does with the stream that is open.
enum Act {
    Send(String),
    /// Breaks it.
    Cut,
    /// Sends this in the place of a stream.
    Answer(Vec<u8>),
    /// Looks after the next one.
    Leave,
}

struct Scene {
    agent: Agent,
    ways: Arc<Mutex<Ways>>,
    acts: Sender<Act>,
    /// The requests for streams.
    asked: Receiver<Message>,
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
        }
    }
}

impl Scene {
    fn set() -> Self {
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
        let agent = Agent::before(up.url("/mcp"));
        publish(&agent.slot("up"), 1);
        let hello = agent.post(HELLO);
        assert_eq!(hello.field("mcp-session-id"), Some("s-1"));
        Self {
            agent,
            ways,
            acts,
            asked,
            _up: up,
        }
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().expect("unpoisoned")
    }

    fn act(&self, act: Act) {
        self.acts.send(act).expect("the server obeys");
    }

    /// Begins a stream.
    fn begin(&self, first: &str) {
        self.act(Act::Send(format!("{EVENTS}{}", chunk(first))));
    }

    /// What the server was asked.
    fn asked(&self) -> Message {
        self.asked.recv_timeout(WATCHDOG).expect("a stream")
    }

    /// A stream of the agent's, and its first chunk.
    fn open(&self, method: &str, first: &str) -> Wire {
        self.begin(first);
        let fields = "accept: text/event-stream\r\nmcp-session-id: s-1\r\nx-team: web\r\n";
        let body = if method == "POST" {
            r#"{"jsonrpc":"2.0","id":3,"method":"stream"}"#
        } else {
            ""
        };
        let mut wire = self.agent.connect();
        wire.write(self.agent.request(method, "/u/up", fields, body));
        assert_eq!(wire.head().expect("a head").status(), 200);
        read(&mut wire, first);
        let asked = self.asked();
        assert_eq!(asked.all("mcp-session-id"), ["s-1"]);
        assert_eq!(asked.field("last-event-id"), None);
        wire
    }

    fn ends_visibly(&self, wire: &mut Wire) {
        assert_eq!(wire.chunk(), Err(()), "a broken stream looks broken");
        assert!(self.asked.try_recv().is_err(), "nothing more was asked");
    }
}

fn read(wire: &mut Wire, text: &str) {
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
    let scene = Scene::set();
    let mut wire = scene.open("GET", "id: 1\ndata: a\n\n");
    scene.act(Act::Cut);
    scene.act(Act::Answer(answer("503 Service Unavailable", "", "")));
    scene.begin("id: 2\ndata: b\n\n");
    read(&mut wire, "id: 2\ndata: b\n\n");
    for _ in 0..2 {
        assert_eq!(scene.asked().all("last-event-id"), ["1"]);
    }
}

#[test]
fn px_abnormal_end_propagates_where_a_stream_cannot_go_on() {
    for (method, first) in [
        ("GET", "data: no id\n\n"),
        ("GET", "id: 1\ndata: a\n\ndata: half"),
        ("GET", "id: 1\ndata: a\n\nid: 2\n"),
        ("GET", "id: 1\ndata: a\n\nid:\ndata: b\n\n"),
        // An answer to a call is the server's to keep.
        ("POST", "id: 1\ndata: a\n\n"),
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
