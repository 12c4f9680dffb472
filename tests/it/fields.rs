//! Header fields as they pass, both ways.

use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::{Message, Upstream, answer};

#[test]
fn px_mcp_headers_verbatim() {
    let up = Upstream::answering(|_| {
        answer(
            "200 OK",
            "Mcp-Session-Id: AbC-1\r\ncontent-type: application/json\r\ncache-control: no-cache\r\n\
             x-accel-buffering: no\r\nretry-after: 7\r\nvary: accept\r\nvary: origin\r\nx-unknown: v\r\n",
            "{}",
        )
    });
    let agent = Agent::before(up.url("/mcp"));
    let fields = [
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "=?base64?w6k=?="),
        ("mcp-param-region", "eu"),
        ("mcp-param-unheard-of", "  spaced  inside"),
        ("mcp-session-id", "AbC-1"),
        ("last-event-id", "42"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("tracestate", "a=1"),
        ("baggage", "k=v"),
        ("accept-encoding", "gzip, br"),
        ("user-agent", "agent/1.0"),
        ("x-unknown", "kept"),
    ];
    let lines = fields.map(|(name, value)| format!("{name}: {value}\r\n"));
    let text = lines.concat();
    let answer = agent.ask("POST", "/u/up", &text, "{}");
    let seen = up.seen();
    for (name, value) in fields {
        assert_eq!(
            seen.all(name),
            [value.trim()],
            "{name}: px_base64_sentinel_untouched"
        );
    }
    assert_eq!(seen.all("content-type"), ["application/json"]);
    assert_eq!(
        answer.all("mcp-session-id"),
        ["AbC-1"],
        "px_session_id_relay"
    );
    assert_eq!(answer.all("vary"), ["accept", "origin"]);
    for (name, value) in [
        ("x-accel-buffering", "no"),
        ("retry-after", "7"),
        ("x-unknown", "v"),
    ] {
        assert_eq!(answer.all(name), [value]);
    }
}

#[test]
fn px_hop_by_hop_stripped() {
    let up = Upstream::answering(|_| {
        answer(
            "200 OK",
            "connection: keep-alive, X-Inner\r\nkeep-alive: timeout=9\r\nx-inner: secret\r\n\
             proxy-authenticate: Basic\r\nupgrade: h2c\r\nx-outer: 1\r\n",
            "{}",
        )
    });
    let agent = Agent::before(up.url("/mcp"));
    let fields = "connection: close, X-Private, mcp-name\r\nx-private: 1\r\nmcp-name: n\r\n\
                  keep-alive: 300\r\nte: trailers\r\nproxy-connection: keep-alive\r\n\
                  proxy-authorization: Basic eDp5\r\ntrailer: x\r\nx-public: 1\r\n";
    let answer = agent.ask("POST", "/u/up", fields, "{}");
    let seen = up.seen();
    for name in [
        "connection",
        "x-private",
        "mcp-name",
        "keep-alive",
        "te",
        "proxy-connection",
        "proxy-authorization",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ] {
        assert!(seen.field(name).is_none(), "{name} upstream");
    }
    assert_eq!(seen.field("x-public"), Some("1"));
    for name in ["keep-alive", "x-inner", "proxy-authenticate", "upgrade"] {
        assert!(answer.field(name).is_none(), "{name} to the agent");
    }
    assert_eq!(answer.field("x-outer"), Some("1"));
    assert_eq!(
        answer.all("connection"),
        ["close"],
        "the agent asked for it"
    );
}

#[test]
fn px_host_rewritten() {
    let up = Upstream::echo();
    let agent = Agent::before(up.url("/mcp"));
    agent.post("{}");
    assert_eq!(up.seen().all("host"), [up.address.to_string().as_str()]);
}

#[test]
fn px_local_credential_never_forwarded() {
    let up = Upstream::echo();
    let agent = Agent::before(up.url("/mcp"));
    let fields = "cookie: a=b\r\ndpop: x\r\nproxy-authorization: Bearer y\r\n";
    agent.ask("POST", "/u/up", fields, "{}");
    let seen = up.seen();
    assert_eq!(seen.all("authorization"), ["Bearer token-1"], "seed_s1_08");
    for name in ["cookie", "dpop", "proxy-authorization", "doorward-session"] {
        assert!(seen.field(name).is_none(), "{name}");
    }
    assert!(!format!("{seen:?}").contains(&agent.token));
}

