//! What an agent and its server say to each other is theirs: nothing is added, dropped or read.

use std::sync::mpsc::channel;

use crate::support::agent::Agent;
use crate::support::raw::{EVENTS, Upstream, WATCHDOG, answer, chunk, ok};

#[test]
fn px_base64_sentinel_untouched() {
    let up = Upstream::echo();
    let agent = Agent::before(up.url("/mcp"));
    for value in [
        "=?base64?w6k=?=",
        "=?BASE64?w6k=?=",
        "=?base64??=",
        "=?base64?not base64!?=",
        "=?utf-8?Q?=C3=A9?=",
        "MiXeD/Case%20kept",
    ] {
        let fields = format!("Mcp-Name: {value}\r\nMCP-PARAM-Region: {value}\r\n");
        assert_eq!(agent.ask("POST", "/u/up", &fields, "{}").status(), 200);
        let seen = up.seen();
        assert_eq!(seen.all("mcp-name"), [value]);
        assert_eq!(seen.all("mcp-param-region"), [value]);
    }
}

#[test]
fn px_batch_passthrough() {
    let up = Upstream::echo();
    let agent = Agent::before(up.url("/mcp"));
    for batch in [
        "[]",
        "[ {\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"b\"},{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\"} ]",
        "[{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"},[1,[2]],null]",
    ] {
        let answer = agent.post(batch);
        assert_eq!((answer.status(), answer.text().as_str()), (200, batch));
        assert_eq!(up.seen().text(), batch);
    }
    assert!(!up.was_asked(), "one request a batch");
    // A server of a later revision refuses it in its own words.
    let up = Upstream::answering(|_| answer("400 Bad Request", "", "{\"error\":\"no batches\"}"));
    let refused = Agent::before(up.url("/mcp")).post("[]");
    assert_eq!(
        (refused.status(), refused.text().as_str()),
        (400, "{\"error\":\"no batches\"}")
    );
}

#[test]
fn px_client_responses_passthrough() {
    let up = Upstream::answering(|_| answer("202 Accepted", "", ""));
    let agent = Agent::before(up.url("/mcp"));
    for message in [
        r#"{"jsonrpc":"2.0","id":"srv-1","result":{"action":"accept","content":{}}}"#,
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"the user said no"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#,
    ] {
        let answer = agent.post(message);
        assert_eq!((answer.status(), answer.body.len()), (202, 0));
        assert_eq!(up.seen().text(), message);
    }
    assert!(!up.was_asked());
}

#[test]
fn px_no_message_synthesis() {
    let (ask, mut number) = (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, 0);
    let counted = std::sync::atomic::AtomicUsize::new(0);
    let up = Upstream::answering(move |_| {
        let count = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let fields = "cache-control: public, max-age=3600\r\netag: \"e\"\r\n";
        answer("200 OK", fields, &count.to_string())
    });
    let agent = Agent::before(up.url("/mcp"));
    let mut wire = agent.connect();
    // The same request each time: none is answered from an earlier one, none is sent twice.
    for method in ["POST", "POST", "GET", "POST", "GET", "DELETE"] {
        let body = if method == "POST" { ask } else { "" };
        let answer = wire.ask(agent.request(method, "/u/up", "", body));
        assert_eq!(answer.text(), number.to_string());
        let seen = up.seen();
        assert!(seen.start.starts_with(method), "{}", seen.start);
        assert_eq!(seen.text(), body);
        number += 1;
    }
    assert!(!up.was_asked());
}

#[test]
fn px_dual_era_stateless() {
    let up = Upstream::answering(|request| match request.field("mcp-protocol-version") {
        Some("2026-07-28") => answer("400 Bad Request", "", "{\"code\":-32022}"),
        Some(_) => answer("404 Not Found", "mcp-session-id: s-2\r\n", ""),
        None => answer("200 OK", "mcp-session-id: s-1\r\n", "{}"),
    });
    let agent = Agent::before(up.url("/mcp"));
    let mut wire = agent.connect();
    let modern = "mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/list\r\n";
    let legacy = "mcp-protocol-version: 2025-06-18\r\nmcp-session-id: s-1\r\n";
    // What one request was answered changes nothing about the next, in either direction.
    for (fields, status) in [
        ("", 200),
        (modern, 400),
        (legacy, 404),
        (modern, 400),
        ("", 200),
        (legacy, 404),
    ] {
        let answer = wire.ask(agent.request("POST", "/u/up", fields, "{}"));
        assert_eq!(answer.status(), status, "{fields}");
        let seen = up.seen();
        let told: String = ["mcp-protocol-version", "mcp-method", "mcp-session-id"]
            .into_iter()
            .filter_map(|name| Some(format!("{name}: {}\r\n", seen.field(name)?)))
            .collect();
        assert_eq!(told, fields);
    }
}

#[test]
fn se_revision_table() {
    // No revision is known by name on the data path, so that a new one needs no new code.
    let up = Upstream::echo();
    let agent = Agent::before(up.url("/mcp"));
    for revision in [
        "2024-11-05",
        "2025-03-26",
        "2025-06-18",
        "2025-11-25",
        "2026-07-28",
        "DRAFT-2031-v9",
    ] {
        let fields = format!(
            "mcp-protocol-version: {revision}\r\nmcp-method: x/{revision}\r\nmcp-new-field: 1\r\n"
        );
        for method in ["POST", "GET", "DELETE"] {
            let answer = agent.ask(method, "/u/up", &fields, "");
            assert_eq!(answer.status(), 200, "{method} {revision}");
            let seen = up.seen();
            assert_eq!(seen.all("mcp-protocol-version"), [revision]);
            assert_eq!(seen.all("mcp-method"), [format!("x/{revision}")]);
            assert_eq!(seen.all("mcp-new-field"), ["1"]);
        }
    }
}

