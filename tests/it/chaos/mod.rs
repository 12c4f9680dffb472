//! The daemon is killed, at every durable step and at random moments, over a real authorization
//! server that rotates refresh tokens and takes a token that comes twice for theft.

mod canaries;
mod crowd;
mod panics;
mod refresh;
mod roulette;
mod sessions;
mod sign_in;
mod storms;

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::parts::{Agent, Daemon, Part, signed_in};
use crate::support::traffic::echo;

/// What became of the sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Nobody noticed.
    Kept,
    /// A person was told to sign in again, and why.
    Lost,
}

/// A daemon that is signed in, and an agent.
struct World {
    authority: Part,
    _upstream: Part,
    daemon: Daemon,
    agent: Agent,
    grace: bool,
}

impl World {
    /// With `grace`, a refresh token works for a minute after it was rotated.
    fn new(grace: bool) -> Self {
        let leeway = if grace { 60 } else { 0 };
        let (authority, upstream, daemon) = signed_in(&json!({"reuse_leeway": leeway}));
        let agent = daemon.agent("one");
        // What needs a person is said at once.
        daemon.configure("[login]\nhold = \"off\"");
        Self {
            authority,
            _upstream: upstream,
            daemon,
            agent,
            grace,
        }
    }

    /// How often each refresh token was presented, and how often after it was spent.
    fn presented(&self) -> HashMap<String, (u32, u32)> {
        let log = self.authority.ask("/log");
        let mut presented = HashMap::new();
        for entry in log.as_array().expect("a list") {
            let Some(token) = entry["refresh_sha256"].as_str() else {
                continue;
            };
            let (all, spent): &mut (u32, u32) = presented.entry(token.to_owned()).or_default();
            *all += 1;
            *spent += u32::from(entry["already_used"] == true);
        }
        presented
    }

    /// The most often that one token was presented after it was spent.
    fn reuses(&self) -> u32 {
        let presented = self.presented();
        let spent = presented.values().map(|(_, spent)| *spent);
        spent.max().unwrap_or_default()
    }

    /// Starts the daemon after its death and looks what the agent gets; a sign-in that is lost
    /// must be lost for a reason, once, and be mended by the next.
    fn recovers(&mut self, name: &str) -> After {
        self.daemon.serve();
        let answer = self
            .daemon
            .try_call(&self.agent, "tools/call", &crate::support::traffic::hello())
            .unwrap_or_else(|| panic!("{name}: no answer: {}", self.daemon.log()));
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        assert!(self.reuses() <= 1, "{name}: {:?}", self.presented());
        if answer.body.contains("Echo: hello") {
            return After::Kept;
        }
        assert!(!self.grace, "{name}: lost with a grace: {}", answer.body);
        let (_, status) = self.daemon.run(&["status"]);
        let problem = &status["upstreams"][0]["problem"];
        assert_eq!(problem["code"], "login_required", "{name}: {status}");
        let told = [problem.to_string(), answer.body];
        for told in told {
            assert!(told.contains("after an answer was lost"), "{name}: {told}");
        }
        let spent = self.authority.count("token_requests");
        for _ in 0..5 {
            assert!(!self.daemon.try_echo(&self.agent), "{name}");
        }
        let after = self.authority.count("token_requests");
        assert_eq!(after, spent, "{name}: nothing is asked for any more");
        assert!(self.daemon.try_sign_in(&self.authority), "{name}");
        assert!(self.daemon.try_echo(&self.agent), "{name}");
        After::Lost
    }

    /// What a call of the agent is answered with.
    fn echo(&self) -> String {
        echo(&self.daemon, &self.agent).1
    }

    /// Forgets what was counted.
    fn forget(&self) {
        self.authority.tell("/clear", &json!({}));
    }
}

/// The ids of the sessions that live.
fn living(daemon: &Daemon) -> Vec<Value> {
    let (code, listed) = daemon.run(&["ctl", "sessions"]);
    assert_eq!(code, 0, "{listed}");
    let sessions = listed["items"].as_array().expect("a list").iter();
    sessions.map(|one| one["id"].clone()).collect()
}

/// `fail` is empty unless its feature is on, and only the tests' own dependency turns it on.
#[test]
fn no_other_build_than_that_of_the_tests_has_failpoints() {
    let manifest = include_str!("../../../Cargo.toml");
    let (build, tests) = manifest
        .split_once("[dev-dependencies]")
        .expect("two parts");
    assert!(build.contains("\nfail = \"0.5\"\n"), "no feature of it");
    assert!(!build.contains("failpoints") && tests.contains("failpoints"));
    assert!(
        !manifest.contains("fail/failpoints"),
        "nor through a feature of ours"
    );
}
