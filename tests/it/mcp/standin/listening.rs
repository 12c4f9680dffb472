//! Agents of the stateless revision, which listen by a request of their own.

use doorward::web::routes::{KeepAlive, RouteSpec};
use serde_json::{Value, json};

use super::Absent;
use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::{EVENTS, Upstream, Wire, answer, chunk};

const KEY: &str = "io.modelcontextprotocol/subscriptionId";

fn wish() -> Value {
    json!({"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": {
        "notifications": {"toolsListChanged": true},
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"},
    }})
}

fn listen(scene: &Absent) -> Wire {
    let fields = "accept: application/json, text/event-stream\r\n";
    let mut wire = scene.agent.connect();
    let request = scene
        .agent
        .request("POST", "/u/up", fields, &wish().to_string());
    wire.write(request);
    let head = wire.head().expect("an answer");
    assert_eq!(head.status(), 200);
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    let first = message(&mut wire);
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(
        first["params"]["notifications"],
        json!({"toolsListChanged": true})
    );
    assert_eq!(first["params"]["_meta"][KEY], "l");
    wire
}

/// The next message, after signs of life.
fn message(wire: &mut Wire) -> Value {
    loop {
        let chunk = wire.chunk().expect("whole").expect("an event");
        let text = String::from_utf8(chunk).expect("text");
        let mut data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        if let Some(first) = data.next() {
            assert_eq!(data.next(), None, "one at a time");
            return serde_json::from_str(first).expect("a message");
        }
    }
}

/// What a server answers who is listened to: its acknowledgement, and a word of its own.
fn own() -> String {
    let first = json!({
        "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
        "params": {"notifications": {"toolsListChanged": true}, "_meta": {KEY: "l"}},
    });
    format!("event: message\ndata: {first}\n\ndata: {{\"own\":true}}\n\n")
}

fn goes_on(scene: &Absent, wire: &mut Wire) {
    let news = message(wire);
    assert_eq!(news["method"], "notifications/tools/list_changed");
    assert_eq!(news["params"]["_meta"][KEY], "l");
    // And then as the server's own stream; it is acknowledged once.
    assert_eq!(message(wire), json!({"own": true}));
    let mut asked = scene.told();
    assert_eq!(asked.pop(), Some(("subscriptions/listen".to_owned(), None)));
}

fn absent(change: impl FnOnce(&mut RouteSpec)) -> Absent {
    let scene = Absent::set(change);
    let fields = "content-type: text/event-stream\r\n";
    scene.ways().listening = Some(answer("200 OK", fields, &own()));
    scene
}

#[test]
fn pain_44_an_agent_that_listens_hears_that_somebody_has_signed_in() {
    let scene = absent(|_| {});
    let mut wire = listen(&scene);
    assert!(!scene.up.was_asked());
    scene.sign_in();
    goes_on(&scene, &mut wire);
}

#[test]
fn pain_44_an_agent_that_listens_hears_that_the_server_is_back() {
    let scene = absent(|_| {});
    let there = scene.ways().listening.take();
    scene.ways().listening = Some(answer("503 Service Unavailable", "", "busy"));
    scene.sign_in();
    let mut wire = listen(&scene);
    scene.ways().listening = there;
    goes_on(&scene, &mut wire);
}

#[test]
fn pain_44_a_subscription_that_breaks_is_made_again_and_is_acknowledged_once() {
    let (told, asked) = std::sync::mpsc::channel();
    let up = Upstream::scripted(move |mut wire| {
        let Some(request) = wire.message() else {
            return;
        };
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let _ = told.send(body);
        wire.write(EVENTS);
        wire.write(chunk(&own()));
        // And then it breaks: the first without an end, the others with one and no result.
    });
    let agent = Agent::before(up.url("/mcp"));
    let mut wire = agent.connect();
    let fields = "accept: application/json, text/event-stream\r\n";
    wire.write(agent.request("POST", "/u/up", fields, &wish().to_string()));
    assert_eq!(wire.head().expect("an answer").status(), 200);
    let text = String::from_utf8(wire.chunk().expect("whole").expect("a chunk"));
    assert_eq!(text.expect("text"), own(), "at first as the server has it");
    for _ in 0..2 {
        let news = message(&mut wire);
        assert_eq!(news["method"], "notifications/tools/list_changed");
        assert_eq!(news["params"]["_meta"][KEY], "l");
        assert_eq!(message(&mut wire), json!({"own": true}));
        assert_eq!(asked.recv().expect("asked"), wish());
    }
}

#[test]
fn a_subscription_that_its_server_ends_is_over() {
    let end = r#"{"jsonrpc":"2.0","id":"l","result":{"resultType":"complete"}}"#;
    let events = format!("{}data: {end}\n\n", own());
    let (told, asked) = std::sync::mpsc::channel();
    let sent = events.clone();
    let up = Upstream::scripted(move |mut wire| {
        while wire.message().is_some() {
            let _ = told.send(());
            wire.write(EVENTS);
            wire.write(chunk(&sent));
            wire.write("0\r\n\r\n");
        }
    });
    let agent = Agent::before(up.url("/mcp"));
    let heard = agent.post(&wish().to_string());
    assert_eq!(heard.text(), events);
    assert_eq!(asked.try_iter().count(), 1);
}

#[test]
fn a_subscription_that_breaks_is_left_broken_where_nothing_is_kept_alive() {
    let (told, asked) = std::sync::mpsc::channel();
    let up = Upstream::scripted(move |mut wire| {
        let Some(_) = wire.message() else { return };
        let _ = told.send(());
        wire.write(EVENTS);
        wire.write(chunk(&own()));
    });
    let mut spec = upstream("up", up.url("/mcp"));
    spec.keep_alive = KeepAlive::Off;
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    let mut wire = agent.connect();
    wire.write(agent.request("POST", "/u/up", "", &wish().to_string()));
    assert_eq!(wire.head().expect("an answer").status(), 200);
    let text = String::from_utf8(wire.chunk().expect("whole").expect("a chunk"));
    assert_eq!(text.expect("text"), own());
    assert!(wire.chunk().is_err(), "it breaks off");
    assert_eq!(asked.try_iter().count(), 1);
}
