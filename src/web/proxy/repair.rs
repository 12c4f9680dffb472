//! Opening an MCP session anew: what the agent said in its own handshake is said again, what it
//! subscribed to is subscribed to again, and the agent goes on with the id it knows.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::HeaderValue as LocalValue;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use super::Worker;
use super::admit::Call;
use super::answer::is_event_stream;
use super::coding::Coding;
use super::credential;
use super::forward::drain;
use super::mcp::{Name, Named, SESSION, epoch};
use super::possession;
use super::replay::Outbound;
use super::request::{Proof, outgoing};
use super::trouble::{problem, transport_problem};
use crate::ledger::Spared;
use crate::model::catalogue::{Code, Problem};
use crate::model::mcp::{
    Attempts, Course, INITIALIZED, LONGEST_ANSWER, LONGEST_WELCOME, Likeness, LossOf, Welcome,
    is_lost, is_suspicious,
};
use crate::transport::{
    self, Connection, ForwardError, RequestBody, ResponseBody, UpstreamTransport,
};

/// How long a whole handshake may take: less than agents wait for one call.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// How long subscriptions may take after that; those that take longer are given up.
const SUBSCRIPTIONS: Duration = Duration::from_secs(5);
/// How long the reason of a refusal may take.
const LOOK: Duration = Duration::from_secs(1);

/// The field that names the revision that was agreed on.
pub(super) const REVISION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The field that resumes a stream.
pub(super) const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const PLAIN: HeaderValue = HeaderValue::from_static("identity");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Whether the session that a request names may be told to the upstream beside `proof`. One that
/// was opened for somebody else may not; one of which that is not known is opened anew first.
pub(super) async fn prepare(
    worker: &Worker,
    request: &HttpRequest,
    call: &Call,
    named: &mut Option<Named>,
    proof: &Proof,
) -> Result<(), Problem> {
    let Some(named) = named else { return Ok(()) };
    if named.session.is_waiting() {
        return Box::pin(begin(worker, request, call, named, proof)).await;
    }
    let fits = match named.compare(proof) {
        Likeness::Same => true,
        Likeness::Other => false,
        // An end is not worth a beginning.
        Likeness::Unknown if *request.method() == Method::DELETE => false,
        Likeness::Unknown => {
            Box::pin(renew(worker, request, call, named, proof)).await
                && named.compare(proof) == Likeness::Same
        }
    };
    if fits {
        Ok(())
    } else {
        Err(problem(call, Code::McpSession))
    }
}

/// Opens a session that the upstream knows nothing of yet, because it could not be asked when its
/// agent shook hands.
async fn begin(
    worker: &Worker,
    request: &HttpRequest,
    call: &Call,
    named: &mut Named,
    proof: &Proof,
) -> Result<(), Problem> {
    let mut opened = open(worker, request, call, named, proof).await;
    if let (Err(Unopened::Rejected), Proof::Held(used)) = (&opened, proof) {
        let rejected = Some(used.generation);
        let fresh = credential::obtain(&worker.state, &call.route, None, rejected).await;
        let fresh = fresh.map_err(|error| {
            let now = worker.state.clock.now();
            Problem::of_credential(call.route.account(), &error, now)
        })?;
        named.look_again();
        opened = open(worker, request, call, named, &Proof::Held(fresh)).await;
    }
    match opened {
        Ok(()) => Ok(()),
        Err(Unopened::Unreachable(error)) => {
            Err(transport_problem(&call.route, call.max_body, error))
        }
        Err(Unopened::Rejected) => Err(problem(call, Code::UpstreamRejected)
            .with("detail", "it rejects the handshake of this session")),
        Err(Unopened::Left | Unopened::Refused) => Err(problem(call, Code::UpstreamUnreachable)
            .because("it does not open a session for this agent now")),
    }
}

