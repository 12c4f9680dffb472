//! Very many sessions at once, with streams open at one upstream and calls at another that is in
//! outage: what that costs, and that the streams and the first upstream do not notice.
//!
//! `tests/storm --sessions 10000 --streams 1000` is the whole of it; without it there are fewer.

use std::io::Read;
use std::net::TcpStream;

use doorward::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use super::storms::{answers, call, memory, others_go_on, two_upstreams};
use crate::support::parts::{Daemon, Exchange, open};

const SESSIONS: usize = 1000;
const STREAMS: usize = 200;
/// Calls that wait for one account at a time; the others are told so.
const MOST_WAITING: usize = doorward::model::refresh::MAX_WAITERS;
/// Sessions that are minted at once.
const MINTING: usize = 64;
/// What a waiting call, a session and a stream may cost together, in KiB: some times of what they
/// do in a build without optimizations.
const EACH_KB: u64 = 128;

fn asked(variable: &str, otherwise: usize) -> usize {
    let asked = std::env::var(variable).ok();
    asked.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Sessions, asked for by many at a time as by a fleet that starts.
fn mint_all(daemon: &Daemon, count: usize) -> Vec<String> {
    let share = |n| count / MINTING + usize::from(n < count % MINTING);
    std::thread::scope(|scope| {
        let minting: Vec<_> = (0..MINTING)
            .map(|n| scope.spawn(move || (0..share(n)).map(|_| mint(daemon)).collect::<Vec<_>>()))
            .collect();
        let minted = minting.into_iter();
        minted
            .flat_map(|all| all.join().expect("no panic"))
            .collect()
    })
}

/// A session. A disk that others keep busy may refuse one now and then.
fn mint(daemon: &Daemon) -> String {
    let mut told = Value::Null;
    for _ in 0..10 {
        let body = json!({"origin": "mint"});
        let minted = daemon.try_control("POST", "/api/v1/sessions", &body);
        told = minted.expect("it lives").json();
        if let Some(credential) = told["credential"].as_str() {
            return credential.to_owned();
        }
        assert_eq!(told["error"]["code"], "store_failed", "{told}");
    }
    panic!("{told}")
}

/// A stream of events from the upstream that works, in a session of its own there.
fn stream(daemon: &Daemon, credential: &str) -> TcpStream {
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    }});
    let bearer = format!("Bearer {credential}");
    let url = format!("{}/u/other", daemon.url);
    let fields = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let answer = Exchange::send("POST", &url, &fields, &hello.to_string());
    let session = answer.field("mcp-session-id").expect("a session");
    let fields = [
        ("authorization", bearer.as_str()),
        ("accept", "text/event-stream"),
        ("mcp-session-id", session),
    ];
    let mut stream = open("GET", &url, &fields, "");
    let mut head = [0; 12];
    stream.read_exact(&mut head).expect("a head");
    assert!(head.ends_with(b"200"), "{}", String::from_utf8_lossy(&head));
    stream
}

/// Reads on until `words` come.
fn reads(stream: &mut TcpStream, words: &str) {
    let (mut text, mut part) = (Vec::new(), [0; 4096]);
    while !text
        .windows(words.len())
        .any(|window| window == words.as_bytes())
    {
        let count = stream.read(&mut part).expect("it lives");
        assert_ne!(count, 0, "it was cut: {}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&part[..count]);
    }
}

#[test]
fn storm_many_sessions_and_streams_beside_an_account_in_outage() {
    let sessions = asked("STORM_SESSIONS", SESSIONS);
    let streams = asked("STORM_STREAMS", STREAMS).min(sessions);
    // The agents have patience; what is counted is not the speed of this machine.
    let config = format!(
        "[login]\nhold = \"5m\"\n[sessions]\nmax = {}",
        sessions + 10
    );
    let (authority, upstream, other, daemon) = two_upstreams(&config);
    let started = memory(&daemon);
    let begun = SystemClock.now();
    let credentials = mint_all(&daemon, sessions);
    let minting = SystemClock.now().since(begun);
    let minted = memory(&daemon);
    let mut open: Vec<_> = credentials[..streams]
        .iter()
        .map(|credential| stream(&daemon, credential))
        .collect();
    let opening = SystemClock.now().since(begun);
    let opened = memory(&daemon);
    authority.tell(
        "/fault",
        &json!({"on": "token", "kind": "hang", "times": "always"}),
    );
    upstream.tell("/clear", &json!({}));
    let calls: Vec<_> = credentials.iter().map(|one| call(&daemon, one)).collect();
    let held = authority.ask("/wait?count=held&at_least=1&timeout_ms=60000");
    assert_eq!(held["reached"], true, "{held}");
    // The last one was taken when its session shows a call.
    for credential in credentials.iter().rev().take(3) {
        others_go_on(&daemon, credential);
    }
    // Every stream is alive: what the server says on all of them arrives on all of them.
    let said = ": and now all of you\n\n";
    let written = other.tell("/write-streams", &json!({"text": said}));
    assert_eq!(written["written"], streams);
    for stream in &mut open {
        reads(stream, "and now all of you");
    }
    let during = memory(&daemon);
    authority.tell("/heal", &json!({}));
    // Where it takes this machine longer to make the calls than a refresh may take, the first ones
    // are told of the outage.
    let [served, busy, told] = answers(calls);
    eprintln!(
        "{sessions} sessions, {streams} streams, an account in outage: {served} calls served after \
         it, {told} told of the outage and {busy} of the crowd; memory {started} KiB at the start, {minted} with the \
         sessions, {opened} with the streams, {during} in the outage, {} after it",
        memory(&daemon)
    );
    let all = SystemClock.now().since(begun);
    eprintln!("minted after {minting:.1?}, streams open after {opening:.1?}, over after {all:.1?}");
    assert_eq!(served + busy + told, sessions);
    assert!(busy <= sessions.saturating_sub(MOST_WAITING), "{busy}");
    assert_eq!(upstream.count("tools_call"), served as u64, "each once");
    let asked = authority.count("refresh_requests");
    assert!(asked <= 3, "{asked} refreshes for all of them");
    let most = u64::try_from(sessions).expect("it fits") * EACH_KB;
    assert!(during < started + most, "{during} KiB");
    let (_, status) = daemon.run(&["status"]);
    assert_ne!(status["upstreams"], Value::Null, "it answers");
}
