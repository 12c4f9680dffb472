//! What the configuration says about signing in to an account, in the form that discovery and
//! sign-ins use.

use crate::config::{Config, Oauth, Register, Resource, Upstream, pages_of, redirect_uri};
use crate::oauth::{ClientPlan, Legacy, Pins, Provider, ResourceMatch, ResourcePlan};

use super::login::LoginOptions;
use super::token_manager::TokenManager;

impl TokenManager {
    /// Where the pages are that a browser sees during a sign-in.
    pub(super) fn origin_of_pages(&self) -> String {
        let (config, origin) = (self.deps.config.load(), &self.deps.origin);
        match &self.upstream {
            Some(upstream) => pages_of(upstream, &config.server, origin),
            None => origin.to_string(),
        }
    }

    /// What a sign-in with `options` begins with.
    pub(super) fn provider(
        &self,
        config: &Config,
        upstream: &Upstream,
        oauth: &Oauth,
        options: &LoginOptions,
    ) -> Provider {
        let redirect_uri = redirect_uri(upstream, &config.server, &self.deps.origin);
        let mut provider = Provider::discovered(upstream.url.url().clone(), redirect_uri);
        provider.probe = match &oauth.probe_path {
            Some(path) if !path.is_empty() => upstream.url.url().join(path).ok(),
            _ => None,
        };
        provider.pins = Pins {
            issuer: oauth.issuer.as_ref().map(|issuer| {
                // `url` writes a lone slash behind a host that issuers do not have.
                let text = issuer.as_str();
                if issuer.path() == "/" {
                    text.trim_end_matches('/')
                } else {
                    text
                }
                .to_owned()
            }),
            allow_issuer: None,
            authorization_endpoint: oauth.endpoints.as_ref().map(|e| e.authorization.clone()),
            token_endpoint: oauth.endpoints.as_ref().map(|e| e.token.clone()),
            revocation_endpoint: oauth.revocation_endpoint.clone(),
        };
        provider.client = match (&oauth.client_id, oauth.register) {
            (Some(client_id), _) => ClientPlan::Configured {
                client_id: client_id.clone(),
                proof: None,
                auth: oauth.client_auth,
            },
            (None, Register::Never | Register::Document) => ClientPlan::Never,
            (None, Register::Auto | Register::Dynamic) => ClientPlan::Register,
        };
        provider
            .metadata_document
            .clone_from(&oauth.client_metadata_url);
        let account = upstream.accounts.get(&self.account.account);
        provider.scopes = options
            .scopes
            .clone()
            .or_else(|| account.and_then(|account| account.scopes.clone()))
            .or_else(|| oauth.scopes.clone());
        provider.default_scopes.clone_from(&oauth.fallback_scopes);
        provider.resource = match &oauth.resource {
            Resource::Auto => ResourcePlan::Auto,
            Resource::Off => ResourcePlan::Off,
            Resource::Value(value) => ResourcePlan::Fixed(value.clone()),
        };
        provider.resource_match = ResourceMatch::Prefix;
        provider.extra_authorize = oauth.extra_authorize.clone().into_iter().collect();
        provider.legacy = if oauth.legacy_2025_03_26 {
            Legacy::Allow
        } else {
            Legacy::Refuse
        };
        provider
    }
}
