//! The single-flight refresh of one account as a machine: events in, effects out. It holds no
//! token, reads no clock and does no input or output; the token manager carries its effects out.
//!
//! The order it keeps: durable intent, call, durable result, publication, answers. A failure that
//! is not a definite no changes nothing but the time of the next attempt.

use std::time::Duration;

use super::fault::{CredentialError, LoginReason, OauthCode, RefreshFailure, TransientCause};
use super::id::Generation;
use super::time::Timestamp;
use super::token::{TokenPolicy, refresh_at};

mod ask;
mod course;
#[cfg(test)]
mod tests;
mod types;

pub use types::{Demand, Effect, Event, Restored, RetryPolicy, State, Waiter};

/// How many questions may wait at once.
pub const MAX_WAITERS: usize = 4096;

/// What is known of the newest token.
#[derive(Clone, Copy, Debug)]
struct Held {
    expires: Option<Timestamp>,
    refresh_at: Timestamp,
    /// When it came to us.
    since: Timestamp,
    source: Source,
    /// The upstream answered 401 to it.
    rejected: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    SignIn,
    Refresh,
}

/// A wait between two attempts. It is over at its end, and also when the clock was set back to
/// before its beginning: it would last for as long as the clock was wrong otherwise.
#[derive(Clone, Copy, Debug)]
struct Pause {
    since: Timestamp,
    until: Timestamp,
}

impl Pause {
    fn new(now: Timestamp, length: Duration) -> Self {
        Self {
            since: now,
            until: now.plus(length),
        }
    }

    fn is_over(self, now: Timestamp) -> bool {
        now >= self.until || now < self.since
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PausedBy {
    Us,
    Server,
}

#[derive(Clone, Debug)]
enum Phase {
    Quiet,
    Intending,
    Calling,
    Saving,
    Paused {
        pause: Pause,
        by: PausedBy,
        cause: TransientCause,
    },
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    waiter: Waiter,
    patience: Patience,
}

#[derive(Clone, Copy, Debug)]
enum Patience {
    /// Through pauses that end by then; the held token will do.
    Until(Timestamp),
    /// To the end of this attempt; a new token is wanted.
    Attempt,
}

/// What the requests have seen of the upstream.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The newest generation that it took.
    accepted: Generation,
    /// The newest one that did not help a request sent again.
    vain: Generation,
}

/// A newest grant that is in memory only.
#[derive(Clone, Copy, Debug)]
struct Unsaved {
    pause: Pause,
    failures: u32,
}

/// A resource that rejects every fresh token is left alone for a while.
#[derive(Clone, Copy, Debug)]
struct Rest {
    since: Timestamp,
    pause: Pause,
    probes: u32,
}

/// The machine of one account.
#[derive(Clone, Debug)]
pub struct Machine {
    policy: TokenPolicy,
    retry: RetryPolicy,
    /// Counts sign-ins and sign-outs: a result of an earlier epoch is nobody's business.
    epoch: u64,
    phase: Phase,
    refreshable: bool,
    held: Option<Held>,
    generation: Generation,
    /// Refreshed tokens in a row that were rejected at once.
    fruitless: u32,
    /// The newest of them: a later one that was accepted ends the row.
    fruitless_at: Generation,
    rest: Option<Rest>,
    /// Rejections in a row of tokens that came, and were accepted, moments before.
    hasty: u32,
    /// Believed rejections in a row of tokens that had not helped a request sent again.
    vain: u32,
    out: Option<LoginReason>,
    waiters: Vec<Waiting>,
    attempts: u32,
    last_failure: Option<(Timestamp, TransientCause)>,
    /// How often the present refresh token went out without an answer.
    unanswered: u32,
    unsaved: Option<Unsaved>,
    armed: Option<Timestamp>,
}

impl Machine {
    /// The machine of an account as it was found at the start.
    pub fn new(policy: TokenPolicy, retry: RetryPolicy, restored: Restored) -> Self {
        let never = !restored.refreshable && restored.generation == Generation::default();
        let out = restored
            .signed_out
            .or_else(|| never.then_some(LoginReason::Never));
        Self {
            policy,
            retry,
            epoch: 0,
            phase: Phase::Quiet,
            refreshable: restored.refreshable,
            held: None,
            generation: restored.generation,
            fruitless: 0,
            fruitless_at: Generation::default(),
            rest: None,
            hasty: 0,
            vain: 0,
            out,
            waiters: Vec::new(),
            attempts: 0,
            last_failure: None,
            unanswered: restored.unanswered,
            unsaved: None,
            armed: None,
        }
    }

    /// Changes when and how to refresh, from the next decision on.
    pub fn set_policy(&mut self, policy: TokenPolicy, retry: RetryPolicy) {
        self.policy = policy;
        self.retry = retry;
    }

    /// The epoch that results must carry to count.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The newest generation.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether a refresh token is out, or its successor not yet durable.
    pub fn is_busy(&self) -> bool {
        matches!(
            self.phase,
            Phase::Intending | Phase::Calling | Phase::Saving
        )
    }

    /// Whether the newest refresh token is only in memory.
    pub fn is_unsaved(&self) -> bool {
        self.unsaved.is_some()
    }

    /// Whether the daemon may stop now without losing a token: nothing is out, nothing unsaved.
    pub fn is_settled(&self) -> bool {
        !self.is_busy() && !self.is_unsaved()
    }

    /// How many attempts in a row have failed.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What went wrong last, and when, since the last refresh that worked.
    pub fn last_failure(&self) -> Option<(Timestamp, &TransientCause)> {
        self.last_failure.as_ref().map(|(at, cause)| (*at, cause))
    }

