//! What a gateway adds: errors of its own, redirects, and what is sent once or again.

use std::sync::{Arc, Barrier, Mutex};

use doorward::web::guard::Doors;
use doorward::web::plan::{Plan, PlanSpec};

use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::{Upstream, answer, ok};

#[test]
fn an_upstream_that_is_the_daemon_itself_is_noticed() {
    let agent = Agent::start(Options {
        require_session: false,
        ..Options::default()
    });
    let own = format!("http://{}/u/up", agent.address);
    let plan = PlanSpec {
        doors: Doors::new(agent.address, &[], &[]),
        require_session: false,
        max_body: 1000,
        default_segment: None,
    };
    let plan = Plan::new(plan, vec![upstream("up", own)], &agent.ledger).expect("a plan");
    agent.state.plan.store(Arc::new(plan));
    let text = format!("DELETE /u/up HTTP/1.1\r\nhost: {}\r\n\r\n", agent.address);
    assert_eq!(agent.connect().ask(text).status(), 508, "px_loop_detection");
}

#[test]
fn px_redirect_policy() {
    let elsewhere = Upstream::answering(|_| ok("{}"));
    for status in [300, 301, 302, 303, 307, 308] {
        let location = elsewhere.url("/take?secret=1");
        let up = Upstream::answering(move |_| {
            answer(
                &format!("{status} Moved"),
                &format!("location: {location}\r\n"),
                "",
            )
        });
        let agent = Agent::before(up.url("/mcp"));
        let answer = agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#);
        assert_eq!(answer.status(), 502, "{status}");
        assert!(answer.field("location").is_none());
        assert!(!answer.text().contains("secret"));
        assert_eq!(answer.json()["error"]["code"], -31030);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn px_gateway_status_codes() {
    let body = r#"{"jsonrpc":"2.0","id":"a-7","method":"tools/call"}"#;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/mcp", closed.local_addr().expect("its address"));
    drop(closed);
    let down = Agent::before(url).post(body);
    assert_eq!(down.status(), 502, "seed_s1_10");
    assert_eq!(down.json()["id"], "a-7", "px_jsonrpc_error_body");
    assert_eq!(down.json()["error"]["code"], -31030);

    let no_tls = Upstream::scripted(|mut wire| {
        wire.write("HTTP/1.1 400 Bad Request\r\n\r\n");
        wire.closed();
    });
    let answer = Agent::before(format!("https://{}/mcp", no_tls.address)).post(body);
    assert_eq!(
        (answer.status(), &answer.json()["error"]["code"]),
        (502, &(-31031).into())
    );

    let silent = Upstream::scripted(|mut wire| {
        wire.message();
        wire.closed();
    });
    let mut spec = upstream("up", silent.url("/mcp"));
    spec.limits.first_byte = std::time::Duration::from_millis(20);
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    let answer = agent.post(body);
    assert_eq!(
        (answer.status(), &answer.json()["error"]["code"]),
        (504, &(-31032).into())
    );

    let breaking = Upstream::scripted(|mut wire| {
        wire.message();
    });
    let answer = Agent::before(breaking.url("/mcp")).post(body);
    assert_eq!(
        (answer.status(), &answer.json()["error"]["code"]),
        (502, &(-31033).into())
    );
}

#[test]
fn px_error_code_range() {
    for code in doorward::model::catalogue::Code::ALL {
        if let Some(number) = code.entry().rpc {
            assert!(!(-32768..=-32000).contains(&number), "{code}: {number}");
        }
    }
}

#[test]
fn too_many_calls_at_once_are_refused_and_event_streams_are_not_counted() {
    let (started, wait) = std::sync::mpsc::channel();
    let started = std::sync::Mutex::new(started);
    let up = Upstream::scripted(move |mut wire| {
        let request = wire.message().expect("a request");
        if request.start.starts_with("GET") {
            wire.write(crate::support::raw::EVENTS);
        }
        started
            .lock()
            .expect("unpoisoned")
            .send(())
            .expect("the test waits");
        wire.closed();
    });
    let mut spec = upstream("up", up.url("/mcp"));
    spec.max_concurrency = 1;
    spec.queue_timeout = std::time::Duration::ZERO;
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut wire = agent.connect();
        wire.write(agent.request("GET", "/u/up", "", ""));
        assert_eq!(wire.head().expect("a stream").status(), 200);
        streams.push(wire);
    }
    let mut running = agent.connect();
    running.write(agent.request("POST", "/u/up", "", "{}"));
    for _ in 0..4 {
        wait.recv_timeout(crate::support::raw::WATCHDOG)
            .expect("all arrive");
    }
    let refused = agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.field("retry-after"), Some("1"));
    assert_eq!(refused.json()["error"]["code"], -31034);
}

