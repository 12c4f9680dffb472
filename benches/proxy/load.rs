//! Clients that send the next request when the answer to the last one is there.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use super::parts::{ANSWER, QUESTION, runtime};
use super::{streams, wire};

/// For connections, caches and threads to settle.
const WARM_UP: Duration = Duration::from_millis(150);

/// What is asked again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A call that is answered with one message.
    Call,
    /// One that is answered with a stream of events.
    Stream,
}

/// What clients speak to.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) path: &'static str,
    /// One for every agent.
    pub(crate) bearers: Vec<String>,
    /// The process in the middle, where there is one.
    pub(crate) pid: Option<u32>,
}

impl Target {
    /// The request that the agent of this number sends with each message.
    pub(crate) fn request(&self, agent: usize, method: &str, body: &str) -> Vec<u8> {
        let Self { address, path, .. } = self;
        let bearer = &self.bearers[agent % self.bearers.len()];
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: bench/1\r\n\
             authorization: Bearer {bearer}\r\naccept: application/json, text/event-stream\r\n\
             mcp-protocol-version: 2025-06-18\r\ncontent-type: application/json\r\n\
             mcp-session-id: 4f0c3c1e9d5b4a0f\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

/// What one round showed.
pub(crate) struct Round {
    /// Nanoseconds of every request, in order of size.
    latencies: Vec<u64>,
    passed: Duration,
    cpu: Option<Duration>,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts and nanoseconds of a second fit 53 bits"
)]
impl Round {
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.passed.as_secs_f64()
    }

    /// In microseconds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        self.latencies[(self.latencies.len() - 1) * percent / 100] as f64 / 1e3
    }

    /// In microseconds.
    pub(crate) fn cpu_a_request(&self) -> Option<f64> {
        let cpu = self.cpu?.as_nanos() as f64 / 1e3;
        Some(cpu / self.latencies.len() as f64)
    }
}

/// Sends from `connections` for `length`.
pub(crate) fn run(target: &Target, connections: usize, length: Duration, ask: Ask) -> Round {
    runtime().block_on(LocalSet::new().run_until(async {
        let latencies = Rc::new(RefCell::new(Vec::new()));
        let clients: Vec<_> = (0..connections)
            .map(|agent| {
                let body = match ask {
                    Ask::Call => QUESTION,
                    Ask::Stream => streams::CALL,
                };
                let request = target.request(agent, "POST", body);
                let client = client(target.address, request, Rc::clone(&latencies), ask);
                tokio::task::spawn_local(client)
            })
            .collect();
        sleep(WARM_UP).await;
        let busy = || target.pid.and_then(cpu_of);
        let (began, before) = (Instant::now(), busy());
        latencies.borrow_mut().clear();
        sleep(length).await;
        let mut latencies = std::mem::take(&mut *latencies.borrow_mut());
        let (passed, after) = (began.elapsed(), busy());
        for client in clients {
            assert!(!client.is_finished(), "{}: a client gave up", target.name);
            client.abort();
        }
        latencies.sort_unstable();
        assert!(!latencies.is_empty(), "{}: no answer", target.name);
        Round {
            latencies,
            passed,
            cpu: after
                .zip(before)
                .map(|(after, before)| after.saturating_sub(before)),
        }
    }))
}

async fn client(address: SocketAddr, request: Vec<u8>, latencies: Rc<RefCell<Vec<u64>>>, ask: Ask) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let mut buffer = Vec::with_capacity(64 << 10);
    loop {
        let began = Instant::now();
        stream.write_all(&request).await.expect("it reads");
        let is_whole = match ask {
            Ask::Call => {
                let head = wire::read(&mut stream, &mut buffer).await;
                let head = head.expect("it answers").expect("it stays");
                buffer[head.length..] == *ANSWER.as_bytes()
            }
            Ask::Stream => {
                buffer.clear();
                while !buffer.ends_with(streams::END) {
                    let read = stream.read_buf(&mut buffer).await.expect("it answers");
                    assert_ne!(read, 0, "{}", String::from_utf8_lossy(&buffer));
                }
                true
            }
        };
        assert!(
            buffer.starts_with(b"HTTP/1.1 200 ") && is_whole,
            "{}",
            String::from_utf8_lossy(&buffer)
        );
        let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        latencies.borrow_mut().push(nanos);
    }
}

/// Processor time of a process, user and system, as the scheduler counts it: the ticks of
/// `/proc/PID/stat` are too coarse for a round. Known on Linux only.
fn cpu_of(pid: u32) -> Option<Duration> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let nanos = tasks.filter_map(|task| {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(nanos.sum()))
}
