//! The vocabulary of a sign-in: what is asked for, what a person is shown, how it ends.

use std::time::Duration;

use crate::model::catalogue::{Code, Problem};
use crate::model::fault::RefreshFailure;
use crate::model::id::AccountRef;
use crate::model::time::Timestamp;
use crate::oauth::{CallbackFault, DeviceFault, DiscoveryFault, PushFault, RegistrationFailure};

use super::account::AccountStatus;
use super::landing::Missed;
use super::sign_in::host_of;

/// How a person wants to sign in.
#[derive(Clone, Debug, Default)]
pub struct LoginOptions {
    /// Instead of the configured scopes.
    pub scopes: Option<Vec<String>>,
    /// On top of the scopes that would be asked for.
    pub add_scopes: Vec<String>,
    /// Even if the account is signed in.
    pub force: bool,
    /// With a code that the person enters on another device.
    pub device: bool,
    /// How long the person may take; the configured window where absent.
    pub window: Option<Duration>,
}

impl LoginOptions {
    /// Whether a sign-in that was begun as `running` cannot bring what this one is for: scopes were
    /// named, and they are others. Whoever names none is content with any.
    pub fn asks_else(&self, running: &Self) -> bool {
        let named = self.scopes.is_some() || !self.add_scopes.is_empty();
        named && (&self.scopes, &self.add_scopes) != (&running.scopes, &running.add_scopes)
    }
}

/// A sign-in that may now be finished in a browser.
#[derive(Clone, Debug)]
pub enum LoginStarted {
    /// Nothing to do.
    AlreadySignedIn(Box<AccountStatus>),
    /// Waiting for a person.
    Pending {
        /// The local link to open.
        url: String,
        /// Where that leads: for a browser that cannot reach this machine.
        authorize_url: String,
        /// When it is over.
        expires: Timestamp,
        /// The host at which the person signs in.
        host: String,
        /// The issuer of the sign-in before, where it was another one.
        moved_from: Option<String>,
        /// Why the browser does not come back to where the client is registered.
        missed: Option<Missed>,
    },
    /// Waiting for a person at another device.
    Device {
        /// What they type there.
        user_code: String,
        /// Into this page.
        page: String,
        /// The page with the code in it, where there is one.
        full_page: Option<String>,
        /// When it is over.
        expires: Timestamp,
        /// The host at which the person signs in.
        host: String,
        /// The issuer of the sign-in before, where it was another one.
        moved_from: Option<String>,
    },
}

/// How a sign-in ended.
#[derive(Clone, Debug)]
pub enum LoginOutcome {
    /// Signed in; the tokens are durable.
    Succeeded(Box<AccountStatus>),
    /// Not signed in; what was there before is untouched.
    Failed(LoginFault),
    /// There is no sign-in under way.
    NotPending,
}

