//! Restarts: sockets that outlive a daemon, a newer program in the place of an older one, and what
//! agents see of it.

mod drain;
mod held;
mod service;
mod succession;

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
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let calling = || {
        let mut failed = Vec::new();
        while !over.load(Ordering::SeqCst) {
            match call(url, credential) {
                Some(answer) if answer.status == 200 => {
                    answered.fetch_add(1, Ordering::SeqCst);
                }
                Some(answer) => failed.push(format!("{} {}", answer.status, answer.body)),
                None => failed.push("no answer".to_owned()),
            }
        }
        failed
    };
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(calling)).collect();
        let end = Raised(&over);
        work();
        drop(end);
        let failed = callers.into_iter();
        let failed = failed.flat_map(|caller| caller.join().expect("no panic"));
        (answered.load(Ordering::SeqCst), failed.collect())
    })
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
