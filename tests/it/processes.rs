//! Sessions that belong to a process: they end with it, whoever ends it and however, and also
//! while no daemon runs. The processes are real ones.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{WaitId, WaitIdOptions, waitid};
use serde_json::{Value, json};

use crate::support::alone::{alone, pass};
use crate::support::parts::{Agent, Daemon, signed_in};
use crate::support::traffic::{echo, works};

/// A process that ends when its standard input does.
struct Program(Child);

impl Program {
    fn command() -> Command {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command
    }

    fn start() -> Self {
        Self(Self::command().spawn().expect("it starts"))
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    /// Ends it without a chance to say so; a zombie is left.
    fn kill(&mut self) {
        self.0.kill().expect("it ran");
        let pid = rustix::process::Pid::from_child(&self.0);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), options).expect("it ended");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An agent whose session is bound to a process.
fn bound(daemon: &Daemon, program: &Program, more: &[&str]) -> Agent {
    let pid = program.pid();
    let mint = ["session", "mint", "--bind-pid", &pid];
    let (code, minted) = daemon.run(&[&mint, more].concat());
    assert_eq!(code, 0, "{minted}");
    assert_eq!(minted["session"]["bound"]["pid"].to_string(), pid);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (id, credential) = (&minted["session"]["id"], &minted["credential"]);
    daemon.shake_hands(Agent::known(text(id), text(credential)))
}

fn show(daemon: &Daemon, agent: &Agent) -> Value {
    let (code, shown) = daemon.run(&["ctl", "show", &agent.id]);
    assert_eq!(code, 0, "{shown}");
    shown["item"].clone()
}

/// Reads to the end of a stream; one that goes on runs into its time limit.
fn until_it_ends(mut stream: TcpStream) {
    let mut rest = Vec::new();
    if let Err(error) = stream.read_to_end(&mut rest) {
        let kind = error.kind();
        assert_ne!(kind, std::io::ErrorKind::WouldBlock, "the stream went on");
    }
}

#[test]
fn seed_s2_06_process_exit_ends_the_session_and_cuts_its_streams() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let mut program = Program::start();
    let agent = bound(&daemon, &program, &["--label", "one"]);
    let other = daemon.agent("another one");
    let open = agent.listens(&daemon);
    assert!(works(&daemon, &agent));
    assert_eq!(show(&daemon, &agent)["bound"]["alive"], true);
    program.kill();
    until_it_ends(open);

    let (status, body) = echo(&daemon, &agent);
    assert_eq!(status, 401);
    assert!(body.contains("session_revoked"), "{body}");
    assert!(body.contains("process ended"), "{body}");
    let ended = show(&daemon, &agent);
    assert_eq!(ended["state"], "revoked");
    assert_eq!(ended["ended_by"], "process_exit");
    assert_eq!(ended["bound"]["alive"], false);
    assert!(works(&daemon, &other), "the others feel nothing");
}

/// A shell with this script, whose output is read line by line.
fn shell(script: &str) -> (Program, BufReader<ChildStdout>) {
    let mut command = Command::new("sh");
    let command = command.args(["-c", script]).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    (Program(child), output)
}

fn line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    output.read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}

#[test]
fn a_process_that_becomes_another_program_is_the_same_one() {
    let (_authority, _upstream, mut daemon) = signed_in(&json!({}));
    let (mut program, mut output) = shell("read go; exec cat");
    let agent = bound(&daemon, &program, &[]);
    let mut input = program.0.stdin.take().expect("piped");
    input.write_all(b"go\nit is cat now\n").expect("it reads");
    assert_eq!(line(&mut output), "it is cat now");
    assert!(works(&daemon, &agent));
    assert_eq!(show(&daemon, &agent)["bound"]["alive"], true);
    // Also to a daemon that has never seen it as the program that it was.
    daemon.kill();
    daemon.serve();
    assert!(works(&daemon, &agent));
    let open = agent.listens(&daemon);
    drop(input);
    until_it_ends(open);
    assert_eq!(show(&daemon, &agent)["ended_by"], "process_exit");
}

#[test]
fn what_a_process_leaves_behind_does_not_keep_its_session() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    // Forked twice: nobody above it waits for it.
    let left = "(sleep 600 </dev/null >/dev/null 2>&1 & echo $!)";
    let (mut program, mut output) = shell(&format!("{left}; read go"));
    let pid: i32 = line(&mut output).parse().expect("a pid");
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    let agent = bound(&daemon, &program, &[]);
    let open = agent.listens(&daemon);
    drop(program.0.stdin.take());
    until_it_ends(open);
    assert_eq!(show(&daemon, &agent)["ended_by"], "process_exit");
    assert_eq!(echo(&daemon, &agent).0, 401);
    let kill = rustix::process::Signal::KILL;
    rustix::process::kill_process(pid, kill).expect("it lives on");
}

