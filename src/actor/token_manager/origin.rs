//! Where the next token of an account comes from: its refresh token, or a source that needs no
//! person. To the machine all of them are a refresh; only the first has anything to lose.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use super::TokenManager;
use crate::clock::Clock;
use crate::config::{Auth, ClientCredentials, HeaderForm, Resource, SecretSource, Upstream};
use crate::credential::{self, source};
use crate::model::fault::{RefreshFailure, TransientCause};
use crate::model::record::{ClientAuth, ClientOrigin, ClientRecord};
use crate::model::refresh::Restored;
use crate::model::token::NewTokens;
use crate::oauth::{
    Authority, ClientChoice, ClientPlan, DiscoveryFault, OwnGrant, Provider, ResourcePlan, choose,
};
use crate::store::Store;

type Renewal = LocalBoxFuture<'static, Result<NewTokens, RefreshFailure>>;

impl TokenManager {
    /// Whether the account has a credential of ours.
    pub(super) fn is_managed(&self) -> bool {
        self.upstream
            .as_ref()
            .is_some_and(|upstream| upstream.auth.is_managed())
    }

    /// The call that brings the next token; `None` where nobody is signed in.
    pub(super) fn renewal(&self) -> Option<Renewal> {
        let upstream = self.upstream.clone()?;
        let clock = Arc::clone(&self.deps.clock);
        let store = self.deps.store.clone();
        match &upstream.auth {
            Auth::Oauth(_) => Some(self.authority.refresh(self.grant.as_ref()?)),
            Auth::Static(stored) => {
                let place = stored.secret.clone();
                Some(Box::pin(
                    async move { secret(&place, &store, &*clock).await },
                ))
            }
            Auth::Exec(exec) => {
                let exec = exec.clone();
                Some(Box::pin(async move {
                    let printed = credential::run(&exec, || clock.now()).await;
                    let printed = printed.map_err(|fault| later(fault.into()))?;
                    let now = clock.now();
                    let end = printed.expires.unwrap_or(now.plus(exec.cache));
                    let mut tokens = NewTokens::bare(printed.token, now);
                    tokens.expires_in = Some(end.since(now));
                    Ok(tokens)
                }))
            }
            Auth::ClientCredentials(client) => Some(Box::pin(own_token(
                (**client).clone(),
                Arc::clone(&upstream),
                Rc::clone(&self.authority),
                store,
                clock,
            ))),
            Auth::Passthrough(_) | Auth::None => None,
        }
    }

    /// What the machine of an account without a sign-in begins with. Generations go on where a
    /// former manager of the account left off, so that requests on their way are not confused.
    pub(super) fn unattended(&self) -> Restored {
        Restored {
            generation: self.slot.accepted(),
            refreshable: true,
            ..Restored::default()
        }
    }

    /// What the field says that carries the credential.
    pub(super) fn form(&self) -> HeaderForm {
        match self.upstream.as_ref().map(|upstream| &upstream.auth) {
            Some(Auth::Static(stored)) => stored.format.clone(),
            _ => HeaderForm::default(),
        }
    }
}

async fn secret(
    place: &SecretSource,
    store: &Store,
    clock: &dyn Clock,
) -> Result<NewTokens, RefreshFailure> {
    let secret = source::read(place, store).await;
    let secret = secret.map_err(|fault| later(fault.into()))?;
    Ok(NewTokens::bare(secret.into(), clock.now()))
}

/// The client credentials grant, with a secret that is read each time and an endpoint that is
/// looked up each time: both may have changed since the last token.
async fn own_token(
    client: ClientCredentials,
    upstream: Arc<Upstream>,
    authority: Rc<dyn Authority>,
    store: Store,
    clock: Arc<dyn Clock>,
) -> Result<NewTokens, RefreshFailure> {
    let secret = source::read(&client.client_secret, &store).await;
    let secret = secret.map_err(|fault| later(fault.into()))?;
    let url = upstream.url.url();
    let fixed = match &client.resource {
        Resource::Auto => None,
        Resource::Off => Some(None),
        Resource::Value(value) => Some(Some(value.clone())),
    };
    let mut grant = if let Some(endpoint) = &client.token_endpoint {
        let record = ClientRecord {
            issuer: endpoint.to_string(),
            redirect_uri: String::new(),
            client_id: client.client_id.clone(),
            client_secret: Some(secret),
            secret_expires: None,
            auth: client.client_auth.unwrap_or(ClientAuth::Basic),
            origin: ClientOrigin::Configured,
            management: None,
            created: clock.now(),
        };
        let resource = fixed.unwrap_or_else(|| Some(upstream.url.as_str().to_owned()));
        OwnGrant::at(endpoint.clone(), record, resource)
    } else {
        let mut provider = Provider::discovered(url.clone(), String::new());
        provider.pins.issuer = client.issuer.as_ref().map(issuer);
        provider.client = ClientPlan::Configured {
            client_id: client.client_id.clone(),
            client_secret: Some(secret),
            auth: client.client_auth,
        };
        provider.resource = match &fixed {
            None => ResourcePlan::Auto,
            Some(None) => ResourcePlan::Off,
            Some(Some(value)) => ResourcePlan::Fixed(value.clone()),
        };
        let found = authority.discover(&provider, &[]).await;
        let found = found.map_err(|failure| match failure.fault {
            DiscoveryFault::Transient { cause, .. } => later(cause),
            fault => later(TransientCause::Discovery(fault.to_string())),
        })?;
        let choice = choose(&provider, &found, &[], clock.now());
        let record = match choice {
            Ok(ClientChoice::Use(record)) => *record,
            Ok(ClientChoice::Register) => {
                unreachable!("a configured client is never registered")
            }
            Err(failure) => {
                return Err(later(TransientCause::Discovery(failure.to_string())));
            }
        };
        OwnGrant::found(&found, record)
    };
    grant.scopes = client.scopes;
    grant.audience = client.audience;
    authority
        .own_token(grant)
        .await
        .map_err(|failure| match failure {
            // No person can sign in here: the client may be put right at the server.
            RefreshFailure::Rejected(code) => later(TransientCause::Code(code)),
            RefreshFailure::Ambiguous(cause) | RefreshFailure::RotatedOnly { cause, .. } => {
                later(cause)
            }
            transient @ RefreshFailure::Transient { .. } => transient,
        })
}

/// `url` writes a lone slash behind a host that issuers do not have.
fn issuer(url: &url::Url) -> String {
    match url.path() {
        "/" => url.as_str().trim_end_matches('/').to_owned(),
        _ => url.to_string(),
    }
}

fn later(cause: TransientCause) -> RefreshFailure {
    RefreshFailure::Transient {
        cause,
        retry_after: None,
    }
}
