//! One request of a trial, and the answer to it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use serde_json::{Value, json};

use super::Trial;
use crate::ledger::Published;
use crate::model::catalogue::{Code, Problem};
use crate::model::mcp::{First, data_of_events, first_event};
use crate::transport::{Call, Connection, RequestBody, UpstreamTransport};
use crate::web::proxy::{possession, transport_problem};
use crate::web::routes::RouteAuth;

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// How long one step may take beyond the limits of the upstream's own configuration.
const PATIENCE: Duration = Duration::from_secs(20);
/// At most this much of an answer is read.
const LONGEST: usize = 8 << 20;

/// What an upstream answered.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) message: Option<Value>,
    /// How its stream of events begins, where it is one.
    pub(super) first: First,
}

impl Trial {
    pub(super) async fn ask(
        &self,
        method: &str,
        params: &Value,
        held: Option<&Published>,
    ) -> Result<Reply, Problem> {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.send(Method::POST, Some(&message), held, None).await
    }

    pub(super) async fn follow(&self, method: &str, params: &Value) -> Result<Reply, Problem> {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let (held, session) = self.session.clone().unwrap_or_default();
        self.send(Method::POST, Some(&message), held.as_deref(), session)
            .await
    }

    pub(super) async fn notify(&self, method: &str) -> Result<Reply, Problem> {
        let message = json!({ "jsonrpc": "2.0", "method": method });
        let (held, session) = self.session.clone().unwrap_or_default();
        self.send(Method::POST, Some(&message), held.as_deref(), session)
            .await
    }

    /// Ends the MCP session; servers may refuse that, which nobody has to know.
    pub(super) async fn leave(&self) {
        if let Some((held, Some(session))) = self.session.clone() {
            let held = held.as_deref();
            let _ = self.send(Method::DELETE, None, held, Some(session)).await;
        }
    }

    pub(super) async fn send(
        &self,
        method: Method,
        message: Option<&Value>,
        held: Option<&Published>,
        session: Option<HeaderValue>,
    ) -> Result<Reply, Problem> {
        let first = self
            .send_once(&method, message, held, session.clone())
            .await?;
        let from = &self.route.peer.origin;
        let bound = held.and_then(|held| held.bound.as_ref());
        match bound {
            Some(bound)
                if possession::is_worth_another(bound, from, first.status, &first.headers) =>
            {
                self.send_once(&method, message, held, session).await
            }
            _ => Ok(first),
        }
    }

    fn target(&self) -> Uri {
        let target = self.route.base.target("", None, false);
        Uri::from(target.expect("the configured URL itself leads nowhere else"))
    }

    async fn send_once(
        &self,
        method: &Method,
        message: Option<&Value>,
        token: Option<&Published>,
        session: Option<HeaderValue>,
    ) -> Result<Reply, Problem> {
        let (route, spec) = (&self.route, &self.route.spec);
        let body = message.map_or_else(Bytes::new, |message| message.to_string().into());
        let mut request = Request::new(RequestBody::whole(body));
        let listens = method == Method::GET;
        request.method_mut().clone_from(method);
        *request.uri_mut() = self.target();
        let headers = request.headers_mut();
        let ours = concat!("doorward/", env!("CARGO_PKG_VERSION"));
        let both = "application/json, text/event-stream";
        headers.insert(HOST, route.host.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static(ours));
        headers.insert(ACCEPT, HeaderValue::from_static(both));
        if message.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.extend(session.map(|session| (SESSION, session)));
        headers.extend(self.revision.clone().map(|revision| (VERSION, revision)));
        for (name, value) in &spec.fields {
            headers.insert(name.clone(), value.clone());
        }
        if spec.auth == RouteAuth::Injected {
            headers.remove(AUTHORIZATION);
            let proof = token.and_then(|token| token.header.clone());
            headers.extend(proof.map(|proof| (spec.header.clone(), proof)));
            if let Some(token) = token {
                let to = &route.peer.origin;
                possession::prove(token, method, to, self.target().path(), headers);
            }
        }
        let call = Call {
            peer: &route.peer,
            request: Box::new(request),
            limits: spec.limits,
            connection: Connection::New,
        };
        let failed = |error| transport_problem(route, LONGEST as u64, error);
        let response = self.transport.send(call).await.map_err(failed)?;
        let (head, mut body) = response.into_parts();
        let events = head.headers.get(CONTENT_TYPE).is_some_and(is_events);
        let mut read = BytesMut::new();
        let reading = async {
            while let Some(chunk) = body.next().await {
                let Ok(chunk) = chunk else {
                    return Err(self.problem(Code::ConnectionLost));
                };
                if read.len() + chunk.len() > LONGEST {
                    let why = "its answer is longer than any that makes sense";
                    return Err(self.problem(Code::UpstreamUnreachable).because(why));
                }
                read.extend_from_slice(&chunk);
                // A server may leave the stream open after the answer.
                if events && answer_in(&read).is_some() {
                    break;
                }
                if events && listens && first_event(&read) != First::Unfinished {
                    break;
                }
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .map_err(|_| {
                let within = humantime::format_duration(PATIENCE);
                self.problem(Code::UpstreamTimeout)
                    .because(format!("its answer did not end within {within}"))
            })??;
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            first: if events {
                first_event(&read)
            } else {
                First::Other
            },
            message: if events {
                answer_in(&read)
            } else {
                serde_json::from_slice(&read).ok()
            },
        })
    }
}

impl Reply {
    pub(super) fn has_no_such_method(&self) -> bool {
        let code = self
            .message
            .as_ref()
            .map(|message| &message["error"]["code"]);
        code.is_some_and(|code| *code == -32601)
    }
}

fn is_events(value: &HeaderValue) -> bool {
    let kind = value.as_bytes().get(..17);
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

/// The answer to request 1 among the events that came so far.
fn answer_in(stream: &[u8]) -> Option<Value> {
    data_of_events(stream).iter().find_map(|data| {
        let message: Value = serde_json::from_str(data).ok()?;
        (message["id"] == 1).then_some(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_found_among_events() {
        let answer = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
        for stream in [
            "id: 0\ndata:\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
            ": hello\r\n\r\ndata:{\"jsonrpc\":\"2.0\",\r\ndata: \"id\":1,\"result\":{}}\r\n\r\nid: 9\r\n",
            "data: {\"method\":\"notifications/message\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\ndata: {",
        ] {
            assert_eq!(
                answer_in(stream.as_bytes()),
                Some(answer.clone()),
                "{stream:?}"
            );
        }
        for part in [
            "",
            "data: {\"id\":1}",
            "data: {\"id\":1}\n",
            "data: {\"id\":2}\n\n",
        ] {
            assert_eq!(answer_in(part.as_bytes()), None, "{part:?}");
        }
    }
}