/// Whether a request that got `response` is to be sent once more: the upstream has lost the
/// session, the request was not carried out, and the session is there again.
pub(super) async fn repaired(
    worker: &Worker,
    request: &HttpRequest,
    call: &Call,
    named: &mut Named,
    proof: &Proof,
    body: &Outbound,
    response: &mut Response<ResponseBody>,
) -> bool {
    let status = response.status().as_u16();
    let asked = match *request.method() {
        Method::GET => LossOf::Stream,
        Method::DELETE => return false,
        _ => LossOf::Message,
    };
    if !is_suspicious(status) || named.session.hello.is_none() || !body.is_kept() {
        return false;
    }
    let coding = Coding::of(response.headers());
    let looked = Box::pin(timeout(LOOK, response.body_mut().look(LONGEST_ANSWER))).await;
    let looked = looked.ok().flatten().zip(coding);
    let said = looked.and_then(|(body, coding)| coding.read(body, LONGEST_ANSWER));
    if !is_lost(asked, status, said.as_deref()) {
        // The event that a stream is to go on from may be one of before the session was lost.
        let resumed = request.headers().contains_key(LAST_EVENT.as_str());
        return asked == LossOf::Stream && status != 503 && resumed && named.is_renamed();
    }
    Box::pin(renew(worker, request, call, named, proof)).await
}

/// Opens the session anew, unless that was done already or makes no sense.
async fn renew(
    worker: &Worker,
    request: &HttpRequest,
    call: &Call,
    named: &mut Named,
    proof: &Proof,
) -> bool {
    open(worker, request, call, named, proof).await.is_ok()
}

/// Why a session was not opened.
pub(super) enum Unopened {
    /// It was not tried.
    Left,
    /// The upstream wants another credential.
    Rejected,
    /// It cannot be reached.
    Unreachable(ForwardError),
    /// It does not open one like it.
    Refused,
}

/// Opens a session anew, or for the first time.
pub(super) async fn open(
    worker: &Worker,
    request: &HttpRequest,
    call: &Call,
    named: &mut Named,
    proof: &Proof,
) -> Result<(), Unopened> {
    let Some(hello) = named.session.hello.clone() else {
        return Err(Unopened::Left);
    };
    let session = std::sync::Arc::clone(&named.session);
    let mut turn = session.turn().await;
    let present = session.seen(&session.life());
    let now = worker.state.clock.now();
    let course = if session.is_waiting() {
        Attempts::first(named.seen, present)
    } else {
        turn.course(named.seen, present, now)
    };
    match course {
        Course::Leave => return Err(Unopened::Left),
        Course::Repeat => {}
        Course::Open => {
            let upstream = call.route.account();
            let tools = Tools {
                worker,
                request,
                call,
                proof,
            };
            let opened = timeout(HANDSHAKE, tools.open(hello, session.stood_in)).await;
            let opened = opened.unwrap_or(Err(Unopened::Unreachable(ForwardError::TimedOut)));
            let opened = match opened {
                Ok(opened) => opened,
                Err(why) => {
                    if !session.is_waiting() {
                        warn!(%upstream, "an MCP session was lost and could not be opened anew");
                    }
                    session.fail(&turn);
                    return Err(why);
                }
            };
            let until = Instant::now() + SUBSCRIPTIONS;
            for message in session.resubscribe() {
                let asking = tools.ask(message.into(), Some(&opened), Connection::Any);
                match timeout_at(until, asking).await {
                    Ok(Ok(answer)) => drain(answer).await,
                    Ok(Err(_)) => {}
                    Err(_) => break,
                }
            }
            let how = if session.is_waiting() {
                "at last"
            } else {
                call.spared(Spared::Loss, now);
                "anew"
            };
            session.begin(&turn, opened.id, Some(opened.revision), epoch(proof));
            worker.state.ledger.mcp().touch(named.key);
            info!(%upstream, "an MCP session was opened {how}");
        }
    }
    drop(turn);
    named.look_again();
    Ok(())
}

/// A session as it was opened.
struct Begun {
    id: Option<HeaderValue>,
    revision: HeaderValue,
}

/// With what own requests are made: in all but their message they are the agent's.
struct Tools<'a> {
    worker: &'a Worker,
    request: &'a HttpRequest,
    call: &'a Call,
    proof: &'a Proof,
}

