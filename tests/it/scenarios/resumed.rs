//! An answer that breaks off in the middle, of a real server that can go on with it.

use std::io::{BufRead, BufReader, Read};

use serde_json::json;

use crate::support::parts::{open, signed_in};

#[test]
fn pain_45_an_answer_of_a_real_server_goes_on_where_it_broke() {
    let (authority, upstream, daemon) = signed_in(&json!({}));
    let agent = daemon.agent("long");
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
        "name": "trigger-long-running-operation",
        "arguments": {"duration": 2, "steps": 2},
        "_meta": {"progressToken": "p"},
    }});
    let bearer = format!("Bearer {}", agent.credential);
    let fields = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-session-id", agent.session()),
    ];
    let url = format!("{}/u/ev", daemon.url);
    let mut answer = BufReader::new(open("POST", &url, &fields, &call.to_string()));
    let mut seen = String::new();
    while !(seen.contains("notifications/progress") && seen.ends_with("\n\n")) {
        assert_ne!(answer.read_line(&mut seen).expect("a line"), 0, "{seen}");
    }
    // The token of the beginning is no good any more either.
    authority.tell("/expire-access-tokens", &json!({}));
    // The server puts what it says later under another stream, so it is done before that is resumed.
    let away = json!({"on": "GET", "kind": "status", "status": 503, "times": 2});
    upstream.tell("/fault", &away);
    assert_eq!(upstream.tell("/cut-answers", &json!({}))["cut"], 1);
    answer.read_to_string(&mut seen).expect("the rest");
    assert!(seen.contains("operation completed"), "{seen}");
    assert!(!seen.contains("isError"), "{seen}");
    let tools = upstream.ask("/tools");
    assert_eq!(tools["trigger-long-running-operation"], 1, "it ran once");
    let shown = daemon.run(&["ctl", "show", &agent.id]).1;
    assert_eq!(shown["kept_alive"]["resumed"]["count"], 1, "{shown}");
}
