//! Tokens that are had without a browser: in doorward's own name (RFC 6749 §4.4), or for an
//! assertion that somebody else made (RFC 7523 §2.1). No refresh token comes with them.

use url::Url;

use super::Discovered;
use super::token::authenticated;
use crate::http::{Reach, Request};
use crate::jose::{Freshness, KeyFault};
use crate::model::record::ClientRecord;
use crate::model::secret::{Assertion, PrivateKey};

/// `grant_type` (RFC 7523 §2.1).
const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What a token is asked for with.
#[derive(Clone, Debug)]
pub enum Grounds {
    /// That the client is who it is.
    Client,
    /// What somebody says of a person or a program.
    Assertion(Assertion),
}

/// Everything such a request needs.
#[derive(Clone, Debug)]
pub struct OwnGrant {
    /// The token endpoint.
    pub token_endpoint: Url,
    reach: Reach,
    /// The client and what it proves itself with.
    pub client: ClientRecord,
    /// The scopes to ask for; none are named where this is empty.
    pub scopes: Vec<String>,
    /// The `resource` parameter (RFC 8707).
    pub resource: Option<String>,
    /// The `audience` parameter, which some servers want.
    pub audience: Option<String>,
    /// What it is asked for with.
    pub grounds: Grounds,
    /// The key that the token is to be bound to, where the resource wants that (RFC 9449 §5).
    pub dpop: Option<PrivateKey>,
}

impl OwnGrant {
    /// For an endpoint that a person named, which may lie anywhere.
    pub fn at(token_endpoint: Url, client: ClientRecord, resource: Option<String>) -> Self {
        Self {
            token_endpoint,
            reach: Reach::ANYWHERE,
            client,
            scopes: Vec::new(),
            resource,
            audience: None,
            grounds: Grounds::Client,
            dpop: None,
        }
    }

    /// For the server that was discovered.
    pub fn found(discovered: &Discovered, client: ClientRecord) -> Self {
        let endpoint = discovered.server.token_endpoint.clone();
        Self {
            reach: discovered.trust.reach(&endpoint),
            ..Self::at(endpoint, client, discovered.resource.clone())
        }
    }
}

/// The request of RFC 6749 §4.4.2, or of RFC 7523 §2.1.
pub(super) fn request(grant: &OwnGrant, fresh: &Freshness) -> Result<Request, KeyFault> {
    let scope = grant.scopes.join(" ");
    let mut fields = match &grant.grounds {
        Grounds::Client => vec![("grant_type", "client_credentials")],
        Grounds::Assertion(assertion) => {
            vec![("grant_type", BEARER), ("assertion", assertion.expose())]
        }
    };
    if !scope.is_empty() {
        fields.push(("scope", &scope));
    }
    if let Some(resource) = &grant.resource {
        fields.push(("resource", resource));
    }
    if let Some(audience) = &grant.audience {
        fields.push(("audience", audience));
    }
    let endpoint = grant.token_endpoint.clone();
    let request = authenticated(endpoint, &grant.client, &fields, fresh)?;
    Ok(request.reach(grant.reach))
}
