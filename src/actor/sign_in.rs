//! The part of a token manager that signs a person in. One sign-in an account is under way at a
//! time; whoever asks for one meanwhile gets the same link (protocol.md OC-51).

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;
use tracing::{info, warn};
use url::Url;

use crate::clock::random_u64;
use crate::config::{Config, Oauth, Register, Resource, Upstream, pages_of, redirect_uri};
use crate::credential::client;
use crate::failpoint;
use crate::model::record::ClientOrigin;
use crate::model::secret::TokenDigest;
use crate::oauth::{
    ClientChoice, ClientPlan, DeviceAsk, DeviceLogin, Discovered, DiscoveryFault, Legacy,
    LoginFacts, PendingLogin, Pins, Provider, ResourceMatch, ResourcePlan, Source, Start, choose,
    scope,
};

use super::login::{LoginFault, LoginOptions, LoginOutcome, LoginStarted};
use super::pending::PendingEntry;
use super::token_manager::TokenManager;
use super::{AwaitLogin, BeginLogin};

/// What is known of the sign-in of one account.
#[derive(Default)]
pub(super) struct SignIn {
    pub(super) pending: Option<PendingLogin>,
    /// The same, on another device.
    pub(super) device: Option<DeviceLogin>,
    pub(super) link: Option<LoginStarted>,
    /// Discovery or registration is running; these wait for the link.
    pub(super) starters: Option<Vec<oneshot::Sender<Result<LoginStarted, LoginFault>>>>,
    watchers: Vec<oneshot::Sender<LoginOutcome>>,
    pub(super) last: Option<LoginOutcome>,
    /// How the authorization server was found, a line a step.
    pub(super) trail: Vec<String>,
    /// Who issued the latest sign-in, also after it was lost.
    pub(super) issuer: Option<String>,
    pub(super) timer: Option<SpawnHandle>,
    /// How many sign-ins were given up: an exchange that runs is worth nothing after that.
    pub(super) given_up: u64,
    /// What the sign-in under way was asked to be.
    pub(super) asked: Option<LoginOptions>,
    /// Counts the attempts to find the server: what an earlier one found is nobody's.
    pub(super) attempt: u64,
    /// How many wait for it, as far as they said.
    pub(super) parties: usize,
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

impl TokenManager {
    /// Gives up a sign-in that is under way, also one whose code is being exchanged.
    pub(super) fn abandon_sign_in(&mut self) {
        self.sign_in.given_up += 1;
        self.end_waiting(LoginFault::Abandoned);
    }

    /// Ends a sign-in that still waits for its person.
    pub(super) fn end_waiting(&mut self, fault: LoginFault) {
        let in_browser = self.sign_in.pending.take().is_some();
        let elsewhere = self.sign_in.device.take().is_some();
        if elsewhere {
            // A question to the server may be under way, and its answer would be nobody's.
            self.sign_in.given_up += 1;
        }
        if in_browser || elsewhere {
            self.conclude(LoginOutcome::Failed(fault));
        }
    }

    pub(super) fn conclude(&mut self, outcome: LoginOutcome) {
        self.sign_in.link = None;
        self.sign_in.asked = None;
        self.deps.pending.forget(&self.account);
        if let LoginOutcome::Failed(fault) = &outcome {
            warn!(account = %self.account, %fault, "sign-in failed");
        }
        for watcher in self.sign_in.watchers.drain(..) {
            let _ = watcher.send(outcome.clone());
        }
        self.sign_in.last = Some(outcome);
    }

