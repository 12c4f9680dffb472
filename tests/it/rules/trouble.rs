//! What is said when something is wrong, and what is not done about it.

use doorward::model::fault::{CredentialError, LoginReason, TransientCause};
use doorward::model::time::Timestamp;

use crate::guard::{bare, quiet};
use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::{Message, Upstream, answer, ok};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
const NOTE: &str = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;

/// An address at which nobody listens.
fn nobody() -> String {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}/mcp", closed.local_addr().expect("its address"))
}

#[test]
fn px_no_ambiguous_retry() {
    for body in [CALL, NOTE, "[]", "not json", "{}"] {
        for partial in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
            let (log, seen) = std::sync::mpsc::channel();
            let log = std::sync::Mutex::new(log);
            let up = Upstream::scripted(move |mut wire| {
                if let Some(request) = wire.message() {
                    let _ = log.lock().expect("unpoisoned").send(request.text());
                }
                wire.write(partial);
            });
            let agent = Agent::before(up.url("/mcp"));
            let answer = agent.post(body);
            assert_eq!(answer.status(), 502, "{body} {partial}");
            let seen: Vec<String> = seen.try_iter().collect();
            assert_eq!(seen, [body], "it may have been carried out");
        }
    }
}

#[test]
fn px_no_fallback_triggers() {
    let troubles: [fn() -> CredentialError; 5] = [
        || CredentialError::LoginRequired(LoginReason::Never),
        || CredentialError::Unavailable {
            cause: TransientCause::Status(500),
            attempts: 1,
            retry_at: Timestamp::MAX,
        },
        || CredentialError::RejectedByResource {
            since: Timestamp::MIN,
        },
        || CredentialError::Overloaded,
        || CredentialError::TimedOut,
    ];
    let fine = quiet();
    let redirecting = Upstream::answering(|_| answer("302 Found", "location: /x\r\n", ""));
    let refusing = Upstream::answering(|_| answer("401 Unauthorized", "", ""));
    let garbled = Upstream::scripted(|mut wire| {
        wire.message();
        wire.write("ICY 200 OK\r\n\r\n");
    });
    let silent = Upstream::scripted(|mut wire| {
        wire.message();
    });
    let bodies = [CALL, NOTE, "[]", "{}", "not json", "", LIST];
    // A handshake waits some seconds for a credential, so the lists are left to other tests there.
    let (all, unheld) = (&bodies[..], &bodies[..6]);
    let check = |agent: &Agent, what: &str, bodies: &[&str]| {
        for method in ["POST", "GET", "DELETE"] {
            let bodies = if method == "POST" { bodies } else { &[""] };
            for body in bodies {
                let answer = agent.ask(method, "/u/up", "", body);
                let status = answer.status();
                assert_eq!(answer.field("doorward-origin"), Some("local"), "{what}");
                assert!(
                    ![400, 401, 403, 404, 405].contains(&status),
                    "{what}: {method} {body} is answered {status}"
                );
            }
        }
    };
    for (number, trouble) in troubles.into_iter().enumerate() {
        let agent = Agent::before(fine.url("/mcp"));
        agent.source.behave(move |_, _| Err(trouble()));
        check(&agent, &format!("credential {number}"), unheld);
    }
    for (what, url) in [
        ("redirect", redirecting.url("/mcp")),
        ("401", refusing.url("/mcp")),
        ("garbled", garbled.url("/mcp")),
        ("silent", silent.url("/mcp")),
        ("down", nobody()),
    ] {
        check(&Agent::before(url), what, all);
    }
    assert!(!fine.was_asked());
}

#[test]
fn seed_s1_10_no_token_unknown_target_and_upstream_down() {
    let up = quiet();
    let agent = Agent::start(Options {
        upstreams: vec![upstream("up", up.url("/mcp")), upstream("down", nobody())],
        ..Options::default()
    });
    let code = |answer: &Message| answer.json()["error"]["data"]["code"].clone();
    let unknown = agent.ask("POST", "/u/none", "", CALL);
    assert_eq!(unknown.status(), 404);
    assert_eq!(code(&unknown), "upstream_unknown");
    let down = agent.ask("POST", "/u/down", "", CALL);
    assert_eq!(
        (down.status(), code(&down)),
        (502, "upstream_unreachable".into())
    );
    // Better than a bare 502: the call carries the words, and a program without JSON-RPC a 503.
    agent
        .source
        .behave(|_, _| Err(CredentialError::LoginRequired(LoginReason::Never)));
    let call = agent.post(CALL);
    assert_eq!(call.status(), 200);
    assert_eq!(call.json()["result"]["isError"], true);
    // MCP 2026-07-28 basic: a result says of what type it is.
    assert_eq!(call.json()["result"]["resultType"], "complete");
    let plain = agent.ask("GET", "/u/up", "", "");
    assert_eq!(
        (plain.status(), code(&plain)),
        (503, "login_required".into())
    );
    assert!(!up.was_asked());
}

