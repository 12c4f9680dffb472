//! Where the next token of an account comes from: its refresh token, or a source that needs no
//! person. To the machine all of them are a refresh; only the first has anything to lose.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use super::{TokenManager, own};
use crate::clock::Clock;
use crate::config::{Auth, HeaderForm, Oauth, ProofSource, SecretSource};
use crate::credential::{self, source};
use crate::model::fault::{RefreshFailure, TransientCause};
use crate::model::record::{ClientOrigin, ClientRecord, GrantRecord};
use crate::model::refresh::Restored;
use crate::model::token::NewTokens;
use crate::oauth::Authority;
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
            Auth::Oauth(oauth) => {
                let grant = self.grant.clone()?;
                let authority = Rc::clone(&self.authority);
                match own_proof(oauth, &grant.client) {
                    Some(source) => Some(Box::pin(proved_now(source, grant, authority, store))),
                    None => Some(authority.refresh(&grant)),
                }
            }
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
            Auth::ClientCredentials(client) => Some(Box::pin(own::token(
                (**client).clone(),
                Arc::clone(&upstream),
                Rc::clone(&self.authority),
                store,
                clock,
                self.own_key().clone(),
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

/// Where the proof is of a client that the configuration still names: a key or a secret that was
/// renewed since the sign-in is good for its refreshes too.
pub(in crate::actor) fn own_proof(oauth: &Oauth, client: &ClientRecord) -> Option<ProofSource> {
    let named = client.origin == ClientOrigin::Configured
        && oauth.client_id.as_ref() == Some(&client.client_id);
    oauth.proof.clone().filter(|_| named)
}

/// A refresh with what the client proves itself with now. One that cannot be read is waited for: with
/// the one of before, the server may refuse the client for good, and the grant with it.
async fn proved_now(
    source: ProofSource,
    mut grant: GrantRecord,
    authority: Rc<dyn Authority>,
    store: Store,
) -> Result<NewTokens, RefreshFailure> {
    let read = credential::client::proof(&source, &store).await;
    grant
        .client
        .proves(read.map_err(|fault| later(fault.into()))?);
    authority.refresh(&grant).await
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

pub(super) fn later(cause: TransientCause) -> RefreshFailure {
    RefreshFailure::Transient {
        cause,
        retry_after: None,
    }
}
