//! The end of a sign-in: what the server gave is made durable, then used.

use std::rc::Rc;

use actix::prelude::*;
use tracing::info;

use super::FinishLogin;
use super::login::{LoginFault, LoginOutcome};
use super::sign_in::store_fault;
use super::token_manager::TokenManager;
use crate::failpoint;
use crate::model::fault::RefreshFailure;
use crate::model::token::NewTokens;
use crate::oauth::{Callback, CallbackFault, LoginFacts, check_callback};

impl TokenManager {
    /// Keeps what a sign-in brought that was begun when `given_up` were given up.
    pub(super) fn keep(
        &mut self,
        facts: LoginFacts,
        given_up: u64,
        result: Result<NewTokens, RefreshFailure>,
    ) -> ResponseActFuture<Self, LoginOutcome> {
        // Only now: a refresh may have published another generation meanwhile.
        let generation = self.machine.generation().next();
        let wanted = self.sign_in.given_up == given_up;
        let authority = Rc::clone(&self.authority);
        let store = self.deps.store.clone();
        let save = async move {
            failpoint::here!("sign-in.answer");
            let tokens = result?;
            let grant = facts.grant(&tokens, generation);
            if !wanted {
                // Somebody signed out meanwhile: nobody may go on holding what this brought.
                authority.revoke(&grant, Some(&tokens.access)).await;
                return Err(LoginFault::Abandoned);
            }
            store.put_grant(grant.clone()).await.map_err(store_fault)?;
            failpoint::here!("sign-in.committed");
            store.check_key().await.map_err(store_fault)?;
            Ok::<_, LoginFault>((grant, tokens.access, tokens.kind))
        };
        Box::pin(save.into_actor(self).map(|saved, act, ctx| {
            let outcome = match saved {
                Ok((mut grant, access, kind)) => {
                    failpoint::here!("sign-in.publish");
                    info!(account = %act.account, issuer = grant.issuer, "signed in");
                    grant.generation = act.machine.generation().next();
                    act.sign_in.issuer = Some(grant.issuer.clone());
                    act.take_grant(grant.clone(), access, kind, ctx);
                    // Once more: a refresh of the former grant, or its end, may have been written
                    // between the first time and this moment, from which on it counts no more.
                    let store = act.deps.store.clone();
                    act.beside(async move { store.put_grant(grant).await }, ctx);
                    failpoint::here!("sign-in.published");
                    LoginOutcome::Succeeded(Box::new(act.status()))
                }
                Err(fault) => LoginOutcome::Failed(fault),
            };
            act.conclude(outcome.clone());
            outcome
        }))
    }
}

impl Handler<FinishLogin> for TokenManager {
    type Result = ResponseActFuture<Self, LoginOutcome>;

    fn handle(&mut self, FinishLogin(query): FinishLogin, _: &mut Self::Context) -> Self::Result {
        let callback = Callback::parse(&query);
        let now = self.deps.clock.now();
        let exchange = match check_callback(&mut self.sign_in.pending, callback, now) {
            Ok(exchange) => exchange,
            Err(fault) => {
                let outcome = LoginOutcome::Failed(fault.clone().into());
                if fault != CallbackFault::State {
                    self.conclude(outcome.clone());
                }
                return Box::pin(actix::fut::ready(outcome));
            }
        };
        let facts = exchange.facts.clone();
        let given_up = self.sign_in.given_up;
        let call = self.authority.exchange(exchange).into_actor(self);
        Box::pin(call.then(move |result, act, _| act.keep(facts, given_up, result)))
    }
}
