//! `run`: the command is a real one, and what it finds is what it tells.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::away::with_another;
use crate::support::parts::{Agent, Daemon, signed_in};
use crate::support::traffic::works;

/// A shell that tells its pid and its credential, and then waits for a line.
const TELL: &str = "echo $$ $DOORWARD_SESSION; read line";

fn doorward(daemon: &Daemon, flags: &[&str], command: &[&str]) -> Command {
    let mut doorward = daemon.command();
    doorward.arg("run").args(flags).arg("--").args(command);
    doorward
}

/// A run whose command told who it is.
struct Told {
    child: Child,
    pid: u32,
    credential: String,
    _output: BufReader<ChildStdout>,
}

impl Told {
    fn by(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().expect("it starts");
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        let (pid, credential) = line.trim().split_once(' ').expect("two words");
        Self {
            child,
            pid: pid.parse().expect("a number"),
            credential: credential.to_owned(),
            _output: output,
        }
    }

    /// The public id, which is a part of the credential.
    fn id(&self) -> String {
        format!(
            "s_{}",
            self.credential.split('_').nth(1).expect("it has one")
        )
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn show(daemon: &Daemon, id: &str) -> Value {
    let (code, shown) = daemon.run(&["ctl", "show", id]);
    assert_eq!(code, 0, "{shown}");
    shown["item"].clone()
}

/// The session once it is over; one that never ends runs into the count.
fn over(daemon: &Daemon, id: &str) -> Value {
    let mut looks = (0..2000).map(|_| show(daemon, id));
    looks
        .find(|session| session["state"] == "revoked")
        .expect("it ends")
}

fn told(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_agent_has_a_session_of_its_own_that_ends_with_it() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let mut told = Told::by(doorward(
        &daemon,
        &["--upstream", "ev"],
        &["sh", "-c", TELL],
    ));
    assert_eq!(told.pid, told.child.id(), "it took this process over");
    let session = show(&daemon, &told.id());
    assert_eq!(session["bound"]["pid"], told.pid);
    assert_eq!(session["bound"]["exe"], "sh");
    assert_eq!(session["origin"], "run");
    assert_eq!(session["client"]["name"], "sh");
    assert_eq!(session["grant"][0]["upstream"], "ev");
    let label = session["label"].as_str().expect("a label");
    assert!(label.starts_with("sh · "), "{label}");
    let agent = Agent::known(told.id(), told.credential.clone());
    assert!(works(&daemon, &daemon.shake_hands(agent)));

    let mut input = told.child.stdin.take().expect("piped");
    input.write_all(b"\n").expect("it reads");
    assert!(told.child.wait().expect("it ends").success());
    assert_eq!(over(&daemon, &told.id())["ended_by"], "process_exit");
}

#[cfg(target_os = "linux")]
#[test]
fn ls_credential_delivery_in_the_environment_and_nowhere_else() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let told = Told::by(doorward(&daemon, &[], &["sh", "-c", TELL]));
    let proc = |name: &str| {
        let bytes = std::fs::read(format!("/proc/{}/{name}", told.pid)).expect("ours");
        String::from_utf8_lossy(&bytes).replace('\0', "\n")
    };
    assert!(!proc("cmdline").contains(&told.credential));
    let environment = proc("environ");
    let lines: Vec<_> = environment.lines().collect();
    let socket = daemon.state().join("doorward.sock");
    for line in [
        format!("DOORWARD_SESSION={}", told.credential),
        format!("DOORWARD_URL={}", daemon.url),
        format!("DOORWARD_URL_EV={}/u/ev", daemon.url),
        format!("DOORWARD_SOCKET={}", socket.display()),
    ] {
        assert!(
            lines.contains(&line.as_str()),
            "{line} is not in {environment}"
        );
    }
    assert!(!daemon.log().contains(&told.credential));
    for file in std::fs::read_dir(daemon.state())
        .expect("a directory")
        .flatten()
    {
        if file.file_type().expect("known").is_file() {
            let bytes = std::fs::read(file.path()).expect("readable");
            let text = String::from_utf8_lossy(&bytes);
            assert!(
                !text.contains(&told.credential),
                "{}",
                file.path().display()
            );
        }
    }
}

#[test]
fn exit_codes_and_signals_are_the_commands_own() {
    let daemon = Daemon::start();
    let output = doorward(&daemon, &["-q"], &["sh", "-c", "cat; exit 42"]);
    let output = { output }.stdin(Stdio::null()).output().expect("it runs");
    assert_eq!(
        (output.status.code(), told(&output).as_str()),
        (Some(42), "")
    );

    let trap = format!("trap 'exit 7' TERM; {TELL}");
    let mut trapped = Told::by(doorward(&daemon, &[], &["sh", "-c", &trap]));
    let pid = rustix::process::Pid::from_child(&trapped.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("ours");
    assert_eq!(trapped.child.wait().expect("it ends").code(), Some(7));

    let mut killed = Told::by(doorward(&daemon, &[], &["sh", "-c", TELL]));
    killed.child.kill().expect("it runs");
    assert_eq!(killed.child.wait().expect("it ended").signal(), Some(9));
    for id in [trapped.id(), killed.id()] {
        assert_eq!(over(&daemon, &id)["ended_by"], "process_exit");
    }
}

#[test]
fn a_command_that_cannot_be_run_leaves_no_session() {
    let daemon = Daemon::start();
    let folder = daemon.state();
    let folder = folder.to_str().expect("text");
    for (command, code, word) in [
        (
            "no-such-command-at-all",
            127,
            "there is no command no-such-command-at-all",
        ),
        (folder, 126, "cannot be run"),
    ] {
        let output = doorward(&daemon, &[], &[command])
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
        assert!(told(&output).contains(word), "{}", told(&output));
    }
    let (_, sessions) = daemon.run(&["ctl", "sessions", "--all"]);
    let sessions = sessions["items"].as_array().expect("a list");
    assert_eq!(sessions.len(), 2);
    for session in sessions {
        assert_eq!(session["state"], "revoked", "{session}");
    }
}

#[test]
fn what_fails_before_the_command_begins_has_a_code_of_its_own() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let run = |flags: &[&str]| {
        doorward(&daemon, flags, &["true"])
            .output()
            .expect("it runs")
    };
    let output = run(&["--upstream", "evv"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(
        told(&output).contains("did you mean ev"),
        "{}",
        told(&output)
    );
    let output = run(&["--no-such-flag"]);
    assert_eq!(output.status.code(), Some(2));
    // An upstream that is not signed in to holds nobody up.
    assert_eq!(daemon.run(&["logout", "ev"]).0, 0);
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        told(&output).contains(&daemon.typed("login ev")),
        "{}",
        told(&output)
    );
}

#[test]
fn inside_of_a_session_there_is_another_one_only_on_request_and_never_a_wider_one() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    with_another(&daemon);
    let outer = Told::by(doorward(
        &daemon,
        &["--upstream", "ev"],
        &["sh", "-c", TELL],
    ));
    let inside = |flags: &[&str]| {
        let mut command = doorward(&daemon, flags, &["sh", "-c", TELL]);
        command.env("DOORWARD_SESSION", &outer.credential);
        command
    };
    let output = inside(&[]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(6));
    let said = told(&output);
    assert!(
        said.contains(&format!(
            "already inside session {} of doorward",
            outer.id()
        )),
        "{said}"
    );
    let output = inside(&["--nested", "--upstream", "two"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(125));
    assert!(
        told(&output).contains("may not use two"),
        "{}",
        told(&output)
    );

    let mut command = inside(&["--nested"]);
    let output = command
        .env("DOORWARD_SESSION", "of something else")
        .output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(125), "nothing would limit it");

    let nested = Told::by(inside(&["--nested"]));
    let session = show(&daemon, &nested.id());
    assert_eq!(session["origin"], "nested");
    let names = |session: &Value| session["grant"].clone();
    assert_eq!(names(&session), names(&show(&daemon, &outer.id())));
    assert_eq!(session["grant"].as_array().expect("a list").len(), 1);
}

#[test]
fn agents_that_can_be_told_are_told_of_their_servers() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    // A program of the agent's name that tells what it was given.
    let agent = daemon.state().join("codex");
    let script = "#!/bin/sh\nfor word; do echo \"$word\"; done\n";
    std::fs::write(&agent, script).expect("written");
    std::fs::set_permissions(&agent, Permissions::from_mode(0o700)).expect("ours");
    let agent = agent.to_str().expect("text");
    let words = |flags: &[&str]| {
        let output = doorward(&daemon, flags, &[agent, "exec", "a prompt"]).output();
        String::from_utf8(output.expect("it runs").stdout).expect("text")
    };
    let given = words(&[]);
    let url = format!("mcp_servers.ev.url=\"{}/u/ev\"", daemon.url);
    let variable = "mcp_servers.ev.bearer_token_env_var=\"DOORWARD_SESSION\"";
    let fields = "mcp_servers.ev.http_headers={doorward-errors=\"result\"}";
    let expected = ["-c", &url, "-c", variable, "-c", fields, "exec", "a prompt"];
    assert_eq!(given.lines().collect::<Vec<_>>(), expected);
    assert_eq!(words(&["--no-inject"]), "exec\na prompt\n");
    assert_eq!(words(&["--client", "none"]), "exec\na prompt\n");
}

