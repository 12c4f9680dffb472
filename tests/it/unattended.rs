//! Credentials that need no person, through the built program: a stored secret, a command, a client
//! of our own.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::parts::{Agent, Daemon, Exchange, Part};
use crate::support::raw::{Upstream, answer, ok};

const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

/// An upstream that takes requests whose `field` says what is in `key`.
fn guarded(field: &'static str, key: &Arc<Mutex<String>>) -> Upstream {
    let key = Arc::clone(key);
    Upstream::answering(move |request| {
        if request.field(field) == Some(key.lock().expect("unpoisoned").as_str()) {
            ok(RESULT)
        } else {
            answer("401 Unauthorized", "www-authenticate: Bearer\r\n", "")
        }
    })
}

fn configured(url: &str, auth: &str) -> (Daemon, Agent) {
    let daemon = Daemon::start();
    configure(&daemon, url, auth);
    let (id, credential) = daemon.mint("test");
    let agent = Agent::known(id, credential);
    (daemon, agent)
}

pub(crate) fn configure(daemon: &Daemon, url: &str, auth: &str) {
    let text = format!(
        "[store]\nkind = \"file\"\n[upstreams.ev]\nurl = \"{url}\"\n[upstreams.ev.auth]\n{auth}"
    );
    std::fs::write(daemon.state().join("config.toml"), text).expect("written");
    let (code, said) = daemon.run(&["ctl", "reload"]);
    assert_eq!(code, 0, "{said}");
}

pub(crate) fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, private).expect("set");
}

fn call(daemon: &Daemon, agent: &Agent) -> Exchange {
    daemon.call(agent, "tools/call", &json!({"name": "x"}))
}

fn works(daemon: &Daemon, agent: &Agent) {
    let exchange = call(daemon, agent);
    assert_eq!((exchange.status, exchange.body.as_str()), (200, RESULT));
}

/// What an agent is told in the place of a result.
pub(crate) fn told(daemon: &Daemon, agent: &Agent) -> String {
    let exchange = call(daemon, agent);
    assert_eq!(exchange.status, 200, "{}", exchange.body);
    let json = exchange.json();
    assert_eq!(json["result"]["isError"], true, "{json}");
    json["result"]["content"][0]["text"]
        .as_str()
        .expect("a text")
        .to_owned()
}

#[test]
fn a_secret_of_a_file_goes_into_its_field_and_is_read_again_after_a_401() {
    let key = Arc::new(Mutex::new("Token key-1".to_owned()));
    let up = guarded("x-api-key", &key);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    write_private(&file, "key-1\n");
    let auth = format!(
        "kind = \"static\"\nsecret = {{ file = \"{}\" }}\nheader = \"X-Api-Key\"\nformat = \"Token {{secret}}\"\n",
        file.display()
    );
    let (daemon, agent) = configured(&up.url("/mcp"), &auth);
    works(&daemon, &agent);
    let seen = up.seen();
    assert_eq!(seen.all("x-api-key"), ["Token key-1"]);
    assert_eq!(
        seen.field("authorization"),
        None,
        "the agent's own stays here"
    );

    *key.lock().expect("unpoisoned") = "Token key-2".to_owned();
    write_private(&file, "key-2\n");
    works(&daemon, &agent);
    let keys: Vec<_> = up.all_seen();
    let keys: Vec<_> = keys.iter().map(|seen| seen.field("x-api-key")).collect();
    assert_eq!(keys, [Some("Token key-1"), Some("Token key-2")]);

    // A file that others can read is not used, and the agent is told why.
    *key.lock().expect("unpoisoned") = "Token key-3".to_owned();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&file, open).expect("set");
    let text = told(&daemon, &agent);
    assert!(text.contains("chmod 600"), "{text}");
    let (code, status) = daemon.run(&["status"]);
    assert_eq!(
        (code, &status["upstreams"][0]["state"]),
        (8, &json!("error"))
    );
    assert_eq!(
        status["upstreams"][0]["problem"]["code"],
        "secret_unavailable"
    );
    write_private(&file, "key-3\n");
    assert_eq!(daemon.run(&["ctl", "refresh", "ev"]).0, 0);
    works(&daemon, &agent);
}

