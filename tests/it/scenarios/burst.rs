//! Many requests at once, at the moment a token ends.

use std::sync::Barrier;

use serde_json::json;

use crate::support::parts::signed_in;
use crate::support::traffic::Line;

const SESSIONS: usize = 8;
/// Connections of one session, and requests on each of them in one burst: 64 together.
const LINES: usize = 4;
const REQUESTS: usize = 16;
const EXPIRIES: u64 = 50;

#[test]
fn pain_01_parallel_sessions_cost_one_refresh_an_expiry() {
    let (authority, _upstream, daemon) = signed_in(&json!({}));
    let agents: Vec<_> = (0..SESSIONS)
        .map(|n| daemon.agent(&format!("agent {n}")))
        .collect();
    let mut lines: Vec<_> = (0..SESSIONS * LINES)
        .map(|n| Line::of(&daemon, &agents[n % SESSIONS]))
        .collect();
    let mut in_the_middle = 0;
    for round in 1..=EXPIRIES {
        let middle = Barrier::new(lines.len() + 1);
        std::thread::scope(|scope| {
            for line in &mut lines {
                let middle = &middle;
                scope.spawn(move || {
                    for request in 0..REQUESTS {
                        // All are under way when the token ends, and none has finished.
                        if request == REQUESTS / 2 {
                            middle.wait();
                        }
                        line.pings();
                    }
                });
            }
            middle.wait();
            authority.tell("/expire-access-tokens", &json!({}));
        });
        // The burst may have been over before the expiry reached anybody; that round proves less.
        in_the_middle += u64::from(authority.count("refresh_requests") == round);
        lines[0].echoes();
        assert_eq!(authority.count("refresh_requests"), round);
    }
    assert_ne!(in_the_middle, 0, "some expiry met requests under way");
    assert_eq!(authority.count("refresh_ok"), EXPIRIES);
    assert_eq!(authority.count("reuse_events"), 0);
    assert_eq!(authority.count("reuse_presented"), 0);
}

#[test]
fn pain_15_calls_in_flight_when_their_token_dies_are_sent_once_more() {
    const CALLS: u64 = 20;
    let (authority, upstream, daemon) = signed_in(&json!({"kill_old_access": true}));
    let agent = daemon.agent("one");
    upstream.tell("/clear", &json!({}));
    let hold = json!({"kind": "hold_before", "rpc": "tools/call", "times": CALLS});
    upstream.tell("/fault", &hold);
    std::thread::scope(|scope| {
        for _ in 0..CALLS {
            scope.spawn(|| Line::of(&daemon, &agent).echoes());
        }
        let all = upstream.ask(&format!("/wait?count=held&at_least={CALLS}"));
        assert_eq!(all["reached"], true, "all are in flight: {all}");
        // The next token ends the one that they carry, before anybody has looked at it.
        let (code, answer) = daemon.run(&["ctl", "refresh", "ev"]);
        assert_eq!(code, 0, "{answer}");
        upstream.tell("/release", &json!({}));
    });
    assert_eq!(upstream.count("refused_superseded"), CALLS);
    assert_eq!(upstream.count("status_401"), CALLS, "each was refused once");
    assert_eq!(upstream.count("requests"), 2 * CALLS, "and sent once more");
    assert_eq!(
        upstream.ask("/tools")["echo"],
        CALLS,
        "and carried out once"
    );
    assert_eq!(authority.count("refresh_requests"), 1);
}
