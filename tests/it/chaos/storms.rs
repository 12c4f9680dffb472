//! Very many callers of an account that has no credential to give.

use std::io::Read;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::parts::{Daemon, Exchange, Part, open, signed_in};
use crate::support::traffic::hello;

const AGENTS: usize = 1000;
/// Far above what is needed, and far below what a defect that keeps things would need.
const MEMORY_KB: u64 = 400 << 10;

/// Sends a tool call and leaves it open.
pub(super) fn call(daemon: &Daemon, credential: &str) -> TcpStream {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": hello()});
    let bearer = format!("Bearer {credential}");
    let fields = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    open(
        "POST",
        &format!("{}/u/ev", daemon.url),
        &fields,
        &body.to_string(),
    )
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Became {
    /// The upstream answered: that nobody shook hands with it.
    Served,
    /// It was told to come back.
    Busy,
    /// It was told of the outage.
    Told,
}

/// What a call was answered. One that has waited for long gets its answer in a stream of ours.
pub(super) fn became(mut call: TcpStream) -> Became {
    let mut answer = String::new();
    call.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1."), "{answer}");
    if !answer.contains("doorward-origin: local") || answer.contains("Server not initialized") {
        Became::Served
    } else if answer.contains("busy") {
        Became::Busy
    } else {
        assert!(answer.contains("cannot be renewed right now"), "{answer}");
        Became::Told
    }
}

/// How many of the calls were served, told to come back, and told of the outage.
pub(super) fn answers(calls: Vec<TcpStream>) -> [usize; 3] {
    let all: Vec<_> = calls.into_iter().map(became).collect();
    [Became::Served, Became::Busy, Became::Told]
        .map(|one| all.iter().filter(|other| **other == one).count())
}

/// What the daemon holds in memory, in KiB.
pub(super) fn memory(daemon: &Daemon) -> u64 {
    let file = format!("/proc/{}/status", daemon.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(file).expect("it lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let size = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    size.expect("a number")
}

/// Another upstream goes on as if nothing were the matter.
pub(super) fn others_go_on(daemon: &Daemon, credential: &str) {
    let hello = json!({
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    });
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello});
    let bearer = format!("Bearer {credential}");
    let fields = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    for _ in 0..20 {
        let url = format!("{}/u/other", daemon.url);
        let answer = Exchange::send("POST", &url, &fields, &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// A signed-in daemon with another upstream, which needs no sign-in.
pub(super) fn two_upstreams(config: &str) -> (Part, Part, Part, Daemon) {
    let (authority, upstream, mut daemon) = signed_in(&json!({}));
    let other = Part::unprotected_server();
    let (code, told) = daemon.run(&["upstream", "add", "other", &other.url, "--auth", "none"]);
    assert_eq!(code, 0, "{told}");
    daemon.configure(config);
    daemon.kill();
    daemon.serve();
    (authority, upstream, other, daemon)
}

#[test]
fn storm_a_thousand_agents_of_a_signed_out_account_cost_one_sign_in() {
    let opened = tempfile::tempdir().expect("a directory");
    let opened = opened.path().join("a browser");
    let (authority, upstream, _other, daemon) = two_upstreams(&format!(
        "[login]\nhold = \"2m\"\nbrowser = \"touch {}\"\n[sessions]\nmax = 1100",
        opened.display()
    ));
    let (code, told) = daemon.run(&["logout", "ev"]);
    assert_eq!(code, 0, "{told}");
    let credentials: Vec<String> = (0..AGENTS)
        .map(|_| {
            let minted = daemon.try_control("POST", "/api/v1/sessions", &json!({"origin": "mint"}));
            let minted = minted.expect("it lives").json();
            let credential = minted["credential"].as_str();
            credential.unwrap_or_else(|| panic!("{minted}")).to_owned()
        })
        .collect();
    authority.tell("/clear", &json!({}));
    upstream.tell("/clear", &json!({}));
    let before = memory(&daemon);
    let calls: Vec<_> = credentials.iter().map(|one| call(&daemon, one)).collect();
    others_go_on(&daemon, &credentials[0]);
    let begin = || {
        let login = "/api/v1/upstreams/ev/login";
        let started = daemon.try_control("POST", login, &json!({}));
        started.expect("it lives").json()["url"].clone()
    };
    let links: Vec<Value> = (0..10).map(|_| begin()).collect();
    assert!(
        links[0].is_string() && links.iter().all(|link| *link == links[0]),
        "{links:?}"
    );
    let during = memory(&daemon);
    assert_eq!(authority.count("token_requests"), 0, "nothing to ask with");
    assert_eq!(
        authority.count("authorize_requests"),
        0,
        "nobody opened anything"
    );
    assert!(daemon.try_sign_in(&authority));
    let [served, busy, told] = answers(calls);
    // The longest queue is the one that the sign-in makes: it is served to its end, in turn.
    assert_eq!([served, busy, told], [AGENTS, 0, 0]);
    assert_eq!(upstream.count("tools_call"), served as u64, "each once");
    assert_eq!(authority.count("authorization_code_grants"), 1);
    assert!(authority.count("registrations") <= 1);
    assert!(!opened.exists(), "no browser");
    eprintln!(
        "{AGENTS} agents: {served} served after the sign-in; \
         memory {before} KiB before, {during} KiB during"
    );
    assert!(during < MEMORY_KB, "{during} KiB");
}

#[test]
fn storm_an_account_in_outage_is_no_burden_to_the_others() {
    let (authority, upstream, _other, daemon) = two_upstreams("");
    let (_, credential) = daemon.mint("one");
    let hang = json!({"on": "token", "kind": "hang", "times": "always"});
    authority.tell("/fault", &hang);
    upstream.tell("/clear", &json!({}));
    let calls: Vec<_> = (0..500).map(|_| call(&daemon, &credential)).collect();
    let held = authority.ask("/wait?count=held&at_least=1");
    assert_eq!(held["reached"], true);
    others_go_on(&daemon, &credential);
    let during = memory(&daemon);
    authority.tell("/heal", &json!({}));
    let [served, busy, told] = answers(calls);
    assert_eq!(served + busy + told, 500);
    let asked = authority.count("refresh_requests");
    assert!(asked <= 3, "{asked} refreshes for all of them");
    eprintln!("500 calls in an outage: {served} served after it, memory {during} KiB");
    assert!(during < MEMORY_KB, "{during} KiB");
    assert!(served > 0);
}
