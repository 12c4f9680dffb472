//! Who is sent which secret, as seen on the wire: two upstreams with an authorization server
//! each, and every byte that any of the four was sent.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::parts::{Daemon, Part};

/// The names of the four, in the order in which [`Scene`] has them.
const PARTS: [&str; 4] = ["issuer one", "issuer two", "upstream one", "upstream two"];

struct Scene {
    parts: [Part; 4],
    daemon: Daemon,
}

impl Scene {
    fn new() -> Self {
        let issuer = || {
            let basic = json!({"auth_methods": ["client_secret_post"], "wiretap": true});
            Part::authorization_server(&basic)
        };
        let (one, two) = (issuer(), issuer());
        let upstreams = [&one, &two].map(Part::tapped_server);
        let [first, second] = upstreams;
        Self {
            parts: [one, two, first, second],
            daemon: Daemon::start(),
        }
    }

    /// Where texts were sent: the secret's kind, who got it, and the request line.
    fn seen(&self, needles: &Value) -> Vec<(String, &'static str, String)> {
        let mut found = Vec::new();
        for (name, part) in PARTS.into_iter().zip(&self.parts) {
            let seen = part.tell("/seen", needles);
            assert!(seen["connections"].as_u64() > Some(0), "{name}: {seen}");
            for one in seen["found"].as_array().expect("a list") {
                let text = |key: &str| one[key].as_str().expect("a text").to_owned();
                found.push((text("name"), name, text("line")));
            }
        }
        found
    }
}

/// A call of each upstream; whether both were carried out.
fn calls(daemon: &Daemon, credential: &str) {
    let bearer = format!("Bearer {credential}");
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    }});
    let fields = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    for name in ["ev", "ev2"] {
        let url = format!("{}/u/{name}", daemon.url);
        let answer =
            crate::support::parts::Exchange::send("POST", &url, &fields, &hello.to_string());
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        assert_eq!(answer.field("doorward-origin"), Some("upstream"), "{name}");
    }
}

#[test]
fn each_secret_is_sent_to_its_own_endpoint_and_to_nobody_else() {
    let mut scene = Scene::new();
    let [one, two, first, second] = &scene.parts;
    scene.daemon.sign_in(one, &first.url);
    let (code, told) = scene.daemon.run(&["upstream", "add", "ev2", &second.url]);
    assert_eq!(code, 0, "{told}");
    scene.daemon.sign_in(two, "ev2");
    let (_, credential) = scene.daemon.mint("one");
    calls(&scene.daemon, &credential);
    for round in 0..2 {
        for issuer in [one, two] {
            issuer.tell("/expire-access-tokens", &json!({}));
        }
        calls(&scene.daemon, &credential);
        if round == 0 {
            // Trouble makes it neither ask elsewhere nor say more.
            for issuer in [one, two] {
                issuer.tell(
                    "/fault",
                    &json!({"on": "token", "kind": "status", "status": 500}),
                );
            }
            scene.daemon.kill();
            scene.daemon.serve();
        }
    }
    let (code, told) = scene.daemon.run(&["logout", "ev"]);
    assert_eq!(code, 0, "{told}");

    for (own, issuer, upstream) in [(0, PARTS[0], PARTS[2]), (1, PARTS[1], PARTS[3])] {
        let secrets = scene.parts[own].ask("/secrets");
        let all = scene.seen(&secrets);
        let mut lines: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for (secret, who, line) in &all {
            lines.entry(secret).or_default().push((who, line));
        }
        // Each of them was sent where it belongs, or nothing is shown by its not being elsewhere.
        for (secret, who, path) in [
            ("refresh_token", issuer, "POST /token"),
            ("code", issuer, "POST /token"),
            ("code_verifier", issuer, "POST /token"),
            ("client_secret", issuer, "POST /token"),
            ("access_token", upstream, "POST /"),
        ] {
            let sent = lines.remove(secret).unwrap_or_default();
            assert!(!sent.is_empty(), "{secret} was sent: {all:?}");
            for (to, line) in sent {
                // A sign-out takes access tokens back where they came from.
                let revoked =
                    secret == "access_token" && line.starts_with("POST /token/revocation");
                let to_whom = if revoked { issuer } else { who };
                assert_eq!(to, to_whom, "{secret} in {line}");
                assert!(line.starts_with(path), "{secret} in {line}");
            }
        }
        lines.remove("state");
        for (secret, sent) in lines {
            let own = ["registration_access_token", "id_token"].contains(&secret);
            assert!(
                own && sent.iter().all(|(to, _)| *to == issuer),
                "{secret}: {sent:?}"
            );
        }
    }
    // What opens this daemon is nobody's business.
    let local = scene.seen(&json!({"credential": [credential]}));
    assert!(local.is_empty(), "{local:?}");
    scene.daemon.kill();
}
