//! Local credentials: what they open, and for how long.

use std::sync::Arc;

use doorward::ledger::SessionCell;
use doorward::model::record::{SessionOrigin, SessionRecord};
use doorward::model::session::{Death, Grant};

use crate::guard::{bare, quiet};
use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::Message;

#[test]
fn ls_401_uniform() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let own = agent.address;
    let ask = |method: &str, path: &str, credential: &str| {
        bare(
            &agent,
            &format!("{method} {path} HTTP/1.1\r\nhost: {own}\r\n{credential}\r\n"),
        )
    };
    for method in ["POST", "GET", "DELETE"] {
        for path in ["/u/up", "/u/unknown"] {
            let answer = ask(method, path, "");
            assert_eq!(answer.status(), 401, "{method} {path}");
            let challenge = answer.field("www-authenticate").expect("a challenge");
            assert!(challenge.starts_with("Bearer realm=\"doorward\", error=\"invalid_request\""));
            assert!(!challenge.contains("resource_metadata") && !challenge.contains("scope="));
            assert_eq!(answer.json()["error"]["data"]["code"], "session_missing");

            let answer = ask(method, path, "authorization: Bearer dw_abcdef_wrong\r\n");
            assert_eq!(answer.status(), 401);
            let challenge = answer.field("www-authenticate").expect("a challenge");
            assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
            assert_eq!(answer.json()["error"]["code"], -31002);
            assert_eq!(answer.field("cache-control"), Some("no-store"));
            assert_eq!(answer.field("doorward-origin"), Some("local"));
        }
    }
    assert!(!up.was_asked());
}

#[test]
fn ls_auth_every_request() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let mut wire = agent.connect();
    assert_eq!(
        wire.ask(agent.request("POST", "/u/up", "", "{}")).status(),
        200
    );
    // The same connection, without the credential.
    let text = format!("GET /u/up HTTP/1.1\r\nhost: {}\r\n\r\n", agent.address);
    assert_eq!(wire.ask(text).status(), 401);
}

#[test]
fn ls_credential_transport() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let (own, token) = (agent.address, &agent.token);
    let with = |path: &str, fields: String| {
        bare(
            &agent,
            &format!("DELETE {path} HTTP/1.1\r\nhost: {own}\r\n{fields}\r\n"),
        )
        .status()
    };
    assert_eq!(
        with("/u/up", format!("authorization: bEaReR {token}\r\n")),
        200
    );
    assert_eq!(with("/u/up", format!("doorward-session: {token}\r\n")), 200);
    let both = format!("doorward-session: {token}\r\nauthorization: Bearer upstream's\r\n");
    assert_eq!(with("/u/up", both), 200);
    assert_eq!(
        with(&format!("/u/up?access_token={token}"), String::new()),
        401
    );
    assert_eq!(
        with("/u/up", format!("authorization: Basic {token}\r\n")),
        401
    );
    let twice = format!("authorization: Bearer {token}\r\nauthorization: Bearer {token}\r\n");
    assert_eq!(with("/u/up", twice), 400);
    for _ in 0..3 {
        let seen = up.seen();
        assert!(seen.field("doorward-session").is_none());
        assert_eq!(seen.all("authorization"), ["Bearer token-1"]);
    }
    assert!(!up.was_asked());
}

#[test]
fn the_end_of_a_session_is_said_with_its_reason() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    assert_eq!(agent.post("{}").status(), 200);
    for (number, death, code) in [
        (2, Death::Idle, "session_idle"),
        (3, Death::Lapsed, "session_expired"),
        (4, Death::Revoked, "session_revoked"),
    ] {
        let (token, cell) = agent.mint(number, Grant::All);
        cell.close(death, None);
        let text = format!(
            "GET /u/up HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\r\n",
            agent.address
        );
        let answer = bare(&agent, &text);
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.json()["error"]["data"]["code"], code);
        let challenge = answer
            .field("www-authenticate")
            .expect("a challenge")
            .to_owned();
        assert!(challenge.contains(&cell.id().to_string()), "{challenge}");
        assert!(!challenge.contains(&token));
    }
}

