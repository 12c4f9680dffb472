//! `session headers`, `session env` and `session renew`: whoever calls gets a session that is its
//! own, the same one again, and over with it.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::away::with_another;
use crate::support::parts::{Agent, Daemon, signed_in};
use crate::support::scripts::{Running, bearer, id_of, line, plain, program};
use crate::support::traffic::{echo, works};

fn show(daemon: &Daemon, id: &str) -> Value {
    let (code, shown) = daemon.run(&["session", "show", id]);
    assert_eq!(code, 0, "{shown}");
    shown["item"].clone()
}

fn headers(daemon: &Daemon, more: &[&str]) -> Output {
    let mut command = daemon.command();
    let command = command.args(["session", "headers"]).args(more);
    command.output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The session once it is over; one that never ends runs into the count.
fn over(daemon: &Daemon, id: &str) -> Value {
    let mut looks = (0..2000).map(|_| show(daemon, id));
    looks
        .find(|session| session["state"] == "revoked")
        .expect("it ends")
}

#[test]
fn headers_are_of_one_session_that_ends_with_the_agent_program() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let helper = line(&daemon, "session headers --client claude");
    let script = format!("{helper}; read a; sh -c 'true; {helper}'; read b");
    let claude = program(&daemon, "claude", &script);
    let mut claude = Running::start(plain(&claude));
    let credential = bearer(&claude.line());
    let session = show(&daemon, &id_of(&credential));
    assert_eq!(session["bound"]["pid"], claude.child.id());
    assert_eq!(session["origin"], "helper");
    assert_eq!(session["client"]["name"], "claude");
    let label = session["label"].as_str().expect("a label");
    assert!(label.starts_with("claude · "), "{label}");
    claude.on();
    assert_eq!(bearer(&claude.line()), credential, "the same one again");
    let agent = Agent::known(id_of(&credential), credential.clone());
    assert!(works(&daemon, &daemon.shake_hands(agent)));
    claude.on();
    assert!(claude.child.wait().expect("it ends").success());
    let ended = over(&daemon, &id_of(&credential));
    assert_eq!(ended["ended_by"], "process_exit");
    assert!(!daemon.log().contains(&credential));
}

#[test]
fn helpers_that_run_at_the_same_time_get_the_same_session() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let helper = line(&daemon, "session headers --client agent");
    let all = format!("{helper} & {helper} & {helper} & {helper} & wait; read a");
    let mut agent = Running::start(plain(&program(&daemon, "agent", &all)));
    let got: Vec<String> = (0..4).map(|_| bearer(&agent.line())).collect();
    assert!(got.iter().all(|it| *it == got[0]), "{got:?}");
    let (_, sessions) = daemon.run(&["session", "list"]);
    assert_eq!(sessions["items"].as_array().map(Vec::len), Some(1));
}

