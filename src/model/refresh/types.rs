//! What goes into the refresh machine and what comes out of it.

use std::time::Duration;

use crate::model::fault::{
    CredentialError, LoginReason, OauthCode, RefreshFailure, TransientCause,
};
use crate::model::id::Generation;
use crate::model::record::{GrantRecord, RefreshIntent};
use crate::model::time::Timestamp;
use crate::model::token::unit;

/// No pause is shorter, whatever a configuration says: a failure must not become a busy loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause, whatever a server asks for and a configuration says.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Names one question that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiter(pub u64);

/// How failures are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first pause.
    pub base: Duration,
    /// The longest one, unless the server asks for more.
    pub max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(500),
            max: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// The pause after the `attempt`th failure in a row: doubling, and between half and the whole
    /// of it by `roll`.
    pub fn delay(&self, attempt: u32, roll: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1).min(20));
        let full = self.base.saturating_mul(doubled).min(self.longest());
        full.mul_f64(0.5 + 0.5 * unit(roll)).max(SHORTEST_PAUSE)
    }

    /// The longest pause that failures alone lead to.
    pub fn longest(&self) -> Duration {
        self.max.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }

    /// The pause after a failure to which the server added `Retry-After`: at least as long as it
    /// says, within an hour (TL-19).
    pub fn pause(&self, attempt: u32, roll: f64, retry_after: Option<Duration>) -> Duration {
        let asked = retry_after.unwrap_or_default().min(LONGEST_PAUSE);
        self.delay(attempt, roll).max(asked)
    }
}

/// What was found of an account at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The generation of the last credential.
    pub generation: Generation,
    /// Whether there is a refresh token.
    pub refreshable: bool,
    /// How often it went out without an answer before the end of the last process.
    pub unanswered: u32,
    /// Why a person must sign in, if so.
    pub signed_out: Option<LoginReason>,
}

impl Restored {
    /// What the store holds of a signed-in account. An intent that is still there means that the
    /// last process presented the token and never learned what became of it.
    pub fn of(grant: &GrantRecord, intent: Option<&RefreshIntent>) -> Self {
        Self {
            generation: grant.generation,
            refreshable: grant.refresh.is_some(),
            unanswered: intent.map_or(0, |intent| intent.presented.max(1)),
            signed_out: None,
        }
    }
}

/// What a timer finds of the wish for a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Not used since the last refresh: it is left alone.
    Idle,
    /// Used since then: worth a refresh ahead of its end.
    Used,
    /// To be kept alive whether it is used or not (`keep_warm`).
    Warm,
}

/// What happens to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody needs a credential.
    Ask {
        /// Who.
        waiter: Waiter,
        /// The generation that the upstream answered 401 to.
        rejected: Option<Generation>,
        /// The newest generation that the upstream ever took.
        accepted: Generation,
        /// The newest generation that did not help a request which was sent again with it.
        vain: Generation,
        /// How long the caller will wait: a pause that ends later is told at once.
        deadline: Timestamp,
    },
    /// Nobody waits for that answer any longer.
    Abandon(Waiter),
    /// The credential was seen aging.
    Nudge,
    /// A person wants a refresh now. It ends a pause of our own, never one that the server asked
    /// for, and the first failure is its answer.
    Force {
        /// Who.
        waiter: Waiter,
    },
    /// The intent is durable.
    IntentSaved {
        /// Of this epoch.
        epoch: u64,
    },
    /// It is not.
    IntentFailed {
        /// Of this epoch.
        epoch: u64,
        /// Why.
        cause: TransientCause,
    },
    /// Tokens came.
    Refreshed {
        /// Of this epoch.
        epoch: u64,
        /// When they were issued.
        issued: Timestamp,
        /// When the access token ends.
        expires: Option<Timestamp>,
        /// Whether a new refresh token came with it.
        rotated: bool,
    },
    /// None came.
    Failed {
        /// Of this epoch.
        epoch: u64,
        /// Why.
        failure: RefreshFailure,
    },
    /// The grant is durable.
    Saved {
        /// Of this epoch.
        epoch: u64,
        /// Of this generation.
        generation: Generation,
    },
    /// It is not, or not in time.
    SaveFailed {
        /// Of this epoch.
        epoch: u64,
        /// Of this generation.
        generation: Generation,
    },
    /// A person signed in, and the grant is durable.
    SignedIn {
        /// The generation stored with it.
        generation: Generation,
        /// When it was issued.
        issued: Timestamp,
        /// When it ends.
        expires: Option<Timestamp>,
        /// Whether it can be refreshed.
        refreshable: bool,
    },
    /// The sign-in is gone.
    SignedOut(LoginReason),
    /// A timer went off.
    Woke {
        /// Who would want a credential.
        demand: Demand,
    },
}

/// What is to be done, in this order. What goes to the store has to reach it in the order in
/// which it was asked for; every `SaveIntent`, `Call` and `Save` is to be answered with one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Answer a question: `Ok` names the published credential to use.
    Answer(Waiter, Result<Generation, CredentialError>),
    /// Make it durable that the refresh token is about to be presented.
    SaveIntent {
        /// Report the result with it.
        epoch: u64,
        /// The generation whose refresh token it is.
        generation: Generation,
        /// How often it will have gone out without an answer.
        presented: u32,
    },
    /// Present the refresh token.
    Call {
        /// Report the result with it.
        epoch: u64,
        /// Which try it is.
        attempt: u32,
    },
    /// The presentation came to nothing for certain: the durable intent is to go.
    ClearIntent,
    /// Make the newest grant durable, within the store's deadline.
    Save {
        /// Report the result with it.
        epoch: u64,
        /// And with its generation.
        generation: Generation,
    },
    /// Put the credential on the ledger.
    Publish {
        /// Its generation.
        generation: Generation,
        /// When it ends; a second from now where it came already ended.
        expires: Option<Timestamp>,
        /// When it is to be refreshed.
        refresh_at: Timestamp,
    },
    /// Take the credential off the ledger.
    Retract,
    /// The refresh token was refused: delete it if it is still the stored one.
    Forget {
        /// With which code.
        code: OauthCode,
        /// What a person is told.
        reason: LoginReason,
    },
    /// Remember why a person must sign in.
    NoteSignedOut(LoginReason),
    /// Let the published credential be noticed aging again: a refresh failed, or the notice was
    /// about the credential before it.
    Renudge,
    /// Come back at this time, and at no time named before. One that has passed means at once.
    WakeAt(Timestamp),
}

/// How an account is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// A usable credential is held.
    Ready,
    /// None is held, and the first question will fetch one.
    Cold,
    /// A refresh is in flight.
    Refreshing {
        /// Whether the held credential serves meanwhile.
        usable: bool,
    },
    /// Refreshing fails for now.
    Degraded {
        /// Why.
        cause: TransientCause,
        /// How often in a row.
        attempts: u32,
        /// When it is tried again.
        retry_at: Timestamp,
        /// Whether the held credential serves meanwhile.
        usable: bool,
    },
    /// A person must sign in.
    SignedOut {
        /// Why.
        reason: LoginReason,
        /// Whether the held credential serves meanwhile.
        usable: bool,
    },
    /// The resource rejects every fresh token.
    RejectedByResource {
        /// Since when.
        since: Timestamp,
    },
}
