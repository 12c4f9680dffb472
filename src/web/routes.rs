//! One upstream account in the form that requests use: with everything about it that can be worked
//! out beforehand, and what is counted while requests run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::places::{Places, Room};
use crate::egress::Egress;
use crate::ledger::{Ledger, Published, Slot};
use crate::model::id::AccountRef;
use crate::model::route::{BadBase, Base};
use crate::transport::{Limits, Peer, TlsTrust};

/// Calls that may wait for a place at one upstream account, and as many for its credential: as
/// many as its token manager answers at once.
const MOST_WAITING: usize = crate::model::refresh::MAX_WAITERS;
/// Bytes of request bodies that may be kept for one upstream account at a time.
const BODY_BUDGET: usize = 64 << 20;

/// Where the credential of forwarded requests comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteAuth {
    /// The daemon puts it in.
    Injected,
    /// There is none.
    None,
    /// The agent sends it, beside its local credential in `Doorward-Session`.
    Passthrough {
        /// How long after its `exp` a token still passes; `None` leaves `exp` alone.
        skew: Option<Duration>,
    },
}

/// What becomes of the agent's `User-Agent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentName {
    /// Our name is added behind it.
    Append,
    /// It is sent as it came.
    Forward,
    /// Our name is sent in its place.
    Replace,
}

/// How agents are told that a person must sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInTold {
    /// In the shape of the message (decision D10).
    Shaped,
    /// By 401, for programs that are known not to start a sign-in of their own.
    Unauthorized,
    /// In the shape of the message, or by the link where the program says that it can open one.
    Elicited,
}

/// Whether an agent's session outlives that its server cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// Handshakes and lists are answered in the place of the server.
    Auto,
    /// Trouble is told as it is.
    Off,
}

/// Which transport of MCP its server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Streamable HTTP, of 2025-03-26 and later.
    Streamable,
    /// HTTP+SSE, of 2024-11-05: answers come on a stream that tells where to post.
    Sse,
}

/// One upstream account as configured.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// Whose credential is used.
    pub account: AccountRef,
    /// Path segments under `/u/` that lead here.
    pub segments: Vec<String>,
    /// The upstream's URL as written.
    pub url: String,
    /// Whether paths below the endpoint are reached.
    pub allow_subpaths: bool,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Where the credential comes from.
    pub auth: RouteAuth,
    /// The field that carries it.
    pub header: HeaderName,
    /// Fields that are set on every request.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// What becomes of the agent's `User-Agent`.
    pub agent_name: AgentName,
    /// Whether requests carry `Via`.
    pub via: bool,
    /// What TLS connections trust.
    pub trust: TlsTrust,
    /// The way to the server.
    pub egress: Egress,
    /// How agents are told that a person must sign in.
    pub sign_in: SignInTold,
    /// How long things may take.
    pub limits: Limits,
    /// After how much silence an agent gets a comment on an event stream: clients and boxes on
    /// the way give up on streams that are silent for a minute (decision D11).
    pub comment_after: Duration,
    /// How long the body of an answer may pause; `None` for as long as it likes. Event streams
    /// always may.
    pub idle_timeout: Option<Duration>,
    /// Calls at once, event streams not counted.
    pub max_concurrency: usize,
    /// How long a call beyond those waits for its turn. Agents come in bursts, above all when
    /// a token has ended, and none of them repeats a call that was refused.
    pub queue_timeout: Duration,
    /// How long a call waits for a person to sign in.
    pub hold: Duration,
    /// What becomes of sessions while it cannot be asked.
    pub keep_alive: KeepAlive,
    /// Which transport its server speaks.
    pub dialect: Dialect,
    /// Whether it is asked in HTTP/2 where its TLS server can.
    pub http2: bool,
}

impl RouteSpec {
    /// Whether agents are answered while its server cannot be asked.
    pub fn keeps_alive(&self) -> bool {
        // Answers of the older transport come on its stream, where nothing can be put in.
        let answers = self.dialect == Dialect::Streamable;
        answers && self.keep_alive == KeepAlive::Auto && self.sign_in != SignInTold::Unauthorized
    }

    /// An account under its own name, with the defaults.
    pub fn new(account: AccountRef, url: impl Into<String>, trust: TlsTrust) -> Self {
        Self {
            segments: vec![account.to_string()],
            account,
            url: url.into(),
            allow_subpaths: false,
            enabled: true,
            auth: RouteAuth::Injected,
            header: http::header::AUTHORIZATION,
            fields: Vec::new(),
            agent_name: AgentName::Forward,
            via: true,
            trust,
            egress: Egress::direct(),
            sign_in: SignInTold::Shaped,
            limits: Limits::default(),
            comment_after: Duration::from_secs(15),
            idle_timeout: None,
            max_concurrency: 64,
            queue_timeout: Duration::from_secs(10),
            hold: Duration::from_secs(45),
            keep_alive: KeepAlive::Auto,
            dialect: Dialect::Streamable,
            http2: false,
        }
    }
}

/// One upstream account, ready to be forwarded to.
pub struct RouteEntry {
    /// What was configured.
    pub spec: RouteSpec,
    /// Its URL.
    pub base: Base,
    /// Its server.
    pub peer: Arc<Peer>,
    /// The same as grants name it.
    resource: String,
    /// `Host` of its server.
    pub host: HeaderValue,
    /// Where its credential is published.
    pub slot: Arc<Slot>,
    /// Places for calls that run.
    pub places: Arc<Places>,
    /// Calls that wait for a credential.
    pub room: Arc<Room>,
    /// Bytes of request bodies that are kept.
    kept: AtomicUsize,
}

impl RouteEntry {
    pub(super) fn new(spec: RouteSpec, ledger: &Ledger) -> Result<Self, BadBase> {
        let base = Base::new(&spec.url)?;
        let host = HeaderValue::from_str(&base.origin().authority).map_err(|_| BadBase::Host)?;
        let peer = Arc::new(Peer {
            origin: Arc::clone(base.origin()),
            trust: if spec.http2 {
                spec.trust.offering_http2()
            } else {
                spec.trust.clone()
            },
            egress: spec.egress.clone(),
        });
        let resource = Url::parse(&spec.url).map_err(|_| BadBase::Host)?.into();
        Ok(Self {
            peer,
            resource,
            slot: ledger.slot(&spec.account),
            base,
            host,
            places: Places::new(spec.max_concurrency, MOST_WAITING),
            room: Room::new(MOST_WAITING),
            spec,
            kept: AtomicUsize::new(0),
        })
    }

    /// Whose credential is used.
    pub fn account(&self) -> &AccountRef {
        &self.spec.account
    }

    /// Whether `held` may be sent here. A slot is one account's, and an account's URL can change
    /// while its credential is on the way.
    pub fn takes(&self, held: &Published) -> bool {
        let needs_one = self.spec.auth == RouteAuth::Injected;
        held.is_for(&self.resource) && (held.header.is_some() || !needs_one)
    }

    /// Room to keep a request body of `size`, if there is any.
    pub fn keep(self: &Arc<Self>, size: usize) -> Option<Kept> {
        let before = self.kept.fetch_add(size, Ordering::Relaxed);
        let kept = Kept(Arc::clone(self), size);
        (before.saturating_add(size) <= BODY_BUDGET).then_some(kept)
    }
}

/// Room for a request body; free again when dropped.
pub struct Kept(Arc<RouteEntry>, usize);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.kept.fetch_sub(self.1, Ordering::Relaxed);
    }
}
