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

#[cfg(test)]
mod tests;
mod types;

pub use types::{Effect, Event, Restored, RetryPolicy, State, Waiter};

/// How many questions may wait at once.
pub const MAX_WAITERS: usize = 4096;
/// Waiters stay through a pause no longer than this; a longer one is told to them.
const SHORT_PAUSE: Duration = Duration::from_secs(2);
/// How long a resource that rejects every token is left alone.
const COOL_DOWN: Duration = Duration::from_mins(5);
/// How many fresh tokens in a row a resource may reject at once (scenarios.md row 16).
const FRUITLESS_LIMIT: u32 = 2;

/// What is known of the published token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    expires: Option<Timestamp>,
    refresh_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Quiet,
    Intending,
    Calling,
    Saving,
    Paused {
        until: Timestamp,
        cause: TransientCause,
    },
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
    /// The held token was answered with 401.
    rejected: bool,
    /// The held token came from a refresh, not from a sign-in.
    from_refresh: bool,
    fruitless: u32,
    rejecting_since: Option<Timestamp>,
    probe_at: Timestamp,
    out: Option<LoginReason>,
    waiters: Vec<Waiter>,
    attempts: u32,
    /// How often the present refresh token went out without an answer.
    unanswered: u32,
    unsaved_retry: Option<Timestamp>,
}

impl Machine {
    /// The machine of an account as it was found at the start.
    pub fn new(policy: TokenPolicy, retry: RetryPolicy, restored: Restored) -> Self {
        Self {
            policy,
            retry,
            epoch: 0,
            phase: Phase::Quiet,
            refreshable: restored.refreshable,
            held: None,
            generation: restored.generation,
            rejected: false,
            from_refresh: false,
            fruitless: 0,
            rejecting_since: None,
            probe_at: Timestamp::MIN,
            out: restored.signed_out,
            waiters: Vec::new(),
            attempts: 0,
            unanswered: restored.unanswered,
            unsaved_retry: None,
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
        self.unsaved_retry.is_some()
    }

    /// How the account is, for people.
    pub fn state(&self, now: Timestamp) -> State {
        if let Some(since) = self.rejecting_since {
            return State::RejectedByResource { since };
        }
        if let Some(reason) = &self.out {
            return State::SignedOut {
                reason: reason.clone(),
                usable: self.usable(now),
            };
        }
        match &self.phase {
            Phase::Paused { until, cause } => State::Degraded {
                cause: cause.clone(),
                attempts: self.attempts,
                retry_at: *until,
                usable: self.usable(now),
            },
            Phase::Quiet if self.usable(now) => State::Ready,
            Phase::Quiet => State::Cold,
            Phase::Intending | Phase::Calling | Phase::Saving => State::Refreshing {
                usable: self.usable(now),
            },
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
            } => {
                self.ask(waiter, rejected, accepted, now, &mut effects);
            }
            Event::Abandon(waiter) => self.waiters.retain(|other| *other != waiter),
            Event::Nudge => {
                let idle = match self.phase {
                    Phase::Quiet => true,
                    Phase::Paused { until, .. } => until <= now,
                    Phase::Intending | Phase::Calling | Phase::Saving => false,
                };
                if idle && self.is_due(now) {
                    self.start(&mut effects);
                }
            }
            Event::Force { waiter } => self.force(waiter, now, &mut effects),
            Event::IntentSaved { epoch } if epoch == self.epoch => {
                if self.phase == Phase::Intending {
                    self.phase = Phase::Calling;
                    self.unanswered += 1;
                    effects.push(Effect::Call {
                        epoch,
                        attempt: self.attempts + 1,
                    });
                }
            }
            Event::IntentFailed { epoch, cause } if epoch == self.epoch => {
                if self.phase == Phase::Intending {
                    self.pause(cause, None, now, roll, &mut effects);
                }
            }
            Event::Refreshed {
                epoch,
                expires,
                issued,
                rotated,
            } if epoch == self.epoch => {
                if self.phase == Phase::Calling {
                    self.refreshed(issued, expires, rotated, roll, &mut effects);
                }
            }
            Event::Failed { epoch, failure } if epoch == self.epoch => {
                if self.phase == Phase::Calling {
                    self.failed(failure, now, roll, &mut effects);
                }
            }
            Event::Saved { epoch } if epoch == self.epoch => {
                self.unsaved_retry = None;
                if self.phase == Phase::Saving {
                    self.published(now, &mut effects);
                }
            }
            Event::SaveFailed { epoch } if epoch == self.epoch => {
                // The token is good and only its record is not: hiding it would hurt everybody
                // and save nothing. It stays in memory and is written as soon as that works.
                let retry = now.plus(self.retry.base.max(Duration::from_secs(1)));
                self.unsaved_retry = Some(retry);
                if self.phase == Phase::Saving {
                    self.published(now, &mut effects);
                }
                effects.push(Effect::WakeAt(retry));
            }
            Event::SignedIn {
                generation,
                issued,
                expires,
                refreshable,
            } => {
                self.signed_in(
                    generation,
                    issued,
                    expires,
                    refreshable,
                    now,
                    roll,
                    &mut effects,
                );
            }
            Event::SignedOut(reason) => self.signed_out(reason, &mut effects),
            Event::Woke { used, accepted } => self.woke(used, accepted, now, &mut effects),
            // Results of an earlier epoch.
            Event::IntentSaved { .. }
            | Event::IntentFailed { .. }
            | Event::Refreshed { .. }
            | Event::Failed { .. }
            | Event::Saved { .. }
            | Event::SaveFailed { .. } => {}
        }
        effects
    }