#[test]
fn a_program_that_asks_for_it_is_told_by_the_result_of_its_call() {
    const FIELD: &str = "doorward-errors: result\r\n";
    let message = |id: u8| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"x"}}}}"#)
    };
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let session = |number: u8, origin: SessionOrigin| {
        let (token, cell) = agent.mint(number, Grant::All);
        let record = SessionRecord {
            origin,
            ..cell.record()
        };
        agent.ledger.remove(cell.digest());
        let cell = SessionCell::new(record);
        agent.ledger.insert(Arc::clone(&cell));
        (token, cell)
    };
    let ask = |token: &str, method: &str, fields: &str, body: &str| {
        let text = agent.request(method, "/u/up", fields, body);
        agent.connect().ask(text.replace(&agent.token, token))
    };
    for (number, origin, death, told) in [
        (2, SessionOrigin::Run, Death::Revoked, true),
        (3, SessionOrigin::Run, Death::Lapsed, true),
        (4, SessionOrigin::Mint, Death::Idle, true),
        (5, SessionOrigin::Helper, Death::Revoked, true),
        // Its helper fetches another one after a 401.
        (6, SessionOrigin::Helper, Death::Lapsed, false),
    ] {
        let (token, cell) = session(number, origin);
        cell.close(death, None);
        let answer = ask(&token, "POST", FIELD, &message(number));
        if told {
            assert_eq!(answer.status(), 200);
            let answer = answer.json();
            assert_eq!(answer["id"], number);
            assert_eq!(answer["result"]["isError"], true);
            let text = answer["result"]["content"][0]["text"]
                .as_str()
                .expect("words");
            assert!(
                text.contains(&cell.id().to_string()) && text.contains("Next: "),
                "{text}"
            );
        } else {
            assert_eq!(answer.status(), 401);
        }
        // Whoever does not ask, and whatever is no call of a tool.
        assert_eq!(ask(&token, "POST", "", &message(1)).status(), 401);
        assert_eq!(
            ask(
                &token,
                "POST",
                FIELD,
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#
            )
            .status(),
            401
        );
        assert_eq!(ask(&token, "POST", FIELD, "no JSON").status(), 401);
        assert_eq!(ask(&token, "GET", FIELD, "").status(), 401);
    }
    assert_eq!(
        ask("dw_abcdef_wrong", "POST", FIELD, &message(1)).status(),
        401
    );
    assert!(!up.was_asked(), "nothing of it reached the server");
}

#[test]
fn seed_s2_03_ls_sliding_expiry_with_use_and_death_after_the_window() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let idle = agent.cell.policy().idle;
    for _ in 0..3 {
        agent.clock.advance(idle);
        assert_eq!(agent.post("{}").status(), 200, "alive at the boundary");
    }
    agent
        .clock
        .advance(idle + std::time::Duration::from_millis(1));
    let answer = agent.post("{}");
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json()["error"]["data"]["code"], "session_idle");
}

#[test]
fn ls_credential_scope() {
    let up = quiet();
    let agent = Agent::start(Options {
        upstreams: vec![
            upstream("up", up.url("/mcp")),
            upstream("other", up.url("/x")),
        ],
        ..Options::default()
    });
    let (token, _) = agent.mint(7, Grant::Only(vec!["other".parse().expect("a name")]));
    let ask = |path: &str| {
        let text = format!(
            "DELETE {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\r\n",
            agent.address
        );
        bare(&agent, &text)
    };
    assert_eq!(ask("/u/other").status(), 200);
    let outside = ask("/u/up");
    let unknown = ask("/u/xx");
    assert_eq!(outside.status(), 404);
    assert_eq!(outside.start, unknown.start);
    // Only the name that was asked for and the request id differ.
    let plain = |answer: &Message| {
        let mut json = answer.json();
        json["error"]["data"]["request_id"] = "".into();
        json.to_string()
    };
    assert_eq!(plain(&outside), plain(&unknown).replace("xx", "up"));
    let fields = |answer: &Message| -> Vec<String> {
        answer.fields.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(fields(&outside), fields(&unknown));
    assert!(
        !outside.text().contains("other"),
        "other upstreams are not named"
    );
}

#[test]
fn ls_resource_limits() {
    let up = quiet();
    let agent = Agent::start(Options {
        upstreams: vec![upstream("up", up.url("/mcp"))],
        max_body: 1000,
        ..Options::default()
    });
    let long = "x".repeat(1001);
    let answer = agent.post(&long);
    assert_eq!(answer.status(), 413);
    assert_eq!(answer.json()["error"]["code"], -31043);
    // Without a length, it is found out on the way.
    let mut wire = agent.connect();
    wire.write(agent.request("DELETE", "/u/up", "transfer-encoding: chunked\r\n", ""));
    wire.write(format!("{:x}\r\n{long}\r\n", long.len()));
    let answer = wire.message().expect("an answer");
    assert_eq!(answer.status(), 413);
}

#[test]
fn without_required_sessions_an_agent_needs_no_credential_and_a_page_is_still_refused() {
    let up = quiet();
    let agent = Agent::start(Options {
        upstreams: vec![upstream("up", up.url("/mcp"))],
        require_session: false,
        ..Options::default()
    });
    let own = agent.address;
    let ask = |fields: &str| {
        bare(
            &agent,
            &format!("DELETE /u/up HTTP/1.1\r\nhost: {own}\r\n{fields}\r\n"),
        )
        .status()
    };
    assert_eq!(ask(""), 200);
    assert_eq!(ask("authorization: Bearer whatever\r\n"), 200, "seed_s1_08");
    assert_eq!(ask("authorization: Bearer dw_abcdef_wrong\r\n"), 401);
    assert_eq!(ask("origin: http://localhost:3000\r\n"), 403);
    assert_eq!(ask("sec-fetch-site: cross-site\r\n"), 403);
    for _ in 0..2 {
        assert_eq!(up.seen().all("authorization"), ["Bearer token-1"]);
    }
    assert!(!up.was_asked());
}
