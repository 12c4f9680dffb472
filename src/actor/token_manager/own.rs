//! Tokens that doorward asks for itself: as a client of its own, or with an assertion of somebody
//! else. Secrets are read and endpoints are looked up each time: both may have changed since the
//! last token.

use std::rc::Rc;
use std::sync::Arc;

use url::Url;

use super::origin::later;
use crate::clock::Clock;
use crate::config::{
    ClientCredentials, Grounds, IdentityProvider, ProofSource, Resource, Upstream,
};
use crate::credential::{client, source};
use crate::model::fault::{RefreshFailure, TransientCause};
use crate::model::record::{ClientAuth, ClientOrigin, ClientProof, ClientRecord};
use crate::model::secret::{Assertion, PrivateKey};
use crate::model::time::Timestamp;
use crate::model::token::NewTokens;
use crate::oauth::{
    self, Authority, ClientChoice, ClientPlan, DiscoveryFault, OwnGrant, Provider, ResourcePlan,
    TokenExchange, choose,
};
use crate::store::Store;

/// The next token of an upstream of these kinds; bound to `key` where the upstream wants that.
pub(super) async fn token(
    asked: ClientCredentials,
    upstream: Arc<Upstream>,
    authority: Rc<dyn Authority>,
    store: Store,
    clock: Arc<dyn Clock>,
    key: PrivateKey,
) -> Result<NewTokens, RefreshFailure> {
    let proof = proof(asked.proof.as_ref(), &store).await?;
    let mut grant = if let Some(endpoint) = &asked.token_endpoint {
        let own = Identity {
            id: &asked.client_id,
            auth: asked.client_auth,
            issuer: asked.issuer.as_ref(),
        };
        let record = own.at(endpoint, proof, clock.now());
        let resource = match &asked.resource {
            Resource::Auto => Some(upstream.url.as_str().to_owned()),
            Resource::Off => None,
            Resource::Value(value) => Some(value.clone()),
        };
        OwnGrant::at(endpoint.clone(), record, resource)
    } else {
        found(&asked, &upstream, proof, key, &*authority, &*clock).await?
    };
    grant.grounds = match &asked.grounds {
        Grounds::Client => oauth::Grounds::Client,
        Grounds::Assertion(place) => oauth::Grounds::Assertion(assertion(place, &store).await?),
        Grounds::Exchange(idp) => {
            let exchange = exchange(idp, &grant, &asked.scopes, &store, clock.now()).await?;
            let had = authority.exchange_token(exchange).await;
            oauth::Grounds::Assertion(had.map_err(|failure| match lasting(failure) {
                RefreshFailure::Transient { cause, retry_after } => RefreshFailure::Transient {
                    cause: TransientCause::AtProvider(Box::new(cause)),
                    retry_after,
                },
                other => other,
            })?)
        }
    };
    grant.scopes = asked.scopes;
    grant.audience = asked.audience;
    authority.own_token(grant).await.map_err(lasting)
}

/// Of a server that was discovered.
async fn found(
    asked: &ClientCredentials,
    upstream: &Upstream,
    proof: Option<ClientProof>,
    key: PrivateKey,
    authority: &dyn Authority,
    clock: &dyn Clock,
) -> Result<OwnGrant, RefreshFailure> {
    let mut provider = Provider::discovered(upstream.url.url().clone(), String::new());
    provider.pins.issuer = asked.issuer.as_ref().map(issuer);
    provider.client = ClientPlan::Configured {
        client_id: asked.client_id.clone(),
        proof,
        auth: asked.client_auth,
    };
    provider.resource = match &asked.resource {
        Resource::Auto => ResourcePlan::Auto,
        Resource::Off => ResourcePlan::Off,
        Resource::Value(value) => ResourcePlan::Fixed(value.clone()),
    };
    let found = authority.discover(&provider, &[]).await;
    let found = found.map_err(|failure| match failure.fault {
        DiscoveryFault::Transient { cause, .. } => later(cause),
        fault => later(TransientCause::Discovery(fault.to_string())),
    })?;
    match choose(&provider, &found, &[], clock.now()) {
        Ok(ClientChoice::Use(record)) => {
            let mut grant = OwnGrant::found(&found, *record);
            grant.dpop = Some(key).filter(|_| found.bound);
            Ok(grant)
        }
        Ok(ClientChoice::Register) => unreachable!("a configured client is never registered"),
        Err(failure) => Err(later(TransientCause::Discovery(failure.to_string()))),
    }
}

