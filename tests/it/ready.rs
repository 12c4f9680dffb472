//! The line that says that the daemon listens.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use serde_json::Value;

use crate::support::parts::Daemon;

#[test]
fn a_supervisor_may_read_the_ready_line_from_a_socket() {
    // Node.js and others make the standard streams of their children sockets.
    let mut daemon = Daemon::start();
    daemon.kill();
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let mut child = daemon
        .command()
        .args(["serve", "--ready-fd", "1", "--port", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::from(OwnedFd::from(theirs)))
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    BufReader::new(ours).read_line(&mut line).expect("a line");
    let ready: Value = serde_json::from_str(&line).expect("the ready line");
    assert_eq!(ready["pid"], child.id());
    child.kill().expect("it ran");
    child.wait().expect("it ended");
}
