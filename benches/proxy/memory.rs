//! Resident memory, as the system counts it (Linux only): a daemon with many sessions beside one
//! with few, and a process before and after agents opened event streams through it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::budget;
use super::load::Target;
use super::parts::AGENTS;
use super::parts::{Daemon, EVENT, Upstream, runtime};

const SESSIONS: u64 = 5000;
const STREAMS: usize = 1000;

/// Prints what a session and a stream cost.
pub(crate) fn report(upstream: &Upstream, targets: &[Target]) {
    if cfg!(not(target_os = "linux")) {
        println!("\nmemory is not measured on this system");
        return;
    }
    println!("\nresident memory");
    let few = Daemon::start(upstream, 1);
    let many = Daemon::start(upstream, SESSIONS + 1);
    let (few, many) = (settled(&few.target()), settled(&many.target()));
    println!(
        "doorward: {:.1} MiB with one session, {:.2} KiB more for each of {SESSIONS}",
        float(few) / 1024.0,
        float(many.saturating_sub(few)) / float(SESSIONS)
    );
    // A fresh one: what the load before has left behind would hold the first streams.
    let fresh = Daemon::start(upstream, AGENTS);
    let ours = std::iter::once(fresh.target());
    let proxies = targets.iter();
    let proxies = proxies.filter(|target| !["direct", "doorward"].contains(&&*target.name));
    for target in ours.collect::<Vec<_>>().iter().chain(proxies) {
        println!(
            "{}: {:.1} KiB for each of {STREAMS} open event streams{}",
            target.name,
            a_stream(target),
            budget(target.name == "doorward", "32 KiB")
        );
    }
}

/// Opens streams and keeps them until all have brought their first event.
fn a_stream(target: &Target) -> f64 {
    runtime().block_on(async {
        // What the first streams need once is no cost of the others.
        let mut open = Vec::new();
        for agent in 0..8 {
            open.push(stream(target, agent).await);
        }
        let before = resident(target);
        for agent in 0..STREAMS {
            open.push(stream(target, agent).await);
        }
        let after = resident(target);
        float(after.saturating_sub(before)) / float(STREAMS as u64)
    })
}

async fn stream(target: &Target, agent: usize) -> TcpStream {
    let mut stream = TcpStream::connect(target.address)
        .await
        .expect("it listens");
    let request = target.request(agent, "GET", "");
    stream.write_all(&request).await.expect("it reads");
    let mut said = Vec::new();
    while !said.windows(EVENT.len()).any(|part| part == EVENT) {
        let read = stream.read_buf(&mut said).await.expect("it answers");
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&said));
    }
    stream
}

/// After one request of each kind that was answered.
fn settled(target: &Target) -> u64 {
    runtime().block_on(stream(target, 0));
    resident(target)
}

/// In KiB.
fn resident(target: &Target) -> u64 {
    let pid = target.pid.expect("a process of its own");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse().ok())
        .expect("its resident memory")
}

#[expect(clippy::cast_precision_loss, reason = "memory in KiB fits 53 bits")]
fn float(number: u64) -> f64 {
    number as f64
}