/// The request to the identity provider. The assertion is addressed to the authorization server
/// and names the resource (MCP enterprise-managed authorization, OC-59).
async fn exchange(
    idp: &IdentityProvider,
    grant: &OwnGrant,
    scopes: &[String],
    store: &Store,
    now: Timestamp,
) -> Result<TokenExchange, RefreshFailure> {
    let proof = proof(idp.proof.as_ref(), store).await?;
    let own = Identity {
        id: &idp.client_id,
        auth: idp.client_auth,
        issuer: idp.issuer.as_ref(),
    };
    Ok(TokenExchange {
        token_endpoint: idp.token_endpoint.clone(),
        client: own.at(&idp.token_endpoint, proof, now),
        subject: assertion(&idp.subject, store).await?,
        subject_type: idp.subject_type.clone(),
        audience: grant.client.issuer.clone(),
        resource: grant.resource.clone(),
        scopes: scopes.to_vec(),
    })
}

/// A client of the configuration at an endpoint of the configuration.
struct Identity<'c> {
    id: &'c str,
    auth: Option<ClientAuth>,
    issuer: Option<&'c Url>,
}

impl Identity<'_> {
    fn at(&self, endpoint: &Url, proof: Option<ClientProof>, now: Timestamp) -> ClientRecord {
        let (client_secret, key, usual) = match proof {
            None => (None, None, ClientAuth::None),
            Some(ClientProof::Secret(secret)) => (Some(secret), None, ClientAuth::Basic),
            Some(ClientProof::Key(key)) => (None, Some(key), ClientAuth::PrivateKeyJwt),
        };
        ClientRecord {
            // What a key signs is addressed to it.
            issuer: match self.issuer {
                Some(named) => issuer(named),
                None => endpoint.to_string(),
            },
            redirect_uri: String::new(),
            client_id: self.id.to_owned(),
            client_secret,
            key,
            secret_expires: None,
            auth: self.auth.unwrap_or(usual),
            origin: ClientOrigin::Configured,
            management: None,
            created: now,
        }
    }
}

async fn proof(
    source: Option<&ProofSource>,
    store: &Store,
) -> Result<Option<ClientProof>, RefreshFailure> {
    let Some(source) = source else {
        return Ok(None);
    };
    let read = client::proof(source, store).await;
    read.map(Some).map_err(|fault| later(fault.into()))
}

async fn assertion(
    place: &crate::config::SecretSource,
    store: &Store,
) -> Result<Assertion, RefreshFailure> {
    let read = source::read(place, store).await;
    read.map(Assertion::from)
        .map_err(|fault| later(fault.into()))
}

/// No person can sign in here: what was refused may be put right at the server.
fn lasting(failure: RefreshFailure) -> RefreshFailure {
    match failure {
        RefreshFailure::Rejected(code) => later(TransientCause::Code(code)),
        RefreshFailure::Ambiguous(cause) | RefreshFailure::RotatedOnly { cause, .. } => {
            later(cause)
        }
        transient @ RefreshFailure::Transient { .. } => transient,
    }
}

/// `url` writes a lone slash behind a host that issuers do not have.
fn issuer(url: &Url) -> String {
    match url.path() {
        "/" => url.as_str().trim_end_matches('/').to_owned(),
        _ => url.to_string(),
    }
}
