//! Listening in on handshakes and lists, so that they can be answered when the server cannot be
//! asked. Of everything else no more is looked at than where its method is; what passes is passed
//! on as it is, and not copied.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::super::super::AgentState;
use super::super::super::routes::{RouteAuth, RouteEntry};
use super::super::Worker;
use super::super::admit::Call;
use super::super::answer::says_events;
use super::super::coding::Coding;
use super::super::replay::Outbound;
use crate::model::mcp::Epoch;
use crate::model::mcp::standin::{LONGEST_KEPT, Question, Topic, result_of};
use crate::transport::ResponseBody;

/// Collects an answer that is worth keeping as it passes; keeps it when it is dropped.
pub(in crate::web::proxy) struct Tap {
    state: Arc<AgentState>,
    route: Arc<RouteEntry>,
    question: Question,
    under: Option<Epoch>,
    events: bool,
    coding: Coding,
    chunks: Vec<Bytes>,
    length: usize,
}

impl Tap {
    /// For the answer to `question`, where it is a good one.
    pub(in crate::web::proxy) fn of(
        worker: &Worker,
        call: &Call,
        question: Option<Question>,
        response: &Response<ResponseBody>,
    ) -> Option<Box<Self>> {
        let question = question?;
        // Whose token an agent brings by itself is nobody's business.
        let theirs = matches!(call.route.spec.auth, RouteAuth::Passthrough { .. });
        if theirs || response.status() != StatusCode::OK {
            return None;
        }
        let fields = response.headers();
        // What is neither JSON nor events is found out when it is read.
        Some(Box::new(Self {
            state: Arc::clone(&worker.state),
            route: Arc::clone(&call.route),
            question,
            under: epoch(&call.route),
            events: says_events(fields),
            coding: Coding::of(fields)?,
            chunks: Vec::new(),
            length: 0,
        }))
    }

    /// Takes note of a chunk.
    pub(in crate::web::proxy) fn pass(&mut self, chunk: &Bytes) {
        self.length += chunk.len();
        if self.length <= LONGEST_KEPT {
            self.chunks.push(chunk.clone());
        } else {
            self.chunks.clear();
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if self.chunks.is_empty() {
            return;
        }
        let whole = self.chunks.concat();
        let plain = self.coding.read(&whole, LONGEST_KEPT);
        let result = plain.and_then(|plain| result_of(&self.question.id, &plain, self.events));
        let Some(result) = result else {
            return;
        };
        let (account, now) = (self.route.account(), self.state.clock.now());
        let memory = self.state.ledger.memory();
        memory.note(account, self.under, &self.question, result, now);
    }
}

/// The handshake or list that `body` asks for, where the agent is to be kept alive.
pub(in crate::web::proxy) fn question(call: &Call, body: &Outbound) -> Option<Question> {
    let kept = call.route.spec.keeps_alive();
    kept.then(|| Question::of(body.bytes())).flatten()
}

/// Whether it is what an agent begins with.
pub(in crate::web::proxy) fn is_first(question: Option<&Question>) -> bool {
    question.is_some_and(|one| matches!(one.topic, Topic::Hello | Topic::Discover))
}

/// Whose answers those of an upstream are.
pub(super) fn epoch(route: &RouteEntry) -> Option<Epoch> {
    (route.spec.auth == RouteAuth::Injected).then(|| route.slot.epoch())
}