#[test]
fn sessions_whose_process_ended_without_a_daemon_are_over_at_the_next_start() {
    let (_authority, _upstream, mut daemon) = signed_in(&json!({}));
    let (mut goes, mut stays) = (Program::start(), Program::start());
    let (dead, alive) = (bound(&daemon, &goes, &[]), bound(&daemon, &stays, &[]));
    daemon.kill();
    goes.kill();
    daemon.serve();
    assert_eq!(echo(&daemon, &dead).0, 401, "from the first request on");
    assert_eq!(show(&daemon, &dead)["ended_by"], "process_exit");
    assert!(works(&daemon, &alive));
    assert_eq!(show(&daemon, &alive)["bound"]["alive"], true);
    // The new daemon waits for its end as the one before did.
    let open = alive.listens(&daemon);
    stays.kill();
    until_it_ends(open);
    assert_eq!(show(&daemon, &alive)["ended_by"], "process_exit");
}

#[test]
fn no_session_is_bound_to_a_process_that_is_gone_or_of_another_user() {
    let daemon = Daemon::start();
    let mint = |pid: &str| {
        let (code, refused) = daemon.run(&["session", "mint", "--bind-pid", pid]);
        assert_eq!(
            (code, &refused["error"]["code"]),
            (5, &json!("process_unusable"))
        );
        refused["error"]["why"]
            .as_str()
            .expect("a reason")
            .to_owned()
    };
    let mut program = Program::start();
    program.kill();
    assert_eq!(mint(&program.pid()), "there is no such process", "a zombie");
    let pid = program.pid();
    drop(program);
    assert_eq!(mint(&pid), "there is no such process");
    let foreign = rustix::process::getuid().is_root().then(|| {
        let mut command = Program::command();
        Program(command.uid(65534).spawn().expect("root may"))
    });
    // The first process belongs to root, and is somebody else's where we are not.
    let pid = foreign.as_ref().map_or("1".to_owned(), Program::pid);
    assert_eq!(mint(&pid), "it belongs to another user");
    let (_, sessions) = daemon.run(&["ctl", "sessions", "--all"]);
    assert_eq!(sessions["items"], json!([]), "nothing was minted");
}

#[test]
fn seed_s2_07_a_new_session_of_a_process_and_label_replaces_the_older_one() {
    let (_authority, _upstream, mut daemon) = signed_in(&json!({}));
    let (one, two) = (Program::start(), Program::start());
    let label = ["--label", "a thread"];
    let older = bound(&daemon, &one, &label);
    let kept = [
        bound(&daemon, &one, &["--label", "another thread"]),
        bound(&daemon, &one, &[]),
        bound(&daemon, &two, &label),
        daemon.agent("a thread"),
    ];
    let open = older.listens(&daemon);
    let newer = bound(&daemon, &one, &label);
    until_it_ends(open);
    let (status, body) = echo(&daemon, &older);
    assert_eq!(status, 401);
    assert!(body.contains(&newer.id), "it tells which one: {body}");
    assert_eq!(show(&daemon, &older)["ended_by"], "policy");
    assert!(works(&daemon, &newer));

    // The end was on the disk before the new credential was known.
    daemon.kill();
    daemon.serve();
    assert_eq!(echo(&daemon, &older).0, 401);
    assert_eq!(show(&daemon, &older)["ended_by"], "policy");
    for agent in kept.iter().chain([&newer]) {
        assert!(works(&daemon, agent), "{}", agent.id);
    }
}

#[test]
fn of_many_sessions_minted_at_once_for_a_process_and_label_one_is_left() {
    let daemon = Daemon::start();
    let program = Program::start();
    let pid = program.pid();
    let mints: Vec<_> = (0..8)
        .map(|_| {
            let mut command = daemon.command();
            command.args(["session", "mint", "--bind-pid", &pid, "-o", "json", "-q"]);
            command.stdout(Stdio::null()).spawn().expect("it starts")
        })
        .collect();
    for mut mint in mints {
        assert!(mint.wait().expect("it ends").success());
    }
    let count = |arguments: &[&str]| {
        let (_, sessions) = daemon.run(arguments);
        sessions["items"].as_array().expect("a list").len()
    };
    assert_eq!(count(&["ctl", "sessions", "--all"]), 8);
    assert_eq!(count(&["ctl", "sessions"]), 1);
}

#[test]
fn running_out_of_descriptors_is_not_the_end_of_a_process() {
    pass(&mut alone("processes::without_descriptors"));
}

#[test]
#[ignore = "needs a process of its own, whose descriptors run out"]
fn without_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let own = doorward::process::find(std::process::id()).expect("it is ours");
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = Some(0);
        setrlimit(Resource::Nofile, limit).expect("less is always allowed");
        assert!(doorward::process::lives(&own).is_err(), "nothing is known");
        let end = doorward::process::ended(&own);
        tokio::pin!(end);
        assert!(futures_util::poll!(&mut end).is_pending(), "it lives");
    });
}
