//! Much of everything: long bodies, slow agents, many streams.

use crate::streaming::{open, watched};
use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::{Upstream, Wire, answer};

#[test]
fn px_many_streams() {
    const STREAMS: usize = 200;
    let (up, _) = watched();
    let agent = Agent::before(up.url("/mcp"));
    let mut streams: Vec<Wire> = (0..STREAMS).map(|_| open(&agent, "GET")).collect();
    for wire in &mut streams {
        wire.chunk().expect("whole").expect("an event");
    }
    assert_eq!(agent.cell.streams() as usize, STREAMS);
    // A call is not held up by them.
    let mut call = open(&agent, "POST");
    call.chunk().expect("whole").expect("an event");
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    pages * 4096
}

const GIB: usize = 1 << 30;
const ALLOWED: usize = 64 << 20;

#[cfg(target_os = "linux")]
#[test]
fn px_backpressure_bounded() {
    let up = Upstream::scripted(|mut wire| {
        let Some(request) = wire.head() else { return };
        let block = vec![b'x'; 1 << 16];
        if request.start.starts_with("GET") {
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {GIB}\r\n\r\n"));
            for _ in 0..GIB / block.len() {
                if !wire.write(&block) {
                    return;
                }
            }
        } else {
            let mut left = GIB;
            while left > 0 {
                left -= wire.take(block.len()).len();
            }
            wire.write(answer("200 OK", "", "{}"));
        }
    });
    let agent = Agent::start(Options {
        upstreams: vec![upstream("up", up.url("/mcp"))],
        max_body: u64::MAX,
        ..Options::default()
    });
    let before = resident();
    let mut down = open(&agent, "GET");
    let mut got = 0;
    while got < GIB {
        got += down.take(1 << 20).len();
        assert!(resident() < before + ALLOWED, "download");
    }

    let mut sending = agent.connect();
    let text = agent.request("POST", "/u/up", "", "");
    sending.write(text.replace("content-length: 0", &format!("content-length: {GIB}")));
    let block = vec![b'x'; 1 << 20];
    for _ in 0..GIB / block.len() {
        assert!(sending.write(&block));
        assert!(resident() < before + ALLOWED, "upload");
    }
    assert_eq!(sending.message().expect("an answer").text(), "{}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_agent_that_does_not_read_holds_up_its_own_stream_only() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static SENT: AtomicUsize = AtomicUsize::new(0);
    let up = Upstream::scripted(|mut wire| {
        while let Some(request) = wire.message() {
            if request.start.starts_with("GET") {
                break;
            }
            wire.write(answer("200 OK", "", "{}"));
        }
        wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {GIB}\r\n\r\n"));
        let block = vec![b'x'; 1 << 16];
        while wire.write(&block) {
            SENT.fetch_add(block.len(), Ordering::SeqCst);
        }
    });
    let agent = Agent::before(up.url("/mcp"));
    let stalled = open(&agent, "GET");
    for _ in 0..200 {
        assert_eq!(agent.post("{}").status(), 200);
    }
    assert!(
        SENT.load(Ordering::SeqCst) < ALLOWED,
        "the kernel's buffers, not ours"
    );
    drop(stalled);
}
