//! Two people's accounts on one upstream: each session has the one that it was given.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::parts::{Daemon, Exchange, Part};

/// A daemon that ana and ben are signed in at, on one server.
fn two() -> (Part, Part, Daemon) {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    let config = daemon.state().join("config.toml");
    let written = std::fs::read_to_string(&config).expect("a file");
    let accounts = format!(
        "[upstreams.ev]\nurl = \"{}\"\ndefault_account = \"work\"\n\
         [upstreams.ev.accounts.work]\n[upstreams.ev.accounts.home]\n",
        upstream.url
    );
    std::fs::write(&config, written + &accounts).expect("written");
    let (code, answer) = daemon.run(&["ctl", "reload"]);
    assert_eq!(code, 0, "{answer}");
    for (person, account) in [("ana", "ev@work"), ("ben", "ev@home")] {
        authority.tell("/mode", &json!({"account": person}));
        daemon.sign_in(&authority, account);
    }
    (authority, upstream, daemon)
}

/// A handshake at this address: its status, and who the upstream took it to be from.
fn asked_as(upstream: &Part, url: &str, credential: &str) -> (u16, Value) {
    upstream.tell("/clear", &json!({}));
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {},
                   "clientInfo": {"name": "test", "version": "0"}},
    });
    let bearer = format!("Bearer {credential}");
    let fields = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let answer = Exchange::send("POST", url, &fields, &hello.to_string());
    let log = upstream.ask("/log");
    (answer.status, log[0]["account"].clone())
}

/// What `run` with these words leaves in the environment.
fn environment(daemon: &Daemon, words: &[&str]) -> Vec<(String, String)> {
    let mut run = daemon.command();
    run.args(["run", "--keep"]).args(words).args(["--", "env"]);
    let output = run.stdin(Stdio::null()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).expect("text");
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

fn value<'e>(environment: &'e [(String, String)], name: &str) -> Option<&'e str> {
    let found = environment.iter().find(|(it, _)| it == name);
    found.map(|(_, value)| value.as_str())
}

#[test]
fn a_session_has_the_account_that_it_was_given() {
    let (_authority, upstream, daemon) = two();
    let base = format!("{}/u/ev", daemon.url);
    for (words, mine, person, others) in [
        (["--upstream", "ev@home"], "@home", "ben", ["", "@work"]),
        (
            ["--upstream", "ev@work"],
            "@work",
            "ana",
            ["@home", "@gone"],
        ),
        (["--upstream", "ev"], "", "ana", ["@home", "@gone"]),
    ] {
        let environment = environment(&daemon, &words);
        let credential = value(&environment, "DOORWARD_SESSION").expect("set");
        let url = value(&environment, "DOORWARD_URL_EV").expect("set");
        let asked = asked_as(&upstream, url, credential);
        assert_eq!(asked, (200, json!(person)), "{words:?} at {url}");
        let asked = asked_as(&upstream, &format!("{base}{mine}"), credential);
        assert_eq!(asked, (200, json!(person)), "{words:?}");
        for other in others {
            let asked = asked_as(&upstream, &format!("{base}{other}"), credential);
            assert_eq!(asked, (404, Value::Null), "{words:?} at ev{other}");
        }
    }
}

#[test]
fn a_session_may_have_both() {
    let (_authority, upstream, daemon) = two();
    let environment = environment(&daemon, &["--upstream", "ev@home,ev@work"]);
    let credential = value(&environment, "DOORWARD_SESSION").expect("set");
    for (name, person) in [
        ("DOORWARD_URL_EV_HOME", "ben"),
        ("DOORWARD_URL_EV_WORK", "ana"),
    ] {
        let url = value(&environment, name).expect("set");
        assert_eq!(asked_as(&upstream, url, credential), (200, json!(person)));
    }
    let (code, minted) = daemon.run(&["session", "mint", "--upstream", "ev@home"]);
    assert_eq!(code, 0, "{minted}");
    let credential = minted["credential"].as_str().expect("text");
    let url = format!("{}/u/ev@home", daemon.url);
    assert_eq!(asked_as(&upstream, &url, credential), (200, json!("ben")));
    let (code, refused) = daemon.run(&["session", "mint", "--upstream", "ev@gone"]);
    assert_eq!(code, 5, "{refused}");
}

#[test]
fn a_project_chooses_the_account() {
    let (_authority, upstream, daemon) = two();
    let project = daemon.state().join("../project");
    std::fs::create_dir(&project).expect("made");
    let file = project.join(".doorward.toml");
    std::fs::write(file, "upstreams = [\"ev@home\"]\n").expect("written");
    let mut headers = daemon.command();
    let headers = headers.args(["session", "headers"]).current_dir(&project);
    let output = headers.output().expect("it runs");
    let headers: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let bearer = headers["Authorization"].as_str().expect("text");
    let credential = bearer.strip_prefix("Bearer ").expect("a bearer");
    let base = format!("{}/u/ev", daemon.url);
    let asked = asked_as(&upstream, &format!("{base}@home"), credential);
    assert_eq!(asked, (200, json!("ben")));
    assert_eq!(
        asked_as(&upstream, &base, credential).0,
        404,
        "that is ana's"
    );
    let mut print = daemon.command();
    let print = print.args(["run", "--print", "--", "codex"]);
    let output = print.current_dir(&project).output().expect("it runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("mcp_servers.ev-home.url"), "{shown}");
    assert!(!shown.contains("ev-work"), "{shown}");
}
