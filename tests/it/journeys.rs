//! The main job on real parts, with the counts of what the authorization server saw.

use std::io::Read;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::parts::{Agent, Daemon, Part, signed_in};
use crate::support::traffic::{echo, works};

#[test]
fn one_sign_in_serves_both_sdks_and_a_revoked_session_is_dead_at_once() {
    let (authority, _upstream, daemon) = signed_in(&json!({}));
    let (id, credential) = daemon.mint("night");
    let parts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parts");
    let url = format!("{}/u/ev", daemon.url);
    for (program, script) in [
        ("node".into(), "ts_client.mjs"),
        (parts.join(".venv/bin/python"), "py_client.py"),
    ] {
        let output = Command::new(&program)
            .arg(parts.join(script))
            .args([&url, "--calls", "3"])
            .env("DOORWARD_SESSION", &credential)
            .stdin(Stdio::null())
            .output()
            .expect("it starts");
        let result: Value = serde_json::from_slice(&output.stdout).expect("a result");
        assert_eq!(result["ok"], true, "{result}");
        assert_eq!(result["calls"], 3);
    }
    assert_eq!(authority.count("registrations"), 1);
    assert_eq!(authority.count("authorization_code_grants"), 1);
    let (_, sessions) = daemon.run(&["ctl", "sessions"]);
    assert_eq!(sessions["items"][0]["id"], id.as_str());
    assert_eq!(sessions["items"][0]["state"], "active");
    // The credential names its session, for people who have nothing else at hand.
    let (code, revoked) = daemon.run(&["ctl", "revoke", &credential]);
    assert_eq!((code, &revoked["revoked"][0]), (0, &json!(id)));
    let (status, body) = echo(&daemon, &Agent::known(id, credential));
    assert_eq!(status, 401);
    assert!(body.contains("session_revoked"), "{body}");
}

#[test]
fn pain_05_one_sign_in_heals_every_session_that_waits() {
    let (authority, _upstream, daemon) = signed_in(&json!({}));
    let agents: Vec<_> = (0..6)
        .map(|n| daemon.agent(&format!("agent {n}")))
        .collect();
    let (code, report) = daemon.run(&["logout", "ev"]);
    assert_eq!((code, &report["provider"]), (0, &json!("revoked")));
    assert!(authority.count("revocations") >= 1, "the provider was told");
    let (code, status) = daemon.run(&["status"]);
    assert_eq!(
        (code, &status["upstreams"][0]["state"]),
        (4, &json!("login"))
    );
    let lists = daemon.call(&agents[0], "logging/setLevel", &json!({"level": "info"}));
    assert!(lists.body.contains("login_required"), "{}", lists.body);
    daemon.sign_in(&authority, "ev");
    for agent in &agents {
        assert!(works(&daemon, agent));
    }
}

#[test]
fn pain_18_an_answer_without_a_refresh_token_keeps_the_old_one() {
    let (authority, _upstream, mut daemon) = signed_in(&json!({"rotate": false}));
    for round in 0..4 {
        if round % 2 == 0 {
            authority.tell(
                "/fault",
                &json!({"on": "token", "kind": "drop_refresh_token"}),
            );
        }
        let (code, answer) = daemon.run(&["ctl", "refresh", "ev"]);
        assert_eq!(code, 0, "round {round}: {answer}");
        daemon.kill();
        daemon.serve();
    }
    assert_eq!(authority.count("refresh_ok"), 4);
}

#[test]
fn pain_41_a_call_whose_answer_was_lost_runs_once() {
    let (_authority, upstream, daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    upstream.tell(
        "/fault",
        &json!({"kind": "commit_then_drop", "rpc": "tools/call"}),
    );
    let (_, body) = echo(&daemon, &agent);
    assert!(body.contains("connection_lost"), "{body}");
    assert_eq!(upstream.ask("/tools")["echo"], 1, "executed exactly once");
}

#[test]
fn seed_s2_09_ls_credential_survives_restart_and_so_do_sign_ins() {
    let (authority, _upstream, mut daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    daemon.kill();
    daemon.serve();
    assert!(
        works(&daemon, &agent),
        "the same address, the same credential"
    );
    assert_eq!(
        authority.count("refresh_ok"),
        1,
        "access tokens are in memory only"
    );
    assert_eq!(authority.count("authorization_code_grants"), 1);
}

#[test]
fn ls_revocation_closes_streams() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    let mut stream = agent.listens(&daemon);
    let (code, _) = daemon.run(&["ctl", "revoke", &agent.id]);
    assert_eq!(code, 0);
    // It ends, cleanly or not; a stream that went on would run into the time limit.
    let mut rest = Vec::new();
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_ne!(
            error.kind(),
            std::io::ErrorKind::WouldBlock,
            "the stream went on"
        );
    }
}

#[test]
fn seed_s1_02_up_twice_is_one_daemon_and_down_ends_it() {
    let authority = Part::authorization_server(&json!({}));
    drop(authority);
    let mut daemon = Daemon::start();
    let (code, _) = daemon.run(&["up"]);
    assert_eq!(code, 0, "it runs already");
    let (code, _) = daemon.run(&["down"]);
    assert_eq!(code, 0);
    let (code, _) = daemon.run(&["status"]);
    assert_eq!(code, 3, "not running");
    daemon.forget();
}
