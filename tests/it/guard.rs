//! Who may ask: addresses, origins, methods.

use crate::support::agent::Agent;
use crate::support::raw::{Message, Upstream, ok};

pub(crate) fn quiet() -> Upstream {
    Upstream::answering(|_| ok("{}"))
}

/// A request without anything but what it is given.
pub(crate) fn bare(agent: &Agent, text: &str) -> Message {
    agent.connect().ask(text)
}

#[test]
fn ls_host_allowlist() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let port = agent.address.port();
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("LocalHost:{port}"),
        format!("[::1]:{port}"),
        format!("doorward.test:{port}"),
    ] {
        let text = format!("GET /health HTTP/1.1\r\nhost: {host}\r\n\r\n");
        assert_eq!(bare(&agent, &text).status(), 200, "{host}");
    }
    for host in [
        "127.0.0.1".to_owned(),
        "127.0.0.1:1".to_owned(),
        format!("evil.example:{port}"),
        format!("localhost.:{port}"),
        format!("127.0.0.2:{port}"),
        format!("0.0.0.0:{port}"),
        format!("localhost.evil.example:{port}"),
    ] {
        let text = format!("GET /health HTTP/1.1\r\nhost: {host}\r\n\r\n");
        let answer = bare(&agent, &text);
        assert_eq!(answer.status(), 421, "{host}");
        assert_eq!(answer.json()["error"], "host_not_allowed");
    }
}

#[test]
fn an_absolute_target_is_judged_like_a_host() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let own = agent.address;
    let foreign = format!("GET http://evil.example/health HTTP/1.1\r\nhost: {own}\r\n\r\n");
    assert_eq!(bare(&agent, &foreign).status(), 421);
    let masked = format!("GET http://{own}/health HTTP/1.1\r\nhost: evil.example\r\n\r\n");
    assert_eq!(bare(&agent, &masked).status(), 421);
    let right = format!("GET http://{own}/health HTTP/1.1\r\nhost: {own}\r\n\r\n");
    assert_eq!(bare(&agent, &right).status(), 200);
}

#[test]
fn ls_host_missing_400() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let own = agent.address;
    for text in [
        "GET /health HTTP/1.1\r\n\r\n".to_owned(),
        "GET /health HTTP/1.0\r\n\r\n".to_owned(),
        format!("GET /health HTTP/1.1\r\nhost: {own}\r\nhost: {own}\r\n\r\n"),
        format!("GET /health HTTP/1.1\r\nhost: {own}\r\nhost: evil.example\r\n\r\n"),
        "GET /health HTTP/1.1\r\nhost:\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned(),
        format!("GET /health HTTP/1.1\r\nhost: user@{own}\r\n\r\n"),
    ] {
        assert_eq!(bare(&agent, &text).status(), 400, "{text:?}");
    }
}

#[test]
fn ls_origin_403() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let port = agent.address.port();
    let with = |origin: &str| agent.ask("POST", "/u/up", &format!("origin: {origin}\r\n"), "{}");
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost",
        "http://localhost:3000",
        "file://",
        "",
    ] {
        let answer = with(origin);
        assert_eq!(answer.status(), 403, "{origin}");
        assert_eq!(answer.json()["error"], "origin_not_allowed");
        assert!(answer.field("www-authenticate").is_none());
    }
    assert_eq!(with(&format!("http://localhost:{port}")).status(), 200);
    assert_eq!(with(&format!("http://127.0.0.1:{port}")).status(), 200);
    let seen = [up.seen(), up.seen()];
    assert!(seen.iter().all(|request| request.field("origin").is_none()));
    assert!(!up.was_asked());
}

#[test]
fn ls_checks_before_auth() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let own = agent.address;
    for path in [
        "/u/up",
        "/u/none",
        "/health",
        "/",
        "/.well-known/x",
        "/register",
        "/nothing",
    ] {
        let origin = format!("POST {path} HTTP/1.1\r\nhost: {own}\r\norigin: null\r\n\r\n");
        assert_eq!(bare(&agent, &origin).status(), 403, "{path}");
        let host = format!("POST {path} HTTP/1.1\r\nhost: evil.example\r\n\r\n");
        assert_eq!(bare(&agent, &host).status(), 421, "{path}");
    }
}

