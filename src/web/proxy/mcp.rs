//! The MCP session that a request names: whose it is, and when a new one begins. A request that
//! names none passes by with one look at its fields.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::{Method, header as local};
use http::{HeaderName, Response};

use super::Worker;
use super::admit::Call;
use super::request::Proof;
use super::trouble::problem;
use crate::ledger::{McpKey, McpSession};
use crate::model::catalogue::{Code, Problem};
use crate::model::id::SessionId;
use crate::model::mcp::{Epoch, Likeness};
use crate::transport::ResponseBody;

const ASKED: local::HeaderName = local::HeaderName::from_static("mcp-session-id");
const TOLD: HeaderName = HeaderName::from_static("mcp-session-id");

/// The MCP sessions that a request names: one, but for requests that are up to something.
#[derive(Default)]
pub(super) struct Named(Vec<(McpKey, Arc<McpSession>)>);

impl Named {
    /// Looks them up. What another agent session opened is not there for this one
    /// (MCP 2025-11-25, security best practices, Session Hijacking); what is not known, because
    /// it was opened before a restart or long ago, is for the upstream to judge.
    pub(super) fn of(worker: &Worker, request: &HttpRequest, call: &Call) -> Result<Self, Problem> {
        let fields = request.headers();
        if !fields.contains_key(&ASKED) {
            return Ok(Self::default());
        }
        let mut named = Vec::new();
        for id in fields.get_all(&ASKED) {
            let key = McpKey::of(call.route.account(), id.as_bytes());
            let Some(session) = worker.state.ledger.mcp().find(&key) else {
                continue;
            };
            if !session.opened.admits(agent(call)) {
                return Err(problem(call, Code::McpSession));
            }
            named.push((key, session));
        }
        Ok(Self(named))
    }

    /// Whether the upstream may be told of them beside `proof`: not when they were opened for
    /// somebody else than the one who is signed in now.
    pub(super) fn fits(&self, call: &Call, proof: &Proof) -> Result<(), Problem> {
        let now = epoch(proof);
        let other =
            |(_, session): &(_, Arc<McpSession>)| session.opened.compare(now) == Likeness::Other;
        if self.0.iter().any(other) {
            return Err(problem(call, Code::McpSession));
        }
        Ok(())
    }
}

/// Takes note of an answer that opens a session or ends one.
pub(super) fn note(
    worker: &Worker,
    request: &HttpRequest,
    call: &Call,
    named: &Named,
    proof: &Proof,
    response: &Response<ResponseBody>,
) {
    let status = response.status();
    if *request.method() == Method::DELETE {
        // Gone is gone, whoever ended it.
        if status.is_success() || status == http::StatusCode::NOT_FOUND {
            for (key, _) in &named.0 {
                worker.state.ledger.mcp().close(key);
            }
        }
        return;
    }
    let Some(id) = response.headers().get(&TOLD) else {
        return;
    };
    // Servers repeat the id on every answer.
    let asked = request.headers().get(&ASKED);
    if !status.is_success() || asked.is_some_and(|asked| asked.as_bytes() == id.as_bytes()) {
        return;
    }
    let key = McpKey::of(call.route.account(), id.as_bytes());
    worker
        .state
        .ledger
        .mcp()
        .open(key, agent(call), epoch(proof));
}

fn agent(call: &Call) -> Option<SessionId> {
    call.session.as_ref().map(|session| session.id())
}

fn epoch(proof: &Proof) -> Option<Epoch> {
    match proof {
        Proof::Held(held) => Some(held.epoch),
        Proof::Nothing | Proof::Agents(_) => None,
    }
}
