//! Secrets of a whole journey, looked for wherever the program writes: its log at the most
//! talkative level, what commands say, its pages, and the files of its state directory.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::parts::{Agent, Daemon, Exchange, Part};
use crate::support::traffic::{echo, works};

/// Places with what was written there.
#[derive(Default)]
struct Written(Vec<(String, Vec<u8>)>);

impl Written {
    fn add(&mut self, place: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((place.into(), bytes.into()));
    }

    /// Runs a command in each form of output that it has.
    fn run(&mut self, daemon: &Daemon, arguments: &[&str]) {
        for form in ["table", "wide", "json"] {
            let mut command = daemon.command();
            command.env("DOORWARD_LOG", "trace");
            command.args(arguments).args(["-y", "-o", form]);
            let output = command.output().expect("it runs");
            self.add(format!("{arguments:?} {form}"), output.stdout);
            self.add(format!("{arguments:?} {form}, aside"), output.stderr);
        }
    }

    /// Takes every file below a directory, and checks that nobody else may read it.
    fn files(&mut self, directory: &Path, moment: &str) {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt};
        for entry in std::fs::read_dir(directory).expect("it is there") {
            let path = entry.expect("an entry").path();
            let about = std::fs::metadata(&path).expect("a file");
            if about.is_dir() {
                self.files(&path, moment);
                continue;
            }
            let others = about.permissions().mode() & 0o077;
            let private = others == 0 || path.ends_with("config.toml");
            assert!(private, "{}", path.display());
            if !about.file_type().is_socket() {
                let bytes = std::fs::read(&path).expect("it can be read");
                self.add(format!("{} {moment}", path.display()), bytes);
            }
        }
    }

    fn text(&self, place: &str) -> String {
        let found = self.0.iter().filter(|(name, _)| name.starts_with(place));
        found
            .map(|(_, bytes)| String::from_utf8_lossy(bytes))
            .collect()
    }

    fn holders(&self, secret: &str) -> Vec<&str> {
        let holds = |bytes: &[u8]| {
            let mut windows = bytes.windows(secret.len());
            windows.any(|window| window == secret.as_bytes())
        };
        let found = self.0.iter().filter(|(_, bytes)| holds(bytes));
        found.map(|(name, _)| name.as_str()).collect()
    }
}

/// The secrets of the authorization server, with the name of each.
fn issued(authority: &Part) -> Vec<(String, String)> {
    let all = authority.ask("/secrets");
    let mut found = Vec::new();
    for (name, least) in [
        ("access_token", 5),
        ("refresh_token", 5),
        ("code", 2),
        ("code_verifier", 2),
        ("state", 2),
        ("client_secret", 1),
        ("registration_access_token", 1),
    ] {
        let values = all[name].as_array().cloned().unwrap_or_default();
        assert!(values.len() >= least, "the journey used {name}: {all}");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        found.extend(values.iter().map(|value| (name.to_owned(), text(value))));
    }
    found
}

