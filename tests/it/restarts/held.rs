//! Sockets that a service manager holds.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};

use rustix::process::{Signal, kill_process};

use super::{call, serving, under_calls};
use crate::support::held::Held;
use crate::support::parts::Daemon;
use crate::support::raw::WATCHDOG;

/// Sends a call and leaves the answer for later: nobody may have accepted the connection yet.
fn knock(url: &str, credential: &str) -> TcpStream {
    let authority = url.strip_prefix("http://").expect("http");
    let mut stream = TcpStream::connect(authority).expect("somebody holds the port");
    write!(
        stream,
        "POST /u/docs HTTP/1.0\r\nhost: {authority}\r\nauthorization: Bearer {credential}\r\n\
         content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
    )
    .expect("room for it");
    stream
}

fn answer(mut stream: impl Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

#[test]
fn ls_stable_address_who_knocks_while_nobody_serves_is_answered_by_the_next() {
    let (_upstream, mut daemon, credential) = serving();
    daemon.kill();
    let held = Held::of(&daemon);
    daemon.serve_held(&held);
    assert_eq!(daemon.url, held.url());
    assert_eq!(call(&held.url(), &credential).expect("whole").status, 200);
    let socket = daemon.state().join("doorward.sock");
    for politely in [false, true] {
        if politely {
            kill_process(daemon.pid(), Signal::TERM).expect("it runs");
            daemon.forget();
        } else {
            daemon.kill();
        }
        // No daemon is there now.
        let agent = knock(&held.url(), &credential);
        let mut command = UnixStream::connect(&socket).expect("somebody holds it");
        command
            .write_all(b"GET /api/v1/version HTTP/1.0\r\nhost: doorward\r\n\r\n")
            .expect("room for it");
        daemon.serve_held(&held);
        let told = answer(agent);
        assert!(told.starts_with("HTTP/1.0 200"), "{politely}: {told}");
        let told = answer(command);
        assert!(told.contains("\"version\""), "{politely}: {told}");
    }
    assert_eq!(daemon.run(&["down"]).0, 0);
    daemon.forget();
    assert!(socket.exists(), "it is not the daemon's");
}

#[test]
fn ls_stable_address_no_call_is_lost_over_restarts_with_held_sockets() {
    let (_upstream, mut daemon, credential) = serving();
    daemon.kill();
    let held = Held::of(&daemon);
    daemon.serve_held(&held);
    let url = held.url();
    let (answered, failed) = under_calls(&url, &credential, || {
        for _ in 0..3 {
            kill_process(daemon.pid(), Signal::TERM).expect("it runs");
            daemon.forget();
            daemon.serve_held(&held);
        }
        // As long as it takes to see that it goes on.
        assert_eq!(call(&url, &credential).expect("whole").status, 200);
    });
    assert_eq!(failed, [""; 0], "{answered} were answered");
    assert!(answered > 0);
}

fn refused(daemon: &Daemon, held: &Held, names: &str, why: &str) {
    let child = daemon.start_held(held, names);
    let output = child.wait_with_output().expect("it ends");
    assert!(!output.status.success(), "{names}");
    let log = daemon.log();
    let said = log.rsplit("error: ").next().expect("an error");
    assert!(said.contains(why), "{names}: {log}");
}

#[test]
fn ls_bind_loopback_default_sockets_that_others_could_use_are_refused() {
    let (_upstream, mut daemon, _) = serving();
    daemon.kill();
    let right = Held::of(&daemon);
    refused(
        &daemon,
        &right,
        "control:agents",
        "it is no Unix stream socket",
    );
    let open = TcpListener::bind("0.0.0.0:0").expect("a port");
    let open = Held {
        agents: open.into(),
        ..right
    };
    refused(&daemon, &open, "agents:control", "anyone on the network");
    let (one, _other) = UnixStream::pair().expect("a pair");
    let deaf = Held {
        agents: Held::of(&daemon).agents,
        control: one.into(),
    };
    refused(&daemon, &deaf, "agents:control", "it does not listen");
    let exposed = Held::of(&daemon);
    let socket = daemon.state().join("doorward.sock");
    let mode = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(&socket, mode).expect("ours");
    refused(&daemon, &exposed, "", "can be used by others");
    let twice = Held {
        agents: Held::of(&daemon).agents,
        control: TcpListener::bind("127.0.0.1:0").expect("a port").into(),
    };
    refused(&daemon, &twice, "", "there is another one");
    // Names that say nothing leave it to the kind of the socket.
    let named = Held::of(&daemon);
    let mut child = daemon.start_held(&named, "doorward.socket:doorward.socket");
    let mut line = String::new();
    let mut errors = std::io::BufReader::new(child.stderr.take().expect("piped"));
    std::io::BufRead::read_line(&mut errors, &mut line).expect("a line");
    assert!(line.contains(&named.url()), "{line}: {}", daemon.log());
    child.kill().expect("it ran");
    child.wait().expect("it ended");
}

#[test]
fn a_service_manager_is_told_of_the_start_and_of_the_stop() {
    let (_upstream, mut daemon, _) = serving();
    daemon.kill();
    let address = daemon.state().join("notify");
    let manager = UnixDatagram::bind(&address).expect("a socket");
    manager.set_read_timeout(Some(WATCHDOG)).expect("a socket");
    let told = || {
        let mut text = [0; 512];
        let length = manager.recv(&mut text).expect("it is told");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    let child = daemon
        .command()
        .env("NOTIFY_SOCKET", &address)
        .args(["serve", "--port", "0"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    daemon.child = Some(child);
    assert_eq!(told(), "READY=1\n");
    kill_process(daemon.pid(), Signal::TERM).expect("it runs");
    let stopping = told();
    assert!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
    // The drain of 10 s, and what a refresh may take.
    let time = stopping.split("EXTEND_TIMEOUT_USEC=").nth(1);
    let time: u64 = time.expect("a time").trim().parse().expect("a number");
    assert!(time > 45_000_000, "{time}");
    daemon.forget();
}
