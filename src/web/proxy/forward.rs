//! Sending a request on, with all that may have to be waited for or made good before an answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use http::{HeaderValue, Response, StatusCode};
use tokio::time::timeout;
use tracing::debug;

use super::super::places::Running;
use super::super::routes::{RouteAuth, SignInTold};
use super::admit::Call;
use super::answer::{Answered, answer, fail, refuse};
use super::mcp::{self, Name, Named};
use super::message::{Asked, Kind};
use super::repair::{self, LAST_EVENT};
use super::replay::Outbound;
use super::request::{Proof, outgoing};
use super::resume::Resume;
use super::standin::Tap;
use super::stretch::{self, Stretch};
use super::trouble::{Trouble, no_body, no_credential, problem, transport_trouble, unrepeatable};
use super::{Worker, challenge, credential, legacy, passthrough, possession, standin, step_up};
use crate::ledger::Published;
use crate::model::catalogue::{Code, Problem, ago};
use crate::model::fault::CredentialError;
use crate::model::id::Generation;
use crate::model::passage::{Came, Next, Passage};
use crate::transport::{
    self, Break, Connection, ForwardError, RequestBody, ResponseBody, UpstreamTransport,
};

/// How long a handshake waits for its turn, beside the time that it may wait for a credential.
const HANDSHAKE_TURN: Duration = Duration::from_secs(2);
/// The longest body of a refused answer that is read so that its connection can be used again.
const SMALL: u64 = 64 << 10;
/// How long that may take.
const DRAIN: Duration = Duration::from_secs(1);

/// Forwards an admitted call.
pub(super) async fn forward(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    payload: Payload,
    mut call: Call,
) -> HttpResponse {
    let session = call.session.as_ref();
    let taken = Outbound::of(request, payload, &call.route, session, call.max_body).await;
    let mut body = match taken {
        Ok(body) => body,
        Err(why) => return fail(&call, &no_body(why, call.max_body), &Asked::Unknown),
    };
    if call.route.spec.sign_in == SignInTold::Elicited && call.route.slot.load().is_some() {
        body.hide_answer();
    }
    if standin::is_ours(request) {
        match Box::pin(standin::first(worker, request, call, &mut body)).await {
            Ok(answer) => return answer,
            Err(same) => call = same,
        }
    }
    let question = standin::question(&call, &body);
    let exchanged = if standin::is_first(question.as_ref()) {
        // The shortest patience that agents have with a handshake is ten seconds.
        let exchanging = exchange(worker, request, &mut call, &mut body);
        let exchanged = timeout(credential::HANDSHAKE_HOLD, Box::pin(exchanging)).await;
        exchanged.unwrap_or_else(|_| Err(too_slow(&call).into()))
    } else {
        exchange(worker, request, &mut call, &mut body).await
    };
    match exchanged {
        Ok(answered) if standin::is_outage(&call, &answered.response) => {
            match standin::outage(worker, request, call, body, &answered.response) {
                Ok(answer) => answer,
                Err(call) => answer(worker, request, *call, answered, None),
            }
        }
        Ok(answered) if legacy::begins(request, &call, &answered.response) => {
            Box::pin(legacy::open(worker, request, call, answered)).await
        }
        Ok(answered) => {
            if let Some(one) = standin::subscription(&call, &body, &answered) {
                return standin::subscribed(worker, request, call, body, &one, answered);
            }
            let tap = Tap::of(worker, &call, question, &answered.response);
            answer(worker, request, call, answered, tap)
        }
        Err(trouble) => Box::pin(standin::take_over(worker, request, call, body, trouble)).await,
    }
}

/// A handshake that takes longer than agents wait for one.
fn too_slow(call: &Call) -> Problem {
    let patience = humantime::format_duration(credential::HANDSHAKE_HOLD);
    problem(call, Code::UpstreamTimeout).with("timeout", patience)
}

/// Forwards a call that has waited here; trouble is told as it is.
pub(super) async fn again(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    mut call: Call,
    mut body: Outbound,
) -> HttpResponse {
    if call.route.spec.sign_in == SignInTold::Elicited {
        body.hide_answer();
    }
    match exchange(worker, request, &mut call, &mut body).await {
        Ok(answered) => answer(worker, request, call, answered, None),
        Err(trouble) => refuse(&call, trouble, &Asked::of(body.bytes())),
    }
}

/// Brings about what a request needs: a credential, and the session that it names.
pub(super) async fn ready(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    call: &mut Call,
    body: &mut Outbound,
    named: &mut Option<Named>,
) -> Result<(), Trouble> {
    let proof = proof(worker, request, call, body).await?;
    repair::prepare(worker, request, call, named, &proof).await?;
    Ok(())
}

