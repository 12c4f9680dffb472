//! Which sessions a condition means, and what is said of those that are over.

use serde_json::{Value, json};

use super::add_nobody;
use crate::support::parts::Daemon;

#[test]
fn an_upstream_that_there_is_not_means_no_session() {
    let daemon = Daemon::start();
    add_nobody(&daemon);
    let (id, _) = daemon.mint("of everything");
    for asked in [
        &["ctl", "revoke", "--upstream", "evv"][..],
        &["ctl", "sessions", "--upstream", "evv"],
        &["session", "list", "--upstream", "evv"],
        &["session", "revoke", "--upstream", "evv", "--idle", "1s"],
    ] {
        let (code, refused) = daemon.run(asked);
        assert_eq!(
            (code, &refused["error"]["code"]),
            (5, &json!("upstream_unknown")),
            "{asked:?}: {refused}"
        );
    }
    let output = daemon
        .command()
        .args(["ctl", "revoke", "--upstream", "evv", "-y"])
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("did you mean ev?"), "{told}");
    let (_, detail) = daemon.run(&["ctl", "show", &id]);
    assert_eq!(detail["item"]["state"], "idle", "nobody ended it");
    let (code, revoked) = daemon.run(&["ctl", "revoke", "--upstream", "ev"]);
    assert_eq!((code, &revoked["revoked"]), (0, &json!([id])));
}

#[test]
fn a_session_that_is_over_is_not_revoked_once_more() {
    let daemon = Daemon::start();
    let (id, _) = daemon.mint("nightly");
    let revoke = |reason: &str| daemon.run(&["ctl", "revoke", &id, "--reason", reason]);
    assert_eq!(revoke("first").1["revoked"], json!([id]));
    let (code, again) = revoke("second");
    assert_eq!((code, &again["revoked"]), (0, &json!([])), "{again}");
    assert_eq!(again["over"][0]["id"], id.as_str());
    assert_eq!(again["over"][0]["by"], "person");
    let output = daemon.command().args(["ctl", "revoke", &id]).output();
    let output = output.expect("it runs");
    assert!(output.status.success() && output.stdout.is_empty());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.starts_with(&format!("{id} was revoked ")), "{told}");
    let (_, detail) = daemon.run(&["ctl", "show", &id]);
    assert_eq!(detail["item"]["ended_reason"], "first");
    assert_eq!(daemon.log().matches("session revoked").count(), 1);
}

#[test]
fn the_sessions_that_are_about_to_end_are_shown_in_a_table() {
    let daemon = Daemon::start();
    for (label, client) in [("a", "claude"), ("b", "a-much-longer-name")] {
        let mint = ["session", "mint", "--label", label, "--client", client];
        assert_eq!(daemon.run(&mint).0, 0);
    }
    let output = daemon
        .command()
        .args(["ctl", "revoke", "--all", "-y"])
        .output();
    let output = output.expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    let column = |text: &str, word: &str| {
        let line = text.lines().find(|line| line.contains(word));
        line.and_then(|line| line.find(word))
    };
    let client = column(&told, "CLIENT");
    assert!(client.is_some(), "{told}");
    assert_eq!(client, column(&told, "claude"), "{told}");
    assert_eq!(client, column(&told, "a-much-longer-name"), "{told}");
    let (_, list) = daemon.run(&["ctl", "sessions"]);
    assert_eq!(list["items"].as_array().map(Vec::len), Some(0), "{list}");
    assert_ne!(list, Value::Null);
}
