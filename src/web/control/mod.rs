//! The control socket: what a person's commands ask of the daemon. Only this user's processes can
//! open it; a session's credential is worth nothing here.

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{HttpResponse, web};
use tokio::sync::mpsc;

use super::{AgentState, views};
use crate::actor::Status;
use crate::actor::directory::{Directory, DirectoryError};
use crate::api::{self, Moment};
use crate::config::Upstream;
use crate::model::catalogue::{Code, Problem};
use crate::model::edition::Edition;
use crate::model::id::{AccountRef, UpstreamName};
use crate::model::time::Timestamp;

mod ending;
mod granting;
mod mint;
mod rename;
mod secret;
mod sessions;
mod shown;
mod sign_in;
mod upstreams;

pub use ending::End;

/// Loads the configuration again, or says what is wrong with it.
pub type Reload = Arc<dyn Fn() -> Result<api::Reloaded, Problem> + Send + Sync>;

/// What the control socket works with.
#[derive(Clone)]
pub struct Control {
    /// The actors.
    pub directory: Directory,
    /// What the agent port works with.
    pub agents: Arc<AgentState>,
    /// Reloads the configuration.
    pub reload: Reload,
    /// Told to end.
    pub end: mpsc::UnboundedSender<End>,
    /// The program that it runs.
    pub edition: Edition,
    /// When the daemon started.
    pub started: Timestamp,
    /// Its socket, for people.
    pub socket: String,
    /// How to read the configuration, for edits.
    pub inputs: Arc<crate::config::Inputs>,
    /// What a person should know.
    pub warnings: Arc<Vec<String>>,
    /// What may be shown again.
    pub held: Held,
}

/// The credentials that may be shown again to the process that they were shown to.
#[derive(Clone, Default)]
pub struct Held(Arc<shown::Shown>);

type Answer = Result<HttpResponse, Refused>;

/// A problem as an answer.
#[derive(Debug)]
struct Refused(Problem);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message())
    }
}

impl actix_web::ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        match self.0.entry().http {
            // Those that agents get as a result are still refusals here.
            0 | 200 => StatusCode::CONFLICT,
            status => StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).json(api::Failure::new(&self.0, None))
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<DirectoryError> for Refused {
    fn from(error: DirectoryError) -> Self {
        Self(match error {
            DirectoryError::Unknown(unknown) => {
                Problem::new(Code::AccountUnknown).with("account", unknown.0)
            }
            DirectoryError::Broken(_) => Problem::new(Code::Internal).with("detail", error),
        })
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy)]
struct Peer(u32);

/// Notes whose process opened a connection.
pub fn note_peer(io: &dyn std::any::Any, kept: &mut actix_web::dev::Extensions) {
    let stream = io.downcast_ref::<actix_web::rt::net::UnixStream>();
    if let Some(Ok(peer)) = stream.map(actix_web::rt::net::UnixStream::peer_cred) {
        kept.insert(Peer(peer.uid()));
    }
}

/// Lets this user's processes in and nobody else's: the directory's mode keeps others out
/// already, unless somebody has changed it.
pub async fn only_this_user(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let peer = request.conn_data::<Peer>().map(|peer| peer.0);
    if peer != Some(rustix::process::getuid().as_raw()) {
        return Err(Refused(Problem::new(Code::PeerRefused)).into());
    }
    next.call(request).await
}

