//! The control socket: what a person's commands ask of the daemon. Only this user's processes can
//! open it; a session's credential is worth nothing here.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{HttpResponse, web};
use tokio::sync::mpsc;

use crate::actor::directory::{Directory, DirectoryError};
use crate::actor::login::{LoginOptions, LoginOutcome, LoginStarted};
use crate::actor::{AwaitLogin, BeginLogin, ForceRefresh, Logout, LogoutReport, Revoke, Status};
use crate::api::{self, Moment};
use crate::clock::random_u64;
use crate::config::{Browser, Edition, Upstream};
use crate::ledger::SessionCell;
use crate::model::catalogue::{Code, Problem};
use crate::model::id::{AccountRef, SessionId, UpstreamName};
use crate::model::record::{BoundProcess, EndedBy, SessionRecord};
use crate::model::secret::SessionToken;
use crate::model::session::{Grant, Verdict};
use crate::model::time::Timestamp;
use crate::oauth::Revocation;

use super::views;

/// Loads the configuration again, or says what is wrong with it.
pub type Reload = Arc<dyn Fn() -> Result<api::Reloaded, Problem> + Send + Sync>;

/// What the control socket works with.
#[derive(Clone)]
pub struct Control {
    /// The actors.
    pub directory: Directory,
    /// Reloads the configuration.
    pub reload: Reload,
    /// Told to stop, with the time running calls are given.
    pub stop: mpsc::UnboundedSender<Option<Duration>>,
    /// When the daemon started.
    pub started: Timestamp,
    /// Its socket, for people.
    pub socket: String,
    /// How to read the configuration, for edits.
    pub inputs: Arc<crate::config::Inputs>,
    /// What a person should know.
    pub warnings: Arc<Vec<String>>,
}

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
        .route(api::path::UPSTREAMS, web::get().to(upstreams))
        .route(api::path::UPSTREAMS, web::post().to(add_upstream))
        .route("/api/v1/upstreams/{account}", web::get().to(upstream))
        .route(
            "/api/v1/upstreams/{account}",
            web::patch().to(change_upstream),
        )
        .route(
            "/api/v1/upstreams/{account}",
            web::delete().to(remove_upstream),
        )
        .route("/api/v1/upstreams/{account}/login", web::post().to(login))
        .route(
            "/api/v1/upstreams/{account}/login",
            web::get().to(login_progress),
        )
        .route("/api/v1/upstreams/{account}/logout", web::post().to(logout))
        .route(
            "/api/v1/upstreams/{account}/refresh",
            web::post().to(refresh),
        )
        .route(api::path::SESSIONS, web::get().to(sessions))
        .route(api::path::SESSIONS, web::post().to(mint))
        .route(api::path::REVOKE, web::post().to(revoke))
        .route("/api/v1/sessions/{id}", web::get().to(show_session))
        .route(api::path::RELOAD, web::post().to(reload))
        .route(api::path::SHUTDOWN, web::post().to(shutdown))
        .default_service(web::to(|| async {
            Answer::Err(Refused(
                Problem::new(Code::NotFound).because("this version does not answer that"),
            ))
        }));
}

