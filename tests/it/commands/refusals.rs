//! What is said to those who name something wrong, and to those who are nobody yet.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use super::add_nobody;
use crate::support::parts::{Daemon, Exchange};

#[test]
fn an_account_that_there_is_not_is_no_unknown_upstream() {
    let daemon = Daemon::start();
    add_nobody(&daemon);
    let refused = |name: &str| {
        let (code, told) = daemon.run(&["session", "mint", "--upstream", name]);
        assert_eq!(code, 5, "{told}");
        let text = |key: &str| told["error"][key].as_str().unwrap_or_default().to_owned();
        (text("code"), text("fix"))
    };
    let (code, fix) = refused("ev@work");
    assert_eq!(
        (code.as_str(), fix),
        ("account_unknown", daemon.typed("upstream show ev"))
    );
    let (code, fix) = refused("nosuch@work");
    assert_eq!(
        (code.as_str(), fix),
        ("upstream_unknown", daemon.typed("upstream list")),
        "nothing can be added under such a name"
    );
    let (_, fix) = refused("nosuch");
    assert_eq!(fix, daemon.typed("upstream add nosuch URL"));
}

#[test]
fn strangers_are_not_told_where_the_state_is() {
    let daemon = Daemon::start();
    let place = daemon.state().display().to_string();
    add_nobody(&daemon);
    let ask = |path: &str, fields: &[(&str, &str)]| {
        let url = format!("{}{path}", daemon.url);
        let fields = [fields, &[("content-type", "application/json")][..]].concat();
        let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
        Exchange::send("POST", &url, &fields, &ping)
    };
    let stranger = ("authorization", "Bearer dw_abcdef_nonsense");
    for answer in [
        ask("/u/ev", &[]),
        ask("/u/ev", &[stranger]),
        ask("/register", &[]),
        ask("/.well-known/oauth-authorization-server", &[]),
    ] {
        assert!(answer.body.contains("doorward"), "{}", answer.body);
        let all = format!("{}{}", answer.head, answer.body);
        assert!(!all.contains(&place), "{all}");
    }
    // Whoever had a session is told how to get another one here.
    let (id, credential) = daemon.mint("one");
    assert_eq!(daemon.run(&["ctl", "revoke", &id]).0, 0);
    let bearer = format!("Bearer {credential}");
    let answer = ask("/u/ev", &[("authorization", &bearer)]);
    assert!(answer.body.contains(&place), "{}", answer.body);
}

#[test]
fn each_address_is_named_once() {
    let daemon = Daemon::start();
    let authority = daemon.url.trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&authority).expect("it listens");
    let request = "GET /health HTTP/1.1\r\nhost: elsewhere.example\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    let body = answer.split("\r\n\r\n").nth(1).expect("a body");
    let told: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let told = told["error_description"].as_str().expect("words");
    assert_eq!(told.matches(&authority).count(), 1, "{told}");
}
