//! What users suffer from, played against real parts: one topic a module, one scenario a test.

mod alive;
mod burst;
mod headers;
mod kept;
mod limits;
mod lost;
mod nights;
mod outage;
mod rejection;
mod resumed;
mod rust_sdk;
mod stateless;

use serde_json::Value;

use crate::support::parts::{Daemon, Part};

/// The refreshes that the authorization server saw, oldest first.
fn refreshes(authority: &Part) -> Vec<Value> {
    let log = authority.ask("/log");
    let entries = log.as_array().expect("a list").iter();
    entries
        .filter(|entry| entry["grant_type"] == "refresh_token")
        .cloned()
        .collect()
}

/// The state of the one account and the code of its problem.
fn state(daemon: &Daemon) -> (String, String) {
    let (_, status) = daemon.run(&["status"]);
    let account = &status["upstreams"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&account["state"]), text(&account["problem"]["code"]))
}
