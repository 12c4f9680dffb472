//! The beginning of a sign-in: its secrets and its authorization request.

use std::borrow::Cow;

use base64ct::{Base64UrlUnpadded, Encoding};
use oauth2::{
    AuthUrl, AuthorizationRequest, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, Scope,
};

use super::discovery::Discovered;
use super::login::{LoginFacts, PendingLogin, Start};
use super::text::clean;
use super::{Provider, wellknown};
use crate::clock::Random;
use crate::model::secret::{LoginState, PkceVerifier};
use crate::model::time::Timestamp;

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
        let request = extended(request, provider, &server.issuer, &start.scopes)
            .url()
            .0;

        Ok(Self {
            facts: LoginFacts::new(provider, discovered, start, now),
            request,
            pushed: server.pushed_endpoint.clone(),
            state,
            verifier,
        })
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
