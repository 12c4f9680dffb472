//! The OAuth client: find the authorization server of an upstream, register there, sign a person
//! in, refresh, revoke. [`Authority`] is what the actors see of it; [`OauthAuthority`] is its real
//! form. A code, a verifier or a token goes only to an endpoint of the issuer that was validated
//! for it, and nothing here ever repeats the request that presents an authorization code.

mod assertion;
pub mod begin;
mod bound;
pub mod challenge;
pub mod classify;
mod device;
pub mod discovery;
mod exchange;
pub mod login;
pub mod metadata;
mod method;
mod network;
pub mod own;
mod pushed;
pub mod registration;
pub mod revoke;
pub mod scope;
mod seek;
#[cfg(test)]
mod tests;
pub mod text;
pub mod token;
pub mod wellknown;

use futures_util::future::LocalBoxFuture;
use url::Url;

use crate::model::fault::RefreshFailure;
use crate::model::record::{ClientAuth, ClientProof, ClientRecord, GrantRecord};
use crate::model::secret::{AccessToken, Assertion};
use crate::model::token::NewTokens;

pub use device::{DeviceAsk, DeviceFault, DeviceLogin, Pace, Polled};
pub use discovery::{
    Discovered, DiscoveryFailure, DiscoveryFault, DiscoveryStep, LookedFor, Source, StepOutcome,
    Trust,
};
pub use exchange::TokenExchange;
pub use login::{
    Callback, CallbackFault, Exchange, LoginFacts, PendingLogin, Start, check_callback,
};
pub use network::OauthAuthority;
pub use own::{Grounds, OwnGrant};
pub use pushed::{Push, PushFault};
pub use registration::{ClientChoice, RegistrationFailure, choose};
pub use revoke::Revocation;

/// What the configuration says about signing in to one upstream account.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The MCP endpoint.
    pub upstream: Url,
    /// Another address to ask for the challenge, where the endpoint itself gives none.
    pub probe: Option<Url>,
    /// Values that replace discovered ones.
    pub pins: Pins,
    /// Which client identity to use.
    pub client: ClientPlan,
    /// The name that a registration carries; a person sees it on the consent page.
    pub client_name: String,
    /// A client metadata document whose URL is the client's id, for servers that fetch such.
    pub metadata_document: Option<String>,
    /// Where the browser comes back to.
    pub redirect_uri: String,
    /// Scopes to ask for instead of the discovered ones.
    pub scopes: Option<Vec<String>>,
    /// Scopes to ask for when nothing names any (environment mode only; otherwise empty).
    pub default_scopes: Vec<String>,
    /// The `resource` parameter.
    pub resource: ResourcePlan,
    /// How closely the metadata of the resource must name it.
    pub resource_match: ResourceMatch,
    /// Further parameters of the authorization request.
    pub extra_authorize: Vec<(String, String)>,
    /// What to do with an upstream that publishes no metadata of the resource.
    pub legacy: Legacy,
}

impl Provider {
    /// Everything discovered, nothing pinned: what `auth = { kind = "oauth" }` means.
    pub fn discovered(upstream: Url, redirect_uri: String) -> Self {
        Self {
            upstream,
            probe: None,
            pins: Pins::default(),
            client: ClientPlan::Register,
            client_name: "doorward".to_owned(),
            metadata_document: None,
            redirect_uri,
            scopes: None,
            default_scopes: Vec::new(),
            resource: ResourcePlan::Auto,
            resource_match: ResourceMatch::Prefix,
            extra_authorize: Vec::new(),
            legacy: Legacy::Refuse,
        }
    }
}

/// Values of the configuration that discovery does not overrule.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    /// The authorization server.
    pub issuer: Option<String>,
    /// An issuer to accept although it is not the one that was asked (a named exception).
    pub allow_issuer: Option<String>,
    /// With `token_endpoint`: no discovery at all.
    pub authorization_endpoint: Option<Url>,
    /// With `authorization_endpoint`: no discovery at all.
    pub token_endpoint: Option<Url>,
    /// Where tokens are revoked.
    pub revocation_endpoint: Option<Url>,
}