async fn version() -> HttpResponse {
    HttpResponse::Ok().json(api::DaemonVersion {
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

fn named(control: &Control, asked: &str) -> Result<(Arc<Upstream>, AccountRef), Refused> {
    let config = control.directory.deps().config.load();
    let found = config
        .account(asked)
        .map(|(upstream, account)| (Arc::clone(upstream), account));
    found.ok_or_else(|| {
        let names: Vec<_> = config.upstreams.keys().map(ToString::to_string).collect();
        Refused(
            Problem::new(Code::UpstreamUnknown)
                .with("name", asked)
                .with(
                    "names",
                    if names.is_empty() {
                        "none".into()
                    } else {
                        names.join(", ")
                    },
                ),
        )
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

fn all_sessions(control: &Control, ended: bool) -> Vec<api::Session> {
    let deps = control.directory.deps();
    let (config, now) = (deps.config.load(), deps.clock.now());
    let mut cells = deps.ledger.sessions();
    cells.retain(|cell| ended || matches!(cell.verdict(now), Verdict::Live { .. }));
    cells.sort_by_key(|cell| (cell.minted(), cell.id()));
    cells
        .iter()
        .map(|cell| views::session(cell, &config, now))
        .collect()
}

async fn status(control: web::Data<Control>) -> HttpResponse {
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
    let accounts = all_accounts(&control).await;
    HttpResponse::Ok().json(api::Status::new(
        daemon,
        accounts,
        &all_sessions(&control, false),
    ))
}

async fn upstreams(control: web::Data<Control>) -> HttpResponse {
    HttpResponse::Ok().json(api::Upstreams::new(all_accounts(&control).await))
}

async fn upstream(control: web::Data<Control>, asked: web::Path<String>) -> Answer {
    detail(&control, &asked).await
}

async fn detail(control: &Control, asked: &str) -> Answer {
    let (upstream, _) = named(control, asked)?;
    let mut items = Vec::new();
    let mut discovery = Vec::new();
    for account in upstream.account_refs() {
        items.push(view(control, &upstream, &account).await);
        if let Ok(status) = control.directory.send(&account, || Status).await {
            discovery.extend(status.trail);
        }
    }
    let prefix = format!("upstreams.{}", upstream.name);
    let loaded = crate::config::load(&control.inputs).map_err(|error| Refused(error.problem()))?;
    let settings = loaded
        .settings
        .into_iter()
        .filter(|setting| setting.key.starts_with(&prefix))
        .map(|setting| api::SettingView {
            key: setting.key,
            value: setting.value,
            source: setting.source.to_string(),
        })
        .collect();
    let deps = control.directory.deps();
    let redirect = format!("{}{}", deps.origin, deps.config.load().server.redirect_path);
    let mut detail = api::UpstreamDetail::new(items, settings, redirect);
    detail.discovery = discovery;
    Ok(HttpResponse::Ok().json(detail))
}

fn edited(
    control: &Control,
    edit: impl FnOnce(&mut Edition) -> Result<(), crate::config::EditError>,
) -> Result<(), Refused> {
    let failed = |error: crate::config::EditError| {
        Refused(match error {
            crate::config::EditError::Config(error) => error.problem(),
            crate::config::EditError::Exists(name) => Problem::new(Code::UpstreamExists)
                .with("name", &name)
                .with("upstream", &name),
            crate::config::EditError::Missing(name) => Problem::new(Code::UpstreamUnknown)
                .with("name", &name)
                .with("names", "those of the config file"),
            other => Problem::new(Code::Internal).with("detail", other),
        })
    };
    let mut edition = Edition::open(&control.inputs.file).map_err(failed)?;
    edit(&mut edition).map_err(failed)?;
    edition.save(&control.inputs).map_err(failed)?;
    (control.reload)()?;
    Ok(())
}

async fn add_upstream(control: web::Data<Control>, add: web::Json<api::AddUpstream>) -> Answer {
    let name: UpstreamName = add.name.parse().map_err(|error| {
        Refused(Problem::new(Code::BadRequest).with("detail", format!("{}: {error}", add.name)))
    })?;
    let present = control
        .directory
        .deps()
        .config
        .load()
        .upstreams
        .get(&name)
        .cloned();
    let known = present
        .as_ref()
        .is_some_and(|upstream| upstream.url.as_str() == add.url);
    // Adding what is there already changes nothing (seeds.md S1-03).
    if !known {
        let mut settings: Vec<(&str, toml_edit::Value)> = Vec::new();
        if let Some(label) = &add.label {
            settings.push(("label", label.into()));
        }
        if add.allow_http {
            settings.push(("allow_http", true.into()));
        }
        let mut auth = toml_edit::InlineTable::new();
        auth.insert("kind", add.auth.as_deref().unwrap_or("oauth").into());
        if !add.scopes.is_empty() {
            auth.insert(
                "scopes",
                add.scopes.iter().collect::<toml_edit::Array>().into(),
            );
        }
        settings.push(("auth", auth.into()));
        if !add.headers.is_empty() {
            let mut headers = toml_edit::InlineTable::new();
            for (field, value) in &add.headers {
                headers.insert(field, value.into());
            }
            settings.push(("headers", headers.into()));
        }
        edited(&control, |edition| edition.add(&name, &add.url, &settings))?;
    }
    detail(&control, name.as_str()).await
}

async fn change_upstream(
    control: web::Data<Control>,
    asked: web::Path<String>,
    change: web::Json<api::ChangeUpstream>,
) -> Answer {
    let (upstream, _) = named(&control, &asked)?;
    let mut name = upstream.name.clone();
    if let Some(enabled) = change.enabled {
        edited(&control, |edition| edition.enable(&name, enabled))?;
    }
    if let Some(wanted) = &change.name {
        let wanted: UpstreamName = wanted.parse().map_err(|error| {
            Refused(Problem::new(Code::BadRequest).with("detail", format!("{wanted}: {error}")))
        })?;
        edited(&control, |edition| edition.rename(&name, &wanted))?;
        name = wanted;
    }
    detail(&control, name.as_str()).await
}

async fn remove_upstream(control: web::Data<Control>, asked: web::Path<String>) -> Answer {
    let (upstream, _) = named(&control, &asked)?;
    let deps = control.directory.deps();
    for account in upstream.account_refs() {
        if upstream.enabled && upstream.auth.oauth().is_some() {
            let gone = control
                .directory
                .send(&account, || Logout { local: false })
                .await?;
            gone.map_err(|error| Problem::new(Code::StoreFailed).with("detail", error))?;
        }
    }
    edited(&control, |edition| edition.remove(&upstream.name))?;
    for account in upstream.account_refs() {
        let forgotten = deps.store.forget_account(&account).await;
        forgotten.map_err(|error| Problem::new(Code::StoreFailed).with("detail", error))?;
    }
    Ok(HttpResponse::NoContent().finish())
}

async fn login(
    control: web::Data<Control>,
    asked: web::Path<String>,
    start: web::Json<Option<api::StartLogin>>,
) -> Answer {
    let (upstream, account) = named(&control, &asked)?;
    let start = start.into_inner().unwrap_or_default();
    let options = LoginOptions {
        scopes: start.scopes,
        add_scopes: start.add_scopes,
        force: start.force,
        window: start.window_s.map(Duration::from_secs),
    };
    let started = control
        .directory
        .send(&account, || BeginLogin(options.clone()))
        .await?
        .map_err(|fault| fault.problem(&account).with("kind", upstream.auth.kind()))?;
    let browser = match &control.directory.deps().config.load().login.browser {
        Browser::Default => None,
        Browser::None => Some("none".to_owned()),
        Browser::Command(command) => Some(command.clone()),
    };
    Ok(HttpResponse::Ok().json(match started {
        LoginStarted::Pending {
            url,
            expires,
            host,
            moved_from,
        } => {
            let mut started = api::LoginStarted::at(url, Moment(expires), browser);
            started.host = Some(host);
            started.moved_from = moved_from;
            started
        }
        LoginStarted::AlreadySignedIn(status) => api::LoginStarted::needless(views::account(
            &control.directory,
            &upstream,
            &account,
            Some(&status),
        )),
    }))
}

#[derive(serde::Deserialize)]
struct Wait {
    wait_ms: Option<u64>,
}

async fn login_progress(
    control: web::Data<Control>,
    asked: web::Path<String>,
    wait: web::Query<Wait>,
) -> Answer {
    let (upstream, account) = named(&control, &asked)?;
    let wait = Duration::from_millis(wait.wait_ms.unwrap_or(0).min(60_000));
    let ended = tokio::time::timeout(wait, control.directory.send(&account, || AwaitLogin)).await;
    let progress = match ended {
        Err(_) => api::LoginProgress::new(api::LoginState::Pending),
        Ok(outcome) => match outcome? {
            LoginOutcome::Succeeded(status) => {
                let mut progress = api::LoginProgress::new(api::LoginState::Succeeded);
                let view = views::account(&control.directory, &upstream, &account, Some(&status));
                progress.account = Some(view);
                if !status.refreshable {
                    let problem = Problem::new(Code::NoRefreshToken).with("upstream", &account);
                    progress.warnings.push(api::Trouble::new(&problem, None));
                }
                progress
            }
            LoginOutcome::Failed(fault) => {
                let mut progress = api::LoginProgress::new(api::LoginState::Failed);
                progress.problem = Some(api::Trouble::new(&fault.problem(&account), None));
                progress
            }
            LoginOutcome::NotPending => {
                let mut progress = api::LoginProgress::new(api::LoginState::Failed);
                let problem = Problem::new(Code::LoginState).with("upstream", &account);
                progress.problem = Some(api::Trouble::new(&problem, None));
                progress
            }
        },
    };
    Ok(HttpResponse::Ok().json(progress))
}

async fn logout(
    control: web::Data<Control>,
    asked: web::Path<String>,
    options: web::Json<Option<api::Logout>>,
) -> Answer {
    let (upstream, account) = named(&control, &asked)?;
    if upstream.auth.oauth().is_none() {
        return Err(Refused(
            Problem::new(Code::NoSignIn)
                .with("upstream", &account)
                .with("kind", "none"),
        ));
    }
    let local = options.into_inner().unwrap_or_default().local;
    let report = control
        .directory
        .send(&account, || Logout { local })
        .await?
        .map_err(|error| Problem::new(Code::StoreFailed).with("detail", error))?;
    let (provider, detail) = match report {
        LogoutReport::NothingHeld => (api::ProviderRevocation::NothingHeld, None),
        LogoutReport::Forgotten(None) => (api::ProviderRevocation::NotAsked, None),
        LogoutReport::Forgotten(Some(said)) => match said {
            Revocation::Done => (api::ProviderRevocation::Revoked, None),
            Revocation::NotOffered => (api::ProviderRevocation::NotOffered, None),
            other => (api::ProviderRevocation::Failed, Some(format!("{other:?}"))),
        },
    };
    Ok(HttpResponse::Ok().json(api::LoggedOut::new(account.to_string(), provider, detail)))
}

async fn refresh(control: web::Data<Control>, asked: web::Path<String>) -> Answer {
    let (upstream, account) = named(&control, &asked)?;
    if upstream.auth.oauth().is_none() {
        return Err(Refused(
            Problem::new(Code::NoSignIn)
                .with("upstream", &account)
                .with("kind", "none"),
        ));
    }
    let waiter = control.directory.next_waiter();
    let refreshed = control
        .directory
        .send(&account, || ForceRefresh { waiter })
        .await?;
    let now = control.directory.deps().clock.now();
    refreshed.map_err(|error| Problem::of_credential(&account, &error, now))?;
    let view = view(&control, &upstream, &account).await;
    Ok(HttpResponse::Ok().json(api::Refreshed::new(view)))
}

#[derive(serde::Deserialize)]
struct Listing {
    #[serde(default)]
    all: bool,
}

async fn sessions(control: web::Data<Control>, listing: web::Query<Listing>) -> HttpResponse {
    let now = control.directory.deps().clock.now();
    let items = all_sessions(&control, listing.all);
    HttpResponse::Ok().json(api::Sessions::new(Moment(now), items))
}

/// The one session that an id or an unambiguous beginning of one names.
fn find(control: &Control, asked: &str) -> Result<Arc<SessionCell>, Problem> {
    let mut found: Vec<_> = control.directory.deps().ledger.sessions();
    let wanted = if asked.starts_with("s_") {
        asked.to_owned()
    } else {
        format!("s_{asked}")
    };
    found.retain(|cell| cell.id().to_string().starts_with(&wanted));
    match found.as_slice() {
        [] => Err(Problem::new(Code::SessionNotFound).with("id", asked)),
        [one] => Ok(Arc::clone(one)),
        several => {
            let ids: Vec<_> = several.iter().map(|cell| cell.id().to_string()).collect();
            Err(Problem::new(Code::AmbiguousId)
                .with("id", asked)
                .with("ids", ids.join(", ")))
        }
    }
}

async fn show_session(control: web::Data<Control>, asked: web::Path<String>) -> Answer {
    let cell = find(&control, &asked)?;
    let deps = control.directory.deps();
    let item = views::session(&cell, &deps.config.load(), deps.clock.now());
    Ok(HttpResponse::Ok().json(api::SessionDetail::new(item, Vec::new())))
}

async fn mint(control: web::Data<Control>, asked: web::Json<api::Mint>) -> Answer {
    let asked = asked.into_inner();
    let deps = control.directory.deps();
    let config = deps.config.load_full();
    let now = deps.clock.now();
    let live = |cell: &Arc<SessionCell>| matches!(cell.verdict(now), Verdict::Live { .. });
    let living: Vec<_> = deps.ledger.sessions().into_iter().filter(live).collect();
    if living.len() >= config.sessions.max {
        let max = config.sessions.max;
        return Err(Refused(Problem::new(Code::SessionLimit).with("max", max)));
    }
    let grant = if asked.upstreams.is_empty() {
        config.sessions.default_grant.clone()
    } else {
        let mut accounts = Vec::new();
        for name in &asked.upstreams {
            accounts.push(named(&control, name)?.1);
        }
        Grant::Only(accounts)
    };
    if asked.bind_pid.is_some() {
        let detail = "sessions bound to a process are not part of this version";
        return Err(Refused(
            Problem::new(Code::BadRequest).with("detail", detail),
        ));
    }
    let bound: Option<BoundProcess> = None;
    let mut policy = config.sessions.policy;
    if let Some(ttl) = asked.ttl_s {
        policy.ttl = Duration::from_secs(ttl);
    }
    if let Some(idle) = asked.idle_s {
        policy.idle = Duration::from_secs(idle);
    }
    let id = std::iter::repeat_with(|| SessionId::from_random(random_u64(&*deps.random)))
        .find(|id| deps.ledger.session_by_id(*id).is_none())
        .expect("the iterator is endless, and far fewer sessions than ids are kept");
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    deps.random.fill(&mut *bytes);
    let token = SessionToken::from_random(&id.digits(), &bytes);
    let record = SessionRecord {
        id,
        digest: token.digest(),
        label: asked.label,
        client: asked.client,
        origin: asked.origin,
        grant,
        policy,
        minted: now,
        last_used: now,
        calls: 0,
        bound,
        ended: None,
    };
    if config.sessions.persist {
        let kept = deps.store.put_session(record.clone()).await;
        kept.map_err(|error| Problem::new(Code::StoreFailed).with("detail", error))?;
    }
    let cell = SessionCell::new(record);
    deps.ledger.insert(Arc::clone(&cell));
    control.directory.open_session(&cell);
    tracing::info!(session = %id, origin = ?cell.origin(), "session minted");
    let session = views::session(&cell, &config, now);
    let url = deps.origin.to_string();
    Ok(HttpResponse::Ok().json(api::Minted::new(session, token.expose().to_owned(), url)))
}

async fn revoke(control: web::Data<Control>, asked: web::Json<api::Revoke>) -> Answer {
    let asked = asked.into_inner();
    let deps = control.directory.deps();
    let (config, now) = (deps.config.load_full(), deps.clock.now());
    let mut failed = Vec::new();
    let mut chosen = Vec::new();
    for id in &asked.filter.ids {
        match find(&control, id) {
            Ok(cell) => chosen.push(cell),
            Err(problem) => failed.push(api::RevokeFailure {
                id: id.clone(),
                code: problem.code().as_str().to_owned(),
            }),
        }
    }
    for cell in deps.ledger.sessions() {
        if asked
            .filter
            .covers(&views::session(&cell, &config, now), now)
        {
            chosen.push(cell);
        }
    }
    chosen.sort_by_key(|cell| cell.id());
    chosen.dedup_by_key(|cell| cell.id());
    let mut revoked = Vec::new();
    for cell in chosen {
        let revoke = Revoke {
            by: EndedBy::Person,
            reason: asked.reason.clone(),
        };
        let id = cell.id().to_string();
        match control.directory.session(&cell).send(revoke).await {
            Ok(Ok(_)) => revoked.push(id),
            _ => failed.push(api::RevokeFailure {
                id,
                code: Code::StoreFailed.as_str().to_owned(),
            }),
        }
    }
    Ok(HttpResponse::Ok().json(api::Revoked::new(revoked, failed)))
}

async fn reload(control: web::Data<Control>) -> Answer {
    Ok(HttpResponse::Ok().json((control.reload)()?))
}

async fn shutdown(
    control: web::Data<Control>,
    asked: web::Json<Option<api::Shutdown>>,
) -> HttpResponse {
    let drain = asked
        .into_inner()
        .unwrap_or_default()
        .drain_s
        .map(Duration::from_secs);
    // Nobody listens any longer only when the daemon stops already.
    let _ = control.stop.send(drain);
    HttpResponse::Ok().json(api::Stopping::new(std::process::id()))
}
