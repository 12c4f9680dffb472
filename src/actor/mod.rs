//! Who changes things: one [`TokenManager`](token_manager::TokenManager) per upstream account and
//! one [`Session`](session::Session) per agent session, kept alive by the
//! [`Directory`](directory::Directory). They are thin: what to do is decided by `model`, and what
//! they publish in the ledger is read by requests without asking them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;

use crate::clock::{Clock, Random};
use crate::config::{Config, Upstream};
use crate::ledger::{Ledger, Published};
use crate::model::fault::CredentialError;
use crate::model::id::{AccountRef, Generation};
use crate::model::record::{EndedBy, Ending};
use crate::model::secret::TokenDigest;
use crate::model::session::Grant;
use crate::oauth::Authority;
use crate::store::{Store, StoreError};

pub mod account;
mod beginning;
mod death;
mod device;
pub mod directory;
mod finish;
mod joined;
pub mod landing;
pub mod login;
pub mod minting;
pub mod pending;
mod provider;
pub mod session;
mod sign_in;
mod source;
pub mod token_manager;
pub mod upkeep;

use account::AccountStatus;
use login::{LoginFault, LoginOptions, LoginOutcome, LoginStarted};

/// How long a request waits for a credential.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Makes the [`Authority`] of an upstream, whose trust and way out it shares, on the thread it is
/// called on: its connections stay on that thread.
pub type AuthorityFactory = Arc<dyn Fn(Option<&Upstream>) -> Rc<dyn Authority> + Send + Sync>;

/// What every actor works with.
#[derive(Clone)]
pub struct Deps {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random bits.
    pub random: Arc<dyn Random>,
    /// The read model that actors publish to.
    pub ledger: Arc<Ledger>,
    /// What outlives the process.
    pub store: Store,
    /// The configuration in force.
    pub config: Arc<ArcSwap<Config>>,
    /// The way to authorization servers.
    pub authority: AuthorityFactory,
    /// Sign-ins under way, by their `state` and by their ticket.
    pub pending: Arc<pending::PendingLogins>,
    /// Places beside our own origin that browsers come back to.
    pub landings: landing::Landings,
    /// Where our own origin is: `http://127.0.0.1:5177`.
    pub origin: Arc<str>,
}

/// Wants a credential; answered at once, or when the refresh that it started or joined is over.
/// `None`: the actor died over it, and its successor has to be asked.
#[derive(Message)]
#[rtype(result = "Option<Result<Arc<Published>, CredentialError>>")]
pub struct Ask {
    /// Names this question, so that it can be abandoned.
    pub waiter: u64,
    /// The generation that the upstream answered 401 to.
    pub rejected: Option<Generation>,
}

/// Nobody waits for the answer to this question any longer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Abandon(pub u64);

/// Somebody saw the credential aging.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Nudge;

/// A person wants a refresh now.
#[derive(Message)]
#[rtype(result = "Result<Arc<Published>, CredentialError>")]
pub struct ForceRefresh {
    /// Names this question.
    pub waiter: u64,
}

/// A person wants to sign in. Joins the sign-in that is under way, if there is one.
#[derive(Message)]
#[rtype(result = "Result<LoginStarted, LoginFault>")]
pub struct BeginLogin(pub LoginOptions);

/// A browser opens the sign-in under way: where to send it.
#[derive(Message)]
#[rtype(result = "Option<Result<String, LoginFault>>")]
pub struct OpenLogin;

/// Wants to know how the sign-in under way ends; a sign-in that has just ended counts.
#[derive(Message)]
#[rtype(result = "LoginOutcome")]
pub struct AwaitLogin;

/// One of those who began a sign-in, or joined it, waits no longer. Whether it goes on for others.
#[derive(Message)]
#[rtype(result = "bool")]
pub struct LeaveLogin;

/// The browser came back, with this query.
#[derive(Message)]
#[rtype(result = "LoginOutcome")]
pub struct FinishLogin(pub Arc<str>);

/// A person wants to sign out.
#[derive(Message)]
#[rtype(result = "Result<LogoutReport, StoreError>")]
pub struct Logout {
    /// Leave the provider alone.
    pub local: bool,
    /// What becomes of a registration that nobody uses any more.
    pub client: ClientFate,
}

/// What becomes of a client that was registered for a sign-in which is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFate {
    /// It stays for the next sign-in.
    Keep,
    /// It is deleted at the server (RFC 7592 §2.3) if no other sign-in uses it.
    GiveBack,
}

/// What a sign-out did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogoutReport {
    /// There was nothing to sign out of.
    NothingHeld,
    /// Forgotten here, and the provider said this; `None` where it was not asked.
    Forgotten(Option<crate::oauth::Revocation>),
}

/// Wants to know how the account is.
#[derive(Message)]
#[rtype(result = "AccountStatus")]
pub struct Status;

/// Ends a session.
#[derive(Message)]
#[rtype(result = "Result<Ending, StoreError>")]
pub struct Revoke {
    /// Who or what ends it.
    pub by: EndedBy,
    /// The reason given.
    pub reason: Option<String>,
}

impl Revoke {
    /// The end of the process that the session is bound to.
    pub fn process_ended(pid: u32) -> Self {
        Self {
            by: EndedBy::ProcessExit,
            reason: Some(format!("its process ended (pid {pid})")),
        }
    }
}

/// Lets a session reach something else: an upstream got another name.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub struct Regrant(pub Grant);

/// Gives a session one more credential, beside those that it has.
#[derive(Message)]
#[rtype(result = "Result<(), StoreError>")]
pub struct GiveCredential(pub TokenDigest);

/// Waits until the result of a running refresh is durable: it may be the only copy of a rotated
/// token.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Settle;

/// The configuration changed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reconfigure;

/// The account named in a route or a command does not exist in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no upstream account {0}")]
pub struct UnknownAccount(pub AccountRef);
