//! `login --paste`: the browser is on another machine, and ends on an address that nothing answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::parts::{Daemon, Part};

/// Signs in as a person would whose browser is on another machine; the exit code and the JSON.
pub(crate) fn attempt(daemon: &Daemon, authority: &Part, arguments: &[&str]) -> (i32, Value) {
    let mut login = daemon
        .command()
        .arg("login")
        .args(arguments)
        .args(["--paste", "-y", "-o", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut talk = BufReader::new(login.stderr.take().expect("piped"));
    let mut page = String::new();
    while !page.contains("code_challenge") {
        page.clear();
        assert!(talk.read_line(&mut page).expect("talk") > 0, "no page");
    }
    let walk = json!({"url": page.trim(), "deliver": false});
    let walked = authority.tell("/sign-in", &walk);
    let mut input = login.stdin.take().expect("piped");
    writeln!(
        input,
        "{}",
        walked["location"].as_str().expect("a way back")
    )
    .expect("read");
    drop(input);
    // The rest of the talk must be read, or the program waits for somebody to read it.
    let mut rest = String::new();
    talk.read_to_string(&mut rest).expect("talk");
    let output = login.wait_with_output().expect("it ends");
    let said = serde_json::from_slice(&output.stdout).unwrap_or(Value::String(rest));
    (output.status.code().unwrap_or(-1), said)
}

/// The same for a sign-in that works.
pub(crate) fn sign_in(daemon: &Daemon, authority: &Part, arguments: &[&str]) {
    let (code, said) = attempt(daemon, authority, arguments);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn the_address_that_the_browser_ended_on_finishes_a_sign_in() {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    let mut login = daemon
        .command()
        .args([
            "login",
            &upstream.url,
            "--name",
            "ev",
            "--paste",
            "-o",
            "json",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = login.stdin.take().expect("piped");
    let mut talk = BufReader::new(login.stderr.take().expect("piped"));
    let mut until = |part: &str| {
        let mut said = String::new();
        loop {
            let mut line = String::new();
            assert!(talk.read_line(&mut line).expect("talk") > 0, "{said}");
            said += &line;
            if line.contains(part) {
                break line.trim().to_owned();
            }
        }
    };
    let page = until("code_challenge");
    let walked = authority.tell("/sign-in", &json!({"url": page, "deliver": false}));
    let back = walked["location"].as_str().expect("a way back");
    let stale = back.replace("state=", "state=x");
    writeln!(
        input,
        "\n{}\nhttp://\n{stale}",
        &back[..back.find('?').expect("a query")]
    )
    .expect("read");
    until("not a whole address");
    until("not a whole address");
    until("not of this sign-in");
    writeln!(input, "  {back}").expect("read");
    drop(input);
    let mut out = String::new();
    let mut stdout = login.stdout.take().expect("piped");
    stdout.read_to_string(&mut out).expect("text");
    assert!(login.wait().expect("it ends").success(), "{out}");
    let account: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(account["state"], "ready", "{out}");
    assert_eq!(authority.count("authorization_code_grants"), 1);
    let code = back
        .split("code=")
        .nth(1)
        .and_then(|rest| rest.split('&').next());
    assert!(!daemon.log().contains(code.expect("a code")));
}

/// What was added for a sign-in goes with it.
#[test]
fn a_sign_in_by_address_that_fails_leaves_no_upstream_behind() {
    let daemon = Daemon::start();
    let ports = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = format!("http://{}/mcp", ports.local_addr().expect("its address"));
    drop(ports);
    let (code, said) = daemon.run(&["login", &nobody, "--name", "ev", "--no-browser"]);
    assert_ne!(code, 0, "{said}");
    let (_, listed) = daemon.run(&["upstream", "list"]);
    assert_eq!(listed["items"], json!([]), "{said}");
    // One that was there before stays.
    assert_eq!(daemon.run(&["upstream", "add", "ev", &nobody]).0, 0);
    assert_ne!(daemon.run(&["login", &nobody, "--no-browser"]).0, 0);
    let (_, listed) = daemon.run(&["upstream", "list"]);
    assert_eq!(listed["items"][0]["name"], "ev");
}

/// RFC 7592 §2.3, and what `--keep-client` is for.
#[test]
fn a_registration_that_nobody_uses_any_more_goes_back_unless_it_is_to_be_kept() {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    let deleted = || {
        let log = authority.ask("/log");
        let entries = log.as_array().expect("a list");
        let of = |entry: &&Value| entry["on"] == "register" && entry["method"] == "DELETE";
        entries.iter().filter(of).count()
    };
    daemon.sign_in(&authority, &upstream.url);
    assert_eq!(daemon.run(&["logout", "ev", "--keep-client"]).0, 0);
    assert_eq!((authority.count("registrations"), deleted()), (1, 0));
    daemon.sign_in(&authority, "ev");
    assert_eq!(authority.count("registrations"), 1, "the same client again");
    assert_eq!(daemon.run(&["logout", "ev"]).0, 0);
    assert_eq!(deleted(), 1);
    daemon.sign_in(&authority, "ev");
    assert_eq!(authority.count("registrations"), 2);
}

/// The way on names whom it is about.
#[test]
fn an_address_that_never_comes_is_told_of_with_the_way_on() {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    assert_eq!(daemon.run(&["upstream", "add", "ev", &upstream.url]).0, 0);
    let mut login = daemon.command();
    login.args(["login", "ev", "--paste", "-o", "json"]);
    let output = login.stdin(Stdio::null()).output().expect("it runs");
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said["error"]["code"], "login_timeout", "{said}");
    assert_eq!(
        said["error"]["fix"],
        daemon.typed("login ev --paste"),
        "{said}"
    );
}
