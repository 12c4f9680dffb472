//! What becomes of a sign-in when its upstream changes.

use serde_json::{Value, json};

use crate::support::parts::{Daemon, Exchange, signed_in};

fn state(daemon: &Daemon) -> Value {
    let (_, status) = daemon.run(&["status"]);
    status["upstreams"][0]["state"].clone()
}

#[test]
fn a_sign_in_goes_with_the_new_name_of_its_upstream() {
    let (authority, upstream, daemon) = signed_in(&json!({}));
    let (code, taken) = daemon.run(&["upstream", "rename", "ev", "other"]);
    assert_eq!(code, 0, "{taken}");
    assert_eq!(state(&daemon), "ready");
    assert_eq!(daemon.run(&["ctl", "refresh", "other"]).0, 0);
    assert_eq!(daemon.run(&["upstream", "test", "other"]).0, 0);
    assert_eq!(authority.count("authorization_code_grants"), 1);
    // Nothing of it is left under the old name for whoever gets that.
    assert_eq!(daemon.run(&["upstream", "add", "ev", &upstream.url]).0, 0);
    let (_, listed) = daemon.run(&["upstream", "list"]);
    let of = |name: &str| {
        let items = listed["items"].as_array().into_iter().flatten();
        let found = items.clone().find(|item| item["name"] == name);
        found.expect("listed")["state"].clone()
    };
    assert_eq!((of("ev"), of("other")), (json!("login"), json!("ready")));
    let (code, refused) = daemon.run(&["upstream", "rename", "other", "ev"]);
    assert_eq!(
        (code, &refused["error"]["code"]),
        (6, &json!("upstream_exists"))
    );
    assert_eq!(of("other"), "ready");
}

#[test]
fn a_session_reaches_its_upstream_under_the_new_name() {
    let (_authority, _upstream, mut daemon) = signed_in(&json!({}));
    let (code, minted) = daemon.run(&["session", "mint", "--upstream", "ev"]);
    assert_eq!(code, 0, "{minted}");
    let bearer = format!("Bearer {}", minted["credential"].as_str().expect("a text"));
    assert_eq!(daemon.run(&["upstream", "rename", "ev", "other"]).0, 0);
    let shake_hands = |daemon: &Daemon, name: &str| {
        let fields = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        }});
        let url = format!("{}/u/{name}", daemon.url);
        Exchange::send("POST", &url, &fields, &hello.to_string()).status
    };
    assert_eq!(shake_hands(&daemon, "other"), 200);
    assert_eq!(shake_hands(&daemon, "ev"), 404);
    daemon.kill();
    daemon.serve();
    assert_eq!(shake_hands(&daemon, "other"), 200);
    let (_, sessions) = daemon.run(&["ctl", "sessions"]);
    let granted = &sessions["items"][0]["grant"];
    assert_eq!(
        granted,
        &json!([{"upstream": "other", "account": "default"}])
    );
}

#[test]
fn an_address_that_comes_back_finds_its_sign_in_again() {
    let (authority, upstream, daemon) = signed_in(&json!({}));
    let file = daemon.state().join("config.toml");
    let right = std::fs::read_to_string(&file).expect("a file");
    let wrong = right.replace(&upstream.url, "http://127.0.0.1:9/mcp");
    assert_ne!(right, wrong);
    std::fs::write(&file, &wrong).expect("written");
    assert_eq!(daemon.run(&["ctl", "reload"]).0, 0);
    assert_eq!(state(&daemon), "login", "a token is for one address only");
    std::fs::write(&file, &right).expect("written");
    assert_eq!(daemon.run(&["ctl", "reload"]).0, 0);
    assert_eq!(daemon.run(&["upstream", "test", "ev"]).0, 0);
    assert_eq!(authority.count("authorization_code_grants"), 1);
    assert_eq!(authority.count("reuse_events"), 0);
}

#[test]
fn what_is_shown_of_an_upstream_is_nothing_of_one_with_a_longer_name() {
    let daemon = Daemon::start();
    for name in ["ev", "ev2"] {
        let add = [
            "upstream",
            "add",
            name,
            "http://127.0.0.1:9/mcp",
            "--no-probe",
        ];
        assert_eq!(daemon.run(&add).0, 0);
    }
    let (_, shown) = daemon.run(&["upstream", "show", "ev"]);
    let settings = shown["settings"].as_array().expect("a list");
    assert!(!settings.is_empty());
    for setting in settings {
        let key = setting["key"].as_str().expect("a key");
        assert!(key.starts_with("upstreams.ev."), "{key}");
    }
}
