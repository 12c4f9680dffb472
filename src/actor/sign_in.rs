//! The part of a token manager that signs a person in. One sign-in an account is under way at a
//! time; whoever asks for one meanwhile gets the same link (protocol.md OC-51).

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;
use tracing::{info, warn};
use url::Url;

use crate::clock::random_u64;
use crate::config::landing;
use crate::model::secret::TokenDigest;
use crate::oauth::login::MAX_WINDOW;
use crate::oauth::{DeviceLogin, PendingLogin, Push};

use super::beginning::{Beginning, Begun, InBrowser};
use super::landing::{Landed, Missed};
use super::login::{LoginFault, LoginOptions, LoginOutcome, LoginStarted};
use super::pending::PendingEntry;
use super::token_manager::TokenManager;
use super::{AwaitLogin, BeginLogin, OpenLogin};

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
    /// Keeps the place open that the browser comes back to, where it is not at the agent port.
    landing: Option<DropGuard>,
    /// Why that is not where the client is registered.
    pub(super) missed: Option<Missed>,
    /// How many sign-ins were given up: an exchange that runs is worth nothing after that.
    pub(super) given_up: u64,
    /// What the sign-in under way was asked to be.
    pub(super) asked: Option<LoginOptions>,
    /// Counts the attempts to find the server: what an earlier one found is nobody's.
    pub(super) attempt: u64,
    /// How many wait for it, as far as they said.
    pub(super) parties: usize,
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
        self.sign_in.landing = None;
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

    /// Has the server and a client identity found, and makes the link.
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
        // A person at another device has as long as the code is good, unless they were given less.
        let usual = if on_device {
            MAX_WINDOW
        } else {
            config.login.window
        };
        let window = options.window.unwrap_or(usual);
        self.sign_in.attempt += 1;
        let attempt = self.sign_in.attempt;
        self.sign_in.asked = Some(options.clone());
        // A step-up adds to what there is: OC-53.
        let mut more = options.add_scopes.clone();
        if !more.is_empty() {
            let granted = self.grant.iter().flat_map(|grant| &grant.scopes);
            more.extend(granted.cloned());
        }
        let beginning = Beginning {
            deps: self.deps.clone(),
            account: self.account.clone(),
            authority: std::rc::Rc::clone(&self.authority),
            provider,
            landing: landing(&upstream, &config.server).filter(|_| !on_device),
            proof: oauth.proof.clone(),
            former: self.sign_in.issuer.clone(),
            more,
            window,
            on_device,
        };
        let find = beginning.run();
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
                Begun::InBrowser(begun) => self.offer(*begun, ctx),
                Begun::OnDevice(login) => self.offer_device(*login, ctx),
            }
        });
        if let Err(fault) = &answer {
            self.sign_in.asked = None;
            for watcher in self.sign_in.watchers.drain(..) {
                let _ = watcher.send(LoginOutcome::Failed(fault.clone()));
            }
        }
        let starters = self.sign_in.starters.take().unwrap_or_default();
        self.sign_in.parties = starters.len();
        for starter in starters {
            let _ = starter.send(answer.clone());
        }
    }

    /// Makes the sign-in findable for the browser.
    fn offer(&mut self, begun: InBrowser, ctx: &mut Context<Self>) -> LoginStarted {
        let InBrowser {
            login,
            authorize,
            landed,
        } = begun;
        let random = || random_u64(&*self.deps.random);
        let ticket = format!("{:016x}{:016x}", random(), random());
        let cookie = format!("{:016x}{:016x}", random(), random());
        let expires = login.facts.expires;
        let authorize_url = authorize.to_string();
        let base = self.origin_of_pages();
        let entry = Arc::new(PendingEntry {
            account: self.account.clone(),
            authorize_url: authorize_url.clone(),
            pushed: login.is_pushed(),
            redirect_uri: login.facts.redirect_uri.clone(),
            cookie,
            expires,
        });
        let ticket_digest = TokenDigest::of(ticket.as_bytes());
        self.deps
            .pending
            .insert(login.state_digest(), ticket_digest, entry);
        let url = format!("{base}/login/{}?t={ticket}", self.account);
        let host = host_of(&authorize);
        let missed = landed.as_ref().and_then(|landed| landed.missed.clone());
        if let Some(missed) = &missed {
            warn!(account = %self.account, "{missed}");
        }
        self.sign_in.missed.clone_from(&missed);
        self.sign_in.landing = landed.map(Landed::into_guard);
        let former = self.sign_in.issuer.clone();
        let started = LoginStarted::Pending {
            url,
            authorize_url,
            expires,
            host,
            moved_from: former.filter(|former| *former != login.facts.issuer),
            missed,
        };
        self.sign_in.pending = Some(login);
        self.sign_in.link = Some(started.clone());
        self.sign_in.last = None;
        self.end_at(expires, ctx);
        info!(account = %self.account, "sign-in started");
        started
    }
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

impl Handler<OpenLogin> for TokenManager {
    type Result = ResponseFuture<Option<Result<String, LoginFault>>>;

    fn handle(&mut self, _: OpenLogin, _: &mut Self::Context) -> Self::Result {
        let Some(login) = &self.sign_in.pending else {
            return Box::pin(async { None });
        };
        let Some(push) = Push::of(login) else {
            let url = login.url().to_string();
            return Box::pin(async { Some(Ok(url)) });
        };
        let pushing = self.authority.push(push);
        Box::pin(async move {
            let pushed = pushing.await;
            Some(pushed.map(|url| url.to_string()).map_err(LoginFault::from))
        })
    }
}

impl Handler<AwaitLogin> for TokenManager {
    type Result = ResponseFuture<LoginOutcome>;

    fn handle(&mut self, _: AwaitLogin, _: &mut Self::Context) -> Self::Result {
        let is_beginning = self.sign_in.starters.is_some();
        if !is_beginning && self.sign_in.pending.is_none() && self.sign_in.link.is_none() {
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
