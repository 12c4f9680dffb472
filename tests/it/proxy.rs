//! What passes and what does not: targets, fields, bodies, statuses.

use doorward::web::routes::RouteSpec;

use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::{Message, Upstream, answer, ok};

fn echo() -> Upstream {
    Upstream::answering(|request| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
            request.body.len()
        );
        [head.as_bytes(), &request.body].concat()
    })
}

#[test]
fn px_body_bytes_identical() {
    let up = echo();
    let agent = Agent::before(up.url("/mcp"));
    for body in [
        "",
        "{ \"b\" : 1,\t\"a\": [ ],\n\"id\": 1e2, \"_meta\":{\"z\":1,\"z\":2} }",
        "[{\"jsonrpc\":\"2.0\",\"id\":1},{\"jsonrpc\":\"2.0\"}]",
        "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{}}",
        "not json at all \u{1F980}",
    ] {
        let answer = agent.post(body);
        assert_eq!(answer.text(), body);
        assert_eq!(
            up.seen().text(),
            body,
            "px_batch_passthrough, px_client_responses_passthrough"
        );
    }
    let large = "x".repeat(3 << 20);
    let answer = agent.post(&large);
    assert!(
        answer.whole && answer.text() == large,
        "streamed with its length"
    );
    let seen = up.seen();
    assert_eq!(
        seen.field("content-length"),
        Some(large.len().to_string().as_str())
    );
    // Of unknown length: framed anew, chunk sizes are nobody's business.
    let mut wire = agent.connect();
    wire.write(agent.request("DELETE", "/u/up", "transfer-encoding: chunked\r\n", ""));
    wire.write("3\r\nabc\r\n2\r\nde\r\n0\r\nx-trailer: 1\r\n\r\n");
    assert_eq!(wire.message().expect("an answer").text(), "abcde");
    let seen = up.seen();
    assert_eq!(seen.text(), "abcde");
    assert!(seen.field("content-length").is_none() && seen.field("x-trailer").is_none());
}

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
    let up = echo();
    let agent = Agent::before(up.url("/mcp"));
    agent.post("{}");
    assert_eq!(up.seen().all("host"), [up.address.to_string().as_str()]);
}

#[test]
fn px_local_credential_never_forwarded() {
    let up = echo();
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
    let up = echo();
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
    let up = echo();
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
fn an_upstream_that_is_the_daemon_itself_does_not_loop() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let up = Upstream::answering(move |_| {
        answer(
            "307 Temporary Redirect",
            &format!("location: http://{address}/\r\n"),
            "",
        )
    });
    let agent = Agent::before(up.url("/mcp"));
    assert_eq!(agent.post("{}").status(), 502);
}

#[test]
fn px_target_url_exact() {
    let up = echo();
    let spec = |name: &str, path: &str, sub_paths| RouteSpec {
        allow_subpaths: sub_paths,
        ..upstream(name, up.url(path))
    };
    let agent = Agent::start(Options {
        upstreams: vec![
            spec("bare", "", false),
            spec("slash", "/mcp/", false),
            spec("query", "/mcp?tenant=a%20b", false),
            spec("deep", "/v1/mcp", true),
            spec("up", "/mcp", false),
        ],
        ..Options::default()
    });
    for (path, target) in [
        ("/u/bare", "/"),
        ("/u/slash", "/mcp/"),
        ("/u/slash/", "/mcp/"),
        ("/u/query", "/mcp?tenant=a%20b"),
        ("/u/query?x=1", "/mcp?tenant=a%20b&x=1"),
        ("/u/deep", "/v1/mcp"),
        ("/u/deep/a/b?c", "/v1/mcp/a/b?c"),
        ("/u/up", "/mcp"),
    ] {
        assert_eq!(agent.ask("POST", path, "", "{}").status(), 200, "{path}");
        assert_eq!(up.seen().target(), target, "{path}");
    }
    for path in [
        "/u/up/x",
        "/u/deep/../x",
        "/u/deep/%2e%2e/x",
        "/u/deep/a%2fb",
        "/u/deep//x",
        "/u/deep/a\\b",
        "/u/deep/..;/x",
        "/u/deep/%252e%252e/x",
        "/u/",
        "/u",
        "/u/UP",
        "/u/up@other",
        "/u/u%70",
    ] {
        let status = agent.ask("POST", path, "", "{}").status();
        assert!(status == 404 || status == 400, "{path}: {status}");
    }
    assert!(!up.was_asked());
}

