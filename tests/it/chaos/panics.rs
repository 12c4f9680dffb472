//! Defects of our own: every kind of actor panics, and the thread of the store.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::{World, living};

/// Whichever message it dies over, the account is back, the call that waits is answered, and the
/// refresh token is not presented again after it was spent: this server gives no grace.
#[test]
fn chaos_an_account_that_panics_over_any_message_loses_nothing() {
    let mut world = World::new(false);
    let over = |passed: u32| format!("account.event={passed}*off->1*panic");
    let steps = (0..6).map(over).chain(
        [
            "refresh.intent",
            "refresh.call",
            "refresh.answer",
            "refresh.publish",
            "refresh.published",
        ]
        .map(|step| format!("{step}=1*panic")),
    );
    let (mut deaths, mut gaps) = (0, Vec::new());
    for step in steps {
        world.forget();
        world.daemon.kill();
        assert!(world.daemon.serve_until(&step), "{step}");
        let answer = world.echo();
        assert!(answer.contains("Echo: hello"), "{step}: {answer}");
        assert_eq!(world.reuses(), 0, "{step}: {:?}", world.presented());
        let log = world.daemon.log();
        if log.contains("panicked at") {
            deaths += 1;
            gaps.extend(back_after(&log, SUCCESSOR));
        }
        let (_, status) = world.daemon.run(&["status"]);
        assert_eq!(status["upstreams"][0]["state"], "ready", "{step}: {status}");
        // And it was written, whoever did it.
        world.daemon.kill();
        world.daemon.serve();
        let answer = world.echo();
        assert!(answer.contains("Echo: hello"), "{step}: {answer}");
        assert_eq!(world.reuses(), 0, "{step}: {:?}", world.presented());
    }
    assert!(deaths >= 9, "{deaths} of them died");
    tell("an account's actor", &gaps);
}

/// An account that dies over everything stays down, says so, and costs no token; what does not
/// need it goes on, and a restart mends it.
#[test]
fn chaos_an_account_that_always_panics_is_broken_and_says_so() {
    let mut world = World::new(false);
    world.forget();
    world.daemon.kill();
    assert!(world.daemon.serve_until("account.event=panic"));
    for _ in 0..2 {
        let answer = world.echo();
        assert!(answer.contains("five times in a minute"), "{answer}");
    }
    let (_, status) = world.daemon.run(&["status"]);
    let account = &status["upstreams"][0];
    assert_eq!(account["state"], "error", "{status}");
    assert_eq!(account["problem"]["code"], "internal", "{status}");
    assert!(
        account["problem"]
            .to_string()
            .contains("five times in a minute"),
        "{status}"
    );
    let deaths = world.daemon.log().matches("panicked at").count();
    assert_eq!(deaths, 5, "then nobody tries any more");
    assert_eq!(world.authority.count("refresh_requests"), 0);
    assert_eq!(living(&world.daemon), [json!(world.agent.id)]);
    world.daemon.mint("meanwhile");
    world.daemon.kill();
    world.daemon.serve();
    assert!(world.daemon.try_echo(&world.agent));
    assert_eq!(world.reuses(), 0);
}

/// The store's thread goes on after a panic, with the transaction undone.
#[test]
fn chaos_a_store_that_panics_over_any_write_loses_nothing() {
    let mut world = World::new(false);
    let mut gaps = Vec::new();
    // The first two writes of a refresh; the one before them makes the tables at the start.
    for side in ["store.commit", "store.committed"] {
        for passed in [1, 2] {
            let step = format!("{side}={passed}*off->1*panic");
            world.forget();
            world.daemon.kill();
            assert!(world.daemon.serve_until(&step), "{step}");
            let answer = world.echo();
            assert!(answer.contains("Echo: hello"), "{step}: {answer}");
            assert!(
                world.daemon.log().contains("a store operation panicked"),
                "{step}"
            );
            gaps.extend(back_after(
                &world.daemon.log(),
                "a store operation panicked",
            ));
            // A stop waits until what is in memory only is written.
            let (code, told) = world.daemon.run(&["down"]);
            assert_eq!(code, 0, "{step}: {told}");
            world.daemon.reap();
            world.daemon.serve();
            let answer = world.echo();
            assert!(answer.contains("Echo: hello"), "{step}: {answer}");
            assert_eq!(world.reuses(), 0, "{step}: {:?}", world.presented());
        }
    }
    tell("the store's thread", &gaps);
}

