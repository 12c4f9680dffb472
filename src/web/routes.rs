//! The configuration in the form that requests use: every upstream account under its path
//! segment, with everything about it that can be worked out beforehand.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::guard::Doors;
use crate::ledger::{Ledger, Slot};
use crate::model::id::AccountRef;
use crate::model::route::{BadBase, Base};
use crate::transport::Limits;

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
    /// How long things may take.
    pub limits: Limits,
    /// How long an answer's body may pause; `None` for as long as it likes.
    pub idle_timeout: Option<Duration>,
    /// Calls at once, event streams not counted.
    pub max_concurrency: usize,
    /// How long a call waits for a person to sign in.
    pub hold: Duration,
}

impl RouteSpec {
    /// An account under its own name, with the defaults.
    pub fn new(account: AccountRef, url: impl Into<String>) -> Self {
        Self {
            segments: vec![account.to_string()],
            account,
            url: url.into(),
            allow_subpaths: false,
            enabled: true,
            auth: RouteAuth::Injected,
            header: http::header::AUTHORIZATION,
            fields: Vec::new(),
            limits: Limits::default(),
            idle_timeout: None,
            max_concurrency: 64,
            hold: Duration::from_secs(45),
        }
    }
}

/// One upstream account, ready to be forwarded to.
pub struct RouteEntry {
    /// What was configured.
    pub spec: RouteSpec,
    /// Its URL.
    pub base: Base,
    /// `Host` of its server.
    pub host: HeaderValue,
    /// Where its credential is published.
    pub slot: Arc<Slot>,
    /// Calls that are running.
    running: AtomicUsize,
    /// Bytes of request bodies that are kept.
    kept: AtomicUsize,
}

impl RouteEntry {
    fn new(spec: RouteSpec, ledger: &Ledger) -> Result<Self, BadBase> {
        let base = Base::new(&spec.url)?;
        let host = HeaderValue::from_str(&base.origin().authority).map_err(|_| BadBase::Host)?;
        Ok(Self {
            slot: ledger.slot(&spec.account),
            base,
            host,
            spec,
            running: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
        })
    }

    /// Whose credential is used.
    pub fn account(&self) -> &AccountRef {
        &self.spec.account
    }

    /// A place among the running calls, or how many there are.
    pub fn begin(self: &Arc<Self>) -> Result<Running, usize> {
        let before = self.running.fetch_add(1, Ordering::Relaxed);
        let running = Running(Arc::clone(self));
        if before < self.spec.max_concurrency {
            Ok(running)
        } else {
            Err(before)
        }
    }

    /// Room to keep a request body of `size`, if there is any.
    pub fn keep(self: &Arc<Self>, size: usize) -> Option<Kept> {
        let before = self.kept.fetch_add(size, Ordering::Relaxed);
        let kept = Kept(Arc::clone(self), size);
        (before.saturating_add(size) <= BODY_BUDGET).then_some(kept)
    }
}

/// A running call; ends when dropped.
pub struct Running(Arc<RouteEntry>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Room for a request body; free again when dropped.
pub struct Kept(Arc<RouteEntry>, usize);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.kept.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// What is configured beside the upstreams.
#[derive(Clone, Debug)]
pub struct PlanSpec {
    /// Which addresses and pages are ours.
    pub doors: Doors,
    /// Whether every request needs a session.
    pub require_session: bool,
    /// The longest request body.
    pub max_body: u64,
    /// The segment of the upstream behind `/`, `/mcp` and whatever has no other meaning.
    pub default_segment: Option<String>,
}

/// Everything that a request is judged and routed by.
pub struct Plan {
    /// Which addresses and pages are ours.
    pub doors: Doors,
    /// Whether every request needs a session.
    pub require_session: bool,
    /// The longest request body.
    pub max_body: u64,
    routes: HashMap<String, Arc<RouteEntry>>,
    default: Option<Arc<RouteEntry>>,
}

impl Plan {
    /// Prepares `upstreams`.
    pub fn new(
        spec: PlanSpec,
        upstreams: Vec<RouteSpec>,
        ledger: &Ledger,
    ) -> Result<Self, BadBase> {
        let mut routes = HashMap::new();
        for upstream in upstreams {
            let segments = upstream.segments.clone();
            let entry = Arc::new(RouteEntry::new(upstream, ledger)?);
            for segment in segments {
                routes.insert(segment, Arc::clone(&entry));
            }
        }
        let default = spec
            .default_segment
            .and_then(|name| routes.get(&name).cloned());
        Ok(Self {
            doors: spec.doors,
            require_session: spec.require_session,
            max_body: spec.max_body,
            routes,
            default,
        })
    }

    /// The upstream account under `segment`.
    pub fn route(&self, segment: &str) -> Option<&Arc<RouteEntry>> {
        self.routes.get(segment)
    }

    /// The upstream behind the compatibility paths.
    pub fn default_route(&self) -> Option<&Arc<RouteEntry>> {
        self.default.as_ref()
    }
}