impl Tools<'_> {
    /// Shakes hands; in any revision where the agent was told one before the server was asked.
    async fn open(&self, hello: Bytes, any_revision: bool) -> Result<Begun, Unopened> {
        let away = Unopened::Unreachable;
        // Connections that served the lost session may be as dead as it is.
        let mut answer = self.ask(hello, None, Connection::New).await.map_err(away)?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED => return Err(Unopened::Rejected),
            _ => return Err(Unopened::Refused),
        }
        let Some(Welcome::Revision(revision)) = welcome(&mut answer).await else {
            return Err(Unopened::Refused);
        };
        // The agent goes on in the revision of its own handshake.
        let spoken = self.request.headers().get(REVISION.as_str());
        let other = |spoken: &LocalValue| spoken.as_bytes() != revision.as_bytes();
        if !any_revision && spoken.is_some_and(other) {
            return Err(Unopened::Refused);
        }
        let begun = Begun {
            id: answer.headers().get(&SESSION).cloned(),
            revision: HeaderValue::from_str(&revision).map_err(|_| Unopened::Refused)?,
        };
        drain(answer).await;
        let initialized = Bytes::from_static(INITIALIZED.as_bytes());
        let asking = self.ask(initialized, Some(&begun), Connection::Any);
        let answer = asking.await.map_err(away)?;
        let agreed = answer.status().is_success();
        drain(answer).await;
        if agreed {
            Ok(begun)
        } else {
            Err(Unopened::Refused)
        }
    }

    /// Sends a message, in the session where there is one; once more where only the server's nonce
    /// was lacking, as the request before it may have had the one of before (RFC 9449 §9).
    async fn ask(
        &self,
        message: Bytes,
        session: Option<&Begun>,
        connection: Connection,
    ) -> Result<Response<ResponseBody>, ForwardError> {
        let answer = self.send(message.clone(), session, connection).await?;
        let from = &self.call.route.peer.origin;
        let bound = match self.proof {
            Proof::Held(held) => held.bound.as_ref(),
            Proof::Nothing | Proof::Agents(_) => None,
        };
        let (status, fields) = (answer.status(), answer.headers());
        if !bound.is_some_and(|bound| possession::is_worth_another(bound, from, status, fields)) {
            return Ok(answer);
        }
        drain(answer).await;
        self.send(message, session, Connection::Any).await
    }

    async fn send(
        &self,
        message: Bytes,
        session: Option<&Begun>,
        connection: Connection,
    ) -> Result<Response<ResponseBody>, ForwardError> {
        let name = Name::Other {
            id: session.and_then(|begun| begun.id.clone()),
            revision: None,
        };
        let body = RequestBody::whole(message);
        let mut request = outgoing(
            self.worker,
            self.request,
            self.call,
            self.proof,
            &name,
            body,
        );
        *request.method_mut() = http::Method::POST;
        let fields = request.headers_mut();
        fields.insert(ACCEPT, BOTH);
        // We read it ourselves.
        fields.insert(ACCEPT_ENCODING, PLAIN);
        fields.insert(CONTENT_TYPE, JSON);
        fields.remove(LAST_EVENT);
        match session {
            Some(begun) => fields.insert(REVISION, begun.revision.clone()),
            None => fields.remove(REVISION),
        };
        let sent = transport::Call {
            peer: &self.call.route.peer,
            request,
            limits: self.call.route.spec.limits,
            connection,
        };
        self.worker.transport.send(sent).await
    }
}

/// Reads what the server says to a handshake, and no further.
async fn welcome(answer: &mut Response<ResponseBody>) -> Option<Welcome> {
    let events = is_event_stream(answer.headers());
    let mut read = Vec::new();
    while let Some(chunk) = answer.body_mut().next().await {
        read.extend_from_slice(&chunk.ok()?);
        if read.len() > LONGEST_WELCOME {
            return None;
        }
        if events && let Some(welcome) = Welcome::of_events(&read) {
            return Some(welcome);
        }
    }
    if events {
        None
    } else {
        Welcome::of_json(&read)
    }
}
