//! `.doorward.toml`: a project takes away from what a person has, wherever a session is given out,
//! and adds nothing.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::parts::Daemon;

/// A daemon with three upstreams that ask for nothing and are not there.
fn daemon() -> Daemon {
    let daemon = Daemon::start();
    for name in ["one", "two", "three"] {
        let url = format!("https://{name}.example/mcp");
        let (code, answer) = daemon.run(&["upstream", "add", name, &url, "--auth", "none"]);
        assert_eq!(code, 0, "{answer}");
    }
    daemon
}

/// A directory somewhere in a project with this file.
fn project(daemon: &Daemon, text: &str) -> PathBuf {
    let deep = daemon.state().join("../project/deep");
    std::fs::create_dir_all(&deep).expect("made");
    std::fs::write(deep.join("../.doorward.toml"), text).expect("written");
    deep
}

fn run(daemon: &Daemon, at: &Path, words: &[&str]) -> Output {
    let mut command = daemon.command();
    command.current_dir(at).args(words).stdin(Stdio::null());
    command.output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn sessions(daemon: &Daemon) -> Vec<Value> {
    let (_, sessions) = daemon.run(&["ctl", "sessions", "--all"]);
    sessions["items"].as_array().expect("a list").clone()
}

/// What the newest session may reach.
fn grant(daemon: &Daemon) -> Vec<String> {
    let sessions = sessions(daemon);
    let newest = sessions.last().expect("there is one");
    let names = newest["grant"].as_array().expect("a list").iter();
    assert_eq!(newest["grant_all"], false);
    names
        .map(|it| it["upstream"].as_str().expect("text").to_owned())
        .collect()
}

/// How long it lives on after a use.
fn hours(session: &Value) -> i64 {
    let [end, start] = ["expires_at", "created_at"].map(|name| {
        let text = session[name].as_str().expect("a text");
        text.parse::<jiff::Timestamp>().expect("a time").as_second()
    });
    (end - start + 1800) / 3600
}

#[test]
fn a_run_in_a_project_reaches_what_the_project_leaves() {
    let daemon = daemon();
    let text_of = "upstreams = [\"two\", \"gone\"]\nlabel = \"web\"\nttl = \"2h\"\n";
    let at = project(&daemon, text_of);
    let output = run(&daemon, &at, &["run", "--", "env"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    assert!(
        told.contains("DOORWARD_URL_TWO=") && !told.contains("DOORWARD_URL_ONE="),
        "{told}"
    );
    let said = text(&output.stderr);
    assert!(
        said.contains("also names gone"),
        "a hint, and no error: {said}"
    );
    assert_eq!(grant(&daemon), ["two"]);
    let session = &sessions(&daemon)[0];
    assert_eq!(session["label"], "env · web");
    // What is shown agrees with what is done.
    let output = run(&daemon, &at, &["run", "--print", "--", "env"]);
    let shown = text(&output.stdout);
    assert!(
        shown.contains("DOORWARD_URL_TWO=") && !shown.contains("DOORWARD_URL_ONE="),
        "{shown}"
    );
    // A person's own word goes before the file, all but its time.
    let output = run(
        &daemon,
        &at,
        &["run", "--upstream", "one", "--ttl", "9h", "--", "true"],
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(grant(&daemon), ["one"]);
    let newest = sessions(&daemon).pop().expect("there is one");
    assert_eq!(hours(&newest), 2);
    // Outside of it nothing is taken away.
    run(&daemon, &daemon.state(), &["run", "--", "true"]);
    assert_eq!(
        sessions(&daemon).pop().expect("there is one")["grant_all"],
        true
    );
}

#[test]
fn what_agents_are_configured_with_is_no_way_around_a_project() {
    let daemon = daemon();
    let at = project(&daemon, "upstreams = [\"two\"]\n");
    let output = run(&daemon, &at, &["session", "headers"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(grant(&daemon), ["two"]);
    let output = run(&daemon, &at, &["session", "env", "-o", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(grant(&daemon), ["two"]);
    let before = sessions(&daemon).len();
    for words in [
        &["session", "headers", "--upstream", "one"][..],
        &["session", "headers", "--upstream", "two,one"],
        &["bridge", "one"],
    ] {
        let output = run(&daemon, &at, words);
        assert_eq!(output.status.code(), Some(6), "{words:?}");
        assert_eq!(text(&output.stdout), "");
        let said = text(&output.stderr);
        assert!(said.contains("one is left out in this project"), "{said}");
        assert!(said.contains(".doorward.toml does not name it"), "{said}");
    }
    assert_eq!(sessions(&daemon).len(), before, "none was minted");
    let output = run(&daemon, &at, &["bridge", "two"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_project_never_widens() {
    let daemon = daemon();
    let config = daemon.state().join("config.toml");
    let written = std::fs::read_to_string(&config).expect("a file");
    let narrow = "[sessions]\ndefault_grant = [\"one\", \"two\"]\nttl = \"1h\"\n";
    std::fs::write(&config, format!("{written}{narrow}")).expect("written");
    let (code, answer) = daemon.run(&["ctl", "reload"]);
    assert_eq!(code, 0, "{answer}");
    let all = "upstreams = [\"one\", \"three\"]\nttl = \"90d\"\n";
    let at = project(&daemon, all);
    let output = run(&daemon, &at, &["run", "--", "true"]);
    assert!(
        text(&output.stderr).contains("also names three"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(grant(&daemon), ["one"]);
    assert_eq!(hours(&sessions(&daemon).pop().expect("there is one")), 1);

    // Inside of a session it is that one that is narrowed.
    let (_, credential) = daemon.mint("outer");
    let mut nested = daemon.command();
    nested.current_dir(&at).env("DOORWARD_SESSION", credential);
    let output = nested.args(["run", "--nested", "--", "true"]).output();
    assert!(output.expect("it runs").status.success());
    assert_eq!(grant(&daemon), ["one"]);

    // A file that asks for more is a mistake, and nobody is given anything.
    let before = sessions(&daemon).len();
    let evil = "upstreams = [\"one\"]\n[upstreams_more]\nurl = \"https://evil.example\"\n";
    let at = project(&daemon, evil);
    for (words, code) in [
        (&["run", "--", "true"][..], 125),
        (&["session", "headers"], 7),
        (&["session", "env"], 7),
        (&["bridge", "one"], 7),
    ] {
        let output = run(&daemon, &at, words);
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        assert_eq!(text(&output.stdout), "");
        let said = text(&output.stderr);
        assert!(said.contains(".doorward.toml:2:2"), "{said}");
    }
    assert_eq!(sessions(&daemon).len(), before, "none was minted");
    let at = project(&daemon, "upstreams = []\n");
    let output = run(&daemon, &at, &["run", "--", "true"]);
    let said = text(&output.stderr);
    assert!(said.contains("leaves no upstream"), "{said}");
    assert!(said.contains(" · nothing · "), "{said}");
    assert_eq!(grant(&daemon), [] as [String; 0]);
    assert_eq!(
        json!(sessions(&daemon).pop().expect("one")["grant"]),
        json!([])
    );
}
