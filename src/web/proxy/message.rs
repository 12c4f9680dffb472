//! What a request body asks for, as far as trouble has to be shaped for it: ids and methods, and
//! nothing else. Read only when something went wrong or has to wait.

use actix_web::http::Method;
use serde::Deserialize;
use serde_json::Value;

/// A request body as JSON-RPC.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// No body, or none that was read or understood.
    Unknown,
    /// One message.
    One(Message),
    /// A batch.
    Many(Vec<Message>),
}

/// One JSON-RPC message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its id, as it was written; null for none.
    pub id: Value,
    /// What it is.
    pub kind: Kind,
    /// Whether it may be sent twice.
    repeatable: bool,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `tools/call`.
    Tool,
    /// Another request that a person waits for: `resources/read`, `prompts/get`.
    Fetch,
    /// What a client needs before it shows a server at all: `initialize`, `server/discover`, the
    /// lists.
    Handshake,
    /// Another request.
    Request,
    /// A notification, or an answer to a request of the server's.
    Silent,
}

impl Kind {
    /// Whether an answer is expected.
    pub fn is_answered(self) -> bool {
        self != Self::Silent
    }
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    method: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Many(Vec<Envelope>),
    One(Envelope),
}

impl Asked {
    /// Reads a body.
    pub fn of(body: &[u8]) -> Self {
        match serde_json::from_slice(body) {
            Ok(Body::One(one)) => Self::One(one.into()),
            Ok(Body::Many(many)) => Self::Many(many.into_iter().map(Message::from).collect()),
            Err(_) => Self::Unknown,
        }
    }

    /// Whether a request with this method and body may be sent again when it is not known what
    /// became of it (performance.md, "Stale keep-alive").
    pub fn may_repeat(&self, method: &Method) -> bool {
        match self {
            _ if *method != Method::POST => true,
            Self::One(message) => message.repeatable,
            Self::Unknown | Self::Many(_) => false,
        }
    }

    /// What the request waits for, as a whole: a batch with a tool call in it is a tool call.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Unknown => None,
            Self::One(message) => Some(message.kind),
            Self::Many(messages) => [Kind::Tool, Kind::Fetch, Kind::Handshake, Kind::Request]
                .into_iter()
                .find(|kind| messages.iter().any(|message| message.kind == *kind))
                .or(Some(Kind::Silent)),
        }
    }
}

impl From<Envelope> for Message {
    fn from(envelope: Envelope) -> Self {
        let method = envelope.method.as_deref().unwrap_or_default();
        let kind = match method {
            _ if envelope.id.is_null() || envelope.method.is_none() => Kind::Silent,
            "tools/call" => Kind::Tool,
            "resources/read" | "prompts/get" => Kind::Fetch,
            "initialize" | "server/discover" => Kind::Handshake,
            list if list.ends_with("/list") => Kind::Handshake,
            _ => Kind::Request,
        };
        Self {
            repeatable: matches!(kind, Kind::Fetch | Kind::Handshake)
                || (kind == Kind::Request && method == "ping"),
            id: envelope.id,
            kind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_safe_is_repeated() {
        let may = |body: &str| Asked::of(body.as_bytes()).may_repeat(&Method::POST);
        for method in [
            "initialize",
            "ping",
            "tools/list",
            "resources/templates/list",
            "server/discover",
            "resources/read",
            "prompts/get",
        ] {
            assert!(
                may(&format!(
                    r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#
                )),
                "{method}"
            );
        }
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"completion/complete"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            "not json",
        ] {
            assert!(!may(body), "{body}");
        }
        assert!(Asked::Unknown.may_repeat(&Method::GET));
        assert!(Asked::Unknown.may_repeat(&Method::DELETE));
    }

    #[test]
    fn a_batch_is_as_urgent_as_its_most_urgent_message() {
        let batch = r#"[{"method":"notifications/x"},{"id":"a","method":"ping"},
            {"id":2,"method":"tools/call","params":{"name":"x"}}]"#;
        assert_eq!(Asked::of(batch.as_bytes()).kind(), Some(Kind::Tool));
        let answer = r#"{"jsonrpc":"2.0","id":4,"result":{}}"#;
        assert_eq!(Asked::of(answer.as_bytes()).kind(), Some(Kind::Silent));
    }
}
