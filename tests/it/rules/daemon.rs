//! The daemon as a whole, without a provider: addresses, upstreams, sessions, the log.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::parts::{Daemon, Exchange};
use crate::support::raw::{Upstream, ok};

fn quiet() -> Upstream {
    Upstream::answering(|_| ok("{}"))
}

fn post(daemon: &Daemon, path: &str, credential: &str) -> Exchange {
    let bearer = format!("Bearer {credential}");
    let fields = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    Exchange::send("POST", &format!("{}{path}", daemon.url), &fields, "{}")
}

fn add(daemon: &Daemon, name: &str, url: &str) -> (i32, Value) {
    daemon.run(&["upstream", "add", name, url, "--auth", "none"])
}

fn local_url(daemon: &Daemon, name: &str) -> Value {
    let (code, listed) = daemon.run(&["status", name]);
    assert_eq!(code, 0, "{listed}");
    listed["upstreams"][0]["local_url"].clone()
}

#[test]
fn seed_s1_01_the_system_chooses_the_port_and_everybody_finds_it() {
    let daemon = Daemon::start();
    let port = daemon
        .url
        .strip_prefix("http://127.0.0.1:")
        .expect("loopback");
    assert_ne!(port.parse::<u16>().expect("a port"), 0);
    assert_eq!(Exchange::get(&format!("{}/health", daemon.url)).status, 200);
    let (code, status) = daemon.run(&["status"]);
    assert_eq!(code, 0, "the socket was found");
    assert_eq!(status["daemon"]["base_url"], daemon.url.as_str());
}

#[test]
fn seed_s1_02_a_second_start_changes_nothing() {
    let daemon = Daemon::start();
    let (code, status) = daemon.run(&["up"]);
    assert_eq!(code, 0);
    assert_eq!(status["daemon"]["base_url"], daemon.url.as_str());
    let second = daemon.command().args(["serve", "--port", "0"]).output();
    let second = second.expect("it runs");
    assert!(!second.status.success(), "ls_single_instance_lock");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("already running"), "{said}");
    assert_eq!(Exchange::get(&format!("{}/health", daemon.url)).status, 200);
}

#[test]
fn seed_s1_03_a_known_address_keeps_its_local_address() {
    let up = quiet();
    let daemon = Daemon::start();
    assert_eq!(add(&daemon, "docs", &up.url("/mcp")).0, 0);
    let first = local_url(&daemon, "docs");
    let (id, credential) = daemon.mint("one");
    for _ in 0..3 {
        assert_eq!(add(&daemon, "docs", &up.url("/mcp")).0, 0);
        assert_eq!(local_url(&daemon, "docs"), first);
        assert_eq!(post(&daemon, "/u/docs", &credential).status, 200, "{id}");
    }
    let (code, all) = daemon.run(&["upstream", "list"]);
    assert_eq!((code, all["items"].as_array().map(Vec::len)), (0, Some(1)));
    // The name for something else is not taken away.
    assert_eq!(add(&daemon, "docs", &up.url("/other")).0, 6);
    assert_eq!(local_url(&daemon, "docs"), first);
}

#[test]
fn seed_s1_04_what_was_removed_is_404_at_the_next_request() {
    let up = quiet();
    let daemon = Daemon::start();
    assert_eq!(add(&daemon, "docs", &up.url("/mcp")).0, 0);
    let (_, credential) = daemon.mint("one");
    assert_eq!(post(&daemon, "/u/docs", &credential).status, 200);
    up.seen();
    assert_eq!(daemon.run(&["upstream", "remove", "docs"]).0, 0);
    assert_eq!(post(&daemon, "/u/docs", &credential).status, 404);
    assert!(!up.was_asked());
}

