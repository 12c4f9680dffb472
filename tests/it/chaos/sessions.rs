//! Death in the course of a mint and of a revoke.

use serde_json::json;

use super::living;
use crate::support::parts::{Daemon, Exchange};

/// The status that a credential is answered with: 404 for one that is in order, since there is no
/// such upstream.
pub(super) fn status(daemon: &Daemon, credential: &str) -> u16 {
    let bearer = format!("Bearer {credential}");
    let url = format!("{}/u/none", daemon.url);
    let answer = Exchange::attempt("POST", &url, &[("authorization", &bearer)], "");
    answer.expect("it lives").status
}

#[test]
fn chaos_a_mint_dies_at_every_step_and_none_that_was_confirmed_is_forgotten() {
    let mut daemon = Daemon::start();
    let mut confirmed = vec![daemon.mint("first").1];
    daemon.kill();
    let named = ["mint.write", "mint.committed", "mint.opened"].map(|at| format!("{at}=return"));
    let writes = (0..4).flat_map(|passed| {
        ["store.commit", "store.committed"].map(|side| format!("{side}={passed}*off->return"))
    });
    let mut deaths = 0;
    for step in named.into_iter().chain(writes) {
        let mut died = !daemon.serve_until(&step);
        if !died {
            let (code, minted) = daemon.run(&["session", "mint", "--label", &step]);
            died = code != 0;
            confirmed.extend(minted["credential"].as_str().map(ToOwned::to_owned));
        }
        daemon.ends(died);
        deaths += u32::from(died);
        daemon.serve();
        for credential in &confirmed {
            assert_eq!(status(&daemon, credential), 404, "{step}: forgotten");
        }
        daemon.kill();
    }
    assert!(deaths >= 7, "{deaths} of them died");
    assert!(confirmed.len() > 1, "and some did not");
}

#[test]
fn chaos_a_revoke_dies_at_every_step_and_none_that_was_confirmed_comes_back() {
    let mut daemon = Daemon::start();
    let mut revoked = Vec::new();
    let mut deaths = 0;
    let named = [
        ("session.revoke=return", Some(false)),
        ("session.closed=return", Some(false)),
        ("session.committed=return", Some(true)),
    ]
    .map(|(step, over)| (step.to_owned(), over));
    let writes = (0..4).flat_map(|passed| {
        ["store.commit", "store.committed"]
            .map(|side| (format!("{side}={passed}*off->return"), None))
    });
    for (step, over) in named.into_iter().chain(writes) {
        let (id, credential) = daemon.mint("to be revoked");
        daemon.kill();
        let confirmed = daemon.serve_until(&step) && daemon.run(&["ctl", "revoke", &id]).0 == 0;
        daemon.ends(!confirmed);
        deaths += u32::from(!confirmed);
        daemon.serve();
        let now = status(&daemon, &credential);
        if let Some(over) = over {
            assert_eq!(now == 401, over, "{step}");
        }
        if confirmed {
            assert_eq!(now, 401, "{step}: it came back");
        }
        if now == 401 {
            assert!(!living(&daemon).contains(&json!(id)), "{step}");
            revoked.push(credential);
        }
        for credential in &revoked {
            assert_eq!(status(&daemon, credential), 401, "{step}: it came back");
        }
    }
    assert!(deaths >= 7, "{deaths} of them died");
}
