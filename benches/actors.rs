//! Asking an actor, which a request does only when no fresh credential is published, and a refresh
//! that many requests wait for. Budget: 5 ms from the authorization server's answer to the last of
//! 1,000 waiters, with the durable write in between (here in memory: a disk adds its own time).

use std::hint::black_box;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_rt::{Arbiter, System, SystemRunner};
use arc_swap::ArcSwap;
use criterion::{Criterion, criterion_group, criterion_main};
use doorward::actor::directory::Directory;
use doorward::actor::landing::Landings;
use doorward::actor::pending::PendingLogins;
use doorward::actor::{Deps, Status};
use doorward::clock::{Clock, ManualClock, SystemRandom};
use doorward::config::{self, Inputs};
use doorward::ledger::{CredentialSource, Ledger, SessionCell};
use doorward::model::fault::RefreshFailure;
use doorward::model::id::AccountRef;
use doorward::model::record::{ClientRecord, EndedBy, GrantRecord};
use doorward::model::secret::{AccessToken, Assertion, RefreshToken};
use doorward::model::time::Timestamp;
use doorward::model::token::{NewTokens, TokenKind};
use doorward::oauth::{
    Authority, DeviceAsk, DeviceFault, DeviceLogin, Discovered, DiscoveryFailure, Exchange,
    OwnGrant, Polled, Provider, Push, PushFault, RegistrationFailure, Revocation, TokenExchange,
};
use doorward::store::Store;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::sync::{mpsc, oneshot};

#[path = "../tests/it/support/records.rs"]
mod records;

const WAITERS: usize = 1000;
const LIFE: Duration = Duration::from_hours(1);
const UPSTREAM: &str = "https://mcp.example.com/mcp";

/// A refresh that was presented, and the way to answer it.
type Presented = oneshot::Sender<NewTokens>;

/// An authorization server that answers when the benchmark says so. Nobody signs in here.
struct Prompted(mpsc::UnboundedSender<Presented>);

impl Authority for Prompted {
    fn discover(
        &self,
        _: &Provider,
        _: &[String],
    ) -> LocalBoxFuture<'static, Result<Discovered, DiscoveryFailure>> {
        Box::pin(std::future::pending())
    }

    fn register(
        &self,
        _: &Provider,
        _: &Discovered,
        _: &[String],
    ) -> LocalBoxFuture<'static, Result<ClientRecord, RegistrationFailure>> {
        Box::pin(std::future::pending())
    }

    fn push(&self, _: Push) -> LocalBoxFuture<'static, Result<url::Url, PushFault>> {
        Box::pin(std::future::pending())
    }

    fn exchange(&self, _: Exchange) -> LocalBoxFuture<'static, Result<NewTokens, RefreshFailure>> {
        Box::pin(std::future::pending())
    }

    fn device_code(
        &self,
        _: DeviceAsk,
    ) -> LocalBoxFuture<'static, Result<DeviceLogin, DeviceFault>> {
        Box::pin(std::future::pending())
    }

    fn poll_device(&self, _: &DeviceLogin) -> LocalBoxFuture<'static, Polled> {
        Box::pin(std::future::pending())
    }

    fn refresh(
        &self,
        _: &GrantRecord,
    ) -> LocalBoxFuture<'static, Result<NewTokens, RefreshFailure>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).expect("the benchmark listens");
        Box::pin(async move { Ok(answered.await.expect("the benchmark answers")) })
    }

    fn exchange_token(
        &self,
        _: TokenExchange,
    ) -> LocalBoxFuture<'static, Result<Assertion, RefreshFailure>> {
        Box::pin(std::future::pending())
    }

    fn own_token(&self, _: OwnGrant) -> LocalBoxFuture<'static, Result<NewTokens, RefreshFailure>> {
        Box::pin(std::future::pending())
    }

    fn revoke(
        &self,
        _: &GrantRecord,
        _: Option<&AccessToken>,
    ) -> LocalBoxFuture<'static, Revocation> {
        Box::pin(std::future::pending())
    }

    fn deregister(&self, _: &ClientRecord) -> LocalBoxFuture<'static, Revocation> {
        Box::pin(std::future::pending())
    }
}

/// One signed-in account whose actors live on a thread of their own, as in the daemon.
struct Bench {
    system: SystemRunner,
    directory: Directory,
    clock: Arc<ManualClock>,
    account: AccountRef,
    presented: mpsc::UnboundedReceiver<Presented>,
    sessions: u64,
}

