//! An authorization server in memory, which does what a real one cannot be told to do.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_rt::Arbiter;
use arc_swap::ArcSwap;
use doorward::actor::Deps;
use doorward::actor::directory::Directory;
use doorward::actor::landing::Landings;
use doorward::actor::pending::PendingLogins;
use doorward::clock::{Clock, ManualClock, SystemRandom};
use doorward::config::{self, Inputs};
use doorward::ledger::Ledger;
use doorward::model::fault::{RefreshFailure, TransientCause};
use doorward::model::id::AccountRef;
use doorward::model::record::{ClientRecord, GrantRecord};
use doorward::model::secret::{AccessToken, Assertion, RefreshToken};
use doorward::model::time::Timestamp;
use doorward::model::token::{NewTokens, TokenKind};
use doorward::oauth::{
    Authority, DeviceAsk, DeviceFault, DeviceLogin, Discovered, DiscoveryFailure, Exchange,
    OwnGrant, Polled, Provider, Push, PushFault, RegistrationFailure, Revocation, TokenExchange,
};
use doorward::store::Store;
use futures_util::future::{LocalBoxFuture, pending};
use tokio::sync::{Notify, mpsc, oneshot};

pub(crate) const LIFE: Duration = Duration::from_hours(1);
const UPSTREAM: &str = "https://mcp.example.com/mcp";

/// A refresh token that was presented, and the way to answer.
pub(crate) struct Presented {
    pub(crate) refresh: String,
    answer: oneshot::Sender<Outcome>,
}

pub(crate) enum Outcome {
    Tokens(NewTokens),
    RotatedOnly(RefreshToken),
    Panic,
}

impl Presented {
    /// The next pair.
    pub(crate) fn rotate(self, number: u32, now: Timestamp) {
        let tokens = NewTokens {
            access: AccessToken::new(format!("access-{number}")),
            kind: TokenKind::Bearer,
            expires_in: Some(LIFE),
            refresh: Some(RefreshToken::new(format!("refresh-{number}"))),
            scopes: None,
            identity: None,
            received: now,
        };
        assert!(
            self.answer.send(Outcome::Tokens(tokens)).is_ok(),
            "it waits"
        );
    }

    /// A new refresh token, and an access token of a kind that nobody here can send.
    pub(crate) fn rotate_only(self, number: u32) {
        let refresh = RefreshToken::new(format!("refresh-{number}"));
        assert!(
            self.answer.send(Outcome::RotatedOnly(refresh)).is_ok(),
            "it waits"
        );
    }

    /// A defect of ours, in the middle of a refresh.
    pub(crate) fn panic(self) {
        assert!(self.answer.send(Outcome::Panic).is_ok(), "it waits");
    }
}

struct Prompted {
    present: mpsc::UnboundedSender<Presented>,
    revoking: Arc<Mutex<Option<Arc<Gate>>>>,
}

/// Where revocations wait.
#[derive(Default)]
pub(crate) struct Gate {
    held: Notify,
    open: Notify,
}

impl Gate {
    /// Until one waits.
    pub(crate) async fn held(&self) {
        self.held.notified().await;
    }

    /// Lets it go.
    pub(crate) fn release(&self) {
        self.open.notify_one();
    }
}

