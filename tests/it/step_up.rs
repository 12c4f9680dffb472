//! Calls that are refused for want of scopes, and people who sign in with more of them.

use std::sync::Arc;
use std::time::Duration;

use doorward::ledger::{Published, Slot};
use doorward::model::id::Generation;
use doorward::model::secret::AccessToken;
use doorward::model::time::Timestamp;
use doorward::model::token::Credential;

use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::{Upstream, answer, ok};

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{}}}"#;
const REFUSAL: &str = "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"write\"\r\n";

/// A credential that came of the sign-in with this number.
fn publish(slot: &Slot, token: &str, generation: u64, sign_in: u64) {
    let credential = Credential {
        access: AccessToken::new(token),
        issued: Timestamp::MIN,
        expires: None,
        generation: Generation(generation),
    };
    let published = Published::bearer(&credential, Timestamp::MAX).expect("sendable");
    slot.publish(published.of_sign_in(Timestamp::from_millis(sign_in)));
}

#[test]
fn oc_stepup_during_a_request_sends_it_again_once_somebody_signed_in() {
    let up = Upstream::answering(|request| {
        if request.field("authorization") == Some("Bearer token-2") {
            ok("{\"done\":true}")
        } else {
            answer("403 Forbidden", REFUSAL, "{}")
        }
    });
    let mut spec = upstream("up", up.url("/mcp"));
    spec.hold = Duration::from_hours(1);
    let agent = Arc::new(Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    }));
    publish(&agent.slot("up"), "token-1", 1, 1);
    let calling = {
        let agent = Arc::clone(&agent);
        std::thread::spawn(move || agent.post(CALL))
    };
    assert_eq!(up.seen().all("authorization"), ["Bearer token-1"]);
    // A token that was renewed is of the same sign-in and helps nobody.
    let slot = agent.slot("up");
    publish(&slot, "renewed", 2, 1);
    publish(&slot, "token-2", 3, 2);
    let answered = calling.join().expect("an answer");
    assert_eq!(
        (answered.status(), answered.text().as_str()),
        (200, "{\"done\":true}")
    );
    assert_eq!(up.seen().all("authorization"), ["Bearer token-2"]);
}

#[test]
fn oc_stepup_retry_limit_over_sign_ins() {
    let up = Upstream::answering(|_| answer("403 Forbidden", REFUSAL, "{}"));
    let agent = Agent::before(up.url("/mcp"));
    let mut told = Vec::new();
    for number in 1..=5 {
        publish(&agent.slot("up"), "token", number, number);
        told.push(agent.post(CALL).text());
    }
    let asks = |text: &String| text.contains("--add-scopes write");
    assert_eq!(
        told.iter().map(asks).collect::<Vec<_>>(),
        [true, true, false, false, false],
        "{told:#?}"
    );
    assert!(
        told[2].contains("although somebody signed in for that"),
        "{}",
        told[2]
    );
}
