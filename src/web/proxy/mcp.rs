//! The MCP session that a request names: whose it is, what it is called upstream, and when one
//! begins or ends. A request that names none passes by with one look at its fields.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::{Method, header as local};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::Worker;
use super::admit::Call;
use super::replay::Outbound;
use super::request::Proof;
use super::trouble::problem;
use crate::ledger::{Life, McpKey, McpSession, News};
use crate::model::catalogue::{Code, Problem};
use crate::model::mcp::{Change, Epoch, Likeness, Seen, is_hello};
use crate::transport::ResponseBody;

pub(super) const ASKED: local::HeaderName = local::HeaderName::from_static("mcp-session-id");
/// The field that names a session.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// The MCP session that a request names, where its opening was seen.
pub(super) struct Named {
    pub(super) key: McpKey,
    pub(super) session: Arc<McpSession>,
    pub(super) life: Arc<Life>,
    pub(super) seen: Seen,
}

impl Named {
    /// Looks it up. What another agent session opened is not there for this one (MCP 2025-11-25,
    /// security best practices, Session Hijacking); what is not known, because it was opened
    /// before a restart or long ago, is for the upstream to judge.
    pub(super) fn of(
        worker: &Worker,
        request: &HttpRequest,
        call: &Call,
    ) -> Result<Option<Self>, Problem> {
        let mut ids = request.headers().get_all(&ASKED);
        let Some(id) = ids.next() else {
            return Ok(None);
        };
        if ids.next().is_some() {
            // Which of them counts is anybody's guess (RFC 9110 §5.3).
            return Err(Problem::new(Code::BadRequest).with("detail", "Mcp-Session-Id, twice"));
        }
        let key = McpKey::of(call.route.account(), id.as_bytes());
        let Some(session) = worker.state.ledger.mcp().find(&key) else {
            return Ok(None);
        };
        let life = session.life();
        if !life.opened.admits(call.who()) {
            return Err(problem(call, Code::McpSession));
        }
        Ok(Some(Self {
            key,
            seen: session.seen(&life),
            session,
            life,
        }))
    }

    /// How whoever `proof` is of compares with the one it was opened for.
    pub(super) fn compare(&self, proof: &Proof) -> Likeness {
        self.life.opened.compare(epoch(proof))
    }

    /// Whether the upstream calls it otherwise than the agent.
    pub(super) fn is_renamed(&self) -> bool {
        self.life.number > 0
    }

    /// Looks again what it is called.
    pub(super) fn look_again(&mut self) {
        self.life = self.session.life();
        self.seen = self.session.seen(&self.life);
    }
}

/// Takes note of an answer that opens a session, ends one, or changes what has to be made again
/// with it; and gives the session the name that the agent knows.
pub(super) fn note(
    worker: &Worker,
    request: &HttpRequest,
    call: &Call,
    named: Option<&Named>,
    proof: &Proof,
    body: &Outbound,
    response: &mut Response<ResponseBody>,
) {
    let status = response.status();
    let sessions = worker.state.ledger.mcp();
    if *request.method() == Method::DELETE {
        // Gone is gone, whoever ended it.
        if let Some(named) = named
            && (status.is_success() || status == StatusCode::NOT_FOUND)
        {
            sessions.close(&named.key);
        }
        return;
    }
    if let Some(named) = named
        && status.is_success()
        && let Some(change) = Change::of(body.bytes())
    {
        named.session.subscribe(change);
        sessions.touch(named.key);
    }
    let Some(id) = response.headers().get(&SESSION) else {
        return;
    };
    // Servers repeat the id on every answer.
    let sent = named.and_then(|named| named.life.id.as_ref());
    if sent == Some(id) {
        if let Some(named) = named.filter(|named| named.is_renamed()) {
            let told = named.session.told.clone();
            response.headers_mut().insert(SESSION, told);
        }
        return;
    }
    let asked = request.headers().get(&ASKED);
    if !status.is_success() || asked.is_some_and(|asked| asked.as_bytes() == id.as_bytes()) {
        return;
    }
    let hello = Some(body.bytes()).filter(|body| is_hello(body));
    let news = News {
        by: call.who(),
        under: epoch(proof),
        // A copy: what was read may be a part of something larger.
        hello: hello.map(Bytes::copy_from_slice),
    };
    sessions.open(call.route.account(), id, news);
}

/// Whose credential a request carries.
pub(super) fn epoch(proof: &Proof) -> Option<Epoch> {
    match proof {
        Proof::Held(held) => Some(held.epoch),
        Proof::Nothing | Proof::Agents(_) => None,
    }
}

/// What the upstream is to be told of the session that a request names.
pub(super) enum Name {
    /// What the agent wrote.
    AsWritten,
    /// Something else, or nothing.
    Other {
        id: Option<HeaderValue>,
        /// The revision in the place of the one that the agent was told.
        revision: Option<HeaderValue>,
    },
}

impl Name {
    /// What a request that names `named` tells.
    pub(super) fn of(named: Option<&Named>) -> Self {
        match named.filter(|named| named.is_renamed()) {
            None => Self::AsWritten,
            Some(named) => Self::Other {
                id: named.life.id.clone(),
                revision: named.life.revision.clone(),
            },
        }
    }
}
