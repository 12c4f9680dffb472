//! What a defect of our own lets out: the daemon panics with secrets in its hands, with the
//! longest of backtraces, and writes none of them.

use serde_json::{Value, json};

use super::World;
use crate::support::parts::Exchange;

/// Places at which a secret is at hand, and what leads to them.
const REFRESH: [&str; 7] = [
    "account.event",
    "refresh.intent",
    "refresh.call",
    "refresh.answer",
    "refresh.publish",
    "store.commit=1*off->1*panic",
    "store.committed=1*off->1*panic",
];
const SIGN_IN: [&str; 4] = [
    "sign-in.answer",
    "sign-in.committed",
    "sign-in.publish",
    "sign-in.published",
];
const SESSIONS: [&str; 6] = [
    "mint.write",
    "mint.committed",
    "mint.opened",
    "session.revoke",
    "session.closed",
    "session.committed",
];

fn secrets(world: &World) -> Vec<(String, String)> {
    let all = world.authority.ask("/secrets");
    let mut found = vec![("credential".to_owned(), world.agent.credential.clone())];
    for (name, values) in all.as_object().expect("an object") {
        let values = values.as_array().expect("a list").iter();
        let texts = values.map(|value| value.as_str().expect("a text").to_owned());
        found.extend(texts.map(|text| (name.clone(), text)));
    }
    found
}

/// What a mint gave, where it came to that.
fn credential(mint: &Exchange) -> Option<String> {
    let body: Value = serde_json::from_str(&mint.body).ok()?;
    body["credential"].as_str().map(ToOwned::to_owned)
}

/// The answer to a call, and to a second one where the first was told to come back.
fn served(world: &World) -> String {
    let mut answers = std::iter::repeat_with(|| world.echo()).take(5);
    let served = answers.find(|answer| answer.contains("Echo: hello"));
    served.unwrap_or_else(|| world.echo())
}

/// All of these places, at the first time that each is passed.
fn each_once(steps: &[&str]) -> String {
    let each: Vec<_> = steps.iter().map(|step| format!("{step}=1*panic")).collect();
    each.join(";")
}

/// What the daemon wrote, with so many panics in it, and what it tells of itself.
fn left(world: &World, step: &'static str, panics: usize) -> [(&'static str, String); 2] {
    let (_, status) = world.daemon.run(&["status"]);
    let log = world.daemon.log();
    assert!(log.matches("panicked at").count() >= panics, "{step}");
    assert!(log.contains("TRACE"), "{step}");
    [(step, status.to_string()), (step, log)]
}

#[test]
fn no_secret_is_in_what_a_panic_writes() {
    let mut world = World::new(true);
    world.daemon.variables = vec![("RUST_BACKTRACE", "full".to_owned())];
    let mut written: Vec<(&str, String)> = vec![];
    let mut minted: Vec<String> = vec![];
    for step in REFRESH {
        world.daemon.kill();
        let once = format!("{step}=1*panic");
        let failpoint = if step.contains('=') { step } else { &once };
        assert!(world.daemon.serve_until(failpoint), "{step}");
        // A backtrace takes a while, and some of that is what a call waits.
        let answer = served(&world);
        assert!(answer.contains("Echo: hello"), "{step}: {answer}");
        written.push((step, answer));
        written.extend(left(&world, step, 1));
    }
    // Each attempt comes as far as to the next of them.
    world.daemon.kill();
    assert!(world.daemon.serve_until(&each_once(&SIGN_IN)));
    for _ in SIGN_IN {
        world.daemon.try_sign_in(&world.authority);
    }
    written.extend(left(&world, "sign-in", SIGN_IN.len()));
    world.daemon.kill();
    assert!(world.daemon.serve_until(&each_once(&SESSIONS)));
    for _ in SESSIONS {
        let body = json!({"origin": "mint"});
        let mint = world.daemon.try_control("POST", "/api/v1/sessions", &body);
        minted.extend(mint.and_then(|mint| credential(&mint)));
    }
    for _ in SESSIONS {
        let (id, credential) = world.daemon.mint("one");
        minted.push(credential);
        let (_, told) = world.daemon.run(&["ctl", "revoke", &id]);
        written.push(("a revoke", told.to_string()));
    }
    written.extend(left(&world, "sessions", SESSIONS.len()));
    let traced = written
        .iter()
        .filter(|(_, text)| text.contains("stack backtrace"))
        .count();
    assert!(traced > 0, "the backtraces are there");
    let own = minted.into_iter().map(|one| ("credential".to_owned(), one));
    let secrets: Vec<_> = secrets(&world).into_iter().chain(own).collect();
    let kinds = [
        "access_token",
        "refresh_token",
        "code",
        "code_verifier",
        "state",
        "credential",
    ];
    for kind in kinds {
        assert!(
            secrets.iter().any(|(name, _)| name == kind),
            "{kind}: {secrets:?}"
        );
    }
    for (name, secret) in &secrets {
        assert!(secret.len() >= 16, "{name} is too short to be looked for");
        let holders = written
            .iter()
            .filter(|(_, text)| text.contains(secret.as_str()));
        let holders: Vec<_> = holders.map(|(step, _)| step).collect();
        assert!(holders.is_empty(), "{name} in {holders:?}");
    }
}

/// Somebody signs in, and it dies over that: they are told, nothing is lost, and the next time it
/// works.
#[test]
fn chaos_a_sign_in_that_panics_is_told_and_can_be_made_again() {
    let mut world = World::new(true);
    for step in SIGN_IN {
        world.daemon.kill();
        assert!(
            world.daemon.serve_until(&format!("{step}=1*panic")),
            "{step}"
        );
        world.daemon.try_sign_in(&world.authority);
        assert!(world.daemon.log().contains("panicked at"), "{step}");
        let progress = world.daemon.try_control(
            "GET",
            "/api/v1/upstreams/ev/login?wait_ms=30000",
            &Value::Null,
        );
        let state = progress.expect("it lives").json()["state"].clone();
        assert_ne!(state, "pending", "{step}: nobody waits for ever");
        // What was there before serves, or what was new; and a person can do it again.
        let answer = world.echo();
        assert!(answer.contains("Echo: hello"), "{step}: {answer}");
        assert!(world.daemon.try_sign_in(&world.authority), "{step}");
        let answer = world.echo();
        assert!(answer.contains("Echo: hello"), "{step}: {answer}");
    }
}
