//! A resource that rejects every token, however fresh.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::json;

use super::state;
use crate::support::parts::{Agent, Daemon, Exchange, signed_in};
use crate::support::traffic::{Line, hello};

/// Eight connections that call and four that open streams, all at once; what they were told, and
/// how often.
fn hammer(daemon: &Daemon, agent: &Agent) -> HashMap<String, u32> {
    let told = Mutex::new(HashMap::new());
    let note = |text: String| *told.lock().expect("unpoisoned").entry(text).or_insert(0) += 1;
    let bearer = format!("Bearer {}", agent.credential);
    let stream = [
        ("authorization", bearer.as_str()),
        ("accept", "text/event-stream"),
        ("mcp-session-id", agent.session()),
    ];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut line = Line::of(daemon, agent);
                for _ in 0..25 {
                    let answer = line.ask("", "tools/call", &hello());
                    assert_eq!(answer.status(), 200, "{}", answer.text());
                    let result = &answer.json()["result"];
                    assert_eq!(result["isError"], true);
                    note(result["content"][0]["text"].to_string());
                }
            });
        }
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let url = format!("{}/u/ev", daemon.url);
                    let answer = Exchange::send("GET", &url, &stream, "");
                    assert_ne!(answer.status, 401, "401 is about the local credential only");
                    assert_ne!(answer.status, 200, "no stream was opened");
                    note(format!("{} {}", answer.status, answer.body));
                }
            });
        }
    });
    told.into_inner().expect("unpoisoned")
}

#[test]
fn pain_16_a_resource_that_rejects_fresh_tokens_costs_two_refreshes() {
    let (authority, upstream, daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    upstream.tell("/fault", &json!({"kind": "reject", "times": "always"}));
    let told = hammer(&daemon, &agent);
    assert_eq!(authority.count("refresh_requests"), 2, "{told:#?}");
    let resting = || {
        (
            state(&daemon),
            authority.count("refresh_requests"),
            upstream.count("requests"),
        )
    };
    let before = resting();
    assert_eq!(
        before.0,
        ("error".to_owned(), "upstream_rejected".to_owned())
    );
    for (text, times) in hammer(&daemon, &agent) {
        assert!(
            text.contains("rejected every fresh token"),
            "{times} times {text}"
        );
    }
    assert_eq!(resting(), before, "neither side is asked any more");
    assert_eq!(authority.count("authorization_code_grants"), 1);
}

#[test]
fn pain_16_one_call_that_is_always_rejected_costs_few_refreshes() {
    let (authority, upstream, daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    let reject = json!({"kind": "reject", "rpc": "tools/call", "times": "always"});
    upstream.tell("/fault", &reject);
    let mut line = Line::of(&daemon, &agent);
    for _ in 0..40 {
        let answer = line.ask("", "tools/call", &hello());
        assert_eq!(answer.json()["result"]["isError"], true);
        line.pings();
    }
    // Two at once; the others only as time passes, more and more slowly.
    let spent = authority.count("refresh_requests");
    assert!((2..=4).contains(&spent), "{spent} refreshes");
    assert_eq!(
        state(&daemon).0,
        "ready",
        "the token serves everything else"
    );
}
