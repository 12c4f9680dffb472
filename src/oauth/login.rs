//! One sign-in from the authorization URL to the callback: its state, its PKCE verifier and
//! everything that the callback and the code exchange are checked against. A callback is matched
//! once; what it carries is believed only after its `state`, and then only after its `iss`.

use std::fmt;
use std::time::Duration;

use url::{Url, form_urlencoded};

use super::Provider;
use super::discovery::Discovered;
use super::metadata::IssSupport;
use super::text::clean;
use crate::http::Reach;
use crate::jose::SigningKey;
use crate::model::fault::OauthCode;
use crate::model::id::{AccountRef, Generation};
use crate::model::record::{ClientRecord, GrantRecord};
use crate::model::secret::{AuthorizationCode, LoginState, PkceVerifier, PrivateKey, TokenDigest};
use crate::model::time::Timestamp;
use crate::model::token::NewTokens;

/// How long a sign-in may take at most, whatever the configuration says.
pub const MAX_WINDOW: Duration = Duration::from_mins(15);

/// What a sign-in was started with: what its callback is checked against, and what becomes of the
/// grant.
#[derive(Clone, Debug)]
pub struct LoginFacts {
    /// Whose sign-in it is.
    pub account: AccountRef,
    /// The validated issuer.
    pub issuer: String,
    /// What is known about `iss` in its callbacks.
    pub iss: IssSupport,
    /// Where the code is exchanged.
    pub token_endpoint: Url,
    /// How far the code exchange may go.
    pub reach: Reach,
    /// Where tokens are revoked.
    pub revocation_endpoint: Option<Url>,
    /// The client identity.
    pub client: ClientRecord,
    /// Where the browser comes back to.
    pub redirect_uri: String,
    /// The `resource` parameter.
    pub resource: Option<String>,
    /// The scopes asked for; empty where none were named.
    pub scopes: Vec<String>,
    /// The upstream it is for.
    pub upstream_url: String,
    /// The key that its tokens are to be bound to, where the resource wants that.
    pub dpop: Option<PrivateKey>,
    /// When it was started.
    pub started: Timestamp,
    /// After this instant its callback is refused.
    pub expires: Timestamp,
}

/// What a person starts.
#[derive(Clone, Debug)]
pub struct Start {
    /// For which account.
    pub account: AccountRef,
    /// As which client: one of the issuer that was discovered.
    pub client: ClientRecord,
    /// Asking for which scopes; see [`super::scope::select`].
    pub scopes: Vec<String>,
    /// How long it may take; at most [`MAX_WINDOW`].
    pub window: Duration,
}

/// A sign-in that waits for its callback.
pub struct PendingLogin {
    /// What it was started with.
    pub facts: LoginFacts,
    /// The authorization request, whole.
    pub(super) request: Url,
    /// Where the server wants it sent first (RFC 9126).
    pub(super) pushed: Option<Url>,
    pub(super) state: LoginState,
    pub(super) verifier: PkceVerifier,
}

/// A sign-in whose callback was accepted: what [`super::Authority::exchange`] needs. It cannot be
/// made twice of one sign-in, and not be copied.
pub struct Exchange {
    /// What the sign-in was started with.
    pub facts: LoginFacts,
    pub(super) code: AuthorizationCode,
    pub(super) verifier: PkceVerifier,
}

/// Why a callback is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackFault {
    /// No `state`, or none that belongs to a sign-in that waits.
    #[error("it belongs to no sign-in that waits")]
    State,
    /// It came too late.
    #[error("the sign-in took too long")]
    Expired,
    /// The issuer promises `iss` and the callback has none.
    #[error("it does not say which server it comes from; expected {expected}")]
    IssuerMissing {
        /// Whom it should have named.
        expected: String,
    },
    /// It comes from another issuer. Nothing else of it is believed or shown.
    #[error("it comes from {got}; expected {expected}")]
    IssuerMismatch {
        /// Whom it should have named.
        expected: String,
        /// Whom it named.
        got: String,
    },
    /// The server says no.
    #[error("the authorization server answered {}", code.0)]
    Denied {
        /// Its error code.
        code: OauthCode,
        /// Its words.
        description: Option<String>,
    },
    /// Neither a code nor an error, or something twice.
    #[error("it holds no authorization code")]
    Malformed,
}

/// The query of a callback, as sent.
#[derive(Default)]
pub struct Callback {
    state: Option<String>,
    code: Option<String>,
    iss: Option<String>,
    error: Option<String>,
    description: Option<String>,
    repeated: Option<String>,
}

impl Callback {
    /// Reads the query. No value is interpreted beyond form decoding.
    pub fn parse(query: &str) -> Self {
        let mut callback = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let field = match name.as_ref() {
                "state" => &mut callback.state,
                "code" => &mut callback.code,
                "iss" => &mut callback.iss,
                "error" => &mut callback.error,
                "error_description" => &mut callback.description,
                _ => continue,
            };
            if field.replace(value.into_owned()).is_some() {
                callback.repeated = Some(name.into_owned());
            }
        }
        callback
    }

    /// The `state`, to find the sign-in by. Compare with [`PendingLogin::matches`] only.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback([redacted])")
    }
}

