//! A healthy session with and without the daemon: what the server hears and what the agent hears is
//! the same, byte for byte, apart from what the protocol lets a gateway change.

use crate::support::agent::Agent;
use crate::support::raw::{Message, Upstream, Wire, answer};

const HELLO: &str =
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#;

/// A request of the session: method, fields and body.
const SESSION: [(&str, &str, &str); 7] = [
    ("POST", "x-team: web\r\naccept-encoding: gzip\r\n", HELLO),
    (
        "POST",
        "mcp-session-id: s-1\r\nmcp-protocol-version: 2025-11-25\r\n",
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    ),
    (
        "POST",
        "mcp-session-id: s-1\r\n",
        "{ \"jsonrpc\":\"2.0\",\r\n \"id\":1.0, \"method\":\"tools/list\"}",
    ),
    (
        "POST",
        "mcp-session-id: s-1\r\nuser-agent: mine/1\r\n",
        r#"{"jsonrpc":"2.0","id":"\u00e9","method":"tools/call","params":{"name":"x"}}"#,
    ),
    (
        "POST",
        "mcp-session-id: s-1\r\n",
        r#"{"jsonrpc":"2.0","id":2,"method":"prompts/list","params":{"cursor":"c"}}"#,
    ),
    (
        "GET",
        "mcp-session-id: s-1\r\naccept: text/event-stream\r\nlast-event-id: 4\r\n",
        "",
    ),
    ("DELETE", "mcp-session-id: s-1\r\n", ""),
];

/// What a gateway may change of a request: whose it is, where it goes, and that it passed.
const REQUEST: [&str; 4] = ["host", "authorization", "via", "connection"];
/// And of an answer: what tells who it came through, and when where that was not said (RFC 9110
/// section 6.6.1).
const ANSWER: [&str; 4] = ["x-request-id", "doorward-origin", "connection", "date"];

fn server() -> Upstream {
    Upstream::answering(|request| {
        let text = request.text();
        let method = request.start.split(' ').next().unwrap_or_default();
        let events = "Content-Type: text/event-stream\r\nX-Odd: a, b\r\nx-odd: c\r\n";
        if text.contains("initialize\"") {
            let fields = "content-type: application/json; charset=utf-8\r\nmcp-session-id: s-1\r\n";
            return answer(
                "200 OK",
                fields,
                "{\"jsonrpc\" : \"2.0\", \"id\":0,\"result\":{ }}\n",
            );
        }
        if text.contains("initialized") || method == "DELETE" {
            return answer("202 Accepted", "mcp-session-id: s-1\r\n", "");
        }
        if text.contains("tools/list") {
            return answer(
                "200 OK",
                events,
                "id: 1\r\ndata: {\"id\":1.0,\"result\":{}}\r\n\r\n",
            );
        }
        if method == "GET" {
            return answer("200 OK", events, ": hi\n\nid: 5\ndata: {}\n\n");
        }
        if text.contains("prompts/list") {
            return answer(
                "400 Bad Request",
                "content-type: text/plain\r\n",
                "no such cursor",
            );
        }
        answer(
            "200 OK",
            "content-type: application/json\r\nx-own: 1\r\n",
            "{\"id\":\"\u{e9}\"}",
        )
    })
}

/// The fields that must be the same, in the order in which they came.
fn fields(message: &Message, but: &[&str]) -> Vec<(String, String)> {
    let mut kept: Vec<_> = message
        .fields
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .filter(|(name, _)| !but.contains(&name.as_str()))
        .collect();
    // Between fields of different names the order means nothing (RFC 9110 section 5.3).
    kept.sort_by(|one, other| one.0.cmp(&other.0));
    kept
}

#[test]
fn px_a_healthy_session_is_the_same_with_and_without_the_daemon() {
    let (alone, behind) = (server(), server());
    let agent = Agent::before(behind.url("/mcp"));
    let mut direct = Wire::connect(alone.address);
    for (method, more, body) in SESSION {
        let through = agent.ask(method, "/u/up", more, body);
        let plain = agent.request(method, "/mcp", more, body);
        let plain = direct.ask(plain);
        assert_eq!(through.status(), plain.status());
        assert_eq!(fields(&through, &ANSWER), fields(&plain, &ANSWER), "{body}");
        assert_eq!(through.body, plain.body, "{body}");
        let (heard, wanted) = (behind.seen(), alone.seen());
        assert_eq!(heard.start, wanted.start);
        assert_eq!(
            fields(&heard, &REQUEST),
            fields(&wanted, &REQUEST),
            "{body}"
        );
        assert_eq!(heard.body, wanted.body, "{body}");
        assert!(!behind.was_asked(), "nothing of the daemon's own");
    }
}
