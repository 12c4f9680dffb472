//! Whether an answer says that the upstream has lost the session that the request named. Only
//! then is it certain that the request was not carried out, and only then is a session opened
//! anew; so an answer that could mean something else means something else.

use serde::Deserialize;
use serde_json::Value;

use super::object;

/// The longest answer that is read for it.
pub const LONGEST_ANSWER: usize = 8 << 10;

/// Texts that say so, in lower case and with spaces for other separators. The statuses and words
/// are those of servers in use: the specification wants 404 (MCP 2025-11-25 transports, Session
/// Management), which the SDKs send with "Session not found" and "Invalid or expired session ID";
/// 400 with "No valid session ID provided" and "Server not initialized" is in the examples and
/// transports of the TypeScript and Python SDKs, "Invalid session ID" in Go.
const PHRASES: [&str; 23] = [
    "session not found",
    "session id not found",
    "sessionid not found",
    "no session found",
    "no session with",
    "no active session",
    "no valid session",
    "no transport found for session",
    "invalid session",
    "invalid mcp session",
    "invalid or expired session",
    "invalid or missing session",
    "expired session",
    "session expired",
    "session has expired",
    "session id expired",
    "unknown session",
    "unknown mcp session",
    "session does not exist",
    "session terminated",
    "session has been terminated",
    "session not initialized",
    "server not initialized",
];

/// Words of answers to requests that had begun.
const BEGUN: [&str; 3] = [
    "before the request completed",
    "in flight",
    "while processing",
];

/// Codes of errors about the request itself (JSON-RPC 2.0 §5.1): it reached somebody.
const ABOUT_THE_REQUEST: [i64; 3] = [-32601, -32602, -32700];

/// How a request was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossOf {
    /// A message was sent.
    Message,
    /// A stream was asked for. A server without streams answers that with any status.
    Stream,
}

/// Whether an answer with this status is worth a look.
pub fn is_suspicious(status: u16) -> bool {
    matches!(status, 400 | 404 | 503)
}

/// Whether the session is lost. `body` is the whole answer, in clear text, where it is that.
pub fn is_lost(asked: LossOf, status: u16, body: Option<&[u8]>) -> bool {
    let said = body.and_then(Said::of);
    let begun = |said: &Said| BEGUN.iter().any(|words| said.text.contains(words));
    let other = |said: &Said| ABOUT_THE_REQUEST.contains(&said.code) || begun(said);
    if !is_suspicious(status) || said.as_ref().is_some_and(other) {
        return false;
    }
    (status == 404 && asked == LossOf::Message) || said.is_some_and(|said| said.names_the_session())
}

/// What an error says.
struct Said {
    code: i64,
    text: String,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    error: Value,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    detail: Option<String>,
}

impl Said {
    fn of(body: &[u8]) -> Option<Self> {
        let (code, text) = match object::<Body>(body) {
            Some(Body {
                error: Value::Object(error),
                ..
            }) => (
                error.get("code").and_then(Value::as_i64),
                error.get("message")?.as_str()?.to_owned(),
            ),
            Some(Body {
                error: Value::String(error),
                ..
            }) => (None, error),
            Some(body) => (None, body.message.or(body.detail)?),
            // A sentence; not a page, and not JSON of another form.
            None => {
                let text = std::str::from_utf8(body).ok()?.trim();
                if text.len() > 200 || text.starts_with(['<', '{', '[']) {
                    return None;
                }
                (None, text.to_owned())
            }
        };
        let text = text.to_lowercase().replace(['-', '_'], " ");
        Some(Self {
            code: code.unwrap_or_default(),
            text,
        })
    }

    fn names_the_session(&self) -> bool {
        PHRASES.iter().any(|words| self.text.contains(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpc(code: i64, message: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":null,"error":{{"code":{code},"message":"{message}"}}}}"#)
    }

    fn lost(status: u16, body: &str) -> bool {
        is_lost(LossOf::Message, status, Some(body.as_bytes()))
    }

    #[test]
    fn the_words_of_real_servers_are_known() {
        for (status, body) in [
            (404, rpc(-32001, "Session not found")),
            (404, rpc(-32600, "Not Found: Session has been terminated")),
            (404, rpc(-32600, "Not Found: Invalid or expired session ID")),
            (
                400,
                rpc(-32000, "Bad Request: No valid session ID provided"),
            ),
            (400, rpc(-32000, "Bad Request: Server not initialized")),
            (400, "Bad Request: No valid session ID provided".to_owned()),
            (400, "Invalid session ID\n".to_owned()),
            (400, rpc(-32000, "Invalid Mcp-Session-Id")),
            (503, rpc(-32000, "Unknown session")),
            (503, r#"{"error":"session_expired"}"#.to_owned()),
            (400, r#"{"detail":"Session does not exist"}"#.to_owned()),
        ] {
            assert!(lost(status, &body), "{status} {body}");
            let stream = is_lost(LossOf::Stream, status, Some(body.as_bytes()));
            assert!(stream, "{status} {body}");
        }
    }

    #[test]
    fn a_404_to_a_message_needs_no_words() {
        for body in [None, Some(""), Some("<h1>Not Found</h1>"), Some("{}")] {
            let body = body.map(str::as_bytes);
            assert!(is_lost(LossOf::Message, 404, body), "{body:?}");
            assert!(!is_lost(LossOf::Stream, 404, body), "{body:?}");
            assert!(!is_lost(LossOf::Message, 400, body), "{body:?}");
            assert!(!is_lost(LossOf::Message, 503, body), "{body:?}");
        }
    }

    #[test]
    fn what_could_mean_something_else_does() {
        for (status, body) in [
            (404, rpc(-32601, "Method not found")),
            (
                400,
                rpc(-32602, "Invalid session parameter: invalid session"),
            ),
            (
                400,
                rpc(-32000, "Bad Request: Mcp-Session-Id header is required"),
            ),
            (
                400,
                rpc(-32600, "Invalid Request: Server already initialized"),
            ),
            (400, rpc(-32000, "Unsupported protocol version")),
            (
                404,
                rpc(-32600, "Session terminated before the request completed"),
            ),
            (503, "Service Unavailable".to_owned()),
            (503, rpc(-32000, "The session store is overloaded")),
            (
                400,
                format!("<html>Session not found{}</html>", "x".repeat(200)),
            ),
            (400, r#"["Session not found"]"#.to_owned()),
            (500, rpc(-32001, "Session not found")),
            (200, rpc(-32001, "Session not found")),
            (401, rpc(-32001, "Session expired")),
            (403, rpc(-32001, "Invalid session")),
        ] {
            assert!(!lost(status, &body), "{status} {body}");
        }
    }
}