/// What a program that has no session of its own is given.
fn asked(daemon: &Daemon) -> String {
    let output = headers(daemon, &["--client", "x"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    bearer(&text(&output.stdout))
}

#[test]
fn a_restart_costs_nobody_a_credential_and_leaves_one_session_a_process() {
    let (_authority, _upstream, mut daemon) = signed_in(&json!({}));
    let first = asked(&daemon);
    assert_eq!(asked(&daemon), first);
    daemon.kill();
    daemon.serve();
    let second = asked(&daemon);
    assert_ne!(second, first, "no disk holds a credential");
    assert_eq!(asked(&daemon), second);
    daemon.kill();
    daemon.serve();
    let id = id_of(&first);
    assert_eq!(id_of(&second), id);
    let agents = [first, second].map(|it| daemon.shake_hands(Agent::known(id.clone(), it)));
    assert!(agents.iter().all(|agent| works(&daemon, agent)));
    let (_, sessions) = daemon.run(&["session", "list", "--all"]);
    assert_eq!(
        sessions["items"].as_array().map(Vec::len),
        Some(1),
        "{sessions}"
    );
    let (code, _) = daemon.run(&["session", "revoke", &id]);
    assert_eq!(code, 0);
    for agent in &agents {
        assert_eq!(
            echo(&daemon, agent).0,
            401,
            "both are credentials of the one session"
        );
    }
}

#[test]
fn what_a_person_revoked_is_not_back_by_itself() {
    let (_authority, _upstream, mut daemon) = signed_in(&json!({}));
    let id = id_of(&asked(&daemon));
    let (code, _) = daemon.run(&["session", "revoke", &id, "--reason", "it ran wild"]);
    assert_eq!(code, 0);
    let refused = |daemon: &Daemon| {
        let output = headers(daemon, &["--client", "x"]);
        assert_eq!(
            (output.status.code(), text(&output.stdout)),
            (Some(1), String::new())
        );
        let said = text(&output.stderr);
        assert!(said.contains(&id) && said.contains("it ran wild"), "{said}");
        assert!(said.contains("start x anew"), "{said}");
    };
    refused(&daemon);
    daemon.kill();
    daemon.serve();
    refused(&daemon);
    // The program that is started anew is another process.
    let helper = line(&daemon, "session headers --client x");
    let mut anew = Running::start(plain(&program(&daemon, "x", &format!("{helper}; read a"))));
    assert_ne!(id_of(&bearer(&anew.line())), id);
}

#[test]
fn inside_of_a_run_the_agent_has_the_session_of_the_run_already() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    with_another(&daemon);
    let helper = line(&daemon, "session headers --client claude");
    let wide = line(&daemon, "session headers --client claude --upstream two");
    let script = format!("echo $DOORWARD_SESSION; {helper}; {wide}; echo $?; read a");
    let claude = program(&daemon, "claude", &script);
    let mut run = daemon.command();
    run.args(["run", "--upstream", "ev", "--"]).arg(&claude);
    let mut run = Running::start(run);
    let credential = run.line();
    assert_eq!(bearer(&run.line()), credential);
    assert_eq!(run.line(), "5", "no more than the session around it");
    // Another process inside of that session gets one of its own, with the same limits.
    let mut other = daemon.command();
    let other = other.env("DOORWARD_SESSION", &credential);
    let output = other
        .args(["session", "headers"])
        .output()
        .expect("it runs");
    let nested = bearer(&text(&output.stdout));
    assert_ne!(nested, credential);
    let session = show(&daemon, &id_of(&nested));
    assert_eq!(session["origin"], "nested");
    assert_eq!(
        session["grant"],
        json!([{"upstream": "ev", "account": "default"}])
    );
    // And nobody gets out of a session by its end.
    let (code, _) = daemon.run(&["ctl", "revoke", &id_of(&credential)]);
    assert_eq!(code, 0);
    let mut after = daemon.command();
    let after = after.env("DOORWARD_SESSION", &credential);
    let output = after
        .args(["session", "headers"])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    assert!(said.contains("unset DOORWARD_SESSION"), "{said}");
}

#[test]
fn where_there_are_no_headers_there_is_nothing_on_standard_output() {
    let (_authority, _upstream, mut daemon) = signed_in(&json!({}));
    let output = headers(&daemon, &["--upstream", "evv", "-o", "json"]);
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(text(&output.stdout), "");
    let said = text(&output.stderr);
    assert!(said.contains("did you mean ev"), "{said}");
    // A daemon that is away is started, and says nothing there either.
    assert_eq!(daemon.run(&["down"]).0, 0);
    daemon.forget();
    let config = daemon.state().join("config.toml");
    let written = std::fs::read_to_string(&config).expect("a file");
    std::fs::write(&config, format!("{written}[server]\nport = 0\n")).expect("written");
    let output = headers(&daemon, &["--json"]);
    bearer(&text(&output.stdout));
    assert_eq!(daemon.run(&["down"]).0, 0);
    std::fs::write(&config, "nonsense").expect("written");
    let output = headers(&daemon, &["--json"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn a_shell_is_given_a_session_of_its_own() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let env = line(&daemon, "session env -q");
    let eval = format!("eval \"$({env})\"; echo $DOORWARD_SESSION");
    let script =
        format!("{eval}; {eval}; echo $DOORWARD_URL_EV; (unset DOORWARD_SESSION; {eval}); read a");
    for shell in ["sh", "bash"] {
        let mut command = Command::new(shell);
        command.args(["-c", &script]).env_remove("DOORWARD_SESSION");
        let mut shell = Running::start(command);
        let credential = shell.line();
        let session = show(&daemon, &id_of(&credential));
        assert_eq!(session["bound"]["pid"], shell.child.id());
        assert_eq!(session["origin"], "env");
        assert_eq!(shell.line(), credential, "the same one again");
        assert_eq!(shell.line(), format!("{}/u/ev", daemon.url));
        assert_eq!(shell.line(), credential, "a copy of the shell is the shell");
        shell.on();
        assert!(shell.child.wait().expect("it ends").success());
        over(&daemon, &id_of(&credential));
    }
    let output = daemon
        .command()
        .args(["session", "env", "-o", "json"])
        .output();
    let output = output.expect("it runs");
    let all: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(all["DOORWARD_URL"], daemon.url);
    let credential = all["DOORWARD_SESSION"].as_str().expect("a text");
    assert_eq!(show(&daemon, &id_of(credential))["state"], "idle");
    let mut fish = daemon.command();
    let output = fish.args(["session", "env", "--shell", "fish"]).output();
    let lines = text(&output.expect("it runs").stdout);
    assert!(
        lines
            .lines()
            .all(|line| line.starts_with("set -gx DOORWARD_")),
        "{lines}"
    );
}

#[test]
fn a_session_can_be_renewed_while_it_lives() {
    let daemon = Daemon::start();
    let (id, _) = daemon.mint("renewed");
    let before = show(&daemon, &id);
    let (code, renewed) = daemon.run(&["session", "renew", &id]);
    assert_eq!(code, 0, "{renewed}");
    let later = |name: &str| {
        let [old, new] = [&before, &renewed["item"]].map(|it| it[name].as_str().expect("a time"));
        old <= new
    };
    assert!(later("expires_at") && later("idle_expires_at"));
    assert_eq!(renewed["item"]["counters"]["calls"], 0, "it is no call");
    let (code, _) = daemon.run(&["session", "renew", "s_000000"]);
    assert_eq!(code, 5);
    let (code, _) = daemon.run(&["ctl", "revoke", &id]);
    assert_eq!(code, 0);
    let (code, refused) = daemon.run(&["session", "renew", &id]);
    assert_eq!(code, 1, "{refused}");
    assert_eq!(refused["error"]["code"], "session_revoked");
    assert_eq!(show(&daemon, &id)["state"], "revoked");
}
