//! The one of the official Python SDK: it registers every client with a secret unless told
//! otherwise, wants `client_id` in the body whatever proves it, and rotates refresh tokens.

use serde_json::{Value, json};

use crate::support::parts::{Daemon, Part};
use crate::support::traffic::works;

fn count(server: &Part, name: &str) -> u64 {
    server.ask("/counts")[name].as_u64().unwrap_or_default()
}

#[test]
fn a_sign_in_at_the_python_sdk_lives_through_rotation_and_restart_until_the_logout() {
    let server = Part::python_server(&json!({}));
    let mut daemon = Daemon::start();
    daemon.sign_in(&server, &server.url);
    let agent = daemon.agent("one");
    assert!(works(&daemon, &agent));

    for round in 1..4 {
        let (code, said) = daemon.run(&["ctl", "refresh", "ev"]);
        assert_eq!(code, 0, "round {round}: {said}");
    }
    assert!(works(&daemon, &agent));
    server.tell("/expire-access-tokens", &Value::Null);
    assert!(works(&daemon, &agent), "a 401 is followed by a refresh");
    daemon.kill();
    daemon.serve();
    assert!(works(&daemon, &agent));
    assert_eq!(count(&server, "refresh_ok"), 5);
    assert_eq!(count(&server, "reuse"), 0, "no token is used twice");
    // One for the code, one for each refresh.
    assert_eq!(count(&server, "token_requests"), 6);
    assert_eq!(count(&server, "registrations"), 1);
    assert_eq!(count(&server, "code_ok"), 1);

    let (code, report) = daemon.run(&["logout", "ev"]);
    assert_eq!(
        (code, &report["provider"]),
        (0, &json!("revoked")),
        "{report}"
    );
    assert!(count(&server, "revoked") >= 1, "{}", server.ask("/counts"));
    assert_eq!(
        count(&server, "token_requests_failed"),
        0,
        "{}",
        server.ask("/counts")
    );
    assert_eq!(
        count(&server, "revocations_failed"),
        0,
        "{}",
        server.ask("/counts")
    );
}
