//! What `connect` writes is what works: commands of a file are run as a client would run them, and
//! a credential of a file is used and revoked.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::parts::{Agent, Daemon, Exchange, signed_in};
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

/// The header fields that a client sends by what stands in its file.
fn sent(entry: &Value, credential: &str) -> Vec<(String, String)> {
    let written = entry.get("headers").or_else(|| entry.get("http_headers"));
    let written = written.and_then(Value::as_object).into_iter().flatten();
    let mut fields: Vec<_> = written
        .map(|(name, value)| {
            let value = value.as_str().expect("a text");
            let value = value.replace("${DOORWARD_SESSION}", credential);
            (name.clone(), value)
        })
        .collect();
    if entry.get("bearer_token_env_var").is_some() {
        fields.push(("Authorization".to_owned(), format!("Bearer {credential}")));
    }
    fields.push(("content-type".to_owned(), "application/json".to_owned()));
    fields
}

#[test]
fn in_every_mode_a_call_after_a_revoke_says_what_happened_and_what_to_run() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    for (client, file, map, mode) in [
        ("claude", ".claude.json", "mcpServers", "env"),
        ("claude", ".claude.json", "mcpServers", "static"),
        ("codex", ".codex/config.toml", "mcp_servers", "env"),
        ("codex", ".codex/config.toml", "mcp_servers", "static"),
    ] {
        let (code, told) = daemon.run(&["connect", client, "--mode", mode]);
        assert_eq!(code, 0, "{told}");
        let text = read(&daemon, file);
        let all: Value = if file.ends_with("toml") {
            toml::from_str(&text).expect("TOML")
        } else {
            serde_json::from_str(&text).expect("JSON")
        };
        // What `run --no-inject` has in the environment of the client.
        let (_, credential) = daemon.mint(client);
        let fields = sent(&all[map]["ev"], &credential);
        let fields: Vec<_> = fields
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
            "name": "echo", "arguments": {"message": "hello"},
        }});
        let url = format!("{}/u/ev", daemon.url);
        let (code, _) = daemon.run(&["ctl", "revoke", "--all", "--reason", "it ran wild"]);
        assert_eq!(code, 0);
        let answer = Exchange::send("POST", &url, &fields, &call.to_string());
        assert_eq!(answer.status, 200, "{client} {mode}: {}", answer.body);
        let answer = answer.json();
        assert_eq!(
            (&answer["id"], &answer["result"]["isError"]),
            (&json!(7), &json!(true))
        );
        let text = answer["result"]["content"][0]["text"]
            .as_str()
            .expect("words");
        assert!(
            text.contains("It ran wild") && text.contains("Next: "),
            "{text}"
        );
        if mode == "static" {
            assert!(
                text.contains(&daemon.typed(&format!("connect {client} --mode static"))),
                "{text}"
            );
        }
    }
}
