//! The credential of one upstream account, ready to be put into a request.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use http::HeaderValue;

use super::sync::{ArcSwapOption, AtomicBool, AtomicU64, Mutex, Notified, Notify};
use crate::jose::{Prover, TokenHash};
use crate::model::catalogue::Problem;
use crate::model::id::Generation;
use crate::model::mcp::{Epoch, Identity};
use crate::model::step_up::{Refusals, StepUp};
use crate::model::time::Timestamp;
use crate::model::token::{Credential, Freshness, freshness};

/// A credential as requests use it.
pub struct Published {
    /// `Bearer ...`, marked sensitive. `None` for an upstream that needs none.
    pub header: Option<HeaderValue>,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// From when on it should be refreshed.
    pub refresh_at: Timestamp,
    /// Which one it is.
    pub generation: Generation,
    /// When somebody signed in for it; the same in all that come of one sign-in.
    pub signed_in: Timestamp,
    /// Whose it is; set by the slot.
    pub epoch: Epoch,
    /// What proves that it is ours to send, where it is bound to a key (RFC 9449).
    pub bound: Option<Bound>,
    /// The URL of the upstream that it was obtained for; `None` where nothing is known of that.
    pub upstream: Option<Arc<str>>,
}

/// What a token that is bound to a key is sent with.
#[derive(Clone, Debug)]
pub struct Bound {
    /// Makes the proof of each request.
    pub prover: Arc<Prover>,
    /// What of the token goes into it.
    pub hash: TokenHash,
}

/// A token holds bytes that no header may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the access token cannot be sent in a header")]
pub struct UnsendableToken;

impl Published {
    /// The form of `credential` that requests use.
    pub fn bearer(credential: &Credential, refresh_at: Timestamp) -> Result<Self, UnsendableToken> {
        Self::formed(credential, refresh_at, "Bearer ", "")
    }

    /// The same for an upstream that wants its credential between other words than `Bearer`.
    pub fn formed(
        credential: &Credential,
        refresh_at: Timestamp,
        before: &str,
        after: &str,
    ) -> Result<Self, UnsendableToken> {
        let text = format!("{before}{}{after}", credential.access.expose());
        let text = zeroize::Zeroizing::new(text);
        let mut header = HeaderValue::from_str(&text).map_err(|_| UnsendableToken)?;
        header.set_sensitive(true);
        Ok(Self {
            header: Some(header),
            expires: credential.expires,
            refresh_at,
            generation: credential.generation,
            signed_in: Timestamp::MIN,
            epoch: Epoch::default(),
            bound: None,
            upstream: None,
        })
    }

    /// Says that it goes out with proofs only.
    #[must_use]
    pub fn bound_by(mut self, bound: Bound) -> Self {
        self.bound = Some(bound);
        self
    }

    /// Says which upstream it was obtained for: it is sent to no other one.
    #[must_use]
    pub fn for_upstream(mut self, url: &str) -> Self {
        self.upstream = Some(url.into());
        self
    }

    /// Says which sign-in it came of.
    #[must_use]
    pub fn of_sign_in(mut self, at: Timestamp) -> Self {
        self.signed_in = at;
        self
    }

    /// Whether it may be sent to the upstream at `url`.
    pub fn is_for(&self, url: &str) -> bool {
        self.upstream.as_deref().is_none_or(|own| own == url)
    }

    /// What is published for an upstream that needs no credential.
    pub fn nothing() -> Self {
        Self {
            header: None,
            expires: None,
            refresh_at: Timestamp::MAX,
            generation: Generation::default(),
            signed_in: Timestamp::MIN,
            epoch: Epoch::default(),
            bound: None,
            upstream: None,
        }
    }

    /// Its state at `now`.
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        freshness(self.expires, self.refresh_at, now)
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published")
            .field("expires", &self.expires)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Why the last call had no answer from the upstream.
#[derive(Clone, Debug)]
pub struct Failing {
    /// What it was told.
    pub problem: Problem,
    /// When.
    pub at: Timestamp,
}

/// The place where the credential of one account is published.
#[derive(Default)]
pub struct Slot {
    current: ArcSwapOption<Published>,
    nudged: AtomicBool,
    /// Whether a person has been called for since the last credential.
    called: AtomicBool,
    accepted: AtomicU64,
    vain: AtomicU64,
    used: AtomicU64,
    /// Whether `trouble` holds anything: all that a call that goes well looks at.
    failing: AtomicBool,
    trouble: ArcSwapOption<Failing>,
    changed: Notify,
    identity: Mutex<(Epoch, Option<Identity>)>,
    refusals: Mutex<Refusals>,
}

impl Slot {
    /// The credential, if there is one.
    pub fn load(&self) -> Option<Arc<Published>> {
        self.current.load_full()
    }