    /// Finds the server and a client identity, and makes the link.
    fn begin(&mut self, options: LoginOptions, ctx: &mut Context<Self>) {
        let config = self.deps.config.load_full();
        let Some(upstream) = self.upstream.clone() else {
            return;
        };
        let Some(oauth) = upstream.auth.oauth() else {
            return self.started_or(Err(LoginFault::NotOauth), ctx);
        };
        let mut provider = self.provider(&config, &upstream, oauth, &options);
        let on_device = options.device;
        if on_device {
            // Nobody is sent anywhere: a client of its own, where one is registered.
            provider.redirect_uri.clear();
        }
        let window = options.window.unwrap_or(config.login.window);
        self.sign_in.attempt += 1;
        let attempt = self.sign_in.attempt;
        self.sign_in.asked = Some(options.clone());
        // A step-up adds to what there is: OC-53.
        let mut more = options.add_scopes.clone();
        if !more.is_empty() {
            let granted = self.grant.iter().flat_map(|grant| &grant.scopes);
            more.extend(granted.cloned());
        }
        let (deps, account) = (self.deps.clone(), self.account.clone());
        let authority = std::rc::Rc::clone(&self.authority);
        let former = self.sign_in.issuer.clone();
        let source = oauth.proof.clone();
        let find = async move {
            if let (Some(source), ClientPlan::Configured { proof: place, .. }) =
                (source, &mut provider.client)
            {
                let read = client::proof(&source, &deps.store).await;
                *place = Some(read.map_err(|e| LoginFault::Setting(e.to_string()))?);
            }
            let stored = deps.store.clients().await.map_err(store_fault)?;
            let known: Vec<String> = stored.iter().map(|client| client.issuer.clone()).collect();
            let discovered: Discovered =
                authority
                    .discover(&provider, &known)
                    .await
                    .map_err(|failure| {
                        let tried: Vec<_> = failure.trail.iter().map(ToString::to_string).collect();
                        LoginFault::Discovery {
                            fault: Box::new(failure.fault),
                            tried: tried.join(", "),
                        }
                    })?;
            let mut trail: Vec<_> = discovered.trail.iter().map(ToString::to_string).collect();
            if let (ClientPlan::Configured { .. }, Some(former)) = (&provider.client, former)
                && discovered.source == Source::ResourceMetadata
                && former != discovered.server.issuer
            {
                // Nobody said that the client is one of this server too.
                let fault = DiscoveryFault::ForeignClient {
                    configured: former,
                    named: discovered.server.issuer,
                };
                return Err(LoginFault::Discovery {
                    fault: Box::new(fault),
                    tried: trail.join(", "),
                });
            }
            if on_device {
                // Before anything is registered for it.
                DeviceAsk::endpoint(&discovered)?;
            }
            let scopes = scope::select(&provider, &discovered, &more);
            let now = deps.clock.now();
            let client = match choose(&provider, &discovered, &stored, now)? {
                ClientChoice::Use(client) => *client,
                ClientChoice::Register => {
                    let client = authority.register(&provider, &discovered, &scopes).await?;
                    failpoint::here!("sign-in.registered");
                    deps.store
                        .put_client(client.clone())
                        .await
                        .map_err(store_fault)?;
                    client
                }
            };
            trail.push(how(client.origin).to_owned());
            let start = Start {
                account,
                client,
                scopes,
                window,
            };
            if on_device {
                let facts = LoginFacts::new(&provider, &discovered, start, now);
                let ask = DeviceAsk::new(facts, &discovered)?;
                let login = authority.device_code(ask).await?;
                return Ok((Begun::OnDevice(login), trail));
            }
            let login = PendingLogin::begin(&provider, &discovered, start, now, &*deps.random)
                .map_err(|fault| LoginFault::Setting(fault.to_string()))?;
            Ok((Begun::InBrowser(login), trail))
        };
        ctx.spawn(find.into_actor(self).map(move |found, act, ctx| {
            if act.sign_in.attempt == attempt {
                act.started_or(found, ctx);
            }
        }));
    }

    fn started_or(
        &mut self,
        found: Result<(Begun, Vec<String>), LoginFault>,
        ctx: &mut Context<Self>,
    ) {
        let answer = found.map(|(login, trail)| {
            self.sign_in.trail = trail;
            match login {
                Begun::InBrowser(login) => self.offer(login, ctx),
                Begun::OnDevice(login) => self.offer_device(login, ctx),
            }
        });
        if answer.is_err() {
            self.sign_in.asked = None;
        }
        let starters = self.sign_in.starters.take().unwrap_or_default();
        self.sign_in.parties = starters.len();
        for starter in starters {
            let _ = starter.send(answer.clone());
        }
    }

    /// Makes the sign-in findable for the browser.
    fn offer(&mut self, login: PendingLogin, ctx: &mut Context<Self>) -> LoginStarted {
        let random = || random_u64(&*self.deps.random);
        let ticket = format!("{:016x}{:016x}", random(), random());
        let cookie = format!("{:016x}{:016x}", random(), random());
        let expires = login.facts.expires;
        let authorize_url = login.url().to_string();
        let state = login
            .url()
            .query_pairs()
            .find(|(name, _)| name == "state")
            .map(|(_, state)| TokenDigest::of(state.as_bytes()));
        let base = self.origin_of_pages();
        let entry = Arc::new(PendingEntry {
            account: self.account.clone(),
            authorize_url: authorize_url.clone(),
            cookie,
            expires,
        });
        if let Some(state) = state {
            self.deps
                .pending
                .insert(state, TokenDigest::of(ticket.as_bytes()), entry);
        }
        let url = format!("{base}/login/{}?t={ticket}", self.account);
        let authorize = login.url();
        let host = host_of(authorize);
        let former = self.sign_in.issuer.clone();
        let started = LoginStarted::Pending {
            url,
            authorize_url,
            expires,
            host,
            moved_from: former.filter(|former| *former != login.facts.issuer),
        };
        self.sign_in.pending = Some(login);
        self.sign_in.link = Some(started.clone());
        self.sign_in.last = None;
        self.end_at(expires, ctx);
        info!(account = %self.account, "sign-in started");
        started
    }

    fn origin_of_pages(&self) -> String {
        let (config, origin) = (self.deps.config.load(), &self.deps.origin);
        match &self.upstream {
            Some(upstream) => pages_of(upstream, &config.server, origin),
            None => origin.to_string(),
        }
    }

