//! What a server said last is said again while it cannot be asked.

use std::time::Duration;

use doorward::model::fault::{CredentialError, LoginReason};
use serde_json::{Value, json};

use super::{Absent, TOOLS};
use crate::mcp::server::CALL;
use crate::support::agent::Agent;
use crate::support::raw::{Upstream, answer};

/// A result that some tool is in.
fn tools() -> Value {
    json!({"tools": [{"name": "real", "inputSchema": {"type": "object"}}]})
}

#[test]
fn pain_44_the_list_never_vanishes() {
    let scene = Absent::set(|_| {});
    scene.sign_in();
    scene.ways().results.insert("tools/list", tools());
    let session = scene.greet();
    assert_eq!(session, "s-1");
    let listed = scene.post(&session, TOOLS);
    assert_eq!(listed.json()["result"], tools(), "the server's own answer");
    assert_eq!(listed.field("doorward-origin"), Some("upstream"));
    scene.up.all_seen();

    scene.agent.slot("up").retract();
    scene.agent.clock.advance(Duration::from_mins(1));
    // For the agent that knows it, and for one that has just begun.
    for session in [session, scene.greet()] {
        let again = scene.post(&session, TOOLS);
        assert_eq!(again.status(), 200, "{}", again.text());
        assert_eq!(again.field("doorward-origin"), Some("local"));
        let result = &again.json()["result"];
        assert_eq!(result["tools"], tools()["tools"]);
        assert_eq!(result["_meta"]["doorward/ageSeconds"], 60);
        let call = scene.post(&session, CALL);
        assert_eq!(call.json()["result"]["isError"], true);
    }
    assert!(!scene.up.was_asked());
    // The same while it is down.
    scene.sign_in();
    scene.ways().hello = Some(answer("502 Bad Gateway", "", ""));
    let late = scene.greet();
    let listed = scene.post(&late, TOOLS).json();
    assert_eq!(listed["result"]["tools"], tools()["tools"]);
}

#[test]
fn an_answer_that_is_listened_to_is_passed_on_as_it_is() {
    let odd = "{ \"jsonrpc\" : \"2.0\",\n\"id\":\"t\", \"result\": {\"tools\":[ ]} }\n";
    let events = format!("id: 1\r\ndata: {}\r\n\r\n: end\n\n", odd.replace('\n', " "));
    for (kind, body) in [("application/json", odd), ("text/event-stream", &events)] {
        let body = body.to_owned();
        let fields = format!("content-type: {kind}\r\n");
        let reply = answer("200 OK", &fields, &body);
        let up = Upstream::answering(move |_| reply.clone());
        let agent = Agent::before(up.url("/mcp"));
        let told = agent.post(TOOLS);
        assert_eq!(told.text(), body);
        agent
            .source
            .behave(|_, _| Err(CredentialError::LoginRequired(LoginReason::Never)));
        agent.slot("up").retract();
        let again = agent.post(TOOLS);
        assert_eq!(again.json()["result"]["tools"], json!([]), "{kind}");
    }
}
