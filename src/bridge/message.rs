//! What has to be known of a JSON-RPC message to carry it from a pipe to HTTP. The message itself
//! is carried as it came.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::model::catalogue::Problem;

/// Where the stateless revisions of MCP say which revision a request follows (2026-07-28, basic).
const REVISION: &str = "io.modelcontextprotocol/protocolVersion";

/// A message of the agent.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// As it came, without the line end.
    pub(super) bytes: Bytes,
    /// Its id as it was written; `None` for notifications and answers.
    pub(super) id: Option<Box<RawValue>>,
    /// The ids of the requests in it, where it is a batch.
    pub(super) batch: Vec<Box<RawValue>>,
    /// Its method; `None` for answers.
    pub(super) method: Option<String>,
    /// The revision that the request itself names: it belongs to no MCP session then.
    pub(super) revision: Option<String>,
    /// What it is about, for `Mcp-Name`.
    pub(super) name: Option<String>,
}

#[derive(Deserialize)]
struct Shape<'m> {
    #[serde(borrow, default)]
    id: Option<&'m RawValue>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    params: Option<Params>,
}

impl Shape<'_> {
    /// The id under which an answer is waited for.
    fn asked(&self) -> Option<Box<RawValue>> {
        let is_request = self.method.is_some();
        let id = self.id.filter(|id| is_request && id.get() != "null");
        id.map(ToOwned::to_owned)
    }

    /// Whether it answers the request with this id, however either side writes it.
    fn answers(&self, own: &RawValue) -> bool {
        let value = |id: &RawValue| serde_json::from_str::<Value>(id.get()).ok();
        let same = |id: &RawValue| id.get() == own.get() || value(id) == value(own);
        self.method.is_none() && self.id.is_some_and(same)
    }
}

#[derive(Default, Deserialize)]
struct Params {
    #[serde(default)]
    name: Option<Value>,
    #[serde(default)]
    uri: Option<Value>,
    #[serde(default, rename = "_meta")]
    meta: Option<Value>,
}

impl Message {
    /// Reads a line. `None`: it is no JSON-RPC message.
    pub(super) fn parse(bytes: Bytes) -> Option<Self> {
        if bytes.first() == Some(&b'[') {
            // A batch of revision 2025-03-26: looked at only for who waits for an answer.
            let shapes: Vec<Shape> = serde_json::from_slice(&bytes).ok()?;
            let batch = shapes.iter().filter_map(Shape::asked).collect();
            return Some(Self {
                bytes,
                id: None,
                batch,
                method: None,
                revision: None,
                name: None,
            });
        }
        let shape: Shape = serde_json::from_slice(&bytes).ok()?;
        let id = shape.asked();
        let params = shape.params.unwrap_or_default();
        let text = |value: Option<Value>| value.and_then(|it| it.as_str().map(str::to_owned));
        let meta = params.meta.unwrap_or_default();
        Some(Self {
            id,
            batch: Vec::new(),
            method: shape.method,
            revision: meta[REVISION].as_str().map(str::to_owned),
            name: text(params.name).or(text(params.uri)),
            bytes,
        })
    }

    /// Whether the agent waits for an answer to it.
    pub(super) fn wants_answer(&self) -> bool {
        self.id.is_some() || !self.batch.is_empty()
    }

    /// Whether it is this method.
    pub(super) fn is(&self, method: &str) -> bool {
        self.method.as_deref() == Some(method)
    }

    /// The id of the request that it cancels, as it was written.
    pub(super) fn cancelled(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Cancelled<'m> {
            #[serde(borrow)]
            params: Of<'m>,
        }
        #[derive(Deserialize)]
        struct Of<'m> {
            #[serde(borrow, rename = "requestId")]
            id: &'m RawValue,
        }
        if !self.is("notifications/cancelled") {
            return None;
        }
        let read: Cancelled = serde_json::from_slice(&self.bytes).ok()?;
        Some(read.params.id.get().to_owned())
    }

    /// Whether it may be sent again when nobody knows what became of it: it only reads.
    pub(super) fn may_repeat(&self) -> bool {
        let Some(method) = &self.method else {
            return false;
        };
        matches!(
            method.as_str(),
            "initialize"
                | "ping"
                | "server/discover"
                | "tools/list"
                | "prompts/list"
                | "prompts/get"
                | "resources/list"
                | "resources/templates/list"
                | "resources/read"
                | "notifications/initialized"
        )
    }

    /// Whether `line` answers this request, or all of this batch.
    pub(super) fn is_answered_by(&self, line: &[u8]) -> bool {
        if let Some(own) = &self.id {
            return serde_json::from_slice::<Shape>(line).is_ok_and(|shape| shape.answers(own));
        }
        let answers: Vec<Shape> = serde_json::from_slice(line).unwrap_or_default();
        let answered = |own: &RawValue| answers.iter().any(|answer| answer.answers(own));
        self.wants_answer() && self.batch.iter().all(|own| answered(own))
    }

    /// The error that tells the agent in the words of `text` what went wrong with this request;
    /// nothing where it waits for no answer.
    pub(super) fn failed(&self, problem: &Problem, text: &str) -> Option<Bytes> {
        let entry = problem.entry();
        let error = json!({
            "code": entry.rpc.unwrap_or(-32603),
            "message": text,
            "data": { "code": entry.code, "source": "doorward" },
        });
        self.with_error(&error)
    }

    /// The same with an error that somebody else has made.
    pub(super) fn with_error(&self, error: &Value) -> Option<Bytes> {
        let one = |id: &RawValue| {
            let id = id.get();
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}")
        };
        if let Some(id) = &self.id {
            return Some(one(id).into());
        }
        let all: Vec<_> = self.batch.iter().map(|id| one(id)).collect();
        (!all.is_empty()).then(|| format!("[{}]", all.join(",")).into())
    }

    /// The answer with this result.
    pub(super) fn with_result(&self, result: &Value) -> Option<Bytes> {
        let id = self.id.as_ref()?.get();
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}");
        Some(line.into())
    }
}

