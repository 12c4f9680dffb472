//! Bodies as they pass: chunk by chunk, cut visibly, bounded in memory.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use doorward::model::session::Death;

use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::{EVENTS, Upstream, WATCHDOG, Wire, answer, chunk};

/// An upstream that sends what the test tells it to; an empty one ends the connection.
fn driven() -> (Upstream, Sender<Vec<u8>>) {
    let (send, receive) = channel::<Vec<u8>>();
    let receive = Mutex::new(receive);
    let upstream = Upstream::scripted(move |mut wire| {
        wire.message();
        let receive = receive.lock().expect("unpoisoned");
        for text in receive.iter() {
            if text.is_empty() || !wire.write(text) {
                return;
            }
        }
    });
    (upstream, send)
}

/// An upstream with one open stream that reports when its peer closes.
pub(crate) fn watched() -> (Upstream, std::sync::mpsc::Receiver<bool>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let upstream = Upstream::scripted(move |mut wire| {
        wire.message();
        wire.write(EVENTS);
        wire.write(chunk("data: open\n\n"));
        let closed = wire.closed();
        tell.lock()
            .expect("unpoisoned")
            .send(closed)
            .expect("the test waits");
    });
    (upstream, told)
}

pub(crate) fn open(agent: &Agent, method: &str) -> Wire {
    let mut wire = agent.connect();
    let body = if method == "POST" { "{}" } else { "" };
    wire.write(agent.request(method, "/u/up", "", body));
    assert_eq!(wire.head().expect("a head").status(), 200);
    wire
}

#[test]
fn px_sse_no_buffering() {
    let (up, send) = driven();
    let agent = Agent::before(up.url("/mcp"));
    let mut wire = agent.connect();
    wire.write(agent.request("GET", "/u/up", "accept: text/event-stream\r\n", ""));
    send.send(EVENTS.into()).expect("sent");
    // The head is there before the first byte of the body (seed_s1_11).
    let head = wire.head().expect("a head");
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    assert!(head.field("content-encoding").is_none() && head.field("content-length").is_none());
    for n in 0..50 {
        let event = format!("data: {n}\n\n");
        send.send(chunk(&event).into()).expect("sent");
        // Each is there before the next one is even written (pain_38).
        assert_eq!(
            wire.chunk().expect("whole").expect("an event"),
            event.as_bytes()
        );
    }
    send.send("0\r\n\r\n".into()).expect("sent");
    assert_eq!(wire.chunk(), Ok(None), "a clean end is a clean end");
}

#[test]
fn px_sse_bytes_identical() {
    let stream = "\u{FEFF}: comment\r\nid: 1\r\n\r\nretry: 10\rdata: a\r\rid:\ndata:\n\n\
                  data: \u{1F980}\u{1F980}\nevent: x\n\n:\n\ndata: half"
        .as_bytes();
    let (up, send) = driven();
    let agent = Agent::before(up.url("/mcp"));
    send.send(EVENTS.into()).expect("sent");
    let mut wire = open(&agent, "GET");
    let mut got = Vec::new();
    // Pieces of three bytes split characters and line ends.
    for piece in stream.chunks(3) {
        let size = format!("{:x}\r\n", piece.len());
        send.send([size.as_bytes(), piece, b"\r\n"].concat())
            .expect("sent");
        got.extend(wire.chunk().expect("whole").expect("a piece"));
    }
    assert_eq!(got, stream);
}

#[test]
fn px_keepalive_comment_boundary() {
    let (up, send) = driven();
    let mut spec = upstream("up", up.url("/mcp"));
    spec.comment_after = Duration::from_millis(1);
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    send.send(EVENTS.into()).expect("sent");
    let mut wire = open(&agent, "GET");
    let mut got = Vec::new();
    let mut next = |wire: &mut Wire| {
        let piece = wire.chunk().expect("whole").expect("a piece");
        got.extend(piece.iter().copied());
        piece
    };
    assert_eq!(next(&mut wire), b":\n\n", "before the first event");
    for part in ["data: a\n", "data: ", "b\n\n"] {
        send.send(chunk(part).into()).expect("sent");
        // Comments may still be on their way; none comes after an unfinished event.
        while next(&mut wire) != part.as_bytes() {}
        for _ in 0..20 {
            assert_eq!(agent.ask("GET", "/health", "", "").status(), 200);
        }
    }
    assert_eq!(next(&mut wire), b":\n\n", "after an event");
    let text = String::from_utf8(got).expect("text");
    assert_eq!(
        text.replace(":\n\n", ""),
        "data: a\ndata: b\n\n".replace(":\n\n", "")
    );
    assert!(text.contains("data: a\ndata: b\n\n:\n\n"), "{text:?}");
}