#[test]
fn px_session_id_relay() {
    let up = Upstream::answering(|request| match request.field("mcp-session-id") {
        Some(id) => answer("200 OK", "", id),
        None if request.text().contains("initialize") => {
            answer("200 OK", "Mcp-Session-Id: \"A/b+=~1\"\r\n", "{}")
        }
        None => answer("200 OK", "", "none"),
    });
    let agent = Agent::before(up.url("/mcp"));
    let hello = agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#);
    assert_eq!(hello.all("mcp-session-id"), ["\"A/b+=~1\""]);
    let fields = "mcp-session-id: \"A/b+=~1\"\r\n";
    for method in ["POST", "GET", "DELETE"] {
        let answer = agent.ask(method, "/u/up", fields, "");
        assert_eq!(answer.text(), "\"A/b+=~1\"");
        assert!(answer.field("mcp-session-id").is_none(), "none is minted");
    }
    assert_eq!(agent.post("{}").text(), "none", "nor remembered");
}

#[test]
fn px_no_synthetic_cancel() {
    let (log, asked) = channel();
    let (left, gone) = channel();
    let state = std::sync::Mutex::new((log, left));
    let up = Upstream::scripted(move |mut wire| {
        let (log, left) = state.lock().expect("unpoisoned").clone();
        let Some(request) = wire.message() else {
            return;
        };
        let stream = request.text().contains("tools/call");
        let _ = log.send(request);
        if stream {
            wire.write(format!("{EVENTS}{}", chunk("data: 1\n\n")));
            wire.closed();
            let _ = left.send(());
        } else {
            wire.write(ok("{}"));
        }
    });
    let agent = Agent::before(up.url("/mcp"));
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#;
    let mut wire = agent.connect();
    wire.write(agent.request("POST", "/u/up", "", call));
    assert_eq!(wire.head().expect("a head").status(), 200);
    assert_eq!(asked.recv_timeout(WATCHDOG).expect("the call").text(), call);
    drop(wire);
    gone.recv_timeout(WATCHDOG).expect("the upstream is left");
    // What would have been sent because of it comes before what is asked now.
    assert_eq!(agent.post("{\"next\":1}").status(), 200);
    let next = asked.recv_timeout(WATCHDOG).expect("a request");
    assert_eq!(next.text(), "{\"next\":1}");
    drop(agent);
    assert!(asked.try_recv().is_err());
}

#[test]
fn seed_s1_07_method_body_and_end_to_end_fields_pass() {
    let up = Upstream::echo();
    let agent = Agent::before(up.url("/mcp"));
    for (method, body) in [("POST", "{\"a\" : 1}"), ("GET", ""), ("DELETE", "")] {
        let fields = "x-team: web\r\nmcp-session-id: s\r\nx-hop: 1\r\nconnection: x-hop\r\n\
                      keep-alive: 5\r\nproxy-connection: keep-alive\r\nte: trailers\r\n";
        let answer = agent.ask(method, "/u/up", fields, body);
        assert_eq!((answer.status(), answer.text().as_str()), (200, body));
        let seen = up.seen();
        assert_eq!(seen.start, format!("{method} /mcp HTTP/1.1"));
        assert_eq!(seen.text(), body);
        assert_eq!(seen.all("host"), [up.address.to_string()]);
        assert_eq!(seen.all("x-team"), ["web"]);
        assert_eq!(seen.all("mcp-session-id"), ["s"]);
        for hop in [
            "x-hop",
            "connection",
            "keep-alive",
            "proxy-connection",
            "te",
        ] {
            assert!(seen.field(hop).is_none(), "{method} {hop}");
        }
    }
}

#[test]
fn seed_s1_11_events_are_written_as_they_come_and_a_break_ends_the_reply() {
    let (go, wait) = channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let up = Upstream::scripted(move |mut wire| {
        wire.message();
        wire.write(EVENTS);
        let wait = wait.lock().expect("unpoisoned");
        for number in 0..3 {
            // Each piece waits until the agent has the one before.
            wait.recv_timeout(WATCHDOG).expect("the test goes on");
            wire.write(chunk(&format!("data: {number}\n\n")));
        }
        wait.recv_timeout(WATCHDOG).expect("the test goes on");
        wire.reset();
    });
    let agent = Agent::before(up.url("/mcp"));
    let mut wire = agent.connect();
    wire.write(agent.request("POST", "/u/up", "", "{}"));
    let head = wire.head().expect("the head comes before any event");
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    for number in 0..3 {
        go.send(()).expect("the upstream waits");
        let piece = wire.chunk().expect("whole").expect("an event");
        assert_eq!(piece, format!("data: {number}\n\n").into_bytes());
    }
    go.send(()).expect("the upstream waits");
    assert_eq!(wire.chunk(), Err(()), "a broken stream looks broken");
}
