//! What comes back from a refresh: taken into custody, made durable, published, or, when nobody
//! is signed in any more, given back.

use std::sync::Arc;

use actix::prelude::*;
use tracing::{debug, info, warn};

use super::salvage::Salvage;
use super::{Held, TokenManager, identity_of};
use crate::config::HeaderForm;
use crate::failpoint;
use crate::jose::{Freshness, KeyFault, Prover, TokenHash};
use crate::ledger::{Bound, Published};
use crate::model::fault::RefreshFailure;
use crate::model::id::Generation;
use crate::model::record::GrantRecord;
use crate::model::refresh::Event;
use crate::model::secret::AccessToken;
use crate::model::time::Timestamp;
use crate::model::token::{Credential, NewTokens, TokenKind};

impl TokenManager {
    /// Presents the refresh token, in a task of the actor's own.
    pub(super) fn call(&mut self, epoch: u64, attempt: u32, ctx: &mut Context<Self>) {
        let Some(call) = self.renewal() else {
            return;
        };
        let grant = self.grant.clone();
        failpoint::here!("refresh.call");
        debug!(account = %self.account, attempt, "refreshing");
        let (clock, presented) = (self.deps.clock.clone(), grant.clone());
        let mut salvage = self.salvage.take().or_else(|| {
            let stored = grant.as_ref()?.refresh.clone();
            Some(Salvage::new(self.deps.store.clone(), stored))
        });
        let call = async move {
            let result = call.await;
            if let (Some(salvage), Some(presented)) = (&mut salvage, presented)
                && let Some(brought) = brought(presented, &result, clock.now())
            {
                salvage.hold(brought);
            }
            (result, salvage)
        };
        ctx.spawn(
            call.into_actor(self)
                .map(move |(result, salvage), act, ctx| {
                    failpoint::here!("refresh.answer");
                    let now = act.deps.clock.now();
                    if epoch != act.machine.epoch() {
                        Salvage::release(salvage);
                        act.discard(grant, result, ctx);
                        return;
                    }
                    act.salvage = salvage;
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
                            if let RefreshFailure::RotatedOnly { refresh, .. } = &failure
                                && let Some(grant) = &mut act.grant
                            {
                                grant.refresh = Some(refresh.clone());
                            }
                            Event::Failed { epoch, failure }
                        }
                    };
                    act.event(event, ctx);
                }),
        );
    }

    /// A refresh that ended after a sign-out: nobody may go on holding what it brought.
    fn discard(
        &mut self,
        grant: Option<GrantRecord>,
        result: Result<NewTokens, RefreshFailure>,
        ctx: &mut Context<Self>,
    ) {
        let Some(grant) = grant else { return };
        let (refresh, access) = match result {
            Ok(tokens) => (tokens.refresh, Some(tokens.access)),
            Err(RefreshFailure::RotatedOnly { refresh, .. }) => (Some(refresh), None),
            Err(_) => return,
        };
        let late = GrantRecord {
            refresh: refresh.or(grant.refresh.clone()),
            ..grant
        };
        if self.grant.is_none() {
            let revoke = self.authority.revoke(&late, access.as_ref());
            ctx.spawn(revoke.into_actor(self).map(|_, _, _| ()));
        }
    }

    /// Takes new tokens into custody; tells when they were issued and when they end.
    fn take(&mut self, tokens: NewTokens, now: Timestamp) -> (Timestamp, Option<Timestamp>) {
        let (issued, expires) = life_of(&tokens, now);
        self.grant = self.grant.take().map(|grant| renewed(grant, &tokens, now));
        self.held = Some(Held {
            access: tokens.access,
            kind: tokens.kind,
            issued,
        });
        (issued, expires)
    }

    /// The same for a sign-in, whose grant is durable already.
    pub(in crate::actor) fn take_grant(
        &mut self,
        grant: GrantRecord,
        access: AccessToken,
        kind: TokenKind,
        ctx: &mut Context<Self>,
    ) {
        let (issued, expires) = (grant.refreshed, grant.expires);
        let (generation, refreshable) = (grant.generation, grant.refresh.is_some());
        self.held = Some(Held {
            access,
            kind,
            issued,
        });
        Salvage::release(self.salvage.take());
        // A refresh never tells the slot: it goes on with a sign-in.
        self.slot.signed_in(identity_of(&grant));
        self.stored.clone_from(&grant.refresh);
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
        let Some(grant) = &mut self.grant else {
            // What comes from elsewhere has no copy here that could be lost.
            let nothing = std::future::ready(());
            return self.then(nothing, ctx, move |()| Event::Saved { epoch, generation });
        };
        grant.generation = generation;
        let (store, grant) = (self.deps.store.clone(), grant.clone());
        let salvage = self.salvage.take();
        let brought = grant.refresh.clone();
        let write = async move {
            let kept = store.put_grant(grant).await;
            failpoint::here!("refresh.committed");
            (kept, salvage)
        };
        ctx.spawn(write.into_actor(self).map(move |(kept, salvage), act, ctx| {
            let event = match kept {
                Ok(()) => {
                    Salvage::release(salvage);
                    act.stored = brought;
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
        let (access, kind) = (held.access.clone(), held.kind);
        let bound = match kind {
            TokenKind::Bearer => None,
            TokenKind::Dpop => {
                let hash = TokenHash::of(&access);
                match self.prover() {
                    Ok(prover) => Some(Bound { prover, hash }),
                    Err(fault) => {
                        warn!(account = %self.account, %fault, "the credential is unusable");
                        return;
                    }
                }
            }
        };
        let Some(held) = &self.held else { return };
        let credential = Credential {
            access,
            issued: held.issued,
            expires,
            generation,
        };
        // Twice, since a published credential belongs to the slot and answers need it as well.
        let form = match kind {
            TokenKind::Bearer => self.form(),
            TokenKind::Dpop => HeaderForm {
                before: "DPoP ".to_owned(),
                after: String::new(),
            },
        };
        match Published::formed(&credential, refresh_at, &form.before, &form.after) {
            Ok(published) => {
                let published = match bound {
                    Some(bound) => published.bound_by(bound),
                    None => published,
                };
                let url = match (&self.grant, &self.upstream) {
                    (Some(grant), _) => Some(grant.upstream_url.clone()),
                    (None, Some(upstream)) => Some(upstream.url.url().to_string()),
                    (None, None) => None,
                };
                let published = match &self.grant {
                    Some(grant) => published.of_sign_in(grant.signed_in),
                    None => published,
                };
                self.slot.publish(match &url {
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

impl TokenManager {
    /// What proves possession of the key of the grant, or of our own where nobody signs in: the same
    /// as long as the key is, for the nonces that it knows.
    fn prover(&mut self) -> Result<Arc<Prover>, KeyFault> {
        let key = match &self.grant {
            Some(grant) => grant.dpop.clone().ok_or(KeyFault::NoKey)?,
            None => self.own_key().clone(),
        };
        if let Some((known, prover)) = &self.prover
            && *known == key
        {
            return Ok(Arc::clone(prover));
        }
        let (clock, random) = (self.deps.clock.clone(), self.deps.random.clone());
        let prover = Arc::new(Prover::new(&key, Freshness::new(clock, random))?);
        self.prover = Some((key, Arc::clone(&prover)));
        Ok(prover)
    }
}

/// When tokens that came by `now` were issued, and when they end.
fn life_of(tokens: &NewTokens, now: Timestamp) -> (Timestamp, Option<Timestamp>) {
    let issued = tokens.received.min(now);
    (issued, tokens.expires_in.map(|life| issued.plus(life)))
}

/// What is to be stored of an answer, if anything is.
fn brought(
    grant: GrantRecord,
    result: &Result<NewTokens, RefreshFailure>,
    now: Timestamp,
) -> Option<GrantRecord> {
    match result {
        Ok(tokens) => {
            let mut renewed = renewed(grant, tokens, now);
            renewed.generation = renewed.generation.next();
            Some(renewed)
        }
        Err(RefreshFailure::RotatedOnly { refresh, .. }) => Some(GrantRecord {
            refresh: Some(refresh.clone()),
            ..grant
        }),
        Err(_) => None,
    }
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
