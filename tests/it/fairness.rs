//! Sessions beside each other at one upstream account: none of them is kept from its turn by how
//! much another one asks.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward::clock::{Clock, SystemClock};
use doorward::model::fault::{CredentialError, LoginReason};
use doorward::model::session::Grant;
use doorward::web::routes::RouteEntry;

use crate::support::agent::{Agent, Options, publish, upstream};
use crate::support::raw::{Upstream, WATCHDOG, Wire, answer};

/// A call of `name`, on a connection of its own.
fn call(agent: &Agent, token: &str, name: &str) -> Wire {
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}"}}}}"#);
    let mut wire = agent.connect();
    let text = agent.request("POST", "/u/up", "", &body);
    wire.write(text.replace(&agent.token, token));
    wire
}

/// Which of the calls a body is.
fn name(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    body["params"]["name"].as_str().expect("a name").to_owned()
}

/// Until `count` of the route to `up` is so much.
fn until(agent: &Agent, expected: usize, count: impl Fn(&RouteEntry) -> usize) {
    let plan = agent.state.plan.load();
    let route = plan.route("up").expect("there");
    let begun = SystemClock.now();
    while count(route) != expected {
        assert!(
            SystemClock.now().since(begun) < WATCHDOG,
            "{}",
            count(route)
        );
        std::thread::yield_now();
    }
}

/// Until so many calls wait for a place.
fn waiting(agent: &Agent, calls: usize) {
    until(agent, calls, |route| route.places.waiting());
}

#[test]
fn storm_a_session_with_many_calls_waiting_keeps_no_other_from_its_turn() {
    const CALLS: usize = 20;
    let (seen, order) = channel();
    let (go, gone) = channel::<()>();
    let ends = (Mutex::new(seen), Mutex::new(gone));
    let up = Upstream::scripted(move |mut wire| {
        while let Some(request) = wire.message() {
            let told = ends
                .0
                .lock()
                .expect("unpoisoned")
                .send(name(&request.text()));
            told.expect("the test listens");
            let gone = ends.1.lock().expect("unpoisoned").recv_timeout(WATCHDOG);
            gone.expect("the test goes on");
            wire.write(answer("200 OK", "", "{}"));
        }
    });
    let mut spec = upstream("up", up.url("/mcp"));
    spec.max_concurrency = 1;
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    let others = [2, 3].map(|number| agent.mint(number, Grant::All).0);
    let mut wires = vec![call(&agent, &agent.token, "many")];
    let served = || order.recv_timeout(WATCHDOG).expect("a call arrives");
    assert_eq!(served(), "many");
    for _ in 1..CALLS {
        wires.push(call(&agent, &agent.token, "many"));
    }
    waiting(&agent, CALLS - 1);
    for (at, token) in others.iter().enumerate() {
        wires.push(call(&agent, token, &format!("other {at}")));
        waiting(&agent, CALLS + at);
    }
    let order: Vec<String> = (0..=CALLS)
        .map(|_| {
            go.send(()).expect("it answers");
            served()
        })
        .collect();
    go.send(()).expect("it answers");
    let mut first: Vec<_> = order[..3].to_vec();
    first.sort();
    assert_eq!(first, ["many", "other 0", "other 1"], "{order:?}");
    for wire in &mut wires {
        assert_eq!(wire.message().expect("an answer").status(), 200);
    }
}

#[test]
fn storm_long_calls_of_one_session_leave_a_place_to_another() {
    let (seen, arrived) = channel();
    let seen = Mutex::new(seen);
    let up = Upstream::scripted(move |mut wire| {
        while let Some(request) = wire.message() {
            let name = name(&request.text());
            let long = name == "long";
            let told = seen.lock().expect("unpoisoned").send(name);
            told.expect("the test listens");
            if long {
                wire.closed();
                return;
            }
            wire.write(answer("200 OK", "", "{}"));
        }
    });
    let mut spec = upstream("up", up.url("/mcp"));
    spec.max_concurrency = 16;
    spec.queue_timeout = Duration::from_mins(10);
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    let (other, _) = agent.mint(2, Grant::All);
    let long: Vec<_> = (0..32)
        .map(|_| call(&agent, &agent.token, "long"))
        .collect();
    waiting(&agent, 18);
    for _ in 0..3 {
        let answer = call(&agent, &other, "short").message();
        assert_eq!(answer.expect("an answer").status(), 200);
    }
    let arrived: Vec<String> = arrived.try_iter().collect();
    assert_eq!(arrived.iter().filter(|name| *name == "long").count(), 14);
    drop(long);
}

/// After a wait for a person, the longest queue is one that the wait itself has made.
#[test]
fn storm_calls_that_waited_for_a_sign_in_are_all_served() {
    const CALLS: usize = 60;
    let busy = Arc::new(Mutex::new(()));
    let up = Upstream::scripted(move |mut wire| {
        while wire.message().is_some() {
            // One at a time, so that there is a queue behind it.
            let _one = busy.lock().expect("unpoisoned");
            wire.write(answer("200 OK", "", "{}"));
        }
    });
    let mut spec = upstream("up", up.url("/mcp"));
    spec.max_concurrency = 1;
    spec.queue_timeout = Duration::ZERO;
    spec.hold = WATCHDOG;
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    agent
        .source
        .behave(|_, _| Err(CredentialError::LoginRequired(LoginReason::Never)));
    let mut wires: Vec<_> = (0..CALLS)
        .map(|_| call(&agent, &agent.token, "held"))
        .collect();
    until(&agent, CALLS, |route| route.room.waiting());
    publish(&agent.slot("up"), 1);
    for wire in &mut wires {
        let answer = wire.message().expect("an answer");
        assert_eq!(answer.field("doorward-origin"), Some("upstream"));
        assert_eq!(answer.status(), 200);
    }
    until(&agent, 0, |route| route.room.waiting());
}
