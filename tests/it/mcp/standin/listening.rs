//! Agents of the stateless revision, which listen by a request of their own.

use doorward::web::routes::RouteSpec;
use serde_json::{Value, json};

use super::Absent;
use crate::support::raw::{Wire, answer};

const KEY: &str = "io.modelcontextprotocol/subscriptionId";

fn listen(scene: &Absent) -> Wire {
    let body = json!({"jsonrpc": "2.0", "id": "l", "method": "subscriptions/listen", "params": {
        "notifications": {"toolsListChanged": true},
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"},
    }});
    let fields = "accept: application/json, text/event-stream\r\n";
    let mut wire = scene.agent.connect();
    let request = scene
        .agent
        .request("POST", "/u/up", fields, &body.to_string());
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
        let data = text.lines().find_map(|line| line.strip_prefix("data: "));
        if let Some(data) = data {
            return serde_json::from_str(data).expect("a message");
        }
    }
}

fn goes_on(scene: &Absent, wire: &mut Wire) {
    let news = message(wire);
    assert_eq!(news["method"], "notifications/tools/list_changed");
    assert_eq!(news["params"]["_meta"][KEY], "l");
    // And then as the server's own stream.
    assert_eq!(message(wire), json!({"own": true}));
    let mut asked = scene.told();
    assert_eq!(asked.pop(), Some(("subscriptions/listen".to_owned(), None)));
}

fn absent(change: impl FnOnce(&mut RouteSpec)) -> Absent {
    let scene = Absent::set(change);
    let fields = "content-type: text/event-stream\r\n";
    scene.ways().listening = Some(answer("200 OK", fields, "data: {\"own\":true}\n\n"));
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
