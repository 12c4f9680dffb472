//! The agent port: what agents, browsers on this machine and nobody else may ask.
//!
//! One service takes every request. Whatever it is, [`guard`] looks at it first; then it is a
//! proxied call ([`proxy`]), a probe (`probes`), or a page, which the daemon adds through
//! [`Pages`]. [`respond`] is the only place that turns trouble into an answer.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::dev::{RequestHead, Server, ServiceRequest, ServiceResponse, fn_service};
use actix_web::http::{ConnectionType, KeepAlive};
use actix_web::{App, HttpServer, guard as route_guard, middleware, web};
use arc_swap::ArcSwap;
use base64ct::{Base64UrlUnpadded, Encoding};
use http::HeaderValue;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Random, random_u64};
use crate::ledger::{CredentialSource, Ledger};
use crate::model::guess::Guesses;
use crate::transport::HyperTransport;

pub mod control;
mod denied;
pub mod guard;
pub mod landing;
pub mod login;
mod pages;
pub mod places;
pub mod plan;
mod probes;
pub mod proxy;
pub mod respond;
pub mod routes;
mod tally;
mod trial;
mod views;

use plan::Plan;
use respond::RequestId;
use tally::{Tallies, Tally};

/// What all workers of the agent port share.
pub struct AgentState {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Sessions and credentials.
    pub ledger: Arc<Ledger>,
    /// Who brings about a credential that is missing.
    pub source: Arc<dyn CredentialSource>,
    /// The configuration as requests use it; replaced by a reload.
    pub plan: ArcSwap<Plan>,
    /// Whether the parts that the daemon cannot do without work; asked by `/ready`.
    pub checks: ArcSwap<Checks>,
    /// How far a stop has come.
    pub stop: Stop,
    /// What is being answered.
    pub tallies: Tallies,
    /// What stands for this daemon in `Via`: other daemons on the way have another one.
    pub pseudonym: String,
    via: HeaderValue,
    requests: AtomicU64,
    /// Credentials that are wrong.
    guesses: Guesses,
    /// Who was refused, for the log.
    denied: denied::Denied,
    /// What nobody else knows: ids that are given out here come of it.
    secret: [u8; 32],
}

/// The steps of a stop. A stream ends between two events at its step, and in the midst of one only
/// at the step after it.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Cancelled at its start: streams that agents listen on end then, visibly.
    pub begun: CancellationToken,
    /// Cancelled when running calls have had their time: they end then, visibly.
    pub over: CancellationToken,
    /// Cancelled when an event that was on its way then has had its time too.
    pub cut: CancellationToken,
}

impl Stop {
    /// The same steps, for the requests of one thread.
    fn of_worker(&self) -> Self {
        Self {
            begun: self.begun.child_token(),
            over: self.over.child_token(),
            cut: self.cut.child_token(),
        }
    }
}

/// The state of the parts that the daemon cannot do without; `ok` or what is wrong.
#[derive(Clone, Debug)]
pub struct Checks {
    /// The store.
    pub store: String,
    /// The configuration.
    pub config: String,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            store: "ok".to_owned(),
            config: "ok".to_owned(),
        }
    }
}

impl AgentState {
    /// The state of a port that serves `plan`.
    pub fn new(
        clock: Arc<dyn Clock>,
        random: &dyn Random,
        ledger: Arc<Ledger>,
        source: Arc<dyn CredentialSource>,
        plan: Plan,
        stop: Stop,
    ) -> Self {
        let mut secret = [0; 32];
        random.fill(&mut secret);
        let pseudonym = format!("doorward-{:08x}", random_u64(random) >> 32);
        let via = HeaderValue::from_str(&format!("1.1 {pseudonym}"))
            .expect("letters, digits, a dot and a dash");
        Self {
            clock,
            ledger,
            source,
            plan: ArcSwap::from_pointee(plan),
            checks: ArcSwap::from_pointee(Checks::default()),
            stop,
            tallies: Tallies::default(),
            pseudonym,
            via,
            requests: AtomicU64::new(random_u64(random)),
            guesses: Guesses::default(),
            denied: denied::Denied::default(),
            secret,
        }
    }

