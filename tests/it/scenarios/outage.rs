//! A token endpoint that is broken for a while, in every way that is not a definite no.

use serde_json::{Value, json};

use super::{refreshes, state};
use crate::support::parts::{Agent, Daemon, Part, signed_in};
use crate::support::traffic::works;

/// A sign-in, and the digest of the refresh token that the daemon must be holding.
pub(super) struct Outage {
    pub(super) authority: Part,
    _upstream: Part,
    pub(super) daemon: Daemon,
    pub(super) agent: Agent,
    held: Value,
}

impl Outage {
    pub(super) fn new() -> Self {
        let (authority, upstream, daemon) = signed_in(&json!({}));
        let agent = daemon.agent("one");
        let log = authority.ask("/log");
        let entries = log.as_array().expect("a list");
        let grant = entries
            .iter()
            .find(|entry| entry["grant_type"] == "authorization_code");
        let held = grant.expect("a sign-in")["issued_refresh_sha256"].clone();
        assert!(held.is_string());
        Self {
            authority,
            _upstream: upstream,
            daemon,
            agent,
            held,
        }
    }

    /// Tries a refresh that cannot work; then all is as it was, and people are told.
    fn fails(&self, name: &str) {
        let (code, answer) = self.daemon.run(&["ctl", "refresh", "ev"]);
        assert!(![0, 4].contains(&code), "{name}: {code} {answer}");
        let (state, problem) = state(&self.daemon);
        assert_eq!(
            (&*state, &*problem),
            ("error", "refresh_unavailable"),
            "{name}"
        );
        assert!(
            works(&self.daemon, &self.agent),
            "{name}: the old token serves"
        );
    }

    /// Heals without a person: the token ends, and the next call brings about the refresh.
    fn heals(&mut self, name: &str, seen: usize) {
        self.authority.tell("/heal", &json!({}));
        self.authority.tell("/expire-access-tokens", &json!({}));
        assert!(works(&self.daemon, &self.agent), "{name}: a call heals it");
        self.held_since(name, seen);
    }

    /// Whatever was presented since the log was cleared was the token that is held; the last of it
    /// worked.
    pub(super) fn held_until_now(&mut self, name: &str) {
        self.held_since(name, 0);
    }

    fn held_since(&mut self, name: &str, seen: usize) {
        assert_eq!(state(&self.daemon).0, "ready", "{name}");
        let refreshes = &refreshes(&self.authority)[seen..];
        for refresh in refreshes {
            assert_eq!(
                refresh["refresh_sha256"], self.held,
                "{name}: the same token"
            );
        }
        let healing = refreshes.last().expect("a refresh");
        assert_eq!(healing["status"], 200, "{name}");
        self.held = healing["issued_refresh_sha256"].clone();
        assert!(self.held.is_string(), "{name}");
    }
}

#[test]
fn pain_02_no_answer_but_a_definite_no_costs_the_refresh_token() {
    let mut outage = Outage::new();
    for fault in [
        json!({"kind": "status", "status": 500}),
        json!({"kind": "status", "status": 502, "body": "<html>bad gateway</html>",
               "headers": {"content-type": "text/html"}}),
        json!({"kind": "status", "status": 503}),
        json!({"kind": "status", "status": 429}),
        json!({"kind": "status", "status": 403, "body": "<html>no</html>",
               "headers": {"content-type": "text/html"}}),
        json!({"kind": "broken_json"}),
        json!({"kind": "error_200"}),
        json!({"kind": "empty"}),
        json!({"kind": "cut_short"}),
        json!({"kind": "reset_before"}),
    ] {
        let name = fault.to_string();
        let seen = refreshes(&outage.authority).len();
        let mut fault = fault;
        fault["on"] = "token".into();
        fault["times"] = "always".into();
        outage.authority.tell("/fault", &fault);
        outage.fails(&name);
        assert!(
            refreshes(&outage.authority).len() > seen,
            "{name}: it was presented"
        );
        outage.heals(&name, seen);
    }
    assert_eq!(outage.authority.count("reuse_presented"), 0);
    assert_eq!(outage.authority.count("authorization_code_grants"), 1);
}

#[test]
fn pain_02_an_authorization_server_that_is_gone_costs_nothing() {
    let mut outage = Outage::new();
    let seen = refreshes(&outage.authority).len();
    outage.authority.tell("/close", &json!({}));
    outage.fails("refused");
    outage.authority.tell("/open", &json!({}));
    outage.heals("refused", seen);
}

#[test]
fn pain_02_calls_go_on_while_the_token_endpoint_hangs() {
    let mut outage = Outage::new();
    let hang = json!({"on": "token", "kind": "hang", "times": "always"});
    outage.authority.tell("/fault", &hang);
    let refreshing = outage
        .daemon
        .command()
        .args(["ctl", "refresh", "ev", "-o", "json"])
        .stdout(std::process::Stdio::null())
        .spawn();
    // The second attempt follows a lost answer at once.
    for attempt in 1..=2 {
        let held = outage.authority.ask("/wait?count=held&at_least=1");
        assert_eq!(held["reached"], true, "attempt {attempt}");
        assert_eq!(state(&outage.daemon).0, "refreshing");
        assert!(works(&outage.daemon, &outage.agent), "the old token serves");
        outage.authority.tell("/release", &json!({}));
        outage
            .authority
            .ask("/wait?count=token_requests&at_least=3");
    }
    let mut refreshing = refreshing.expect("it starts");
    assert!(!refreshing.wait().expect("it ends").success());
    let (state, problem) = state(&outage.daemon);
    assert_eq!((&*state, &*problem), ("error", "refresh_unavailable"));
    outage.heals("hang", 0);
}
