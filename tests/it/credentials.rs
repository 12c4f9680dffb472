//! The upstream credential on the proxied path: fresh, aging, missing, rejected.

use std::sync::Arc;
use std::time::Duration;

use doorward::clock::Clock;
use doorward::model::fault::{CredentialError, LoginReason, TransientCause};
use doorward::model::id::Generation;
use doorward::model::time::Timestamp;
use serde_json::json;

use crate::support::agent::{Agent, Options, publish, publish_until, upstream};
use crate::support::raw::{EVENTS, Message, Upstream, answer, chunk, ok};

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}"#;
pub(crate) const PING: &str = r#"{"jsonrpc":"2.0","id":8,"method":"ping"}"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":9,"method":"initialize"}"#;
const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
pub(crate) const CHALLENGE: &str = "www-authenticate: Bearer error=\"invalid_token\", \
                         resource_metadata=\"https://up.example/.well-known/x\"\r\n";

/// Takes `token-N` from `good` on.
pub(crate) fn accepting(good: u64) -> Upstream {
    Upstream::answering(move |request| {
        let token = request.field("authorization").unwrap_or_default();
        let number = token
            .strip_prefix("Bearer token-")
            .and_then(|n| n.parse::<u64>().ok());
        if number.is_some_and(|number| number >= good) {
            ok("{\"ok\":true}")
        } else {
            answer("401 Unauthorized", CHALLENGE, "upstream says no")
        }
    })
}

fn login_required(agent: &Agent) {
    agent
        .source
        .behave(|_, _| Err(CredentialError::LoginRequired(LoginReason::Never)));
}

#[test]
fn a_fresh_credential_asks_nobody() {
    let up = accepting(1);
    let agent = Agent::before(up.url("/mcp"));
    publish(&agent.slot("up"), 1);
    for _ in 0..10 {
        assert_eq!(agent.post(CALL).status(), 200);
    }
    assert_eq!((agent.source.asks(), agent.source.nudges()), (0, 0));
    assert_eq!(agent.slot("up").accepted(), Generation(1));
}

#[test]
fn an_aging_credential_is_used_and_its_manager_told_once() {
    let up = accepting(1);
    let agent = Agent::before(up.url("/mcp"));
    let now = agent.clock.now();
    publish_until(
        &agent.slot("up"),
        1,
        Some(now.plus(Duration::from_mins(5))),
        now,
    );
    for _ in 0..10 {
        assert_eq!(agent.post(CALL).status(), 200);
    }
    assert_eq!((agent.source.asks(), agent.source.nudges()), (0, 1));
    agent.source.behave(|slot, _| {
        publish(slot, 2);
        Ok(())
    });
    agent.clock.advance(Duration::from_mins(5));
    assert_eq!(
        agent.post(CALL).status(),
        200,
        "expired: asked for a new one"
    );
    assert_eq!(agent.source.asks(), 1);
    let last = std::iter::repeat_with(|| up.seen())
        .nth(10)
        .expect("the last one");
    assert_eq!(last.field("authorization"), Some("Bearer token-2"));
}

#[test]
fn px_401_refresh_replay_once() {
    for body in [CALL, "{}", "", "[]"] {
        let up = accepting(2);
        let agent = Agent::before(up.url("/mcp"));
        publish(&agent.slot("up"), 1);
        let answer = agent.post(body);
        assert_eq!(
            (answer.status(), answer.text().as_str()),
            (200, "{\"ok\":true}")
        );
        assert_eq!(agent.source.rejected(), [Some(Generation(1))]);
        let (first, second) = (up.seen(), up.seen());
        assert_eq!(first.field("authorization"), Some("Bearer token-1"));
        assert_eq!(second.field("authorization"), Some("Bearer token-2"));
        assert_eq!(first.text(), second.text());
        assert!(!up.was_asked());
        assert_eq!(
            up.connections(),
            1,
            "the refused answer was read to its end"
        );
    }
}

#[test]
fn px_401_without_a_challenge_is_a_401_too() {
    let up = Upstream::answering(|request| match request.field("authorization") {
        Some("Bearer token-2") => ok("{}"),
        _ => b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_vec(),
    });
    let agent = Agent::before(up.url("/mcp"));
    assert_eq!(agent.post(CALL).status(), 200);
}

