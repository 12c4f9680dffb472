//! How an account is, as people are told.

use crate::model::fault::TransientCause;
use crate::model::refresh::State;
use crate::model::time::Timestamp;

/// The state of one account, without any secret.
#[derive(Clone, Debug)]
pub struct AccountStatus {
    /// What the refresh machine says; `None` for an upstream that needs no sign-in.
    pub state: Option<State>,
    /// Who signed in.
    pub identity: Option<String>,
    /// Granted scopes.
    pub scopes: Vec<String>,
    /// When the access token ends.
    pub expires: Option<Timestamp>,
    /// When it was last refreshed.
    pub refreshed: Option<Timestamp>,
    /// Whether there is a refresh token.
    pub refreshable: bool,
    /// Whether the newest refresh token is only in memory.
    pub unsaved: bool,
    /// The authorization server.
    pub issuer: Option<String>,
    /// The last failure.
    pub last_failure: Option<(Timestamp, TransientCause)>,
    /// How the authorization server was found, a line a step.
    pub trail: Vec<String>,
}

impl AccountStatus {
    /// Whether calls go through without a person.
    pub fn is_usable(&self) -> bool {
        match &self.state {
            None | Some(State::Ready | State::Cold | State::Refreshing { .. }) => true,
            Some(State::Degraded { usable, .. } | State::SignedOut { usable, .. }) => *usable,
            Some(State::RejectedByResource { .. }) => false,
        }
    }
}
