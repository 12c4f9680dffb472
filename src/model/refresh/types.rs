//! What goes into the refresh machine and what comes out of it.

use std::time::Duration;

use crate::model::fault::{
    CredentialError, LoginReason, OauthCode, RefreshFailure, TransientCause,
};
use crate::model::id::Generation;
use crate::model::time::Timestamp;

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
        let full = self.base.saturating_mul(doubled).min(self.max);
        full.mul_f64(0.5 + 0.5 * roll.clamp(0.0, 1.0))
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
    },
    /// Nobody waits for that answer any longer.
    Abandon(Waiter),
    /// The credential was seen aging.
    Nudge,
    /// A person wants a refresh now.
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
    },
    /// It is not.
    SaveFailed {
        /// Of this epoch.
        epoch: u64,
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
        /// Whether the account was used since its credential was published.
        used: bool,
        /// The newest generation that the upstream ever took.
        accepted: Generation,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Answer a question: `Ok` means the credential now held.
    Answer(Waiter, Result<(), CredentialError>),
    /// Make it durable that the refresh token is about to be presented.
    SaveIntent {
        /// Report the result with it.
        epoch: u64,
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
    /// Make the new grant durable.
    Save {
        /// Report the result with it.
        epoch: u64,
    },
    /// Put the credential on the ledger.
    Publish {
        /// Its generation.
        generation: Generation,
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
    /// An early refresh failed: let the aging credential be noticed again later.
    Degraded,
    /// Come back at this time.
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