#[test]
fn no_comment_is_put_into_what_is_no_event_stream_or_is_encoded() {
    for fields in [
        "content-type: application/json\r\n",
        "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n",
    ] {
        let (up, send) = driven();
        let mut spec = upstream("up", up.url("/mcp"));
        spec.comment_after = Duration::from_millis(1);
        let agent = Agent::start(Options {
            upstreams: vec![spec],
            ..Options::default()
        });
        let head = format!("HTTP/1.1 200 OK\r\n{fields}transfer-encoding: chunked\r\n\r\n");
        send.send(head.into()).expect("sent");
        let mut wire = open(&agent, "GET");
        for _ in 0..20 {
            assert_eq!(agent.ask("GET", "/health", "", "").status(), 200);
        }
        send.send(chunk("x").into()).expect("sent");
        assert_eq!(wire.chunk().expect("whole").expect("a piece"), b"x");
    }
}

#[test]
fn px_stream_timeouts() {
    // A body that pauses for longer than configured is broken off; an event stream may pause.
    for (kind, broken) in [("application/json", true), ("text/event-stream", false)] {
        let (up, send) = driven();
        let mut spec = upstream("up", up.url("/mcp"));
        spec.idle_timeout = Some(Duration::from_millis(5));
        let agent = Agent::start(Options {
            upstreams: vec![spec],
            ..Options::default()
        });
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        send.send(head.into()).expect("sent");
        let mut wire = open(&agent, "POST");
        if broken {
            assert_eq!(wire.chunk(), Err(()));
        } else {
            for _ in 0..20 {
                assert_eq!(agent.ask("GET", "/health", "", "").status(), 200);
            }
            send.send(chunk("data: x\n\n").into()).expect("sent");
            assert_eq!(
                wire.chunk().expect("whole").expect("an event"),
                b"data: x\n\n"
            );
        }
    }
}

#[test]
fn px_last_event_id_relay() {
    let up = Upstream::answering(|_| answer("405 Method Not Allowed", "allow: POST\r\n", ""));
    let agent = Agent::before(up.url("/mcp"));
    let answer = agent.ask("GET", "/u/up", "last-event-id: 7\r\n", "");
    assert_eq!(
        (answer.status(), answer.field("allow")),
        (405, Some("POST"))
    );
    assert_eq!(up.seen().field("last-event-id"), Some("7"));
}

#[test]
fn px_client_disconnect_cancels() {
    for method in ["GET", "POST"] {
        let (up, told) = watched();
        let agent = Agent::before(up.url("/mcp"));
        let mut wire = open(&agent, method);
        wire.chunk().expect("whole").expect("an event");
        assert_eq!(agent.cell.streams(), 1);
        drop(wire);
        assert!(
            told.recv_timeout(WATCHDOG).expect("the upstream notices"),
            "{method}"
        );
        assert_eq!(up.connections(), 1, "px_no_synthetic_cancel");
        while agent.cell.streams() > 0 {
            std::thread::yield_now();
        }
    }
}

#[test]
fn an_agent_that_leaves_before_the_answer_cancels_the_call() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let up = Upstream::scripted(move |mut wire| {
        wire.message();
        let tell = tell.lock().expect("unpoisoned");
        tell.send(true).expect("the test waits");
        tell.send(wire.closed()).expect("the test waits");
    });
    let agent = Agent::before(up.url("/mcp"));
    let mut wire = agent.connect();
    wire.write(agent.request("POST", "/u/up", "", "{}"));
    told.recv_timeout(WATCHDOG).expect("it arrived");
    wire.finish();
    assert!(told.recv_timeout(WATCHDOG).expect("the upstream notices"));
}

#[test]
fn px_abnormal_end_propagates() {
    for (upstream_says, agent_sees) in [
        (format!("{EVENTS}{}", chunk("data: 1\n\n")), "data: 1\n\n"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf of it".to_owned(),
            "half of it",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab".to_owned(),
            "ab",
        ),
    ] {
        let up = Upstream::scripted(move |mut wire| {
            wire.message();
            wire.write(&upstream_says);
        });
        let agent = Agent::before(up.url("/mcp"));
        let mut wire = agent.connect();
        wire.write(agent.request("POST", "/u/up", "", "{}"));
        let answer = wire.message().expect("the head came through");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text(), agent_sees, "what came is passed on");
        assert!(!answer.whole, "and then it is broken, not ended");
        assert!(wire.closed());
        assert_eq!(agent.cell.errors(), 1);
    }
}

#[test]
fn a_body_that_ends_with_its_connection_is_whole() {
    let up = Upstream::scripted(|mut wire| {
        wire.message();
        wire.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n");
    });
    let agent = Agent::before(up.url("/mcp"));
    let answer = agent.post("{}");
    assert!(answer.whole);
    assert_eq!(answer.text(), "data: 1\n\n");
}

#[test]
fn ls_revocation_closes_streams() {
    for method in ["GET", "POST"] {
        let (up, told) = watched();
        let agent = Agent::before(up.url("/mcp"));
        let mut wire = open(&agent, method);
        wire.chunk().expect("whole").expect("an event");
        assert!(agent.cell.close(Death::Revoked, None));
        assert_eq!(wire.chunk(), Err(()), "cut, not ended");
        assert!(told.recv_timeout(WATCHDOG).expect("the upstream notices"));
    }
}

