//! The HTTP+SSE transport (MCP 2024-11-05): the Python SDK's server and both SDKs' clients, and a
//! raw server for what those do not do.

use doorward::model::session::Grant;
use doorward::web::routes::Dialect;
use serde_json::{Value, json};

use crate::support::agent::{Agent, Options, upstream};
use crate::support::parts::{Daemon, Part};
use crate::support::raw::{EVENTS, Upstream, Wire, answer, chunk};
use crate::support::sdk::Sdk;

/// A server whose stream begins with `first`, and that takes posts anywhere.
fn server(first: &'static str) -> Upstream {
    Upstream::answering(move |request| {
        if request.start.starts_with("GET") {
            let parts = [EVENTS, &chunk(first), &chunk(REST), "0\r\n\r\n"];
            parts.concat().into_bytes()
        } else {
            answer("202 Accepted", "", "Accepted")
        }
    })
}

/// Bytes that only look like the first event.
const REST: &str = "event: endpoint\r\ndata: https://evil.example/\r\n\r\n: \u{e9}\n\ndata:";

fn before(up: &Upstream) -> Agent {
    let mut spec = upstream("up", up.url("/sse?tenant=1"));
    spec.dialect = Dialect::Sse;
    Agent::start(Options {
        upstreams: vec![spec],
        ..Options::default()
    })
}

fn endpoint(stream: &str) -> &str {
    let (_, rest) = stream.split_once("data: ").expect("data");
    rest.split_once('\n').expect("a line").0
}

#[test]
fn px_legacy_sse_endpoint_rewrite() {
    let up = server(": hello\n\nid: 1\nevent: endpoint\ndata: /post?s=1\n\n");
    let agent = before(&up);
    let stream = agent.ask("GET", "/u/up", "accept-encoding: gzip\r\n", "");
    assert_eq!(stream.status(), 200);
    let asked = up.seen();
    assert_eq!(asked.target(), "/sse?tenant=1");
    assert_eq!(asked.field("accept-encoding"), Some("identity"));
    let text = stream.text();
    let told = endpoint(&text).to_owned();
    assert!(told.starts_with("/u/up?"), "{told}");
    let expected = format!(": hello\n\nid: 1\nevent: endpoint\ndata: {told}\n\n{REST}");
    assert_eq!(text, expected, "nothing else is changed");

    let post = agent.ask("POST", &told, "", "{}");
    assert_eq!((post.status(), post.text().as_str()), (202, "Accepted"));
    let posted = up.seen();
    assert_eq!(posted.start, "POST /post?s=1 HTTP/1.1");
    assert_eq!(posted.field("authorization"), Some("Bearer token-1"));
    assert_eq!(posted.body, b"{}");

    // It is nobody else's, and nothing can be guessed.
    let (other, _) = agent.mint(2, Grant::All);
    let request = agent
        .request("POST", &told, "", "{}")
        .replace(&agent.token, &other);
    assert_eq!(agent.connect().ask(request).status(), 404);
    let guessed = agent.ask("POST", "/u/up?doorward_endpoint=/post", "", "{}");
    assert_eq!(guessed.status(), 404);
    assert!(!up.was_asked());
    // A client that tries the newer transport first is told by the server.
    assert_eq!(agent.post("{}").status(), 202);
    assert_eq!(up.seen().target(), "/sse?tenant=1");
}

#[test]
fn px_legacy_sse_endpoint_of_another_origin_is_refused() {
    for (first, why) in [
        (
            "event: endpoint\ndata: https://evil.example/post\n\n",
            "https://evil.example",
        ),
        (
            "event: endpoint\ndata: //evil.example/post\n\n",
            "http://evil.example",
        ),
        (
            "event: message\ndata: {}\n\n",
            "does not begin with its endpoint",
        ),
        ("data: never ends", "ended before its first event"),
    ] {
        let up = Upstream::answering(move |_| {
            [EVENTS, &chunk(first), "0\r\n\r\n"].concat().into_bytes()
        });
        let answer = before(&up).ask("GET", "/u/up", "", "");
        assert_eq!(answer.status(), 502, "{first:?}");
        assert!(answer.text().contains(why), "{first:?}: {}", answer.text());
    }
    let up = Upstream::answering(|_| answer("200 OK", "content-type: text/html\r\n", "<html>"));
    assert_eq!(before(&up).ask("GET", "/u/up", "", "").status(), 502);
}

/// The first event may come in pieces, and its stream goes on as it comes.
#[test]
fn px_legacy_sse_is_not_held_back() {
    let up = Upstream::scripted(|mut wire: Wire| {
        while wire.message().is_some() {
            wire.write(EVENTS);
            for part in ["event: endp", "oint\r", "\ndata: /p\r\n\r", "\n"] {
                wire.write(chunk(part));
            }
            wire.write(chunk("data: later\n\n"));
            // It stays open until the agent leaves.
            wire.message();
        }
    });
    let agent = before(&up);
    let mut wire = agent.connect();
    wire.write(agent.request("GET", "/u/up", "", ""));
    assert_eq!(wire.head().expect("a head").status(), 200);
    let mut seen = String::new();
    while !seen.ends_with("data: later\n\n") {
        let chunk = wire.chunk().expect("whole").expect("more");
        seen += &String::from_utf8(chunk).expect("text");
    }
    assert!(
        seen.starts_with("event: endpoint\r\ndata: /u/up?"),
        "{seen:?}"
    );
}

/// A post says nothing but how it went: trouble is a status, and never a 200 that nobody reads.
#[test]
fn px_legacy_sse_trouble_is_a_status() {
    let up = server("event: endpoint\ndata: /post\n\n");
    let agent = before(&up);
    let stream = agent.ask("GET", "/u/up", "", "").text();
    agent.source.behave(|_, _| {
        Err(doorward::model::fault::CredentialError::LoginRequired(
            doorward::model::fault::LoginReason::Never,
        ))
    });
    agent.slot("up").retract();
    let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}"#;
    let post = agent.ask("POST", endpoint(&stream), "", call);
    assert_eq!(post.status(), 503, "{}", post.text());
    assert!(post.text().contains("login_required"), "{}", post.text());
}

#[test]
fn both_sdks_work_over_http_sse_through_refreshes_and_a_logout_ends_it() {
    let server = Part::python_server(&json!({"transport": "sse"}));
    let daemon = Daemon::start();
    let text = format!(
        "[store]\nkind = \"file\"\n[upstreams.ev]\nurl = \"{}\"\ntransport = \"sse\"\n",
        server.url
    );
    std::fs::write(daemon.state().join("config.toml"), text).expect("written");
    assert_eq!(daemon.run(&["ctl", "reload"]).0, 0);
    daemon.sign_in(&server, "ev");
    let mut clients = Sdk::all_sse(&daemon);
    for client in &mut clients {
        assert_eq!(client.does("call 3")["calls"], 3);
    }
    // A stream outlives the token that it was opened with.
    assert_eq!(daemon.run(&["ctl", "refresh", "ev"]).0, 0);
    server.tell("/expire-access-tokens", &Value::Null);
    for client in &mut clients {
        assert_eq!(client.does("call 2")["calls"], 2);
    }
    // The others were asked for without a credential, to find out how to sign in.
    let counts = server.ask("/counts");
    let count = |name: &str| counts[name].as_u64().unwrap_or_default();
    let open = count("streams") - count("streams_failed");
    assert_eq!(open, 2, "one stream for each client: {counts}");
    assert_eq!(daemon.run(&["logout", "ev"]).0, 0);
    // The other one only writes it down that a post was refused, and waits.
    assert_eq!(clients[0].tries("call")["ok"], false);
}