#[test]
fn ls_sec_fetch_site() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    for site in ["cross-site", "same-site"] {
        let fields = format!("sec-fetch-site: {site}\r\nsec-fetch-mode: navigate\r\n");
        for path in ["/u/up", "/health", "/"] {
            assert_eq!(
                agent.ask("GET", path, &fields, "").status(),
                403,
                "{site} {path}"
            );
        }
    }
    for site in ["same-origin", "none"] {
        let fields = format!("sec-fetch-site: {site}\r\n");
        assert_eq!(agent.ask("GET", "/health", &fields, "").status(), 200);
    }
    // What Node's own fetch sends.
    let answer = agent.ask("POST", "/u/up", "sec-fetch-mode: cors\r\n", "{}");
    assert_eq!(answer.status(), 200);
    assert!(up.seen().field("sec-fetch-mode").is_none());
}

#[test]
fn ls_no_cors() {
    let up = Upstream::answering(|_| {
        crate::support::raw::answer(
            "200 OK",
            "access-control-allow-origin: *\r\naccess-control-expose-headers: mcp-session-id\r\n",
            "{}",
        )
    });
    let agent = Agent::before(up.url("/mcp"));
    let own = agent.address;
    let preflight = format!(
        "OPTIONS /u/up HTTP/1.1\r\nhost: {own}\r\norigin: http://{own}\r\n\
         access-control-request-method: POST\r\naccess-control-request-private-network: true\r\n\r\n"
    );
    let answers = [bare(&agent, &preflight), agent.post("{}")];
    assert_eq!(answers[0].status(), 405);
    for answer in answers {
        let cors = |(name, _): &(String, String)| name.starts_with("access-control");
        assert!(!answer.fields.iter().any(cors));
    }
}

#[test]
fn ls_content_type_required() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let with = |kind: &str| {
        let text = format!(
            "POST /u/up HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n{kind}content-length: 2\r\n\r\n{{}}",
            agent.address, agent.token
        );
        agent.connect().ask(text).status()
    };
    assert_eq!(with(""), 415);
    assert_eq!(with("content-type: text/plain\r\n"), 415);
    assert_eq!(
        with("content-type: application/x-www-form-urlencoded\r\n"),
        415
    );
    assert_eq!(with("content-type: application/json-seq\r\n"), 415);
    assert_eq!(with("content-type: application/json\r\n"), 200);
    assert_eq!(
        with("content-type: Application/JSON; charset=utf-8\r\n"),
        200
    );
}

#[test]
fn px_methods_allowed() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    for method in ["PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND"] {
        let answer = agent.ask(method, "/u/up", "", "");
        assert_eq!(answer.status(), 405, "{method}");
        assert_eq!(answer.field("allow"), Some("GET, POST, DELETE"));
    }
    for method in ["GET", "DELETE", "POST"] {
        assert_eq!(agent.ask(method, "/u/up", "", "").status(), 200, "{method}");
        assert!(up.seen().start.starts_with(&format!("{method} /mcp ")));
    }
}

#[test]
fn px_upgrade_refused() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let mut wire = agent.connect();
    let fields = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";
    let answer = wire.ask(agent.request("GET", "/u/up", fields, ""));
    assert_eq!(answer.status(), 501);
    assert!(wire.closed(), "what follows would not be HTTP");
    let own = agent.address;
    let mut wire = agent.connect();
    let answer = wire.ask(format!("CONNECT {own} HTTP/1.1\r\nhost: {own}\r\n\r\n"));
    assert_ne!(answer.status() / 100, 2);
    assert!(wire.closed());
    assert!(!up.was_asked());
}

#[test]
fn an_offer_of_http2_is_passed_over() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let fields =
        "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n";
    for _ in 0..2 {
        let mut wire = agent.connect();
        let answer = wire.ask(agent.request("POST", "/u/up", fields, "{}"));
        assert_eq!(answer.status(), 200);
        assert!(answer.field("upgrade").is_none());
        assert_eq!(answer.all("connection"), ["close"]);
        assert!(wire.closed());
        let seen = up.seen();
        assert!(seen.field("upgrade").is_none() && seen.field("http2-settings").is_none());
        assert!(seen.field("connection").is_none());
    }
}

#[test]
fn px_smuggling_rejected() {
    let up = quiet();
    let agent = Agent::before(up.url("/mcp"));
    let head = format!(
        "POST /u/up HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n",
        agent.address, agent.token
    );
    for framing in [
        "content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "content-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
        "content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
        "content-length: +2\r\n\r\n{}",
        "content-length: 2, 2\r\n\r\n{}",
        "transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "transfer-encoding: identity\r\n\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "content-length : 2\r\n\r\n{}",
        "x-folded: a\r\n b\r\ncontent-length: 2\r\n\r\n{}",
        "x-bare: a\rb\r\ncontent-length: 2\r\n\r\n{}",
        "x-nul: a\0b\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        let answer = bare(&agent, &format!("{head}{framing}"));
        assert_eq!(answer.status(), 400, "{framing:?}");
    }
    assert!(!up.was_asked());
}