#[test]
fn px_status_passthrough_matrix() {
    let up = Upstream::answering(|request| {
        let status = request.field("x-status").unwrap_or("200").to_owned();
        if ["204", "304"].contains(&status.as_str()) {
            return format!("HTTP/1.1 {status} X\r\netag: \"e\"\r\n\r\n").into_bytes();
        }
        answer(
            &format!("{status} X"),
            "",
            &format!("{{\"status\":{status}}}"),
        )
    });
    let agent = Agent::before(up.url("/mcp"));
    let mut wire = agent.connect();
    for status in [
        200, 201, 202, 204, 304, 400, 403, 404, 405, 406, 409, 410, 415, 422, 429, 431, 451, 500,
        501, 502, 503, 504, 599,
    ] {
        let fields = format!("x-status: {status}\r\n");
        let answer = wire.ask(agent.request("POST", "/u/up", &fields, "{}"));
        assert_eq!(answer.status(), status);
        assert_eq!(answer.field("doorward-origin"), Some("upstream"));
        if ![204, 304].contains(&status) {
            assert_eq!(answer.text(), format!("{{\"status\":{status}}}"));
        }
    }
}

#[test]
fn an_empty_202_stays_empty() {
    let up =
        Upstream::answering(|_| b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_vec());
    let agent = Agent::before(up.url("/mcp"));
    let answer = agent.post("{}");
    assert_eq!(
        (answer.status(), answer.field("content-length")),
        (202, Some("0"))
    );
    assert!(answer.body.is_empty());
}

#[test]
fn px_delete_relay() {
    for status in [
        "200 OK",
        "204 No Content",
        "405 Method Not Allowed",
        "404 Not Found",
    ] {
        let up = Upstream::answering(move |_| answer(status, "", ""));
        let agent = Agent::before(up.url("/mcp"));
        let answer = agent.ask("DELETE", "/u/up", "mcp-session-id: s\r\n", "");
        assert_eq!(answer.status().to_string(), status[..3]);
        let seen = up.seen();
        assert!(seen.start.starts_with("DELETE /mcp "));
        assert_eq!(seen.field("mcp-session-id"), Some("s"));
    }
}

#[test]
fn px_no_spurious_404() {
    let up = Upstream::answering(|_| answer("404 Not Found", "", "{\"jsonrpc\":\"2.0\"}"));
    let agent = Agent::before(up.url("/mcp"));
    let answer = agent.ask("POST", "/u/up", "mcp-session-id: gone\r\n", "{}");
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.text(), "{\"jsonrpc\":\"2.0\"}");
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
fn px_expect_continue() {
    let up = echo();
    let agent = Agent::before(up.url("/mcp"));
    let mut wire = agent.connect();
    let whole = agent.request("POST", "/u/up", "expect: 100-continue\r\n", "{\"a\":1}");
    let (head, body) = whole.split_once("\r\n\r\n").expect("a head");
    wire.write(format!("{head}\r\n\r\n"));
    assert_eq!(wire.head().expect("an interim answer").status(), 100);
    wire.write(body);
    let answer = wire.message().expect("an answer");
    assert_eq!(
        (answer.status(), answer.text().as_str()),
        (200, "{\"a\":1}")
    );
    assert!(up.seen().field("expect").is_none());
}

#[test]
fn px_1xx_is_no_answer() {
    let up = Upstream::answering(|_| {
        [
            b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".to_vec(),
            ok("{}"),
        ]
        .concat()
    });
    let agent = Agent::before(up.url("/mcp"));
    let mut wire = agent.connect();
    for _ in 0..3 {
        let answer = wire.ask(agent.request("POST", "/u/up", "", "{}"));
        assert_eq!((answer.status(), answer.text().as_str()), (200, "{}"));
    }
}

#[test]
fn px_trailers_not_merged() {
    let up = Upstream::answering(|_| {
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-late\r\n\r\n2\r\n{}\r\n0\r\nx-late: 1\r\n\r\n".to_vec()
    });
    let agent = Agent::before(up.url("/mcp"));
    let mut wire = agent.connect();
    for _ in 0..2 {
        let answer = wire.ask(agent.request("POST", "/u/up", "", "{}"));
        assert_eq!(answer.text(), "{}");
        assert!(answer.whole && answer.field("x-late").is_none());
    }
}

