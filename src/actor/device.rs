//! A sign-in on another device: the token endpoint is asked, at the pace that it wants, until the
//! person there is done.

use actix::prelude::*;
use tracing::{debug, info};

use super::login::{LoginFault, LoginOutcome, LoginStarted};
use super::token_manager::TokenManager;
use crate::oauth::{CallbackFault, DeviceLogin, Polled};

impl TokenManager {
    /// Shows the code, and begins to ask.
    pub(super) fn offer_device(
        &mut self,
        login: DeviceLogin,
        ctx: &mut Context<Self>,
    ) -> LoginStarted {
        let former = self.sign_in.issuer.clone();
        let started = LoginStarted::Device {
            user_code: login.user_code.clone(),
            page: login.page.to_string(),
            full_page: login.full_page.as_ref().map(ToString::to_string),
            expires: login.facts.expires,
            host: super::sign_in::host_of(&login.page),
            moved_from: former.filter(|former| *former != login.facts.issuer),
        };
        self.sign_in.device = Some(login);
        self.sign_in.link = Some(started.clone());
        self.sign_in.last = None;
        info!(account = %self.account, "sign-in on another device started");
        self.wait_for_device(ctx);
        started
    }

    fn wait_for_device(&mut self, ctx: &mut Context<Self>) {
        let Some(login) = &self.sign_in.device else {
            return;
        };
        let now = self.deps.clock.now();
        if now > login.facts.expires {
            self.sign_in.device = None;
            return self.conclude(LoginOutcome::Failed(LoginFault::TimedOut));
        }
        let given_up = self.sign_in.given_up;
        ctx.run_later(login.pace.wait(), move |act, ctx| {
            // Another one may be under way by now.
            if act.sign_in.given_up == given_up {
                act.ask_for_device(given_up, ctx);
            }
        });
    }

    fn ask_for_device(&mut self, given_up: u64, ctx: &mut Context<Self>) {
        let Some(login) = &self.sign_in.device else {
            return;
        };
        let facts = login.facts.clone();
        let asking = self.authority.poll_device(login).into_actor(self);
        ctx.spawn(
            asking
                .then(move |polled, act, ctx| {
                    if let Polled::Done(tokens) = polled {
                        // Tokens are kept or given back, whatever happened meanwhile.
                        act.sign_in.device = None;
                        return act.keep(facts, given_up, Ok(tokens));
                    }
                    if act.sign_in.given_up == given_up {
                        act.not_yet(&polled, ctx);
                    }
                    Box::pin(actix::fut::ready(LoginOutcome::NotPending))
                })
                .map(|_, _, _| ()),
        );
    }

    fn not_yet(&mut self, polled: &Polled, ctx: &mut Context<Self>) {
        let fault = match polled {
            Polled::Done(_) | Polled::Pending | Polled::SlowDown | Polled::Unreachable(_) => {
                debug!(account = %self.account, "the code is not approved yet");
                if let Some(login) = &mut self.sign_in.device {
                    login.pace = login.pace.after(polled);
                }
                return self.wait_for_device(ctx);
            }
            Polled::Denied(code) => LoginFault::Callback(CallbackFault::Denied {
                code: code.clone(),
                description: None,
            }),
            Polled::Expired => LoginFault::TimedOut,
            Polled::Failed(failure) => LoginFault::Exchange(failure.clone()),
        };
        self.sign_in.device = None;
        self.conclude(LoginOutcome::Failed(fault));
    }
}
