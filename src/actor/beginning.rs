//! The way to a sign-in: the secret of the client, the authorization server, the place that the
//! browser comes back to, the client identity, the authorization request.

use std::rc::Rc;
use std::time::Duration;

use url::Url;

use crate::config::{LandingPlan, ProofSource};
use crate::credential::client;
use crate::failpoint;
use crate::model::id::AccountRef;
use crate::model::record::{ClientOrigin, ClientRecord};
use crate::oauth::{
    Authority, ClientChoice, ClientPlan, DeviceAsk, DeviceLogin, Discovered, DiscoveryFault,
    LoginFacts, PendingLogin, Provider, Push, Source, Start, choose, scope,
};

use super::Deps;
use super::landing::Landed;
use super::login::LoginFault;
use super::sign_in::store_fault;

/// A sign-in that is to be begun.
pub(super) struct Beginning {
    pub(super) deps: Deps,
    pub(super) account: AccountRef,
    pub(super) authority: Rc<dyn Authority>,
    pub(super) provider: Provider,
    /// Where it ends, where that is not the agent port.
    pub(super) landing: Option<LandingPlan>,
    /// What the configured client proves itself with.
    pub(super) proof: Option<ProofSource>,
    /// Who issued the sign-in before.
    pub(super) former: Option<String>,
    /// Scopes on top of those that would be asked for.
    pub(super) more: Vec<String>,
    pub(super) window: Duration,
    pub(super) on_device: bool,
}

/// A sign-in that was begun.
pub(super) enum Begun {
    /// The browser comes back.
    InBrowser(Box<InBrowser>),
    /// We ask until it is done.
    OnDevice(Box<DeviceLogin>),
}

/// One that a browser comes back from.
pub(super) struct InBrowser {
    /// What it is.
    pub(super) login: PendingLogin,
    /// Where the browser is sent.
    pub(super) authorize: Url,
    /// The place that it ends at, where that is not the agent port.
    pub(super) landed: Option<Landed>,
}

/// The ports that clients are registered with at `issuer`: each would have to be registered anew for
/// another one, where the server compares them.
fn known_ports(plan: &LandingPlan, stored: &[ClientRecord], issuer: &str) -> Vec<u16> {
    let there = stored
        .iter()
        .filter(|client| client.issuer == issuer && client.origin == ClientOrigin::Registered);
    there
        .filter_map(|client| plan.port_of(&client.redirect_uri))
        .collect()
}

impl Beginning {
    /// Begins it; with how its server and its client were found, a line a step.
    pub(super) async fn run(mut self) -> Result<(Begun, Vec<String>), LoginFault> {
        if let (Some(source), ClientPlan::Configured { proof: place, .. }) =
            (&self.proof, &mut self.provider.client)
        {
            let read = client::proof(source, &self.deps.store).await;
            *place = Some(read.map_err(|e| LoginFault::Setting(e.to_string()))?);
        }
        let stored = self.deps.store.clients().await.map_err(store_fault)?;
        let known: Vec<String> = stored.iter().map(|client| client.issuer.clone()).collect();
        let (discovered, mut trail) = self.server(&known).await?;
        if self.on_device {
            // Before anything is registered for it.
            DeviceAsk::endpoint(&discovered)?;
        }
        let landed = self.land(&stored, &discovered, &mut trail)?;
        let scopes = scope::select(&self.provider, &discovered, &self.more);
        let client = self.client(&stored, &discovered, &scopes).await?;
        trail.push(how(client.origin).to_owned());
        let now = self.deps.clock.now();
        let start = Start {
            account: self.account,
            client,
            scopes,
            window: self.window,
        };
        if self.on_device {
            let facts = LoginFacts::new(&self.provider, &discovered, start, now);
            let ask = DeviceAsk::new(facts, &discovered)?;
            let login = self.authority.device_code(ask).await?;
            return Ok((Begun::OnDevice(Box::new(login)), trail));
        }
        let random = &*self.deps.random;
        let login = PendingLogin::begin(&self.provider, &discovered, start, now, random)
            .map_err(|fault| LoginFault::Setting(fault.to_string()))?;
        let authorize = match Push::of(&login) {
            Some(push) => self.authority.push(push).await?,
            None => login.url().clone(),
        };
        let begun = InBrowser {
            login,
            authorize,
            landed,
        };
        Ok((Begun::InBrowser(Box::new(begun)), trail))
    }

    /// Finds the authorization server.
    async fn server(&self, known: &[String]) -> Result<(Discovered, Vec<String>), LoginFault> {
        let found = self.authority.discover(&self.provider, known).await;
        let discovered = found.map_err(|failure| {
            let tried: Vec<_> = failure.trail.iter().map(ToString::to_string).collect();
            LoginFault::Discovery {
                fault: Box::new(failure.fault),
                tried: tried.join(", "),
            }
        })?;
        let trail: Vec<_> = discovered.trail.iter().map(ToString::to_string).collect();
        if let (ClientPlan::Configured { .. }, Some(former)) = (&self.provider.client, &self.former)
            && discovered.source == Source::ResourceMetadata
            && *former != discovered.server.issuer
        {
            // Nobody said that the client is one of this server too.
            let fault = DiscoveryFault::ForeignClient {
                configured: former.clone(),
                named: discovered.server.issuer,
            };
            return Err(LoginFault::Discovery {
                fault: Box::new(fault),
                tried: trail.join(", "),
            });
        }
        Ok((discovered, trail))
    }

    /// Opens the place that the browser comes back to, where that is not the agent port.
    fn land(
        &mut self,
        stored: &[ClientRecord],
        discovered: &Discovered,
        trail: &mut Vec<String>,
    ) -> Result<Option<Landed>, LoginFault> {
        let Some(plan) = &self.landing else {
            return Ok(None);
        };
        let ports = known_ports(plan, stored, &discovered.server.issuer);
        let landed = self.deps.landings.open(plan, &ports).map_err(|error| {
            LoginFault::Setting(format!("no port for the browser to come back to: {error}"))
        })?;
        self.provider.redirect_uri.clone_from(&landed.uri);
        trail.push(match &landed.missed {
            Some(missed) => missed.to_string(),
            None => format!("the browser comes back to {}", landed.uri),
        });
        Ok(Some(landed))
    }

    /// The client identity, registered now where there is none.
    async fn client(
        &self,
        stored: &[ClientRecord],
        discovered: &Discovered,
        scopes: &[String],
    ) -> Result<ClientRecord, LoginFault> {
        match choose(&self.provider, discovered, stored, self.deps.clock.now())? {
            ClientChoice::Use(client) => Ok(*client),
            ClientChoice::Register => {
                let registering = self.authority.register(&self.provider, discovered, scopes);
                let client = registering.await?;
                failpoint::here!("sign-in.registered");
                let kept = self.deps.store.put_client(client.clone()).await;
                kept.map_err(store_fault)?;
                Ok(client)
            }
        }
    }
}

/// How the client identity came to be, for whoever looks into it. Dynamic registration may go
/// from revisions of 2027-07-28 on (MCP 2026-07-28, deprecated registry).
fn how(client: ClientOrigin) -> &'static str {
    match client {
        ClientOrigin::Configured => "client: as configured",
        ClientOrigin::Document => "client: its metadata document",
        ClientOrigin::Registered => {
            "client: registered dynamically (deprecated since MCP 2026-07-28)"
        }
    }
}
