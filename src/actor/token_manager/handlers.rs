//! What the manager is told and asked.

use std::rc::Rc;

use actix::prelude::*;
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::{Answer, TokenManager, policies};
use crate::actor::death::Alive;
use crate::actor::directory::Stop;
use crate::actor::{
    Abandon, Ask, ClientFate, ForceRefresh, Logout, LogoutReport, Nudge, PATIENCE, Reconfigure,
    Settle, Status,
};
use crate::failpoint;
use crate::model::fault::{CredentialError, LoginReason};
use crate::model::record::{ClientOrigin, ClientRecord, GrantRecord, SignedOutRecord};
use crate::model::refresh::{Event, Waiter};
use crate::oauth::{Authority, Revocation};
use crate::store::{Store, StoreError};

impl Handler<Ask> for TokenManager {
    type Result = ResponseFuture<Option<Answer>>;

    fn handle(&mut self, ask: Ask, ctx: &mut Self::Context) -> Self::Result {
        if !self.is_managed() {
            let nothing = self.published.clone().ok_or(CredentialError::TimedOut);
            return Box::pin(async move { Some(nothing) });
        }
        let receiver = self.wait(ask.waiter);
        let event = Event::Ask {
            waiter: Waiter(ask.waiter),
            rejected: ask.rejected,
            accepted: self.slot.accepted(),
            vain: self.slot.vain(),
            deadline: self.deps.clock.now().plus(PATIENCE),
        };
        self.event(event, ctx);
        Box::pin(async move { receiver.await.ok() })
    }
}

impl Handler<Abandon> for TokenManager {
    type Result = ();

    fn handle(&mut self, Abandon(waiter): Abandon, ctx: &mut Self::Context) {
        self.waiters.remove(&waiter);
        self.event(Event::Abandon(Waiter(waiter)), ctx);
    }
}

impl Handler<Nudge> for TokenManager {
    type Result = ();

    fn handle(&mut self, _: Nudge, ctx: &mut Self::Context) {
        if self.is_managed() {
            self.event(Event::Nudge, ctx);
        }
    }
}

impl Handler<ForceRefresh> for TokenManager {
    type Result = ResponseFuture<Answer>;

    fn handle(&mut self, force: ForceRefresh, ctx: &mut Self::Context) -> Self::Result {
        let receiver = self.wait(force.waiter);
        self.event(
            Event::Force {
                waiter: Waiter(force.waiter),
            },
            ctx,
        );
        Box::pin(async move { receiver.await.unwrap_or(Err(CredentialError::TimedOut)) })
    }
}

impl Handler<Alive> for TokenManager {
    type Result = ();

    fn handle(&mut self, _: Alive, _: &mut Self::Context) {}
}

impl Handler<Status> for TokenManager {
    type Result = MessageResult<Status>;

    fn handle(&mut self, _: Status, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.status())
    }
}

impl Handler<Settle> for TokenManager {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Settle, _: &mut Self::Context) -> Self::Result {
        if self.machine.is_settled() {
            return Box::pin(async {});
        }
        let (sender, receiver) = oneshot::channel();
        self.settling.push(sender);
        Box::pin(async move {
            let _ = receiver.await;
        })
    }
}

impl Handler<Logout> for TokenManager {
    type Result = ResponseActFuture<Self, Result<LogoutReport, StoreError>>;

    fn handle(&mut self, logout: Logout, ctx: &mut Self::Context) -> Self::Result {
        let now = self.deps.clock.now();
        self.abandon_sign_in();
        let reason = LoginReason::SignedOut { at: now };
        let grant = self.grant.take();
        let access = self.held.as_ref().map(|held| held.access.clone());
        // First nobody is served with it any more, then the provider is told, then it is forgotten.
        self.event(Event::SignedOut(reason.clone()), ctx);
        self.drop_credential();
        let record = SignedOutRecord {
            account: self.account.clone(),
            reason,
        };
        let (store, account) = (self.deps.store.clone(), self.account.clone());
        let authority = Rc::clone(&self.authority);
        let revoke = match &grant {
            Some(grant) if !logout.local => Some(self.authority.revoke(grant, access.as_ref())),
            _ => None,
        };
        // While the newest token is not saved, the store holds the one before.
        let stored = self.stored.take();
        let held = grant.as_ref().map(|grant| grant.refresh.clone());
        let work = async move {
            failpoint::here!("logout.begun");
            let said = match revoke {
                Some(revoke) => Some(revoke.await),
                None => None,
            };
            failpoint::here!("logout.told");
            match held {
                // A sign-in that came in while the provider took its time is another one.
                Some(Some(token)) => {
                    let tokens = stored.into_iter().chain([token]).collect();
                    store
                        .delete_grant_if_among(&account, tokens, record)
                        .await?;
                }
                Some(None) | None => store.delete_grant(&account, record).await?,
            }
            failpoint::here!("logout.committed");
            info!(%account, "signed out");
            if let Some(grant) = &grant
                && !logout.local
                && logout.client == ClientFate::GiveBack
            {
                give_back(&grant.client, &store, &*authority).await;
            }
            Ok(match grant {
                Some(_) => LogoutReport::Forgotten(said),
                None => LogoutReport::NothingHeld,
            })
        };
        Box::pin(work.into_actor(self))
    }
}

/// Deletes a registration of ours that no sign-in uses any more. One that the server keeps is kept
/// here as well: the next sign-in would leave another one behind otherwise.
async fn give_back(client: &ClientRecord, store: &Store, authority: &dyn Authority) {
    if client.origin != ClientOrigin::Registered {
        return;
    }
    let used = |grant: &GrantRecord| {
        (&grant.client.issuer, &grant.client.client_id) == (&client.issuer, &client.client_id)
    };
    match store.grants().await {
        Ok(grants) if !grants.iter().any(|(grant, _)| used(grant)) => {}
        Ok(_) | Err(_) => return,
    }
    let said = authority.deregister(client).await;
    if said != Revocation::Done {
        debug!(issuer = client.issuer, ?said, "the registration stays");
        return;
    }
    match store.delete_client(&client.issuer, &client.client_id).await {
        Ok(()) => info!(issuer = client.issuer, "the registration was deleted"),
        Err(error) => warn!(%error, "a deleted registration is still stored"),
    }
}

impl Handler<Stop> for TokenManager {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.abandon_sign_in();
        if self.machine.is_settled() {
            ctx.stop();
            return;
        }
        // The answer on its way may be the only copy of a rotated token.
        let (sender, receiver) = oneshot::channel();
        self.settling.push(sender);
        let settled = async move {
            let _ = receiver.await;
        };
        ctx.spawn(
            settled
                .into_actor(self)
                .map(|(), _, ctx: &mut Context<Self>| ctx.stop()),
        );
    }
}

impl Handler<Reconfigure> for TokenManager {
    type Result = ();

    fn handle(&mut self, _: Reconfigure, _: &mut Self::Context) {
        let config = self.deps.config.load_full();
        let upstream = config.upstreams.get(&self.account.upstream).cloned();
        if upstream != self.upstream {
            self.authority = (self.deps.authority)(upstream.as_deref());
            self.upstream = upstream;
        }
        let (policy, retry) = policies(&self.deps);
        self.machine.set_policy(policy, retry);
    }
}