#[test]
fn px_origin_not_forwarded() {
    let up = Upstream::echo();
    let agent = Agent::before(up.url("/mcp"));
    let own = agent.address;
    let fields = format!(
        "origin: http://{own}\r\nreferer: http://{own}/x\r\nsec-fetch-mode: cors\r\n\
         sec-fetch-site: same-origin\r\nforwarded: for=1.2.3.4\r\nx-forwarded-for: 1.2.3.4\r\n\
         x-forwarded-host: h\r\n"
    );
    assert_eq!(agent.ask("POST", "/u/up", &fields, "{}").status(), 200);
    let seen = up.seen();
    let told = |(name, _): &&(String, String)| {
        ["origin", "referer", "forwarded"].contains(&name.as_str())
            || name.starts_with("sec-fetch")
            || name.starts_with("x-forwarded")
    };
    assert_eq!(seen.fields.iter().find(told), None, "px_forwarded_dropped");
}

#[test]
fn px_via_added_and_px_loop_detection() {
    let up = Upstream::echo();
    let agent = Agent::before(up.url("/mcp"));
    agent.ask("POST", "/u/up", "via: 1.0 fred\r\n", "{}");
    let via: Vec<String> = up
        .seen()
        .all("via")
        .into_iter()
        .map(str::to_owned)
        .collect();
    assert_eq!(via.len(), 2);
    assert_eq!(via[0], "1.0 fred");
    assert!(via[1].starts_with("1.1 doorward-"));
    let answer = agent.ask("POST", "/u/up", &format!("via: {}\r\n", via[1]), "{}");
    assert_eq!(answer.status(), 508);
}

#[test]
fn px_response_header_filter() {
    let up = Upstream::answering(|_| {
        answer(
            "200 OK",
            "set-cookie: a=b\r\nset-cookie: c=d\r\nstrict-transport-security: max-age=1\r\n\
             clear-site-data: \"*\"\r\nalt-svc: h3=\":443\"\r\naccess-control-allow-origin: *\r\n\
             www-authenticate: Bearer resource_metadata=\"https://x\"\r\nproxy-authenticate: Basic\r\n\
             dpop-nonce: n\r\ndoorward-origin: local\r\nx-kept: 1\r\n",
            "{}",
        )
    });
    let agent = Agent::before(up.url("/mcp"));
    let answer = agent.post("{}");
    let names: Vec<&str> = answer
        .fields
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    for name in [
        "set-cookie",
        "strict-transport-security",
        "clear-site-data",
        "alt-svc",
        "dpop-nonce",
        "access-control-allow-origin",
        "www-authenticate",
        "proxy-authenticate",
    ] {
        assert!(!names.contains(&name), "{name}: px_cookie_isolation");
    }
    assert_eq!(answer.all("doorward-origin"), ["upstream"]);
    assert_eq!(answer.field("x-kept"), Some("1"));
}

#[test]
fn px_multi_value_headers() {
    fn numbered(count: usize) -> String {
        let lines = (0..count).map(|n| format!("x-many: {n}\r\n"));
        lines.collect::<Vec<_>>().concat()
    }
    fn values(message: &Message) -> Vec<usize> {
        message
            .all("x-many")
            .iter()
            .map(|value| value.parse().expect("a number"))
            .collect()
    }
    let up = Upstream::answering(|request| {
        let count = request
            .field("x-give")
            .map_or(0, |count| count.parse().expect("a number"));
        answer("200 OK", &numbered(count), "{}")
    });
    let agent = Agent::before(up.url("/mcp"));
    let answer = agent.ask("POST", "/u/up", &numbered(85), "{}");
    assert_eq!(answer.status(), 200);
    assert_eq!(
        values(&up.seen()),
        (0..85).collect::<Vec<_>>(),
        "all, in order"
    );
    let answer = agent.ask("POST", "/u/up", &numbered(110), "{}");
    assert_eq!(
        answer.status(),
        431,
        "more than the server takes is refused, not dropped"
    );
    assert!(!up.was_asked());
    let answer = agent.ask("POST", "/u/up", "x-give: 85\r\n", "{}");
    assert_eq!(values(&answer), (0..85).collect::<Vec<_>>());
    let answer = agent.ask("POST", "/u/up", "x-give: 110\r\n", "{}");
    assert_eq!(answer.status(), 502);
}

