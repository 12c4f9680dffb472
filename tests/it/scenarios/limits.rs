//! A token endpoint that asks for patience. That the pause lasts as long as asked for, to the
//! second, is a test of the refresh machine, which has a clock that can be moved.

use serde_json::{Value, json};

use super::{refreshes, state};
use crate::support::parts::{Daemon, Part, signed_in};
use crate::support::traffic::{Line, hello};

/// A daemon that holds no access token, since it was started again, at a token endpoint that
/// answers the next `times` refreshes with 429; and the connections of an agent.
fn limited(seconds: u64, times: Value, lines: usize) -> (Part, Part, Daemon, Vec<Line>) {
    let (authority, upstream, mut daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    daemon.kill();
    daemon.serve();
    let fault = json!({
        "on": "token", "kind": "status", "status": 429, "times": times,
        "headers": {"retry-after": seconds.to_string()},
    });
    authority.tell("/fault", &fault);
    let lines = (0..lines).map(|_| Line::of(&daemon, &agent)).collect();
    (authority, upstream, daemon, lines)
}

#[test]
fn pain_17_a_hundred_requests_at_a_rate_limit_cost_one_token_call() {
    let (authority, _upstream, daemon, mut lines) = limited(30, json!("always"), 100);
    std::thread::scope(|scope| {
        for line in &mut lines {
            scope.spawn(|| {
                // Twice: by the second time the pause is known.
                for _ in 0..2 {
                    let answer = line.ask("", "tools/call", &hello());
                    let text = answer.text();
                    assert_eq!(answer.status(), 200, "{text}");
                    let result = &answer.json()["result"];
                    assert_eq!(result["isError"], true, "{text}");
                    assert!(text.contains("cannot be renewed right now"), "{text}");
                    assert!(text.contains("next try in"), "when to come back: {text}");
                    assert!(!text.contains("login"), "{text}");
                }
            });
        }
    });
    // Not even a person gets around what the server asked for.
    let (code, answer) = daemon.run(&["ctl", "refresh", "ev"]);
    assert_ne!(code, 0, "{answer}");
    assert_eq!(state(&daemon).0, "error");
    assert_eq!(authority.count("refresh_requests"), 1);
    assert_eq!(
        authority.count("authorization_code_grants"),
        1,
        "no sign-in"
    );
    assert_eq!(authority.count("registrations"), 1);
}

#[test]
fn pain_17_the_next_token_call_is_single_and_not_before_its_time() {
    // As many as the upstream may be sent at once.
    let (authority, _upstream, _daemon, mut lines) = limited(2, json!(1), 64);
    std::thread::scope(|scope| {
        for line in &mut lines {
            scope.spawn(|| line.echoes());
        }
    });
    let refreshes = refreshes(&authority);
    let [limited, next] = &refreshes[..] else {
        panic!("one more call: {refreshes:?}")
    };
    assert_eq!(
        (&limited["status"], &next["status"]),
        (&json!(429), &json!(200))
    );
    let at = |entry: &Value| entry["uptime_ms"].as_u64().expect("a time");
    assert!(at(next) >= at(limited) + 2000, "{refreshes:?}");
}
