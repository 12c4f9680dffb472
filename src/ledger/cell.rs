//! One session as requests see it. State and last use share one atomic word, and both `touch` and
//! `close` are compare-and-swap loops on it: a request that slips in before the sweep keeps its
//! session, one that comes after is refused, and there is no third outcome.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::keeping::Keeping;
use super::sync::{AtomicU8, AtomicU32, AtomicU64};
use crate::clock::Clock;
use crate::model::id::{AccountRef, SessionId};
use crate::model::record::{BoundProcess, Ending, SessionOrigin, SessionRecord};
use crate::model::secret::TokenDigest;
use crate::model::session::{Death, Grant, Liveness, SessionFacts, SessionPolicy, Verdict, judge};
use crate::model::time::Timestamp;

const STATE_SHIFT: u32 = 56;
const TIME_MASK: u64 = (1 << STATE_SHIFT) - 1;
const LIVE: u64 = 0;

/// A session's cell in the ledger. In this order, since what every request reads of one among many
/// is a trip to memory for each cache line that it lies on: the first fields are those.
#[derive(Debug)]
#[repr(C)]
pub struct SessionCell {
    /// Eight bits of state, fifty-six of `last_used` in milliseconds.
    word: AtomicU64,
    calls: AtomicU64,
    /// When it was minted.
    minted: Timestamp,
    streams: AtomicU32,
    liveness: AtomicU8,
    /// Its windows.
    policy: SessionPolicy,
    errors: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    keeping: Keeping,
    ended: CancellationToken,
    ending: OnceLock<Ending>,
    /// What it may reach; changes only where an upstream gets another name.
    grant: ArcSwap<Grant>,
    /// Digests of its later credentials.
    later: ArcSwap<Vec<TokenDigest>>,
    record: SessionRecord,
}

impl SessionCell {
    /// The cell of a session that was minted or loaded.
    pub fn new(record: SessionRecord) -> Arc<Self> {
        let state = record
            .ended
            .as_ref()
            .map_or(LIVE, |ending| encode(ending.death));
        let ended = CancellationToken::new();
        let ending = OnceLock::new();
        if let Some(end) = &record.ended {
            ended.cancel();
            let _ = ending.set(end.clone());
        }
        let liveness = if record.bound.is_some() {
            Liveness::Alive
        } else {
            Liveness::Unbound
        };
        Arc::new(Self {
            word: AtomicU64::new(pack(state, record.last_used)),
            calls: AtomicU64::new(record.calls),
            minted: record.minted,
            streams: AtomicU32::new(0),
            liveness: AtomicU8::new(liveness as u8),
            policy: record.policy,
            errors: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            keeping: Keeping::default(),
            ended,
            ending,
            grant: ArcSwap::from_pointee(record.grant.clone()),
            later: ArcSwap::from_pointee(record.later.clone()),
            record,
        })
    }

    /// The cell of a session that was loaded at `now`. A use that the record puts after `now` was
    /// written by a clock that was wrong, and is taken to have been now: a restart may shorten a
    /// session's life and never lengthens it.
    pub fn restored(mut record: SessionRecord, now: Timestamp) -> Arc<Self> {
        record.minted = record.minted.min(now);
        record.last_used = record.last_used.min(now);
        Self::new(record)
    }

    /// Public id.
    pub fn id(&self) -> SessionId {
        self.record.id
    }

    /// Digest of the credential that it was minted with.
    pub fn digest(&self) -> &TokenDigest {
        &self.record.digest
    }

    /// Digests of its later credentials.
    pub fn later(&self) -> Arc<Vec<TokenDigest>> {
        self.later.load_full()
    }

    /// Has these open it beside the first one. Only the session's own actor calls this.
    pub fn set_later(&self, later: Vec<TokenDigest>) {
        self.later.store(Arc::new(later));
    }

    /// What the person called it.
    pub fn label(&self) -> Option<&str> {
        self.record.label.as_deref()
    }

    /// The agent program.
    pub fn client(&self) -> Option<&str> {
        self.record.client.as_deref()
    }

    /// How it came to be.
    pub fn origin(&self) -> SessionOrigin {
        self.record.origin
    }

    /// What its agent was spared.
    pub fn keeping(&self) -> &Keeping {
        &self.keeping
    }

    /// What it may reach.
    pub fn grant(&self) -> Arc<Grant> {
        self.grant.load_full()
    }

    /// Whether it may reach `account`.
    pub fn may_reach(&self, account: &AccountRef) -> bool {
        self.grant.load().covers(account)
    }

    /// Lets it reach something else. Only the session's own actor calls this.
    pub fn set_grant(&self, grant: Grant) {
        self.grant.store(Arc::new(grant));
    }

    /// Its windows.
    pub fn policy(&self) -> &SessionPolicy {
        &self.policy
    }

    /// When it was minted.
    pub fn minted(&self) -> Timestamp {
        self.minted
    }

    /// The process it is bound to.
    pub fn bound(&self) -> Option<&BoundProcess> {
        self.record.bound.as_ref()
    }

    /// When it was last used.
    pub fn last_used(&self) -> Timestamp {
        Timestamp::from_millis(self.word.load(Ordering::Acquire) & TIME_MASK)
    }

    /// How many streams are open.
    pub fn streams(&self) -> u32 {
        self.streams.load(Ordering::Acquire)
    }

