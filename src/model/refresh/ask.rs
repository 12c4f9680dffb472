//! Questions: who is answered at once, who waits, and what a 401 of the upstream means.

use super::{
    CredentialError, Duration, Effect, Generation, LoginReason, MAX_WAITERS, Machine, Patience,
    Pause, PausedBy, Phase, Rest, Seen, Source, Timestamp, Waiter, Waiting,
};

/// How many fresh tokens in a row a resource may reject at once (scenarios.md row 16).
const FRUITLESS_LIMIT: u32 = 2;
/// How long a resource that rejects every token is left alone at first; doubles with each vain
/// probe.
pub(super) const FIRST_REST: Duration = Duration::from_mins(5);
const LONGEST_REST: Duration = Duration::from_hours(1);
/// A token that was accepted and then rejected within this time of its coming did not end: the
/// resource says 401 where it means something else. That many in a row are believed; beyond
/// them, one in as long. A token that lived for `CALM` ends the row.
const HASTE: Duration = Duration::from_secs(10);
const CALM: Duration = Duration::from_mins(1);
const HASTY_LIMIT: u32 = 64;
// A vain token is one that the upstream takes from some requests while it answers 401 to a request
// that was sent again with it. The next one will not help that request either: after two of them a
// rejection is believed once the token is ten seconds old, then twenty, and so on up to the length
// of a first rest. Not never: the token may have ended for everybody meanwhile.

/// What to do about a rejection of the newest token.
enum Rejection {
    /// The token has ended: get another.
    Believed,
    /// Another would not help this request; the others go on with the token there is.
    Doubted(CredentialError),
}

impl Machine {
    pub(super) fn is_resting(&self) -> bool {
        self.fruitless >= FRUITLESS_LIMIT
    }

    pub(super) fn ask(
        &mut self,
        waiting: Waiting,
        rejected: Option<Generation>,
        seen: Seen,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let waiter = waiting.waiter;
        if rejected == Some(self.generation)
            && let Rejection::Doubted(error) = self.rejected(seen, now, effects)
        {
            effects.push(Effect::Answer(waiter, Err(error)));
            return;
        }
        if let Some(rest) = &self.rest
            && self.is_resting()
        {
            if !rest.pause.is_over(now) {
                let error = CredentialError::RejectedByResource { since: rest.since };
                effects.push(Effect::Answer(waiter, Err(error)));
                return;
            }
            self.allow_probe();
        }
        if let Some(generation) = self.served(now) {
            effects.push(Effect::Answer(waiter, Ok(generation)));
            return;
        }
        if self.out.is_none() && !self.refreshable {
            let reason = self.no_refresh_token(now);
            self.out = Some(reason.clone());
            effects.push(Effect::NoteSignedOut(reason));
        }
        if let Some(reason) = &self.out {
            let error = CredentialError::LoginRequired(reason.clone());
            effects.push(Effect::Answer(waiter, Err(error)));
            return;
        }
        if let Phase::Paused { pause, cause, .. } = &self.phase
            && !pause.is_over(now)
            && let Patience::Until(deadline) = waiting.patience
            && (deadline < pause.until || cause.needs_a_person())
        {
            let error = CredentialError::Unavailable {
                cause: cause.clone(),
                attempts: self.attempts,
                retry_at: pause.until,
            };
            effects.push(Effect::Answer(waiter, Err(error)));
            return;
        }
        if self.enqueue(waiting, effects) {
            self.start_if_idle(now, effects);
        }
    }

    pub(super) fn force(&mut self, waiter: Waiter, now: Timestamp, effects: &mut Vec<Effect>) {
        let refusal = if let Some(reason) = &self.out {
            Some(CredentialError::LoginRequired(reason.clone()))
        } else if !self.refreshable {
            Some(CredentialError::LoginRequired(self.no_refresh_token(now)))
        } else if let Phase::Paused {
            pause,
            by: PausedBy::Server,
            cause,
        } = &self.phase
            && !pause.is_over(now)
        {
            Some(CredentialError::Unavailable {
                cause: cause.clone(),
                attempts: self.attempts,
                retry_at: pause.until,
            })
        } else {
            None
        };
        if let Some(error) = refusal {
            effects.push(Effect::Answer(waiter, Err(error)));
            return;
        }
        let waiting = Waiting {
            waiter,
            patience: Patience::Attempt,
        };
        if self.enqueue(waiting, effects) {
            self.fruitless = 0;
            self.rest = None;
            if !self.is_busy() {
                self.start(effects);
            }
        }
    }

