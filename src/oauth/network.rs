//! The authorization servers themselves, over the network.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::LocalBoxFuture;
use url::Url;

use super::{
    Authority, DeviceAsk, DeviceFault, DeviceLogin, Discovered, DiscoveryFailure, Exchange,
    OwnGrant, Polled, Provider, Push, PushFault, RegistrationFailure, Revocation, TokenExchange,
    bound, classify, device, exchange, own, pushed, registration, revoke, seek, token,
};
use crate::clock::{Clock, Random};
use crate::http::OwnClient;
use crate::jose::{Freshness, KeyFault, Prover};
use crate::model::fault::{RefreshFailure, TransientCause};
use crate::model::record::{ClientRecord, GrantRecord};
use crate::model::secret::{AccessToken, Assertion, PrivateKey};
use crate::model::token::NewTokens;

/// A key and what proves possession of it.
type LastProver = (PrivateKey, Arc<Prover>);

/// The authorization servers themselves, over the network.
#[derive(Clone)]
pub struct OauthAuthority {
    client: OwnClient,
    clock: Arc<dyn Clock>,
    fresh: Freshness,
    prover: Arc<Mutex<Option<LastProver>>>,
    /// Whether a certificate of ours is shown to servers.
    certified: bool,
}

impl OauthAuthority {
    /// Speaks through `client`, whose thread its futures must run on.
    pub fn new(client: OwnClient, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            client,
            fresh: Freshness::new(Arc::clone(&clock), random),
            clock,
            prover: Arc::default(),
            certified: false,
        }
    }

    /// The same over a client that shows servers a certificate: the addresses that servers have for
    /// those are used (RFC 8705 §5).
    #[must_use]
    pub fn certified(self, certified: bool) -> Self {
        Self { certified, ..self }
    }

    /// What proves possession of `key`: the same as the last time, for the nonces that it knows.
    fn prover(&self, key: Option<&PrivateKey>) -> Result<Option<Arc<Prover>>, KeyFault> {
        let Some(key) = key else {
            return Ok(None);
        };
        // Nothing is done under the lock that could leave it half changed.
        let mut last = self.prover.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, prover)) = &*last
            && known == key
        {
            return Ok(Some(Arc::clone(prover)));
        }
        let prover = Arc::new(Prover::new(key, self.fresh.clone())?);
        *last = Some((key.clone(), Arc::clone(&prover)));
        Ok(Some(prover))
    }
}

impl Authority for OauthAuthority {
    fn discover(
        &self,
        provider: &Provider,
        known_issuers: &[String],
    ) -> LocalBoxFuture<'static, Result<Discovered, DiscoveryFailure>> {
        let walk = seek::discover(
            self.client.clone(),
            provider.clone(),
            known_issuers.to_vec(),
            self.certified,
        );
        Box::pin(walk)
    }

    fn register(
        &self,
        provider: &Provider,
        discovered: &Discovered,
        scopes: &[String],
    ) -> LocalBoxFuture<'static, Result<ClientRecord, RegistrationFailure>> {
        Box::pin(registration::register(
            self.client.clone(),
            Arc::clone(&self.clock),
            provider.clone(),
            discovered.clone(),
            scopes.to_vec(),
        ))
    }

    fn push(&self, push: Push) -> LocalBoxFuture<'static, Result<Url, PushFault>> {
        Box::pin(pushed::push(self.client.clone(), push, self.fresh.clone()))
    }

    fn exchange(
        &self,
        exchange: Exchange,
    ) -> LocalBoxFuture<'static, Result<NewTokens, RefreshFailure>> {
        let (client, fresh) = (self.client.clone(), self.fresh.clone());
        let prover = self.prover(exchange.facts.dpop.as_ref());
        Box::pin(async move {
            let prover = prover.map_err(classify::unsigned)?;
            let endpoint = &exchange.facts.token_endpoint;
            let request = || token::code_request(&exchange, &fresh);
            bound::tokens(&client, prover.as_deref(), endpoint, request).await
        })
    }

    fn device_code(
        &self,
        ask: DeviceAsk,
    ) -> LocalBoxFuture<'static, Result<DeviceLogin, DeviceFault>> {
        Box::pin(device::ask(self.client.clone(), ask, self.fresh.clone()))
    }

    fn poll_device(&self, login: &DeviceLogin) -> LocalBoxFuture<'static, Polled> {
        let (client, fresh) = (self.client.clone(), self.fresh.clone());
        let prover = self.prover(login.facts.dpop.as_ref());
        let question = login.question();
        Box::pin(async move {
            let prover = match prover {
                Ok(prover) => prover,
                Err(fault) => return Polled::Failed(classify::unsigned(fault)),
            };
            let request = || question.request(&fresh);
            let endpoint = &question.facts.token_endpoint;
            device::polled(bound::tokens(&client, prover.as_deref(), endpoint, request).await)
        })
    }

    fn refresh(
        &self,
        grant: &GrantRecord,
    ) -> LocalBoxFuture<'static, Result<NewTokens, RefreshFailure>> {
        let (client, fresh, grant) = (self.client.clone(), self.fresh.clone(), grant.clone());
        let prover = self.prover(grant.dpop.as_ref());
        Box::pin(async move {
            let endpoint = Url::parse(&grant.token_endpoint);
            let (Ok(endpoint), Some(refresh)) = (endpoint, &grant.refresh) else {
                return Err(RefreshFailure::Transient {
                    cause: TransientCause::Store("the grant cannot be refreshed".to_owned()),
                    retry_after: None,
                });
            };
            let prover = prover.map_err(classify::unsigned)?;
            let request = || token::refresh_request(&grant, &endpoint, refresh, &fresh);
            bound::tokens(&client, prover.as_deref(), &endpoint, request).await
        })
    }

    fn exchange_token(
        &self,
        exchange: TokenExchange,
    ) -> LocalBoxFuture<'static, Result<Assertion, RefreshFailure>> {
        let (client, fresh) = (self.client.clone(), self.fresh.clone());
        Box::pin(exchange::exchange(client, exchange, fresh))
    }

    fn own_token(
        &self,
        grant: OwnGrant,
    ) -> LocalBoxFuture<'static, Result<NewTokens, RefreshFailure>> {
        let (client, fresh) = (self.client.clone(), self.fresh.clone());
        let prover = self.prover(grant.dpop.as_ref());
        Box::pin(async move {
            let prover = prover.map_err(classify::unsigned)?;
            let request = || own::request(&grant, &fresh);
            bound::tokens(&client, prover.as_deref(), &grant.token_endpoint, request).await
        })
    }

    fn revoke(
        &self,
        grant: &GrantRecord,
        access: Option<&AccessToken>,
    ) -> LocalBoxFuture<'static, Revocation> {
        Box::pin(revoke::revoke(
            self.client.clone(),
            grant.clone(),
            access.cloned(),
            self.fresh.clone(),
        ))
    }

    fn deregister(&self, client: &ClientRecord) -> LocalBoxFuture<'static, Revocation> {
        let own = self.client.clone();
        let request = registration::delete_request(client);
        Box::pin(async move {
            match request {
                Some(request) => revoke::outcome(own.send(request).await),
                None => Revocation::NotOffered,
            }
        })
    }
}
