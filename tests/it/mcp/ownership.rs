//! An MCP session belongs to the agent session that opened it and to the sign-in it was opened
//! under.

use std::sync::atomic::{AtomicUsize, Ordering};

use doorward::model::mcp::Identity;
use doorward::model::session::Grant;
use serde_json::json;

use crate::support::agent::{Agent, publish};
use crate::support::parts::signed_in;
use crate::support::raw::{Message, Upstream, answer};
use crate::support::traffic::{echo, works};

const HELLO: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}"#;

/// A server that opens `s-1`, `s-2`, and so on, and names the session on every answer.
fn server() -> Upstream {
    let opened = AtomicUsize::new(0);
    Upstream::answering(move |request| {
        let id = match request.field("mcp-session-id") {
            Some(id) => id.to_owned(),
            None => format!("s-{}", opened.fetch_add(1, Ordering::SeqCst) + 1),
        };
        answer("200 OK", &format!("mcp-session-id: {id}\r\n"), "{}")
    })
}

/// A request with the credential `token` and the MCP session `id`.
fn ask(agent: &Agent, token: &str, method: &str, id: &str, body: &str) -> Message {
    let fields = if id.is_empty() {
        String::new()
    } else {
        format!("mcp-session-id: {id}\r\n")
    };
    let request = agent.request(method, "/u/up", &fields, body);
    agent.connect().ask(request.replace(&agent.token, token))
}

fn refused(answer: &Message) {
    assert_eq!(answer.status(), 404, "{}", answer.text());
    assert_eq!(answer.field("doorward-origin"), Some("local"));
    assert_eq!(answer.json()["error"]["data"]["code"], "mcp_session");
}

#[test]
fn px_session_binding_per_agent() {
    let up = server();
    let agent = Agent::before(up.url("/mcp"));
    let (other, _) = agent.mint(2, Grant::All);
    let (mine, theirs) = (agent.token.as_str(), other.as_str());
    for (token, id) in [(mine, "s-1"), (theirs, "s-2")] {
        let hello = ask(&agent, token, "POST", "", HELLO);
        assert_eq!(hello.all("mcp-session-id"), [id]);
        up.seen();
    }
    for (token, own, foreign) in [(mine, "s-1", "s-2"), (theirs, "s-2", "s-1")] {
        for (method, body) in [("POST", CALL), ("GET", ""), ("DELETE", "")] {
            let answer = ask(&agent, token, method, foreign, body);
            refused(&answer);
            let id = &answer.json()["id"];
            assert_eq!(
                *id,
                if body.is_empty() {
                    json!(null)
                } else {
                    json!(7)
                }
            );
        }
        // Neither hidden among others nor in front of them.
        for both in [[own, foreign], [foreign, own]] {
            let both = both.join("\r\nMCP-SESSION-ID: ");
            assert_eq!(ask(&agent, token, "POST", &both, CALL).status(), 400);
        }
        assert!(!up.was_asked(), "nothing of it reached the upstream");
        assert_eq!(ask(&agent, token, "POST", own, CALL).status(), 200);
        assert_eq!(up.seen().all("mcp-session-id"), [own]);
    }
    // Case and spelling are the upstream's: what was not opened here is for it to judge.
    assert_eq!(ask(&agent, theirs, "POST", "S-1", CALL).status(), 200);
    assert_eq!(up.seen().all("mcp-session-id"), ["S-1"]);
    // Once it has ended it is nobody's.
    assert_eq!(ask(&agent, mine, "DELETE", "s-1", "").status(), 200);
    up.seen();
    assert_eq!(ask(&agent, theirs, "POST", "s-1", CALL).status(), 200);
    assert_eq!(up.seen().all("mcp-session-id"), ["s-1"]);
}

#[test]
fn an_id_that_the_upstream_gives_to_everybody_keeps_nobody_out() {
    let up = Upstream::answering(|_| answer("200 OK", "mcp-session-id: all\r\n", "{}"));
    let agent = Agent::before(up.url("/mcp"));
    let (other, _) = agent.mint(2, Grant::All);
    for token in [agent.token.as_str(), &other] {
        assert_eq!(ask(&agent, token, "POST", "", HELLO).status(), 200);
    }
    for token in [agent.token.as_str(), &other] {
        assert_eq!(ask(&agent, token, "POST", "all", CALL).status(), 200);
    }
}

