//! Clients that take their time.

use std::time::Duration;

use doorward::web::Serving;

use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::{Upstream, ok};

fn impatient(up: &Upstream) -> Agent {
    Agent::start(Options {
        upstreams: vec![upstream("up", up.url("/mcp"))],
        serving: Serving {
            head_within: Duration::from_secs(2),
            keep_alive: Duration::from_secs(2),
            workers: 1,
            drain: Duration::ZERO,
        },
        ..Options::default()
    })
}

#[test]
fn ls_resource_limits_of_a_head_that_never_ends() {
    let up = Upstream::answering(|_| ok("{}"));
    let agent = impatient(&up);
    let head = agent.request("POST", "/u/up", "", "");
    let unfinished = &head[..head.len() - 2];
    let mut wire = agent.connect();
    wire.write(unfinished);
    assert_eq!(wire.message().expect("an answer").status(), 408);
    assert!(wire.closed());
    assert!(!up.was_asked());
}

#[test]
fn ls_resource_limits_of_a_connection_that_says_nothing() {
    let up = Upstream::answering(|_| ok("{}"));
    let agent = impatient(&up);
    assert!(agent.connect().closed());
    assert_eq!(up.connections(), 0);
}

#[test]
fn ls_resource_limits_of_a_body_that_nobody_asked_for() {
    let up = Upstream::answering(|_| ok("{}"));
    let agent = impatient(&up);
    let mut wire = agent.connect();
    let head = format!(
        "POST /u/up HTTP/1.1\r\nhost: {}\r\ncontent-length: 1000000\r\n\r\nx",
        agent.address
    );
    assert_eq!(wire.ask(head).status(), 401);
    assert!(wire.closed(), "the rest is not waited for");
    assert_eq!(up.connections(), 0);
}
