//! Where the next token of an account comes from: its refresh token, or a source that needs no
//! person. To the machine all of them are a refresh; only the first has anything to lose.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use super::{TokenManager, own};
use crate::clock::Clock;
use crate::config::{Auth, HeaderForm, SecretSource};
use crate::credential::{self, source};
use crate::model::fault::{RefreshFailure, TransientCause};
use crate::model::refresh::Restored;
use crate::model::token::NewTokens;
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
            Auth::ClientCredentials(client) => Some(Box::pin(own::token(
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

pub(super) fn later(cause: TransientCause) -> RefreshFailure {
    RefreshFailure::Transient {
        cause,
        retry_after: None,
    }
}
