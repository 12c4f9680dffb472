//! An answer whose stream breaks comes to its end where the server can go on with it; else the agent
//! is told that nobody knows what became of its request, which is never sent again.

use std::time::Duration;

use serde_json::Value;

use super::server::{CALL, HELLO, LOST};
use super::streams::{Act, STREAM, Scene, read};
use crate::support::agent::publish;
use crate::support::raw::{Wire, answer, chunk};

const PROGRESS: &str = "id: 1\ndata: {\"method\":\"notifications/progress\"}\n\n";
const ANSWER: &str = "id: 2\ndata: {\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{}}\n\n";

/// The words in the place of the answer, after which the stream ends well.
fn lost(wire: &mut Wire) {
    let words = wire.chunk().expect("whole").expect("words");
    let words = String::from_utf8(words).expect("text");
    let data = words.trim_end().rsplit("data: ").next().expect("an event");
    let message: Value = serde_json::from_str(data).expect("a message");
    assert_eq!(
        (&message["id"], &message["result"]["isError"]),
        (&3.into(), &true.into())
    );
    let text = message["result"]["content"][0]["text"].to_string();
    assert!(text.contains("may or may not have run"), "{text}");
    assert_eq!(wire.chunk(), Ok(None));
}

#[test]
fn pain_45_an_answer_goes_on_after_its_last_event() {
    let scene = Scene::set();
    let mut wire = scene.open("POST", PROGRESS);
    publish(&scene.agent.slot("up"), 2);
    scene.act(Act::Cut);
    scene.begin(ANSWER);
    read(&mut wire, ANSWER);
    // The stream that it came on goes on; what was waited for is there.
    assert_eq!(wire.chunk(), Ok(None));
    let again = scene.asked();
    assert!(again.start.starts_with("GET /mcp "), "{}", again.start);
    assert_eq!(again.all("last-event-id"), ["1"]);
    assert_eq!(again.all("authorization"), ["Bearer token-2"]);
    assert_eq!(again.all("mcp-session-id"), ["s-1"]);
    assert_eq!(again.all("accept"), ["text/event-stream"]);
    assert_eq!(
        (again.field("content-type"), again.text().as_str()),
        (None, "")
    );
}

#[test]
fn pain_45_an_answer_whose_stream_breaks_again_and_again_goes_on() {
    let scene = Scene::set();
    let mut wire = scene.open("POST", PROGRESS);
    // An end without the answer is no end, once the stream has broken.
    scene.act(Act::Cut);
    scene.begin("id: 1b\ndata: {\"method\":\"m\"}\n\n");
    read(&mut wire, "id: 1b\ndata: {\"method\":\"m\"}\n\n");
    scene.act(Act::Send("0\r\n\r\n".to_owned()));
    scene.act(Act::Leave);
    scene.begin(ANSWER);
    read(&mut wire, ANSWER);
    assert_eq!(wire.chunk(), Ok(None));
    assert_eq!(scene.asked().all("last-event-id"), ["1"]);
    assert_eq!(scene.asked().all("last-event-id"), ["1b"]);
}

#[test]
fn pain_45_an_answer_is_asked_for_again_where_the_resumed_stream_stays_silent() {
    let scene = Scene::with(HELLO, |spec| spec.comment_after = Duration::from_secs(1));
    let mut wire = scene.open("POST", PROGRESS);
    scene.act(Act::Cut);
    scene.begin("id: 1b\ndata: {\"method\":\"m\"}\n\n");
    scene.act(Act::Hush);
    scene.begin(ANSWER);
    let mut heard = String::new();
    while let Ok(Some(chunk)) = wire.chunk() {
        heard += &String::from_utf8_lossy(&chunk);
    }
    assert!(
        heard.contains("id: 1b") && heard.ends_with(ANSWER),
        "{heard}"
    );
    assert_eq!(scene.asked().all("last-event-id"), ["1"]);
    assert_eq!(scene.asked().all("last-event-id"), ["1b"]);
}

#[test]
fn pain_41_an_answer_that_is_lost_is_told_and_not_asked_for_again() {
    let scene = Scene::set();
    let mut wire = scene.open("POST", "data: {\"method\":\"notifications/progress\"}\n\n");
    scene.act(Act::Cut);
    lost(&mut wire);
    assert!(
        scene.asked.try_recv().is_err(),
        "there is no place to go on from"
    );
    for refusal in [
        answer("404 Not Found", "", LOST),
        answer("405 Method Not Allowed", "allow: POST\r\n", ""),
        answer("400 Bad Request", "", "{}"),
    ] {
        let scene = Scene::set();
        let mut wire = scene.open("POST", PROGRESS);
        scene.act(Act::Cut);
        scene.act(Act::Answer(refusal));
        lost(&mut wire);
        assert!(
            scene.asked().start.starts_with("GET "),
            "the call is not repeated"
        );
        assert!(scene.asked.try_recv().is_err());
    }
}

#[test]
fn pain_41_an_answer_that_was_to_come_in_a_session_that_is_lost_is_lost() {
    let scene = Scene::set();
    let mut wire = scene.open("POST", PROGRESS);
    scene.ways().forget();
    let fields = "mcp-session-id: s-1\r\n";
    assert_eq!(scene.agent.ask("POST", "/u/up", fields, CALL).status(), 200);
    // It may still come, and its stream is left alone.
    scene.act(Act::Send(chunk(": still there\n\n")));
    read(&mut wire, ": still there\n\n");
    scene.act(Act::Cut);
    lost(&mut wire);
    assert!(scene.asked.try_recv().is_err());
}

#[test]
fn px_abnormal_end_propagates_after_the_answer() {
    let scene = Scene::set();
    let mut wire = scene.open("POST", ANSWER);
    scene.act(Act::Cut);
    scene.ends_visibly(&mut wire);
}

#[test]
fn pain_41_the_stateless_revision_is_told_at_once() {
    let scene = Scene::set();
    scene.begin(PROGRESS);
    let mut wire = scene.agent.connect();
    let fields = "accept: text/event-stream\r\nmcp-method: tools/call\r\n";
    wire.write(scene.agent.request("POST", "/u/up", fields, STREAM));
    assert_eq!(wire.head().expect("a head").status(), 200);
    read(&mut wire, PROGRESS);
    scene.asked();
    scene.act(Act::Cut);
    lost(&mut wire);
    assert!(
        scene.asked.try_recv().is_err(),
        "it knows of nothing to go on from"
    );
}
