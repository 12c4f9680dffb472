//! What a person can see of what their agents were spared.

use serde_json::{Value, json};

use crate::support::away::signed_out;
use crate::support::parts::{Agent, Daemon};

fn kept(daemon: &Daemon, agent: &Agent) -> Value {
    let (code, shown) = daemon.run(&["ctl", "show", &agent.id]);
    assert_eq!(code, 0, "{shown}");
    shown["kept_alive"].clone()
}

fn echo(daemon: &Daemon, agent: &Agent) -> String {
    let call = json!({"name": "echo", "arguments": {"message": "x"}});
    daemon.call(agent, "tools/call", &call).body
}

#[test]
fn what_a_session_was_spared_is_shown_with_how_often_and_when() {
    let (authority, upstream, daemon) = signed_out();
    let agent = daemon.agent("one");
    daemon.call(&agent, "tools/list", &json!({}));
    let before = kept(&daemon, &agent);
    assert_eq!(before["waiting"][0]["upstream"], "ev", "{before}");
    assert_eq!(before["stubbed"]["count"], 2, "{before}");
    assert!(before["stubbed"]["last_at"].is_string(), "{before}");
    assert_eq!(before["repaired"], json!({"count": 0, "last_at": null}));
    daemon.sign_in(&authority, "ev");
    assert!(echo(&daemon, &agent).contains("Echo: x"));
    upstream.tell("/end-sessions", &json!({}));
    assert!(echo(&daemon, &agent).contains("Echo: x"));
    let after = kept(&daemon, &agent);
    assert_eq!(after["waiting"], json!([]));
    assert_eq!(after["stubbed"], before["stubbed"], "no more of that");
    assert_eq!(after["repaired"]["count"], 1, "{after}");
    let shown = daemon.command().args(["ctl", "show", &agent.id]).output();
    let shown = String::from_utf8(shown.expect("it runs").stdout).expect("text");
    let line = shown.lines().find(|line| line.starts_with("kept alive"));
    let line = line.expect("a line");
    assert!(
        line.contains("stubbed 2x, last ") && line.contains("repaired 1x"),
        "{line}"
    );
    // Who met no trouble reads nothing of it.
    let other = daemon.agent("two");
    let shown = daemon.command().args(["ctl", "show", &other.id]).output();
    assert!(!String::from_utf8_lossy(&shown.expect("it runs").stdout).contains("kept alive"));
}
