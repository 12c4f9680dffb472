//! Sign-ins that are begun again, given up, or that cannot work: what happens to the one before,
//! and what a person is told to do next.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::parts::{Daemon, Exchange, Part, signed_in};

/// A `login` that waits for its person.
struct Waiting {
    login: Child,
    talk: BufReader<ChildStderr>,
    said: String,
    link: String,
}

impl Waiting {
    fn start(daemon: &Daemon, arguments: &[&str]) -> Self {
        let mut login = daemon
            .command()
            .args(["login", "--no-browser"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut talk = BufReader::new(login.stderr.take().expect("piped"));
        let (mut said, mut link) = (String::new(), String::new());
        while !said.contains("Waiting") {
            let mut words = String::new();
            assert_ne!(talk.read_line(&mut words).expect("talk"), 0, "{said}");
            if words.contains("?t=") {
                words.trim().clone_into(&mut link);
            }
            said += &words;
        }
        Self {
            login,
            talk,
            said,
            link,
        }
    }

    /// Ctrl-C.
    fn interrupt(&self) {
        let pid = Pid::from_child(&self.login);
        kill_process(pid, Signal::INT).expect("it runs");
    }

    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.talk.read_to_string(&mut rest).expect("talk");
        (self.login.wait().expect("it ends").code(), rest)
    }
}

#[test]
fn oc_single_pending_login_is_joined_or_gives_way_to_one_with_other_scopes() {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    let first = Waiting::start(&daemon, &[&upstream.url, "--name", "ev", "--wait", "30s"]);
    // Whoever wants the same joins it, for as long as they want.
    let joined = Waiting::start(&daemon, &["ev", "--wait", "1h"]);
    assert_eq!(joined.link, first.link);
    let left = ["1h left", "59m"].map(|left| joined.said.contains(left));
    assert!(left.contains(&true), "{}", joined.said);
    let other = Waiting::start(&daemon, &["ev", "--force", "--scopes", "mcp:other"]);
    assert_ne!(other.link, first.link);
    for gone in [first, joined] {
        let (code, said) = gone.end();
        assert_eq!(code, Some(8), "{said}");
        assert!(said.contains("has taken its place"), "{said}");
    }
    let page = Exchange::get(&other.link);
    let authorize = page.field("location").expect("on to the provider");
    assert!(authorize.contains("scope=mcp%3Aother"), "{authorize}");

    // One of two who leaves takes nothing from the other; the last one ends it.
    let same = Waiting::start(&daemon, &["ev", "--force", "--scopes", "mcp:other"]);
    assert_eq!(same.link, other.link);
    same.interrupt();
    let (code, said) = same.end();
    assert_eq!(code, Some(130), "{said}");
    assert_eq!(Exchange::get(&other.link).status, 303, "it goes on");
    let link = other.link.clone();
    other.interrupt();
    let (code, said) = other.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("nobody was signed in"), "{said}");
    assert!(Exchange::get(&link).status >= 400, "it is over");
}

#[test]
fn oc_stepup_scope_union_asks_for_what_is_wanted_and_what_was_granted() {
    let (_authority, _upstream, daemon) = signed_in(&json!({}));
    let (_, status) = daemon.run(&["upstream", "show", "ev"]);
    let granted = status["items"][0]["scopes"].as_array();
    let granted = granted.unwrap_or_else(|| panic!("{status}"));
    assert!(!granted.is_empty(), "{status}");

    let more = Waiting::start(&daemon, &["ev", "--force", "--add-scopes", "mcp:other"]);
    let page = Exchange::get(&more.link);
    let authorize = page.field("location").expect("on to the provider");
    let authorize = url::Url::parse(authorize).expect("a URL");
    let asked = authorize.query_pairs().find(|(name, _)| name == "scope");
    let (_, asked) = asked.expect("scopes");
    let wanted = granted.iter().filter_map(|scope| scope.as_str());
    for scope in wanted.chain(["mcp:other"]) {
        assert!(asked.split(' ').any(|one| one == scope), "{scope}: {asked}");
    }
    more.interrupt();
    assert_eq!(more.end().0, Some(130));
}

#[test]
fn an_address_whose_sign_in_is_interrupted_is_not_kept() {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    let waiting = Waiting::start(&daemon, &[&upstream.url, "--name", "ev"]);
    waiting.interrupt();
    let (code, said) = waiting.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("Removed upstream ev again"), "{said}");
    let (_, listed) = daemon.run(&["upstream", "list"]);
    assert_eq!(listed["items"], json!([]));
}

#[test]
fn after_a_failed_first_sign_in_the_next_command_names_the_address() {
    let daemon = Daemon::start();
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead = format!("http://{}/mcp", nobody.local_addr().expect("an address"));
    drop(nobody);
    let (code, failed) = daemon.run(&["login", &dead]);
    assert_eq!(code, 8, "{failed}");
    let fix = failed["error"]["fix"].as_str().expect("a next step");
    assert!(
        fix.ends_with(&daemon.typed(&format!("login {dead}"))),
        "{fix}"
    );
    let (_, listed) = daemon.run(&["upstream", "list"]);
    assert_eq!(listed["items"], json!([]));
}

#[test]
fn a_server_that_wants_no_sign_in_is_added_as_one() {
    let daemon = Daemon::start();
    let open = Part::unprotected_server();
    let (code, added) = daemon.run(&["login", &open.url, "--name", "open"]);
    assert_eq!(code, 0, "{added}");
    assert_eq!(
        (&added["name"], &added["auth"]),
        (&json!("open"), &json!("none"))
    );
    let (code, again) = daemon.run(&["login", &open.url]);
    assert_eq!((code, &again["name"]), (0, &json!("open")), "{again}");
}

#[test]
fn an_authorization_server_that_is_down_is_named_and_not_the_upstream() {
    let authority = Part::authorization_server(&json!({}));
    let upstream = Part::resource_server(&authority);
    let daemon = Daemon::start();
    let host = authority
        .url
        .strip_prefix("http://")
        .expect("http")
        .to_owned();
    daemon.sign_in(&authority, &upstream.url);
    drop(authority);
    let (code, failed) = daemon.run(&["login", "ev", "--force"]);
    assert_eq!(code, 8, "{failed}");
    let message = failed["error"]["message"].as_str().expect("a text");
    assert_eq!(message, format!("{host} cannot be reached"));
    // Signed out all the same, and told in words why the provider was not.
    let output = daemon.command().args(["logout", "ev", "-y"]).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("did not revoke the tokens"), "{said}");
    assert!(
        !said.contains("retry_after") && !said.contains("None"),
        "{said}"
    );
}
