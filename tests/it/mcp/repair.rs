//! The upstream loses a session; its agent does not notice.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use doorward::model::mcp::Identity;

use super::server::{CALL, HELLO, INITIALIZED, LOST, Scene, expected, welcome};
use crate::support::agent::publish;
use crate::support::raw::{answer, chunk};

const REPAIR: [(&str, &str); 4] = [
    ("tools/call", "s-1"),
    ("initialize", ""),
    ("notifications/initialized", "s-2"),
    ("tools/call", "s-2"),
];

/// Ways in which servers say that they do not know a session.
fn spellings() -> Vec<Vec<u8>> {
    let none = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":1}"#;
    let json = "content-type: application/json\r\n";
    let chunked = format!(
        "HTTP/1.1 400 Bad Request\r\ntransfer-encoding: chunked\r\n\r\n{}{}0\r\n\r\n",
        chunk(&none[..20]),
        chunk(&none[20..])
    );
    vec![
        answer("404 Not Found", json, LOST),
        answer("404 Not Found", "", ""),
        answer(
            "404 Not Found",
            "content-type: text/html\r\n",
            "<p>gone</p>",
        ),
        answer("400 Bad Request", json, none),
        chunked.into_bytes(),
        answer("400 Bad Request", "", "Invalid session ID\n"),
        answer(
            "503 Service Unavailable",
            json,
            r#"{"error":"unknown session"}"#,
        ),
    ]
}

#[test]
fn pain_13_a_lost_session_is_opened_anew_however_it_is_told() {
    for (number, lost) in spellings().into_iter().enumerate() {
        let scene = Scene::set();
        {
            let mut ways = scene.ways();
            ways.lost = lost;
            ways.events = number % 2 == 1;
        }
        scene.call();
        scene.ways().forget();
        let mine = "user-agent: mine/1\r\nx-team: web\r\nmcp-protocol-version: 2025-06-18\r\n";
        let answer = scene.ask("POST", mine, CALL);
        assert_eq!((answer.status(), &answer.json()["id"]), (200, &7.into()));
        assert_eq!(answer.all("mcp-session-id"), ["s-1"], "spelling {number}");
        scene.up.seen();
        let seen = scene.up.all_seen();
        assert_eq!(seen.len(), 4);
        let hello = &seen[1];
        assert_eq!(hello.text(), HELLO, "its own, byte for byte");
        assert_eq!(hello.field("mcp-protocol-version"), None);
        assert_eq!(seen[2].text(), INITIALIZED);
        assert_eq!(seen[3].text(), CALL);
        for request in &seen {
            assert_eq!(request.all("authorization"), ["Bearer token-1"]);
            assert_eq!(request.all("x-team"), ["web"]);
            assert_eq!(request.all("content-type"), ["application/json"]);
        }
        for request in &seen[1..3] {
            let both = "application/json, text/event-stream";
            assert_eq!(request.all("accept"), [both]);
        }
        for later in &seen[2..] {
            assert_eq!(later.all("mcp-session-id"), ["s-2"]);
            assert_eq!(later.all("mcp-protocol-version"), ["2025-06-18"]);
        }
        // From now on it costs nothing.
        scene.call();
        assert_eq!(scene.told(), expected(&[("tools/call", "s-2")]));
        scene.ways().forget();
        scene.call();
        assert_eq!(
            scene.told().last(),
            expected(&[("tools/call", "s-3")]).last()
        );
        // Its end is the end of what stands for it.
        assert_eq!(scene.ask("DELETE", "", "").status(), 202);
        assert_eq!(scene.told(), expected(&[("DELETE", "s-3")]));
        scene.ask("POST", "", CALL);
        assert_eq!(scene.told(), expected(&[("tools/call", "s-1")]));
    }
}