#[test]
fn seed_s1_14_calls_are_not_logged_and_changes_are() {
    let up = quiet();
    let mut daemon = Daemon::start();
    assert_eq!(add(&daemon, "docs", &up.url("/mcp")).0, 0);
    let (_, credential) = daemon.mint("one");
    daemon.kill();
    let log = daemon.state().join("quiet.log");
    let mut child = daemon
        .command()
        .env_remove("DOORWARD_LOG")
        .args(["serve", "--ready-fd", "1", "--port", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    out.read_line(&mut line).expect("a line");
    let ready: Value = serde_json::from_str(&line).expect("ready");
    ready["url"]
        .as_str()
        .expect("a url")
        .clone_into(&mut daemon.url);
    let lines = || {
        std::fs::read_to_string(&log)
            .expect("a log")
            .lines()
            .count()
    };
    assert_eq!(lines(), 1, "the start");
    for _ in 0..50 {
        assert_eq!(post(&daemon, "/u/docs", &credential).status, 200);
        assert_eq!(post(&daemon, "/u/none", &credential).status, 404);
    }
    assert_eq!(lines(), 1, "nothing changed");
    let (id, _) = daemon.mint("two");
    assert_eq!(lines(), 2, "one line a change of state");
    assert_eq!(daemon.run(&["ctl", "revoke", &id]).0, 0);
    assert_eq!(lines(), 3);
    assert_eq!(daemon.run(&["down"]).0, 0);
    child.wait().expect("it ends");
}

#[test]
fn seed_s2_02_a_credential_belongs_to_one_session() {
    let up = quiet();
    let daemon = Daemon::start();
    assert_eq!(add(&daemon, "docs", &up.url("/mcp")).0, 0);
    assert_eq!(add(&daemon, "wiki", &up.url("/wiki")).0, 0);
    let mint = |label: &str, upstream: &str| {
        let (code, minted) = daemon.run(&[
            "session",
            "mint",
            "--label",
            label,
            "--client",
            "claude",
            "--upstream",
            upstream,
        ]);
        assert_eq!(code, 0, "{minted}");
        minted
    };
    let (docs, wiki) = (mint("a", "docs"), mint("b", "wiki"));
    assert_ne!(docs["credential"], wiki["credential"]);
    let (code, shown) = daemon.run(&["ctl", "sessions"]);
    assert_eq!(code, 0);
    for (minted, label, upstream, other) in
        [(&docs, "a", "docs", "wiki"), (&wiki, "b", "wiki", "docs")]
    {
        let own = shown["items"].as_array().expect("a list").iter();
        let own = own.filter(|item| item["id"] == minted["session"]["id"]);
        let [item] = own.collect::<Vec<_>>()[..] else {
            panic!("one session");
        };
        assert_eq!(item["label"], label);
        assert_eq!(item["client"]["name"], "claude");
        assert_eq!(item["grant"][0]["upstream"], upstream);
        let credential = minted["credential"].as_str().expect("a text");
        assert_eq!(
            post(&daemon, &format!("/u/{upstream}"), credential).status,
            200
        );
        assert_eq!(
            post(&daemon, &format!("/u/{other}"), credential).status,
            404
        );
    }
}

#[test]
fn seed_s2_06_sessions_are_revoked_by_id_label_client_upstream_or_all() {
    let up = quiet();
    let daemon = Daemon::start();
    assert_eq!(add(&daemon, "docs", &up.url("/mcp")).0, 0);
    assert_eq!(add(&daemon, "wiki", &up.url("/mcp")).0, 0);
    let mint = |label: &str, client: &str, upstream: &str| {
        let (code, minted) = daemon.run(&[
            "session",
            "mint",
            "--label",
            label,
            "--client",
            client,
            "--upstream",
            upstream,
        ]);
        assert_eq!(code, 0, "{minted}");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        (
            text(&minted["session"]["id"]),
            text(&minted["credential"]),
            format!("/u/{upstream}"),
        )
    };
    let mut living = vec![
        mint("one", "claude", "docs"),
        mint("two", "claude", "docs"),
        mint("three", "codex", "docs"),
        mint("four", "gemini", "wiki"),
        mint("five", "gemini", "docs"),
        mint("six", "gemini", "docs"),
    ];
    let first = living[0].0.clone();
    for (choice, ended) in [
        (vec![first.as_str()], 1),
        (vec!["--label", "two"], 1),
        (vec!["--client", "codex"], 1),
        (vec!["--upstream", "wiki"], 1),
        (vec!["--all"], 2),
    ] {
        let (code, revoked) = daemon.run(&[&["ctl", "revoke"][..], &choice].concat());
        assert_eq!(code, 0, "{choice:?}: {revoked}");
        let dead: Vec<_> = living.drain(..ended).collect();
        let ids: Vec<_> = dead.iter().map(|(id, ..)| id.clone()).collect();
        let mut named: Vec<String> =
            serde_json::from_value(revoked["revoked"].clone()).expect("a list");
        named.sort_by_key(|id| ids.iter().position(|other| other == id));
        assert_eq!(named, ids, "{choice:?}");
        for (_, credential, path) in &dead {
            let refused = post(&daemon, path, credential);
            assert_eq!(refused.status, 401);
            assert_eq!(refused.json()["error"]["data"]["code"], "session_revoked");
        }
        for (_, credential, path) in &living {
            assert_eq!(post(&daemon, path, credential).status, 200, "{choice:?}");
        }
    }
}

#[test]
fn seed_s4_08_it_runs_in_the_background_until_it_is_told_to_stop() {
    let mut daemon = Daemon::start();
    assert_eq!(daemon.run(&["down"]).0, 0);
    daemon.forget();
    assert_eq!(daemon.run(&["status"]).0, 3);
    let config = daemon.state().join("config.toml");
    let text = std::fs::read_to_string(&config).expect("a file");
    std::fs::write(&config, format!("{text}[server]\nport = 0\n")).expect("written");
    let (code, status) = daemon.run(&["up"]);
    assert_eq!(code, 0, "{status}");
    let url = status["daemon"]["base_url"].as_str().expect("an address");
    assert_eq!(Exchange::get(&format!("{url}/health")).status, 200);
    assert_eq!(daemon.run(&["status"]).0, 0);
    let logs = |last: &str| {
        let output = daemon.command().args(["logs", "-n", last]).output();
        String::from_utf8(output.expect("it runs").stdout).expect("text")
    };
    let said = logs("200");
    assert!(
        said.contains("INFO listening") && said.contains(url),
        "{said}"
    );
    assert_eq!(daemon.run(&["down"]).0, 0);
    assert_eq!(daemon.run(&["status"]).0, 3);
    let said = logs("1");
    assert!(said.ends_with("INFO stopped\n"), "{said}");
}

#[test]
fn seed_s4_09_a_page_that_is_only_looked_at_signs_nobody_in_or_out() {
    let up = quiet();
    let mut daemon = Daemon::start();
    daemon.kill();
    let config = format!(
        "default_upstream = \"one\"\n[store]\nkind = \"file\"\n[sessions]\nrequire = false\n\
         [upstreams.one]\nurl = \"{}\"\n[upstreams.two]\nurl = \"{}\"\nauth = {{ kind = \"none\" }}\n",
        up.url("/one"),
        up.url("/two")
    );
    std::fs::write(daemon.state().join("config.toml"), config).expect("written");
    daemon.serve();
    for path in ["/oauth/login", "/oauth/logout"] {
        let page = Exchange::get(&format!("{}{path}", daemon.url));
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains("<form method=\"post\""), "{}", page.body);
        assert_eq!(page.field("location"), None);
        for fields in [
            &[("origin", "https://page.example")][..],
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
            ],
        ] {
            let address = format!("{}{path}", daemon.url);
            assert_eq!(Exchange::send("POST", &address, fields, "").status, 403);
            assert_eq!(Exchange::send("DELETE", &address, fields, "").status, 403);
        }
    }
    assert!(!daemon.log().contains("sign-in started"));
    assert!(!daemon.log().contains("signed out"));
    assert!(!up.was_asked(), "not even discovery began");
    let status = Exchange::get(&format!("{}/oauth/status", daemon.url));
    assert_eq!(status.json(), json!({"authenticated": false}));
    // More than one upstream.
    let fields = [("content-type", "application/json")];
    let two = Exchange::send("POST", &format!("{}/u/two", daemon.url), &fields, "{}");
    assert_eq!(two.status, 200, "{}", two.body);
    assert_eq!(up.seen().target(), "/two");
}

