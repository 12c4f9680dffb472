//! Tokens for the assertions of others: of a platform that runs the workload, and of an identity
//! provider that exchanges the token of an employee.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::support::parts::{Agent, Daemon, Exchange};
use crate::support::raw::{Message, Upstream, answer, ok};

const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

fn configured(url: &str, auth: &str) -> (Daemon, Agent) {
    let daemon = Daemon::start();
    let text = format!(
        "[store]\nkind = \"file\"\n[upstreams.ev]\nurl = \"{url}\"\n[upstreams.ev.auth]\n{auth}"
    );
    std::fs::write(daemon.state().join("config.toml"), text).expect("written");
    let (code, said) = daemon.run(&["ctl", "reload"]);
    assert_eq!(code, 0, "{said}");
    let (id, credential) = daemon.mint("test");
    (daemon, Agent::known(id, credential))
}

fn private(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, private).expect("set");
}

fn call(daemon: &Daemon, agent: &Agent) -> Exchange {
    daemon.call(agent, "tools/call", &json!({"name": "x"}))
}

/// Takes the token that was given last, and no other.
fn resource(newest: &'static AtomicU64) -> Upstream {
    Upstream::answering(move |request| {
        let wanted = format!("Bearer token-{}", newest.load(Ordering::SeqCst));
        if request.field("authorization") == Some(wanted.as_str()) {
            ok(RESULT)
        } else {
            answer("401 Unauthorized", "www-authenticate: Bearer\r\n", "")
        }
    })
}

/// Gives numbered tokens.
fn tokens(newest: &'static AtomicU64) -> Upstream {
    Upstream::answering(move |_| {
        let number = newest.fetch_add(1, Ordering::SeqCst) + 1;
        ok(&format!(
            r#"{{"access_token":"token-{number}","token_type":"Bearer","expires_in":3600}}"#
        ))
    })
}

