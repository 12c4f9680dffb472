//! Tokens that are bound to a key of ours (RFC 9449), at a real authorization server and before a
//! resource that checks every proof.

use serde_json::{Value, json};

use crate::support::parts::{Daemon, Exchange, Part};

fn parts(nonces: bool) -> (Part, Part, Daemon) {
    let authority = Part::authorization_server(&json!({"dpop_nonce": nonces}));
    let upstream = Part::resource_server(&authority);
    let nonce = nonces.then_some("nonce-1");
    upstream.tell("/mode", &json!({"dpop": true, "dpop_nonce": nonce}));
    (authority, upstream, Daemon::start())
}

fn entries(part: &Part, on: &str, what: &str) -> Vec<Value> {
    let log = part.ask("/log");
    let log = log.as_array().expect("a list").iter();
    log.filter(|entry| entry[on] == what).cloned().collect()
}

#[test]
fn oc_dpop_proofs_and_nonces() {
    let (authority, upstream, mut daemon) = parts(true);
    daemon.sign_in(&authority, &upstream.url);
    let agent = daemon.agent("test");
    for _ in 0..3 {
        assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    }
    // The server names its nonce once, and each change of it costs one more request.
    assert_eq!(upstream.count("refused_nonce"), 1);
    upstream.tell("/mode", &json!({"dpop_nonce": "nonce-2"}));
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    assert_eq!(upstream.count("refused_nonce"), 2);
    assert_eq!(upstream.count("refused_proof"), 0);

    // The key goes with the grant: what it is bound to works after a death, and is renewed.
    daemon.kill();
    daemon.serve();
    let agent = daemon.agent("later");
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    authority.tell("/expire-access-tokens", &json!({}));
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    assert_eq!(daemon.run(&["upstream", "test", "ev"]).0, 0);
    assert_eq!(upstream.count("refused_proof"), 0);
    assert_eq!(authority.count("reuse_events"), 0);
    assert!(authority.count("refresh_ok") >= 2);

    // No agent is told of any of this, and a proof of an agent's own goes nowhere.
    let answer = daemon.call(&agent, "tools/list", &json!({}));
    for field in ["dpop-nonce", "www-authenticate"] {
        assert_eq!(answer.field(field), None);
    }
    assert_eq!(daemon.run(&["logout", "ev"]).0, 0);
    assert!(!daemon.log().contains("PRIVATE KEY"));
}

#[test]
fn oc_token_type_enforced_so_that_a_bound_token_is_never_a_bearer_token() {
    let (authority, upstream, daemon) = parts(false);
    daemon.sign_in(&authority, &upstream.url);
    let agent = daemon.agent("test");
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    let asked = entries(&upstream, "rpc", "tools/list");
    let fields = asked[0]["headers"].as_array().expect("fields");
    let proofs = fields.iter().filter(|field| {
        field[0]
            .as_str()
            .is_some_and(|it| it.eq_ignore_ascii_case("dpop"))
    });
    assert_eq!(proofs.count(), 1);
    assert_eq!(
        upstream.count("status_401"),
        upstream.count("refused_missing")
    );

    // A resource that goes back to bearer tokens gets one after the next sign-in.
    upstream.tell("/mode", &json!({"dpop": false}));
    daemon.sign_in(&authority, "ev");
    let agent = daemon.agent("bearer");
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    let asked = entries(&upstream, "rpc", "tools/list");
    let fields = asked.last().expect("asked")["headers"].to_string();
    assert!(!fields.to_lowercase().contains("dpop"), "{fields}");
}

/// What is asked to open a lost session anew meets a nonce like everything else (RFC 9449 §9).
#[test]
fn oc_dpop_proofs_and_nonces_also_where_a_lost_session_is_opened_anew() {
    let (authority, upstream, daemon) = parts(true);
    daemon.sign_in(&authority, &upstream.url);
    let agent = daemon.agent("test");
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    let refused = upstream.count("refused_nonce");
    // The nonce changes between the loss of the session and the handshake that follows it.
    upstream.tell("/end-sessions", &json!({}));
    upstream.tell(
        "/fault",
        &json!({"on": "POST", "rpc": "initialize", "kind": "nonce", "nonce": "nonce-2"}),
    );
    let answer = daemon.call(&agent, "tools/list", &json!({}));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains("\"tools\""), "{}", answer.body);
    assert_eq!(upstream.count("refused_nonce"), refused + 1);
    assert_eq!(upstream.count("refused_proof"), 0);
}

/// So is the token that a client of ours gets by itself.
#[test]
fn oc_dpop_proofs_and_nonces_where_nobody_signs_in() {
    let (authority, upstream, mut daemon) = parts(true);
    let client = json!({
        "grant_types": ["client_credentials"], "response_types": [], "redirect_uris": [],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let registered = Exchange::post(&format!("{}/reg", authority.url), &client).json();
    let text = format!(
        "[store]\nkind = \"file\"\n[upstreams.ev]\nurl = \"{}\"\n[upstreams.ev.auth]\n\
         kind = \"client_credentials\"\nclient_id = {}\nscopes = [\"mcp:read\"]\n\
         client_secret = {{ exec = [\"echo\", {}] }}\n",
        upstream.url, registered["client_id"], registered["client_secret"]
    );
    std::fs::write(daemon.state().join("config.toml"), text).expect("written");
    assert_eq!(daemon.run(&["ctl", "reload"]).0, 0);
    let agent = daemon.agent("test");
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    authority.tell("/expire-access-tokens", &json!({}));
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    assert_eq!(upstream.count("refused_proof"), 0);
    assert_eq!(upstream.count("refused_bound"), 0);
    // Its key is made anew with each daemon, and its tokens too.
    daemon.kill();
    daemon.serve();
    let agent = daemon.agent("later");
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    assert_eq!(upstream.count("refused_proof"), 0);
}
