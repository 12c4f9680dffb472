//! One actor per upstream account: the only one that presents its refresh token. It turns
//! messages into events of `model::refresh::Machine` and carries the effects out in their order.
//! Nothing here awaits while it holds state: work runs beside the actor and comes back as an event,
//! so that a caller that hangs up takes nothing with it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;
use tracing::warn;

use crate::clock::random_u64;
use crate::config::Upstream;
use crate::failpoint;
use crate::jose::{Prover, SigningKey};
use crate::ledger::{Published, Slot};
use crate::model::fault::{CredentialError, TransientCause};
use crate::model::id::AccountRef;
use crate::model::mcp::Identity;
use crate::model::record::{GrantRecord, RefreshIntent, SignedOutRecord};
use crate::model::refresh::{Demand, Effect, Event, Machine, Restored, RetryPolicy, Waiter};
use crate::model::secret::{AccessToken, PrivateKey, RefreshToken};
use crate::model::time::Timestamp;
use crate::model::token::{TokenKind, TokenPolicy};
use crate::oauth::Authority;
use crate::store::StoreError;

use super::Deps;
use super::account::AccountStatus;
use super::death::DeathNotice;
use super::sign_in::SignIn;

mod custody;
mod handlers;
mod life;
mod origin;
mod own;
mod salvage;

use salvage::Salvage;

/// An access token as it came.
pub(super) struct Held {
    access: AccessToken,
    kind: TokenKind,
    issued: Timestamp,
}

type Answer = Result<Arc<Published>, CredentialError>;

/// The actor of one upstream account.
pub struct TokenManager {
    pub(super) account: AccountRef,
    pub(super) deps: Deps,
    pub(super) upstream: Option<Arc<Upstream>>,
    pub(super) authority: Rc<dyn Authority>,
    pub(super) machine: Machine,
    pub(super) grant: Option<GrantRecord>,
    pub(super) sign_in: SignIn,
    held: Option<Held>,
    /// The refresh token in the store, which is an older one while the newest is not saved.
    stored: Option<RefreshToken>,
    /// What proves possession of the key of the grant.
    prover: Option<(PrivateKey, Arc<Prover>)>,
    /// The key of tokens that no person signs in for, made when it is wanted: they end with this
    /// manager, and so may it.
    own_key: OnceCell<PrivateKey>,
    salvage: Option<Salvage>,
    slot: Arc<Slot>,
    published: Option<Arc<Published>>,
    waiters: HashMap<u64, oneshot::Sender<Answer>>,
    settling: Vec<oneshot::Sender<()>>,
    before: Option<Addr<Self>>,
    wake: Option<SpawnHandle>,
    notice: DeathNotice,
}

impl TokenManager {
    /// The manager of `account`; what is stored of it is loaded before the first message, and
    /// not `before` another manager of it, which was told to stop, has written its last.
    pub(super) fn new(
        account: AccountRef,
        deps: Deps,
        before: Option<Addr<Self>>,
        notice: DeathNotice,
    ) -> Self {
        let config = deps.config.load();
        let upstream = config.upstreams.get(&account.upstream).cloned();
        let (policy, retry) = policies(&deps);
        let slot = deps.ledger.slot(&account);
        let authority = (deps.authority)(upstream.as_deref());
        Self {
            account,
            upstream,
            authority,
            machine: Machine::new(policy, retry, Restored::default()),
            grant: None,
            sign_in: SignIn::default(),
            held: None,
            stored: None,
            prover: None,
            own_key: OnceCell::new(),
            salvage: None,
            slot,
            published: None,
            waiters: HashMap::new(),
            settling: Vec::new(),
            before,
            wake: None,
            notice,
            deps,
        }
    }

    /// Whether a person signs in to the upstream.
    pub(super) fn is_oauth(&self) -> bool {
        self.upstream
            .as_ref()
            .is_some_and(|upstream| upstream.auth.oauth().is_some())
    }

