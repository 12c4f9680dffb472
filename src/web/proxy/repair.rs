//! Opening an MCP session anew: what the agent said in its own handshake is said again, what it
//! subscribed to is subscribed to again, and the agent goes on with the id it knows.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::Method;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use super::Worker;
use super::admit::Call;
use super::forward::{drain, is_event_stream};
use super::mcp::{Name, Named, SESSION, epoch};
use super::replay::Outbound;
use super::request::{Proof, outgoing};
use super::trouble::problem;
use crate::model::catalogue::{Code, Problem};
use crate::model::mcp::{
    Course, INITIALIZED, LONGEST_ANSWER, LONGEST_WELCOME, Likeness, LossOf, Welcome, is_lost,
    is_suspicious,
};
use crate::transport::{self, Connection, RequestBody, ResponseBody, UpstreamTransport};

/// How long a whole handshake may take: less than agents wait for one call.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// How long subscriptions may take after that; those that take longer are given up.
const SUBSCRIPTIONS: Duration = Duration::from_secs(5);
/// How long the reason of a refusal may take.
const LOOK: Duration = Duration::from_secs(1);

const REVISION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The field that resumes a stream.
pub(super) const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
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
    let clear = !response.headers().contains_key(CONTENT_ENCODING);
    let looked = Box::pin(timeout(LOOK, response.body_mut().look(LONGEST_ANSWER))).await;
    let said = looked.ok().flatten().filter(|_| clear);
    if !is_lost(asked, status, said) {
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
    let Some(hello) = named.session.hello.clone() else {
        return false;
    };
    let session = std::sync::Arc::clone(&named.session);
    let mut turn = session.turn().await;
    let present = session.seen(&session.life());
    let now = worker.state.clock.now();
    match turn.course(named.seen, present, now) {
        Course::Leave => return false,
        Course::Repeat => {}
        Course::Open => {
            let upstream = call.route.account();
            let tools = Tools {
                worker,
                request,
                call,
                proof,
            };
            let opened = timeout(HANDSHAKE, tools.open(hello)).await.ok().flatten();
            let Some(opened) = opened else {
                warn!(%upstream, "an MCP session was lost and could not be opened anew");
                session.fail(&turn);
                return false;
            };
            let until = Instant::now() + SUBSCRIPTIONS;
            for message in session.resubscribe() {
                let asking = tools.ask(message.into(), Some(&opened), Connection::Any);
                match timeout_at(until, asking).await {
                    Ok(Some(answer)) => drain(answer).await,
                    Ok(None) => {}
                    Err(_) => break,
                }
            }
            session.begin(&turn, opened.id, epoch(proof));
            info!(%upstream, "an MCP session was opened anew");
        }
    }
    drop(turn);
    named.look_again();
    true
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
    /// Shakes hands.
    async fn open(&self, hello: Bytes) -> Option<Begun> {
        // Connections that served the lost session may be as dead as it is.
        let mut answer = self.ask(hello, None, Connection::New).await?;
        if !answer.status().is_success() {
            return None;
        }
        let Welcome::Revision(revision) = welcome(&mut answer).await? else {
            return None;
        };
        // The agent goes on in the revision of its own handshake.
        let spoken = self.request.headers().get(REVISION.as_str());
        if spoken.is_some_and(|spoken| spoken.as_bytes() != revision.as_bytes()) {
            return None;
        }
        let begun = Begun {
            id: answer.headers().get(&SESSION).cloned(),
            revision: HeaderValue::from_str(&revision).ok()?,
        };
        drain(answer).await;
        let initialized = Bytes::from_static(INITIALIZED.as_bytes());
        let answer = self.ask(initialized, Some(&begun), Connection::Any).await?;
        let agreed = answer.status().is_success();
        drain(answer).await;
        agreed.then_some(begun)
    }

    /// Sends a message, in the session where there is one.
    async fn ask(
        &self,
        message: Bytes,
        session: Option<&Begun>,
        connection: Connection,
    ) -> Option<Response<ResponseBody>> {
        let name = Name::Other(session.and_then(|begun| begun.id.clone()));
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
        self.worker.transport.send(sent).await.ok()
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
