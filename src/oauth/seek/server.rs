//! The authorization server's part of the walk: which one, and what it says about itself.

use std::time::Duration;

use url::Url;

use super::{Walk, insecure};
use crate::oauth::discovery::{DiscoveryFault, LookedFor, StepOutcome};
use crate::oauth::metadata::{IssSupport, RawServer, ServerFault, ServerMetadata};
use crate::oauth::text::clean;
use crate::oauth::wellknown;

impl Walk {
    pub(super) fn pinned_endpoints(&mut self) -> Result<Option<ServerMetadata>, DiscoveryFault> {
        let pins = &self.provider.pins;
        let (authorization_endpoint, token_endpoint) =
            match (&pins.authorization_endpoint, &pins.token_endpoint) {
                (None, None) => return Ok(None),
                (Some(authorization), Some(token)) => (authorization.clone(), token.clone()),
                _ => return Err(DiscoveryFault::HalfPinned),
            };
        let endpoints = [&authorization_endpoint, &token_endpoint];
        if let Some(url) = endpoints.into_iter().find(|url| !wellknown::is_secure(url)) {
            return Err(insecure(url));
        }
        let (issuer, iss) = match &pins.issuer {
            Some(issuer) => (issuer.clone(), IssSupport::NotAdvertised),
            None => (
                wellknown::origin(&token_endpoint),
                IssSupport::IssuerUnknown,
            ),
        };
        let server = ServerMetadata {
            issuer,
            authorization_endpoint,
            token_endpoint,
            device_endpoint: None,
            registration_endpoint: None,
            revocation_endpoint: pins.revocation_endpoint.clone(),
            scopes_supported: None,
            auth_methods: None,
            auth_algorithms: None,
            iss,
            metadata_documents: false,
            pushed_endpoint: None,
        };
        let url = server.token_endpoint.to_string();
        self.note(
            LookedFor::ServerMetadata,
            url,
            StepOutcome::Pinned,
            Duration::ZERO,
        );
        Ok(Some(server))
    }

    /// OC-07: by configuration (which is not asked here), by registration, else the first.
    pub(super) fn choose(&self, offered: &[String]) -> Result<String, DiscoveryFault> {
        let known = |issuer: &&String| self.known_issuers.contains(issuer);
        let chosen = offered.iter().find(known).or_else(|| offered.first());
        chosen.cloned().ok_or(DiscoveryFault::NoResourceMetadata)
    }

    pub(super) async fn server(&mut self, issuer: &str) -> Result<ServerMetadata, DiscoveryFault> {
        let named = clean(issuer, 200);
        let url = Url::parse(issuer)
            .ok()
            .filter(|url| url.query().is_none() && url.fragment().is_none())
            .ok_or(DiscoveryFault::Malformed {
                url: named.clone(),
                what: "the issuer is not a URL",
            })?;
        for candidate in wellknown::server_metadata(&url) {
            let Some(raw) = self.server_at(&candidate).await? else {
                continue;
            };
            let excepted = self.provider.pins.allow_issuer.as_deref() == Some(&raw.issuer);
            if raw.issuer != issuer && !excepted {
                self.unusable("it is about another server");
                return Err(DiscoveryFault::IssuerMismatch {
                    expected: named,
                    got: clean(&raw.issuer, 200),
                });
            }
            return self.validated(raw, &candidate);
        }
        Err(DiscoveryFault::NoServerMetadata { issuer: named })
    }

    /// MCP 2025-03-26: the upstream's origin is the server, with or without metadata.
    pub(super) async fn legacy_server(&mut self) -> Result<ServerMetadata, DiscoveryFault> {
        let issuer = wellknown::origin(&self.provider.upstream);
        let root = Url::parse(&issuer).map_err(|_| DiscoveryFault::NoResourceMetadata)?;
        for candidate in wellknown::server_metadata(&root) {
            let Some(raw) = self.server_at(&candidate).await? else {
                continue;
            };
            if raw.issuer.trim_end_matches('/') != issuer {
                self.unusable("it is about another server");
                return Err(DiscoveryFault::IssuerMismatch {
                    expected: issuer,
                    got: clean(&raw.issuer, 200),
                });
            }
            return self.validated(raw, &candidate);
        }
        let at = |path| {
            root.join(path)
                .map_err(|_| DiscoveryFault::NoResourceMetadata)
        };
        Ok(ServerMetadata {
            issuer: issuer.clone(),
            authorization_endpoint: at("/authorize")?,
            token_endpoint: at("/token")?,
            device_endpoint: None,
            registration_endpoint: Some(at("/register")?),
            revocation_endpoint: None,
            scopes_supported: None,
            auth_methods: Some(vec!["none".to_owned()]),
            auth_algorithms: None,
            iss: IssSupport::NotAdvertised,
            metadata_documents: false,
            pushed_endpoint: None,
        })
    }

    async fn server_at(&mut self, url: &Url) -> Result<Option<RawServer>, DiscoveryFault> {
        self.fetch(LookedFor::ServerMetadata, url, RawServer::parse)
            .await
    }

    fn validated(&mut self, raw: RawServer, at: &Url) -> Result<ServerMetadata, DiscoveryFault> {
        let issuer = clean(&raw.issuer, 200);
        let trust = self.trust.clone();
        let raw = if self.certified {
            raw.for_certificates()
        } else {
            raw
        };
        let (why, fault) = match raw.validate(|url| trust.admits(url)) {
            Ok(mut server) => {
                if let Some(pinned) = &self.provider.pins.revocation_endpoint {
                    server.revocation_endpoint = Some(pinned.clone());
                }
                return Ok(server);
            }
            Err(ServerFault::NoPkce) => (
                "it does not offer PKCE with S256",
                DiscoveryFault::NoPkce { issuer },
            ),
            Err(ServerFault::Endpoint(url)) => {
                ("an endpoint is not https", DiscoveryFault::Insecure { url })
            }
            Err(ServerFault::Malformed(what)) => {
                let url = at.to_string();
                (what, DiscoveryFault::Malformed { url, what })
            }
        };
        self.unusable(why);
        Err(fault)
    }
}