    /// Takes an event and does what follows from it.
    pub(super) fn event(&mut self, event: Event, ctx: &mut Context<Self>) {
        failpoint::here!("account.event");
        let now = self.deps.clock.now();
        #[expect(clippy::cast_precision_loss, reason = "53 bits of jitter are plenty")]
        let roll = (random_u64(&*self.deps.random) >> 11) as f64 / (1_u64 << 53) as f64;
        for effect in self.machine.step(event, now, roll) {
            self.carry_out(effect, now, ctx);
        }
        if self.machine.is_settled() {
            for waiter in self.settling.drain(..) {
                let _ = waiter.send(());
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, now: Timestamp, ctx: &mut Context<Self>) {
        match effect {
            Effect::Answer(Waiter(waiter), answer) => {
                let answer =
                    answer.and_then(|_| self.published.clone().ok_or(CredentialError::TimedOut));
                if let Some(waiter) = self.waiters.remove(&waiter) {
                    let _ = waiter.send(answer);
                }
            }
            Effect::SaveIntent {
                epoch,
                generation,
                presented,
            } => {
                if !self.is_oauth() {
                    let nothing = std::future::ready(());
                    return self.then(nothing, ctx, move |()| Event::IntentSaved { epoch });
                }
                let intent = RefreshIntent {
                    generation,
                    at: now,
                    presented,
                };
                failpoint::here!("refresh.intent");
                let (store, account) = (self.deps.store.clone(), self.account.clone());
                let write = async move { store.begin_refresh(&account, intent).await };
                self.then(write, ctx, move |result| match result {
                    Ok(()) => Event::IntentSaved { epoch },
                    Err(error) => Event::IntentFailed {
                        epoch,
                        cause: TransientCause::Store(error.to_string()),
                    },
                });
            }
            Effect::Call { epoch, attempt } => self.call(epoch, attempt, ctx),
            Effect::ClearIntent if !self.is_oauth() => {}
            Effect::ClearIntent => {
                let (store, account) = (self.deps.store.clone(), self.account.clone());
                self.beside(async move { store.clear_intent(&account).await }, ctx);
            }
            Effect::Save { epoch, generation } => self.save(epoch, generation, ctx),
            Effect::Publish {
                generation,
                expires,
                refresh_at,
            } => {
                self.publish(generation, expires, refresh_at);
            }
            Effect::Retract => self.slot.retract(),
            Effect::Forget { code, reason } => {
                warn!(account = %self.account, code = code.0, "refresh token rejected; sign-in needed");
                let record = SignedOutRecord {
                    account: self.account.clone(),
                    reason,
                };
                let Some(grant) = self.grant.take() else {
                    return;
                };
                let Some(token) = grant.refresh.clone() else {
                    return;
                };
                let tokens = self.stored.take().into_iter().chain([token]).collect();
                let (store, account) = (self.deps.store.clone(), self.account.clone());
                failpoint::here!("refresh.forget");
                let forget = async move {
                    // A client identity that is not known any more is worth nothing either.
                    if code.0 == "invalid_client" {
                        store
                            .delete_client(&grant.issuer, &grant.client.client_id)
                            .await?;
                    }
                    store
                        .delete_grant_if_among(&account, tokens, record)
                        .await
                        .map(|_| ())
                };
                self.beside(forget, ctx);
            }
            Effect::NoteSignedOut(reason) => {
                let record = SignedOutRecord {
                    account: self.account.clone(),
                    reason,
                };
                self.grant = None;
                let (store, account) = (self.deps.store.clone(), self.account.clone());
                self.beside(
                    async move { store.delete_grant(&account, record).await },
                    ctx,
                );
            }
            Effect::Renudge => self.slot.renudge(),
            Effect::WakeAt(at) => {
                if let Some(former) = self.wake.take() {
                    ctx.cancel_future(former);
                }
                let sleep = at.since(now);
                self.wake = Some(ctx.run_later(sleep, |act, ctx| {
                    act.wake = None;
                    let demand = act.demand();
                    act.event(Event::Woke { demand }, ctx);
                }));
            }
        }
    }

    fn demand(&self) -> Demand {
        if self
            .upstream
            .as_ref()
            .is_some_and(|upstream| upstream.keep_warm)
        {
            return Demand::Warm;
        }
        let refreshed = self.grant.as_ref().map(|grant| grant.refreshed);
        match (self.slot.last_used(), refreshed) {
            (Some(used), Some(refreshed)) if used >= refreshed => Demand::Used,
            _ => Demand::Idle,
        }
    }

    /// Runs `work` beside the actor and takes its result as an event.
    fn then<T: 'static>(
        &mut self,
        work: impl Future<Output = T> + 'static,
        ctx: &mut Context<Self>,
        event: impl FnOnce(T) -> Event + 'static,
    ) {
        ctx.spawn(work.into_actor(self).map(move |result, act, ctx| {
            act.event(event(result), ctx);
        }));
    }

    /// Runs `work` beside the actor; a failure is logged.
    pub(super) fn beside(
        &mut self,
        work: impl Future<Output = Result<(), StoreError>> + 'static,
        ctx: &mut Context<Self>,
    ) {
        ctx.spawn(work.into_actor(self).map(|result, act, _| {
            if let Err(error) = result {
                warn!(account = %act.account, %error, "the store did not keep a change");
            }
        }));
    }

    fn wait(&mut self, waiter: u64) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.waiters.insert(waiter, sender);
        receiver
    }

    /// How the account is.
    pub(super) fn status(&self) -> AccountStatus {
        let grant = self.grant.as_ref();
        let last_failure = self.machine.last_failure();
        AccountStatus {
            state: self
                .is_managed()
                .then(|| self.machine.state(self.deps.clock.now())),
            identity: grant.and_then(|grant| grant.identity.clone()),
            scopes: grant.map(|grant| grant.scopes.clone()).unwrap_or_default(),
            expires: self
                .published
                .as_ref()
                .map_or(grant.and_then(|grant| grant.expires), |published| {
                    published.expires
                }),
            refreshed: match grant {
                Some(grant) => Some(grant.refreshed),
                None if self.is_oauth() => None,
                None => self.held.as_ref().map(|held| held.issued),
            },
            refreshable: match grant {
                Some(grant) => grant.refresh.is_some(),
                None => self.is_managed() && !self.is_oauth(),
            },
            unsaved: self.machine.is_unsaved(),
            issuer: grant.map(|grant| grant.issuer.clone()),
            last_failure: last_failure.map(|(at, cause)| (at, cause.clone())),
            trail: self.sign_in.trail.clone(),
        }
    }

    fn own_key(&self) -> &PrivateKey {
        self.own_key.get_or_init(SigningKey::generate)
    }

    /// Forgets the credential that was published, after a sign-out.
    fn drop_credential(&mut self) {
        Salvage::release(self.salvage.take());
        self.held = None;
        self.published = None;
    }
}

fn identity_of(grant: &GrantRecord) -> Identity {
    Identity {
        issuer: grant.issuer.clone(),
        who: grant.identity.clone(),
    }
}

fn policies(deps: &Deps) -> (TokenPolicy, RetryPolicy) {
    let config = deps.config.load();
    let refresh = &config.refresh;
    (
        refresh.policy,
        RetryPolicy {
            base: refresh.retry_base,
            max: refresh.retry_max,
        },
    )
}
