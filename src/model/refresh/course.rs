//! The course of one refresh: intent, call, result, publication, and what each kind of failure
//! does to it.

use super::{
    CredentialError, Demand, Duration, Effect, Held, LoginReason, Machine, OauthCode, Patience,
    Pause, PausedBy, Phase, RefreshFailure, Source, Timestamp, TransientCause, Unsaved, refresh_at,
};

/// A token that had ended when it came is taken to live for this long: its end was announced by
/// another clock, and without any life each request would cost a refresh.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
/// The longest pause where nobody was reached. It burdens no server, and it must end within the
/// patience of those who wait, or a network that is back would help nobody for half a minute.
const OFFLINE_PAUSE: Duration = Duration::from_secs(8);

impl Machine {
    pub(super) fn start(&mut self, effects: &mut Vec<Effect>) {
        if self.unsaved.is_some() {
            // What the store holds is spent: it must not be what a crash during this refresh
            // leaves. And a save removes the intent, so it has to go first.
            effects.push(self.save());
        }
        self.phase = Phase::Intending;
        effects.push(Effect::SaveIntent {
            epoch: self.epoch,
            generation: self.generation,
            presented: self.unanswered + 1,
        });
    }

    pub(super) fn call(&mut self, effects: &mut Vec<Effect>) {
        self.phase = Phase::Calling;
        self.unanswered += 1;
        effects.push(Effect::Call {
            epoch: self.epoch,
            attempt: self.attempts + 1,
        });
    }

    pub(super) fn refreshed(
        &mut self,
        issued: Timestamp,
        expires: Option<Timestamp>,
        now: Timestamp,
        roll: f64,
        effects: &mut Vec<Effect>,
    ) {
        self.phase = Phase::Saving;
        self.attempts = 0;
        self.unanswered = 0;
        self.unsaved = None;
        self.last_failure = None;
        self.generation = self.generation.next();
        self.hold(Source::Refresh, issued, expires, now, roll);
        effects.push(self.save());
    }

    pub(super) fn hold(
        &mut self,
        source: Source,
        issued: Timestamp,
        expires: Option<Timestamp>,
        now: Timestamp,
        roll: f64,
    ) {
        let ended = expires.is_some_and(|end| end <= now);
        let (issued, expires) = if ended {
            (now, Some(now.plus(SHORTEST_LIFE)))
        } else {
            (issued, expires)
        };
        self.held = Some(Held {
            expires,
            refresh_at: refresh_at(issued, expires, &self.policy, roll),
            since: now,
            source,
            rejected: false,
        });
    }

    pub(super) fn publish(&mut self, effects: &mut Vec<Effect>) {
        self.phase = Phase::Quiet;
        let Some(held) = self.held else { return };
        // Whatever the tokens before it met with, this one may be tried.
        self.allow_probe();
        effects.push(Effect::Publish {
            generation: self.generation,
            expires: held.expires,
            refresh_at: held.refresh_at,
        });
        for waiting in self.waiters.drain(..) {
            effects.push(Effect::Answer(waiting.waiter, Ok(self.generation)));
        }
    }

    pub(super) fn saved(&mut self, effects: &mut Vec<Effect>) {
        self.unsaved = None;
        if matches!(self.phase, Phase::Saving) {
            self.publish(effects);
        }
    }

    /// The token is good and only its record is not: hiding it would hurt everybody and save
    /// nothing. It stays in memory and is written as soon as that works.
    pub(super) fn save_failed(&mut self, now: Timestamp, roll: f64, effects: &mut Vec<Effect>) {
        let failures = self.unsaved.map_or(1, |unsaved| unsaved.failures + 1);
        self.unsaved = Some(Unsaved {
            pause: Pause::new(now, self.retry.delay(failures, roll)),
            failures,
        });
        if matches!(self.phase, Phase::Saving) {
            self.publish(effects);
        }
    }