impl Authority for Prompted {
    fn discover(
        &self,
        _: &Provider,
        _: &[String],
    ) -> LocalBoxFuture<'static, Result<Discovered, DiscoveryFailure>> {
        Box::pin(pending())
    }

    fn register(
        &self,
        _: &Provider,
        _: &Discovered,
        _: &[String],
    ) -> LocalBoxFuture<'static, Result<ClientRecord, RegistrationFailure>> {
        Box::pin(pending())
    }

    fn push(&self, _: Push) -> LocalBoxFuture<'static, Result<url::Url, PushFault>> {
        Box::pin(pending())
    }

    fn exchange(&self, _: Exchange) -> LocalBoxFuture<'static, Result<NewTokens, RefreshFailure>> {
        Box::pin(pending())
    }

    fn device_code(
        &self,
        _: DeviceAsk,
    ) -> LocalBoxFuture<'static, Result<DeviceLogin, DeviceFault>> {
        Box::pin(pending())
    }

    fn poll_device(&self, _: &DeviceLogin) -> LocalBoxFuture<'static, Polled> {
        Box::pin(pending())
    }

    fn refresh(
        &self,
        grant: &GrantRecord,
    ) -> LocalBoxFuture<'static, Result<NewTokens, RefreshFailure>> {
        let (answer, answered) = oneshot::channel();
        let token = grant.refresh.as_ref().expect("a refresh token");
        let refresh = token.expose().to_owned();
        // A test that is over listens no more.
        let _ = self.present.send(Presented { refresh, answer });
        Box::pin(async move {
            match answered.await {
                Ok(Outcome::Tokens(tokens)) => Ok(tokens),
                Ok(Outcome::RotatedOnly(refresh)) => Err(RefreshFailure::RotatedOnly {
                    refresh,
                    cause: TransientCause::Malformed("it holds no access token"),
                }),
                Ok(Outcome::Panic) => panic!("told to by the test"),
                Err(_) => pending().await,
            }
        })
    }

    fn exchange_token(
        &self,
        _: TokenExchange,
    ) -> LocalBoxFuture<'static, Result<Assertion, RefreshFailure>> {
        Box::pin(pending())
    }

    fn own_token(&self, _: OwnGrant) -> LocalBoxFuture<'static, Result<NewTokens, RefreshFailure>> {
        Box::pin(pending())
    }

    fn revoke(
        &self,
        _: &GrantRecord,
        _: Option<&AccessToken>,
    ) -> LocalBoxFuture<'static, Revocation> {
        let gate = self.revoking.lock().expect("unpoisoned").clone();
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.held.notify_one();
                gate.open.notified().await;
            }
            Revocation::Done
        })
    }

    fn deregister(&self, _: &ClientRecord) -> LocalBoxFuture<'static, Revocation> {
        Box::pin(async { Revocation::Done })
    }
}

/// One signed-in account with its actors, on a clock of the test's own.
pub(crate) struct World {
    pub(crate) directory: Directory,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) account: AccountRef,
    pub(crate) presented: mpsc::UnboundedReceiver<Presented>,
    revoking: Arc<Mutex<Option<Arc<Gate>>>>,
}

impl World {
    /// The stored token is `refresh-1`, and no access token is known, as after a restart.
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let account: AccountRef = "up".parse().expect("a name");
        let random = Arc::new(SystemRandom);
        let store = Store::in_memory(random.clone()).await.expect("a store");
        let grant = grant(&account, clock.now());
        store.put_grant(grant).await.expect("kept");
        clock.advance(LIFE);
        let inputs = Inputs {
            file: "config.toml".into(),
            ..Inputs::default()
        };
        let text = format!("[upstreams.up]\nurl = \"{UPSTREAM}\"\n");
        let config = config::parse(&text, &inputs).expect("valid").config;
        let (present, presented) = mpsc::unbounded_channel();
        let revoking = Arc::new(Mutex::default());
        let gates = Arc::clone(&revoking);
        let deps = Deps {
            clock: clock.clone(),
            random,
            ledger: Arc::new(Ledger::new()),
            store,
            config: Arc::new(ArcSwap::from_pointee(config)),
            authority: Arc::new(move |_| {
                Rc::new(Prompted {
                    present: present.clone(),
                    revoking: Arc::clone(&gates),
                })
            }),
            pending: Arc::new(PendingLogins::default()),
            landings: Landings::channel().0,
            origin: "http://127.0.0.1:5177".into(),
        };
        let directory = Directory::new(deps, Arbiter::new().handle());
        directory.open_account(&account);
        Self {
            directory,
            clock,
            account,
            presented,
            revoking,
        }
    }

    /// Makes revocations wait from now on.
    pub(crate) fn hold_revocations(&self) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        *self.revoking.lock().expect("unpoisoned") = Some(Arc::clone(&gate));
        gate
    }

    /// The next refresh token that is presented.
    pub(crate) async fn presented(&mut self) -> Presented {
        self.presented.recv().await.expect("somebody presents")
    }

    /// What is stored of the account.
    pub(crate) async fn stored(&self) -> GrantRecord {
        let mut grants = self.directory.deps().store.grants().await.expect("read");
        grants.pop().expect("there").0
    }
}

fn grant(account: &AccountRef, now: Timestamp) -> GrantRecord {
    let issuer = "https://auth.example.com";
    GrantRecord {
        expires: Some(now.plus(LIFE)),
        ..super::records::sign_in(account, issuer, UPSTREAM, "refresh-1", now)
    }
}