#[test]
fn pain_13_what_was_subscribed_to_is_subscribed_to_again() {
    let scene = Scene::set();
    let ask = |method: &str, uri: &str| {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"resources/{method}","params":{{"uri":"{uri}"}}}}"#
        );
        scene.ask("POST", "", &body)
    };
    for (method, uri) in [
        ("subscribe", "a://1"),
        ("subscribe", "a://2"),
        ("subscribe", "a://1"),
        ("unsubscribe", "a://2"),
        ("subscribe", "a://3"),
    ] {
        assert_eq!(ask(method, uri).status(), 200);
    }
    let level =
        r#"{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}"#;
    assert_eq!(scene.ask("POST", "", level).status(), 200);
    scene.up.all_seen();
    scene.ways().forget();
    scene.call();
    let seen = scene.up.all_seen();
    assert_eq!(seen.len(), 7);
    for (request, uri) in seen[3..5].iter().zip(["a://1", "a://3"]) {
        let message = request.json();
        assert_eq!(message["method"], "resources/subscribe");
        assert_eq!(message["params"]["uri"], uri);
        assert_eq!(request.all("mcp-session-id"), ["s-2"]);
    }
    let level = seen[5].json();
    assert_eq!(level["method"], "logging/setLevel");
    assert_eq!(level["params"]["level"], "error");
    assert_eq!(seen[6].text(), CALL);
}

#[test]
fn pain_13_two_that_meet_the_loss_at_once_open_one_session() {
    const TOGETHER: usize = 8;
    let all_lost = Arc::new(Barrier::new(TOGETHER));
    let barrier = Arc::clone(&all_lost);
    let scene = Scene::with(HELLO, move |request| {
        let old = request.field("mcp-session-id") == Some("s-1");
        if old && request.text() == CALL {
            // Nobody goes on before all of them have been told.
            barrier.wait();
        }
    });
    scene.ways().forget();
    for answer in scene.together(TOGETHER) {
        assert_eq!((answer.status(), &answer.json()["id"]), (200, &7.into()));
        assert_eq!(answer.all("mcp-session-id"), ["s-1"]);
    }
    let told = scene.told();
    let count = |what: &str, id: &str| {
        let one = &expected(&[(what, id)])[0];
        told.iter().filter(|told| *told == one).count()
    };
    assert_eq!(count("initialize", ""), 1);
    assert_eq!(count("notifications/initialized", "s-2"), 1);
    assert_eq!(count("tools/call", "s-1"), TOGETHER);
    assert_eq!(count("tools/call", "s-2"), TOGETHER);
    assert_eq!(told.len(), 2 * TOGETHER + 2);
}

#[test]
fn pain_13_where_it_cannot_be_opened_the_agent_gets_the_answer_of_the_server() {
    let refused = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-1,"message":"no"}}"#;
    for hello in [
        answer("500 Internal Server Error", "", "oh"),
        answer("401 Unauthorized", "", ""),
        answer("200 OK", "mcp-session-id: s-9\r\n", refused),
        answer("200 OK", "mcp-session-id: s-9\r\n", "not json"),
        // Its agent speaks another revision.
        answer("200 OK", "mcp-session-id: s-9\r\n", &welcome("2024-11-05")),
        answer("404 Not Found", "", ""),
    ] {
        let scene = Scene::set();
        scene.ways().hello = Some(hello);
        scene.ways().forget();
        let speaks = "mcp-protocol-version: 2025-06-18\r\n";
        let answer = scene.ask("POST", speaks, CALL);
        assert_eq!((answer.status(), answer.text().as_str()), (404, LOST));
        assert_eq!(answer.all("x-own"), ["1"]);
        assert_eq!(answer.field("doorward-origin"), Some("upstream"));
        assert!(answer.whole);
        assert_eq!(scene.told(), expected(&REPAIR[..2]));
        // Once it can, it is.
        scene.ways().hello = None;
        scene.call();
    }
}

#[test]
fn pain_13_one_that_waited_for_a_failure_does_not_repeat_it() {
    let both_lost = Arc::new(Barrier::new(2));
    let barrier = Arc::clone(&both_lost);
    let scene = Scene::with(HELLO, move |request| {
        if request.field("mcp-session-id").is_some() {
            barrier.wait();
        }
    });
    scene.ways().hello = Some(answer("500 Internal Server Error", "", ""));
    scene.ways().forget();
    for answer in scene.together(2) {
        assert_eq!((answer.status(), answer.text().as_str()), (404, LOST));
    }
    let told = scene.told();
    assert_eq!(told.iter().filter(|told| told.0 == "initialize").count(), 1);
    assert_eq!(told.len(), 3);
}