/// Routes of the control socket.
pub fn configure(config: &mut web::ServiceConfig) {
    let json = web::JsonConfig::default()
        .limit(1 << 20)
        .error_handler(|error, _| {
            Refused(Problem::new(Code::BadRequest).with("detail", error)).into()
        });
    config
        .app_data(json)
        .route(api::path::VERSION, web::get().to(version))
        .route(api::path::STATUS, web::get().to(status))
        .route(api::path::UPSTREAMS, web::get().to(upstreams::list))
        .route(api::path::UPSTREAMS, web::post().to(upstreams::add))
        .route(
            "/api/v1/upstreams/{account}",
            web::get().to(upstreams::show),
        )
        .route(
            "/api/v1/upstreams/{account}",
            web::patch().to(upstreams::change),
        )
        .route(
            "/api/v1/upstreams/{account}",
            web::delete().to(upstreams::remove),
        )
        .route(
            "/api/v1/upstreams/{account}/login",
            web::post().to(sign_in::login),
        )
        .route(
            "/api/v1/upstreams/{account}/login",
            web::get().to(sign_in::login_progress),
        )
        .route(
            "/api/v1/upstreams/{account}/login",
            web::delete().to(sign_in::leave),
        )
        .route(
            "/api/v1/upstreams/{account}/login/paste",
            web::post().to(sign_in::paste),
        )
        .route(
            "/api/v1/upstreams/{account}/logout",
            web::post().to(sign_in::logout),
        )
        .route(
            "/api/v1/upstreams/{account}/refresh",
            web::post().to(sign_in::refresh),
        )
        .route(
            "/api/v1/upstreams/{account}/secret",
            web::put().to(secret::set),
        )
        .route(
            "/api/v1/upstreams/{account}/test",
            web::post().to(upstreams::test),
        )
        .route(api::path::SESSIONS, web::get().to(sessions::list))
        .route(api::path::SESSIONS, web::post().to(mint::mint))
        .route(api::path::REVOKE, web::post().to(sessions::revoke))
        .route("/api/v1/sessions/{id}", web::get().to(sessions::show))
        .route(
            "/api/v1/sessions/{id}/renew",
            web::post().to(sessions::renew),
        )
        .route(api::path::RELOAD, web::post().to(reload))
        .route(api::path::SHUTDOWN, web::post().to(ending::shutdown))
        .route(api::path::HAND_OVER, web::post().to(ending::hand_over))
        .default_service(web::to(|| async {
            Answer::Err(Refused(
                Problem::new(Code::NotFound).because("this version does not answer that"),
            ))
        }));
}

async fn version(control: web::Data<Control>) -> HttpResponse {
    HttpResponse::Ok().json(api::DaemonVersion {
        version: control.edition.version.clone(),
        made: control.edition.made.map(Moment),
    })
}

fn named(control: &Control, asked: &str) -> Result<(Arc<Upstream>, AccountRef), Refused> {
    let config = control.directory.deps().config.load();
    let found = config
        .account(asked)
        .map(|(upstream, account)| (Arc::clone(upstream), account));
    found.ok_or_else(|| {
        let (bare, account) = asked.split_once('@').unwrap_or((asked, "default"));
        if let Some(upstream) = config.upstream(bare) {
            let accounts: Vec<_> = upstream.accounts.keys().map(ToString::to_string).collect();
            let problem = Problem::new(Code::AccountUnknown).with("upstream", bare);
            let problem = problem.with("account", account);
            return Refused(problem.with("names", accounts.join(", ")));
        }
        let names: Vec<_> = config.upstreams.keys().map(ToString::to_string).collect();
        let listed = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        let problem = Problem::new(Code::UpstreamUnknown)
            .with("name", asked)
            .with("names", listed);
        Refused(if asked.parse::<UpstreamName>().is_ok() {
            problem
        } else {
            // Nothing can be added under such a name.
            problem.next_step("doorward upstream list")
        })
    })
}

async fn view(control: &Control, upstream: &Upstream, account: &AccountRef) -> api::Account {
    let status = if upstream.enabled {
        control.directory.send(account, || Status).await.ok()
    } else {
        None
    };
    views::account(&control.directory, upstream, account, status.as_ref())
}

async fn all_accounts(control: &Control) -> Vec<api::Account> {
    let config = control.directory.deps().config.load_full();
    let mut accounts = Vec::new();
    for upstream in config.upstreams.values() {
        for account in upstream.account_refs() {
            accounts.push(view(control, upstream, &account).await);
        }
    }
    accounts
}

async fn status(control: web::Data<Control>) -> HttpResponse {
    HttpResponse::Ok().json(overview(&control).await)
}

/// The state of everything.
pub async fn overview(control: &Control) -> api::Status {
    let deps = control.directory.deps();
    let store = deps.store.status().await;
    let detail = store.detail.clone().or_else(|| store.notice.clone());
    let daemon = api::Daemon {
        state: api::DaemonState::Running,
        version: Some(env!("CARGO_PKG_VERSION").into()),
        pid: Some(std::process::id()),
        started_at: Some(Moment(control.started)),
        base_url: deps.origin.to_string(),
        socket: format!("unix:{}", control.socket),
        locked: false,
        store: Some(api::Store {
            kind: store
                .kind
                .map_or("none", crate::store::KeyPlace::as_str)
                .to_owned(),
            ok: store.is_ok(),
            detail,
        }),
        warnings: control.warnings.to_vec(),
    };
    let accounts = all_accounts(control).await;
    api::Status::new(daemon, accounts, &sessions::all(control, false))
}

async fn reload(control: web::Data<Control>) -> Answer {
    Ok(HttpResponse::Ok().json((control.reload)()?))
}
