//! What a daemon that is told to stop waits for, and what it does not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use rustix::process::{Signal, kill_process};

use super::{call, serving};
use crate::support::parts::{Daemon, open};
use crate::support::raw::{EVENTS, Upstream, WATCHDOG, chunk, ok};

/// A time that no test waits for.
const ENDLESS: &str = "[server]\ndrain = \"24h\"";

fn terminate(daemon: &Daemon) {
    kill_process(daemon.pid(), Signal::TERM).expect("it runs");
}

#[test]
fn ls_graceful_shutdown_nobody_waits_for_a_connection_on_which_nothing_is_asked() {
    let (_upstream, mut daemon, credential) = serving();
    daemon.kill();
    daemon.configure(ENDLESS);
    daemon.serve();
    let authority = daemon.url.strip_prefix("http://").expect("http");
    let silent = TcpStream::connect(authority).expect("it listens");
    let mut kept = TcpStream::connect(authority).expect("it listens");
    write!(
        kept,
        "POST /u/docs HTTP/1.1\r\nhost: {authority}\r\nauthorization: Bearer {credential}\r\n\
         content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    )
    .expect("it reads");
    let mut answer = [0; 12];
    kept.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    terminate(&daemon);
    // It would wait for a day otherwise.
    daemon.forget();
    drop((silent, kept));
}

#[test]
fn ls_graceful_shutdown_a_call_gets_its_time_and_an_event_its_end() {
    let (send, receive) = channel::<Vec<u8>>();
    let receive = Mutex::new(receive);
    let (here, arrived) = channel();
    let (finish, finished) = channel::<()>();
    let finished = Mutex::new(finished);
    let upstream = Upstream::scripted(move |mut wire| {
        let Some(request) = wire.message() else {
            return;
        };
        if request.target() == "/listen" {
            wire.write(format!("{EVENTS}{}", chunk("data: 1\n\nda")));
            let receive = receive.lock().expect("one at a time");
            let rest = receive.recv_timeout(WATCHDOG).expect("told");
            wire.write(rest);
            assert!(wire.closed());
            return;
        }
        here.send(()).expect("the test waits");
        let finished = finished.lock().expect("one at a time");
        finished.recv_timeout(WATCHDOG).expect("told");
        wire.write(ok("{}"));
    });
    let mut daemon = Daemon::start();
    daemon.kill();
    daemon.configure(ENDLESS);
    daemon.serve();
    for (name, path) in [("docs", "/call"), ("listen", "/listen")] {
        let url = upstream.url(path);
        let (code, added) = daemon.run(&["upstream", "add", name, &url, "--auth", "none"]);
        assert_eq!(code, 0, "{added}");
    }
    let (_, credential) = daemon.mint("one");
    let bearer = format!("Bearer {credential}");
    let fields = [("authorization", bearer.as_str())];
    let mut stream = open("GET", &format!("{}/u/listen", daemon.url), &fields, "");
    let mut seen = Vec::new();
    while !seen.ends_with(b"data: 1\n\nda") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the half");
        seen.push(byte[0]);
    }
    let url = daemon.url.clone();
    let running = std::thread::spawn(move || call(&url, &credential));
    arrived.recv_timeout(WATCHDOG).expect("it is under way");
    terminate(&daemon);
    while daemon.run(&["status"]).0 == 0 && !daemon.log().contains("stopping") {
        std::thread::yield_now();
    }
    send.send(chunk("ta: 2\n\ndata: 3\n\n").into())
        .expect("it waits");
    let mut rest = String::new();
    let _ = stream.read_to_string(&mut rest);
    // To the end of its event and no further, and without the chunk that would say that all came.
    assert_eq!(rest, "\r\n7\r\nta: 2\n\n\r\n");
    finish.send(()).expect("it waits");
    let answer = running.join().expect("no panic").expect("whole");
    assert_eq!(answer.body, "{}");
    daemon.forget();
}
