//! One sign-in for several people, or for one who asked several times: who joins it, who leaves it,
//! and when another one takes its place.

use std::time::Duration;

use actix::prelude::*;

use super::LeaveLogin;
use super::login::{LoginFault, LoginOptions, LoginOutcome, LoginStarted};
use super::token_manager::TokenManager;
use crate::model::time::Timestamp;

impl TokenManager {
    /// Gives up a sign-in that cannot bring what `options` ask for. One whose code is being
    /// exchanged is not: what it brings must not be lost.
    pub(super) fn make_way(&mut self, options: &LoginOptions) {
        let asked = self.sign_in.asked.as_ref();
        if !asked.is_some_and(|running| options.asks_else(running)) {
            return;
        }
        if let Some(starters) = self.sign_in.starters.take() {
            self.sign_in.attempt += 1;
            for starter in starters {
                let _ = starter.send(Err(LoginFault::Replaced));
            }
        }
        self.end_waiting(LoginFault::Replaced);
    }

    /// The link of the sign-in under way, which lasts at least as long as the newcomer wants.
    pub(super) fn join(
        &mut self,
        options: &LoginOptions,
        ctx: &mut Context<Self>,
    ) -> Option<LoginStarted> {
        self.sign_in.link.as_ref()?;
        self.sign_in.parties += 1;
        let configured = self.deps.config.load().login.window;
        self.extend(options.window.unwrap_or(configured), ctx);
        self.sign_in.link.clone()
    }

    fn extend(&mut self, window: Duration, ctx: &mut Context<Self>) {
        let until = self.deps.clock.now().plus(window);
        let Some(pending) = &mut self.sign_in.pending else {
            return;
        };
        if until <= pending.facts.expires {
            return;
        }
        pending.facts.expires = until;
        self.deps.pending.extend(&self.account, until);
        if let Some(LoginStarted::Pending { expires, .. }) = &mut self.sign_in.link {
            *expires = until;
        }
        self.end_at(until, ctx);
    }

    /// Ends the sign-in in the browser at `expires`, unless somebody finished it before.
    pub(super) fn end_at(&mut self, expires: Timestamp, ctx: &mut Context<Self>) {
        let wait = expires.since(self.deps.clock.now());
        if let Some(timer) = self.sign_in.timer.take() {
            ctx.cancel_future(timer);
        }
        self.sign_in.timer = Some(ctx.run_later(wait, |act, _| {
            if act.sign_in.pending.take().is_some() {
                let fault = match act.sign_in.missed.take() {
                    Some(missed) => LoginFault::TimedOutElsewhere(missed),
                    None => LoginFault::TimedOut,
                };
                act.conclude(LoginOutcome::Failed(fault));
            }
        }));
    }
}

impl Handler<LeaveLogin> for TokenManager {
    type Result = bool;

    fn handle(&mut self, _: LeaveLogin, _: &mut Self::Context) -> bool {
        self.sign_in.parties = self.sign_in.parties.saturating_sub(1);
        if self.sign_in.parties == 0 {
            self.end_waiting(LoginFault::Abandoned);
        }
        self.sign_in.link.is_some()
    }
}
