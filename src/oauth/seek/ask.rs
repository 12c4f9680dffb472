//! The upstream's part of the walk: its challenge. Many servers shake hands with anybody and want
//! a token only for what comes after, so that a handshake which is answered is followed by a
//! question which reads something.

use http::header::{ACCEPT, HeaderName};
use http::{HeaderValue, Method};
use serde_json::{Value, json};
use url::Url;

use super::{PATIENCE, Walk};
use crate::http::{Answer, BodyPolicy, Reach, Request};
use crate::oauth::challenge::{Challenge, challenges, to_follow};
use crate::oauth::discovery::{DiscoveryFault, LookedFor, StepOutcome};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");

/// The newest revision that shakes hands.
const HANDSHAKING: &str = "2025-11-25";
/// The newest one that does not.
const MODERN: &str = "2026-07-28";

impl Walk {
    /// Asks the endpoint, without a credential, as a client would. Without a 401 there is no
    /// challenge, and the well-known places are left.
    pub(super) async fn challenge(
        &mut self,
        optional: bool,
    ) -> Result<Option<Challenge>, DiscoveryFault> {
        if let Some(url) = self.provider.probe.clone() {
            let (_, found) = self
                .probe(Request::get(url.clone()), &url, optional)
                .await?;
            return Ok(found);
        }
        let url = self.provider.upstream.clone();
        let hello = Request::post_json(url.clone(), &initialize());
        let (answer, found) = self.probe(hello, &url, optional).await?;
        let Some(answer) = answer.filter(|answer| answer.status < 500 && answer.status != 401)
        else {
            return Ok(found);
        };
        let session = answer.headers.get(SESSION).cloned();
        let request = match (&session, answer.status) {
            (None, 300..) => lists_modern(&url),
            _ => with_session(
                Request::post_json(url.clone(), &lists(json!({}))),
                session.clone(),
            ),
        };
        // The handshake was answered: whatever comes of this is no reason to give up.
        let (_, found) = self.probe(request, &url, true).await?;
        if session.is_some() {
            // Nobody uses what the handshake opened; a server that keeps it all the same is free to.
            let end = with_session(Request::new(Method::DELETE, url), session);
            let _ = self.client.send(patient(end)).await;
        }
        Ok(found)
    }

    /// One question. `optional`: its failure is none of the walk.
    async fn probe(
        &mut self,
        request: Request,
        url: &Url,
        optional: bool,
    ) -> Result<(Option<Answer>, Option<Challenge>), DiscoveryFault> {
        let accept = HeaderValue::from_static("application/json, text/event-stream");
        let (answer, took) = self.ask(patient(request.header(ACCEPT, accept))).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(fault) => {
                let failed = self.failed(LookedFor::Challenge, url, &fault, took);
                return if optional {
                    Ok((None, None))
                } else {
                    Err(failed)
                };
            }
        };
        let all = challenges(&answer.headers);
        // Only a 401 starts an authorization.
        let followed = (answer.status == 401).then(|| to_follow(&all)).flatten();
        let pointer = followed.and_then(|challenge| challenge.param("resource_metadata"));
        let outcome = match pointer {
            Some(_) => StepOutcome::Found,
            None => StepOutcome::NoPointer(answer.status),
        };
        let followed = followed.cloned();
        self.note(LookedFor::Challenge, url.to_string(), outcome, took);
        Ok((Some(answer), followed))
    }
}

fn patient(request: Request) -> Request {
    let request = request.body(BodyPolicy::Ignore).reach(Reach::ANYWHERE);
    request.within(PATIENCE)
}

fn with_session(request: Request, session: Option<HeaderValue>) -> Request {
    let request = request.header(VERSION, HeaderValue::from_static(HANDSHAKING));
    match session {
        Some(session) => request.header(SESSION, session),
        None => request,
    }
}

fn lists_modern(url: &Url) -> Request {
    let meta = json!({
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": ourselves(),
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    });
    Request::post_json(url.clone(), &lists(meta))
        .header(VERSION, HeaderValue::from_static(MODERN))
        .header(METHOD, HeaderValue::from_static("tools/list"))
}

fn lists(params: Value) -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": "doorward-discovery-2",
        "method": "tools/list",
        "params": params,
    })
}

fn initialize() -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": "doorward-discovery",
        "method": "initialize",
        "params": {
            "protocolVersion": HANDSHAKING,
            "capabilities": {},
            "clientInfo": ourselves(),
        },
    })
}

fn ourselves() -> Value {
    json!({ "name": "doorward", "version": env!("CARGO_PKG_VERSION") })
}
