//! What `connect` writes is what works: commands of a file are run as a client would run them, and
//! a credential of a file is used and revoked.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::parts::{Agent, Daemon, signed_in};
use crate::support::traffic::works;

fn read(daemon: &Daemon, name: &str) -> String {
    let home = daemon.state().parent().expect("its home").to_owned();
    std::fs::read_to_string(home.join(name)).expect("a file")
}

#[test]
fn the_command_of_a_file_serves_the_client_that_runs_it() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let (code, told) = daemon.run(&["connect", "cursor"]);
    assert_eq!((code, &told["written"]), (0, &Value::Bool(true)), "{told}");
    let file: Value = serde_json::from_str(&read(&daemon, ".cursor/mcp.json")).expect("JSON");
    let entry = &file["mcpServers"]["ev"];
    let words = entry["args"].as_array().expect("words").iter();
    let mut child = Command::new(entry["command"].as_str().expect("a command"))
        .args(words.map(|word| word.as_str().expect("a word")))
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut input = child.stdin.take().expect("piped");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "cursor", "version": "0"},
    }});
    writeln!(input, "{hello}").expect("it reads");
    let answer = lines.next().expect("a line").expect("text");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert!(
        answer["result"]["serverInfo"]["name"].is_string(),
        "{answer}"
    );
    drop(input);
    assert!(child.wait().expect("it ends").success());
}

/// The credential that stands in a file.
fn credential(daemon: &Daemon) -> String {
    let text = read(daemon, ".codex/config.toml");
    let table: toml::Table = text.parse().expect("TOML");
    let bearer = table["mcp_servers"]["ev"]["http_headers"]["Authorization"].as_str();
    let bearer = bearer.expect("a field").strip_prefix("Bearer ");
    bearer.expect("a credential").to_owned()
}

fn live(daemon: &Daemon) -> Vec<String> {
    let (_, sessions) = daemon.run(&["ctl", "sessions"]);
    let items = sessions["items"].as_array().expect("items").iter();
    items
        .map(|it| format!("{} {}", it["origin"], it["label"]))
        .collect()
}

#[test]
fn a_credential_in_a_file_lives_until_it_is_taken_out() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let connect = |mode: &str| {
        let mut command = daemon.command();
        command.args(["connect", "codex", "--mode", mode, "--yes"]);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let out = connect("static");
    let written = credential(&daemon);
    assert!(
        out.contains("Bearer dw_…") && !out.contains(&written),
        "{out}"
    );
    assert_eq!(live(&daemon), ["\"static\" \"static · codex\""]);
    let file = daemon
        .state()
        .parent()
        .expect("its home")
        .join(".codex/config.toml");
    let mode = std::fs::metadata(file)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let records = std::fs::read_to_string(daemon.state().join("connections.json"));
    assert!(
        !records.expect("a file").contains(&written),
        "no credential is remembered"
    );
    let agent = daemon.shake_hands(Agent::known(String::new(), written.clone()));
    assert!(works(&daemon, &agent));
    // The same again writes nothing and makes no session.
    assert!(connect("static").contains("is right already: ev"));
    assert_eq!(credential(&daemon), written);
    assert_eq!(live(&daemon).len(), 1);
    // One that was revoked is replaced.
    let (code, _) = daemon.run(&["ctl", "revoke", "--all"]);
    assert_eq!(code, 0);
    connect("static");
    let fresh = credential(&daemon);
    assert_ne!(fresh, written);
    let agent = daemon.shake_hands(Agent::known(String::new(), fresh.clone()));
    assert!(works(&daemon, &agent));

    let output = daemon
        .command()
        .args(["disconnect", "codex", "--yes"])
        .output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let out = String::from_utf8(output.stdout).expect("text");
    assert!(!out.contains(&fresh), "{out}");
    assert!(!works(&daemon, &agent), "its session is over");
    assert!(live(&daemon).is_empty());
}