/// A sign-out forgets the token before as well, which the store holds while the newest is not saved.
#[test]
fn chaos_a_sign_out_while_the_newest_token_is_not_saved_leaves_nothing_behind() {
    let mut world = World::new(false);
    // It is not tried again before the sign-out.
    world
        .daemon
        .configure("[refresh]\nretry = { base = \"10m\", max = \"10m\" }");
    world.daemon.kill();
    // The write after the intent.
    assert!(world.daemon.serve_until("store.commit=2*off->1*panic"));
    let answer = world.echo();
    assert!(answer.contains("Echo: hello"), "{answer}");
    let log = world.daemon.log();
    assert!(
        log.contains("the refreshed sign-in is not saved yet"),
        "{log}"
    );
    let (code, told) = world.daemon.run(&["logout", "ev", "--local"]);
    assert_eq!(code, 0, "{told}");
    world.daemon.kill();
    world.daemon.serve();
    let spent = world.authority.count("refresh_requests");
    let (_, status) = world.daemon.run(&["status"]);
    let problem = &status["upstreams"][0]["problem"];
    assert_eq!(problem["code"], "login_required", "{status}");
    assert!(!world.daemon.try_echo(&world.agent));
    let after = world.authority.count("refresh_requests");
    assert_eq!(after, spent, "the token before is not presented");
}

#[test]
fn chaos_a_session_that_panics_over_its_revoke_is_revoked_by_its_successor() {
    let mut world = World::new(false);
    world.daemon.kill();
    let mut gaps = Vec::new();
    for step in ["session.revoke", "session.closed", "session.committed"] {
        assert!(
            world.daemon.serve_until(&format!("{step}=1*panic")),
            "{step}"
        );
        let (id, credential) = world.daemon.mint("one");
        let (code, told) = world.daemon.run(&["ctl", "revoke", &id]);
        assert_eq!(code, 0, "{step}: {told}");
        assert!(world.daemon.log().contains("panicked at"), "{step}");
        // Who asked is the one who started the successor, which then did what was asked.
        gaps.extend(back_after(&world.daemon.log(), "session revoked"));
        world.daemon.kill();
        world.daemon.serve();
        assert_eq!(
            super::sessions::status(&world.daemon, &credential),
            401,
            "{step}"
        );
        world.daemon.kill();
    }
    tell("a session's actor, asked", &gaps);
    // One that always dies says that it did not work, and does not go on for ever.
    assert!(world.daemon.serve_until("session.revoke=panic"));
    let (id, _) = world.daemon.mint("one");
    let (code, told) = world.daemon.run(&["ctl", "revoke", &id]);
    assert_ne!(code, 0, "{told}");
    let deaths = world.daemon.log().matches("panicked at").count();
    assert!((2..=10).contains(&deaths), "{deaths}");
}

/// Nobody asks for it: it is back by itself, and does what only it does.
#[test]
fn chaos_a_session_that_panics_still_ends_with_its_process() {
    let mut world = World::new(false);
    world.daemon.kill();
    // The agent's own session is the first.
    // The second dies as it starts, before whoever starts it goes on.
    let deaths = "session.sweep=1*off->1*panic;session.opened=sleep(50)";
    assert!(world.daemon.serve_until(deaths));
    let mut program = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let pid = program.id().to_string();
    let (code, minted) = world.daemon.run(&["session", "mint", "--bind-pid", &pid]);
    assert_eq!(code, 0, "{minted}");
    let id = minted["session"]["id"].as_str().expect("a text");
    program.kill().expect("it ran");
    program.wait().expect("it ended");
    let ended = |item: &Value| item["ended_by"].clone();
    let shown = loop {
        let (code, shown) = world.daemon.run(&["ctl", "show", id]);
        assert_eq!(code, 0, "{shown}");
        if !ended(&shown["item"]).is_null() {
            break shown;
        }
    };
    assert_eq!(ended(&shown["item"]), "process_exit", "{shown}");
    let replaced = back_after(&world.daemon.log(), SUCCESSOR).expect("it is told");
    tell("a session's actor, with nobody asking", &[replaced]);
    assert!(
        replaced < Duration::from_secs(1),
        "the look every five seconds comes later: {replaced:?}"
    );
}

/// What the log tells of an actor that is there again.
const SUCCESSOR: &str = "a new one takes its place";

/// How long after the last line before the first panic the log has these words: what a panic
/// writes has no time of its own. `None` where one of the two has not been written yet.
fn back_after(log: &str, words: &str) -> Option<Duration> {
    let at = |words: &str| {
        let (before, _) = log.split_once(words)?;
        let mut words = before.rsplit('"');
        words.find_map(|word| word.parse::<jiff::Timestamp>().ok())
    };
    let gap = at(words)?.duration_since(at("panicked at")?);
    Some(gap.try_into().expect("in this order"))
}

/// Prints how long it took; what of that is this machine's is not for a test to judge.
fn tell(who: &str, gaps: &[Duration]) {
    let most = gaps.iter().max();
    eprintln!(
        "{who}: back after {most:?} at most, in {} deaths",
        gaps.len()
    );
}
