//! Restarts: sockets that outlive a daemon, a newer program in the place of an older one, and what
//! agents see of it.

mod drain;
mod held;
mod service;
mod succession;
#[cfg(target_os = "linux")]
mod systemd;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::parts::{Daemon, Exchange};
use crate::support::raw::{Upstream, ok};

/// A daemon with an upstream that answers at once, and a credential for it.
fn serving() -> (Upstream, Daemon, String) {
    let upstream = Upstream::answering(|_| ok("{}"));
    let daemon = Daemon::start();
    let url = upstream.url("/mcp");
    let (code, added) = daemon.run(&["upstream", "add", "docs", &url, "--auth", "none"]);
    assert_eq!(code, 0, "{added}");
    let (_, credential) = daemon.mint("one");
    (upstream, daemon, credential)
}

/// A call of an agent on a connection of its own; `None` where it got no whole answer.
fn call(url: &str, credential: &str) -> Option<Exchange> {
    let bearer = format!("Bearer {credential}");
    let fields = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    Exchange::attempt("POST", &format!("{url}/u/docs"), &fields, "{}")
}

/// Lets agents call without a pause while `work` is done; how many calls were answered, and what
/// became of those that were not answered as they should.
fn under_calls(url: &str, credential: &str, work: impl FnOnce()) -> (usize, Vec<String>) {
    let failed = Mutex::new(Vec::new());
    let calling = || match call(url, credential) {
        Some(answer) if answer.status == 200 => true,
        other => {
            let failure = other.map(|answer| format!("{} {}", answer.status, answer.body));
            let mut failed = failed.lock().expect("unpoisoned");
            failed.push(failure.unwrap_or_else(|| "no answer".to_owned()));
            false
        }
    };
    let (answered, _) = under(vec![calling; 4], work);
    (answered, failed.into_inner().expect("unpoisoned"))
}

/// Lets each of `callers` call without a pause while `work` is done; how many calls succeeded and
/// how many did not.
fn under(callers: Vec<impl Fn() -> bool + Send>, work: impl FnOnce()) -> (usize, usize) {
    let over = AtomicBool::new(false);
    let [answered, failed] = [const { AtomicUsize::new(0) }; 2];
    let calling = |call: &dyn Fn() -> bool| {
        while !over.load(Ordering::SeqCst) {
            let count = if call() { &answered } else { &failed };
            count.fetch_add(1, Ordering::SeqCst);
        }
    };
    std::thread::scope(|scope| {
        for call in callers {
            scope.spawn(move || calling(&call));
        }
        let _end = Raised(&over);
        work();
    });
    (answered.into_inner(), failed.into_inner())
}

/// Raises a flag at its end, also when that is a panic: nobody is to call forever.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The process of the daemon that answers.
fn pid(daemon: &Daemon) -> Value {
    let (code, status) = daemon.run(&["status"]);
    assert_eq!(code, 0, "{status}");
    status["daemon"]["pid"].clone()
}
