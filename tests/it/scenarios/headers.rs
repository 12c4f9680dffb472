//! Header fields: those of an agent that never changes them, and those that pass both ways.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::parts::{Part, signed_in};
use crate::support::traffic::{Line, hello};

#[test]
fn pain_04_fifty_rotations_behind_headers_that_never_change() {
    const ROTATIONS: usize = 50;
    let (authority, upstream, daemon) = signed_in(&json!({"kill_old_access": true}));
    let agent = daemon.agent("one");
    // Its head is written once; neither the credential nor the MCP session can change in it.
    let mut line = Line::of(&daemon, &agent);
    upstream.tell("/clear", &json!({}));
    line.echoes();
    for rotation in 0..ROTATIONS {
        if rotation % 2 == 0 {
            let (code, answer) = daemon.run(&["ctl", "refresh", "ev"]);
            assert_eq!(code, 0, "{answer}");
        } else {
            authority.tell("/expire-access-tokens", &json!({}));
        }
        line.echoes();
    }
    assert_eq!(authority.count("refresh_ok"), ROTATIONS as u64);
    let log = upstream.ask("/log");
    let executed = log.as_array().expect("a list").iter();
    let executed: Vec<_> = executed.filter(|entry| entry["executed"] == true).collect();
    let different = |name: &str| {
        let values = executed.iter().map(|entry| entry[name].to_string());
        values.collect::<HashSet<_>>().len()
    };
    assert_eq!(executed.len(), ROTATIONS + 1, "every call, once");
    assert_eq!(different("token_sha256"), ROTATIONS + 1, "a token each");
    assert_eq!(different("session"), 1, "one MCP session");
    assert_eq!(executed[0]["session"], agent.session());
}