#[test]
fn px_header_injection_rejected() {
    for bad in [
        "x-a: b\rc\r\n",
        "x-a: b\0c\r\n",
        "x a: b\r\n",
        "x-folded: a\r\n b\r\n",
    ] {
        let up = Upstream::answering(move |_| answer("200 OK", bad, "{}"));
        let agent = Agent::before(up.url("/mcp"));
        let answer = agent.post("{}");
        assert_eq!(answer.status(), 502, "{bad:?}");
        assert_eq!(
            answer.json()["error"]["data"]["code"],
            "upstream_unreachable"
        );
    }
}

#[test]
fn px_content_encoding_passthrough() {
    let up = Upstream::answering(|request| {
        let coding = request.field("accept-encoding").unwrap_or("identity");
        let fields = format!("content-encoding: {coding}\r\nvary: accept-encoding\r\n");
        answer("200 OK", &fields, "\x1f these bytes are nobody's business")
    });
    let agent = Agent::before(up.url("/mcp"));
    for coding in ["gzip", "br", "zstd", "identity"] {
        let answer = agent.ask(
            "POST",
            "/u/up",
            &format!("accept-encoding: {coding}\r\n"),
            "{}",
        );
        assert_eq!(answer.all("content-encoding"), [coding], "pain_39");
        assert_eq!(answer.all("vary"), ["accept-encoding"]);
        assert_eq!(answer.text(), "\x1f these bytes are nobody's business");
    }
    // No coding is asked for on the agent's behalf.
    agent.post("{}");
    let last = std::iter::repeat_with(|| up.seen())
        .nth(4)
        .expect("five requests");
    assert!(last.field("accept-encoding").is_none());
}

#[test]
fn configured_fields_are_set_on_every_request() {
    let up = Upstream::echo();
    let mut spec = upstream("up", up.url("/mcp"));
    spec.header = http::HeaderName::from_static("x-api-key");
    spec.fields = vec![(
        http::HeaderName::from_static("x-workspace"),
        http::HeaderValue::from_static("web"),
    )];
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    agent.ask(
        "POST",
        "/u/up",
        "x-workspace: agent's\r\nx-api-key: agent's\r\n",
        "{}",
    );
    let seen = up.seen();
    assert_eq!(seen.all("x-workspace"), ["web"]);
    assert_eq!(seen.all("x-api-key"), ["Bearer token-1"]);
    assert!(seen.field("authorization").is_none());
}

#[test]
fn the_agents_name_is_completed_kept_or_replaced() {
    use doorward::web::routes::AgentName;
    let up = Upstream::echo();
    let ours = concat!("doorward/", env!("CARGO_PKG_VERSION"));
    for (how, sent, seen) in [
        (
            AgentName::Append,
            Some("agent/1"),
            Some(format!("agent/1 {ours}")),
        ),
        (AgentName::Append, None, Some(ours.to_owned())),
        (AgentName::Replace, Some("agent/1"), Some(ours.to_owned())),
        (
            AgentName::Forward,
            Some("agent/1"),
            Some("agent/1".to_owned()),
        ),
        (AgentName::Forward, None, None),
    ] {
        let mut spec = upstream("up", up.url("/mcp"));
        spec.agent_name = how;
        spec.via = false;
        let agent = Agent::start(Options {
            upstreams: vec![spec],
            ..Options::default()
        });
        let fields = sent.map_or(String::new(), |name| format!("user-agent: {name}\r\n"));
        agent.ask("POST", "/u/up", &fields, "{}");
        let request = up.seen();
        assert_eq!(request.field("user-agent"), seen.as_deref());
        assert!(request.field("via").is_none(), "switched off");
    }
}
