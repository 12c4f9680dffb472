//! The walk of a discovery: challenge, metadata of the resource, metadata of the server. 4xx and
//! documents that are not metadata mean "not here"; 5xx and silence mean "not now", never "not
//! there"; a document about somebody else ends the walk.

mod ask;
mod server;

use std::time::Duration;

use http::HeaderValue;
use http::header::HeaderName;
use url::Url;

use super::challenge::Challenge;
use super::classify::cause_of;
use super::discovery::{
    Discovered, DiscoveryFailure, DiscoveryFault, DiscoveryStep, LookedFor, Source, StepOutcome,
    Trust,
};
use super::metadata::{ResourceMetadata, Retrieval, ServerMetadata};
use super::text::clean;
use super::{ClientPlan, Legacy, Provider, ResourcePlan, wellknown};
use crate::http::{Answer, NotSent, OwnClient, Request, TransportFault};
use crate::model::fault::TransientCause;

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Finds the authorization server of an upstream.
pub(super) async fn discover(
    client: OwnClient,
    provider: Provider,
    known_issuers: Vec<String>,
    certified: bool,
) -> Result<Discovered, DiscoveryFailure> {
    let zone = client.zone_of(&provider.upstream).await;
    let mut walk = Walk {
        client,
        trust: Trust::new(zone, &provider.pins),
        provider,
        known_issuers,
        certified,
        trail: Vec::new(),
    };
    match walk.run().await {
        Ok(found) => Ok(Discovered {
            resource: walk.resource(found.resource),
            server: found.server,
            challenge_scopes: found.challenge_scopes,
            resource_scopes: found.resource_scopes,
            bound: found.bound,
            source: found.source,
            trust: walk.trust,
            trail: walk.trail,
        }),
        Err(fault) => Err(DiscoveryFailure {
            fault,
            trail: walk.trail,
        }),
    }
}

struct Walk {
    client: OwnClient,
    trust: Trust,
    provider: Provider,
    known_issuers: Vec<String>,
    /// Whether a certificate of ours is shown to servers.
    certified: bool,
    trail: Vec<DiscoveryStep>,
}

struct Found {
    server: ServerMetadata,
    resource: Option<String>,
    challenge_scopes: Option<Vec<String>>,
    resource_scopes: Option<Vec<String>>,
    bound: bool,
    source: Source,
}

impl Walk {
    async fn run(&mut self) -> Result<Found, DiscoveryFault> {
        if !wellknown::is_secure(&self.provider.upstream) {
            return Err(insecure(&self.provider.upstream));
        }
        if let Some(server) = self.pinned_endpoints()? {
            return Ok(Found {
                server,
                resource: None,
                challenge_scopes: None,
                resource_scopes: None,
                bound: false,
                source: Source::PinnedEndpoints,
            });
        }
        let pinned = self.provider.pins.issuer.clone();
        let challenge = self.challenge(pinned.is_some()).await?;
        let challenge_scopes = challenge.as_ref().and_then(Challenge::scopes);
        let resource = match self.resource_metadata(challenge.as_ref()).await {
            Ok(resource) => resource,
            // Whoever names the issuer needs no document to say it; the trail shows what failed.
            Err(_) if pinned.is_some() => None,
            Err(fault) => return Err(fault),
        };
        if let (Some(issuer), Some(resource)) = (&pinned, &resource) {
            self.owns_client(issuer, &resource.authorization_servers)?;
        }
        let (server, source) = match (pinned, &resource) {
            (Some(issuer), _) => (self.server(&issuer).await?, Source::PinnedIssuer),
            (None, Some(resource)) => {
                let issuer = self.choose(&resource.authorization_servers)?;
                (self.server(&issuer).await?, Source::ResourceMetadata)
            }
            (None, None) if self.provider.legacy == Legacy::Allow => {
                (self.legacy_server().await?, Source::LegacyOrigin)
            }
            (None, None) => return Err(DiscoveryFault::NoResourceMetadata),
        };
        // RFC 9449 §7.1 and §5.1 of RFC 9728: the challenge that is followed, or the document.
        let bound = challenge.is_some_and(|challenge| challenge.scheme == "dpop")
            || resource.as_ref().is_some_and(|resource| resource.bound);
        let (resource, resource_scopes) = match resource {
            Some(found) => (Some(found.resource), found.scopes_supported),
            None => (None, None),
        };
        Ok(Found {
            server,
            resource,
            challenge_scopes,
            resource_scopes,
            bound,
            source,
        })
    }

    /// A client that is configured for `issuer` is not tried where the upstream names others (MCP
    /// 2026-07-28 client-registration, AS Binding). A slash at the end makes no difference here.
    fn owns_client(&self, issuer: &str, named: &[String]) -> Result<(), DiscoveryFault> {
        let bare = |text: &str| text.trim_end_matches('/').to_owned();
        let configured = matches!(self.provider.client, ClientPlan::Configured { .. });
        if !configured || named.iter().any(|one| bare(one) == bare(issuer)) {
            return Ok(());
        }
        Err(DiscoveryFault::ForeignClient {
            configured: issuer.to_owned(),
            named: clean(&named.join(", "), 200),
        })
    }

