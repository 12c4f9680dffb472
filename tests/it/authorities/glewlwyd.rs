//! Debian's glewlwyd: no public clients at its token endpoint, errors without a body, revocation by
//! Basic only, metadata below its issuer only.

use serde_json::json;

use crate::support::parts::{Daemon, Part};
use crate::support::traffic::works;

/// The server, a resource of it, and a daemon; or a word on why not.
fn scene() -> Option<(Part, Part, Daemon)> {
    let Some(authority) = Part::glewlwyd() else {
        eprintln!("SKIPPED: glewlwyd is not installed; `tests/setup` as root on Debian does it");
        return None;
    };
    let upstream = Part::resource_server(&authority);
    authority.tell("/audience", &json!({"url": upstream.url}));
    upstream.tell("/mode", &json!({"scopes_supported": ["mcp"]}));
    Some((authority, upstream, Daemon::start()))
}

#[test]
fn a_sign_in_at_glewlwyd_lives_through_rotation_and_restart_until_the_logout() {
    let Some((authority, upstream, mut daemon)) = scene() else {
        return;
    };
    daemon.sign_in(&authority, &upstream.url);
    let agent = daemon.agent("one");
    assert!(works(&daemon, &agent));
    for round in 1..4 {
        let (code, said) = daemon.run(&["ctl", "refresh", "ev"]);
        assert_eq!(code, 0, "round {round}: {said}");
    }
    daemon.kill();
    daemon.serve();
    assert!(works(&daemon, &agent));
    assert_eq!(
        authority.count("token_failed"),
        0,
        "{}",
        authority.ask("/log")
    );
    assert_eq!(authority.count("token_requests"), 5);
    assert_eq!(authority.count("registrations"), 1);

    let (code, report) = daemon.run(&["logout", "ev"]);
    assert_eq!(
        (code, &report["provider"]),
        (0, &json!("revoked")),
        "{report}"
    );
    assert!(authority.count("revocations") >= 1);
    assert_eq!(
        authority.count("revoke_failed"),
        0,
        "{}",
        authority.ask("/log")
    );
    assert_eq!(
        authority.count("deletions"),
        1,
        "the client goes with its last sign-in"
    );
}