#[test]
fn px_no_upstream_challenge_leak() {
    let up = accepting(u64::MAX);
    let agent = Agent::before(up.url("/mcp"));
    for (body, status) in [
        (CALL, 200),
        (PING, 200),
        (INITIALIZE, 200),
        (NOTE, 202),
        ("", 503),
    ] {
        let answer = agent.post(body);
        assert_eq!(answer.status(), status, "{body}");
        let text = format!("{answer:?}").to_ascii_lowercase();
        assert!(!text.contains("www-authenticate") && !text.contains("resource_metadata"));
        assert!(!text.contains("upstream says no") && !text.contains("token-"));
        let (_, second) = (up.seen(), up.seen());
        assert!(second.field("authorization").is_some());
        assert!(!up.was_asked(), "twice, not more");
    }
    assert_eq!(
        agent.source.asks(),
        6,
        "one at first, and one for each rejected generation"
    );
    let answer = agent.post(PING);
    assert_eq!(answer.json()["error"]["data"]["code"], "upstream_rejected");
}

#[test]
fn px_replay_buffer_limit_a_body_that_was_not_kept_is_not_replayed() {
    let up = accepting(2);
    let agent = Agent::before(up.url("/mcp"));
    publish(&agent.slot("up"), 1);
    let large = "x".repeat((1 << 20) + 1);
    let answer = agent.post(&large);
    assert_eq!(answer.status(), 503, "px_replay_buffer_limit");
    assert!(answer.field("retry-after").is_some());
    assert_eq!(
        agent.source.rejected(),
        [Some(Generation(1))],
        "the next call has a new token"
    );
    assert_eq!(agent.post(CALL).status(), 200);
}

#[test]
fn px_streams_survive_refresh() {
    let up = Upstream::scripted(|mut wire| {
        wire.message();
        wire.write(EVENTS);
        wire.write(chunk("data: 1\n\n"));
        // The test says when: by a request on a connection of its own.
        wire.finish();
        wire.closed();
    });
    let second = accepting(2);
    let agent = Agent::start(Options {
        upstreams: vec![
            upstream("up", up.url("/mcp")),
            upstream("other", second.url("/mcp")),
        ],
        ..Options::default()
    });
    let mut wire = agent.connect();
    wire.write(agent.request("GET", "/u/up", "", ""));
    assert_eq!(wire.head().expect("a head").status(), 200);
    publish(&agent.slot("up"), 9);
    assert_eq!(
        wire.chunk().expect("whole").expect("an event"),
        b"data: 1\n\n"
    );
}