impl PendingLogin {
    /// The authorization request, which is what to open in the browser where the server does not
    /// want it pushed. Who holds it can finish this sign-in: show it to nobody but the person who
    /// started it.
    pub fn url(&self) -> &Url {
        &self.request
    }

    /// Whether the server wants the request before the browser comes.
    pub fn is_pushed(&self) -> bool {
        self.pushed.is_some()
    }

    /// What its callback is found by.
    pub fn state_digest(&self) -> TokenDigest {
        TokenDigest::of(self.state.expose().as_bytes())
    }

    /// Whether a callback belongs to this sign-in; takes the same time for every wrong `state`.
    pub fn matches(&self, state: &str) -> bool {
        self.state == LoginState::new(state)
    }
}

/// Checks a callback against the sign-in in `pending`. A callback with the right `state` uses the
/// sign-in up, whatever else is wrong with it; one with another `state` leaves it alone.
pub fn check_callback(
    pending: &mut Option<PendingLogin>,
    callback: Callback,
    now: Timestamp,
) -> Result<Exchange, CallbackFault> {
    let state = callback.state.as_deref().ok_or(CallbackFault::State)?;
    let login = pending
        .take_if(|login| login.matches(state))
        .ok_or(CallbackFault::State)?;
    let PendingLogin {
        facts, verifier, ..
    } = login;
    if now > facts.expires {
        return Err(CallbackFault::Expired);
    }
    check_iss(facts.iss, &facts.issuer, callback.iss.as_deref())?;
    if callback.repeated.is_some() {
        return Err(CallbackFault::Malformed);
    }
    if let Some(error) = callback.error {
        return Err(CallbackFault::Denied {
            code: OauthCode(clean(&error, 80)),
            description: callback.description.map(|text| clean(&text, 300)),
        });
    }
    match callback.code {
        Some(code) if !code.is_empty() => Ok(Exchange {
            facts,
            code: AuthorizationCode::new(code),
            verifier,
        }),
        _ => Err(CallbackFault::Malformed),
    }
}

/// RFC 9207 §2.4: by simple string comparison, before anything else is believed.
fn check_iss(support: IssSupport, expected: &str, got: Option<&str>) -> Result<(), CallbackFault> {
    match (support, got) {
        (IssSupport::Advertised, None) => Err(CallbackFault::IssuerMissing {
            expected: expected.to_owned(),
        }),
        (IssSupport::NotAdvertised, None) | (IssSupport::IssuerUnknown, _) => Ok(()),
        (IssSupport::Advertised | IssSupport::NotAdvertised, Some(got)) if got == expected => {
            Ok(())
        }
        (IssSupport::Advertised | IssSupport::NotAdvertised, Some(got)) => {
            Err(CallbackFault::IssuerMismatch {
                expected: expected.to_owned(),
                got: clean(got, 200),
            })
        }
    }
}

impl LoginFacts {
    /// What a sign-in is started with.
    pub fn new(provider: &Provider, discovered: &Discovered, start: Start, now: Timestamp) -> Self {
        let server = &discovered.server;
        Self {
            account: start.account,
            issuer: server.issuer.clone(),
            iss: server.iss,
            token_endpoint: server.token_endpoint.clone(),
            reach: discovered.trust.reach(&server.token_endpoint),
            revocation_endpoint: server.revocation_endpoint.clone(),
            client: start.client,
            redirect_uri: provider.redirect_uri.clone(),
            resource: discovered.resource.clone(),
            scopes: start.scopes,
            upstream_url: provider.upstream.to_string(),
            dpop: discovered.bound.then(SigningKey::generate),
            started: now,
            expires: now.plus(start.window.min(MAX_WINDOW)),
        }
    }

    /// The grant that this sign-in brought.
    pub fn grant(&self, tokens: &NewTokens, generation: Generation) -> GrantRecord {
        GrantRecord {
            account: self.account.clone(),
            issuer: self.issuer.clone(),
            token_endpoint: self.token_endpoint.to_string(),
            revocation_endpoint: self.revocation_endpoint.as_ref().map(Url::to_string),
            client: self.client.clone(),
            resource: self.resource.clone(),
            upstream_url: self.upstream_url.clone(),
            scopes: tokens.scopes.clone().unwrap_or_else(|| self.scopes.clone()),
            refresh: tokens.refresh.clone(),
            dpop: self.dpop.clone(),
            generation,
            identity: tokens.identity.clone(),
            signed_in: tokens.received,
            refreshed: tokens.received,
            expires: tokens.expires_in.map(|life| tokens.received.plus(life)),
        }
    }
}

impl fmt::Debug for PendingLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingLogin")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}
