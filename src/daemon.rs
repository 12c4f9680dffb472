//! Wiring: start, reload, signals, drain, stop.

use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use actix_rt::{Arbiter, System};
use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, middleware, web};
use arc_swap::ArcSwap;
use sd_notify::NotifyState;
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::actor::Deps;
use crate::actor::directory::Directory;
use crate::actor::landing::Landings;
use crate::actor::pending::PendingLogins;
use crate::clock::{Clock, Random, SystemClock, SystemRandom};
use crate::config::{self, Inputs, LogFormat};
use crate::http::install_crypto_provider;
use crate::ledger::{CredentialSource, Ledger};
use crate::model::catalogue::{Code, Problem};
use crate::model::edition::Edition;
use crate::model::invocation::Invocation;
use crate::model::time::Timestamp;
use crate::paths::{DaemonInfo, Environment, InstanceLock, Paths};
use crate::process;
use crate::store::Store;
use crate::transport::TlsTrust;
use crate::web::control::{self, Control, End, Held};
use crate::web::plan::Plan;
use crate::web::{AgentState, Serving, Stop, landing, login, respond, server};

mod authority;
mod desktop;
mod handover;
mod housekeeping;
mod log;
mod people;
mod ready;
mod reload;
mod restore;
mod sockets;
mod stop;
mod summary;
mod traces;

use handover::Copies;
use ready::Ready;
use sockets::{Given, Keeper};

/// What `serve` was told on the command line.
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// The file of the configuration, where a person named one.
    pub config_path: Option<PathBuf>,
    /// The state directory, where a person named one.
    pub state_dir: Option<PathBuf>,
    /// The control socket, where a person named one.
    pub socket: Option<PathBuf>,
    /// The address to listen on.
    pub bind: Option<IpAddr>,
    /// The port to listen on.
    pub port: Option<u16>,
    /// Upstreams beside those of the configuration: name and address.
    pub upstreams: Vec<(String, String)>,
    /// Where to write one line when ready: the address that agents use.
    pub ready_fd: Option<i32>,
    /// Whether to stop when standard input ends.
    pub until_eof: bool,
    /// The form of the log.
    pub log_format: Option<LogFormat>,
    /// Whether to reload when the file of the configuration changes.
    pub watch: bool,
    /// Whether to take the place of the daemon that runs.
    pub succeed: bool,
    /// Whether to write to `ready_fd` as well why it did not start, for the command that starts it.
    pub tell_failure: bool,
    /// How people call the program when they mean this daemon.
    pub invocation: Invocation,
}

/// The program that this process runs.
pub fn edition() -> Edition {
    Edition {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made: process::program::made().map(|seconds| Timestamp::from_millis(seconds * 1000)),
    }
}

/// Runs the daemon until it is told to stop.
pub fn serve(options: ServeOptions) -> Result<(), Problem> {
    let ready = options.ready_fd.map(Ready::open).transpose()?;
    let listener = options.tell_failure.then_some(options.ready_fd).flatten();
    let ended = start(options, ready);
    if let (Err(problem), Some(fd)) = (&ended, listener) {
        ready::refuse(fd, problem);
    }
    ended
}

fn start(options: ServeOptions, ready: Option<Ready>) -> Result<(), Problem> {
    crate::failpoint::arm();
    let given = Given::by_service_manager()?;
    install_crypto_provider();
    respond::called(options.invocation.clone());
    process::write_no_cores()
        .map_err(|error| failed("core dumps cannot be switched off", error))?;
    System::new().block_on(run(options, given, ready))
}

/// A start that failed. What there is to say goes to the log itself, which is no next step then.
fn failed(what: &str, error: impl std::fmt::Display) -> Problem {
    let problem = Problem::new(Code::StartFailed).because(format!("{what}: {error}"));
    problem.next_step("")
}

async fn run(options: ServeOptions, mut given: Given, ready: Option<Ready>) -> Result<(), Problem> {
    let mut paths = Paths::resolve(options.state_dir.as_deref(), &Environment::of_process())
        .map_err(|error| error.problem())?;
    if let Some(socket) = &options.socket {
        paths.socket.clone_from(socket);
    }
    let named = options.config_path.is_some();
    let file = options
        .config_path
        .clone()
        .unwrap_or_else(|| paths.config.clone());
    let mut inputs = Inputs::of_process(file, named);
    inputs.flags.bind = options.bind;
    inputs.flags.port = options.port;
    inputs.flags.upstreams.clone_from(&options.upstreams);
    let loaded = config::load(&inputs).map_err(|error| error.problem())?;
    log::install(&loaded.config.log, options.log_format);
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let lock = if options.succeed {
        handover::succeed(&mut paths, &mut given).await?
    } else {
        given.locate(&mut paths);
        InstanceLock::acquire(&paths).map_err(|error| error.problem())?
    };
    let listener = given.agents(&loaded.config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let random: Arc<dyn Random> = Arc::new(SystemRandom);
    let kept = &loaded.config.store;
    let (c, r) = (Arc::clone(&clock), Arc::clone(&random));
    let store = Store::open(&paths, kept.kind.clone(), &kept.service, c, r)
        .await
        .map_err(|error| error.problem())?;
    let running = Running::start(&lock, &paths, inputs, loaded, listener, store, given).await?;
    if options.until_eof {
        stop_at_eof(&running.control);
    }
    // Whoever reads the ready line may want it to end at once.
    let signals = stop::Signals::new().map_err(|error| failed("no signals", error))?;
    announce(&lock, &paths, &running, ready)?;
    running.until_stopped(&lock, signals, options.watch).await
}

fn announce(
    lock: &InstanceLock,
    paths: &Paths,
    running: &Running,
    ready: Option<Ready>,
) -> Result<(), Problem> {
    process::close_memory()
        .map_err(|error| failed("its memory cannot be closed to others", error))?;
    let deps = running.directory.deps();
    let info = DaemonInfo {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        base_url: deps.origin.to_string(),
        socket: paths.socket.clone(),
        started: running.control.started,
    };
    lock.announce(&info).map_err(|error| error.problem())?;
    let sessions = deps.ledger.sessions().len();
    let upstreams = deps.config.load().upstreams.len();
    info!(url = %deps.origin, upstreams, sessions, "listening");
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    if let Some(ready) = ready {
        let line = serde_json::json!({
            "url": &*deps.origin, "socket": paths.socket, "pid": std::process::id(),
        });
        let written = ready.write(&line.to_string());
        written.map_err(|error| failed("the ready line cannot be written", error))?;
    }
    Ok(())
}

/// A thread of its own reads, since nothing can call a read of a terminal off.
fn stop_at_eof(control: &Control) {
    let end = control.end.clone();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        // Nobody receives it any more when the daemon stops already.
        let _ = end.send(End::Stop { drain: None });
    });
}

