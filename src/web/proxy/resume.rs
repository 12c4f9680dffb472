//! Going on with a stream that the upstream cut: it is opened again with the token of now and the
//! id of the last event (MCP 2025-11-25 transports, Resumability), and the agent notices nothing.
//! The same when its session was opened anew; then it starts with that. Only streams that were
//! asked for by GET, only between events, and not for ever.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::super::routes::RouteEntry;
use super::Worker;
use super::answer::is_event_stream;
use super::mcp::{Named, SESSION, epoch};
use super::repair::{LAST_EVENT, REVISION};
use super::request::Proof;
use super::{credential, possession};
use crate::ledger::{Life, McpSession, Published};
use crate::model::id::Generation;
use crate::model::mcp::{Attempts, Course, Epoch, Likeness, Seen, compare};
use crate::transport::{self, Connection, RequestBody, ResponseBody, UpstreamTransport};

/// How long to wait before each attempt.
const WAITS: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// A stream that is being opened again; `None` where it cannot be.
pub(super) type Reopening = Pin<Box<dyn Future<Output = Option<ResponseBody>>>>;

/// What it takes to open a stream again.
pub(super) struct Resume {
    stream: Rc<Asked>,
    /// The MCP session it is in, where its opening was seen.
    life: Option<Arc<Life>>,
    attempts: Attempts,
}

/// A stream as it was asked for.
struct Asked {
    worker: Rc<Worker>,
    route: Arc<RouteEntry>,
    uri: Uri,
    headers: HeaderMap,
    /// Whether the daemon puts a credential in.
    held: bool,
    under: Option<Epoch>,
    session: Option<Arc<McpSession>>,
}

/// The head of a request that may have to be made again: of those for streams.
pub(super) fn head_of(
    request: &HttpRequest,
    sent: &Request<RequestBody>,
) -> Option<(Uri, HeaderMap)> {
    let stream = *request.method() == actix_web::http::Method::GET;
    stream.then(|| (sent.uri().clone(), sent.headers().clone()))
}

impl Resume {
    /// For the stream that `head` was answered with.
    pub(super) fn new(
        worker: &Rc<Worker>,
        route: &Arc<RouteEntry>,
        (uri, headers): (Uri, HeaderMap),
        named: Option<Named>,
        proof: &Proof,
    ) -> Self {
        let (session, life) = match named {
            Some(named) => (Some(named.session), Some(named.life)),
            None => (None, None),
        };
        Self {
            stream: Rc::new(Asked {
                worker: Rc::clone(worker),
                route: Arc::clone(route),
                uri,
                headers,
                held: matches!(proof, Proof::Held(_)),
                under: epoch(proof),
                session,
            }),
            life,
            attempts: Attempts::default(),
        }
    }

    /// Cancelled when the session of the stream is opened anew.
    pub(super) fn moved(&self) -> Option<&CancellationToken> {
        self.life.as_ref().map(|life| &life.ended)
    }

    /// Whether that has happened.
    pub(super) fn is_moved(&self) -> bool {
        self.moved().is_some_and(CancellationToken::is_cancelled)
    }

    /// Opens the stream again, after the event `last`; or from its start where its session has
    /// moved. `None` where that would be too often.
    pub(super) fn again(&mut self, last: Option<HeaderValue>) -> Option<Reopening> {
        let seen = Seen {
            life: 0,
            failures: 0,
        };
        let now = self.stream.worker.state.clock.now();
        if self.attempts.course(seen, seen, now) != Course::Open {
            return None;
        }
        if let Some(session) = &self.stream.session {
            self.life = Some(session.life());
        }
        let stream = Rc::clone(&self.stream);
        let life = self.life.clone();
        Some(Box::pin(async move { stream.open(life, last).await }))
    }
}

/// What came of one attempt.
enum Attempt {
    Open(ResponseBody),
    /// The token was rejected.
    Rejected,
    /// Not now.
    Later,
    Never,
}

impl Asked {
    async fn open(
        &self,
        life: Option<Arc<Life>>,
        last: Option<HeaderValue>,
    ) -> Option<ResponseBody> {
        for wait in WAITS {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            let mut rejected = None;
            // A second time with a newer token than the one that was rejected.
            for _ in 0..2 {
                let Ok(held) = self.credential(rejected).await else {
                    break;
                };
                let now = held.as_ref().map(|held| held.epoch);
                let under = life.as_ref().map_or(self.under, |life| life.opened.under);
                if compare(under, now) != Likeness::Same {
                    return None;
                }
                let attempt = self.attempt(life.as_deref(), last.as_ref(), held.as_deref());
                match attempt.await {
                    Attempt::Open(body) => {
                        debug!(upstream = %self.route.account(), "a stream goes on");
                        return Some(body);
                    }
                    Attempt::Never => return None,
                    Attempt::Later => break,
                    Attempt::Rejected => rejected = held.map(|held| held.generation),
                }
            }
        }
        None
    }
}

impl Asked {
    /// The credential of now, other than the `rejected` one; `Err` where there is none for now.
    async fn credential(&self, rejected: Option<Generation>) -> Result<Option<Arc<Published>>, ()> {
        if !self.held {
            return Ok(None);
        }
        let state = &self.worker.state;
        if rejected.is_none()
            && let Some(held) = credential::published(state, &self.route)
        {
            return Ok(Some(held));
        }
        let obtained = credential::obtain(state, &self.route, None, rejected).await;
        obtained.map(Some).map_err(|_| ())
    }

    async fn attempt(
        &self,
        life: Option<&Life>,
        last: Option<&HeaderValue>,
        held: Option<&Published>,
    ) -> Attempt {
        let mut request = Request::new(RequestBody::whole(Bytes::new()));
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let fields = request.headers_mut();
        if let Some(value) = held.and_then(|held| held.header.clone()) {
            fields.insert(self.route.spec.header.clone(), value);
        }
        if let Some(held) = held {
            let (to, path) = (&self.route.peer.origin, self.uri.path());
            possession::prove(held, &http::Method::GET, to, path, fields);
        }
        if let Some(life) = life {
            fields.remove(SESSION);
            fields.extend(life.id.clone().map(|id| (SESSION, id)));
            if let Some(revision) = life.revision.clone() {
                fields.insert(REVISION, revision);
            }
        }
        fields.remove(LAST_EVENT);
        fields.extend(last.cloned().map(|last| (LAST_EVENT, last)));
        let sent = transport::Call {
            peer: &self.route.peer,
            request,
            limits: self.route.spec.limits,
            // Those that are left may be as dead as the one that was cut.
            connection: Connection::New,
        };
        let Ok(response) = self.worker.transport.send(sent).await else {
            return Attempt::Later;
        };
        if let Some(bound) = held.and_then(|held| held.bound.as_ref())
            && possession::is_worth_another(
                bound,
                &self.route.peer.origin,
                response.status(),
                response.headers(),
            )
        {
            return Attempt::Later;
        }
        match response.status() {
            StatusCode::OK if is_event_stream(response.headers()) => {
                Attempt::Open(response.into_body())
            }
            StatusCode::UNAUTHORIZED if self.held => Attempt::Rejected,
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Attempt::Later
            }
            _ => Attempt::Never,
        }
    }
}