/// A sign-in, calls, refreshes, failures, a restart, a revocation, a sign-out and a new sign-in.
/// Returns the secrets that the authorization server does not know.
fn journey(authority: &Part, upstream: &Part, written: &mut Written) -> Vec<(String, String)> {
    let mut daemon = Daemon::start();
    let mut secrets = Vec::new();
    let mut sign_in = |daemon: &Daemon, name: &str, written: &mut Written| {
        let walk = daemon.sign_in(authority, name);
        let (_, ticket) = walk.link.split_once("?t=").expect("a ticket");
        let (_, cookie) = walk.cookie.split_once('=').expect("a pair");
        secrets.push(("ticket".to_owned(), ticket.to_owned()));
        secrets.push(("cookie".to_owned(), cookie.to_owned()));
        for page in walk.pages {
            written.add("a page", page);
        }
        // The link is meant to be seen, once, by who signs in.
        written.add("login", walk.said.replacen(&walk.link, "", 1));
    };
    sign_in(&daemon, &upstream.url, written);
    let agents: [Agent; 2] = ["one", "two"].map(|label| daemon.agent(label));
    assert!(works(&daemon, &agents[0]));
    authority.tell("/expire-access-tokens", &json!({}));
    assert!(works(&daemon, &agents[0]));
    for kind in ["error_200", "broken_json", "reset_before"] {
        authority.tell("/fault", &json!({"on": "token", "kind": kind}));
        written.run(&daemon, &["ctl", "refresh", "ev"]);
    }
    // What a careless server repeats of a request must not go further either.
    let presented = authority.ask("/secrets")["refresh_token"].clone();
    let careless = json!({
        "on": "token", "kind": "status", "status": 400, "times": "always",
        "headers": {"content-type": "application/json"},
        "body": {"error": "invalid_request", "error_description": presented.to_string(),
                 "error_uri": presented.to_string()},
    });
    authority.tell("/fault", &careless);
    written.run(&daemon, &["ctl", "refresh", "ev"]);
    authority.tell("/heal", &json!({}));
    written.run(&daemon, &["status"]);
    written.files(&daemon.state(), "before the restart");
    daemon.kill();
    written.add("log of the first process", daemon.log());
    daemon.serve();
    assert!(works(&daemon, &agents[0]));
    for arguments in [
        &["ctl", "revoke", agents[1].id.as_str()][..],
        &["status"],
        &["ctl", "sessions"],
        &["ctl", "show", agents[0].id.as_str()],
        &["upstream", "list"],
        &["upstream", "show", "ev"],
        &["config", "show"],
        &["logout", "ev"],
    ] {
        written.run(&daemon, arguments);
    }
    written.add("a refusal", echo(&daemon, &agents[1]).1);
    written.add(
        "a sign-in wanted",
        daemon.call(&agents[0], "ping", &json!({})).body,
    );
    sign_in(&daemon, "ev", written);
    assert!(works(&daemon, &agents[0]));
    written.run(&daemon, &["status"]);
    written.files(&daemon.state(), "at the end");
    let (code, _) = daemon.run(&["down"]);
    assert_eq!(code, 0);
    daemon.forget();
    written.add("log of the second process", daemon.log());
    written.files(&daemon.state(), "after the end");
    for agent in agents {
        secrets.push(("credential".to_owned(), agent.credential));
    }
    secrets
}

#[test]
fn no_secret_of_a_journey_is_written_anywhere() {
    let authority = Part::authorization_server(&json!({"auth_methods": ["client_secret_basic"]}));
    let upstream = Part::resource_server(&authority);
    let mut written = Written::default();
    let mut secrets = journey(&authority, &upstream, &mut written);
    secrets.extend(issued(&authority));
    for place in ["log of the first", "log of the second"] {
        let log = written.text(place);
        assert!(
            log.contains("TRACE") && log.contains("credential published"),
            "{place}"
        );
    }
    assert!(written.text("[\"status\"] json").contains("upstreams"));
    for (name, secret) in &secrets {
        assert!(secret.len() >= 16, "{name} is too short to be looked for");
        let holders = written.holders(secret);
        assert!(holders.is_empty(), "{name} {secret} in {holders:#?}");
    }
}

/// What happened, at a level that the log has by itself; that no secret is in it, the test above shows.
#[test]
fn se_audit_log() {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    daemon.sign_in(&authority, &upstream.url);
    assert_eq!(daemon.run(&["ctl", "refresh", "ev"]).0, 0);
    let agent = daemon.agent("audited");
    let foreign = [("origin", "http://evil.example")];
    for path in ["/u/ev", "/oauth/callback"] {
        let url = format!("{}{path}", daemon.url);
        assert_eq!(Exchange::send("GET", &url, &foreign, "").status, 403);
    }
    assert_eq!(daemon.run(&["session", "revoke", &agent.id]).0, 0);
    assert_eq!(daemon.run(&["logout", "ev"]).0, 0);
    let log = daemon.log();
    let told = |parts: &[&str]| {
        let lines = log.lines();
        let lines = lines.filter(|line| line.contains("\"INFO\"") || line.contains("\"WARN\""));
        lines
            .filter(|line| parts.iter().all(|part| line.contains(part)))
            .count()
    };
    for parts in [
        &["\"signed in\"", "ev", authority.url.as_str()][..],
        &["credential published", "ev"],
        &["session minted", &agent.id],
        &["session revoked", &agent.id],
        &["signed out", "ev"],
    ] {
        assert!(told(parts) > 0, "{parts:?}");
    }
    assert_eq!(told(&["a request was denied", "evil.example"]), 1);
}
