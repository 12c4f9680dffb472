//! An upstream that cannot be reached, as `status` shows it.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::add;
use crate::support::parts::{Daemon, Exchange};

fn shown(daemon: &Daemon, more: &[&str]) -> (i32, Value) {
    let arguments = [&["status", "ev"][..], more].concat();
    let (code, status) = daemon.run(&arguments);
    (code, status["upstreams"][0].clone())
}

fn call(daemon: &Daemon, credential: &str) -> u16 {
    let bearer = format!("Bearer {credential}");
    let fields = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    Exchange::send("POST", &format!("{}/u/ev", daemon.url), &fields, &ping).status
}

#[test]
fn an_upstream_that_is_down_is_failing_until_it_answers() {
    // A port that is ours, and that nobody listens on for now.
    let place = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = place.local_addr().expect("its address");
    drop(place);
    let daemon = Daemon::start();
    let url = format!("http://{address}/mcp");
    add(&daemon, &url, "none");
    let (_, credential) = daemon.mint("one");
    assert_eq!(shown(&daemon, &[]).0, 0, "nobody has asked it yet");
    assert_eq!(call(&daemon, &credential), 502);
    let (code, account) = shown(&daemon, &[]);
    assert_eq!((code, &account["state"]), (8, &json!("error")), "{account}");
    assert_eq!(account["problem"]["code"], "upstream_unreachable");
    assert!(account["problem"]["at"].is_string(), "{account}");
    assert!(account["last_used_at"].is_string(), "a call is a use");
    let place = TcpListener::bind(address).expect("the same port");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = place.accept().expect("a call");
        let mut bytes = [0; 4096];
        let _ = stream.read(&mut bytes).expect("a request");
        let body = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("written");
    });
    assert_eq!(call(&daemon, &credential), 200);
    server.join().expect("it answered");
    let (code, account) = shown(&daemon, &[]);
    assert_eq!((code, &account["state"]), (0, &json!("ready")), "{account}");
}

#[test]
fn a_look_at_an_upstream_changes_its_row() {
    let place = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/mcp", place.local_addr().expect("its address"));
    drop(place);
    let daemon = Daemon::start();
    add(&daemon, &url, "none");
    let (code, account) = shown(&daemon, &["--check"]);
    assert_eq!((code, &account["state"]), (8, &json!("error")), "{account}");
}