    fn usable(&self, now: Timestamp) -> bool {
        !self.rejected
            && self
                .held
                .is_some_and(|held| held.expires.is_none_or(|end| now < end))
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.refreshable
            && self.out.is_none()
            && self.rejecting_since.is_none()
            && self.held.is_some_and(|held| now >= held.refresh_at)
    }

    fn ask(
        &mut self,
        waiter: Waiter,
        rejected: Option<Generation>,
        accepted: Generation,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let newest = self.generation;
        if accepted >= newest && !self.rejected {
            self.fruitless = 0;
        }
        if self.held.is_some() && rejected == Some(newest) && !self.rejected {
            self.rejected = true;
            // A token that was taken before has come to its end; a refreshed one that never was
            // taken shows that refreshing does not help.
            if accepted < newest && self.from_refresh {
                self.fruitless += 1;
            }
            if self.fruitless >= FRUITLESS_LIMIT {
                self.rejecting_since = Some(now);
                self.probe_at = now.plus(COOL_DOWN);
                effects.push(Effect::Retract);
            }
        }
        if let Some(since) = self.rejecting_since {
            if now < self.probe_at {
                effects.push(Effect::Answer(
                    waiter,
                    Err(CredentialError::RejectedByResource { since }),
                ));
                return;
            }
            // One more try, with a new token; a rejection of that one leads straight back here.
            self.rejecting_since = None;
            self.fruitless = FRUITLESS_LIMIT - 1;
        }
        // While the newest token is being saved it is held, and not yet to be used.
        if self.usable(now) && self.phase != Phase::Saving {
            effects.push(Effect::Answer(waiter, Ok(())));
            return;
        }
        if let Some(reason) = &self.out {
            let error = CredentialError::LoginRequired(reason.clone());
            effects.push(Effect::Answer(waiter, Err(error)));
            return;
        }
        if !self.refreshable {
            let reason = LoginReason::NoRefreshToken { at: now };
            self.out = Some(reason.clone());
            effects.push(Effect::NoteSignedOut(reason.clone()));
            effects.push(Effect::Answer(
                waiter,
                Err(CredentialError::LoginRequired(reason)),
            ));
            return;
        }
        if let Phase::Paused { until, cause } = &self.phase
            && *until > now.plus(SHORT_PAUSE)
        {
            let error = CredentialError::Unavailable {
                cause: cause.clone(),
                attempts: self.attempts,
                retry_at: *until,
            };
            effects.push(Effect::Answer(waiter, Err(error)));
            return;
        }
        if self.waiters.len() >= MAX_WAITERS {
            effects.push(Effect::Answer(waiter, Err(CredentialError::Overloaded)));
            return;
        }
        self.waiters.push(waiter);
        match self.phase {
            Phase::Quiet => self.start(effects),
            Phase::Paused { until, .. } if until <= now => self.start(effects),
            _ => {}
        }
    }