#[test]
fn pain_13_a_server_that_keeps_no_session_is_not_asked_for_ever() {
    let scene = Scene::set();
    // It opens sessions, and forgets them before they are used.
    let fields = "mcp-session-id: s-9\r\n";
    scene.ways().hello = Some(answer("200 OK", fields, &welcome("2025-06-18")));
    scene.ways().forget();
    let handshakes = |asked: usize| {
        for _ in 0..asked {
            assert_eq!(scene.ask("POST", "", CALL).status(), 404);
        }
        let told = scene.told();
        let handshakes = told.iter().filter(|told| told.0 == "initialize").count();
        let rest = told.len() - handshakes;
        assert_eq!(rest, asked + handshakes, "no call goes out a second time");
        handshakes
    };
    // Completing the handshake fails, since the session is not there.
    assert_eq!(handshakes(1), 1, "once a request");
    assert_eq!(handshakes(9), 2, "three a minute");
    scene.agent.clock.advance(Duration::from_mins(1));
    assert_eq!(handshakes(9), 3);
}

#[test]
fn pain_13_a_repeated_request_that_is_lost_again_is_not_repeated_again() {
    let scene = Scene::set();
    let forgets = r#"{"jsonrpc":"2.0","id":7,"method":"forgotten"}"#;
    scene.ways().forget();
    scene.ways().never = Some("forgotten");
    let answer = scene.ask("POST", "", forgets);
    assert_eq!((answer.status(), answer.text().as_str()), (404, LOST));
    assert_eq!(
        scene.told(),
        expected(&[
            ("forgotten", "s-1"),
            ("initialize", ""),
            ("notifications/initialized", "s-2"),
            ("forgotten", "s-2"),
        ])
    );
}

#[test]
fn what_is_no_loss_passes_untouched() {
    let words = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"invalid session"}}"#;
    let method = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"Method not found"}}"#;
    let long = format!(
        "{{\"error\":\"session not found\",\"x\":\"{}\"}}",
        "x".repeat(20_000)
    );
    for (kind, status, body) in [
        ("POST", "400 Bad Request", words),
        ("POST", "404 Not Found", method),
        ("POST", "400 Bad Request", long.as_str()),
        ("POST", "503 Service Unavailable", "busy"),
        ("POST", "500 Internal Server Error", LOST),
        ("POST", "403 Forbidden", LOST),
        ("POST", "200 OK", LOST),
        ("GET", "404 Not Found", "no streams here"),
        ("GET", "405 Method Not Allowed", LOST),
        ("DELETE", "404 Not Found", LOST),
    ] {
        let scene = Scene::set();
        scene.ways().lost = answer(status, "x-own: 1\r\n", body);
        scene.ways().forget();
        let message = if kind == "POST" { CALL } else { "" };
        let answer = scene.ask(kind, "", message);
        assert_eq!(answer.status().to_string(), status[..3]);
        assert_eq!(answer.text(), body, "{kind} {status}");
        assert_eq!(answer.all("x-own"), ["1"]);
        assert_eq!(
            answer.field("content-length"),
            Some(&*body.len().to_string())
        );
        assert_eq!(scene.told().len(), 1, "{kind} {status}");
    }
}

