//! A server that loses its sessions while agents are connected.

use serde_json::{Value, json};

use crate::support::parts::{Part, signed_in};
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
