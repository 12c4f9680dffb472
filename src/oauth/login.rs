//! One sign-in from the authorization URL to the callback: its state, its PKCE verifier and
//! everything that the callback and the code exchange are checked against. A callback is matched
//! once; what it carries is believed only after its `state`, and then only after its `iss`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use oauth2::{
    AuthUrl, AuthorizationRequest, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, Scope,
};
use url::{Url, form_urlencoded};

use super::discovery::Discovered;
use super::metadata::IssSupport;
use super::text::clean;
use super::{Provider, wellknown};
use crate::clock::Random;
use crate::http::Reach;
use crate::jose::SigningKey;
use crate::model::fault::OauthCode;
use crate::model::id::{AccountRef, Generation};
use crate::model::record::{ClientRecord, GrantRecord};
use crate::model::secret::{AuthorizationCode, LoginState, PkceVerifier, PrivateKey};
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
    url: Url,
    state: LoginState,
    verifier: PkceVerifier,
}

/// A sign-in whose callback was accepted: what [`super::Authority::exchange`] needs. It cannot be
/// made twice of one sign-in, and not be copied.
pub struct Exchange {
    /// What the sign-in was started with.
    pub facts: LoginFacts,
    pub(super) code: AuthorizationCode,
    pub(super) verifier: PkceVerifier,
}

/// Why a sign-in cannot be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginFault {
    /// The authorization endpoint is not something to open in a browser.
    #[error("{0} is not an address for a browser")]
    Endpoint(String),
    /// The redirect URI is not a URL.
    #[error("{0} is not a redirect URI")]
    RedirectUri(String),
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
    /// Starts a sign-in: makes its secrets and its URL.
    pub fn begin(
        provider: &Provider,
        discovered: &Discovered,
        start: Start,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<Self, BeginFault> {
        let server = &discovered.server;
        let endpoint = &server.authorization_endpoint;
        if !wellknown::is_secure(endpoint) {
            return Err(BeginFault::Endpoint(clean(endpoint.as_str(), 200)));
        }
        let redirect = RedirectUrl::new(provider.redirect_uri.clone())
            .map_err(|_| BeginFault::RedirectUri(clean(&provider.redirect_uri, 200)))?;
        let state = LoginState::new(random_text(random));
        let verifier = PkceVerifier::new(random_text(random));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(
            verifier.expose().to_owned(),
        ));

        let auth_url = AuthUrl::from_url(endpoint.clone());
        let client_id = ClientId::new(start.client.client_id.clone());
        let oauth = oauth2::basic::BasicClient::new(client_id).set_auth_uri(auth_url);
        let mut request = oauth
            .authorize_url(|| CsrfToken::new(state.expose().to_owned()))
            .set_redirect_uri(Cow::Owned(redirect))
            .set_pkce_challenge(challenge)
            .add_scopes(start.scopes.iter().cloned().map(Scope::new));
        if let Some(resource) = &discovered.resource {
            request = request.add_extra_param("resource", resource.clone());
        }
        let url = extended(request, provider, &server.issuer, &start.scopes)
            .url()
            .0;

        Ok(Self {
            facts: LoginFacts::new(provider, discovered, start, now),
            url,
            state,
            verifier,
        })
    }

    /// What to open in the browser. Who holds it can finish this sign-in: show it to nobody but
    /// the person who started it.
    pub fn url(&self) -> &Url {
        &self.url
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

/// Parameters that some servers need before they give a refresh token, and those of the
/// configuration, which win.
fn extended<'a>(
    mut request: AuthorizationRequest<'a>,
    provider: &Provider,
    issuer: &str,
    scopes: &[String],
) -> AuthorizationRequest<'a> {
    let mut wanted = provider.extra_authorize.clone();
    let mut default = |name: &str, value: &str| {
        if !wanted.iter().any(|(there, _)| there == name) {
            wanted.push((name.to_owned(), value.to_owned()));
        }
    };
    // OpenID Connect Core §11: offline access needs a consent that is asked for.
    if scopes.iter().any(|scope| scope == "offline_access") {
        default("prompt", "consent");
    }
    if issuer == "https://accounts.google.com" {
        default("access_type", "offline");
        default("prompt", "consent");
    }
    for (name, value) in wanted {
        request = request.add_extra_param(name, value);
    }
    request
}

/// 256 random bits as 43 characters that need no escaping anywhere.
fn random_text(random: &dyn Random) -> String {
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    Base64UrlUnpadded::encode_string(&bytes)
}
