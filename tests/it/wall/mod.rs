//! The agent port against whoever can reach it: what is answered to each trick, and what of it an
//! upstream gets. The table is told to people in docs/agent-port.md.

mod addresses;
mod answers;
mod case;
mod framing;
mod local;
mod shapes;
mod time;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use case::{Case, Reaches, Then};

use crate::support::agent::{Agent, Options, upstream};
use crate::support::raw::{Message, Upstream, ok};

fn cases() -> impl Iterator<Item = &'static Case> {
    [addresses::ADDRESSES, framing::FRAMING, shapes::SHAPES]
        .into_iter()
        .flatten()
}

/// A port with one upstream, below whose endpoint paths are allowed.
fn agent(up: &Upstream) -> Agent {
    let mut spec = upstream("up", up.url("/mcp"));
    spec.allow_subpaths = true;
    Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    })
}

/// The bytes of a case.
fn fill(agent: &Agent, template: &str) -> String {
    let fields = (0..97).fold(String::new(), |all, n| {
        all + &format!(
            "x-{n}: {n}
"
        )
    });
    template
        .replace("{call}", "POST /u/up HTTP/1.1\r\n{host}{bearer}{json}")
        .replace("{host}", "host: {own}\r\n")
        .replace("{bearer}", "authorization: Bearer {token}\r\n")
        .replace("{json}", "content-type: application/json\r\n")
        .replace("{own}", &agent.address.to_string())
        .replace("{port}", &agent.address.port().to_string())
        .replace("{token}", &agent.token)
        .replace("{97 fields}", &fields)
        .replace("{200 KiB}", &"a".repeat(200 << 10))
        .replace("{60 KiB}", &"a".repeat(60 << 10))
}

/// Sends a case and, once it is answered, a request that ends the connection; gives all answers.
fn answers(agent: &Agent, case: &Case) -> Vec<Message> {
    let mut wire = agent.connect();
    wire.write(fill(agent, case.sends));
    let mut answers: Vec<_> = case.answers.iter().map_while(|_| wire.message()).collect();
    let last = "GET /health HTTP/1.1\r\n{host}connection: close\r\n\r\n";
    wire.write(fill(agent, last));
    answers.extend(std::iter::from_fn(|| wire.message()));
    answers
}

fn expected(case: &Case) -> Vec<u16> {
    let mut statuses = case.answers.to_vec();
    match case.then {
        Then::Closed => {}
        Then::GoesOn => statuses.push(200),
        Then::Garbled => statuses.push(400),
    }
    statuses
}

#[test]
fn px_smuggling_rejected_and_nothing_that_is_refused_reaches_an_upstream() {
    let up = Upstream::answering(|_| ok("{}"));
    let agent = agent(&up);
    // Some of them wait for a server that lingers: they do so side by side.
    let refused: Vec<_> = cases()
        .filter(|case| case.upstream == Reaches::Nothing)
        .collect();
    let wrong: Vec<_> = std::thread::scope(|scope| {
        let agent = &agent;
        let wrong = move |case: &Case| {
            let answers = answers(agent, case);
            let statuses: Vec<_> = answers.iter().map(Message::status).collect();
            let told = |answer: &Message| answer.text().contains(&agent.token);
            assert!(!answers.iter().any(told), "{case}");
            (statuses != expected(case)).then(|| format!("{case} not {statuses:?}"))
        };
        let parts: Vec<_> = refused
            .chunks(2)
            .map(|part| scope.spawn(move || part.iter().filter_map(|case| wrong(case)).collect()))
            .collect();
        let join = |part: std::thread::ScopedJoinHandle<'_, Vec<_>>| part.join().expect("no panic");
        parts.into_iter().flat_map(join).collect()
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(up.connections(), 0);
    // What came to nothing above would be seen behind this.
    assert_eq!(agent.post("[0]").status(), 200);
    assert_eq!(up.seen().text(), "[0]");
    assert!(!up.was_asked());
    assert_eq!(up.connections(), 1);
}

#[test]
fn px_smuggling_rejected_and_what_passes_is_framed_anew() {
    let up = Upstream::answering(|_| ok("{}"));
    let agent = agent(&up);
    let mut wrong = Vec::new();
    for case in cases() {
        let Reaches::Bodies(bodies) = case.upstream else {
            continue;
        };
        let statuses: Vec<_> = answers(&agent, case).iter().map(Message::status).collect();
        let seen = up.all_seen();
        let texts: Vec<_> = seen.iter().map(Message::text).collect();
        if statuses != expected(case) || texts != bodies {
            wrong.push(format!("{case} not {statuses:?}, {texts:?}"));
        }
        for request in seen {
            assert!(request.whole, "{case}");
            assert!(request.target().starts_with("/mcp"), "{case}");
            assert_eq!(request.all("host"), [up.address.to_string()], "{case}");
            assert_eq!(request.all("authorization"), ["Bearer token-1"], "{case}");
            let framing = ["content-length", "transfer-encoding"];
            let framed: usize = framing.iter().map(|name| request.all(name).len()).sum();
            assert!(framed <= 1, "{case}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn px_smuggling_rejected_and_a_broken_body_is_never_made_whole() {
    let whole = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&whole);
    let up = Upstream::scripted(move |mut wire| {
        while let Some(request) = wire.message() {
            if request.whole {
                count.fetch_add(1, Ordering::SeqCst);
            }
            if !wire.write(ok("{}")) {
                return;
            }
        }
    });
    let agent = agent(&up);
    let mut wrong = Vec::new();
    for case in cases().filter(|case| case.upstream == Reaches::Part) {
        let statuses: Vec<_> = answers(&agent, case).iter().map(Message::status).collect();
        if statuses != expected(case) {
            wrong.push(format!("{case} not {statuses:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(agent.post("[0]").status(), 200);
    assert_eq!(whole.load(Ordering::SeqCst), 1);
}

#[test]
fn the_table_of_answers_is_told_to_people() {
    let told = include_str!("../../../docs/agent-port.md");
    let rows: Vec<_> = told
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .collect();
    let table: Vec<_> = cases().map(ToString::to_string).collect();
    assert_eq!(rows, table, "\n{}", table.join("\n"));
}
