//! `up` of another program than the daemon runs.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{call, pid, serving, under_calls};
use crate::support::parts::{Daemon, open, signed_in};
use crate::support::raw::{EVENTS, Upstream, chunk};
use crate::support::traffic::echo;

/// The program once more, as if it had been built that much later, or earlier.
pub(super) fn edition(folder: &Path, name: &str, later: bool) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_doorward"));
    let copy = folder.join(name);
    std::fs::copy(built, &copy).expect("a copy");
    let made = built.metadata().and_then(|meta| meta.modified());
    let made: SystemTime = made.expect("a time");
    let hour = Duration::from_hours(1);
    let at = if later { made + hour } else { made - hour };
    let file = File::options().write(true).open(&copy).expect("a file");
    file.set_modified(at).expect("ours");
    copy
}

fn up(daemon: &Daemon, program: &Path) -> (Value, String) {
    let output = daemon.command_of(program).args(["up", "--json"]).output();
    let output: Output = output.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let status = serde_json::from_slice(&output.stdout).expect("a document");
    (status, said)
}

#[test]
fn pain_49_a_newer_program_goes_on_where_the_older_one_stops() {
    let (authority, _upstream, mut daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    let before = pid(&daemon);
    let folder = tempfile::tempdir().expect("a directory");
    let newer = edition(folder.path(), "newer", true);
    let socket = daemon.state().join("doorward.sock");
    let (status, _) = up(&daemon, &newer);
    assert_ne!(status["daemon"]["pid"], before);
    assert_eq!(status["daemon"]["base_url"], daemon.url.as_str());
    // The older one has ended as it should, and has left what is not its own any more.
    daemon.forget();
    assert!(socket.exists());
    assert!(daemon.log().contains("another daemon takes over"));
    assert_eq!(pid(&daemon), status["daemon"]["pid"]);
    let spent = authority.count("token_requests");
    let (code, said) = echo(&daemon, &agent);
    assert_eq!(code, 200, "{said}");
    assert!(said.contains("Echo: hello"), "{said}");
    let requests = authority.count("token_requests") - spent;
    assert!(
        requests <= 1,
        "{requests}: tokens that live are not on the disk"
    );
    let log = authority.ask("/log");
    assert!(!log.to_string().contains("\"already_used\":true"), "{log}");

    // The same again changes nothing, nor does an older one.
    let (again, _) = up(&daemon, &newer);
    assert_eq!(again["daemon"]["pid"], status["daemon"]["pid"]);
    let (code, older) = daemon.run(&["up"]);
    assert_eq!(code, 0, "{older}");
    assert_eq!(older["daemon"]["pid"], status["daemon"]["pid"]);
}

#[test]
fn pain_49_no_call_is_lost_while_one_program_follows_another() {
    let (_upstream, daemon, credential) = serving();
    let folder = tempfile::tempdir().expect("a directory");
    let newer = edition(folder.path(), "newer", true);
    let before = pid(&daemon);
    let (answered, failed) = under_calls(&daemon.url, &credential, || {
        assert_ne!(up(&daemon, &newer).0["daemon"]["pid"], before);
        assert_eq!(call(&daemon.url, &credential).expect("whole").status, 200);
    });
    assert_eq!(failed, [""; 0], "{answered} were answered");
}

#[test]
fn pain_49_calls_that_run_are_finished_before_the_next_program_serves() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let (here, arrived) = std::sync::mpsc::channel();
    let slow = Upstream::scripted(move |mut wire| {
        let Some(request) = wire.message() else {
            return;
        };
        if request.target() == "/listen" {
            wire.write(format!("{EVENTS}{}", chunk("data: 1\n\n")));
            // Until the other side goes.
            assert!(wire.message().is_none());
            return;
        }
        here.send(()).expect("the test waits");
        gone.lock().expect("one at a time").recv().expect("told");
        wire.write(crate::support::raw::ok(r#"{"slow":true}"#));
    });
    let mut daemon = Daemon::start();
    for (name, path) in [("docs", "/call"), ("listen", "/listen")] {
        let url = slow.url(path);
        let (code, added) = daemon.run(&["upstream", "add", name, &url, "--auth", "none"]);
        assert_eq!(code, 0, "{added}");
    }
    let (_, credential) = daemon.mint("one");
    let bearer = format!("Bearer {credential}");
    let fields = [
        ("authorization", bearer.as_str()),
        ("accept", "text/event-stream"),
    ];
    let mut stream = open("GET", &format!("{}/u/listen", daemon.url), &fields, "");
    let folder = tempfile::tempdir().expect("a directory");
    let newer = edition(folder.path(), "newer", true);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| call(&daemon.url, &credential));
        arrived.recv().expect("the call is under way");
        let taking = scope.spawn(|| up(&daemon, &newer));
        // The stream ends first: the older daemon drains now.
        let mut seen = String::new();
        let _ = std::io::Read::read_to_string(&mut stream, &mut seen);
        assert!(seen.ends_with("data: 1\n\n\r\n"), "{seen}");
        // Somebody new knocks meanwhile, and waits.
        let mut waiting = open("GET", &format!("{}/health", daemon.url), &[], "");
        waiting.flush().expect("room for it");
        assert!(!taking.is_finished(), "one call still runs");
        go.send(()).expect("it waits");
        let answer = running.join().expect("no panic").expect("whole");
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"slow":true}"#)
        );
        taking.join().expect("no panic");
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut waiting, &mut answer).expect("an answer");
        assert!(answer.contains(" 200 "), "{answer}");
    });
    daemon.forget();
}

#[test]
fn ls_single_instance_lock_a_successor_that_dies_on_the_way_leaves_no_second_daemon() {
    let (_upstream, mut daemon, credential) = serving();
    // It asks for the sockets and dies: the daemon that gave them stops all the same, and the next
    // start finds nothing in its way.
    let mut successor = daemon
        .command()
        .env("FAILPOINTS", "handover.taken=return")
        .args(["serve", "--succeed", "--ready-fd", "1"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    successor.wait().expect("it ended");
    daemon.forget();
    daemon.serve();
    assert_eq!(call(&daemon.url, &credential).expect("whole").status, 200);
}

/// Its answer may be the only copy of a rotated token, and no second daemon may present the old one.
#[test]
fn pain_49_a_refresh_that_runs_is_finished_by_the_older_program() {
    let (authority, _upstream, mut daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    // The next call needs a token: those that live are not on the disk.
    daemon.kill();
    daemon.serve();
    // The server has carried it out, and does not answer yet.
    authority.tell("/fault", &json!({"on": "token", "kind": "hold_after"}));
    let folder = tempfile::tempdir().expect("a directory");
    let newer = edition(folder.path(), "newer", true);
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| daemon.try_echo(&agent));
        let held = authority.ask("/wait?count=held&at_least=1");
        assert_eq!(held["reached"], true);
        let taking = scope.spawn(|| up(&daemon, &newer));
        while !daemon.log().contains("another daemon takes over") {
            std::thread::yield_now();
        }
        assert!(!taking.is_finished());
        authority.tell("/release", &json!({}));
        assert!(
            calling.join().expect("no panic"),
            "the call is finished too"
        );
        taking.join().expect("no panic");
    });
    daemon.forget();
    assert!(daemon.try_echo(&agent));
    let log = authority.ask("/log");
    assert!(!log.to_string().contains("\"already_used\":true"), "{log}");
}