    fn provider(
        &self,
        config: &Config,
        upstream: &Upstream,
        oauth: &Oauth,
        options: &LoginOptions,
    ) -> Provider {
        let redirect_uri = redirect_uri(upstream, &config.server, &self.deps.origin);
        let mut provider = Provider::discovered(upstream.url.url().clone(), redirect_uri);
        provider.probe = match &oauth.probe_path {
            Some(path) if !path.is_empty() => upstream.url.url().join(path).ok(),
            _ => None,
        };
        provider.pins = Pins {
            issuer: oauth.issuer.as_ref().map(|issuer| {
                // `url` writes a lone slash behind a host that issuers do not have.
                let text = issuer.as_str();
                if issuer.path() == "/" {
                    text.trim_end_matches('/')
                } else {
                    text
                }
                .to_owned()
            }),
            allow_issuer: None,
            authorization_endpoint: oauth.endpoints.as_ref().map(|e| e.authorization.clone()),
            token_endpoint: oauth.endpoints.as_ref().map(|e| e.token.clone()),
            revocation_endpoint: oauth.revocation_endpoint.clone(),
        };
        provider.client = match (&oauth.client_id, oauth.register) {
            (Some(client_id), _) => ClientPlan::Configured {
                client_id: client_id.clone(),
                proof: None,
                auth: oauth.client_auth,
            },
            (None, Register::Never | Register::Document) => ClientPlan::Never,
            (None, Register::Auto | Register::Dynamic) => ClientPlan::Register,
        };
        provider
            .metadata_document
            .clone_from(&oauth.client_metadata_url);
        let account = upstream.accounts.get(&self.account.account);
        provider.scopes = options
            .scopes
            .clone()
            .or_else(|| account.and_then(|account| account.scopes.clone()))
            .or_else(|| oauth.scopes.clone());
        provider.default_scopes.clone_from(&oauth.fallback_scopes);
        provider.resource = match &oauth.resource {
            Resource::Auto => ResourcePlan::Auto,
            Resource::Off => ResourcePlan::Off,
            Resource::Value(value) => ResourcePlan::Fixed(value.clone()),
        };
        provider.resource_match = ResourceMatch::Prefix;
        provider.extra_authorize = oauth.extra_authorize.clone().into_iter().collect();
        provider.legacy = if oauth.legacy_2025_03_26 {
            Legacy::Allow
        } else {
            Legacy::Refuse
        };
        provider
    }
}

/// A sign-in that was begun.
enum Begun {
    /// The browser comes back.
    InBrowser(PendingLogin),
    /// We ask until it is done.
    OnDevice(DeviceLogin),
}

/// Where the person signs in.
pub(super) fn host_of(page: &Url) -> String {
    let host = page.host_str().unwrap_or_default();
    match page.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

pub(super) fn store_fault(error: crate::store::StoreError) -> LoginFault {
    LoginFault::Store(error.to_string())
}

impl Handler<BeginLogin> for TokenManager {
    type Result = ResponseFuture<Result<LoginStarted, LoginFault>>;

    fn handle(&mut self, BeginLogin(options): BeginLogin, ctx: &mut Self::Context) -> Self::Result {
        if !self.is_oauth() {
            return Box::pin(async { Err(LoginFault::NotOauth) });
        }
        // Whoever wants the code for another device cannot use the browser on this one.
        if options.device && self.sign_in.pending.is_some() {
            self.abandon_sign_in();
        }
        self.make_way(&options);
        if let Some(link) = self.join(&options, ctx) {
            return Box::pin(async move { Ok(link) });
        }
        let plain = !options.force && options.scopes.is_none() && options.add_scopes.is_empty();
        if plain && self.grant.is_some() && self.status().is_usable() {
            let status = Box::new(self.status());
            return Box::pin(async move { Ok(LoginStarted::AlreadySignedIn(status)) });
        }
        let (sender, receiver) = oneshot::channel();
        let running = self.sign_in.starters.is_some();
        self.sign_in.starters.get_or_insert_default().push(sender);
        if !running {
            self.begin(options, ctx);
        }
        Box::pin(async move { receiver.await.unwrap_or(Err(LoginFault::Abandoned)) })
    }
}

impl Handler<AwaitLogin> for TokenManager {
    type Result = ResponseFuture<LoginOutcome>;

    fn handle(&mut self, _: AwaitLogin, _: &mut Self::Context) -> Self::Result {
        if self.sign_in.pending.is_none() && self.sign_in.link.is_none() {
            let last = self
                .sign_in
                .last
                .clone()
                .unwrap_or(LoginOutcome::NotPending);
            return Box::pin(async move { last });
        }
        let (sender, receiver) = oneshot::channel();
        self.sign_in.watchers.push(sender);
        Box::pin(async move {
            receiver
                .await
                .unwrap_or(LoginOutcome::Failed(LoginFault::Abandoned))
        })
    }
}