#[test]
fn a_secret_that_was_handed_over_is_kept_sealed() {
    const SECRET: &str = "canary-2f7a9c";
    let key = Arc::new(Mutex::new(format!("Bearer {SECRET}")));
    let up = guarded("authorization", &key);
    let mut daemon = Daemon::start();
    let add = ["upstream", "add", "ev", &up.url("/mcp"), "--auth", "static"];
    assert_eq!(daemon.run(&add).0, 0);
    let (id, credential) = daemon.mint("test");
    let agent = Agent::known(id, credential);
    let text = told(&daemon, &agent);
    let next = daemon.typed("upstream set-secret ev");
    assert!(
        text.contains(&format!("stored under the name ev. Next: {next}")),
        "{text}"
    );

    let mut set = daemon
        .command()
        .args(["upstream", "set-secret", "ev"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = set.stdin.take().expect("piped");
    writeln!(input, "{SECRET}").expect("read");
    drop(input);
    let said = set.wait_with_output().expect("it ends");
    assert!(said.status.success(), "{said:?}");
    works(&daemon, &agent);

    daemon.kill();
    daemon.serve();
    works(&daemon, &agent);
    for text in [
        String::from_utf8_lossy(&said.stdout).into_owned(),
        String::from_utf8_lossy(&said.stderr).into_owned(),
        daemon.log(),
        daemon.run(&["upstream", "show", "ev"]).1.to_string(),
        daemon.run(&["status"]).1.to_string(),
        std::fs::read_to_string(daemon.state().join("config.toml")).expect("a file"),
    ] {
        assert!(!text.contains(SECRET), "{text}");
    }
    for entry in std::fs::read_dir(daemon.state())
        .expect("a folder")
        .flatten()
    {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let found = bytes
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes());
        assert!(!found, "{}", entry.path().display());
    }
}

#[test]
fn a_secret_is_not_taken_where_the_config_says_another_place() {
    let auth = "kind = \"static\"\nsecret = { env = \"NOT_SET\" }\n";
    let (daemon, agent) = configured("http://127.0.0.1:9/mcp", auth);
    let text = told(&daemon, &agent);
    assert!(text.contains("NOT_SET is not set"), "{text}");
    let refused = daemon
        .command()
        .args(["upstream", "set-secret", "ev", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .and_then(|mut child| {
            writeln!(child.stdin.take().expect("piped"), "x")?;
            child.wait_with_output()
        })
        .expect("it ends");
    let said: Value = serde_json::from_slice(&refused.stdout).expect("JSON");
    assert_eq!(said["error"]["code"], "secret_elsewhere", "{said}");
}

fn script(folder: &Path, text: &str) -> String {
    let path = folder.join("token");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
    let run = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&path, run).expect("set");
    path.display().to_string()
}

#[test]
fn a_command_is_run_once_for_the_life_of_its_token_and_again_after_a_401() {
    let key = Arc::new(Mutex::new("Bearer token-1".to_owned()));
    let up = guarded("authorization", &key);
    let folder = tempfile::tempdir().expect("a folder");
    // Nothing to read and nobody to ask: `read` meets the end at once.
    let command = script(
        folder.path(),
        "read answer && exit 9\n\
         echo \"$KUBERNETES_EXEC_INFO\" | grep -q '\"interactive\":false' || exit 8\n\
         echo run >>\"$RUNS\"\n\
         printf '{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"token-%s\",\"expirationTimestamp\":\"2099-01-01T00:00:00Z\"}}' $(wc -l <\"$RUNS\")",
    );
    let runs = folder.path().join("runs");
    let auth = format!(
        "kind = \"exec\"\ncommand = [\"{command}\"]\nenv = {{ RUNS = \"{}\" }}\n",
        runs.display()
    );
    let (daemon, agent) = configured(&up.url("/mcp"), &auth);
    let count = || std::fs::read_to_string(&runs).map_or(0, |text| text.lines().count());
    assert_eq!(count(), 0, "not before somebody asks");
    works(&daemon, &agent);
    works(&daemon, &agent);
    assert_eq!(count(), 1);
    *key.lock().expect("unpoisoned") = "Bearer token-2".to_owned();
    works(&daemon, &agent);
    assert_eq!(count(), 2);
    let (code, status) = daemon.run(&["status"]);
    assert_eq!(
        (code, &status["upstreams"][0]["state"]),
        (0, &json!("ready"))
    );
    assert_eq!(
        status["upstreams"][0]["token"]["expires_at"],
        "2099-01-01T00:00:00Z"
    );
}

#[test]
fn a_command_that_fails_is_told_of_with_its_own_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let command = script(
        folder.path(),
        "echo 'no session: run kubelogin' >&2; exit 3",
    );
    let exec =
        |command: &str, more: &str| format!("kind = \"exec\"\ncommand = [\"{command}\"]\n{more}");
    let (daemon, agent) = configured("http://127.0.0.1:9/mcp", &exec(&command, ""));
    let text = told(&daemon, &agent);
    assert!(
        text.contains("exited 3: no session: run kubelogin"),
        "{text}"
    );
    let hint = "install_hint = \"brew install kubelogin\"\n";
    configure(
        &daemon,
        "http://127.0.0.1:9/mcp",
        &exec("/nonexistent/x", hint),
    );
    let text = told(&daemon, &agent);
    assert!(text.contains("Next: brew install kubelogin"), "{text}");
    let waits = script(folder.path(), "sleep 1000");
    configure(
        &daemon,
        "http://127.0.0.1:9/mcp",
        &exec(&waits, "timeout = \"100ms\"\n"),
    );
    let text = told(&daemon, &agent);
    assert!(text.contains("did not finish in 100ms"), "{text}");
}

/// With a real authorization server, everything discovered.
#[test]
fn a_client_of_ours_signs_in_by_itself() {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let client = json!({
        "grant_types": ["client_credentials"], "response_types": [], "redirect_uris": [],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    let registered = Exchange::post(&format!("{}/reg", authority.url), &client);
    assert_eq!(registered.status, 201, "{}", registered.body);
    let registered = registered.json();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    write_private(&file, "not the secret");
    let auth = format!(
        "kind = \"client_credentials\"\nclient_id = {}\nclient_secret = {{ file = \"{}\" }}\nscopes = [\"mcp:read\"]\n",
        registered["client_id"],
        file.display()
    );
    let (daemon, agent) = configured(&upstream.url, &auth);
    let text = told(&daemon, &agent);
    assert!(text.contains("invalid_client"), "{text}");
    write_private(&file, registered["client_secret"].as_str().expect("a text"));
    assert_eq!(daemon.run(&["ctl", "refresh", "ev"]).0, 0);
    let agent = daemon.shake_hands(agent);
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    authority.tell("/expire-access-tokens", &json!({}));
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    assert_eq!(daemon.run(&["upstream", "test", "ev"]).0, 0);
    let log = authority.ask("/log");
    let asked: Vec<_> = log
        .as_array()
        .expect("a list")
        .iter()
        .filter(|entry| entry["on"] == "token" && entry["status"] == 200)
        .collect();
    assert_eq!(asked.len(), 2, "{asked:#?}");
    for entry in asked {
        assert_eq!(entry["auth_method"], "client_secret_basic");
        assert_eq!(entry["resource"], upstream.url.as_str());
    }
}

#[test]
fn a_client_of_ours_goes_straight_to_the_endpoint_that_is_configured() {
    let key = Arc::new(Mutex::new("Bearer canary-own-1".to_owned()));
    let up = guarded("authorization", &key);
    let tokens = Upstream::answering(|_| {
        ok(r#"{"access_token":"canary-own-1","token_type":"Bearer","expires_in":3600}"#)
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    write_private(&file, "s e:cret");
    let auth = format!(
        "kind = \"client_credentials\"\ntoken_endpoint = \"{}\"\nclient_id = \"agents\"\n\
         client_secret = {{ exec = [\"cat\", \"{}\"] }}\nscopes = [\"a\", \"b\"]\n\
         audience = \"https://billing.example.com\"\nresource = \"off\"\n",
        tokens.url("/token"),
        file.display()
    );
    let (daemon, agent) = configured(&up.url("/mcp"), &auth);
    works(&daemon, &agent);
    works(&daemon, &agent);
    let asked = tokens.seen();
    assert_eq!(
        String::from_utf8_lossy(&asked.body),
        "grant_type=client_credentials&scope=a+b&audience=https%3A%2F%2Fbilling.example.com"
    );
    // RFC 6749 §2.3.1: both halves are encoded as form values first.
    assert_eq!(
        asked.field("authorization"),
        Some("Basic YWdlbnRzOnMrZSUzQWNyZXQ=")
    );
    assert!(!tokens.was_asked(), "once for the life of the token");
}
