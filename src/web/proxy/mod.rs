//! A proxied call: admitted (`admit`), given a credential (`credential`), sent and, after a
//! definite 401, sent once more (`forward`), and answered chunk by chunk (`body`).
//!
//! While the session lives and the credential is fresh, no message goes to any actor.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::{Either, select};

use super::tally::Tally;
use super::{AgentState, Stop, respond};
use crate::model::catalogue::{Code, Problem};
use crate::transport::HyperTransport;
use message::Asked;

pub(super) use ended::died;
pub(super) use trouble::transport_problem;

mod admit;
mod answer;
mod body;
mod challenge;
mod coding;
mod credential;
mod ended;
mod forward;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod heard;
mod ids;
mod legacy;
mod mcp;
pub(super) mod message;
mod names;
mod passthrough;
pub(in crate::web) mod possession;
mod repair;
mod replay;
mod request;
mod resume;
mod sse;
mod standin;
mod step_up;
mod stretch;
mod trouble;

/// What one server thread has of its own.
pub struct Worker {
    /// What it shares with the others.
    pub state: Arc<AgentState>,
    /// Cancelled with the stop of the daemon. Every request waits for it, and would contend with
    /// those of other threads for the one that is shared.
    pub stop: Stop,
    /// The requests that it is answering.
    pub(super) tally: Rc<Tally>,
    /// Its connections to upstreams.
    pub transport: HyperTransport,
}

/// Answers one request.
pub(super) async fn handle(
    worker: &Rc<Worker>,
    request: &HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let state = &worker.state;
    let id = state.request_id();
    let flight = worker.tally.begin();
    let call = match admit::admit(state, request, flight, id) {
        Ok(call) => call,
        Err(refused) => {
            if !refused.held.is_zero() {
                // Whoever hangs up does not wait, and is gone.
                tokio::time::sleep(refused.held).await;
            }
            if let Some(over) = &refused.over
                && let Some(told) = ended::told(over, request, payload, id).await
            {
                return told;
            }
            return *refused.answer;
        }
    };
    let session = call.session.clone();
    let over = &worker.stop.over;
    let stopped = async {
        match &session {
            None => over.cancelled().await,
            Some(session) => {
                let ended = std::pin::pin!(session.ended().cancelled());
                let over = std::pin::pin!(over.cancelled());
                select(ended, over).await;
            }
        }
    };
    let work = forward::forward(worker, request, payload, call);
    match select(std::pin::pin!(work), std::pin::pin!(stopped)).await {
        Either::Left((response, _)) => response,
        Either::Right(_) => match session
            .as_ref()
            .filter(|session| session.ended().is_cancelled())
        {
            Some(session) => respond::unauthorized(&ended::ended(session, state.clock.now()), id),
            None => respond::rpc(&Problem::new(Code::Stopping), &Asked::Unknown, id),
        },
    }
}