impl Bench {
    fn new() -> Self {
        let system = System::new();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let account: AccountRef = "up".parse().expect("a name");
        let random = Arc::new(SystemRandom);
        let store = system
            .block_on(Store::in_memory(random.clone()))
            .expect("a store");
        let grant = grant(&account, clock.now());
        system.block_on(store.put_grant(grant)).expect("kept");
        let inputs = Inputs {
            file: PathBuf::from("config.toml"),
            ..Inputs::default()
        };
        let text = format!("[upstreams.up]\nurl = \"{UPSTREAM}\"\n");
        let config = config::parse(&text, &inputs).expect("valid").config;
        let (present, presented) = mpsc::unbounded_channel();
        let deps = Deps {
            clock: clock.clone(),
            random,
            ledger: Arc::new(Ledger::new()),
            store,
            config: Arc::new(ArcSwap::from_pointee(config)),
            authority: Arc::new(move |_| Rc::new(Prompted(present.clone()))),
            pending: Arc::new(PendingLogins::default()),
            landings: Landings::channel().0,
            origin: "http://127.0.0.1:5177".into(),
        };
        let keepers = system.block_on(async { Arbiter::new().handle() });
        let directory = Directory::new(deps, keepers);
        directory.open_account(&account);
        let mut bench = Self {
            system,
            directory,
            clock,
            account,
            presented,
            sessions: 0,
        };
        bench.refresh_for(1);
        bench
    }

    /// Lets the credential expire, has `waiters` ask for another one, answers the refresh that
    /// this starts, and tells how long the last of them waited for that answer.
    fn refresh_for(&mut self, waiters: usize) -> Duration {
        self.clock.advance(LIFE * 2);
        let Self {
            system,
            directory,
            clock,
            account,
            presented,
            ..
        } = self;
        system.block_on(async {
            let asks: Vec<_> = (0..waiters)
                .map(|_| {
                    let mut ask = directory.ask(account, None);
                    // Its first turn puts it into the mailbox.
                    assert!((&mut ask).now_or_never().is_none(), "it has to wait");
                    actix_rt::spawn(ask)
                })
                .collect();
            let answer = presented.recv().await.expect("presented");
            // Behind all of them in the mailbox: once this is answered, all of them wait.
            directory
                .send(account, || Status)
                .await
                .expect("the actor lives");
            let began = now();
            let sent = answer.send(NewTokens {
                access: AccessToken::new("a".repeat(900)),
                kind: TokenKind::Bearer,
                expires_in: Some(LIFE),
                refresh: Some(RefreshToken::new("r".repeat(60))),
                scopes: None,
                identity: None,
                received: clock.now(),
            });
            assert!(sent.is_ok(), "the actor waits");
            for ask in asks {
                ask.await.expect("no panic").expect("a credential");
            }
            began.elapsed()
        })
    }

    fn session(&mut self) -> Arc<SessionCell> {
        self.sessions += 1;
        let (_, record) = records::session(self.sessions, self.clock.now());
        let cell = SessionCell::new(record);
        self.directory.deps().ledger.insert(Arc::clone(&cell));
        self.directory.open_session(&cell);
        cell
    }

    /// Ends sessions that nothing is asked of otherwise: with the durable write, in memory.
    fn revoke(&mut self, count: u64) -> Duration {
        let cells: Vec<_> = (0..count).map(|_| self.session()).collect();
        let directory = &self.directory;
        self.system.block_on(async {
            let began = now();
            for cell in &cells {
                let ending = directory.revoke(cell, EndedBy::Person, None).await;
                ending.expect("kept");
            }
            let passed = began.elapsed();
            for cell in &cells {
                directory.deps().ledger.remove(cell.digest());
                directory.forget_session(cell.id());
            }
            passed
        })
    }
}

fn grant(account: &AccountRef, now: Timestamp) -> GrantRecord {
    let issuer = "https://auth.example.com";
    records::sign_in(account, issuer, UPSTREAM, &"r".repeat(60), now)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn questions(c: &mut Criterion) {
    let mut bench = Bench::new();
    let mut group = c.benchmark_group("question");
    group.bench_function("status", |b| {
        b.iter(|| {
            let answer = bench.directory.send(&bench.account, || Status);
            black_box(bench.system.block_on(answer).expect("the actor lives"))
        });
    });
    group.bench_function("fresh_credential", |b| {
        b.iter(|| {
            let answer = bench.directory.ask(&bench.account, None);
            black_box(bench.system.block_on(answer).expect("a credential"))
        });
    });
    group.bench_function("revoke_session", |b| {
        b.iter_custom(|count| bench.revoke(count));
    });
    group.finish();
}

fn refresh(c: &mut Criterion) {
    let mut bench = Bench::new();
    let mut group = c.benchmark_group("refresh");
    group.sample_size(50);
    for waiters in [1, WAITERS] {
        group.bench_function(format!("waiters/{waiters}"), |b| {
            b.iter_custom(|count| (0..count).map(|_| bench.refresh_for(waiters)).sum());
        });
    }
    group.finish();
}

criterion_group!(benches, questions, refresh);
criterion_main!(benches);