fn person(issuer: &str, who: Option<&str>) -> Identity {
    Identity {
        issuer: issuer.to_owned(),
        who: who.map(str::to_owned),
    }
}

#[test]
fn px_session_reset_on_identity_change() {
    let up = server();
    let agent = Agent::before(up.url("/mcp"));
    let (slot, mine) = (agent.slot("up"), agent.token.as_str());
    slot.signed_in(person("https://as", Some("ann")));
    publish(&slot, 1);
    assert_eq!(ask(&agent, mine, "POST", "", HELLO).status(), 200);
    up.seen();
    // Refreshes, and sign-ins of the same person, change nothing.
    for (generation, again) in [(2, false), (3, true), (4, false), (5, true)] {
        if again {
            slot.retract();
            slot.signed_in(person("https://as", Some("ann")));
        }
        publish(&slot, generation);
        assert_eq!(ask(&agent, mine, "POST", "s-1", CALL).status(), 200);
        let token = format!("Bearer token-{generation}");
        assert_eq!(up.seen().all("authorization"), [token]);
    }
    let mut generation = 5;
    for (session, next) in [
        ("s-1", person("https://as", Some("bob"))),
        ("s-2", person("https://other", Some("bob"))),
        ("s-3", person("https://as", None)),
        ("s-4", person("https://other", None)),
    ] {
        slot.signed_in(next);
        generation += 1;
        publish(&slot, generation);
        for (method, body) in [("POST", CALL), ("GET", ""), ("DELETE", "")] {
            refused(&ask(&agent, mine, method, session, body));
        }
        assert!(!up.was_asked(), "nothing of it reached the upstream");
        let hello = ask(&agent, mine, "POST", "", HELLO);
        up.seen();
        let new = hello.field("mcp-session-id").expect("a session").to_owned();
        assert_eq!(ask(&agent, mine, "POST", &new, CALL).status(), 200);
        assert_eq!(up.seen().all("mcp-session-id"), [new]);
    }
}

#[test]
fn px_session_reset_on_identity_change_while_a_call_waits_for_the_sign_in() {
    let up = server();
    let agent = Agent::before(up.url("/mcp"));
    let slot = agent.slot("up");
    slot.signed_in(person("https://as", Some("ann")));
    publish(&slot, 1);
    assert_eq!(agent.post(HELLO).status(), 200);
    up.seen();
    slot.retract();
    // The credential that the call gets in the end is somebody else's.
    agent.source.behave(|slot, _| {
        slot.signed_in(person("https://as", Some("bob")));
        publish(slot, 2);
        Ok(())
    });
    refused(&ask(&agent, &agent.token, "POST", "s-1", CALL));
    assert!(!up.was_asked());
}

#[test]
fn px_session_reset_on_identity_change_on_real_parts() {
    let (authority, upstream, daemon) = signed_in(&json!({}));
    // With this scope the provider tells who signed in.
    upstream.tell("/mode", &json!({"scopes_supported": ["openid"]}));
    daemon.sign_in(&authority, "ev");
    let agent = daemon.agent("one");
    assert!(works(&daemon, &agent));
    let (code, answer) = daemon.run(&["ctl", "refresh", "ev"]);
    assert_eq!(code, 0, "{answer}");
    assert!(works(&daemon, &agent), "a refresh ends no session");
    daemon.sign_in(&authority, "ev");
    assert!(works(&daemon, &agent), "the same person signed in again");
    authority.tell("/mode", &json!({"account": "bob"}));
    daemon.sign_in(&authority, "ev");
    upstream.tell("/clear", &json!({}));
    let (status, body) = echo(&daemon, &agent);
    assert_eq!(status, 404, "{body}");
    assert!(body.contains("mcp_session"), "{body}");
    assert_eq!(upstream.count("requests"), 0, "the upstream was not asked");
    let again = daemon.agent("two");
    assert!(works(&daemon, &again));
}