/// Which client identity to use.
#[derive(Clone, Debug)]
pub enum ClientPlan {
    /// The one in the configuration.
    Configured {
        /// Its id.
        client_id: String,
        /// What it proves itself with, where it does.
        proof: Option<ClientProof>,
        /// How it authenticates; `None` lets the metadata decide.
        auth: Option<ClientAuth>,
    },
    /// The one of the metadata document where there is one and the server fetches it, else the one
    /// registered earlier, else a new registration.
    Register,
    /// The same without a new registration.
    Never,
}

/// What goes into the `resource` parameter (RFC 8707).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourcePlan {
    /// What the metadata of the resource says, else the upstream's canonical URL.
    Auto,
    /// This.
    Fixed(String),
    /// Nothing.
    Off,
}

/// How closely the metadata of the resource must name the upstream (RFC 9728 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceMatch {
    /// Exactly.
    Strict,
    /// By its URL, or by a parent of it on the same origin.
    Prefix,
}

/// What to do with an upstream without protected resource metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Legacy {
    /// Fail, and say what was tried.
    Refuse,
    /// Take the upstream's origin for the authorization server, as MCP 2025-03-26 did.
    Allow,
}

/// The authorization servers, as the actors see them. Every future owns what it needs, so that an
/// actor can let it run beside itself; none may be dropped by a caller that hangs up.
pub trait Authority {
    /// Finds the authorization server of an upstream. `known_issuers` are those with a stored
    /// registration; of several servers offered, one of them is preferred.
    fn discover(
        &self,
        provider: &Provider,
        known_issuers: &[String],
    ) -> LocalBoxFuture<'static, Result<Discovered, DiscoveryFailure>>;

    /// Registers a client there (RFC 7591). Ask [`registration::choose`] first whether to.
    fn register(
        &self,
        provider: &Provider,
        discovered: &Discovered,
        scopes: &[String],
    ) -> LocalBoxFuture<'static, Result<ClientRecord, RegistrationFailure>>;

    /// Sends an authorization request to the server itself (RFC 9126); where the browser goes then.
    fn push(&self, push: Push) -> LocalBoxFuture<'static, Result<Url, PushFault>>;

    /// Exchanges the code of a finished sign-in. Sent once, whatever happens.
    fn exchange(
        &self,
        exchange: Exchange,
    ) -> LocalBoxFuture<'static, Result<NewTokens, RefreshFailure>>;

    /// Asks for a code that a person enters on another device (RFC 8628 §3.1).
    fn device_code(
        &self,
        ask: DeviceAsk,
    ) -> LocalBoxFuture<'static, Result<DeviceLogin, DeviceFault>>;

    /// Asks once whether the person there is done (RFC 8628 §3.4).
    fn poll_device(&self, login: &DeviceLogin) -> LocalBoxFuture<'static, Polled>;

    /// Presents the refresh token of `grant`, at its own token endpoint, as its own client. Sent
    /// once; whether to present it again is decided by `model::refresh`.
    fn refresh(
        &self,
        grant: &GrantRecord,
    ) -> LocalBoxFuture<'static, Result<NewTokens, RefreshFailure>>;

    /// Exchanges a token at an identity provider for an assertion (RFC 8693).
    fn exchange_token(
        &self,
        exchange: TokenExchange,
    ) -> LocalBoxFuture<'static, Result<Assertion, RefreshFailure>>;

    /// Gets a token in our own name (RFC 6749 §4.4), or for an assertion (RFC 7523 §2.1).
    fn own_token(
        &self,
        grant: OwnGrant,
    ) -> LocalBoxFuture<'static, Result<NewTokens, RefreshFailure>>;

    /// Revokes the refresh token, then the access token (RFC 7009).
    fn revoke(
        &self,
        grant: &GrantRecord,
        access: Option<&AccessToken>,
    ) -> LocalBoxFuture<'static, Revocation>;

    /// Deletes a registration (RFC 7592 §2.3), where the server offers that.
    fn deregister(&self, client: &ClientRecord) -> LocalBoxFuture<'static, Revocation>;
}