    /// Calls made.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Calls that failed.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Bytes from the agent.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Bytes to the agent.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// Counts a call.
    pub fn add_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a failed call.
    pub fn add_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts bytes from the agent.
    pub fn add_bytes_in(&self, bytes: u64) {
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes to the agent.
    pub fn add_bytes_out(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes whether the bound process lives.
    pub fn set_liveness(&self, liveness: Liveness) {
        self.liveness.store(liveness as u8, Ordering::Release);
    }

    /// What is known of the session now.
    pub fn facts(&self) -> SessionFacts {
        self.facts_at(self.last_used())
    }

    fn facts_at(&self, last_used: Timestamp) -> SessionFacts {
        let bound = match self.liveness.load(Ordering::Acquire) {
            x if x == Liveness::Alive as u8 => Liveness::Alive,
            x if x == Liveness::Gone as u8 => Liveness::Gone,
            _ => Liveness::Unbound,
        };
        SessionFacts {
            minted: self.minted,
            last_used,
            streams: self.streams(),
            bound,
        }
    }

    /// Whether it lives at `now`.
    pub fn verdict(&self, now: Timestamp) -> Verdict {
        self.judged(now).1
    }

    /// The judgement, and the word that it is about. A stream that ends counts as a use first and
    /// is counted out then, so that whoever misses the stream finds the use: what says that the
    /// session is dead is believed only of a word that is still there.
    fn judged(&self, now: Timestamp) -> (u64, Verdict) {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let verdict = match decode(word >> STATE_SHIFT) {
                Some(death) => Verdict::Dead(death),
                None => judge(
                    &self.facts_at(Timestamp::from_millis(word & TIME_MASK)),
                    &self.policy,
                    now,
                ),
            };
            if matches!(verdict, Verdict::Live { .. }) {
                return (word, verdict);
            }
            let present = self.word.load(Ordering::Acquire);
            if present == word {
                return (word, verdict);
            }
            word = present;
        }
    }

    /// Admits a use at `now` and slides the windows, or says why not. Time never moves backwards,
    /// and nothing is written when the millisecond has not changed.
    pub fn touch(&self, now: Timestamp) -> Result<(), Death> {
        loop {
            let (word, verdict) = self.judged(now);
            if let Verdict::Dead(death) = verdict {
                return Err(death);
            }
            if now <= Timestamp::from_millis(word & TIME_MASK) {
                return Ok(());
            }
            let slid = self.word.compare_exchange_weak(
                word,
                pack(LIVE, now),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if slid.is_ok() {
                return Ok(());
            }
        }
    }

    /// Ends the session and cuts its streams; `false` where it was used after `unless_used_since`
    /// or has ended already. Only the session's own actor calls this.
    pub fn close(&self, death: Death, unless_used_since: Option<Timestamp>) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let used = Timestamp::from_millis(word & TIME_MASK);
            if decode(word >> STATE_SHIFT).is_some()
                || unless_used_since.is_some_and(|seen| used > seen)
            {
                return false;
            }
            match self.word.compare_exchange_weak(
                word,
                pack(encode(death), used),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    self.ended.cancel();
                    return true;
                }
                Err(present) => word = present,
            }
        }
    }

    /// Cancelled when the session ends: whatever streams for it must stop then.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// How the session ended, once it has.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.get()
    }

    /// Records how it ended; the first one to say so wins.
    pub fn set_ending(&self, ending: Ending) {
        let _ = self.ending.set(ending);
    }

    /// Opens a stream: touch first and count then, so that the sweep never sees a stream of a
    /// session that it may close.
    pub fn open_stream(self: &Arc<Self>, clock: &Arc<dyn Clock>) -> Result<StreamGuard, Death> {
        self.touch(clock.now())?;
        self.streams.fetch_add(1, Ordering::AcqRel);
        Ok(StreamGuard {
            cell: Arc::clone(self),
            clock: Arc::clone(clock),
        })
    }

    /// The record of the session as it is now.
    pub fn record(&self) -> SessionRecord {
        SessionRecord {
            last_used: self.last_used(),
            calls: self.calls(),
            grant: (*self.grant()).clone(),
            later: (*self.later()).clone(),
            ended: self.ending().cloned(),
            ..self.record.clone()
        }
    }
}

/// Counts one open stream for as long as it lives.
pub struct StreamGuard {
    cell: Arc<SessionCell>,
    clock: Arc<dyn Clock>,
}

impl StreamGuard {
    /// Something passed on the stream: that is a use.
    pub fn progress(&self) {
        // A session that has ended is cut by its token; the touch only slides.
        let _ = self.cell.touch(self.clock.now());
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        // Touch while it still counts: the idle window starts at the end of the stream.
        let _ = self.cell.touch(self.clock.now());
        self.cell.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

fn pack(state: u64, time: Timestamp) -> u64 {
    state << STATE_SHIFT | time.as_millis().min(TIME_MASK)
}

fn encode(death: Death) -> u64 {
    match death {
        Death::Idle => 1,
        Death::Lapsed => 2,
        Death::Revoked => 3,
    }
}

fn decode(state: u64) -> Option<Death> {
    match state {
        1 => Some(Death::Idle),
        2 => Some(Death::Lapsed),
        3 => Some(Death::Revoked),
        _ => None,
    }
}