#[test]
fn px_redirect_policy() {
    let elsewhere = Upstream::answering(|_| ok("{}"));
    for status in [300, 301, 302, 303, 307, 308] {
        let location = elsewhere.url("/take?secret=1");
        let up = Upstream::answering(move |_| {
            answer(
                &format!("{status} Moved"),
                &format!("location: {location}\r\n"),
                "",
            )
        });
        let agent = Agent::before(up.url("/mcp"));
        let answer = agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#);
        assert_eq!(answer.status(), 502, "{status}");
        assert!(answer.field("location").is_none());
        assert!(!answer.text().contains("secret"));
        assert_eq!(answer.json()["error"]["code"], -31030);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn px_gateway_status_codes() {
    let body = r#"{"jsonrpc":"2.0","id":"a-7","method":"tools/call"}"#;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/mcp", closed.local_addr().expect("its address"));
    drop(closed);
    let down = Agent::before(url).post(body);
    assert_eq!(down.status(), 502, "seed_s1_10");
    assert_eq!(down.json()["id"], "a-7", "px_jsonrpc_error_body");
    assert_eq!(down.json()["error"]["code"], -31030);

    let no_tls = Upstream::scripted(|mut wire| {
        wire.write("HTTP/1.1 400 Bad Request\r\n\r\n");
        wire.closed();
    });
    let answer = Agent::before(format!("https://{}/mcp", no_tls.address)).post(body);
    assert_eq!(
        (answer.status(), &answer.json()["error"]["code"]),
        (502, &(-31031).into())
    );

    let silent = Upstream::scripted(|mut wire| {
        wire.message();
        wire.closed();
    });
    let mut spec = upstream("up", silent.url("/mcp"));
    spec.limits.first_byte = std::time::Duration::from_millis(20);
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    let answer = agent.post(body);
    assert_eq!(
        (answer.status(), &answer.json()["error"]["code"]),
        (504, &(-31032).into())
    );

    let breaking = Upstream::scripted(|mut wire| {
        wire.message();
    });
    let answer = Agent::before(breaking.url("/mcp")).post(body);
    assert_eq!(
        (answer.status(), &answer.json()["error"]["code"]),
        (502, &(-31033).into())
    );
}

#[test]
fn px_error_code_range() {
    for code in doorward::model::catalogue::Code::ALL {
        if let Some(number) = code.entry().rpc {
            assert!(!(-32768..=-32000).contains(&number), "{code}: {number}");
        }
    }
}

#[test]
fn too_many_calls_at_once_are_refused_and_event_streams_are_not_counted() {
    let (started, wait) = std::sync::mpsc::channel();
    let started = std::sync::Mutex::new(started);
    let up = Upstream::scripted(move |mut wire| {
        let request = wire.message().expect("a request");
        if request.start.starts_with("GET") {
            wire.write(crate::support::raw::EVENTS);
        }
        started
            .lock()
            .expect("unpoisoned")
            .send(())
            .expect("the test waits");
        wire.closed();
    });
    let mut spec = upstream("up", up.url("/mcp"));
    spec.max_concurrency = 1;
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut wire = agent.connect();
        wire.write(agent.request("GET", "/u/up", "", ""));
        assert_eq!(wire.head().expect("a stream").status(), 200);
        streams.push(wire);
    }
    let mut running = agent.connect();
    running.write(agent.request("POST", "/u/up", "", "{}"));
    for _ in 0..4 {
        wait.recv_timeout(crate::support::raw::WATCHDOG)
            .expect("all arrive");
    }
    let refused = agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(refused.json()["error"]["code"], -31034);
}

#[test]
fn pain_41_a_tool_call_is_sent_once_even_when_its_answer_is_lost() {
    // It takes the call, which may have run, and hangs up: on a new and on a used connection.
    let (log, calls) = std::sync::mpsc::channel();
    let log = std::sync::Mutex::new(log);
    let up = Upstream::scripted(move |mut wire| {
        while let Some(request) = wire.message() {
            let call = request.text().contains("tools/call");
            log.lock()
                .expect("unpoisoned")
                .send(request.text())
                .expect("the test waits");
            if call || !wire.write(ok("{}")) {
                return;
            }
        }
    });
    let agent = Agent::before(up.url("/mcp"));
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay"}}"#;
    for first in [None, Some(r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#)] {
        if let Some(first) = first {
            assert_eq!(agent.post(first).status(), 200);
            assert_eq!(calls.recv().expect("the ping"), first);
        }
        let answer = agent.post(call);
        assert_eq!(answer.status(), 502);
        assert_eq!(answer.json()["error"]["data"]["code"], "connection_lost");
        assert_eq!(answer.json()["error"]["data"]["retry"], "no");
        assert!(answer.text().contains("may or may not have run"));
        assert_eq!(calls.recv().expect("the call"), call);
        assert!(calls.try_recv().is_err(), "px_no_ambiguous_retry");
    }
}

#[test]
fn what_is_safe_to_repeat_survives_a_connection_that_was_closed_while_idle() {
    // Each connection answers one request and hangs up when the next one is there.
    let up = Upstream::scripted(|mut wire| {
        wire.message();
        wire.write(ok("{}"));
        wire.message();
    });
    let agent = Agent::before(up.url("/mcp"));
    for n in 0..4 {
        let answer = agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
        assert_eq!(answer.status(), 200, "{n}");
    }
    assert_eq!(agent.ask("DELETE", "/u/up", "", "").status(), 200);
}

#[test]
fn configured_fields_are_set_on_every_request() {
    let up = echo();
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
fn calls_errors_and_bytes_are_counted() {
    let up = Upstream::answering(|request| match request.text().as_str() {
        "bad" => answer("500 X", "", "oh"),
        _ => ok("12345"),
    });
    let agent = Agent::before(up.url("/mcp"));
    agent.post("abc");
    agent.post("bad");
    agent.ask("GET", "/u/up", "", "");
    let cell = &agent.cell;
    assert_eq!((cell.calls(), cell.errors()), (2, 1));
    assert_eq!((cell.bytes_in(), cell.bytes_out()), (6, 5 + 2 + 5));
    assert_eq!(
        agent.slot("up").last_used(),
        Some(doorward::clock::Clock::now(&*agent.clock))
    );
}
