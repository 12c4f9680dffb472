//! What must hold for every stream that a comment is put into, and for every body that is looked
//! into.

use super::message::Asked;
use super::sse::Edge;

/// The events that a client sees in a stream (WHATWG HTML §9.2.6): fields, without comments.
fn events(stream: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut text = Vec::with_capacity(stream.len());
    for (at, byte) in stream.iter().enumerate() {
        match byte {
            b'\n' if at > 0 && stream[at - 1] == b'\r' => {}
            b'\r' => text.push(b'\n'),
            byte => text.push(*byte),
        }
    }
    let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    // What has no line end has not come yet.
    lines.pop();
    let mut events = vec![Vec::new()];
    for line in lines {
        if line.is_empty() {
            events.push(Vec::new());
        } else if !line.starts_with(b":") {
            events.last_mut().expect("one at least").push(line.to_vec());
        }
    }
    let open = events.pop();
    events.retain(|event| !event.is_empty());
    events.extend(open);
    events
}

/// Comments at every place where one may stand: the client sees the same events.
pub fn comments(input: &[u8]) {
    let (mut edge, mut with) = (Edge::new(), Vec::new());
    for byte in input {
        if edge.is_between() {
            with.extend_from_slice(&super::body::COMMENT);
        }
        edge.pass(std::slice::from_ref(byte));
        with.push(*byte);
    }
    assert_eq!(events(input), events(&with));
    let mut whole = Edge::new();
    whole.pass(input);
    assert_eq!(whole.is_between(), edge.is_between());
}

/// Bodies: only a request is answered, and a tool call is never repeated.
pub fn peek(input: &[u8]) {
    let asked = Asked::of(input);
    let repeated = asked.may_repeat(&actix_web::http::Method::POST);
    if let Some(kind) = asked.kind() {
        assert!(!(repeated && kind == super::message::Kind::Tool));
        assert!(!repeated || kind.is_answered());
    } else {
        assert!(!repeated);
    }
}
