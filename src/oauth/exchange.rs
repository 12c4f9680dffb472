//! Token exchange at an identity provider (RFC 8693) for an assertion that the resource's own
//! authorization server takes: the identity assertion authorization grant, ID-JAG
//! (draft-ietf-oauth-identity-assertion-authz-grant §4.3; MCP enterprise-managed authorization).

use serde_json::Value;
use url::Url;

use super::classify::{refusal, unsigned};
use super::token::{authenticated, read_error};
use crate::http::{Answer, OwnClient, Reach, Request, TransportFault};
use crate::jose::{Freshness, KeyFault};
use crate::model::fault::{RefreshFailure, TransientCause};
use crate::model::record::ClientRecord;
use crate::model::secret::Assertion;

/// `grant_type` (RFC 8693 §2.1).
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// `requested_token_type` of an ID-JAG.
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// What an identity provider is asked for.
#[derive(Clone, Debug)]
pub struct TokenExchange {
    /// Its token endpoint, which a person named.
    pub token_endpoint: Url,
    /// The client there.
    pub client: ClientRecord,
    /// The token of the person, or of the program, that is exchanged.
    pub subject: Assertion,
    /// What kind of token that is (RFC 8693 §3).
    pub subject_type: String,
    /// The issuer of the authorization server that the assertion is for.
    pub audience: String,
    /// The resource that is to be used in the end.
    pub resource: Option<String>,
    /// The scopes to ask for; none are named where this is empty.
    pub scopes: Vec<String>,
}

fn request(exchange: &TokenExchange, fresh: &Freshness) -> Result<Request, KeyFault> {
    let scope = exchange.scopes.join(" ");
    let mut fields = vec![
        ("grant_type", GRANT),
        ("requested_token_type", ID_JAG),
        ("audience", exchange.audience.as_str()),
        ("subject_token", exchange.subject.expose()),
        ("subject_token_type", exchange.subject_type.as_str()),
    ];
    if let Some(resource) = &exchange.resource {
        fields.push(("resource", resource));
    }
    if !scope.is_empty() {
        fields.push(("scope", &scope));
    }
    let endpoint = exchange.token_endpoint.clone();
    let request = authenticated(endpoint, &exchange.client, &fields, fresh)?;
    Ok(request.reach(Reach::ANYWHERE))
}

/// Exchanges a token for an assertion.
pub(super) async fn exchange(
    client: OwnClient,
    exchange: TokenExchange,
    fresh: Freshness,
) -> Result<Assertion, RefreshFailure> {
    let request = request(&exchange, &fresh).map_err(unsigned)?;
    read(client.send(request).await)
}

/// RFC 8693 §2.2.1. What is called `access_token` there is no access token: it is sent nowhere but
/// to the server that it is for.
fn read(result: Result<Answer, TransportFault>) -> Result<Assertion, RefreshFailure> {
    if let Ok(answer) = &result
        && (200..300).contains(&answer.status)
        && read_error(&answer.body).is_none()
    {
        let malformed = |what| RefreshFailure::Transient {
            cause: TransientCause::Malformed(what),
            retry_after: None,
        };
        let Ok(Value::Object(document)) = serde_json::from_slice(&answer.body) else {
            return Err(malformed("it is not a JSON object"));
        };
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        if text("issued_token_type") != Some(ID_JAG) {
            return Err(malformed("it is another kind of token than was asked for"));
        }
        return match text("access_token") {
            Some(token) if !token.is_empty() => Ok(Assertion::new(token)),
            _ => Err(malformed("it holds no assertion")),
        };
    }
    Err(refusal(result))
}