    /// How the account is, for people.
    pub fn state(&self, now: Timestamp) -> State {
        if let Some(rest) = &self.rest
            && self.is_resting()
        {
            return State::RejectedByResource { since: rest.since };
        }
        let usable = self.usable(now);
        if let Some(reason) = &self.out {
            return State::SignedOut {
                reason: reason.clone(),
                usable,
            };
        }
        match &self.phase {
            Phase::Paused { pause, cause, .. } => State::Degraded {
                cause: cause.clone(),
                attempts: self.attempts,
                retry_at: pause.until,
                usable,
            },
            Phase::Quiet if usable => State::Ready,
            Phase::Quiet => State::Cold,
            Phase::Intending | Phase::Calling | Phase::Saving => State::Refreshing { usable },
        }
    }

    /// Takes one event at `now`; `roll` in `0.0..1.0` decides jitter.
    pub fn step(&mut self, event: Event, now: Timestamp, roll: f64) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Ask {
                waiter,
                rejected,
                accepted,
                vain,
                deadline,
            } => {
                let waiting = Waiting {
                    waiter,
                    patience: Patience::Until(deadline),
                };
                let seen = Seen { accepted, vain };
                self.ask(waiting, rejected, seen, now, &mut effects);
            }
            Event::Abandon(waiter) => self.waiters.retain(|waiting| waiting.waiter != waiter),
            Event::Nudge => self.nudged(now, &mut effects),
            Event::Force { waiter } => self.force(waiter, now, &mut effects),
            Event::IntentSaved { epoch } => {
                if epoch == self.epoch && matches!(self.phase, Phase::Intending) {
                    self.call(&mut effects);
                }
            }
            Event::IntentFailed { epoch, cause } => {
                if epoch == self.epoch && matches!(self.phase, Phase::Intending) {
                    self.pause(cause, None, now, roll, &mut effects);
                }
            }
            Event::Refreshed {
                epoch,
                issued,
                expires,
                rotated,
            } => {
                if epoch == self.epoch && matches!(self.phase, Phase::Calling) {
                    self.refreshable |= rotated;
                    self.refreshed(issued, expires, now, roll, &mut effects);
                }
            }
            Event::Failed { epoch, failure } => {
                if epoch == self.epoch && matches!(self.phase, Phase::Calling) {
                    self.failed(failure, now, roll, &mut effects);
                }
            }
            Event::Saved { epoch, generation } => {
                if epoch == self.epoch && generation == self.generation {
                    self.saved(&mut effects);
                }
            }
            Event::SaveFailed { epoch, generation } => {
                if epoch == self.epoch && generation == self.generation {
                    self.save_failed(now, roll, &mut effects);
                }
            }
            Event::SignedIn {
                generation,
                issued,
                expires,
                refreshable,
            } => {
                self.new_epoch();
                self.refreshable = refreshable;
                // Only grows, also over a sign-in that raced with a refresh.
                self.generation = generation.max(self.generation.next());
                self.hold(Source::SignIn, issued, expires, now, roll);
                self.publish(&mut effects);
            }
            Event::SignedOut(reason) => self.signed_out(reason, &mut effects),
            Event::Woke { demand } => {
                self.armed = None;
                self.woke(demand, now, &mut effects);
            }
        }
        self.arm(now, &mut effects);
        effects
    }

    /// Whether the newest token may be used, as far as one can tell from here.
    fn usable(&self, now: Timestamp) -> bool {
        self.held
            .is_some_and(|held| !held.rejected && held.expires.is_none_or(|end| now < end))
    }

    /// The published token, if it may be used: while the newest one is being saved it is held,
    /// and not yet to be used.
    fn served(&self, now: Timestamp) -> Option<Generation> {
        let saving = matches!(self.phase, Phase::Saving);
        (!saving && self.usable(now)).then_some(self.generation)
    }

    fn may_refresh(&self) -> bool {
        self.refreshable && self.out.is_none() && !self.is_resting()
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.may_refresh() && self.held.is_none_or(|held| now >= held.refresh_at)
    }

    /// Forgets what belongs to the grant before.
    fn new_epoch(&mut self) {
        self.epoch += 1;
        self.phase = Phase::Quiet;
        self.out = None;
        self.attempts = 0;
        self.last_failure = None;
        self.unanswered = 0;
        self.fruitless = 0;
        self.rest = None;
        self.hasty = 0;
        self.vain = 0;
        self.unsaved = None;
    }

    fn signed_out(&mut self, reason: LoginReason, effects: &mut Vec<Effect>) {
        self.new_epoch();
        self.held = None;
        self.refreshable = false;
        self.out = Some(reason.clone());
        effects.push(Effect::Retract);
        for waiting in self.waiters.drain(..) {
            let error = CredentialError::LoginRequired(reason.clone());
            effects.push(Effect::Answer(waiting.waiter, Err(error)));
        }
    }

    /// Sets the one timer to the next instant at which something is to be done unasked.
    fn arm(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let save = self
            .unsaved
            .filter(|_| !self.is_busy())
            .map(|unsaved| unsaved.pause.until);
        let refresh = match &self.phase {
            Phase::Paused { pause, .. } => Some(pause.until),
            Phase::Quiet if self.may_refresh() => self.held.map(|held| held.refresh_at),
            _ => None,
        };
        let refresh = refresh.filter(|at| *at > now && *at != Timestamp::MAX);
        let next = save.into_iter().chain(refresh).min();
        if next != self.armed {
            effects.extend(next.map(Effect::WakeAt));
            self.armed = next;
        }
    }
}
