//! Tokens that are bound to a key of ours (RFC 9449), at a real authorization server and before a
//! resource that checks every proof.

use serde_json::{Value, json};

use crate::support::parts::{Daemon, Part};

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
