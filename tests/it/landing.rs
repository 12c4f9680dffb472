//! Where the browser comes back to when that is not the agent port: the address that a client is
//! registered with, and a port of the sign-in's own.

use std::net::{TcpListener, TcpStream};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::parts::{Daemon, Exchange, Part};

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

fn configure(daemon: &Daemon, upstream: &Part, auth: &str) {
    let text = format!(
        "[store]\nkind = \"file\"\n[upstreams.ev]\nurl = \"{}\"\n[upstreams.ev.auth]\n{auth}",
        upstream.url
    );
    let file: &Path = &daemon.state().join("config.toml");
    std::fs::write(file, text).expect("written");
    let (code, said) = daemon.run(&["ctl", "reload"]);
    assert_eq!(code, 0, "{said}");
}

/// Where the browser was led back to, in the order of the sign-ins.
fn redirects(authority: &Part) -> Vec<String> {
    let log = authority.ask("/log");
    let entries = log.as_array().expect("a list").iter();
    let asked = entries.filter(|entry| entry["on"] == "authorize");
    let mut found: Vec<_> = asked
        .filter_map(|entry| entry["parameters"]["redirect_uri"].as_str())
        .map(str::to_owned)
        .collect();
    found.dedup();
    found
}

fn until_closed(port: u16) {
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn oc_redirect_port_strategy_begins_with_what_the_client_is_registered_with() {
    let port = free_port();
    let registered = format!("http://127.0.0.1:{port}/cb");
    let authority = Part::authorization_server(&json!({
        "exact_redirect": true,
        "clients": [{
            "client_id": "desk", "redirect_uris": [registered], "application_type": "native",
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        }],
    }));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    let auth = format!("client_id = \"desk\"\nredirect = \"{registered}\"\n");
    configure(&daemon, &upstream, &auth);
    let (_, shown) = daemon.run(&["upstream", "show", "ev"]);
    assert_eq!(shown["redirect_uri"], registered.as_str(), "{shown}");
    daemon.sign_in(&authority, "ev");
    assert_eq!(redirects(&authority), std::slice::from_ref(&registered));
    until_closed(port);

    // Somebody else has the port: the sign-in goes on with another one, and says what that means.
    let taken = TcpListener::bind(("127.0.0.1", port)).expect("free again");
    let (code, said) = daemon.run(&["login", "ev", "--force", "--no-browser", "--wait", "1s"]);
    assert_ne!(code, 0, "{said}");
    let why = said["error"]["why"].as_str().expect("a reason");
    assert!(
        why.contains(&format!("port {port} of auth.redirect")),
        "{said}"
    );
    assert!(why.contains("compares ports"), "{said}");
    // Servers that keep to RFC 8252 §7.3 take that one too.
    authority.tell("/mode", &json!({"exact_redirect": false}));
    let walk = daemon.sign_in(&authority, "ev");
    assert!(walk.said.contains("Note: port"), "{}", walk.said);
    let all = redirects(&authority);
    let last = all.last().expect("asked");
    assert_ne!(*last, registered);
    assert!(
        last.starts_with("http://127.0.0.1:") && last.ends_with("/cb"),
        "{last}"
    );
    drop(taken);
    let agent = daemon.agent("test");
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
}

#[test]
fn oc_callback_listener_lifetime_of_a_port_of_its_own() {
    let authority = Part::authorization_server(&json!({"exact_redirect": true}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    configure(&daemon, &upstream, "redirect = \"ephemeral\"\n");
    daemon.sign_in(&authority, "ev");
    let first = redirects(&authority).pop().expect("asked");
    assert!(!first.starts_with(&daemon.url), "{first}");
    let port = url::Url::parse(&first).expect("a URL").port().expect("one");
    until_closed(port);
    // One registration for all of them: its port comes first.
    daemon.sign_in(&authority, "ev");
    assert_eq!(redirects(&authority), std::slice::from_ref(&first));
    assert_eq!(authority.count("registrations"), 1);
    until_closed(port);
    let taken = TcpListener::bind(("127.0.0.1", port)).expect("free again");
    daemon.sign_in(&authority, "ev");
    assert_eq!(
        authority.count("registrations"),
        2,
        "for a port that nobody has"
    );
    drop(taken);

    // While it is open, it is looked at as the agent port is, and answers one page.
    let started = login_without_end(&daemon);
    let place = redirect_of(&started);
    let elsewhere = place.replace("/oauth/callback", "/mcp");
    assert_eq!(Exchange::get(&elsewhere).status, 404);
    assert_eq!(Exchange::get(&place).status, 400, "nothing was sent back");
    let foreign = [("origin", "http://evil.example")];
    assert_eq!(Exchange::send("GET", &place, &foreign, "").status, 403);
    let port = url::Url::parse(&place).expect("a URL").port().expect("one");
    assert_eq!(daemon.run(&["logout", "ev"]).0, 0);
    until_closed(port);
}

/// The page of the provider that a sign-in would go on with.
fn login_without_end(daemon: &Daemon) -> String {
    let mut login = daemon
        .command()
        .args(["login", "ev", "--force", "--no-browser"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let talk = std::io::BufReader::new(login.stderr.take().expect("piped"));
    let link = std::io::BufRead::lines(talk)
        .map(|line| line.expect("talk"))
        .find(|line| line.contains("/login/ev"))
        .expect("a link");
    let _ = login.kill();
    let _ = login.wait();
    let page = Exchange::get(link.trim());
    page.field("location")
        .expect("on to the provider")
        .to_owned()
}

fn redirect_of(authorize: &str) -> String {
    let url = url::Url::parse(authorize).expect("a URL");
    let found = url.query_pairs().find(|(name, _)| name == "redirect_uri");
    found.expect("a redirect").1.into_owned()
}

/// RFC 9126, at a server that takes authorization requests in no other way.
#[test]
fn oc_par_required_honoured_at_a_real_server() {
    let authority = Part::authorization_server(&json!({"par": true}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    daemon.sign_in(&authority, &upstream.url);
    let agent = daemon.agent("test");
    assert_eq!(daemon.call(&agent, "tools/list", &json!({})).status, 200);
    let log = authority.ask("/log");
    let on = |what: &str| -> Vec<Value> {
        let entries = log.as_array().expect("a list").iter();
        entries
            .filter(|entry| entry["on"] == what)
            .cloned()
            .collect()
    };
    let pushed = on("push");
    assert!(
        !pushed.is_empty() && pushed.iter().all(|it| it["status"] == 201),
        "{pushed:?}"
    );
    let sent = pushed[0]["parameters"].to_string();
    for name in [
        "redirect_uri",
        "state",
        "code_challenge",
        "resource",
        "client_id",
    ] {
        assert_eq!(
            sent.matches(&format!("\"{name}\"")).count(),
            1,
            "{name} in {sent}"
        );
    }
    // What the browser carries tells nothing.
    for entry in on("authorize") {
        let carried = entry["parameters"].as_object().expect("some");
        let mut names: Vec<_> = carried.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["client_id", "request_uri"]);
    }

    // A refusal is told where the person is.
    let refusal = json!({"on": "push", "kind": "status", "status": 400,
        "body": {"error": "invalid_request", "error_description": "no such redirect"}});
    authority.tell("/fault", &refusal);
    let (code, said) = daemon.run(&["login", "ev", "--force", "--no-browser"]);
    assert_ne!(code, 0);
    let why = said["error"]["why"].as_str().expect("a reason");
    assert!(
        why.contains("400 invalid_request (no such redirect)"),
        "{said}"
    );
}
