//! The agent port in this process, with a fake source of credentials, on a port of its own.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward::clock::{Clock, ManualClock, SystemRandom};
use doorward::ledger::{CredentialSource, Ledger, Published, SessionCell, Slot};
use doorward::model::fault::CredentialError;
use doorward::model::id::{AccountRef, Generation};
use doorward::model::record::SessionRecord;
use doorward::model::secret::AccessToken;
use doorward::model::session::Grant;
use doorward::model::time::Timestamp;
use doorward::model::token::Credential;
use doorward::transport::TlsTrust;
use doorward::web::guard::Doors;
use doorward::web::plan::{Plan, PlanSpec};
use doorward::web::routes::RouteSpec;
use doorward::web::{AgentState, Pages, Serving, Stop, server};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::raw::{Message, Wire};

/// What the fake source does when it is asked.
type Behaviour = dyn Fn(&Slot, Option<Generation>) -> Result<(), CredentialError> + Send + Sync;

/// A fake token manager for all accounts.
pub(crate) struct Source {
    ledger: Arc<Ledger>,
    asks: AtomicUsize,
    nudges: AtomicUsize,
    rejected: Mutex<Vec<Option<Generation>>>,
    behaviour: Mutex<Arc<Behaviour>>,
}

impl Source {
    pub(crate) fn asks(&self) -> usize {
        self.asks.load(Ordering::SeqCst)
    }

    pub(crate) fn nudges(&self) -> usize {
        self.nudges.load(Ordering::SeqCst)
    }

    pub(crate) fn rejected(&self) -> Vec<Option<Generation>> {
        self.rejected.lock().expect("unpoisoned").clone()
    }

    /// Changes what it does.
    pub(crate) fn behave(
        &self,
        how: impl Fn(&Slot, Option<Generation>) -> Result<(), CredentialError> + Send + Sync + 'static,
    ) {
        *self.behaviour.lock().expect("unpoisoned") = Arc::new(how);
    }
}

/// Publishes `token-N` as generation N.
pub(crate) fn publish(slot: &Slot, generation: u64) {
    publish_until(slot, generation, None, Timestamp::MAX);
}

/// Publishes `token-N` with times of its own.
pub(crate) fn publish_until(
    slot: &Slot,
    generation: u64,
    expires: Option<Timestamp>,
    refresh_at: Timestamp,
) {
    let credential = Credential {
        access: AccessToken::new(format!("token-{generation}")),
        issued: Timestamp::MIN,
        expires,
        generation: Generation(generation),
    };
    slot.publish(Published::bearer(&credential, refresh_at).expect("a sendable token"));
}

#[expect(clippy::unnecessary_wraps, reason = "one of several behaviours")]
/// Refreshes unless the rejected generation is not the present one any more.
fn refresh(slot: &Slot, rejected: Option<Generation>) -> Result<(), CredentialError> {
    let present = slot.load().map(|held| held.generation);
    if present.is_none() || present == rejected {
        publish(slot, present.map_or(1, |generation| generation.0 + 1));
    }
    Ok(())
}

impl CredentialSource for Source {
    fn ask(
        &self,
        account: &AccountRef,
        rejected: Option<Generation>,
    ) -> BoxFuture<'static, Result<Arc<Published>, CredentialError>> {
        self.asks.fetch_add(1, Ordering::SeqCst);
        self.rejected.lock().expect("unpoisoned").push(rejected);
        let slot = self.ledger.slot(account);
        let how = Arc::clone(&self.behaviour.lock().expect("unpoisoned"));
        let answer = how(&slot, rejected).map(|()| slot.load().expect("published"));
        async move { answer }.boxed()
    }

    fn sign_in_link(&self, account: &AccountRef) -> BoxFuture<'static, Option<String>> {
        let link = format!("http://127.0.0.1:5177/login/{account}?t=x");
        async move { Some(link) }.boxed()
    }

    fn nudge(&self, _: &AccountRef) {
        self.nudges.fetch_add(1, Ordering::SeqCst);
    }
}

/// The port, running until dropped.
pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) source: Arc<Source>,
    pub(crate) state: Arc<AgentState>,
    /// The credential of the session that `start` minted: it may use everything.
    pub(crate) token: String,
    pub(crate) cell: Arc<SessionCell>,
    handle: actix_web::dev::ServerHandle,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What differs from the usual.
