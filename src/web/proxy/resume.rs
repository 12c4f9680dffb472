//! Going on with a stream that the upstream cut: it is opened again with the token of now and the
//! id of the last event (MCP 2025-11-25 transports, Resumability), and the agent notices nothing.
//! The same when its session was opened anew; then it starts with that. Only between events, and
//! not for ever; when, is decided in `model::mcp::broken`.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::super::routes::{RouteEntry, SignInTold};
use super::Worker;
use super::admit::Call;
use super::answer::is_event_stream;
use super::mcp::{Named, SESSION, epoch};
use super::repair::{LAST_EVENT, REVISION};
use super::request::Proof;
use super::{credential, possession};
use crate::ledger::{Life, McpKey, McpSession, Published, SessionCell, Spared};
use crate::model::id::Generation;
use crate::model::mcp::standin::completion;
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

const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");

/// A stream that is being opened again; `None` where it cannot be.
pub(super) type Reopening = Pin<Box<dyn Future<Output = Option<ResponseBody>>>>;

/// A sign-in that is waited for.
pub(super) type Completed = Pin<Box<dyn Future<Output = ()>>>;

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
    /// In the least room: as long as the stream is open. Without the credential that the daemon puts
    /// in, which is another one by then.
    headers: Box<[(HeaderName, HeaderValue)]>,
    /// Whether the daemon puts a credential in.
    held: bool,
    under: Option<Epoch>,
    session: Option<Arc<McpSession>>,
    /// The session of the agent.
    agent: Option<Arc<SessionCell>>,
}

impl Resume {
    /// For a stream that `again` asks for, in the form of now.
    pub(super) fn new(
        worker: &Rc<Worker>,
        call: &Call,
        again: Request<RequestBody>,
        named: Option<Named>,
        proof: &Proof,
    ) -> Self {
        let (asked, _) = again.into_parts();
        let mut headers = asked.headers;
        if asked.method != Method::GET {
            // A stream that answers a request is gone on with by GET.
            headers.remove(CONTENT_TYPE);
            headers.insert(ACCEPT, EVENTS);
        }
        let held = matches!(proof, Proof::Held(_));
        if held {
            headers.remove(&call.route.spec.header);
        }
        let (session, life) = match named {
            Some(named) => (Some(named.session), Some(named.life)),
            None => (None, None),
        };
        Self {
            stream: Rc::new(Asked {
                worker: Rc::clone(worker),
                route: Arc::clone(&call.route),
                uri: asked.uri,
                headers: listed(headers),
                held,
                under: epoch(proof),
                session,
                agent: call.session.clone(),
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

    /// Returns when a sign-in is done that the person was asked for through the session of the
    /// stream; `None` where nobody is asked.
    pub(super) fn completed(&self) -> Option<Completed> {
        if self.stream.route.spec.sign_in != SignInTold::Elicited {
            return None;
        }
        let session = Arc::clone(self.stream.session.as_ref()?);
        let slot = Arc::clone(&self.stream.route.slot);
        Some(Box::pin(async move {
            loop {
                let changed = slot.changed();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if session.owes_completion() && slot.load().is_some() {
                    return;
                }
                changed.await;
            }
        }))
    }

    /// What tells the agent so; for the first who asks.
    pub(super) fn completion(&self) -> Option<String> {
        let session = self.stream.session.as_ref()?;
        let key = McpKey::of(&session.account, session.told.as_bytes());
        session
            .complete_once()
            .then(|| completion(&key.to_string()))
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

/// The same fields in the same order, one after another.
fn listed(headers: HeaderMap) -> Box<[(HeaderName, HeaderValue)]> {
    let mut listed: Vec<(HeaderName, HeaderValue)> = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        // A field that is there several times is named the first time only.
        let name = name.or_else(|| Some(listed.last()?.0.clone()));
        listed.extend(name.map(|name| (name, value)));
    }
    listed.into_boxed_slice()
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
                        if let Some(agent) = &self.agent {
                            let now = self.worker.state.clock.now();
                            agent.keeping().note(Spared::Break, now);
                        }
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
        let fields = request.headers_mut();
        for (name, value) in &self.headers {
            fields.append(name.clone(), value.clone());
        }
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
            request: Box::new(request),
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
            // It has not noticed yet that the one before is gone, and allows one at a time.
            StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS => Attempt::Later,
            status if status.is_server_error() => Attempt::Later,
            _ => Attempt::Never,
        }
    }
}
