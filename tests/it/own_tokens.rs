//! Upstreams that get no credential of ours.

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use doorward::web::routes::RouteAuth;

use crate::credentials::{CHALLENGE, PING, accepting};
use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::{Message, Upstream, answer, ok};

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

fn passing(skew: Option<Duration>) -> (Upstream, Agent) {
    let up = accepting(0);
    let mut spec = upstream("up", up.url("/mcp"));
    spec.auth = RouteAuth::Passthrough { skew };
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    (up, agent)
}

fn ask(agent: &Agent, own: &str, body: &str) -> Message {
    let text = format!(
        "POST /u/up HTTP/1.1\r\nhost: {}\r\ndoorward-session: {}\r\n{own}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        agent.address,
        agent.token,
        body.len()
    );
    agent.connect().ask(text)
}

fn jwt(claims: &str) -> String {
    let payload = Base64UrlUnpadded::encode_string(claims.as_bytes());
    format!("authorization: Bearer e30.{payload}.x\r\n")
}

const MINUTE: Option<Duration> = Some(Duration::from_mins(1));
const EXPIRED: &str = r#"{"exp":1799999939}"#;

#[test]
fn seed_s3_01_the_edge_of_the_configured_skew_passes() {
    let (up, agent) = passing(MINUTE);
    // The clock stands at 1 800 000 000.
    assert_eq!(
        ask(&agent, &jwt(r#"{"exp":1799999940}"#), PING).status(),
        401
    );
    assert!(up.was_asked(), "the upstream's own 401");
    assert_eq!(ask(&agent, &jwt(EXPIRED), PING).status(), 401);
    assert!(!up.was_asked());
    let (up, agent) = passing(None);
    ask(&agent, &jwt(EXPIRED), PING);
    assert!(up.was_asked(), "switched off");
}

#[test]
fn seed_s3_04_what_is_not_judged_passes_unchanged() {
    let (up, agent) = passing(MINUTE);
    assert_eq!(
        ask(&agent, "authorization: Bearer token-5\r\n", PING).status(),
        200
    );
    assert_eq!(up.seen().all("authorization"), ["Bearer token-5"]);
    ask(&agent, "authorization: Bearer a.b.c\r\n", PING);
    assert_eq!(up.seen().all("authorization"), ["Bearer a.b.c"]);
    assert_eq!(agent.source.asks(), 0, "nothing of ours is sent");
}

#[test]
fn seed_s3_05_first_a_missing_token_then_an_expired_one_then_the_upstream() {
    let (up, agent) = passing(MINUTE);
    let missing = ask(&agent, "", PING);
    assert_eq!(missing.status(), 401);
    assert_eq!(missing.all("www-authenticate"), ["Bearer"]);
    assert!(
        missing.text().contains("token_missing"),
        "{}",
        missing.text()
    );
    // The local credential in the place of the upstream's own is none.
    let local = format!("authorization: Bearer {}\r\n", agent.token);
    let confused = ask(&agent, &local, PING);
    assert!(
        confused.text().contains("token_missing"),
        "{}",
        confused.text()
    );
    assert_eq!(ask(&agent, &jwt(EXPIRED), PING).status(), 401);
    assert!(!up.was_asked());
    let theirs = ask(&agent, &jwt(r#"{"exp":1900000000}"#), PING);
    assert_eq!(theirs.status(), 401);
    assert!(up.was_asked(), "everything else is the upstream's business");
}

#[test]
fn seed_s3_06_the_answer_to_an_expired_token() {
    let (_up, agent) = passing(MINUTE);
    let expired = ask(&agent, &jwt(EXPIRED), PING);
    assert_eq!(expired.status(), 401);
    assert_eq!(
        expired.all("www-authenticate"),
        [r#"Bearer error="invalid_token", error_description="OAuth token expired""#]
    );
    assert_eq!(expired.field("content-type"), Some("application/json"));
    assert!(expired.json().is_object());
}

#[test]
fn seed_s3_07_every_method_is_refused_and_the_upstream_sees_nothing() {
    let (up, agent) = passing(MINUTE);
    for method in [
        "initialize",
        "ping",
        "tools/list",
        "tools/call",
        "resources/read",
        "x",
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        assert_eq!(ask(&agent, &jwt(EXPIRED), &body).status(), 401, "{method}");
    }
    for method in ["GET", "DELETE"] {
        let text = format!(
            "{method} /u/up HTTP/1.1\r\nhost: {}\r\ndoorward-session: {}\r\n{}\
             accept: text/event-stream\r\n\r\n",
            agent.address,
            agent.token,
            jwt(EXPIRED)
        );
        assert_eq!(agent.connect().ask(text).status(), 401, "{method}");
    }
    assert!(!up.was_asked());
    assert_eq!(up.connections(), 0);
}

/// The refusal is worked out from the token alone: no token manager is asked, nothing is fetched.
#[test]
fn seed_s3_08_no_key_is_fetched_and_no_signature_looked_at() {
    let (up, agent) = passing(MINUTE);
    let unsigned = jwt(EXPIRED).replace(".x", ".");
    assert_eq!(ask(&agent, &unsigned, PING).status(), 401);
    assert_eq!((up.connections(), agent.source.asks()), (0, 0));
}