/// Agents come in bursts, and none of them repeats a call that was refused.
#[test]
fn calls_beyond_the_limit_wait_for_their_turn() {
    const CALLS: usize = 40;
    let most = Arc::new(Mutex::new((0, 0)));
    let seen = Arc::clone(&most);
    let both = Barrier::new(2);
    let up = Upstream::scripted(move |mut wire| {
        while wire.message().is_some() {
            {
                let mut seen = seen.lock().expect("unpoisoned");
                seen.0 += 1;
                seen.1 = seen.0.max(seen.1);
            }
            // Two run at a time; whoever else is here meanwhile is one too many.
            both.wait();
            both.wait();
            // The answer lets the next one in, so this one is gone before.
            seen.lock().expect("unpoisoned").0 -= 1;
            wire.write(answer("200 OK", "", "{}"));
        }
    });
    let mut spec = upstream("up", up.url("/mcp"));
    spec.max_concurrency = 2;
    let agent = Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    });
    let mut wires: Vec<_> = (0..CALLS).map(|_| agent.connect()).collect();
    for wire in &mut wires {
        wire.write(agent.request("POST", "/u/up", "", "{}"));
    }
    for wire in &mut wires {
        assert_eq!(wire.message().expect("an answer").status(), 200);
    }
    assert_eq!(most.lock().expect("unpoisoned").1, 2);
}

#[test]
fn pain_41_a_tool_call_is_sent_once_even_when_its_answer_is_lost() {
    // It takes the call, which may have run, and hangs up: on a new and on a used connection.
    let (log, calls) = std::sync::mpsc::channel();
    let log = std::sync::Mutex::new(log);
    let up = Upstream::scripted(move |mut wire| {
        while let Some(request) = wire.message() {
            let call = request.text().contains("tools/call");
            log.lock()
                .expect("unpoisoned")
                .send(request.text())
                .expect("the test waits");
            if call || !wire.write(ok("{}")) {
                return;
            }
        }
    });
    let agent = Agent::before(up.url("/mcp"));
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay"}}"#;
    for first in [None, Some(r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#)] {
        if let Some(first) = first {
            assert_eq!(agent.post(first).status(), 200);
            assert_eq!(calls.recv().expect("the ping"), first);
        }
        let answer = agent.post(call);
        assert_eq!(answer.status(), 502);
        assert_eq!(answer.json()["error"]["data"]["code"], "connection_lost");
        assert_eq!(answer.json()["error"]["data"]["retry"], "no");
        assert!(answer.text().contains("may or may not have run"));
        assert_eq!(calls.recv().expect("the call"), call);
        assert!(calls.try_recv().is_err(), "px_no_ambiguous_retry");
    }
}

#[test]
fn what_is_safe_to_repeat_survives_a_connection_that_was_closed_while_idle() {
    // Each connection answers one request and hangs up when the next one is there.
    let up = Upstream::scripted(|mut wire| {
        wire.message();
        wire.write(ok("{}"));
        wire.message();
    });
    let agent = Agent::before(up.url("/mcp"));
    for n in 0..4 {
        let answer = agent.post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
        assert_eq!(answer.status(), 200, "{n}");
    }
    assert_eq!(agent.ask("DELETE", "/u/up", "", "").status(), 200);
}