/// What is said of a line that is no message (JSON-RPC 2.0 section 5.1).
pub(super) fn not_understood(code: i32, why: &str) -> Bytes {
    json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": why } })
        .to_string()
        .into()
}

/// A message on one line: a raw line end cannot be within a JSON string, so it is only space.
pub(super) fn one_line(message: &[u8]) -> Bytes {
    let trimmed = message.trim_ascii();
    let flat = trimmed.iter().map(|byte| match byte {
        b'\n' | b'\r' => b' ',
        byte => *byte,
    });
    flat.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes())).expect(text)
    }

    #[test]
    fn requests_notifications_and_answers_are_told_apart() {
        let request =
            parse(r#"{"jsonrpc":"2.0","id":"a b","method":"tools/call","params":{"name":"x"}}"#);
        assert_eq!(request.id.as_ref().map(|id| id.get()), Some("\"a b\""));
        assert_eq!(request.name.as_deref(), Some("x"));
        assert!(!request.may_repeat());
        let note = parse(r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#);
        assert!(note.id.is_none() && note.method.is_some());
        let answer = parse(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        assert!(answer.id.is_none() && answer.method.is_none());
        assert!(
            parse(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#)
                .id
                .is_none()
        );
        for nonsense in ["", "hello", "{", "[1", "1", "null", "{\"method\":1}"] {
            let bytes = Bytes::copy_from_slice(nonsense.as_bytes());
            assert!(Message::parse(bytes).is_none(), "{nonsense}");
        }
    }

    #[test]
    fn a_stateless_request_names_its_revision() {
        let request = parse(
            r#"{"id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
        );
        assert_eq!(request.revision.as_deref(), Some("2026-07-28"));
    }

    #[test]
    fn an_answer_is_known_by_its_id_as_written() {
        let request = parse(r#"{"id":1,"method":"ping"}"#);
        assert!(request.is_answered_by(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#));
        assert!(request.is_answered_by(br#"{"id":1,"error":{"code":1,"message":""}}"#));
        assert!(!request.is_answered_by(br#"{"id":"1","result":{}}"#));
        assert!(!request.is_answered_by(br#"{"id":1,"method":"sampling/createMessage"}"#));
        assert!(!request.is_answered_by(b"nonsense"));
    }

    #[test]
    fn every_request_of_a_batch_that_fails_is_answered() {
        let batch = parse(
            r#"[{"id":1,"method":"ping"},{"method":"notifications/x"},{"id":"b","method":"ping"}]"#,
        );
        assert!(batch.is_answered_by(br#"[{"id":"b","result":{}},{"id":1,"result":{}}]"#));
        assert!(!batch.is_answered_by(br#"[{"id":1,"result":{}}]"#));
        let errors = batch.with_error(&json!({"code": 1})).expect("wanted");
        let errors: Value = serde_json::from_slice(&errors).expect("one line of JSON");
        assert_eq!(
            errors,
            json!([
                {"jsonrpc": "2.0", "id": 1, "error": {"code": 1}},
                {"jsonrpc": "2.0", "id": "b", "error": {"code": 1}},
            ])
        );
        let notes = parse(r#"[{"method":"notifications/x"}]"#);
        assert!(!notes.wants_answer() && notes.with_error(&json!({})).is_none());
    }

    #[test]
    fn a_message_becomes_one_line() {
        assert_eq!(one_line(b"{\r\n  \"a\": 1\n}\n"), "{    \"a\": 1 }");
    }
}