pub(crate) struct Options {
    pub(crate) upstreams: Vec<RouteSpec>,
    pub(crate) require_session: bool,
    pub(crate) default_segment: Option<String>,
    pub(crate) max_body: u64,
    pub(crate) pages: Pages,
    pub(crate) serving: Serving,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            upstreams: Vec::new(),
            require_session: true,
            default_segment: None,
            max_body: 16 << 20,
            pages: Pages::none(),
            serving: Serving {
                workers: 1,
                drain: Duration::ZERO,
                ..Serving::default()
            },
        }
    }
}

/// An upstream called `name` at `url`, which nothing waits for.
pub(crate) fn upstream(name: &str, url: String) -> RouteSpec {
    let mut spec = RouteSpec::new(name.parse().expect("a name"), url, TlsTrust::of_platform());
    spec.hold = Duration::ZERO;
    spec
}

impl Agent {
    /// A port with one upstream, `up`.
    pub(crate) fn before(url: String) -> Self {
        Self::start(Options {
            upstreams: vec![upstream("up", url)],
            ..Options::default()
        })
    }

    pub(crate) fn start(options: Options) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let ledger = Arc::new(Ledger::new());
        let source = Arc::new(Source {
            ledger: Arc::clone(&ledger),
            asks: AtomicUsize::new(0),
            nudges: AtomicUsize::new(0),
            rejected: Mutex::default(),
            behaviour: Mutex::new(Arc::new(refresh)),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let plan = PlanSpec {
            doors: Doors::new(address, &["doorward.test".to_owned()], &[]),
            require_session: options.require_session,
            max_body: options.max_body,
            default_segment: options.default_segment,
        };
        let plan = Plan::new(plan, options.upstreams, &ledger).expect("a plan");
        let state = Arc::new(AgentState::new(
            clock.clone(),
            &SystemRandom,
            Arc::clone(&ledger),
            source.clone(),
            plan,
            Stop::default(),
        ));
        let (send, receive) = std::sync::mpsc::channel();
        let shared = Arc::clone(&state);
        let (pages, serving) = (options.pages, options.serving);
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = server(&shared, listener, &serving, pages).expect("a server");
                send.send(server.handle()).expect("the test waits");
                server.await.expect("it served");
            });
        });
        let handle = receive.recv().expect("a handle");
        let now = clock.now();
        let (token, cell) = mint(&ledger, now, 1, Grant::All);
        Self {
            address,
            clock,
            ledger,
            source,
            state,
            token,
            cell,
            handle,
            thread: Some(thread),
        }
    }

    /// A session with a grant of its own.
    pub(crate) fn mint(&self, number: u8, grant: Grant) -> (String, Arc<SessionCell>) {
        mint(&self.ledger, self.clock.now(), number, grant)
    }

    pub(crate) fn slot(&self, name: &str) -> Arc<Slot> {
        self.ledger.slot(&name.parse().expect("a name"))
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.address)
    }

    /// The text of a request with the session's credential.
    pub(crate) fn request(&self, method: &str, path: &str, fields: &str, body: &str) -> String {
        let framing = match method {
            "POST" => format!(
                "content-type: application/json\r\ncontent-length: {}\r\n",
                body.len()
            ),
            _ => String::new(),
        };
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n{framing}{fields}\r\n{body}",
            self.address, self.token
        )
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(&self, method: &str, path: &str, fields: &str, body: &str) -> Message {
        self.connect().ask(self.request(method, path, fields, body))
    }

    /// One call of `up`.
    pub(crate) fn post(&self, body: &str) -> Message {
        self.ask("POST", "/u/up", "", body)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Nothing is waited for while a test unwinds.
        let _ = futures_util::FutureExt::now_or_never(self.handle.stop(false));
        if let (Some(thread), false) = (self.thread.take(), std::thread::panicking()) {
            let _ = thread.join();
        }
    }
}

fn mint(ledger: &Ledger, now: Timestamp, number: u8, grant: Grant) -> (String, Arc<SessionCell>) {
    let (token, record) = super::records::session(number.into(), now);
    let cell = SessionCell::new(SessionRecord { grant, ..record });
    ledger.insert(Arc::clone(&cell));
    (token.expose().to_owned(), cell)
}