    pub(super) fn failed(
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
            // The answer may be lost and the token spent: one prompt retry, while a server with a
            // grace period still knows (RFC 9700 §4.14.2). After that as any other failure: if
            // the token is spent, its successor is lost already, and if it is not, giving up
            // would cost a sign-in for nothing.
            RefreshFailure::Ambiguous(cause) if self.unanswered == 1 => {
                self.attempts += 1;
                self.last_failure = Some((now, cause));
                self.start(effects);
            }
            RefreshFailure::Ambiguous(cause) => self.pause(cause, None, now, roll, effects),
            // An answer came, and it replaced the token: what the store holds is spent. Nothing
            // is presented and the daemon does not stop before the new one is there.
            RefreshFailure::RotatedOnly { cause, .. } => {
                self.unanswered = 0;
                self.unsaved = Some(Unsaved {
                    pause: Pause::new(now, self.retry.longest()),
                    failures: 0,
                });
                effects.push(self.save());
                self.pause(cause, None, now, roll, effects);
            }
        }
    }

    fn refused(&mut self, code: OauthCode, now: Timestamp, effects: &mut Vec<Effect>) {
        let reason = LoginReason::Rejected {
            code: code.clone(),
            at: now,
            after_lost_answer: self.unanswered > 1,
        };
        self.phase = Phase::Quiet;
        self.attempts = 0;
        self.unanswered = 0;
        self.unsaved = None;
        self.refreshable = false;
        self.out = Some(reason.clone());
        effects.push(Effect::Forget {
            code,
            reason: reason.clone(),
        });
        // The held token is good until it ends, whatever became of the refresh token, unless the
        // resource has said that it is not.
        if self.held.is_some_and(|held| held.rejected) {
            effects.push(Effect::Retract);
        }
        self.answer_all(now, &CredentialError::LoginRequired(reason), effects);
    }

    pub(super) fn pause(
        &mut self,
        cause: TransientCause,
        retry_after: Option<Duration>,
        now: Timestamp,
        roll: f64,
        effects: &mut Vec<Effect>,
    ) {
        self.attempts = self.attempts.saturating_add(1);
        self.last_failure = Some((now, cause.clone()));
        let mut length = self.retry.pause(self.attempts, roll, retry_after);
        if matches!(cause, TransientCause::Connect(_)) {
            length = length.min(OFFLINE_PAUSE);
        }
        let pause = Pause::new(now, length);
        let by = match retry_after {
            Some(_) => PausedBy::Server,
            None => PausedBy::Us,
        };
        let error = CredentialError::Unavailable {
            cause: cause.clone(),
            attempts: self.attempts,
            retry_at: pause.until,
        };
        let passes = !cause.needs_a_person();
        self.phase = Phase::Paused { pause, by, cause };
        effects.push(Effect::Renudge);
        if self.is_resting() {
            // Nothing is started for them before the rest is over.
            self.answer_all(now, &error, effects);
            return;
        }
        self.waiters.retain(|waiting| {
            let waits = match waiting.patience {
                Patience::Until(deadline) => passes && pause.until <= deadline,
                Patience::Attempt => false,
            };
            if !waits {
                effects.push(Effect::Answer(waiting.waiter, Err(error.clone())));
            }
            waits
        });
    }

    pub(super) fn woke(&mut self, demand: Demand, now: Timestamp, effects: &mut Vec<Effect>) {
        let starts = match &self.phase {
            Phase::Quiet => demand != Demand::Idle && self.is_due(now),
            Phase::Paused { pause, .. } => {
                let wanted = match demand {
                    Demand::Idle => false,
                    // Nobody waits: what has ended is fetched when it is asked for.
                    Demand::Used => self.is_due(now) && self.usable(now),
                    Demand::Warm => self.is_due(now),
                };
                let waited_for = !self.waiters.is_empty() && self.may_refresh();
                pause.is_over(now) && (wanted || waited_for)
            }
            Phase::Intending | Phase::Calling | Phase::Saving => false,
        };
        if starts {
            self.start(effects);
        } else if !self.is_busy()
            && let Some(unsaved) = &mut self.unsaved
            && unsaved.pause.is_over(now)
        {
            // Again after the longest pause, should this one bring no answer at all.
            unsaved.pause = Pause::new(now, self.retry.longest());
            effects.push(self.save());
        }
    }

    fn save(&self) -> Effect {
        Effect::Save {
            epoch: self.epoch,
            generation: self.generation,
        }
    }
}
