//! The handshake of a session (MCP 2025-11-25 lifecycle), as far as it has to be read in order to
//! make it again: which request is one, and what the server said to it.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{data_of_events, object};

/// The longest `initialize` that is kept.
const LONGEST_HELLO: usize = 16 << 10;
/// The longest answer to one that is read.
pub const LONGEST_WELCOME: usize = 256 << 10;

/// What completes a handshake.
pub const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

#[derive(Deserialize)]
struct Request {
    id: Option<IgnoredAny>,
    method: Option<String>,
}

/// Whether `body` is an `initialize` that can be kept.
pub fn is_hello(body: &[u8]) -> bool {
    body.len() <= LONGEST_HELLO
        && object::<Request>(body).is_some_and(|request| {
            request.id.is_some() && request.method.as_deref() == Some("initialize")
        })
}

/// What a server said to an `initialize`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Welcome {
    /// It opened a session, in this revision.
    Revision(String),
    /// It did not.
    Refused,
}

impl Welcome {
    /// Reads an answer that came as JSON.
    pub fn of_json(body: &[u8]) -> Option<Self> {
        let message: Value = serde_json::from_slice(body).ok()?;
        if let Some(result) = message.get("result") {
            let revision = result.get("protocolVersion").and_then(Value::as_str);
            return Some(revision.map_or(Self::Refused, |revision| {
                Self::Revision(revision.to_owned())
            }));
        }
        message.get("error").map(|_| Self::Refused)
    }

    /// Reads an answer that comes as a stream of events, as soon as there is
    /// enough of it. What comes before the answer is not for it.
    pub fn of_events(stream: &[u8]) -> Option<Self> {
        let events = data_of_events(stream);
        events
            .iter()
            .find_map(|data| Self::of_json(data.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_single_short_initialize_is_kept() {
        assert!(is_hello(br#"{"id":0,"method":"initialize","params":{}}"#));
        assert!(is_hello(br#"{"method":"initialize","id":"a"}"#));
        for other in [
            r#"{"method":"initialize"}"#,
            r#"[{"id":0,"method":"initialize"}]"#,
            r#"{"id":0,"method":"tools/call","params":{"method":"initialize"}}"#,
            r#"{"id":0,"method":"initialize""#,
            r#"[1,"initialize"]"#,
            "",
        ] {
            assert!(!is_hello(other.as_bytes()), "{other}");
        }
        let long = "x".repeat(LONGEST_HELLO);
        let long = format!(r#"{{"id":0,"method":"initialize","params":"{long}"}}"#);
        assert!(!is_hello(long.as_bytes()));
    }

    const RESULT: &str = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18"}}"#;
    const ERROR: &str = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-1,"message":"no"}}"#;

    #[test]
    fn a_welcome_is_read_from_json_and_from_events() {
        let opened = Some(Welcome::Revision("2025-06-18".to_owned()));
        assert_eq!(Welcome::of_json(RESULT.as_bytes()), opened);
        assert_eq!(Welcome::of_json(ERROR.as_bytes()), Some(Welcome::Refused));
        let other = br#"{"result":{}}"#;
        assert_eq!(Welcome::of_json(other), Some(Welcome::Refused));
        assert_eq!(Welcome::of_json(b"{}"), None);
        assert_eq!(Welcome::of_json(b""), None);
        for stream in [
            format!("event: message\nid: 1\ndata: {RESULT}\n\n"),
            format!("id: 0\ndata:\n\n:\n\nevent: message\r\ndata:{RESULT}\r\n\r\nda"),
            format!("data: {{\"method\":\"notifications/message\"}}\n\ndata: {RESULT}\n\n"),
            format!("data: {}\n\n", RESULT.replace(',', ",\ndata: ")),
        ] {
            assert_eq!(Welcome::of_events(stream.as_bytes()), opened, "{stream}");
        }
        let part = format!("data: {RESULT}\n");
        assert_eq!(Welcome::of_events(part.as_bytes()), None, "not all of it");
    }
}