#[test]
fn an_entry_of_that_name_stays_beside_ours() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("config.toml");
    let print = || {
        let mut command = doorward(&daemon, &["--print"], &["codex", "exec"]);
        let output = command
            .env("CODEX_HOME", home.path())
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", told(&output));
        (
            String::from_utf8(output.stdout.clone()).expect("text"),
            told(&output),
        )
    };
    std::fs::write(&file, "[mcp_servers.ev]\ncommand = \"mine\"\n").expect("written");
    let (shown, hint) = print();
    assert!(shown.contains("mcp_servers.doorward-ev.url"), "{shown}");
    assert!(!shown.contains("mcp_servers.ev."), "{shown}");
    assert!(
        hint.contains("ev is called doorward-ev in this run"),
        "{hint}"
    );
    // What `connect` has written is told already, and Codex takes no address beside a command.
    std::fs::remove_file(&file).expect("there");
    let mut connect = daemon.command();
    let connect = connect.args(["connect", "codex", "--yes"]);
    let output = connect.env("CODEX_HOME", home.path()).output();
    assert!(output.expect("it runs").status.success());
    let (shown, _) = print();
    assert!(!shown.contains("mcp_servers"), "{shown}");
    // One that cannot be read keeps nobody from working.
    std::fs::write(&file, "[[[").expect("written");
    let (shown, _) = print();
    assert!(shown.contains("mcp_servers.ev.url"), "{shown}");
}