#[test]
fn a_revoked_session_does_not_get_the_answer_it_waits_for() {
    let (up, send) = driven();
    let agent = Agent::before(up.url("/mcp"));
    let mut wire = agent.connect();
    wire.write(agent.request("POST", "/u/up", "", "{}"));
    while up.connections() == 0 {
        std::thread::yield_now();
    }
    agent.cell.close(Death::Revoked, None);
    let answer = wire.message().expect("an answer");
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.json()["error"]["data"]["code"], "session_revoked");
    drop(send);
}

#[test]
fn ls_graceful_shutdown() {
    let (listening, listened) = watched();
    let (answering, send) = driven();
    let agent = Agent::start(Options {
        upstreams: vec![
            upstream("up", listening.url("/mcp")),
            upstream("other", answering.url("/mcp")),
        ],
        ..Options::default()
    });
    let mut stream = open(&agent, "GET");
    stream.chunk().expect("whole").expect("an event");
    let mut call = agent.connect();
    call.write(agent.request("POST", "/u/other", "", "{}"));
    send.send(format!("{EVENTS}{}", chunk("data: 1\n\n")).into())
        .expect("sent");
    assert_eq!(call.head().expect("a head").status(), 200);
    call.chunk().expect("whole").expect("an event");

    agent.state.stop.begun.cancel();
    assert_eq!(
        stream.chunk(),
        Err(()),
        "streams end at the start of a stop"
    );
    assert!(
        listened
            .recv_timeout(WATCHDOG)
            .expect("the upstream notices")
    );
    send.send(chunk("data: 2\n\n").into()).expect("sent");
    let event = call.chunk().expect("calls go on").expect("an event");
    assert_eq!(event, b"data: 2\n\n");
    agent.state.stop.over.cancel();
    assert_eq!(call.chunk(), Err(()), "until their time is over");
}

#[test]
fn ls_graceful_shutdown_ends_streams_between_two_events() {
    let (listening, events) = driven();
    let (answering, results) = driven();
    let agent = Agent::start(Options {
        upstreams: vec![
            upstream("up", listening.url("/mcp")),
            upstream("other", answering.url("/mcp")),
        ],
        ..Options::default()
    });
    let half = |send: &Sender<Vec<u8>>| {
        let text = format!("{EVENTS}{}", chunk("data: 1\n\ndata: 2"));
        send.send(text.into()).expect("sent");
    };
    half(&events);
    let mut stream = open(&agent, "GET");
    half(&results);
    let mut call = agent.connect();
    call.write(agent.request("POST", "/u/other", "", "{}"));
    assert_eq!(call.head().expect("a head").status(), 200);
    for wire in [&mut stream, &mut call] {
        let begun = wire.chunk().expect("whole").expect("the half");
        assert_eq!(begun, b"data: 1\n\ndata: 2");
    }
    let stop = &agent.state.stop;
    for (step, last, send, wire) in [
        (&stop.begun, &stop.over, &events, &mut stream),
        (&stop.over, &stop.cut, &results, &mut call),
    ] {
        assert!(!last.is_cancelled());
        step.cancel();
        // What comes then is passed on as far as the event goes.
        send.send(chunk("2\ndata: 22").into()).expect("sent");
        let more = wire.chunk().expect("whole").expect("more of it");
        assert_eq!(more, b"2\ndata: 22");
        send.send(chunk("\n\ndata: 3\n\n").into()).expect("sent");
        let rest = wire.chunk().expect("whole").expect("the rest of it");
        assert_eq!(rest, b"\n\n");
        assert_eq!(wire.chunk(), Err(()), "and there it ends, visibly");
    }
}

#[test]
fn ls_graceful_shutdown_an_event_that_does_not_end_is_not_waited_for_forever() {
    let (up, send) = driven();
    let agent = Agent::before(up.url("/mcp"));
    let text = format!("{EVENTS}{}", chunk("data: 1"));
    send.send(text.into()).expect("sent");
    let mut stream = open(&agent, "GET");
    stream.chunk().expect("whole").expect("the half");
    agent.state.stop.begun.cancel();
    agent.state.stop.over.cancel();
    assert_eq!(stream.chunk(), Err(()));
}

#[test]
fn a_stream_keeps_its_session_alive_and_progress_slides_it() {
    let (up, send) = driven();
    let agent = Agent::before(up.url("/mcp"));
    send.send(EVENTS.into()).expect("sent");
    let mut wire = open(&agent, "GET");
    let before = agent.cell.last_used();
    agent.clock.advance(agent.cell.policy().idle * 2);
    let now = doorward::clock::Clock::now(&*agent.clock);
    assert!(matches!(
        agent.cell.verdict(now),
        doorward::model::session::Verdict::Live { .. }
    ));
    send.send(chunk("data: x\n\n").into()).expect("sent");
    wire.chunk().expect("whole").expect("an event");
    assert!(agent.cell.last_used() > before);
    assert_eq!(agent.cell.last_used(), now);
}