    /// Publishes a credential. Only the account's token manager calls this.
    pub fn publish(&self, mut published: Published) {
        published.epoch = self.epoch();
        self.current.store(Some(Arc::new(published)));
        self.nudged.store(false, Ordering::Release);
        self.called.store(false, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Notes whom a person signed in as, before the credential of that sign-in is published. What
    /// is noted outlives a sign-out: the next sign-in may be somebody else's.
    pub fn signed_in(&self, identity: Identity) {
        let mut known = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = &known.1 {
            known.0 = known.0.after(before.compare(&identity));
        }
        known.1 = Some(identity);
    }

    /// Notes whose a sign-in is that was loaded, where nothing is known yet.
    pub fn resumed(&self, identity: Identity) {
        let mut known = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        known.1.get_or_insert(identity);
    }

    /// Which of the account's identities the next credential belongs to.
    pub fn epoch(&self) -> Epoch {
        self.identity
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// Takes the credential away.
    pub fn retract(&self) {
        self.current.store(None);
        self.changed.notify_waiters();
    }

    /// `true` for the first who sees this credential aging, so that its manager is told once.
    pub fn nudge_once(&self) -> bool {
        !self.nudged.swap(true, Ordering::AcqRel)
    }

    /// `true` for the first who misses a credential that only a person can bring, so that one is
    /// called once; until there is a credential again.
    pub fn call_once(&self) -> bool {
        !self.called.swap(true, Ordering::AcqRel)
    }

    /// Lets it be told again, after a refresh that failed.
    pub fn renudge(&self) {
        self.nudged.store(false, Ordering::Release);
    }

    /// Notes that the upstream took a token of this generation: a later rejection is then its
    /// end, not a resource that takes none.
    pub fn mark_accepted(&self, generation: Generation) {
        if self.accepted.load(Ordering::Relaxed) < generation.0 {
            self.accepted.fetch_max(generation.0, Ordering::AcqRel);
        }
    }

    /// The newest generation that the upstream took.
    pub fn accepted(&self) -> Generation {
        Generation(self.accepted.load(Ordering::Acquire))
    }

    /// Notes that a request which was sent again with this generation met 401 once more: a
    /// later rejection need not be its end.
    pub fn mark_vain(&self, generation: Generation) {
        self.vain.fetch_max(generation.0, Ordering::AcqRel);
    }

    /// The newest generation of which that is known.
    pub fn vain(&self) -> Generation {
        Generation(self.vain.load(Ordering::Acquire))
    }

    /// Notes that the upstream wants `scopes` beyond those of the sign-in of `signed_in`, and says
    /// whether another one may help.
    pub fn refused(&self, scopes: &str, signed_in: Timestamp, now: Timestamp) -> StepUp {
        let refusals = self.refusals.lock();
        let mut refusals = refusals.unwrap_or_else(PoisonError::into_inner);
        refusals.note(scopes, signed_in, now)
    }

    /// Notes a use.
    pub fn touch(&self, now: Timestamp) {
        if self.used.load(Ordering::Relaxed) < now.as_millis() {
            self.used.fetch_max(now.as_millis(), Ordering::Relaxed);
        }
    }

    /// When it was last used.
    pub fn last_used(&self) -> Option<Timestamp> {
        let used = self.used.load(Ordering::Relaxed);
        (used > 0).then(|| Timestamp::from_millis(used))
    }

    /// Notes that the upstream gave no answer to a call.
    pub fn failed(&self, problem: Problem, at: Timestamp) {
        self.touch(at);
        self.trouble.store(Some(Arc::new(Failing { problem, at })));
        self.failing.store(true, Ordering::Release);
    }

    /// Notes that the upstream has answered.
    pub fn answered(&self) {
        if self.failing.load(Ordering::Relaxed) {
            self.failing.store(false, Ordering::Release);
            self.trouble.store(None);
        }
    }

    /// Why the last call had no answer; `None` where it had one, or there was none.
    pub fn failing(&self) -> Option<Arc<Failing>> {
        self.trouble.load_full()
    }

    /// Resolves at the next change; to be created before looking at [`Slot::load`].
    pub fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}