/// Fields of a request beyond those that every request of an agent has.
const TO_UPSTREAM: [(&str, &str); 35] = [
    ("accept-charset", "utf-8"),
    ("accept-encoding", "gzip, br;q=0.5"),
    ("accept-language", "de-CH, en;q=0.7"),
    ("baggage", "user=1,tenant=2"),
    ("cache-control", "no-cache"),
    ("content-language", "en"),
    ("date", "Sat, 01 Jan 2028 00:00:00 GMT"),
    ("dnt", "1"),
    ("from", "somebody@example.com"),
    ("idempotency-key", "\"8e03978e\""),
    ("if-match", "\"a\""),
    ("if-modified-since", "Sat, 01 Jan 2028 00:00:00 GMT"),
    ("if-none-match", "W/\"b\""),
    ("if-range", "\"c\""),
    ("if-unmodified-since", "Sat, 01 Jan 2028 00:00:00 GMT"),
    ("last-event-id", "42"),
    ("max-forwards", "7"),
    ("mcp-method", "tools/call"),
    ("mcp-name", "=?base64?w6k=?="),
    ("mcp-param-region", "eu"),
    ("pragma", "no-cache"),
    ("prefer", "wait=10"),
    ("priority", "u=1, i"),
    ("range", "bytes=0-1"),
    ("save-data", "on"),
    ("sec-gpc", "1"),
    (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    ("tracestate", "a=1,b=2"),
    ("want-repr-digest", "sha-256=1"),
    ("x-request-id", "0001"),
    // Of these nobody has heard.
    ("x-first-unheard-of", "  spaced   inside  "),
    ("second-unheard-of", "a,b;c=\"d\""),
    ("Third-Unheard-Of", "Case Kept"),
    ("x_fourth_unheard_of", "100%"),
    ("5th-unheard-of", "~"),
];

/// Fields of an answer that the MCP server does not send by itself.
const TO_AGENT: [(&str, &str); 35] = [
    ("accept-patch", "application/json"),
    ("accept-ranges", "none"),
    ("age", "3"),
    ("allow", "GET, POST, DELETE"),
    ("content-disposition", "inline"),
    ("content-language", "en"),
    ("content-location", "/mcp"),
    ("content-security-policy", "default-src 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("deprecation", "@1830297600"),
    ("etag", "W/\"1\""),
    ("expires", "0"),
    ("last-modified", "Sat, 01 Jan 2028 00:00:00 GMT"),
    ("link", "</next>; rel=next"),
    ("mcp-protocol-version", "2025-06-18"),
    ("permissions-policy", "geolocation=()"),
    ("pragma", "no-cache"),
    ("ratelimit", "\"default\";r=50;t=30"),
    ("ratelimit-policy", "\"default\";q=100;w=60"),
    ("referrer-policy", "no-referrer"),
    ("retry-after", "7"),
    ("server", "everything/1"),
    ("server-timing", "db;dur=53"),
    ("sunset", "Sat, 01 Jan 2028 00:00:00 GMT"),
    (
        "traceresponse",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    ("vary", "accept"),
    ("warning", "299 - \"old\""),
    ("x-ratelimit-remaining", "9"),
    ("x-content-type-options", "nosniff"),
    ("x-request-id", "0002"),
    // Of these nobody has heard.
    ("x-first-unheard-of", "spaced   inside"),
    ("second-unheard-of", "a,b;c=\"d\""),
    ("Third-Unheard-Of", "Case Kept"),
    ("x_fourth_unheard_of", "100%"),
    ("5th-unheard-of", "~"),
];

/// Fields that stay on this side.
const KEPT_BACK: &str = "cookie: mine=1\r\nforwarded: for=192.0.2.1\r\norigin: ORIGIN\r\n\
    x-forwarded-for: 192.0.2.1\r\nkeep-alive: timeout=5\r\nproxy-authorization: Basic eDp5\r\n\
    connection: x-of-this-hop\r\nx-of-this-hop: 1\r\n";

/// What the guard got last, as [name, value] pairs.
fn received(upstream: &Part) -> Vec<(String, String)> {
    let log = upstream.ask("/log");
    let entry = log.as_array().expect("a list").last().cloned();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let headers = entry.expect("a request")["headers"].clone();
    let pairs = headers.as_array().expect("pairs").iter();
    pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

#[test]
fn pain_40_header_fields_pass_unchanged_both_ways_in_json_and_in_streams() {
    let (_authority, upstream, daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    let answer_headers: serde_json::Map<_, _> = TO_AGENT
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    upstream.tell("/mode", &json!({"answer_headers": answer_headers}));
    let lines = TO_UPSTREAM.map(|(name, value)| format!("{name}: {value}\r\n"));
    let fields = lines.concat() + &KEPT_BACK.replace("ORIGIN", &daemon.url);
    let mut line = Line::of(&daemon, &agent);
    let handshake = json!({
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    });
    // The server answers a call with a stream, and a second handshake with JSON.
    for (method, params, kind, status) in [
        ("tools/call", hello(), "text/event-stream", 200),
        ("initialize", handshake, "application/json", 400),
    ] {
        let answer = line.ask(&fields, method, &params);
        let got = received(&upstream);
        let of = |name: &str| -> Vec<&str> {
            let same = |pair: &&(String, String)| pair.0.eq_ignore_ascii_case(name);
            got.iter()
                .filter(same)
                .map(|pair| pair.1.as_str())
                .collect()
        };
        for (name, value) in TO_UPSTREAM {
            assert_eq!(of(name), [value.trim()], "{name} of a request");
        }
        assert_eq!(of("mcp-session-id"), [agent.session()]);
        assert_eq!(of("content-type"), ["application/json"]);
        assert_eq!(of("accept"), ["application/json, text/event-stream"]);
        let host = upstream.url.split('/').nth(2).expect("an authority");
        assert_eq!(of("host"), [host]);
        for kept in KEPT_BACK.lines() {
            let name = kept.split(':').next().expect("a name");
            let told = of(name).contains(&kept[name.len() + 1..].trim());
            assert!(!told, "{name} is not for the upstream");
        }
        assert_eq!(of("authorization").len(), 1, "the upstream's own");

        let type_of = answer.field("content-type").unwrap_or_default();
        assert!(
            type_of.starts_with(kind),
            "{method}: {type_of} {}",
            answer.text()
        );
        assert_eq!(answer.status(), status, "{}", answer.text());
        for (name, value) in TO_AGENT {
            assert_eq!(answer.all(name), [value], "{name} of an answer, {kind}");
        }
    }
}
