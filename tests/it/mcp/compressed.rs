//! Answers that are compressed on their way: they pass as they came, and are understood.

use std::io::Write;

use doorward::model::fault::{CredentialError, LoginReason};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::server::{CALL, LOST, Scene, expected};
use crate::support::agent::Agent;
use crate::support::raw::Upstream;

const TOOLS: &str = r#"{"jsonrpc":"2.0","id":"t","method":"tools/list"}"#;

fn gzip(text: &str) -> Vec<u8> {
    let mut coder = GzEncoder::new(Vec::new(), Compression::default());
    coder.write_all(text.as_bytes()).expect("memory");
    coder.finish().expect("memory")
}

fn answer(status: &str, fields: &str, text: &str) -> Vec<u8> {
    let body = gzip(text);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{fields}content-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
    );
    [head.into_bytes(), body].concat()
}

#[test]
fn pain_44_a_compressed_list_is_remembered_and_passed_on_as_it_is() {
    let list = r#"{"jsonrpc":"2.0","id":"t","result":{"tools":[]}}"#;
    let events = format!("data: {list}\n\n");
    for (kind, text) in [("application/json", list), ("text/event-stream", &events)] {
        let reply = answer("200 OK", &format!("content-type: {kind}\r\n"), text);
        let up = Upstream::answering(move |_| reply.clone());
        let agent = Agent::before(up.url("/mcp"));
        let told = agent.ask("POST", "/u/up", "accept-encoding: gzip\r\n", TOOLS);
        assert_eq!(told.body, gzip(text));
        assert_eq!(told.all("content-encoding"), ["gzip"]);
        assert_eq!(up.seen().all("accept-encoding"), ["gzip"]);
        let gone = |_: &_, _| Err(CredentialError::LoginRequired(LoginReason::Never));
        agent.source.behave(gone);
        agent.slot("up").retract();
        let again = agent.post(TOOLS);
        assert_eq!(again.json()["result"]["tools"], json!([]), "{kind}");
        assert_eq!(again.field("content-encoding"), None);
    }
}

#[test]
fn pain_44_a_list_is_remembered_whatever_it_was_compressed_with() {
    // `TOOLS` answered with no tools, by the brotli of Node.js.
    const BROTLI: [u8; 52] = [
        139, 23, 128, 123, 34, 106, 115, 111, 110, 114, 112, 99, 34, 58, 34, 50, 46, 48, 34, 44,
        34, 105, 100, 34, 58, 34, 116, 34, 44, 34, 114, 101, 115, 117, 108, 116, 34, 58, 123, 34,
        116, 111, 111, 108, 115, 34, 58, 91, 93, 125, 125, 3,
    ];
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: br\r\n";
    let head = format!("{head}content-length: {}\r\n\r\n", BROTLI.len());
    let reply = [head.as_bytes(), &BROTLI].concat();
    let up = Upstream::answering(move |_| reply.clone());
    let agent = Agent::before(up.url("/mcp"));
    let told = agent.ask("POST", "/u/up", "accept-encoding: br, zstd\r\n", TOOLS);
    assert_eq!(told.body, BROTLI);
    assert_eq!(told.all("content-encoding"), ["br"]);
    let gone = |_: &_, _| Err(CredentialError::LoginRequired(LoginReason::Never));
    agent.source.behave(gone);
    agent.slot("up").retract();
    let again = agent.post(TOOLS);
    assert_eq!(again.json()["result"]["tools"], json!([]));
    assert_eq!(again.field("content-encoding"), None);
}

#[test]
fn pain_13_a_loss_that_is_told_in_compressed_words_is_understood() {
    let scene = Scene::set();
    let words = LOST.replace("Session not found", "No valid session ID provided");
    scene.ways().lost = answer(
        "400 Bad Request",
        "content-type: application/json\r\n",
        &words,
    );
    scene.ways().forget();
    let fields = "accept-encoding: gzip, br\r\n";
    assert_eq!(scene.ask("POST", fields, CALL).status(), 200);
    let seen = scene.up.all_seen();
    // What we read ourselves is not to be compressed.
    for own in &seen[1..3] {
        assert_eq!(own.all("accept-encoding"), ["identity"]);
    }
    assert_eq!(seen[3].all("accept-encoding"), ["gzip, br"]);
    scene.call();
    assert_eq!(scene.told(), expected(&[("tools/call", "s-2")]));
}