/// Brings about an answer: the credential, the session, and what has to be sent again.
pub(super) async fn exchange(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    call: &mut Call,
    body: &mut Outbound,
) -> Result<Answered, Trouble> {
    let mut named = Named::of(worker, request, call)?;
    let mut proof = proof(worker, request, call, body).await?;
    let at_once = begin(call);
    let has_waited = at_once.is_none();
    let mut running = turn(call, body, at_once).await?;
    if has_waited
        && matches!(proof, Proof::Held(_))
        && let Some(held) = credential::published(&worker.state, &call.route)
    {
        // The one of before may have aged while this call waited for its turn.
        proof = Proof::Held(held);
    }
    repair::prepare(worker, request, call, &mut named, &proof).await?;
    let mut passage = Passage::default();
    let mut waits_until = None;
    loop {
        let Some(content) = body.next() else {
            return Err(unrepeatable(call).into());
        };
        let name = Name::of(named.as_ref());
        let mut outgoing = outgoing(worker, request, call, &proof, &name, content);
        if passage.is_repaired() {
            // Its stream went with the session.
            outgoing.headers_mut().remove(&LAST_EVENT);
        }
        let sent = transport::Call {
            peer: &call.route.peer,
            request: outgoing,
            limits: call.route.spec.limits,
            connection: if passage.on_new_connection() {
                Connection::New
            } else {
                Connection::Any
            },
        };
        let mut response = match worker.transport.send(sent).await {
            Ok(response) => response,
            Err(error) => {
                let kept = body.is_kept();
                let came = match &error {
                    ForwardError::Broken(Break::Stale) => Came::Stale {
                        may_repeat: kept && Asked::of(body.bytes()).may_repeat(request.method()),
                    },
                    ForwardError::Broken(Break::Unprocessed) if kept => Came::Unprocessed,
                    _ => Came::Settled,
                };
                if passage.after(came) != Next::Answer {
                    debug!(upstream = %call.route.account(), ?came, "sent once more");
                    continue;
                }
                return Err(transport_trouble(call, error, worker.state.clock.now()));
            }
        };
        if !matches!(proof, Proof::Held(_)) {
            // Where a credential goes along, its look-up has noted the use.
            call.route.slot.touch(worker.state.clock.now());
        }
        call.route.slot.answered();
        if let Proof::Held(used) = &proof
            && let Some(bound) = &used.bound
            && possession::is_worth_another(
                bound,
                &call.route.peer.origin,
                response.status(),
                response.headers(),
            )
            && body.is_kept()
            && passage.after(Came::NonceWanted) == Next::Again
        {
            Box::pin(drain(response)).await;
            continue;
        }
        if let Proof::Held(used) = &proof {
            if response.status() == StatusCode::UNAUTHORIZED {
                let reason = challenge::parameter(response.headers(), "error")
                    .unwrap_or_else(|| "it gave no reason".to_owned());
                Box::pin(drain(response)).await;
                if passage.after(Came::Rejected) == Next::GiveUp {
                    call.route.slot.mark_vain(used.generation);
                    return Err(problem(call, Code::UpstreamRejected)
                        .with("detail", reason)
                        .into());
                }
                let rejected = Some(used.generation);
                // Who waits for a person must not keep others from finding out that they have to.
                drop(running);
                proof = Proof::Held(Box::pin(obtain(worker, call, body, rejected)).await?);
                running = turn(call, body, begin(call)).await?;
                repair::prepare(worker, request, call, &mut named, &proof).await?;
                continue;
            }
            call.route.slot.mark_accepted(used.generation);
            let scopes = step_up::wanted(response.status(), response.headers());
            if let (RouteAuth::Injected, Some(scopes)) = (call.route.spec.auth, scopes) {
                Box::pin(drain(response)).await;
                drop(running);
                passage.after(Came::ScopesWanted);
                let (state, kind) = (&worker.state, Asked::of(body.bytes()).kind());
                let until = &mut waits_until;
                let more = step_up::signed_in_again(state, call, kind, used, &scopes, until);
                let more = Box::pin(call.route.room.wait(call.who(), more)).await;
                proof = Proof::Held(more.unwrap_or_else(|_| Err(step_up::needed(call, &scopes)))?);
                running = turn(call, body, begin(call)).await?;
                repair::prepare(worker, request, call, &mut named, &proof).await?;
                continue;
            }
        }
        if let (Some(named), true) = (&mut named, passage.may_repair())
            && repair::repaired(worker, request, call, named, &proof, body, &mut response).await
            && passage.after(Came::SessionLost) != Next::Answer
        {
            Box::pin(drain(response)).await;
            continue;
        }
        let known = named.as_ref();
        mcp::note(worker, request, call, known, &proof, body, &mut response);
        let stream = stretch::is_followed(request, call, &response)
            .then(|| followed(worker, request, call, body, named, &proof))
            .flatten();
        return Ok(Answered {
            response,
            running,
            stream,
        });
    }
}