    fn force(&mut self, waiter: Waiter, now: Timestamp, effects: &mut Vec<Effect>) {
        if let Some(reason) = &self.out {
            let error = CredentialError::LoginRequired(reason.clone());
            effects.push(Effect::Answer(waiter, Err(error)));
            return;
        }
        if !self.refreshable {
            let reason = LoginReason::NoRefreshToken { at: now };
            effects.push(Effect::Answer(
                waiter,
                Err(CredentialError::LoginRequired(reason)),
            ));
            return;
        }
        self.rejecting_since = None;
        self.fruitless = 0;
        self.waiters.push(waiter);
        if !self.is_busy() {
            self.start(effects);
        }
    }

    fn start(&mut self, effects: &mut Vec<Effect>) {
        self.phase = Phase::Intending;
        effects.push(Effect::SaveIntent {
            epoch: self.epoch,
            presented: self.unanswered + 1,
        });
    }

    fn refreshed(
        &mut self,
        issued: Timestamp,
        expires: Option<Timestamp>,
        rotated: bool,
        roll: f64,
        effects: &mut Vec<Effect>,
    ) {
        self.phase = Phase::Saving;
        self.attempts = 0;
        self.unanswered = 0;
        self.refreshable |= rotated;
        self.generation = self.generation.next();
        self.hold(issued, expires, roll);
        self.from_refresh = true;
        effects.push(Effect::Save { epoch: self.epoch });
    }

    fn hold(&mut self, issued: Timestamp, expires: Option<Timestamp>, roll: f64) {
        let due = refresh_at(issued, expires, &self.policy, roll);
        self.held = Some(Held {
            expires,
            refresh_at: due,
        });
        self.rejected = false;
    }

    fn published(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.phase = Phase::Quiet;
        let Some(held) = self.held else { return };
        effects.push(Effect::Publish {
            generation: self.generation,
            refresh_at: held.refresh_at,
        });
        for waiter in self.waiters.drain(..) {
            effects.push(Effect::Answer(waiter, Ok(())));
        }
        if self.refreshable && held.refresh_at > now && held.refresh_at != Timestamp::MAX {
            effects.push(Effect::WakeAt(held.refresh_at));
        }
    }

    fn failed(
        &mut self,
        failure: RefreshFailure,
        now: Timestamp,
        roll: f64,
        effects: &mut Vec<Effect>,
    ) {
        match failure {
            RefreshFailure::Rejected(code) => self.refused(code, now, effects),
            RefreshFailure::Transient { cause, retry_after } => {
                // An answer came, or nothing was sent: this presentation is settled.
                self.unanswered = self.unanswered.saturating_sub(1);
                if self.unanswered == 0 {
                    effects.push(Effect::ClearIntent);
                }
                self.pause(cause, retry_after, now, roll, effects);
            }
            RefreshFailure::Ambiguous(cause) => {
                self.attempts += 1;
                if self.unanswered == 1 {
                    // The answer may be lost and the token spent: one prompt retry, while a
                    // server with a grace period still knows (RFC 9700 §4.14.2).
                    self.start(effects);
                } else {
                    self.attempts -= 1;
                    self.pause(cause, None, now, roll, effects);
                }
            }
        }
    }