#[test]
fn seed_s2_08_a_refusal_has_its_challenge_is_not_stored_and_tells_missing_from_unknown() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let (ended, cell) = agent.mint(2, doorward::model::session::Grant::All);
    cell.close(doorward::model::session::Death::Lapsed, None);
    let mut codes = Vec::new();
    for credential in [
        String::new(),
        "authorization: Bearer dw_abcdef_wrong\r\n".to_owned(),
        format!("authorization: Bearer {ended}\r\n"),
    ] {
        let text = format!(
            "GET /u/up HTTP/1.1\r\nhost: {}\r\n{credential}\r\n",
            agent.address
        );
        let answer = bare(&agent, &text);
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        let challenge = answer.field("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("Bearer "), "{challenge}");
        codes.push(answer.json()["error"]["data"]["code"].clone());
    }
    assert_eq!(
        codes,
        ["session_missing", "session_unknown", "session_expired"]
    );
}

#[test]
fn cf_dns_rebinding() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let own = agent.address.to_string();
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#;
    let with = |host: &str, origin: &str| {
        let text = format!(
            "POST /u/up HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{hello}",
            agent.token,
            hello.len()
        );
        bare(&agent, &text).status()
    };
    for (host, origin) in [
        ("evil.example.com", "http://evil.example.com"),
        ("evil.example.com", &format!("http://{own}")),
        (&own, "http://evil.example.com"),
    ] {
        assert_eq!(with(host, origin) / 100, 4, "{host} {origin}");
    }
    assert!(!up.was_asked());
    assert_eq!(with(&own, &format!("http://{own}")), 200);
}

#[test]
fn ls_no_reliance_on_lna() {
    let up = Upstream::answering(|_| ok("{}"));
    let agent = Agent::start(Options {
        upstreams: vec![upstream("up", up.url("/mcp"))],
        require_session: false,
        ..Options::default()
    });
    let own = agent.address;
    // What a page's request looks like in a browser that asks nobody before it goes to a
    // loopback address: old ones, ones where the prompt was accepted, and plain navigation.
    for (request, status) in [
        (
            "POST",
            "origin: https://page.example\r\ncontent-type: text/plain\r\n",
            403,
        ),
        (
            "POST",
            "origin: null\r\ncontent-type: application/json\r\n",
            403,
        ),
        (
            "POST",
            "sec-fetch-site: cross-site\r\ncontent-type: text/plain\r\n",
            403,
        ),
        (
            "GET",
            "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\n",
            403,
        ),
        (
            "GET",
            "sec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n",
            403,
        ),
        ("POST", "content-type: text/plain\r\n", 415),
        ("POST", "content-type: multipart/form-data\r\n", 415),
    ]
    .map(|(method, fields, status)| {
        let text = format!("{method} /u/up HTTP/1.1\r\nhost: {own}\r\n{fields}\r\n");
        (text, status)
    }) {
        assert_eq!(bare(&agent, &request).status(), status, "{request}");
    }
    assert!(!up.was_asked());
}

#[test]
fn se_no_confused_deputy() {
    let up = quiet();
    let agent = Agent::start(Options {
        upstreams: vec![upstream("up", up.url("/mcp"))],
        default_segment: Some("up".to_owned()),
        ..Options::default()
    });
    // An agent that takes us for its authorization server gets neither a code nor a client.
    let query = "client_id=x&response_type=code&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcb";
    for target in [
        "/authorize",
        "/oauth/authorize",
        "/token",
        "/oauth/token",
        "/register",
    ] {
        for method in ["GET", "POST"] {
            let answer = agent.ask(method, &format!("{target}?{query}"), "", "");
            assert_eq!(answer.status(), 404, "{method} {target}");
            assert!(answer.field("location").is_none() && answer.field("set-cookie").is_none());
        }
    }
    assert!(!up.was_asked());
}

#[test]
fn ls_resource_limits_of_fields_and_of_open_requests() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    // One field that is too long, and many that are too long together.
    let long = format!("x-long: {}\r\n", "x".repeat(200 << 10));
    let many = format!("x-many: {}\r\n", "x".repeat(4 << 10)).repeat(90);
    for fields in [long, many] {
        let answer = agent.ask("DELETE", "/u/up", &fields, "");
        assert_eq!(answer.status(), 431);
    }
    // So many requests of one session at a time, and none of another one's.
    let open: Vec<_> = (0..1024)
        .map(|_| agent.cell.open_stream(&agent.state.clock).expect("alive"))
        .collect();
    let refused = agent.post(CALL);
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.json()["error"]["data"]["code"], "busy");
    assert!(!up.was_asked());
    let (other, _) = agent.mint(3, doorward::model::session::Grant::All);
    let text = format!(
        "DELETE /u/up HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {other}\r\n\r\n",
        agent.address
    );
    assert_eq!(bare(&agent, &text).status(), 200);
    drop(open);
    assert_eq!(agent.post(CALL).status(), 200);
}