    /// An id for a session that is opened here: nobody can guess it, and it comes once.
    fn own_id(&self) -> String {
        let mut digest = Sha256::new_with_prefix(self.secret);
        digest.update(self.requests.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        digest.update(self.clock.now().as_millis().to_le_bytes());
        let digest = digest.finalize();
        Base64UrlUnpadded::encode_string(&digest[..24])
    }

    /// The next request id.
    pub fn request_id(&self) -> RequestId {
        RequestId::new(self.requests.fetch_add(1, Ordering::Relaxed))
    }
}

/// Whether a request is one of a kind.
pub type Recognise = Arc<dyn Fn(&AgentState, &RequestHead) -> bool + Send + Sync>;

/// The pages that the daemon adds: sign-in, its landing page, the dashboard.
#[derive(Clone)]
pub struct Pages {
    /// Whether a request is for one of them.
    pub owns: Recognise,
    /// Whether another site may lead a browser there: true for the landing page of sign-ins.
    pub reached_from_elsewhere: Recognise,
    /// Adds their routes. The state is there as `web::Data<AgentState>`.
    pub configure: Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>,
}

impl Pages {
    /// No pages.
    pub fn none() -> Self {
        Self {
            owns: Arc::new(|_, _| false),
            reached_from_elsewhere: Arc::new(|_, _| false),
            configure: Arc::new(|_| {}),
        }
    }
}

/// How the port is served.
#[derive(Clone, Copy, Debug)]
pub struct Serving {
    /// Threads, each with its own upstream connections.
    pub workers: usize,
    /// How long a client may take to send the head of its first request.
    pub head_within: Duration,
    /// How long a connection is kept for the next request.
    pub keep_alive: Duration,
    /// How long running calls may go on after a stop.
    pub drain: Duration,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            head_within: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            drain: Duration::from_secs(10),
        }
    }
}

/// How long an answered client may go on sending a body that nobody reads.
const LINGER: Duration = Duration::from_secs(2);

/// Serves the agent port on `listener`, which is bound already with a backlog of its own. Signals
/// are left to the daemon.
pub fn server(
    state: &Arc<AgentState>,
    listener: TcpListener,
    serving: &Serving,
    pages: Pages,
) -> std::io::Result<Server> {
    let shared = web::Data::from(Arc::clone(state));
    let server = HttpServer::new(move || {
        let tally = shared.tallies.of_thread();
        let worker = Rc::new(proxy::Worker {
            state: Arc::clone(&shared),
            stop: shared.stop.of_worker(),
            tally: Rc::clone(&tally),
            transport: HyperTransport::new(),
        });
        App::new()
            .app_data(shared.clone())
            .configure(|config| add_pages(config, &shared, &pages, &tally))
            .default_service(fn_service(move |request: ServiceRequest| {
                answer(Rc::clone(&worker), request)
            }))
    });
    Ok(server
        .workers(serving.workers)
        .backlog(2048)
        .h1_allow_half_closed(false)
        .keep_alive(KeepAlive::Timeout(serving.keep_alive))
        .client_request_timeout(serving.head_within)
        .client_disconnect_timeout(LINGER)
        .shutdown_timeout(serving.drain.as_secs())
        .disable_signals()
        .listen(listener)?
        .run())
}

/// Pages stand apart from the data path: middleware costs them nothing that matters.
fn add_pages(
    config: &mut web::ServiceConfig,
    state: &web::Data<AgentState>,
    pages: &Pages,
    tally: &Rc<Tally>,
) {
    let tally = Rc::clone(tally);
    let owner = Arc::clone(state);
    let looking = Arc::clone(state);
    let owns = Arc::clone(&pages.owns);
    let elsewhere = Arc::clone(&pages.reached_from_elsewhere);
    let routes = Arc::clone(&pages.configure);
    let scope = web::scope("")
        .guard(route_guard::fn_guard(move |context| {
            owns(&owner, context.head())
        }))
        .wrap(middleware::from_fn(move |request: ServiceRequest, next| {
            let state = Arc::clone(&looking);
            let elsewhere = Arc::clone(&elsewhere);
            let flight = tally.begin();
            async move {
                let _flight = flight;
                let id = state.request_id();
                let from_elsewhere = elsewhere(&state, request.head());
                let verdict = guard::look(&state.plan.load().doors, request.head(), from_elsewhere);
                let mut response = match verdict {
                    Err(refusal) => {
                        state.denied.note(&refusal);
                        request.into_response(respond::refusal(&refusal, id))
                    }
                    Ok(()) => middleware::Next::call(&next, request).await?,
                };
                respond::mark_local(response.headers_mut(), id);
                Ok::<_, actix_web::Error>(response)
            }
        }))
        .configure(move |config| routes(config));
    config.service(scope);
}

async fn answer(
    worker: Rc<proxy::Worker>,
    request: ServiceRequest,
) -> Result<ServiceResponse, actix_web::Error> {
    let (request, payload) = request.into_parts();
    let mut response = proxy::handle(&worker, &request, payload).await;
    let offered = request.head().connection_type() == ConnectionType::Upgrade;
    if offered || worker.tally.is_closing() {
        // An offer that was passed over, or the last answer of this daemon. The server closes such
        // a connection after its answer; the client is told so.
        response
            .head_mut()
            .set_connection_type(ConnectionType::Close);
    }
    Ok(ServiceResponse::new(request, response))
}