    /// The credential was seen aging by a request that goes on with it.
    pub(super) fn nudged(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.is_due(now) {
            self.start_if_idle(now, effects);
        } else if self.usable(now) && self.held.is_some_and(|held| now < held.refresh_at) {
            // About the credential before this one: the notice is used up for this one too.
            effects.push(Effect::Renudge);
        }
    }

    /// Answers all who wait, after a failure: with the held token where that will do.
    pub(super) fn answer_all(
        &mut self,
        now: Timestamp,
        error: &CredentialError,
        effects: &mut Vec<Effect>,
    ) {
        let served = self.served(now);
        for waiting in self.waiters.drain(..) {
            let answer = match (served, waiting.patience) {
                (Some(generation), Patience::Until(_)) => Ok(generation),
                _ => Err(error.clone()),
            };
            effects.push(Effect::Answer(waiting.waiter, answer));
        }
    }

    /// Lets one refresh through to see whether the resource takes its token; a rejection of that
    /// one leads straight back to the rest.
    pub(super) fn allow_probe(&mut self) {
        self.fruitless = self.fruitless.min(FRUITLESS_LIMIT - 1);
    }

    fn enqueue(&mut self, waiting: Waiting, effects: &mut Vec<Effect>) -> bool {
        if self.waiters.len() >= MAX_WAITERS {
            let error = Err(CredentialError::Overloaded);
            effects.push(Effect::Answer(waiting.waiter, error));
            return false;
        }
        self.waiters.push(waiting);
        true
    }

    fn start_if_idle(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let idle = match &self.phase {
            Phase::Quiet => true,
            Phase::Paused { pause, .. } => pause.is_over(now),
            Phase::Intending | Phase::Calling | Phase::Saving => false,
        };
        if idle {
            self.start(effects);
        }
    }

    /// The upstream answered 401 to the newest token.
    fn rejected(&mut self, seen: Seen, now: Timestamp, effects: &mut Vec<Effect>) -> Rejection {
        if matches!(self.phase, Phase::Saving) {
            return Rejection::Believed;
        }
        let Some(held) = self.held.filter(|held| !held.rejected) else {
            return Rejection::Believed;
        };
        if seen.accepted > self.fruitless_at {
            self.fruitless = 0;
            self.rest = None;
        }
        let ended = held.expires.is_some_and(|end| now >= end);
        if held.source == Source::Refresh && !ended {
            let age = now.since(held.since);
            if seen.accepted < self.generation {
                self.fruitless += 1;
                self.fruitless_at = self.generation;
            } else if seen.vain >= self.generation {
                if age < self.vain_wait() && now >= held.since {
                    let error = CredentialError::RejectedByResource { since: held.since };
                    return Rejection::Doubted(error);
                }
                self.vain += 1;
            } else if age >= CALM || now < held.since {
                self.hasty = 0;
                self.vain = 0;
            } else if age < HASTE {
                if self.hasty >= HASTY_LIMIT {
                    let error = CredentialError::RejectedByResource { since: held.since };
                    return Rejection::Doubted(error);
                }
                self.hasty += 1;
            }
        }
        if let Some(held) = &mut self.held {
            held.rejected = true;
        }
        if self.is_resting() {
            let since = self.rest(now);
            effects.push(Effect::Retract);
            if !self.is_busy() {
                self.answer_all(now, &CredentialError::RejectedByResource { since }, effects);
            }
        }
        Rejection::Believed
    }

    /// How old a vain token must be for its rejection to be believed.
    fn vain_wait(&self) -> Duration {
        match self.vain {
            0 => Duration::ZERO,
            n => (HASTE * 2_u32.pow((n - 1).min(8))).min(FIRST_REST),
        }
    }

    fn rest(&mut self, now: Timestamp) -> Timestamp {
        let (since, probes) = match &self.rest {
            Some(rest) => (rest.since, rest.probes + 1),
            None => (now, 0),
        };
        let length = FIRST_REST * 2_u32.pow(probes.min(8));
        self.rest = Some(Rest {
            since,
            pause: Pause::new(now, length.min(LONGEST_REST)),
            probes,
        });
        since
    }

    fn no_refresh_token(&self, now: Timestamp) -> LoginReason {
        let ended = self.held.and_then(|held| held.expires);
        LoginReason::NoRefreshToken {
            at: ended.map_or(now, |end| end.min(now)),
        }
    }
}