fn field(request: &Message, name: &str) -> Option<String> {
    url::form_urlencoded::parse(&request.body)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

#[test]
fn a_workload_presents_what_its_platform_says_of_it_each_time() {
    static NEWEST: AtomicU64 = AtomicU64::new(0);
    let (up, server) = (resource(&NEWEST), tokens(&NEWEST));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    private(&file, "assertion-1\n");
    let auth = format!(
        "kind = \"jwt_bearer\"\ntoken_endpoint = \"{}\"\nclient_id = \"workload\"\n\
         assertion = {{ file = \"{}\" }}\nscopes = [\"a\"]\n",
        server.url("/token"),
        file.display()
    );
    let (daemon, agent) = configured(&up.url("/mcp"), &auth);
    assert_eq!(call(&daemon, &agent).body, RESULT);
    let asked = server.seen();
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    for (name, value) in [
        ("grant_type", grant),
        ("assertion", "assertion-1"),
        ("client_id", "workload"),
        ("scope", "a"),
        ("resource", &up.url("/mcp")),
    ] {
        assert_eq!(field(&asked, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(asked.field("authorization"), None);

    // Platforms write a new one in time; it is read when the next token is needed.
    private(&file, "assertion-2\n");
    NEWEST.fetch_add(1, Ordering::SeqCst);
    assert_eq!(call(&daemon, &agent).body, RESULT);
    let asked = server.seen();
    assert_eq!(field(&asked, "assertion").as_deref(), Some("assertion-2"));
    for kept in ["assertion-1", "assertion-2"] {
        assert!(!daemon.log().contains(kept), "the log shows {kept}");
    }
}

#[test]
fn oc_id_jag_flow() {
    static NEWEST: AtomicU64 = AtomicU64::new(0);
    static REFUSES: AtomicU64 = AtomicU64::new(0);
    let (up, server) = (resource(&NEWEST), tokens(&NEWEST));
    let idp = Upstream::answering(|_| {
        if REFUSES.load(Ordering::SeqCst) > 0 {
            return answer(
                "400 Bad Request",
                "content-type: application/json\r\n",
                r#"{"error":"invalid_grant"}"#,
            );
        }
        ok(r#"{"access_token":"the assertion","token_type":"N_A",
               "issued_token_type":"urn:ietf:params:oauth:token-type:id-jag","expires_in":300}"#)
    });
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    private(&secret, "hush");
    let auth = format!(
        "kind = \"token_exchange\"\nissuer = \"https://as.example\"\ntoken_endpoint = \"{}\"\n\
         client_id = \"mcp\"\nclient_secret = {{ file = \"{secret}\" }}\nscopes = [\"a\", \"b\"]\n\
         [upstreams.ev.auth.idp]\ntoken_endpoint = \"{}\"\nclient_id = \"at-idp\"\n\
         subject_token = {{ exec = [\"echo\", \"the id token\"] }}\n",
        server.url("/token"),
        idp.url("/exchange"),
        secret = secret.display(),
    );
    let (daemon, agent) = configured(&up.url("/mcp"), &auth);
    assert_eq!(call(&daemon, &agent).body, RESULT);
    let exchanged = idp.seen();
    for (name, value) in [
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        (
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:id-jag",
        ),
        ("audience", "https://as.example"),
        ("resource", &up.url("/mcp")),
        ("subject_token", "the id token"),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:id_token",
        ),
        ("scope", "a b"),
        ("client_id", "at-idp"),
    ] {
        assert_eq!(field(&exchanged, name).as_deref(), Some(value), "{name}");
    }
    let asked = server.seen();
    assert_eq!(field(&asked, "assertion").as_deref(), Some("the assertion"));
    // mcp:hush
    assert_eq!(asked.field("authorization"), Some("Basic bWNwOmh1c2g="));

    // A token that is rejected is replaced without anybody.
    NEWEST.fetch_add(1, Ordering::SeqCst);
    assert_eq!(call(&daemon, &agent).body, RESULT);
    assert_eq!(
        field(&idp.seen(), "subject_token").as_deref(),
        Some("the id token")
    );

    // Who says no is told.
    REFUSES.store(1, Ordering::SeqCst);
    NEWEST.fetch_add(1, Ordering::SeqCst);
    let told = call(&daemon, &agent).body;
    assert!(
        told.contains("identity provider") && told.contains("invalid_grant"),
        "{told}"
    );
    assert!(!(daemon.log() + &told).contains("the assertion"));
}

/// Neither again for the same call nor in another way; what the platform writes next is presented for
/// the next one.
#[test]
fn oc_wif_no_retry_no_fallback() {
    static NEWEST: AtomicU64 = AtomicU64::new(0);
    let up = resource(&NEWEST);
    let server = Upstream::answering(move |request| {
        if field(request, "assertion").as_deref() == Some("assertion-1") {
            let json = "content-type: application/json\r\n";
            return answer("400 Bad Request", json, r#"{"error":"invalid_grant"}"#);
        }
        let number = NEWEST.fetch_add(1, Ordering::SeqCst) + 1;
        ok(&format!(
            r#"{{"access_token":"token-{number}","token_type":"Bearer","expires_in":3600}}"#
        ))
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    private(&file, "assertion-1\n");
    let auth = format!(
        "kind = \"jwt_bearer\"\ntoken_endpoint = \"{}\"\nclient_id = \"workload\"\n\
         assertion = {{ file = \"{}\" }}\n",
        server.url("/token"),
        file.display()
    );
    let (daemon, agent) = configured(&up.url("/mcp"), &auth);
    let told = call(&daemon, &agent).body;
    assert!(told.contains("invalid_grant"), "{told}");
    let asked = server.all_seen();
    assert_eq!(asked.len(), 1, "presented again");
    private(&file, "assertion-2\n");
    assert_eq!(daemon.run(&["ctl", "refresh", "ev"]).0, 0);
    assert_eq!(call(&daemon, &agent).body, RESULT);
    for request in asked.iter().chain(&server.all_seen()) {
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        assert_eq!(field(request, "grant_type").as_deref(), Some(grant));
    }
}
