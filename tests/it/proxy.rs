//! What passes and what does not: targets, fields, bodies, statuses.

use doorward::web::routes::RouteSpec;

use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::{Upstream, Wire, answer, ok};

#[test]
fn px_body_bytes_identical() {
    let up = Upstream::echo();
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
fn px_target_url_exact() {
    let up = Upstream::echo();
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
fn px_expect_continue() {
    let up = Upstream::echo();
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

/// A body is read without a waker, by the task that feeds it: it has to go on with whatever comes
/// of the requests that wait behind one another, and when.
#[test]
fn requests_that_wait_behind_one_another_are_all_answered_whenever_their_bodies_come() {
    let up = Upstream::echo();
    let agent = Agent::before(up.url("/mcp"));
    let bodies = ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"];
    let [first, second, third] = bodies.map(|body| agent.request("POST", "/u/up", "", body));
    let mut wire = agent.connect();
    let answered = |wire: &mut Wire, body: &str| {
        let answer = wire.message().expect("an answer");
        assert_eq!((answer.status(), answer.text().as_str()), (200, body));
    };
    wire.write([first.as_str(), &second, &third].concat());
    for body in bodies {
        answered(&mut wire, body);
    }
    let (head, body) = second.split_once("\r\n\r\n").expect("a head");
    wire.write(format!("{first}{head}\r\n\r\n"));
    answered(&mut wire, bodies[0]);
    let (begin, end) = body.split_at(3);
    wire.write(begin);
    wire.write([end, &third].concat());
    answered(&mut wire, bodies[1]);
    answered(&mut wire, bodies[2]);
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
