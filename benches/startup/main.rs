//! What attaching costs a person and an agent: `run -- true` over plain `true` (budget 60 ms),
//! `session headers` (95 of 100 within 50 ms), and what the bridge adds to a call (budget 1 ms).
//!
//! Programs are started and awaited, which criterion measures well and reports without the share
//! that the budgets are about; so both sides of each pair take turns here, and medians of the same
//! rounds are compared. Nothing fails: a busy machine is no fault of the program.

#![expect(clippy::print_stdout, reason = "a table is the result")]

mod parts;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use parts::{Bridge, Daemon, Line, Upstream};

const STARTS: usize = 100;
const CALLS: usize = 2000;

fn main() {
    // `cargo test --benches` wants to know only whether this compiles and starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let upstream = Upstream::start();
    let daemon = Daemon::start(&upstream);
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        println!("load of the machine at the start: {}", load.trim());
    }
    let (mut plain, mut run, mut headers) = (Vec::new(), Vec::new(), Vec::new());
    // The first ones find nothing in the caches of the system.
    for round in 0..STARTS + 5 {
        let took = [
            time(&mut Command::new("true")),
            time(daemon.command().args(["run", "-q", "--", "true"])),
            time(daemon.command().args(["session", "headers"])),
        ];
        if round >= 5 {
            plain.push(took[0]);
            run.push(took[1]);
            headers.push(took[2]);
        }
    }
    let over = median(&mut run).saturating_sub(median(&mut plain));
    println!("run -- true over true   median {}  budget 60 ms", ms(over));
    let p95 = quantile(&mut headers, 95);
    println!("session headers         p95    {}  budget 50 ms", ms(p95));

    let (mut line, mut bridge) = (Line::open(&daemon), Bridge::open(&daemon));
    let (mut straight, mut piped) = (Vec::new(), Vec::new());
    for call in 0..CALLS + 100 {
        let took = [measure(|| line.call()), measure(|| bridge.call())];
        if call >= 100 {
            straight.push(took[0]);
            piped.push(took[1]);
        }
    }
    let added = median(&mut piped).saturating_sub(median(&mut straight));
    println!("bridge adds to a call   median {}  budget 1 ms", ms(added));
}

fn time(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    measure(|| {
        let status = command.status().expect("it starts");
        assert!(status.success(), "{command:?}");
    })
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn measure(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(all: &mut [Duration]) -> Duration {
    quantile(all, 50)
}

/// The value that so many of a hundred are not above.
fn quantile(all: &mut [Duration], percent: usize) -> Duration {
    all.sort_unstable();
    all[(all.len() * percent).div_ceil(100) - 1]
}

fn ms(time: Duration) -> String {
    format!("{:>7.2} ms", time.as_secs_f64() * 1000.0)
}
