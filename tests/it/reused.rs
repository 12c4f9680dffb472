//! A process ends, and another one gets its number: the session was the first one's, and ends with
//! it. In a namespace of processes of its own, where numbers are given out by nobody else.

use std::fs;
use std::io::ErrorKind;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::alone::{alone, pass};
use crate::support::parts::{Agent, Daemon, signed_in};
use crate::support::scripts::{Running, bearer, id_of, line, plain, program};
use crate::support::traffic::{echo, works};

/// The number that was given out last: whoever may write it chooses the next one (proc(5)).
const LAST: &str = "/proc/sys/kernel/ns_last_pid";
/// Threads of the parts take numbers as well, so that one may be missed; not so often.
const TRIES: usize = 1000;

/// A command that runs the rest in a namespace of processes of its own; `None` where the system
/// allows that to nobody like us.
fn apart() -> Option<Command> {
    let begun = || {
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--fork", "--pid", "--mount-proc", "--kill-child"]);
        command
    };
    let chooses = format!("echo 100 > {LAST}");
    let tried = begun().args(["sh", "-c", &chooses]).output();
    tried.is_ok_and(|it| it.status.success()).then(begun)
}

#[test]
fn a_session_is_not_that_of_a_process_that_gets_the_number_of_its_own() {
    let Some(mut command) = apart() else {
        eprintln!("skipped: this system lets nobody like us have a namespace of processes");
        return;
    };
    let inner = alone("reused::in_a_namespace");
    command.arg(inner.get_program()).args(inner.get_args());
    pass(&mut command);
}

/// Starts a program as the process of this number.
fn numbered(pid: u32, program: &Path) -> Running {
    for _ in 0..TRIES {
        fs::write(LAST, (pid - 1).to_string()).expect("ours in here");
        let running = Running::start(plain(program));
        if running.child.id() == pid {
            return running;
        }
    }
    panic!("no process got the number {pid}");
}

/// What its helper gives it.
fn asked(agent: &mut Running) -> String {
    agent.on();
    bearer(&agent.line())
}

fn show(daemon: &Daemon, id: &str) -> Value {
    let (code, shown) = daemon.run(&["session", "show", id]);
    assert_eq!(code, 0, "{shown}");
    shown["item"].clone()
}

/// Where the daemon is while the number goes to another process.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    /// It runs.
    Running,
    /// It stands still, and looks only when the number has another owner.
    Stopped,
    /// There is none.
    Gone,
}

/// One process after another with the same number, the same program and the same directory.
fn succession(daemon: &mut Daemon, agent: &Path, meanwhile: Meanwhile) {
    let mut first = Running::start(plain(agent));
    let pid = first.child.id();
    let credential = asked(&mut first);
    let session = daemon.shake_hands(Agent::known(id_of(&credential), credential.clone()));
    assert_eq!(show(daemon, &session.id)["bound"]["pid"], pid);
    let mut open = session.listens(daemon);
    let signal = |daemon: &Daemon, signal: Signal| {
        let child = daemon.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("it runs");
    };
    match meanwhile {
        Meanwhile::Running => {}
        Meanwhile::Stopped => signal(daemon, Signal::STOP),
        Meanwhile::Gone => daemon.kill(),
    }
    // It is collected, and its number free.
    drop(first);
    let mut second = numbered(pid, agent);
    match meanwhile {
        Meanwhile::Running => {}
        Meanwhile::Stopped => signal(daemon, Signal::CONT),
        Meanwhile::Gone => daemon.serve(),
    }

    // Its own session is another one, also where nobody has noticed anything yet.
    let fresh = asked(&mut second);
    assert_ne!(id_of(&fresh), session.id, "{meanwhile:?}");
    let mut rest = Vec::new();
    if let Err(error) = open.read_to_end(&mut rest) {
        assert_ne!(error.kind(), ErrorKind::WouldBlock, "the stream went on");
    }
    let (status, body) = echo(daemon, &session);
    assert_eq!(status, 401, "{meanwhile:?}: {body}");
    assert!(body.contains("process ended"), "{body}");
    let ended = show(daemon, &session.id);
    assert_eq!(ended["ended_by"], "process_exit", "{meanwhile:?}");
    assert_eq!(ended["bound"]["alive"], false, "another one is alive");

    let second_session = daemon.shake_hands(Agent::known(id_of(&fresh), fresh));
    let shown = show(daemon, &second_session.id);
    assert_eq!(shown["bound"]["pid"], pid);
    assert_eq!(shown["bound"]["alive"], true);
    assert!(works(daemon, &second_session), "{meanwhile:?}");
    drop(second);
}

#[test]
#[ignore = "needs a namespace of processes of its own"]
fn in_a_namespace() {
    let (_authority, _upstream, mut daemon) = signed_in(&json!({}));
    let helper = line(&daemon, "session headers --client claude");
    let script = format!("read go; {helper}; read end");
    let agent = program(&daemon, "claude", &script);
    for meanwhile in [Meanwhile::Running, Meanwhile::Stopped, Meanwhile::Gone] {
        succession(&mut daemon, &agent, meanwhile);
    }
}
