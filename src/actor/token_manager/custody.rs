//! What comes back from a refresh: taken into custody, made durable, published, or, when nobody
//! is signed in any more, given back.

use actix::prelude::*;
use tracing::{debug, info, warn};

use super::salvage::Salvage;
use super::{Held, TokenManager, identity_of};
use crate::failpoint;
use crate::ledger::Published;
use crate::model::id::Generation;
use crate::model::record::GrantRecord;
use crate::model::refresh::Event;
use crate::model::secret::AccessToken;
use crate::model::time::Timestamp;
use crate::model::token::{Credential, NewTokens};

impl TokenManager {
    /// Presents the refresh token, in a task of the actor's own.
    pub(super) fn call(&mut self, epoch: u64, attempt: u32, ctx: &mut Context<Self>) {
        let Some(grant) = self.grant.clone() else {
            return;
        };
        failpoint::here!("refresh.call");
        debug!(account = %self.account, attempt, "refreshing");
        let call = self.authority.refresh(&grant);
        let (clock, presented) = (self.deps.clock.clone(), grant.clone());
        let mut salvage = self
            .salvage
            .take()
            .unwrap_or_else(|| Salvage::new(self.deps.store.clone(), grant.refresh.clone()));
        let call = async move {
            let result = call.await;
            if let Ok(tokens) = &result {
                let mut renewed = renewed(presented, tokens, clock.now());
                renewed.generation = renewed.generation.next();
                salvage.hold(renewed);
            }
            (result, salvage)
        };
        ctx.spawn(
            call.into_actor(self)
                .map(move |(result, salvage), act, ctx| {
                    failpoint::here!("refresh.answer");
                    let now = act.deps.clock.now();
                    if epoch != act.machine.epoch() {
                        Salvage::release(Some(salvage));
                        act.discard(grant, result.ok(), ctx);
                        return;
                    }
                    act.salvage = Some(salvage);
                    let event = match result {
                        Ok(tokens) => {
                            let rotated = tokens.refresh.is_some();
                            let (issued, expires) = act.take(tokens, now);
                            Event::Refreshed {
                                epoch,
                                issued,
                                expires,
                                rotated,
                            }
                        }
                        Err(failure) => {
                            warn!(account = %act.account, %failure, "refresh failed");
                            Event::Failed { epoch, failure }
                        }
                    };
                    act.event(event, ctx);
                }),
        );
    }

    /// A refresh that ended after a sign-out: nobody may go on holding what it brought.
    fn discard(&mut self, grant: GrantRecord, tokens: Option<NewTokens>, ctx: &mut Context<Self>) {
        let Some(tokens) = tokens else { return };
        let late = GrantRecord {
            refresh: tokens.refresh.or(grant.refresh.clone()),
            ..grant
        };
        if self.grant.is_none() {
            let revoke = self.authority.revoke(&late, Some(&tokens.access));
            ctx.spawn(revoke.into_actor(self).map(|_, _, _| ()));
        }
    }

    /// Takes new tokens into custody; tells when they were issued and when they end.
    fn take(&mut self, tokens: NewTokens, now: Timestamp) -> (Timestamp, Option<Timestamp>) {
        let (issued, expires) = life_of(&tokens, now);
        self.grant = self.grant.take().map(|grant| renewed(grant, &tokens, now));
        self.held = Some(Held {
            access: tokens.access,
            issued,
        });
        (issued, expires)
    }

    /// The same for a sign-in, whose grant is durable already.
    pub(in crate::actor) fn take_grant(
        &mut self,
        grant: GrantRecord,
        access: AccessToken,
        ctx: &mut Context<Self>,
    ) {
        let (issued, expires) = (grant.refreshed, grant.expires);
        let (generation, refreshable) = (grant.generation, grant.refresh.is_some());
        self.held = Some(Held { access, issued });
        Salvage::release(self.salvage.take());
        // A refresh never tells the slot: it goes on with a sign-in.
        self.slot.signed_in(identity_of(&grant));
        self.grant = Some(grant);
        self.event(
            Event::SignedIn {
                generation,
                issued,
                expires,
                refreshable,
            },
            ctx,
        );
    }

    pub(super) fn save(&mut self, epoch: u64, generation: Generation, ctx: &mut Context<Self>) {
        let Some(grant) = &mut self.grant else { return };
        grant.generation = generation;
        let (store, grant) = (self.deps.store.clone(), grant.clone());
        let salvage = self.salvage.take();
        let write = async move {
            let kept = store.put_grant(grant).await;
            failpoint::here!("refresh.committed");
            (kept, salvage)
        };
        ctx.spawn(write.into_actor(self).map(move |(kept, salvage), act, ctx| {
            let event = match kept {
                Ok(()) => {
                    Salvage::release(salvage);
                    Event::Saved { epoch, generation }
                }
                Err(error) => {
                    warn!(account = %act.account, %error, "the refreshed sign-in is not saved yet");
                    act.salvage = act.salvage.take().or(salvage);
                    Event::SaveFailed { epoch, generation }
                }
            };
            act.event(event, ctx);
        }));
    }

    pub(super) fn publish(
        &mut self,
        generation: Generation,
        expires: Option<Timestamp>,
        refresh_at: Timestamp,
    ) {
        failpoint::here!("refresh.publish");
        let Some(held) = &self.held else { return };
        let access = held.access.clone();
        let credential = Credential {
            access,
            issued: held.issued,
            expires,
            generation,
        };
        // Twice, since a published credential belongs to the slot and answers need it as well.
        match Published::bearer(&credential, refresh_at) {
            Ok(published) => {
                let url = self.grant.as_ref().map(|grant| &grant.upstream_url);
                self.slot.publish(match url {
                    Some(url) => published.for_upstream(url),
                    None => published,
                });
                self.published = self.slot.load();
                info!(account = %self.account, %generation, "credential published");
                failpoint::here!("refresh.published");
            }
            Err(error) => warn!(account = %self.account, %error, "the credential is unusable"),
        }
    }
}

/// When tokens that came by `now` were issued, and when they end.
fn life_of(tokens: &NewTokens, now: Timestamp) -> (Timestamp, Option<Timestamp>) {
    let issued = tokens.received.min(now);
    (issued, tokens.expires_in.map(|life| issued.plus(life)))
}

/// The grant with what a refresh brought; a missing refresh token means "keep the one there is".
fn renewed(grant: GrantRecord, tokens: &NewTokens, now: Timestamp) -> GrantRecord {
    let (refreshed, expires) = life_of(tokens, now);
    GrantRecord {
        refresh: tokens.refresh.clone().or(grant.refresh),
        scopes: tokens.scopes.clone().unwrap_or(grant.scopes),
        identity: tokens.identity.clone().or(grant.identity),
        refreshed,
        expires,
        ..grant
    }
}
