//! What people are told of their upstreams, and where the browser comes back to.

use serde_json::{Value, json};

use super::sign_in::Walk;
use crate::support::agent::{Agent, Options, upstream};
use crate::support::parts::{Daemon, Exchange, Part, signed_in};
use crate::support::raw::Upstream;
use crate::support::traffic::works;

#[test]
fn tl_status_no_secrets() {
    let (authority, upstream, daemon) = signed_in(&json!({}));
    let agent = daemon.agent("one");
    assert!(works(&daemon, &agent));
    assert_eq!(daemon.run(&["ctl", "refresh", "ev"]).0, 0);
    let secrets = authority.ask("/secrets");
    let secrets: Vec<&str> = secrets
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::values)
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        secrets.len() >= 5,
        "tokens, a code, a verifier, a state: {secrets:?}"
    );
    for command in [
        &["status"][..],
        &["upstream", "list"],
        &["upstream", "show", "ev"],
        &["upstream", "test", "ev"],
        &["ctl", "sessions"],
    ] {
        for form in ["json", "table"] {
            let output = daemon.command().args(command).args(["-o", form]).output();
            let output = output.expect("it runs");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let named = said.contains("ev") || said.contains("one");
            assert!(named, "{command:?}: {said}");
            for secret in secrets.iter().chain([&agent.credential.as_str()]) {
                assert!(
                    !said.contains(secret),
                    "{secret} in {command:?} {form}: {said}"
                );
            }
        }
    }
    let (_, shown) = daemon.run(&["upstream", "show", "ev"]);
    let account = &shown["items"][0];
    assert_eq!(
        (&account["state"], &account["account"]),
        (&json!("ready"), &json!("default"))
    );
    assert!(
        account["scopes"].to_string().contains("mcp:read"),
        "{account}"
    );
    assert!(!account["token"]["expires_at"].is_null(), "{account}");
    assert_eq!(account["problem"], Value::Null);
    // The trail names the server and every document that led to it.
    let trail = shown["discovery"].to_string();
    assert!(trail.contains(&authority.url), "{trail}");
    assert!(trail.contains("oauth-protected-resource"), "{trail}");

    // What is wrong is told with its code and the way out.
    upstream.tell(
        "/fault",
        &json!({"kind": "reject", "on": "POST", "times": "always"}),
    );
    authority.tell("/revoke-grants", &json!({}));
    assert_ne!(daemon.run(&["ctl", "refresh", "ev"]).0, 0);
    let (code, status) = daemon.run(&["status"]);
    let account = &status["upstreams"][0];
    assert_eq!((code, &account["state"]), (4, &json!("login")));
    assert!(account["problem"]["code"].is_string(), "{account}");
    assert!(
        account["problem"]["fix"].to_string().contains("login ev"),
        "{account}"
    );
}

#[test]
fn oc_loopback_redirect_literal() {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    let walk = Walk::start(&daemon, &authority, &[&upstream.url, "--name", "ev"]);
    let (_, port) = daemon.url.rsplit_once(':').expect("a port");
    let back = format!("http://127.0.0.1:{port}/oauth/callback?");
    assert!(walk.back.starts_with(&back), "{}", walk.back);
    assert_eq!(walk.land(&walk.cookie).status, 200);
    assert!(walk.end().0);
    let (_, shown) = daemon.run(&["upstream", "show", "ev"]);
    assert_eq!(shown["redirect_uri"], back.trim_end_matches('?'));
}

#[test]
fn px_no_wellknown_relay() {
    let up = Upstream::echo();
    let mut spec = upstream("up", up.url("/mcp"));
    spec.allow_subpaths = true;
    let agent = Agent::start(Options {
        upstreams: vec![spec, upstream("closed", up.url("/mcp"))],
        default_segment: Some("up".to_owned()),
        ..Options::default()
    });
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/u/up",
        "/u/up/.well-known/oauth-authorization-server",
        "/u/up/.well-known/openid-configuration",
        "/u/up/a/.well-known/oauth-protected-resource",
        "/u/closed/tools",
        "/u/closed/.well-known/oauth-protected-resource",
    ] {
        let answer = agent.ask("GET", path, "", "");
        assert_eq!(answer.status(), 404, "{path}: {}", answer.text());
    }
    assert!(!up.was_asked(), "nothing of it reaches the upstream");
}

/// Neither the metadata of the resource nor that of its server is believed for longer than the
/// sign-in that asked for it: the next one asks again.
#[test]
fn oc_prm_refetch_on_repeat_401_and_oc_as_metadata_cache_ttl() {
    let (authority, upstream, daemon) = signed_in(&json!({}));
    let counts = || {
        (
            upstream.count("metadata_requests"),
            authority.count("discovery_requests"),
        )
    };
    let before = counts();
    daemon.sign_in(&authority, "ev");
    let after = counts();
    assert!(
        after.0 > before.0 && after.1 > before.1,
        "{before:?} {after:?}"
    );
    assert_eq!(
        authority.count("registrations"),
        1,
        "the client is the same"
    );
}

/// Dynamic registration is the last resort, and whoever looks sees that it was used.
#[test]
fn oc_dcr_flagged_deprecated() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let (_, shown) = daemon.run(&["upstream", "show", "ev"]);
    let trail = shown["discovery"].to_string();
    assert!(trail.contains("registered dynamically"), "{trail}");
    assert!(trail.contains("deprecated"), "{trail}");
}

#[test]
fn oc_distinct_redirect_per_issuer() {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    let text = format!(
        "[store]\nkind = \"file\"\n[upstreams.ev]\nurl = \"{}\"\n\
         auth = {{ kind = \"oauth\", redirect = \"localhost\", redirect_per_upstream = true }}\n",
        upstream.url
    );
    std::fs::write(daemon.state().join("config.toml"), text).expect("written");
    assert_eq!(daemon.run(&["ctl", "reload"]).0, 0);
    let walk = Walk::start(&daemon, &authority, &["ev"]);
    let (_, port) = daemon.url.rsplit_once(':').expect("a port");
    let back = format!("http://localhost:{port}/oauth/callback/ev?");
    assert!(walk.back.starts_with(&back), "{}", walk.back);
    // What comes back where another server sends it is not taken for this one's.
    let fields = [("cookie", walk.cookie.as_str())];
    for other in ["/oauth/callback?", "/oauth/callback/other?"] {
        let elsewhere = walk.back.replace("/oauth/callback/ev?", other);
        let refused = Exchange::send("GET", &elsewhere, &fields, "");
        assert_eq!(refused.status, 400, "{other}");
    }
    assert_eq!(authority.count("token_requests"), 0);
    assert_eq!(walk.land(&walk.cookie).status, 200);
    assert!(walk.end().0);
    let (_, shown) = daemon.run(&["upstream", "show", "ev"]);
    assert_eq!(shown["redirect_uri"], back.trim_end_matches('?'));
    assert!(works(&daemon, &daemon.agent("one")));
}