#[test]
fn ls_no_cross_agent_disclosure_on_the_agent_port() {
    let up = quiet();
    let daemon = Daemon::start();
    assert_eq!(add(&daemon, "hidden", &up.url("/mcp")).0, 0);
    let (id, _) = daemon.mint("somebody");
    for path in [
        "/",
        "/health",
        "/ready",
        "/oauth/status",
        "/oauth/logout",
        "/u/x",
        "/api/v1/sessions",
    ] {
        let told = Exchange::get(&format!("{}{path}", daemon.url));
        for secret in ["hidden", "somebody", &id] {
            assert!(!told.body.contains(secret), "{path}: {}", told.body);
            assert!(!told.head.contains(secret), "{path}: {}", told.head);
        }
    }
}

#[test]
fn ls_bind_loopback_default() {
    let daemon = Daemon::start();
    for bind in ["0.0.0.0", "::"] {
        let port = daemon.url.rsplit(':').next().expect("a port");
        let tried = daemon
            .command()
            .args(["serve", "--bind", bind, "--port", port])
            .output()
            .expect("it runs");
        assert_eq!(tried.status.code(), Some(7), "{bind}");
        let said = String::from_utf8_lossy(&tried.stderr);
        assert!(said.contains("will not listen on"), "{said}");
    }
}
