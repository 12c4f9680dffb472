//! `upstream test`: each step tells what it found, and the first trouble decides the exit code.

use serde_json::{Value, json};

use crate::support::parts::{Daemon, Part, signed_in};

fn steps(report: &Value) -> Vec<(String, String)> {
    let items = report["steps"].as_array().expect("steps");
    let text = |step: &Value, name: &str| step[name].as_str().expect("a text").to_owned();
    let pair = |step| (text(step, "name"), text(step, "result"));
    items.iter().map(pair).collect()
}

fn results(report: &Value) -> String {
    let pairs = steps(report).into_iter();
    let words: Vec<_> = pairs
        .map(|(name, result)| format!("{name} {result}"))
        .collect();
    words.join(", ")
}

#[test]
fn px_own_probe_identity_passes_every_step_and_leaves_no_session_there() {
    let (authority, upstream, daemon) = signed_in(&json!({}));
    let (code, report) = daemon.run(&["upstream", "test", "ev"]);
    assert_eq!(code, 0, "{report}");
    let all = "sign-in ok, connection ok, initialize ok, tools ok";
    assert_eq!(results(&report), all);
    let said: Vec<_> = report["steps"].as_array().into_iter().flatten().collect();
    assert!(
        said[2]["message"]
            .as_str()
            .is_some_and(|m| m.contains("protocol 2025-06-18"))
    );
    assert!(
        said[3]["message"]
            .as_str()
            .is_some_and(|m| m.ends_with(" tools"))
    );
    let log = upstream.ask("/log");
    let methods: Vec<_> = log.as_array().into_iter().flatten().collect();
    let deleted = methods.iter().any(|entry| entry["method"] == "DELETE");
    assert!(deleted, "the MCP session is ended: {log}");

    // A token that only the resource knows to be dead costs one refresh, as it does for agents.
    authority.tell("/expire-access-tokens", &json!({}));
    let (code, report) = daemon.run(&["upstream", "test", "ev"]);
    assert_eq!((code, results(&report).as_str()), (0, all), "{report}");
    assert_eq!(authority.count("refresh_ok"), 1);
    let (code, _) = daemon.run(&["status", "--check"]);
    assert_eq!(code, 0);
}

#[test]
fn each_trouble_is_named_at_the_step_where_it_shows() {
    let (_authority, upstream, daemon) = signed_in(&json!({}));
    let reject = json!({"kind": "reject", "on": "POST", "times": "always"});
    upstream.tell("/fault", &reject);
    let (code, report) = daemon.run(&["upstream", "test", "ev"]);
    assert_eq!(report["problem"]["code"], "upstream_rejected", "{report}");
    assert_eq!(code, 8);
    let told = "sign-in ok, connection ok, initialize fail, tools skip";
    assert_eq!(results(&report), told);

    daemon.run(&["logout", "ev"]);
    let (code, report) = daemon.run(&["upstream", "test", "ev"]);
    assert_eq!(
        (code, &report["problem"]["code"]),
        (4, &json!("login_required"))
    );
    let told = "sign-in fail, connection ok, initialize skip, tools skip";
    assert_eq!(results(&report), told, "{report}");

    drop(upstream);
    let (code, report) = daemon.run(&["upstream", "test", "ev"]);
    let told = "sign-in fail, connection fail, initialize skip, tools skip";
    assert_eq!(results(&report), told, "{report}");
    // What cannot be reached comes before what nobody has signed in to.
    let problem = &report["problem"]["code"];
    assert_eq!((code, problem), (8, &json!("upstream_unreachable")));
    let said = report["steps"][1]["message"].as_str().expect("a text");
    assert!(
        !said.contains("Next:"),
        "the next step is said once: {said}"
    );
}

#[test]
fn an_upstream_that_is_away_is_exit_code_8_and_an_unknown_one_5() {
    let daemon = Daemon::start();
    let upstream = Part::authorization_server(&json!({}));
    let away = format!("{}/mcp", upstream.url);
    let (code, _) = daemon.run(&["upstream", "add", "away", &away, "--auth", "none"]);
    assert_eq!(code, 0);
    // It is there, and it is no MCP server.
    let (code, report) = daemon.run(&["upstream", "test", "away"]);
    let told = "sign-in ok, connection ok, initialize fail, tools skip";
    assert_eq!((code, results(&report).as_str()), (8, told), "{report}");
    drop(upstream);
    let (code, report) = daemon.run(&["upstream", "test", "away"]);
    assert_eq!(
        (code, &report["problem"]["code"]),
        (8, &json!("upstream_unreachable"))
    );
    let (code, _) = daemon.run(&["upstream", "test", "awaz"]);
    assert_eq!(code, 5);
    daemon.run(&["upstream", "disable", "away"]);
    let (_, refused) = daemon.run(&["upstream", "test", "away"]);
    assert_eq!(refused["error"]["code"], "upstream_disabled");
}

#[test]
fn what_is_imported_is_looked_at_and_added_all_the_same() {
    let (_authority, upstream, daemon) = signed_in(&json!({}));
    let away = Part::authorization_server(&json!({}));
    let home = tempfile::tempdir().expect("a directory");
    let servers = json!({"mcpServers": {
        "there": {"url": format!("{}?as=another", upstream.url)},
        "away": {"url": format!("{}/mcp", away.url)},
    }});
    drop(away);
    std::fs::create_dir(home.path().join(".cursor")).expect("made");
    std::fs::write(home.path().join(".cursor/mcp.json"), servers.to_string()).expect("written");
    let mut import = daemon.command();
    let import = import
        .env("HOME", home.path())
        .args(["upstream", "import", "--all"]);
    let output = import.output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        told.contains("Added there\n  it wants a sign-in, as it should"),
        "{told}"
    );
    let (_, after) = told.split_once("Added away\n  ").expect("added");
    let line = after.lines().next().expect("a line");
    assert!(line.ends_with("; it is added all the same"), "{line}");
}

/// One of the older transport is recognised, and tried as what it is once the config says so.
#[test]
fn a_server_of_the_older_transport_is_recognised() {
    let server = Part::python_server(&json!({"transport": "sse"}));
    let daemon = Daemon::start();
    let config = |transport: &str| {
        let text = format!(
            "[store]\nkind = \"file\"\n[upstreams.ev]\nurl = \"{}\"\n{transport}",
            server.url
        );
        std::fs::write(daemon.state().join("config.toml"), text).expect("written");
        assert_eq!(daemon.run(&["ctl", "reload"]).0, 0);
    };
    config("");
    let (code, report) = daemon.run(&["upstream", "test", "ev"]);
    assert_eq!(code, 8, "{report}");
    let problem = report["problem"].to_string();
    assert!(problem.contains("HTTP+SSE"), "{problem}");
    assert!(problem.contains("transport = \\\"sse\\\""), "{problem}");
    config("transport = \"sse\"\n");
    daemon.sign_in(&server, "ev");
    let (code, report) = daemon.run(&["upstream", "test", "ev"]);
    let told = "sign-in ok, connection ok, stream ok";
    assert_eq!((code, results(&report).as_str()), (0, told), "{report}");
}