    fn refused(&mut self, code: OauthCode, now: Timestamp, effects: &mut Vec<Effect>) {
        let after_lost_answer = self.unanswered > 1;
        let reason = LoginReason::Rejected {
            code: code.clone(),
            at: now,
            after_lost_answer,
        };
        self.phase = Phase::Quiet;
        self.attempts = 0;
        self.unanswered = 0;
        self.refreshable = false;
        self.out = Some(reason.clone());
        effects.push(Effect::Forget {
            code,
            reason: reason.clone(),
        });
        // The held token is good until it ends, whatever became of the refresh token.
        self.settle_waiters(now, &CredentialError::LoginRequired(reason), effects);
    }

    fn pause(
        &mut self,
        cause: TransientCause,
        retry_after: Option<Duration>,
        now: Timestamp,
        roll: f64,
        effects: &mut Vec<Effect>,
    ) {
        self.attempts += 1;
        let wait = self
            .retry
            .delay(self.attempts, roll)
            .max(retry_after.unwrap_or_default());
        let until = now.plus(wait);
        let error = CredentialError::Unavailable {
            cause: cause.clone(),
            attempts: self.attempts,
            retry_at: until,
        };
        self.phase = Phase::Paused { until, cause };
        effects.push(Effect::Degraded);
        if wait > SHORT_PAUSE || self.usable(now) {
            self.settle_waiters(now, &error, effects);
        }
        effects.push(Effect::WakeAt(until));
    }

    fn settle_waiters(
        &mut self,
        now: Timestamp,
        error: &CredentialError,
        effects: &mut Vec<Effect>,
    ) {
        let usable = self.usable(now);
        for waiter in self.waiters.drain(..) {
            let answer = if usable { Ok(()) } else { Err(error.clone()) };
            effects.push(Effect::Answer(waiter, answer));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one event")]
    fn signed_in(
        &mut self,
        generation: Generation,
        issued: Timestamp,
        expires: Option<Timestamp>,
        refreshable: bool,
        now: Timestamp,
        roll: f64,
        effects: &mut Vec<Effect>,
    ) {
        self.epoch += 1;
        self.out = None;
        self.refreshable = refreshable;
        self.attempts = 0;
        self.unanswered = 0;
        self.fruitless = 0;
        self.rejecting_since = None;
        self.unsaved_retry = None;
        // Only grows, also over a sign-in that raced with a refresh.
        self.generation = generation.max(self.generation.next());
        self.hold(issued, expires, roll);
        self.from_refresh = false;
        self.published(now, effects);
    }

    fn signed_out(&mut self, reason: LoginReason, effects: &mut Vec<Effect>) {
        self.epoch += 1;
        self.phase = Phase::Quiet;
        self.held = None;
        self.refreshable = false;
        self.attempts = 0;
        self.unanswered = 0;
        self.rejecting_since = None;
        self.unsaved_retry = None;
        self.out = Some(reason.clone());
        effects.push(Effect::Retract);
        for waiter in self.waiters.drain(..) {
            let error = CredentialError::LoginRequired(reason.clone());
            effects.push(Effect::Answer(waiter, Err(error)));
        }
    }

    fn woke(
        &mut self,
        used: bool,
        accepted: Generation,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if accepted >= self.generation {
            self.fruitless = 0;
        }
        if self.unsaved_retry.is_some_and(|retry| now >= retry) {
            effects.push(Effect::Save { epoch: self.epoch });
            // Asked again if this one brings no answer either.
            let retry = now.plus(self.retry.max);
            self.unsaved_retry = Some(retry);
            effects.push(Effect::WakeAt(retry));
        }
        match self.phase {
            Phase::Paused { until, .. } => {
                if now < until {
                    effects.push(Effect::WakeAt(until));
                } else if !self.waiters.is_empty() || used {
                    self.start(effects);
                }
            }
            Phase::Quiet => {
                if self.is_due(now) && used {
                    self.start(effects);
                } else if let Some(held) = self.held
                    && self.refreshable
                    && held.refresh_at > now
                    && held.refresh_at != Timestamp::MAX
                {
                    effects.push(Effect::WakeAt(held.refresh_at));
                }
            }
            Phase::Intending | Phase::Calling | Phase::Saving => {}
        }
    }
}
