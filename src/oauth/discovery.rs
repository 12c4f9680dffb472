//! From an MCP endpoint to its authorization server: ask the endpoint for its challenge, follow
//! the one pointer in it or the well-known places, choose one server, read its metadata. Every
//! step is recorded, so that a person can see what was asked and what it answered.

use std::fmt;
use std::time::Duration;

use url::{Origin, Url};

use super::metadata::ServerMetadata;
use super::{Pins, wellknown};
use crate::http::{Reach, Zone};
use crate::model::fault::TransientCause;

/// What discovery found.
#[derive(Clone, Debug)]
pub struct Discovered {
    /// The authorization server.
    pub server: ServerMetadata,
    /// The value for the `resource` parameter; `None` where switched off.
    pub resource: Option<String>,
    /// `scope` of the upstream's challenge: authoritative where present.
    pub challenge_scopes: Option<Vec<String>>,
    /// `scopes_supported` of the protected resource.
    pub resource_scopes: Option<Vec<String>>,
    /// Whether the resource wants tokens that are bound to a key (RFC 9449).
    pub bound: bool,
    /// Where the server came from.
    pub source: Source,
    /// Where requests to it may go.
    pub trust: Trust,
    /// What was asked, in order.
    pub trail: Vec<DiscoveryStep>,
}

/// Where the authorization server's identity came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The metadata of the protected resource.
    ResourceMetadata,
    /// The configuration names the issuer.
    PinnedIssuer,
    /// The configuration names the endpoints.
    PinnedEndpoints,
    /// The upstream's own origin (MCP 2025-03-26).
    LegacyOrigin,
}

/// Which addresses learned from servers may be spoken to (SE-01 to SE-03).
#[derive(Clone, Debug)]
pub struct Trust {
    learned: Reach,
    configured: Vec<Origin>,
}

impl Trust {
    /// For what an upstream in `zone` leads to. Origins that the configuration names may lie
    /// anywhere.
    pub fn new(zone: Zone, pins: &Pins) -> Self {
        let issuers = [&pins.issuer, &pins.allow_issuer]
            .into_iter()
            .filter_map(|issuer| Url::parse(issuer.as_deref()?).ok());
        let endpoints = [
            &pins.authorization_endpoint,
            &pins.token_endpoint,
            &pins.revocation_endpoint,
        ];
        let endpoints = endpoints.into_iter().filter_map(Clone::clone);
        Self {
            learned: Reach::from_within(zone),
            configured: issuers.chain(endpoints).map(|url| url.origin()).collect(),
        }
    }

    /// How far a request to `url` may go.
    pub fn reach(&self, url: &Url) -> Reach {
        if self.configured.contains(&url.origin()) {
            Reach::ANYWHERE
        } else {
            self.learned
        }
    }

    /// Whether `url` may be spoken to: https; or http on this machine, where what named it lives
    /// on this machine too.
    pub fn admits(&self, url: &Url) -> bool {
        let plain = url.scheme() == "http";
        wellknown::is_secure(url) && (!plain || self.reach(url).admits_host())
    }
}

/// Discovery failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{fault}")]
pub struct DiscoveryFailure {
    /// Why.
    pub fault: DiscoveryFault,
    /// What was asked, in order.
    pub trail: Vec<DiscoveryStep>,
}

/// Why discovery failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryFault {
    /// It may work later.
    #[error("{url}: {cause}")]
    Transient {
        /// Where.
        url: String,
        /// What happened.
        cause: TransientCause,
        /// How long the server asked to wait, bounded.
        retry_after: Option<Duration>,
    },
    /// The upstream publishes no metadata that names an authorization server.
    #[error("the upstream does not say where to sign in")]
    NoResourceMetadata,
    /// The metadata speaks about another resource.
    #[error("the metadata is about {got}, not about {expected}")]
    ResourceMismatch {
        /// The upstream.
        expected: String,
        /// What the document names.
        got: String,
    },
    /// The authorization server publishes no metadata.
    #[error("{issuer} publishes no metadata")]
    NoServerMetadata {
        /// Which server.
        issuer: String,
    },
    /// The metadata is about another authorization server.
    #[error("the metadata is about {got}, not about {expected}")]
    IssuerMismatch {
        /// Whose metadata was asked for.
        expected: String,
        /// Whose it says it is.
        got: String,
    },
    /// The authorization server does not say that it supports PKCE with S256.
    #[error("{issuer} does not say that it supports PKCE with S256")]
    NoPkce {
        /// Which server.
        issuer: String,
    },
    /// An address that must be https is not.
    #[error("{url} is not https")]
    Insecure {
        /// Which one.
        url: String,
    },
    /// An address inside this network or machine, named by a server that is not.
    #[error("{url} is not a public address")]
    Forbidden {
        /// Which one.
        url: String,
    },
    /// A document that lacks what it must have.
    #[error("{url}: {what}")]
    Malformed {
        /// Which one.
        url: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A pinned endpoint stands alone.
    #[error("the authorization endpoint and the token endpoint must be pinned together")]
    HalfPinned,
}

/// One question of a discovery and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryStep {
    /// What was looked for.
    pub looked_for: LookedFor,
    /// Where.
    pub url: String,
    /// What came of it.
    pub outcome: StepOutcome,
    /// How long it took.
    pub took: Duration,
}

/// What one step of a discovery looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookedFor {
    /// The upstream's challenge.
    Challenge,
    /// The metadata of the protected resource.
    ResourceMetadata,
    /// The metadata of the authorization server.
    ServerMetadata,
}

/// What came of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// A usable answer.
    Found,
    /// Pinned by the configuration; nothing was asked.
    Pinned,
    /// A challenge without a pointer.
    NoPointer(u16),
    /// Not there.
    Absent(u16),
    /// There, and not usable.
    Unusable(&'static str),
    /// No answer.
    Failed(TransientCause),
}

impl fmt::Display for DiscoveryStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.looked_for {
            LookedFor::Challenge => "challenge",
            LookedFor::ResourceMetadata => "resource metadata",
            LookedFor::ServerMetadata => "server metadata",
        };
        write!(f, "{what} at {}: ", self.url)?;
        match &self.outcome {
            StepOutcome::Found => f.write_str("found"),
            StepOutcome::Pinned => f.write_str("pinned by the configuration"),
            StepOutcome::NoPointer(status) => write!(f, "{status}, without a pointer"),
            StepOutcome::Absent(status) => write!(f, "{status}"),
            StepOutcome::Unusable(why) => f.write_str(why),
            StepOutcome::Failed(cause) => cause.fmt(f),
        }
    }
}
