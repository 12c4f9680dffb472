//! The part of a token manager that signs a person in. One sign-in an account is under way at a
//! time; whoever asks for one meanwhile gets the same link (protocol.md OC-51).

use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::clock::random_u64;
use crate::config::{Config, Oauth, Register, Resource, Upstream, pages_of, redirect_uri};
use crate::credential::source;
use crate::failpoint;
use crate::model::record::ClientOrigin;
use crate::model::secret::TokenDigest;
use crate::oauth::{
    Callback, CallbackFault, ClientChoice, ClientPlan, Discovered, DiscoveryFault, Legacy,
    PendingLogin, Pins, Provider, ResourceMatch, ResourcePlan, Source, Start, check_callback,
    choose, scope,
};

use super::login::{LoginFault, LoginOptions, LoginOutcome, LoginStarted};
use super::pending::PendingEntry;
use super::token_manager::TokenManager;
use super::{AwaitLogin, BeginLogin, FinishLogin};

/// What is known of the sign-in of one account.
#[derive(Default)]
pub(super) struct SignIn {
    pending: Option<PendingLogin>,
    link: Option<LoginStarted>,
    /// Discovery or registration is running; these wait for the link.
    starters: Option<Vec<oneshot::Sender<Result<LoginStarted, LoginFault>>>>,
    watchers: Vec<oneshot::Sender<LoginOutcome>>,
    last: Option<LoginOutcome>,
    /// How the authorization server was found, a line a step.
    pub(super) trail: Vec<String>,
    /// Who issued the latest sign-in, also after it was lost.
    pub(super) issuer: Option<String>,
    timer: Option<SpawnHandle>,
    /// How many sign-ins were given up: an exchange that runs is worth nothing after that.
    given_up: u64,
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
    /// Gives up a sign-in that is under way.
    pub(super) fn abandon_sign_in(&mut self) {
        self.sign_in.given_up += 1;
        if self.sign_in.pending.take().is_some() {
            self.conclude(LoginOutcome::Failed(LoginFault::Abandoned));
        }
    }

    fn conclude(&mut self, outcome: LoginOutcome) {
        self.sign_in.link = None;
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
        let window = options.window.unwrap_or(config.login.window);
        // A step-up adds to what there is: OC-53.
        let mut more = options.add_scopes.clone();
        if !more.is_empty() {
            let granted = self.grant.iter().flat_map(|grant| &grant.scopes);
            more.extend(granted.cloned());
        }
        let (deps, account) = (self.deps.clone(), self.account.clone());
        let authority = std::rc::Rc::clone(&self.authority);
        let former = self.sign_in.issuer.clone();
        let place = upstream.auth.secret().cloned();
        let find = async move {
            if let (Some(place), ClientPlan::Configured { client_secret, .. }) =
                (place, &mut provider.client)
            {
                let secret = source::read(&place, &deps.store).await;
                *client_secret = Some(secret.map_err(|e| LoginFault::Setting(e.to_string()))?);
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
            let login = PendingLogin::begin(&provider, &discovered, start, now, &*deps.random)
                .map_err(|fault| LoginFault::Setting(fault.to_string()))?;
            Ok((login, trail))
        };
        ctx.spawn(
            find.into_actor(self)
                .map(|found, act, ctx| act.started_or(found, ctx)),
        );
    }

    fn started_or(
        &mut self,
        found: Result<(PendingLogin, Vec<String>), LoginFault>,
        ctx: &mut Context<Self>,
    ) {
        let answer = found.map(|(login, trail)| {
            self.sign_in.trail = trail;
            self.offer(login, ctx)
        });
        for starter in self.sign_in.starters.take().unwrap_or_default() {
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
        let host = authorize.host_str().unwrap_or_default();
        let host = authorize
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
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
        let wait = expires.since(self.deps.clock.now());
        if let Some(timer) = self.sign_in.timer.take() {
            ctx.cancel_future(timer);
        }
        self.sign_in.timer = Some(ctx.run_later(wait, |act, _| {
            if act.sign_in.pending.take().is_some() {
                act.conclude(LoginOutcome::Failed(LoginFault::TimedOut));
            }
        }));
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
                client_secret: None,
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

fn store_fault(error: crate::store::StoreError) -> LoginFault {
    LoginFault::Store(error.to_string())
}

impl Handler<BeginLogin> for TokenManager {
    type Result = ResponseFuture<Result<LoginStarted, LoginFault>>;

    fn handle(&mut self, BeginLogin(options): BeginLogin, ctx: &mut Self::Context) -> Self::Result {
        if !self.is_oauth() {
            return Box::pin(async { Err(LoginFault::NotOauth) });
        }
        if let Some(link) = self.sign_in.link.clone() {
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
        let call = self.authority.exchange(exchange);
        let store = self.deps.store.clone();
        let work = call.into_actor(self).then(move |result, act, _| {
            // Only now: a refresh may have published another generation meanwhile.
            let generation = act.machine.generation().next();
            let wanted = act.sign_in.given_up == given_up;
            let authority = Rc::clone(&act.authority);
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
                Ok::<_, LoginFault>((grant, tokens.access))
            };
            save.into_actor(act)
        });
        Box::pin(work.map(|saved, act, ctx| {
            let outcome = match saved {
                Ok((mut grant, access)) => {
                    failpoint::here!("sign-in.publish");
                    info!(account = %act.account, "signed in");
                    grant.generation = act.machine.generation().next();
                    act.sign_in.issuer = Some(grant.issuer.clone());
                    act.take_grant(grant.clone(), access, ctx);
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
