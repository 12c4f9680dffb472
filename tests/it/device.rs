//! `login --device`: a code that is entered in a browser anywhere, at a real authorization server.

use std::io::{BufRead, BufReader, Read};
use std::process::{ChildStderr, Stdio};

use serde_json::{Value, json};

use crate::support::parts::{Daemon, Part};

/// A sign-in that shows its code.
struct Waiting {
    login: std::process::Child,
    talk: BufReader<ChildStderr>,
    said: String,
}

impl Waiting {
    fn start(daemon: &Daemon, arguments: &[&str]) -> Self {
        let mut login = daemon
            .command()
            .arg("login")
            .args(arguments)
            .args(["-y", "-o", "json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut talk = BufReader::new(login.stderr.take().expect("piped"));
        let mut said = String::new();
        while !said.contains("or open: ") {
            assert!(talk.read_line(&mut said).expect("talk") > 0, "{said}");
        }
        Self { login, talk, said }
    }

    /// The page that knows the code.
    fn page(&self) -> &str {
        let page = self.said.rsplit("or open: ").next();
        page.expect("a page").trim()
    }

    /// The exit code and the document.
    fn end(mut self) -> (i32, Value) {
        self.talk.read_to_string(&mut self.said).expect("talk");
        let output = self.login.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout);
        (
            output.status.code().unwrap_or(-1),
            serde_json::from_str(&text).unwrap_or_default(),
        )
    }
}

fn added(config: &Value) -> (Part, Part, Daemon) {
    let authority = Part::authorization_server(config);
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    assert_eq!(daemon.run(&["upstream", "add", "ev", &upstream.url]).0, 0);
    (authority, upstream, daemon)
}

#[test]
fn oc_device_flow_polling() {
    let (authority, upstream, mut daemon) = added(&json!({}));
    let waiting = Waiting::start(&daemon, &["ev", "--device"]);
    let (_, code) = waiting.page().split_once("user_code=").expect("a code");
    assert!(
        waiting.said.contains(&format!("\n  {code}\n")),
        "{}",
        waiting.said
    );
    // Whoever asks meanwhile is shown the same code.
    let again = Waiting::start(&daemon, &["ev", "--device"]);
    assert_eq!(again.page(), waiting.page());
    let walked = authority.tell("/on-device", &json!({"url": waiting.page()}));
    assert_eq!(walked["status"], 200, "{walked}");
    for waiting in [waiting, again] {
        let (exit, said) = waiting.end();
        assert_eq!((exit, &said["state"]), (0, &json!("ready")), "{said}");
    }
    let agent = daemon.agent("test");
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);

    // It is a sign-in like every other: it outlives the daemon, is renewed, and is given back.
    daemon.kill();
    daemon.serve();
    assert_eq!(daemon.run(&["ctl", "refresh", "ev"]).0, 0);
    let agent = daemon.agent("later");
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    let (exit, said) = daemon.run(&["logout", "ev"]);
    assert_eq!((exit, &said["provider"]), (0, &json!("revoked")), "{said}");

    let log = authority.ask("/log");
    let log = log.as_array().expect("a list");
    let of = |on: &str| {
        log.iter()
            .filter(|entry| entry["on"] == on)
            .collect::<Vec<_>>()
    };
    let metadata = &of("register")[0]["metadata"];
    assert_eq!(
        (&metadata["redirect_uris"], &metadata["grant_types"][0]),
        (
            &json!([]),
            &json!("urn:ietf:params:oauth:grant-type:device_code")
        )
    );
    assert_eq!(of("device").len(), 1);
    assert_eq!(of("device")[0]["resource"], upstream.url.as_str());
    let polls: Vec<_> = of("token")
        .into_iter()
        .filter(|entry| entry["grant_type"] == metadata["grant_types"][0])
        .collect();
    let last = polls.last().expect("it was asked");
    assert_eq!(last["status"], 200);
    for earlier in &polls[..polls.len() - 1] {
        assert_eq!(earlier["error"], "authorization_pending");
    }
    let secrets = authority.ask("/secrets");
    let code = secrets["device_code"][0].as_str().expect("a code");
    assert!(!daemon.log().contains(code), "the log shows the code");
}

#[test]
fn oc_device_flow_polling_ends_when_the_person_says_no() {
    let (authority, _upstream, daemon) = added(&json!({}));
    // The browser on this machine is given up for it.
    let started = daemon
        .command()
        .args(["login", "ev", "--no-browser", "-y"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut browser = started.expect("it starts");
    let mut talk = BufReader::new(browser.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("/login/ev?t=") {
        line.clear();
        assert!(talk.read_line(&mut line).expect("talk") > 0, "no link");
    }
    let waiting = Waiting::start(&daemon, &["ev", "--device"]);
    let mut rest = String::new();
    talk.read_to_string(&mut rest).expect("talk");
    assert!(!browser.wait().expect("it ends").success(), "{rest}");

    authority.tell(
        "/on-device",
        &json!({"url": waiting.page(), "answer": "abort"}),
    );
    let (exit, said) = waiting.end();
    assert_ne!(exit, 0);
    assert_eq!(said["error"]["code"], "login_denied", "{said}");
    let (_, status) = daemon.run(&["status"]);
    assert_eq!(status["upstreams"][0]["state"], "login", "{status}");
}

#[test]
fn a_server_without_codes_for_other_devices_is_told_of() {
    let (authority, upstream, daemon) = added(&json!({"device": false}));
    let (exit, said) = daemon.run(&["login", "ev", "--device"]);
    assert_eq!(
        (exit, &said["error"]["code"]),
        (8, &json!("device_not_offered")),
        "{said}"
    );
    // What a person prefers counts for sign-ins that are begun on the command line.
    let text = format!(
        "[store]\nkind = \"file\"\n[upstreams.ev]\nurl = \"{}\"\nauth = {{ prefer_device_flow = true }}\n",
        upstream.url
    );
    std::fs::write(daemon.state().join("config.toml"), text).expect("written");
    assert_eq!(daemon.run(&["ctl", "reload"]).0, 0);
    let (_, said) = daemon.run(&["login", "ev"]);
    assert_eq!(said["error"]["code"], "device_not_offered", "{said}");
    assert_eq!(authority.count("registrations"), 0);
}

/// However long the code is good for.
#[test]
fn a_person_at_another_device_has_no_longer_than_was_said() {
    let (_authority, _upstream, daemon) = added(&json!({}));
    let waiting = Waiting::start(&daemon, &["ev", "--device", "--wait", "1s"]);
    let (code, said) = waiting.end();
    assert_ne!(code, 0, "{said}");
    assert_eq!(said["error"]["code"], "login_timeout", "{said}");
}
