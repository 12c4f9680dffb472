//! Clients that prove themselves with a private key, through the built program and at a real
//! authorization server.

use std::io::Write;
use std::process::Stdio;

use serde_json::{Value, json};

use super::unattended::{configure, told, write_private};
use crate::support::parts::{Agent, Daemon, Exchange, Part};

/// With a real authorization server: one that knows the public half of a key, for a client that
/// signs in by itself and for one that a person signs in with.
#[test]
fn oc_client_credentials_basic_and_jwt_a_client_proves_itself_with_its_key() {
    let authority = Part::authorization_server(&json!({"auth_methods": ["private_key_jwt"]}));
    let upstream = Part::resource_server(&authority);
    let mut daemon = Daemon::start();
    let client = json!({
        "grant_types": ["client_credentials", "authorization_code", "refresh_token"],
        "response_types": ["code"],
        "redirect_uris": [format!("{}/oauth/callback", daemon.url)],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [signing::PUBLIC.parse::<Value>().expect("JSON")]},
    });
    let registered = Exchange::post(&format!("{}/reg", authority.url), &client);
    assert_eq!(registered.status, 201, "{}", registered.body);
    let id = &registered.json()["client_id"];

    // A key that is no key is told of, and one that is handed over is sealed like every secret.
    let file = daemon.state().join("key.pem");
    write_private(&file, "-----BEGIN NONSENSE-----\n");
    let place = format!("{{ file = \"{}\" }}", file.display());
    let own = |kind: &str, place: &str| {
        format!("kind = \"{kind}\"\nclient_id = {id}\nprivate_key = {place}\nkey_id = \"k1\"\n")
    };
    configure(&daemon, &upstream.url, &own("client_credentials", &place));
    let (session, credential) = daemon.mint("test");
    let agent = Agent::known(session, credential);
    let text = told(&daemon, &agent);
    assert!(
        text.contains("private key: it holds no private key"),
        "{text}"
    );
    configure(
        &daemon,
        &upstream.url,
        &own("client_credentials", "{ keyring = \"k\" }"),
    );
    let set = daemon
        .command()
        .args(["upstream", "set-secret", "ev"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            let mut input = child.stdin.take().expect("piped");
            input.write_all(signing::PRIVATE.as_bytes())?;
            drop(input);
            child.wait_with_output()
        })
        .expect("it ends");
    assert!(set.status.success(), "{set:?}");
    let agent = daemon.shake_hands(agent);
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);

    // A person signs in with the same client; the key goes with the grant, as its client does.
    write_private(&file, signing::PRIVATE);
    configure(&daemon, &upstream.url, &own("oauth", &place));
    daemon.sign_in(&authority, "ev");
    daemon.kill();
    daemon.serve();
    assert_eq!(daemon.run(&["ctl", "refresh", "ev"]).0, 0);
    let agent = daemon.agent("person");
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);

    // The key is read where it is whenever it is needed. One that is no key costs nothing but time:
    // presented with the one of before, the server might give the whole grant up.
    write_private(&file, "-----BEGIN NONSENSE-----\n");
    let (code, said) = daemon.run(&["ctl", "refresh", "ev"]);
    assert_ne!(code, 0);
    assert!(said.to_string().contains("private key"), "{said}");
    write_private(&file, signing::PRIVATE);
    let (code, said) = daemon.run(&["ctl", "refresh", "ev"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(daemon.run(&["logout", "ev"]).0, 0);

    let log = authority.ask("/log");
    let proofs: Vec<_> = log
        .as_array()
        .expect("a list")
        .iter()
        .filter(|entry| entry["on"] == "token" || entry["on"] == "revoke")
        .map(|entry| {
            assert_eq!(entry["auth_method"], "private_key_jwt", "{entry}");
            assert_eq!(entry["status"], 200, "{entry}");
            entry["grant_type"].as_str().unwrap_or("revoke").to_owned()
        })
        .collect();
    for kind in [
        "client_credentials",
        "authorization_code",
        "refresh_token",
        "revoke",
    ] {
        assert!(proofs.iter().any(|proof| proof == kind), "{proofs:?}");
    }
    // The key is nowhere but where it was put, and sealed in the store.
    let shown = daemon.log() + &daemon.run(&["upstream", "show", "ev"]).1.to_string();
    let line = signing::PRIVATE.lines().nth(1).expect("a line");
    assert!(!shown.contains(line), "the log shows the key");
}

mod signing {
    //! A pair of a key that OpenSSL made.
    pub(super) const PRIVATE: &str = include_str!("../../src/jose/tests/ec.pem");
    pub(super) const PUBLIC: &str = include_str!("../../src/jose/tests/ec.jwk.json");
}