    /// OC-35: the string of the metadata byte for byte, so that server, resource and audience
    /// agree.
    fn resource(&self, named: Option<String>) -> Option<String> {
        match &self.provider.resource {
            ResourcePlan::Off => None,
            ResourcePlan::Fixed(resource) => Some(resource.clone()),
            ResourcePlan::Auto => Some(
                named.unwrap_or_else(|| wellknown::canonical_resource(&self.provider.upstream)),
            ),
        }
    }

    async fn resource_metadata(
        &mut self,
        challenge: Option<&Challenge>,
    ) -> Result<Option<ResourceMetadata>, DiscoveryFault> {
        let endpoint = self.provider.upstream.clone();
        let pointer = challenge.and_then(|challenge| challenge.param("resource_metadata"));
        let candidates = if let Some(pointer) = pointer {
            // Some servers write it relative.
            let url = endpoint
                .join(pointer)
                .map_err(|_| DiscoveryFault::Malformed {
                    url: clean(pointer, 200),
                    what: "the pointer to the metadata is not a URL",
                })?;
            vec![(url, Retrieval::Header)]
        } else {
            let mut urls = wellknown::resource_metadata(&endpoint);
            let root = urls.pop().map(|url| (url, Retrieval::Root));
            let paths = urls.into_iter().map(|url| (url, Retrieval::Path));
            paths.chain(root).collect()
        };
        for (url, found) in candidates {
            let looked_for = LookedFor::ResourceMetadata;
            let Some(document) = self
                .fetch(looked_for, &url, ResourceMetadata::parse)
                .await?
            else {
                continue;
            };
            if !document.is_about(&endpoint, found, self.provider.resource_match) {
                self.unusable("it is about another resource");
                return Err(DiscoveryFault::ResourceMismatch {
                    expected: endpoint.to_string(),
                    got: clean(&document.resource, 200),
                });
            }
            return Ok(Some(document));
        }
        Ok(None)
    }

    /// One document: `None` where there is none.
    async fn fetch<T>(
        &mut self,
        looked_for: LookedFor,
        url: &Url,
        parse: impl Fn(&[u8]) -> Result<T, &'static str>,
    ) -> Result<Option<T>, DiscoveryFault> {
        if !self.trust.admits(url) {
            return Err(insecure(url));
        }
        let mut request = Request::get(url.clone())
            .reach(self.trust.reach(url))
            .within(PATIENCE);
        if self.provider.legacy == Legacy::Allow {
            let version = HeaderName::from_static("mcp-protocol-version");
            request = request.header(version, HeaderValue::from_static("2025-03-26"));
        }
        let (answer, took) = self.ask(request).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(fault) => return Err(self.failed(looked_for, url, &fault, took)),
        };
        let text = url.to_string();
        match answer.status {
            200 => match parse(&answer.body) {
                Ok(document) => {
                    self.note(looked_for, text, StepOutcome::Found, took);
                    Ok(Some(document))
                }
                // A page for every address is what many web servers have.
                Err(why) => {
                    self.note(looked_for, text, StepOutcome::Unusable(why), took);
                    Ok(None)
                }
            },
            status @ (408 | 429 | 500..) => {
                let cause = TransientCause::Status(status);
                self.note(
                    looked_for,
                    text.clone(),
                    StepOutcome::Failed(cause.clone()),
                    took,
                );
                Err(DiscoveryFault::Transient {
                    url: text,
                    cause,
                    retry_after: answer.retry_after(),
                })
            }
            status => {
                self.note(looked_for, text, StepOutcome::Absent(status), took);
                Ok(None)
            }
        }
    }

    async fn ask(&self, request: Request) -> (Result<Answer, TransportFault>, Duration) {
        let answer = self.client.send(request).await;
        let took = answer.as_ref().map_or(Duration::ZERO, Answer::took);
        (answer, took)
    }

    fn failed(
        &mut self,
        looked_for: LookedFor,
        url: &Url,
        fault: &TransportFault,
        took: Duration,
    ) -> DiscoveryFault {
        let cause = cause_of(fault);
        let outcome = StepOutcome::Failed(cause.clone());
        self.note(looked_for, url.to_string(), outcome, took);
        let url = clean(url.as_str(), 200);
        match fault {
            TransportFault::NotSent(NotSent::Forbidden(_)) => DiscoveryFault::Forbidden { url },
            _ => DiscoveryFault::Transient {
                url,
                cause,
                retry_after: None,
            },
        }
    }

    fn note(&mut self, looked_for: LookedFor, url: String, outcome: StepOutcome, took: Duration) {
        self.trail.push(DiscoveryStep {
            looked_for,
            url: clean(&url, 300),
            outcome,
            took,
        });
    }

    fn unusable(&mut self, why: &'static str) {
        if let Some(step) = self.trail.last_mut() {
            step.outcome = StepOutcome::Unusable(why);
        }
    }
}

fn insecure(url: &Url) -> DiscoveryFault {
    DiscoveryFault::Insecure {
        url: clean(url.as_str(), 200),
    }
}
