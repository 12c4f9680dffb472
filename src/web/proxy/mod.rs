//! A proxied call: admitted ([`admit`]), given a credential ([`credential`]), sent and, after a
//! definite 401, sent once more ([`forward`]), and answered chunk by chunk ([`body`]).
//!
//! While the session lives and the credential is fresh, no message goes to any actor.

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{HttpRequest, HttpResponse};

use super::AgentState;
use super::respond;
use crate::model::catalogue::{Code, Problem};
use crate::transport::HyperTransport;

mod admit;
mod body;
mod challenge;
mod credential;
mod forward;
pub(super) mod message;
mod passthrough;
mod replay;
mod sse;

/// What one server thread has of its own.
pub struct Worker {
    /// What it shares with the others.
    pub state: Arc<AgentState>,
    /// Its connections to upstreams.
    pub transport: HyperTransport,
}

/// Answers one request.
pub(super) async fn handle(
    worker: &Worker,
    request: &HttpRequest,
    payload: Payload,
) -> HttpResponse {
    let state = &worker.state;
    let id = state.request_id();
    let call = match admit::admit(state, request, id) {
        Ok(call) => call,
        Err(response) => return *response,
    };
    let session = call.session.clone();
    let ended = session.as_ref().map(|cell| cell.ended().clone());
    let work = forward::forward(worker, request, payload, call);
    let cut = async {
        match &ended {
            Some(ended) => ended.cancelled().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        response = work => response,
        () = cut => {
            let cell = session.expect("only a session is cut");
            let problem = admit::ended(&cell, state.clock.now());
            respond::unauthorized(&problem, id)
        }
        () = state.stop.over.cancelled() => {
            respond::rpc(&Problem::new(Code::Stopping), &message::Asked::Unknown, id)
        }
    }
}
