//! A call that is answered with a stream of events.

use super::parts::ANSWER;

/// A call that is answered with a stream of [`EVENTS`] events and its result.
pub(crate) const CALL: &str = r#"{"jsonrpc":"2.0","id":417,"method":"tools/call","params":{"name":"follow_issues","arguments":{},"_meta":{"progressToken":417}}}"#;

/// How many events such a stream has before its answer.
pub(crate) const EVENTS: u32 = 256;

/// How a body in chunks ends.
pub(crate) const END: &[u8] = b"0\r\n\r\n";

/// An answer that is a stream: each event in a chunk of its own, with an id, as servers send them
/// whose streams can be gone on with.
pub(crate) fn answer() -> Vec<u8> {
    let mut all = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
        mcp-session-id: 4f0c3c1e9d5b4a0f\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_vec();
    let progress = (0..EVENTS).map(|n| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":417,"progress":{n},"total":{EVENTS},"message":"PLT-204 The retry loop gives up one attempt early; read so far, and the next one is on its way."}}}}"#
        )
    });
    for (n, data) in progress.chain([ANSWER.to_owned()]).enumerate() {
        let event = format!("event: message\nid: 4f0c_{n}\ndata: {data}\n\n");
        all.extend_from_slice(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
    }
    all.extend_from_slice(END);
    all
}
