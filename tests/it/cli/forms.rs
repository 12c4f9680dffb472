//! Forms of output: every answer to a program is a document, and what a command has not is refused.

use serde_json::{Value, json};

use super::stub::{account, status, stub};
use super::{Home, run};

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("no document: {text:?}"))
}

#[test]
fn what_was_typed_wrong_is_told_to_programs_as_well() {
    for typed in [
        &["--json", "bogus"][..],
        &["session", "mint", "--ttl", "banana", "--json"],
        &["status", "--nonsense", "-o", "json"],
        &["status", "--nonsense", "-ojson"],
        &["status", "--nonsense", "--output=json"],
    ] {
        let ran = run(Home::new().doorward().args(typed));
        assert_eq!(ran.code, 2, "{typed:?}");
        let told = document(&ran.out);
        assert_eq!(told["error"]["code"], "bad_request", "{told}");
        let why = told["error"]["why"].as_str().expect("a reason");
        assert!(!why.is_empty() && !why.contains("error:"), "{why}");
        assert_eq!(ran.err, "", "{typed:?}");
    }
    // What follows the dashes is another program's.
    let ran = run(Home::new()
        .doorward()
        .args(["run", "--bogus", "--", "x", "--json"]));
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
}

#[test]
fn a_form_that_a_command_has_not_is_refused() {
    for (typed, word) in [
        (&["status", "-o", "env"][..], "session mint"),
        (&["upstream", "list", "-o", "headers"], "session mint"),
        (&["session", "mint", "-o", "name"], "name"),
    ] {
        let ran = run(Home::new().doorward().args(typed));
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{typed:?}");
        assert!(ran.err.contains(word), "{}", ran.err);
    }
}

#[test]
fn every_document_says_which_one_it_is() {
    for typed in [
        &["down"][..],
        &["explain"],
        &["explain", "busy"],
        &["version"],
    ] {
        let ran = run(Home::new().doorward().args(typed).args(["-o", "json"]));
        assert_eq!(ran.code, 0, "{}", ran.err);
        let schema = document(&ran.out)["schema"].clone();
        let schema = schema.as_str().expect("a schema").to_owned();
        assert!(schema.starts_with("doorward/"), "{typed:?}: {schema}");
    }
    let ran = run(Home::new().doorward().args(["down", "-o", "json"]));
    assert_eq!(document(&ran.out)["state"], "stopped");
}

#[test]
fn the_version_names_what_is_spoken_and_what_it_was_built_for() {
    let ran = run(Home::new().doorward().args(["version", "-o", "json"]));
    let version = document(&ran.out);
    let revisions = version["protocol_revisions"].as_array().expect("a list");
    assert!(revisions.contains(&json!("2026-07-28")), "{version}");
    let target = version["target"].as_str().expect("a text");
    assert!(target.split('-').count() >= 3, "{target}");
}

#[test]
fn a_label_fits_into_a_table() {
    for command in [&["session", "mint"][..], &["session", "env"]] {
        let mut typed = Home::new().doorward();
        let ran = run(typed.args(command).args(["--label", &"x".repeat(81)]));
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains("80 are the most"), "{}", ran.err);
    }
}

#[test]
fn commands_in_documents_reach_the_same_daemon() {
    let home = Home::new();
    let socket = home.path("s");
    let mut waiting = account("linear", "login");
    waiting["problem"] = json!({"code": "login_required", "what": "w", "why": "y",
                                "fix": "doorward login linear"});
    let fix = format!("doorward --socket {} login linear", socket.display());
    let list = json!({"schema": "doorward/upstreams/v1", "items": [waiting.clone()]});
    let _requests = stub(&socket, vec![(200, status(vec![waiting])), (200, list)]);
    let ask = |typed: &[&str]| {
        let mut command = home.doorward();
        document(
            &run(command
                .args(typed)
                .args(["-o", "json", "--socket"])
                .arg(&socket))
            .out,
        )
    };
    assert_eq!(
        ask(&["status"])["upstreams"][0]["problem"]["fix"],
        fix.as_str()
    );
    assert_eq!(
        ask(&["upstream", "list"])["items"][0]["problem"]["fix"],
        fix.as_str()
    );
}

#[test]
fn an_upstream_is_not_called_failing_because_no_daemon_runs() {
    let home = Home::new();
    home.write(
        "state/config.toml",
        "[upstreams.ev]\nurl = \"https://mcp.example.com/mcp\"\n",
    );
    let ran = run(home.doorward().args(["upstream", "list"]));
    assert!(ran.out.contains("ev"), "{} {}", ran.out, ran.err);
    assert!(!ran.out.contains("error"), "{}", ran.out);
}

#[test]
fn a_token_that_is_renewed_when_it_is_needed_does_not_look_broken() {
    let home = Home::new();
    let socket = home.path("s");
    let mut quiet = account("linear", "ready");
    quiet["token"]["expires_at"] = json!("2020-01-01T00:00:00Z");
    let _requests = stub(&socket, vec![(200, status(vec![quiet]))]);
    let ran = run(home.doorward().arg("status").arg("--socket").arg(&socket));
    assert!(ran.out.contains("at next use"), "{}", ran.out);
}

#[test]
fn a_status_can_be_watched() {
    use std::io::{BufRead, BufReader};
    let home = Home::new();
    let socket = home.path("s");
    let one = || (200, status(vec![account("linear", "ready")]));
    let _requests = stub(&socket, vec![one(), one()]);
    let program = assert_cmd::cargo::cargo_bin("doorward");
    let mut child = std::process::Command::new(program)
        .args(["status", "--watch", "--socket"])
        .arg(&socket)
        .env("HOME", home.dir.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let heads = lines
        .map(|line| line.expect("text"))
        .filter(|line| line.starts_with("doorward 0.1.0"));
    assert_eq!(heads.take(2).count(), 2);
    child.kill().expect("it ran on");
    child.wait().expect("ended");
}