#[test]
fn agents_that_take_files_or_commands_only_are_pointed_to_ours() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let agent = |name: &str, script: &str| {
        let path = daemon.state().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("ours");
        path
    };
    let output = |path: &std::path::Path, words: &[&str]| {
        let path = path.to_str().expect("text");
        doorward(&daemon, &[], &[&[path], words].concat())
            .output()
            .expect("it runs")
    };
    let text = |output: std::process::Output| String::from_utf8(output.stdout).expect("text");
    // Temporary directories are everybody's, so that it would skip what is there.
    let gemini = agent("gemini", "echo \"$GEMINI_CLI_SYSTEM_SETTINGS_PATH.\"");
    let run = output(&gemini, &[]);
    assert!(told(&run).contains("from root only"), "{}", told(&run));
    assert_eq!(text(run), ".\n", "it is run all the same");

    // goose starts the command itself, and the server behind it answers.
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"goose","version":"0"}}}"#;
    let goose = agent(
        "goose",
        &format!("test $1$2 = run--with-extension && echo '{hello}' | $3"),
    );
    let answer = text(output(&goose, &["run"]));
    let answer: Value = serde_json::from_str(&answer).expect("JSON-RPC");
    assert!(answer["result"]["serverInfo"].is_object(), "{answer}");
    assert_eq!(text(output(&goose, &["configure"])), "");
}

#[test]
fn what_is_shown_is_not_done_and_what_is_kept_is_not_ended() {
    let daemon = Daemon::start();
    let output = doorward(&daemon, &["--print"], &["touch", "x"])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("DOORWARD_SESSION=dw_…\n"), "{text}");
    assert!(text.ends_with("touch x\n"), "{text}");
    let (_, sessions) = daemon.run(&["ctl", "sessions", "--all"]);
    assert_eq!(sessions["items"], json!([]));
    let kept = doorward(&daemon, &["--keep", "--label", "kept"], &["true"]);
    assert!({ kept }.status().expect("it runs").success());
    let (_, sessions) = daemon.run(&["ctl", "sessions"]);
    assert_eq!(sessions["items"][0]["label"], "kept");
    assert_eq!(sessions["items"][0]["bound"], Value::Null);
}

#[cfg(target_os = "linux")]
#[test]
fn a_daemon_that_it_starts_is_no_child_of_the_agent() {
    let mut daemon = Daemon::start();
    let (_, credential) = daemon.mint("another agent");
    assert_eq!(daemon.run(&["down"]).0, 0);
    daemon.forget();
    let config = daemon.state().join("config.toml");
    let text = std::fs::read_to_string(&config).expect("a file");
    std::fs::write(&config, format!("{text}[server]\nport = 0\n")).expect("written");
    let mut run = doorward(&daemon, &["--nested"], &["sh", "-c", TELL]);
    run.env("DOORWARD_SESSION", &credential);
    let told = Told::by(run);
    let (code, status) = daemon.run(&["status"]);
    assert_eq!(code, 0, "{status}");
    let pid = &status["daemon"]["pid"];
    let line = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let parent = line.lines().find_map(|line| line.strip_prefix("PPid:"));
    assert_ne!(parent.expect("a line").trim(), told.pid.to_string());
    let environment = std::fs::read(format!("/proc/{pid}/environ")).expect("ours");
    assert!(!String::from_utf8_lossy(&environment).contains("DOORWARD_SESSION"));
    assert_eq!(show(&daemon, &told.id())["bound"]["alive"], true);
}