#[test]
fn a_session_that_cannot_be_opened_anew_is_left_to_its_agent() {
    // Its handshake was too long to be kept.
    let hello = format!("{}{}", HELLO, " ".repeat(20_000));
    let scene = Scene::with(&hello, |_| {});
    scene.ways().forget();
    assert_eq!(scene.ask("POST", "", CALL).text(), LOST);
    assert_eq!(scene.told(), expected(&REPAIR[..1]));
    // The request was not kept, so it cannot be repeated.
    let scene = Scene::set();
    scene.ways().forget();
    let framing = format!("content-length: {}\r\n", CALL.len());
    let whole = scene
        .agent
        .request("POST", "/u/up", "mcp-session-id: s-1\r\n", CALL);
    let (head, _) = whole.split_once("\r\n\r\n").expect("a head");
    let head = head.replace(framing.trim_end(), "transfer-encoding: chunked");
    let streamed = format!("{head}\r\n\r\n{}0\r\n\r\n", chunk(CALL));
    assert_eq!(scene.agent.connect().ask(streamed).text(), LOST);
    assert_eq!(scene.told(), expected(&REPAIR[..1]));
    // Requests without a session have none to lose.
    scene.ways().sessions = false;
    let lost = scene.agent.post(CALL);
    assert_eq!(lost.status(), 200);
    assert_eq!(scene.told(), expected(&[("tools/call", "")]));
}

#[test]
fn a_server_that_gives_no_session_any_more_is_told_of_none() {
    let scene = Scene::set();
    scene.ways().sessions = false;
    scene.ways().forget();
    let answer = scene.ask("POST", "", CALL);
    assert_eq!(answer.status(), 200);
    assert!(answer.field("mcp-session-id").is_none());
    assert_eq!(
        scene.told(),
        expected(&[
            ("tools/call", "s-1"),
            ("initialize", ""),
            ("notifications/initialized", ""),
            ("tools/call", ""),
        ])
    );
}

#[test]
fn pain_13_a_stream_is_opened_anew_without_the_event_it_went_on_from() {
    let scene = Scene::set();
    scene.ways().lost = answer("400 Bad Request", "", LOST);
    scene.ways().forget();
    let resume = "accept: text/event-stream\r\nlast-event-id: 42\r\n";
    assert_eq!(scene.ask("GET", resume, "").status(), 202);
    let seen = scene.up.all_seen();
    let events: Vec<_> = seen
        .iter()
        .map(|seen| seen.field("last-event-id"))
        .collect();
    assert_eq!(events, [Some("42"), None, None, None]);
    assert_eq!(seen[3].all("mcp-session-id"), ["s-2"]);
    assert_eq!(seen[3].all("accept"), ["text/event-stream"]);
    assert!(seen[3].start.starts_with("GET "));
    // Later its agent may still name an event of the old session.
    assert_eq!(scene.ask("GET", resume, "").status(), 202);
    assert_eq!(scene.up.seen().field("last-event-id"), Some("42"));
}

#[test]
fn pain_14_a_session_that_ends_with_its_token_is_opened_anew() {
    let scene = Scene::set();
    scene.ways().one_credential = true;
    for generation in 2..4 {
        publish(&scene.agent.slot("up"), generation);
        scene.call();
        let seen = scene.up.all_seen();
        let token = format!("Bearer token-{generation}");
        assert!(
            seen.iter()
                .all(|seen| seen.all("authorization") == [&token])
        );
        assert_eq!(seen.len(), 4);
    }
}

#[test]
fn px_session_reset_on_identity_change_where_nobody_can_tell_who_signed_in() {
    let scene = Scene::set();
    let slot = scene.agent.slot("up");
    let unknown = || Identity {
        issuer: "https://as".to_owned(),
        who: None,
    };
    slot.signed_in(unknown());
    publish(&slot, 2);
    scene.call();
    assert_eq!(scene.told(), expected(&[("tools/call", "s-1")]));
    slot.signed_in(unknown());
    publish(&slot, 3);
    // The session of before is not named any more; the agent goes on all the same.
    scene.call();
    assert_eq!(scene.told(), expected(&REPAIR[1..]));
    scene.call();
    assert_eq!(scene.told(), expected(&[("tools/call", "s-2")]));
    // A session is not opened only to be ended, nor where it cannot be.
    slot.signed_in(unknown());
    publish(&slot, 4);
    assert_eq!(scene.ask("DELETE", "", "").status(), 404);
    assert!(!scene.up.was_asked());
    scene.ways().hello = Some(answer("500 Internal Server Error", "", ""));
    assert_eq!(scene.ask("POST", "", CALL).status(), 404);
    assert_eq!(scene.told(), expected(&[("initialize", "")]));
}