#[test]
fn px_needs_login_error_takes_the_shape_that_agents_show() {
    let up = accepting(1);
    let agent = Agent::before(up.url("/mcp"));
    login_required(&agent);

    let tool = agent.post(CALL);
    assert_eq!(tool.status(), 200);
    assert_eq!(tool.json()["id"], 7);
    assert_eq!(tool.json()["result"]["isError"], true);
    let text = tool.json()["result"]["content"][0]["text"]
        .as_str()
        .expect("text")
        .to_owned();
    assert_eq!(
        text,
        "up needs you to sign in. Nobody has signed in yet. Next: doorward login up"
    );

    let ping = agent.post(PING);
    assert_eq!(ping.status(), 200);
    assert_eq!(ping.json()["error"]["code"], -31010);
    assert_eq!(ping.json()["error"]["message"], text);
    assert_eq!(ping.json()["error"]["data"]["upstream"], "up");

    let note = agent.post(NOTE);
    assert_eq!((note.status(), note.body.len()), (202, 0));
    let reply = agent.post(r#"{"jsonrpc":"2.0","id":3,"result":{}}"#);
    assert_eq!(reply.status(), 202);

    let batch = agent.post(&format!("[{CALL},{NOTE},{PING}]"));
    assert_eq!(batch.status(), 200);
    assert_eq!(batch.json()[0]["result"]["isError"], true);
    assert_eq!(batch.json()[1]["error"]["code"], -31010);
    assert_eq!(batch.json().as_array().map(Vec::len), Some(2));
    assert_eq!(agent.post(&format!("[{NOTE}]")).status(), 202);

    let stream = agent.ask("GET", "/u/up", "accept: text/event-stream\r\n", "");
    assert_eq!(stream.status(), 503);
    assert_eq!(stream.json()["error"]["data"]["code"], "login_required");
    assert!(stream.field("retry-after").is_some());
    assert!(
        !up.was_asked(),
        "nothing reaches the upstream without a credential"
    );
}

#[test]
fn pain_43_each_trouble_has_a_code_of_its_own() {
    let up = accepting(1);
    let agent = Agent::before(up.url("/mcp"));
    let code = |message: Message| message.json()["error"]["data"]["code"].clone();
    agent.source.behave(|_, _| {
        Err(CredentialError::Unavailable {
            cause: TransientCause::Status(503),
            attempts: 2,
            retry_at: Timestamp::from_millis(1_800_000_007_000),
        })
    });
    let refresh = agent.post(PING);
    assert_eq!(refresh.field("retry-after"), None, "a 200");
    assert_eq!(refresh.json()["error"]["data"]["retry_after_s"], 7);
    assert_eq!(code(refresh), "refresh_unavailable");
    agent.source.behave(|_, _| Err(CredentialError::Overloaded));
    let busy = agent.post(PING);
    assert_eq!((busy.status(), code(busy)), (503, json!("busy")));
    agent.source.behave(|_, _| {
        Err(CredentialError::RejectedByResource {
            since: Timestamp::MIN,
        })
    });
    assert_eq!(code(agent.post(PING)), "upstream_rejected");
    let text = format!("GET /u/up HTTP/1.1\r\nhost: {}\r\n\r\n", agent.address);
    assert_eq!(code(agent.connect().ask(text)), "session_missing");
}

/// Asks before anybody has signed in, who then does.
fn is_answered_after_the_sign_in(agent: &Agent, body: &str) {
    agent.source.behave(|slot, _| match slot.load() {
        Some(_) => Ok(()),
        None => Err(CredentialError::LoginRequired(LoginReason::Never)),
    });
    let mut wire = agent.connect();
    wire.write(agent.request("POST", "/u/up", "", body));
    while agent.source.asks() == 0 {
        std::thread::yield_now();
    }
    publish(&agent.slot("up"), 1);
    let answer = wire.message().expect("an answer");
    assert_eq!(
        (answer.status(), answer.text().as_str()),
        (200, "{\"ok\":true}")
    );
}

#[test]
fn a_tool_call_waits_for_a_person_who_is_signing_in() {
    let up = accepting(1);
    let mut spec = upstream("up", up.url("/mcp"));
    spec.hold = Duration::from_hours(1);
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    is_answered_after_the_sign_in(&agent, CALL);
    // What nobody waits for is answered at once.
    agent.slot("up").retract();
    assert_eq!(agent.post(PING).json()["error"]["code"], -31010);
}

#[test]
fn pain_42_scope_needed_is_told_and_any_other_403_passes() {
    let up = Upstream::answering(|request| {
        if request.text().contains("write") {
            let fields =
                "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"a:write b\"\r\n";
            answer("403 Forbidden", fields, "{}")
        } else {
            answer(
                "403 Forbidden",
                "www-authenticate: Bearer realm=\"x\"\r\n",
                "{\"theirs\":1}",
            )
        }
    });
    let agent = Agent::before(up.url("/mcp"));
    let scope = agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"write"}"#);
    assert_eq!(scope.status(), 200);
    assert_eq!(scope.json()["error"]["code"], -31011);
    assert!(
        scope.json()["error"]["message"]
            .as_str()
            .expect("text")
            .contains("a:write b")
    );
    assert!(scope.field("www-authenticate").is_none());
    let plain = agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"read"}"#);
    assert_eq!(
        (plain.status(), plain.text().as_str()),
        (403, "{\"theirs\":1}")
    );
    assert!(plain.field("www-authenticate").is_none());
    assert_eq!(agent.source.asks(), 1, "a 403 costs no refresh");
}

#[test]
fn seed_s1_09_parallel_requests_all_get_the_new_token() {
    let up = accepting(2);
    let agent = Arc::new(Agent::before(up.url("/mcp")));
    publish(&agent.slot("up"), 1);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let agent = Arc::clone(&agent);
            std::thread::spawn(move || agent.post(CALL).status())
        })
        .collect();
    for call in calls {
        assert_eq!(call.join().expect("a status"), 200);
    }
    let generation = agent.slot("up").load().expect("published").generation;
    assert_eq!(
        generation,
        Generation(2),
        "pain_15: one refresh however many were rejected"
    );
}

#[test]
fn programs_that_want_a_status_get_one() {
    let up = accepting(1);
    let mut spec = upstream("up", up.url("/mcp"));
    spec.sign_in = doorward::web::routes::SignInTold::Unauthorized;
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    login_required(&agent);
    let answer = agent.post(CALL);
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json()["error"], "not_authenticated");
    assert!(answer.field("www-authenticate").is_none());
}

#[test]
fn a_handshake_that_nobody_answers_here_waits_for_a_credential() {
    let up = accepting(1);
    let mut spec = upstream("up", up.url("/mcp"));
    spec.keep_alive = doorward::web::routes::KeepAlive::Off;
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    is_answered_after_the_sign_in(&agent, INITIALIZE);
}
