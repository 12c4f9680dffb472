//! A server that loses its sessions while agents are connected.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::support::parts::{Part, open, signed_in};
use crate::support::sdk::Sdk;
use crate::support::traffic::hello;

/// The methods of the messages that the server got, with their sessions.
fn got(upstream: &Part) -> Vec<(Value, Value)> {
    let log = upstream.ask("/log");
    let entries = log.as_array().expect("a list").iter();
    let posts = entries.filter(|entry| entry["method"] == "POST");
    posts
        .map(|entry| (entry["rpc"].clone(), entry["session"].clone()))
        .collect()
}

#[test]
fn pain_13_the_server_loses_every_session_and_the_next_call_works() {
    let (_authority, upstream, daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    let calls = || {
        let answer = daemon.call(&agent, "tools/call", &hello());
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.body.contains("Echo: hello"), "{}", answer.body);
        assert_eq!(answer.field("mcp-session-id"), Some(agent.session()));
    };
    calls();
    let lost = |code: u16, message: &str| {
        let error = json!({"code": -32000, "message": message});
        let body = json!({"jsonrpc": "2.0", "id": null, "error": error});
        let fields = json!({"content-type": "application/json"});
        json!({"kind": "status", "rpc": "tools/call", "status": code, "headers": fields, "body": body})
    };
    let mut session = json!(agent.session());
    for fault in [
        None,
        Some(lost(400, "Bad Request: No valid session ID provided")),
        Some(lost(503, "Session not found")),
    ] {
        match fault {
            None => {
                upstream.tell("/end-sessions", &json!({}));
                upstream.tell("/clear", &json!({}));
            }
            Some(fault) => {
                upstream.tell("/clear", &json!({}));
                upstream.tell("/fault", &fault);
            }
        }
        calls();
        calls();
        let got = got(&upstream);
        let methods: Vec<_> = got.iter().map(|(method, _)| method.clone()).collect();
        assert_eq!(
            methods,
            [
                "tools/call",
                "initialize",
                "notifications/initialized",
                "tools/call",
                "tools/call"
            ]
        );
        assert_eq!(got[0].1, session);
        session = got[4].1.clone();
        assert_ne!(got[0].1, session);
        assert_eq!((&got[2].1, &got[3].1), (&session, &session));
        assert_eq!(upstream.count("tools_call"), 2, "each call ran once");
    }
}

#[test]
fn pain_13_both_sdks_go_on_after_the_server_lost_their_sessions() {
    let (_authority, upstream, daemon) = signed_in(&json!({}));
    let (_, first) = daemon.mint("typescript");
    let (_, second) = daemon.mint("python");
    let clients = [
        Sdk::typescript(&daemon, &first),
        Sdk::python(&daemon, &second),
    ];
    for mut client in clients {
        client.does("call 2");
        upstream.tell("/end-sessions", &json!({}));
        client.does("call 3");
        client.does("list");
    }
}

#[test]
fn pain_45_a_stream_goes_on_when_the_server_cuts_it_after_its_token_has_ended() {
    let (authority, upstream, daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    let bearer = format!("Bearer {}", agent.credential);
    let fields = [
        ("authorization", bearer.as_str()),
        ("accept", "text/event-stream"),
        ("mcp-session-id", agent.session()),
    ];
    // A plain connection: it can do nothing for itself.
    let stream = open("GET", &format!("{}/u/ev", daemon.url), &fields, "");
    let mut lines = BufReader::new(stream).lines();
    let mut hears = |text: &str| {
        let mut lines = lines.by_ref().map(|line| line.expect("the stream goes on"));
        assert!(lines.any(|line| line.contains(text)), "the stream ended");
    };
    let logging = json!({"name": "toggle-simulated-logging", "arguments": {}});
    let answer = daemon.call(&agent, "tools/call", &logging);
    assert_eq!(answer.status, 200, "{}", answer.body);
    hears("notifications/message");
    for round in 0..2 {
        authority.tell("/expire-access-tokens", &json!({}));
        upstream.tell("/clear", &json!({}));
        assert_eq!(upstream.tell("/cut-streams", &json!({}))["cut"], 1);
        // The first is refused, since its token has ended.
        for wait in ["count=get&at_least=2", "count=streams_open&at_least=1"] {
            assert_eq!(upstream.ask(&format!("/wait?{wait}"))["reached"], true);
        }
        let log = upstream.ask("/log");
        let entries = log.as_array().expect("a list").iter();
        let opened: Vec<_> = entries.filter(|entry| entry["status"] == 200).collect();
        assert_eq!(opened.len(), 1, "{log}");
        assert_eq!(opened[0]["method"], "GET");
        assert_eq!(opened[0]["session"], agent.session());
        let names = opened[0]["headers"].as_array().expect("pairs").iter();
        let resumed = names.filter(|pair| pair[0] == "last-event-id").count();
        assert_eq!(resumed, 1, "it goes on after the last event");
        // This server registers a stream that was resumed under another name, and says nothing
        // more on it by itself.
        let text = format!("still here {round}");
        upstream.tell(
            "/write-streams",
            &json!({ "text": format!("data: {text}\n\n") }),
        );
        hears(&text);
    }
}
