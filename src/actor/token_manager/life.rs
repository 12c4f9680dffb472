//! The beginning and the end of a manager: what is stored of the account is loaded before the first
//! message is looked at.

use actix::prelude::*;
use tracing::warn;

use super::{TokenManager, identity_of, policies};
use crate::actor::Settle;
use crate::ledger::Published;
use crate::model::fault::LoginReason;
use crate::model::record::{GrantRecord, RefreshIntent};
use crate::model::refresh::{Event, Machine, Restored};
use crate::store::StoreError;

impl TokenManager {
    fn restore(&mut self, found: Option<(GrantRecord, Option<RefreshIntent>)>, out: LoginReason) {
        let (policy, retry) = policies(&self.deps);
        // A token is sent only to the resource it was obtained for.
        let here = self
            .upstream
            .as_ref()
            .map(|upstream| upstream.url.url().to_string());
        let found = found.filter(|(grant, _)| Some(&grant.upstream_url) == here.as_ref());
        let restored = match &found {
            Some((grant, intent)) => Restored::of(grant, intent.as_ref()),
            None => Restored {
                signed_out: Some(out),
                ..Restored::default()
            },
        };
        self.machine = Machine::new(policy, retry, restored);
        self.grant = found.map(|(grant, _)| grant);
        self.stored = self.grant.as_ref().and_then(|grant| grant.refresh.clone());
        if let Some(grant) = &self.grant {
            self.slot.resumed(identity_of(grant));
        }
        self.sign_in.issuer = self.grant.as_ref().map(|grant| grant.issuer.clone());
    }
}

impl Actor for TokenManager {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.notice.withdraw();
    }

    fn started(&mut self, ctx: &mut Self::Context) {
        if !self.is_managed() {
            self.slot.publish(Published::nothing());
            self.published = self.slot.load();
            return;
        }
        if !self.is_oauth() {
            let (policy, retry) = policies(&self.deps);
            self.machine = Machine::new(policy, retry, self.unattended());
            let demand = self.demand();
            return self.event(Event::Woke { demand }, ctx);
        }
        let store = self.deps.store.clone();
        let before = self.before.take();
        let load = async move {
            if let Some(before) = before {
                // A refresh of its may be on its way: two at once look like theft.
                let _ = before.send(Settle).await;
            }
            Ok((store.grants().await?, store.signed_out().await?))
        };
        // No message is looked at before this is done.
        ctx.wait(
            load.into_actor(self)
                .map(|found: Result<_, StoreError>, act, ctx| {
                    let (grants, out) = match found {
                        Ok(found) => found,
                        Err(error) => {
                            warn!(account = %act.account, %error, "the sign-in cannot be loaded");
                            (Vec::new(), Vec::new())
                        }
                    };
                    let grant = grants
                        .into_iter()
                        .find(|(grant, _)| grant.account == act.account);
                    let reason = out
                        .into_iter()
                        .find(|record| record.account == act.account)
                        .map_or(LoginReason::Never, |record| record.reason);
                    act.restore(grant, reason);
                    let demand = act.demand();
                    act.event(Event::Woke { demand }, ctx);
                }),
        );
    }
}
