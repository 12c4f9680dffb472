//! Upstreams: list, show, add, change, remove, test. Changes are edits of the config file.

use actix_web::{HttpResponse, web};

use super::{Answer, Control, Refused, all_accounts, named, rename, view};
use crate::actor::{ClientFate, Logout, Status};
use crate::api;
use crate::config::{Edition, NewProvider, NewUpstream, redirect_uri};
use crate::model::catalogue::{Code, Problem};
use crate::model::id::UpstreamName;
use crate::web::trial;

pub(super) async fn list(control: web::Data<Control>) -> HttpResponse {
    HttpResponse::Ok().json(api::Upstreams::new(all_accounts(&control).await))
}

pub(super) async fn show(control: web::Data<Control>, asked: web::Path<String>) -> Answer {
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
    let prefix = format!("upstreams.{}.", upstream.name);
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
    let redirect = redirect_uri(&upstream, &deps.config.load().server, &deps.origin);
    let mut detail = api::UpstreamDetail::new(items, settings, redirect);
    detail.discovery = discovery;
    Ok(HttpResponse::Ok().json(detail))
}

pub(super) fn edited(
    control: &Control,
    edit: impl FnOnce(&mut Edition) -> Result<(), crate::config::EditError>,
) -> Result<(), Refused> {
    let failed = |error: crate::config::EditError| {
        Refused(match error {
            crate::config::EditError::Config(error) => error.problem(),
            crate::config::EditError::Unfit(error) => error.problem_of_change(),
            crate::config::EditError::Exists(name) => {
                let config = control.directory.deps().config.load();
                let problem = Problem::new(Code::UpstreamExists).with("name", &name);
                match config.upstreams.get(&name) {
                    Some(present) => problem.with("url", present.url.as_str()),
                    None => problem.because("the config names it"),
                }
            }
            crate::config::EditError::Missing(name) => Problem::new(Code::UpstreamUnknown)
                .with("name", &name)
                .with("names", "those of the config file"),
            crate::config::EditError::Changed(file) => {
                Problem::new(Code::ConfigChanged).with("file", file.display())
            }
            crate::config::EditError::Io { file, error } => Problem::new(Code::ConfigUnwritable)
                .with("file", file.display())
                .with("detail", error),
        })
    };
    let mut edition = Edition::open(&control.inputs.file).map_err(failed)?;
    edit(&mut edition).map_err(failed)?;
    edition.save(&control.inputs).map_err(failed)?;
    (control.reload)()?;
    Ok(())
}

pub(super) async fn add(control: web::Data<Control>, add: web::Json<api::AddUpstream>) -> Answer {
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
        let settings = new(&add).settings().map_err(|error| {
            Refused(Problem::new(Code::BadRequest).with("detail", error.to_string()))
        })?;
        edited(&control, |edition| edition.add(&name, &add.url, &settings))?;
    }
    detail(&control, name.as_str()).await
}

/// What is asked for, as the configuration writes it.
fn new(add: &api::AddUpstream) -> NewUpstream {
    NewUpstream {
        name: add.name.clone(),
        label: add.label.clone(),
        kind: add.auth.clone().unwrap_or_else(|| "oauth".to_owned()),
        client_id: add.client_id.clone(),
        signs: add.signs,
        scopes: add.scopes.clone(),
        headers: add.headers.clone(),
        allow_http: add.allow_http,
        command: add.command.clone(),
        assertion: add.assertion.clone(),
        idp: add.idp.as_ref().map(|idp| NewProvider {
            token_endpoint: idp.token_endpoint.clone(),
            client_id: idp.client_id.clone(),
            subject_token: idp.subject_token.clone(),
        }),
    }
}

pub(super) async fn change(
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
        if wanted != name {
            rename::rename(&control, &upstream, &wanted).await?;
        }
        name = wanted;
    }
    detail(&control, name.as_str()).await
}

pub(super) async fn remove(control: web::Data<Control>, asked: web::Path<String>) -> Answer {
    let (upstream, _) = named(&control, &asked)?;
    let deps = control.directory.deps();
    for account in upstream.account_refs() {
        if upstream.enabled && upstream.auth.oauth().is_some() {
            let gone = control
                .directory
                .send(&account, || Logout {
                    local: false,
                    client: ClientFate::GiveBack,
                })
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

pub(super) async fn test(control: web::Data<Control>, asked: web::Path<String>) -> Answer {
    let (upstream, account) = named(&control, &asked)?;
    if !upstream.enabled {
        return Err(Refused(
            Problem::new(Code::UpstreamDisabled).with("upstream", &upstream.name),
        ));
    }
    let plan = control.agents.plan.load();
    let segment = format!("{}@{}", account.upstream, account.account);
    let route = plan.route(&segment).cloned();
    let route = route.ok_or_else(|| {
        Problem::new(Code::Internal).with("detail", format!("{account} is not routed"))
    })?;
    drop(plan);
    let report = trial::trial(&control.agents, &route).await;
    Ok(HttpResponse::Ok().json(report))
}
