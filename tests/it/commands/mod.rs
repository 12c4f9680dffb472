//! Commands and signals against a daemon that runs, one file a topic.

mod failing;
mod health;
mod refusals;
mod revoking;

use crate::support::parts::Daemon;

/// Adds the upstream `ev`, at an address where nobody is.
fn add_nobody(daemon: &Daemon) {
    add(daemon, "http://127.0.0.1:9/mcp", "oauth");
}

/// Adds the upstream `ev` unseen.
fn add(daemon: &Daemon, url: &str, kind: &str) {
    let add = ["upstream", "add", "ev", url, "--auth", kind, "--no-probe"];
    assert_eq!(daemon.run(&add).0, 0);
}