/// Why nobody was signed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginFault {
    /// The upstream needs no sign-in.
    #[error("the upstream does not use sign-in")]
    NotOauth,
    /// A setting of this upstream cannot be used.
    #[error("{0}")]
    Setting(String),
    /// How to sign in cannot be found.
    #[error("{fault}")]
    Discovery {
        /// Why.
        fault: Box<DiscoveryFault>,
        /// What was tried.
        tried: String,
    },
    /// The authorization server does not register us.
    #[error(transparent)]
    Registration(#[from] RegistrationFailure),
    /// There is no code for another device.
    #[error(transparent)]
    Device(#[from] DeviceFault),
    /// The browser came back with something that cannot be accepted.
    #[error(transparent)]
    Callback(#[from] CallbackFault),
    /// The exchange of the code failed.
    #[error("the exchange of the code failed: {0}")]
    Exchange(#[from] RefreshFailure),
    /// Our own store did not keep the result.
    #[error("the sign-in could not be saved: {0}")]
    Store(String),
    /// The window passed.
    #[error("nobody finished the sign-in in time")]
    TimedOut,
    /// The same, and the server may have refused where the browser was to come back to.
    #[error("nobody finished the sign-in in time; {0}")]
    TimedOutElsewhere(Missed),
    /// The server does not take the authorization request.
    #[error(transparent)]
    Push(#[from] PushFault),
    /// It was given up: by a sign-out, or because the account was removed.
    #[error("the sign-in was given up")]
    Abandoned,
    /// Another one was begun, which asks for other scopes.
    #[error("a sign-in with other scopes has taken its place")]
    Replaced,
}

impl LoginFault {
    /// The entry of the catalogue for it.
    pub fn problem(&self, account: &AccountRef) -> Problem {
        let problem = |code| Problem::new(code).with("upstream", account);
        match self {
            Self::NotOauth => problem(Code::NoSignIn),
            Self::Discovery { fault, tried } => undiscovered(account, fault, tried),
            Self::Registration(failure) => {
                let issuer = match failure {
                    RegistrationFailure::NotOffered { issuer }
                    | RegistrationFailure::Refused { issuer, .. } => issuer.clone(),
                    _ => account.to_string(),
                };
                problem(Code::RegistrationFailed)
                    .with("issuer", issuer)
                    .because(failure)
            }
            Self::Device(DeviceFault::NotOffered { issuer }) => {
                problem(Code::DeviceNotOffered).with("issuer", issuer)
            }
            Self::Callback(CallbackFault::State | CallbackFault::Malformed) => {
                problem(Code::LoginState)
            }
            Self::Callback(CallbackFault::Denied { code, .. }) if code.0 == "access_denied" => {
                problem(Code::LoginDenied)
            }
            Self::Callback(
                CallbackFault::IssuerMissing { .. } | CallbackFault::IssuerMismatch { .. },
            ) => problem(Code::IssuerMismatch).because(format!("{self}; nothing was stored")),
            Self::TimedOut | Self::Callback(CallbackFault::Expired) => {
                problem(Code::LoginTimeout).because("its window passed")
            }
            Self::TimedOutElsewhere(missed) => {
                problem(Code::LoginTimeout).because(format!("its window passed; {missed}"))
            }
            Self::Setting(_)
            | Self::Push(_)
            | Self::Device(DeviceFault::Failed(_) | DeviceFault::Malformed(_))
            | Self::Callback(CallbackFault::Denied { .. })
            | Self::Exchange(_)
            | Self::Store(_)
            | Self::Abandoned
            | Self::Replaced => problem(Code::LoginFailed).because(self),
        }
    }
}

/// Whether something has told already where to sign in.
fn names_another(tried: &str) -> bool {
    [": found", ": pinned"]
        .iter()
        .any(|how| tried.contains(how))
}

/// How to sign in cannot be found: an outage, a server without a sign-in, or metadata that is
/// missing or wrong.
fn undiscovered(account: &AccountRef, fault: &DiscoveryFault, tried: &str) -> Problem {
    let problem = Problem::new(Code::DiscoveryFailed).with("upstream", account);
    // The first questions are ones without a token.
    let is_open = tried.contains(": 200, without a pointer") && !tried.contains(": 401");
    match fault {
        // The upstream has answered: what cannot be reached is where its answer leads.
        DiscoveryFault::Transient { url, cause, .. } if names_another(tried) => {
            let asked = url::Url::parse(url).ok();
            let host = asked.as_ref().map_or(url.clone(), host_of);
            Problem::of_transport(&host, cause)
                .because(format!(
                    "{url}: {cause}; {account} names it for its sign-in"
                ))
                .next_step(format!("doorward login {account}"))
        }
        DiscoveryFault::Transient { url, cause, .. } => {
            Problem::of_transport(&account.to_string(), cause)
                .because(format!("{url}: {cause}"))
                .next_step(format!(
                    "check the address: doorward upstream show {account}"
                ))
        }
        _ if is_open => {
            let name = &account.upstream;
            Problem::new(Code::NoSignIn)
                .with("upstream", account)
                .because("it answers without a sign-in, so it needs none")
                .next_step(format!(
                    "set `auth = {{ kind = \"none\" }}` under [upstreams.{name}], or: doorward \
                     upstream remove {name}, then doorward upstream add {name} URL --auth none"
                ))
        }
        fault => problem
            .with("tried", tried)
            .because(format!("{fault}; asked: {tried}")),
    }
}