/// A daemon that serves.
struct Running {
    directory: Directory,
    state: Arc<AgentState>,
    control: Control,
    agents: ServerHandle,
    commands: ServerHandle,
    /// To be given away; none once it has been decided that nobody gets them.
    copies: Option<Copies>,
    keeper: Keeper,
    ends: mpsc::UnboundedReceiver<End>,
    log: PathBuf,
}

impl Running {
    async fn start(
        lock: &InstanceLock,
        paths: &Paths,
        inputs: Inputs,
        loaded: config::Loaded,
        listener: TcpListener,
        store: Store,
        mut given: Given,
    ) -> Result<Self, Problem> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let random: Arc<dyn Random> = Arc::new(SystemRandom);
        let started = clock.now();
        let local = listener
            .local_addr()
            .map_err(|error| failed("no address", error))?;
        let ledger = Arc::new(Ledger::new());
        let config = Arc::new(ArcSwap::from_pointee(loaded.config));
        let (landings, mut landed) = Landings::channel();
        let deps = Deps {
            clock: Arc::clone(&clock),
            random: Arc::clone(&random),
            ledger: Arc::clone(&ledger),
            store,
            config: Arc::clone(&config),
            authority: authority::factory(Arc::clone(&clock), Arc::clone(&random)),
            pending: Arc::new(PendingLogins::default()),
            landings,
            origin: format!("http://{local}").into(),
        };
        let directory = Directory::new(deps, Arbiter::new().handle());
        for (_, account) in config.load().accounts() {
            directory.open_account(&account);
        }
        restore::sessions(&directory, started)
            .await
            .map_err(|error| failed("the sessions cannot be loaded", error))?;
        traces::restore(&directory)
            .await
            .map_err(|error| failed("what agents may go on with cannot be loaded", error))?;
        let trust = TlsTrust::of_platform();
        let plan = Plan::of_config(&config.load(), local, &ledger, &trust)
            .map_err(|error| failed("an upstream's address cannot be used", error))?;
        let source: Arc<dyn CredentialSource> = Arc::new(directory.clone());
        let state = Arc::new(AgentState::new(
            clock,
            &*random,
            Arc::clone(&ledger),
            source,
            plan,
            Stop::default(),
        ));
        let (drain, redirect) = {
            let config = config.load();
            (config.server.drain, config.server.redirect_path.clone())
        };
        let serving = Serving {
            drain,
            ..Serving::default()
        };
        let answering = directory.clone();
        actix_rt::spawn(async move {
            while let Some(landing) = landed.recv().await {
                landing::answer(answering.clone(), landing);
            }
        });
        let pages = login::pages(directory.clone(), &redirect);
        let socket = match given.control.take() {
            Some(socket) => {
                if given.keeper == Keeper::Nobody {
                    lock.keep_socket();
                }
                socket
            }
            None => lock.bind_socket().map_err(|error| error.problem())?,
        };
        let copies = Copies::of(&listener, &socket, given.keeper)
            .map_err(|error| failed("the sockets cannot be kept", error))?;
        let agents = server(&state, listener, &serving, pages)
            .map_err(|error| failed("the agent port cannot be served", error))?;
        let (end, ends) = mpsc::unbounded_channel();
        let inputs = Arc::new(inputs);
        let control = Control {
            directory: directory.clone(),
            agents: Arc::clone(&state),
            reload: reload::reloader(&directory, &state, &inputs, local, trust),
            end,
            edition: edition(),
            started,
            socket: paths.socket.display().to_string(),
            inputs,
            warnings: Arc::new(loaded.warnings),
            held: Held::default(),
        };
        let commands = serve_control(control.clone(), socket)
            .map_err(|error| failed("the control socket cannot be served", error))?;
        let handles = (agents.handle(), commands.handle());
        actix_rt::spawn(agents);
        actix_rt::spawn(commands);
        Ok(Self {
            directory,
            state,
            control,
            agents: handles.0,
            commands: handles.1,
            copies: Some(copies),
            keeper: given.keeper,
            ends,
            log: paths.log.clone(),
        })
    }
}

fn serve_control(
    control: Control,
    socket: std::os::unix::net::UnixListener,
) -> std::io::Result<actix_web::dev::Server> {
    socket.set_nonblocking(true)?;
    let data = web::Data::new(control);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .wrap(middleware::from_fn(control::only_this_user))
            .configure(control::configure)
    });
    Ok(server
        .workers(1)
        .on_connect(control::note_peer)
        .disable_signals()
        .shutdown_timeout(1)
        .listen_uds(socket)?
        .run())
}
