//! Upstreams that get no credential of ours.

use std::time::Duration;

use doorward::web::routes::RouteAuth;

use crate::credentials::{CHALLENGE, PING, accepting};
use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::{Upstream, answer, ok};

#[test]
fn an_upstream_without_authentication_gets_no_credential() {
    let up = Upstream::answering(|request| match request.field("x-want") {
        Some(_) => answer("401 Unauthorized", CHALLENGE, ""),
        None => ok("{}"),
    });
    let mut spec = upstream("up", up.url("/mcp"));
    spec.auth = RouteAuth::None;
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    assert_eq!(agent.post("{}").status(), 200);
    assert!(up.seen().field("authorization").is_none());
    let wants = agent.ask("POST", "/u/up", "x-want: 1\r\n", PING);
    assert_ne!(wants.status(), 401, "401 means the session's credential");
    assert!(wants.text().contains("upstream_rejected"));
    assert_eq!(agent.source.asks(), 0);
}

#[test]
fn seed_s3_an_agents_own_token_passes_and_is_refused_once_it_says_it_has_expired() {
    use base64ct::Encoding;
    let up = accepting(0);
    let mut spec = upstream("up", up.url("/mcp"));
    spec.auth = RouteAuth::Passthrough {
        skew: Some(Duration::from_mins(1)),
    };
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    let ask = |token: &str| {
        let text = format!(
            "POST /u/up HTTP/1.1\r\nhost: {}\r\ndoorward-session: {}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{PING}",
            agent.address,
            agent.token,
            PING.len()
        );
        agent.connect().ask(text)
    };
    let jwt = |claims: &str| {
        format!(
            "e30.{}.x",
            base64ct::Base64UrlUnpadded::encode_string(claims.as_bytes())
        )
    };
    assert_eq!(ask("token-5").status(), 200);
    assert_eq!(up.seen().all("authorization"), ["Bearer token-5"]);
    assert_eq!(
        ask(&jwt(r#"{"exp":1800000001}"#)).status(),
        401,
        "the upstream's own 401"
    );
    assert!(up.seen().field("authorization").is_some());
    let expired = ask(&jwt(r#"{"exp":1799999940}"#));
    assert_eq!(expired.status(), 401);
    assert!(
        expired
            .field("www-authenticate")
            .expect("a challenge")
            .contains("invalid_token")
    );
    assert!(!up.was_asked());
    assert_eq!(agent.source.asks(), 0);
}