/// A place among the running calls, where one is free for this one.
fn begin(call: &Call) -> Option<Running> {
    call.route.places.begin(call.who())
}

/// Follows the stream that a request is answered with.
fn followed(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    call: &Call,
    body: &Outbound,
    named: Option<Named>,
    proof: &Proof,
) -> Option<Box<Stretch>> {
    let name = Name::of(named.as_ref());
    let nothing = RequestBody::whole(bytes::Bytes::new());
    let again = outgoing(worker, request, call, proof, &name, nothing);
    let resume = Resume::new(worker, call, *again, named, proof);
    let stretch = if *request.method() == Method::GET {
        Some(Stretch::listening(resume))
    } else {
        // The revisions without sessions have nothing to go on from either.
        let resume = request
            .headers()
            .contains_key(&mcp::ASKED)
            .then_some(resume);
        Stretch::answering(call, body.bytes(), resume)
    };
    stretch.map(Box::new)
}

/// A place among the running calls: the one that was free, else one that is waited for.
async fn turn(call: &Call, body: &Outbound, free: Option<Running>) -> Result<Running, Trouble> {
    match free {
        Some(place) => Ok(place),
        // Boxed, as all that is seldom waited for: every request would carry the room for it.
        None => Box::pin(queue(call, body)).await,
    }
}

async fn queue(call: &Call, body: &Outbound) -> Result<Running, Trouble> {
    let patience = match Asked::of(body.bytes()).kind() {
        Some(Kind::Handshake) => call.turn_within.min(HANDSHAKE_TURN),
        _ => call.turn_within,
    };
    let place = call.route.places.wait(call.who(), patience).await;
    place.ok_or_else(|| {
        let max = call.route.spec.max_concurrency;
        problem(call, Code::Busy)
            .with("n", max)
            .with("max", max)
            .retry_after(Duration::from_secs(1))
            .into()
    })
}

async fn proof(
    worker: &Worker,
    request: &HttpRequest,
    call: &mut Call,
    body: &Outbound,
) -> Result<Proof, Trouble> {
    let state = &worker.state;
    match call.route.spec.auth {
        RouteAuth::None => Ok(Proof::Nothing),
        RouteAuth::Passthrough { skew } => {
            let Some(token) = passthrough::token(request.headers()) else {
                let missing = problem(call, Code::TokenMissing);
                return Err(Trouble::Unauthorized(Box::new(missing)));
            };
            let now = state.clock.now();
            if let Some(end) = skew.and_then(|skew| passthrough::expired(token, skew, now)) {
                let problem = problem(call, Code::TokenExpired).with("ago", ago(end, now));
                return Err(Trouble::Unauthorized(Box::new(problem)));
            }
            let mut value = HeaderValue::from_bytes(token)
                .map_err(|_| problem(call, Code::BadRequest).with("detail", "Authorization"))?;
            value.set_sensitive(true);
            Ok(Proof::Agents(value))
        }
        RouteAuth::Injected => {
            if let Some(held) = credential::published(state, &call.route) {
                return Ok(Proof::Held(held));
            }
            let held = Box::pin(obtain(worker, call, body, None)).await?;
            Ok(Proof::Held(held))
        }
    }
}

/// Waits for a credential other than the `rejected` one.
async fn obtain(
    worker: &Worker,
    call: &mut Call,
    body: &Outbound,
    rejected: Option<Generation>,
) -> Result<Arc<Published>, Trouble> {
    let kind = Asked::of(body.bytes()).kind();
    let obtaining = credential::obtain(&worker.state, &call.route, kind, rejected);
    let held = call.route.room.wait(call.who(), obtaining).await;
    call.has_waited();
    let held = held.unwrap_or(Err(CredentialError::Overloaded));
    held.map_err(|error| no_credential(worker, call, kind, &error))
}

/// Reads a small body to its end so that the connection stays.
pub(super) async fn drain(response: Response<ResponseBody>) {
    let mut body = response.into_body();
    if body.length().is_some_and(|length| length <= SMALL) {
        let reading = async { while let Some(Ok(_)) = body.next().await {} };
        let _ = tokio::time::timeout(DRAIN, reading).await;
    }
}
