//! HTTP/2 towards an upstream that is configured for it, on Node's own server.

use std::path::Path;

use doorward::transport::TlsTrust;
use serde_json::{Value, json};

use crate::support::agent::{Agent, Options, upstream};
use crate::support::parts::Part;
use crate::support::raw::Wire;

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}"#;

fn file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/tls");
    folder.join(name).to_string_lossy().into_owned()
}

fn server(more: &Value) -> Part {
    let mut config = json!({"key": file("right.key"), "cert": file("right.pem")});
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    Part::h2_server(&config)
}

/// The port before `path` of the server, which is called `up`.
fn before(server: &Part, path: &str) -> Agent {
    let mut spec = upstream("up", format!("{}{path}", server.url));
    spec.trust = TlsTrust::with_files(Some(Path::new(&file("ca.pem"))), None);
    spec.http2 = true;
    Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    })
}

/// A stream of events whose first one has come.
fn listening(agent: &Agent) -> Wire {
    let mut wire = agent.connect();
    wire.write(agent.request("GET", "/u/up", "", ""));
    let head = wire.head().expect("a head");
    assert_eq!(head.status(), 200);
    assert_eq!(wire.chunk(), Ok(Some(b"data: hello\n\n".to_vec())));
    wire
}

#[cfg(target_os = "linux")]
#[test]
fn px_many_streams_share_one_http2_connection() {
    let server = server(&json!({}));
    let agent = before(&server, "/events");
    let open: Vec<_> = (0..20).map(|_| listening(&agent)).collect();
    assert_eq!(server.count("events_open"), 20);
    assert_eq!(server.count("sessions"), 1);
    assert_eq!(server.count("http1"), 0);
    // Who hangs up ends a stream and not the connection (PX-31).
    drop(open);
    let gone = server.ask("/wait?count=events_open&at_most=0");
    assert_eq!(gone["reached"], true, "{gone}");
    drop(listening(&agent));
    assert_eq!(server.count("sessions"), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_takes_few_streams_gets_more_connections() {
    let server = server(&json!({"max_streams": 4}));
    let agent = before(&server, "/events");
    let first = listening(&agent);
    // What the server takes is known by now.
    let rest: Vec<_> = (0..10).map(|_| listening(&agent)).collect();
    assert_eq!(server.count("events_open"), 11);
    assert_eq!(server.count("sessions"), 3);
    drop((first, rest));
}

#[cfg(target_os = "linux")]
#[test]
fn http2_streams_both_ways_at_once() {
    let server = server(&json!({}));
    let agent = before(&server, "/echo");
    let mut wire = agent.connect();
    wire.write(format!(
        "POST /u/up HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        agent.address, agent.token
    ));
    for part in ["one", "two", "three"] {
        let framed = format!("{:x}\r\n{part}\r\n", part.len());
        assert!(wire.write(framed));
        if part == "one" {
            assert_eq!(wire.head().expect("a head").status(), 200);
        }
        assert_eq!(wire.chunk(), Ok(Some(part.as_bytes().to_vec())));
    }
    wire.write("0\r\n\r\n");
    assert_eq!(wire.chunk(), Ok(None));
}

#[cfg(target_os = "linux")]
#[test]
fn px_hop_by_hop_stripped_towards_http2() {
    let server = server(&json!({}));
    let agent = before(&server, "/fields");
    let fields = "te: trailers\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\n\
                  keep-alive: timeout=5\r\nx-own: Kept\r\nmcp-param-a: 1\r\n";
    let answer = agent.ask("POST", "/u/up", fields, CALL);
    let seen = answer.json();
    for gone in [
        "te",
        "connection",
        "x-hop",
        "keep-alive",
        "host",
        "transfer-encoding",
    ] {
        assert_eq!(seen[gone], Value::Null, "{gone}: {seen}");
    }
    assert_eq!(
        (&seen["x-own"], &seen["mcp-param-a"]),
        (&json!("Kept"), &json!("1"))
    );
    assert_eq!(seen["authorization"], "Bearer token-1");
    assert_eq!(seen["content-length"], CALL.len().to_string());
    let authority = server.url.strip_prefix("https://").expect("https");
    assert_eq!(seen[":authority"], authority, "px_host_rewritten");
    assert_eq!(
        (&seen[":method"], &seen[":path"]),
        (&json!("POST"), &json!("/fields"))
    );

    let late = before(&server, "/trailers").post(CALL);
    assert_eq!((late.status(), late.text().as_str()), (200, "{}"));
    assert_eq!(late.field("x-trailer"), None, "px_trailers_not_merged");
}

#[cfg(target_os = "linux")]
#[test]
fn px_abnormal_end_propagates_from_http2() {
    let server = server(&json!({}));
    let answer = before(&server, "/reset").ask("GET", "/u/up", "", "");
    assert_eq!(
        (answer.status(), answer.text().as_str()),
        (200, "data: half")
    );
    assert!(!answer.whole, "a stream that was reset did not end");
}

#[cfg(target_os = "linux")]
#[test]
fn px_no_ambiguous_retry_over_http2() {
    let server = server(&json!({}));
    // Refused, and left behind by a server that goes: it did not begin, and says so.
    for (path, count, calls) in [("/refuse", "refused", 1), ("/leave", "left", 2)] {
        let agent = before(&server, path);
        for _ in 0..calls {
            let answer = agent.post(CALL);
            assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
            assert_eq!(answer.json()["got"], CALL);
        }
        assert_eq!(server.count(count), calls + 1, "{path}");
    }
    // A connection that breaks tells nothing.
    let agent = before(&server, "/drop");
    let answer = agent.post(CALL);
    assert_eq!(answer.status(), 502, "{}", answer.text());
    assert!(
        answer.text().contains("connection_lost"),
        "{}",
        answer.text()
    );
    assert_eq!(server.count("dropped"), 1);
    assert_eq!(
        agent.post(CALL).status(),
        200,
        "the next one has a connection"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_without_http2_is_asked_in_http1() {
    let server = server(&json!({"http2": false}));
    let agent = before(&server, "/echo");
    for _ in 0..3 {
        let answer = agent.post(CALL);
        assert_eq!((answer.status(), answer.text().as_str()), (200, CALL));
    }
    assert_eq!(server.count("http1"), 3);
}
