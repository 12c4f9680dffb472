//! Tokens that doorward gets in its own name (RFC 6749 §4.4): no person, no refresh token.

use url::Url;

use super::Discovered;
use super::token::authenticated;
use crate::http::{Reach, Request};
use crate::model::record::ClientRecord;

/// Everything a client credentials request needs.
#[derive(Clone, Debug)]
pub struct OwnGrant {
    /// The token endpoint.
    pub token_endpoint: Url,
    reach: Reach,
    /// The client and its secret.
    pub client: ClientRecord,
    /// The scopes to ask for; none are named where this is empty.
    pub scopes: Vec<String>,
    /// The `resource` parameter (RFC 8707).
    pub resource: Option<String>,
    /// The `audience` parameter, which some servers want.
    pub audience: Option<String>,
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

/// The request of RFC 6749 §4.4.2.
pub(super) fn request(grant: &OwnGrant) -> Request {
    let scope = grant.scopes.join(" ");
    let mut fields = vec![("grant_type", "client_credentials")];
    if !scope.is_empty() {
        fields.push(("scope", &scope));
    }
    if let Some(resource) = &grant.resource {
        fields.push(("resource", resource));
    }
    if let Some(audience) = &grant.audience {
        fields.push(("audience", audience));
    }
    authenticated(grant.token_endpoint.clone(), &grant.client, &fields).reach(grant.reach)
}
