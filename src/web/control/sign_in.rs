//! Signing in and out, and a refresh at once.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};

use super::{Answer, Control, Refused, named, view, views};
use crate::actor::login::{LoginFault, LoginOptions, LoginOutcome, LoginStarted};
use crate::actor::{
    AwaitLogin, BeginLogin, ClientFate, FinishLogin, ForceRefresh, LeaveLogin, Logout, LogoutReport,
};
use crate::api::{self, Moment};
use crate::config::{Browser, SecretSource, Upstream};
use crate::model::catalogue::{Code, Problem};
use crate::model::id::AccountRef;
use crate::oauth::Revocation;

pub(super) async fn login(
    control: web::Data<Control>,
    asked: web::Path<String>,
    start: web::Json<Option<api::StartLogin>>,
) -> Answer {
    let (upstream, account) = named(&control, &asked)?;
    let start = start.into_inner().unwrap_or_default();
    let options = LoginOptions {
        scopes: start.scopes.clone(),
        add_scopes: start.add_scopes.clone(),
        force: start.force,
        device: start.device || (prefers_device(&upstream) && !start.paste),
        window: start.window_s.map(Duration::from_secs),
    };
    let started = control
        .directory
        .send(&account, || BeginLogin(options.clone()))
        .await?
        .map_err(|fault| {
            let problem = fault.problem(&account).with("kind", upstream.auth.kind());
            match (&fault, upstream.auth.secret()) {
                (LoginFault::NotOauth, Some(SecretSource::Stored(_))) => {
                    problem.next_step(format!("doorward upstream set-secret {}", upstream.name))
                }
                _ => problem,
            }
        })?;
    let browser = match &control.directory.deps().config.load().login.browser {
        Browser::Default => None,
        Browser::None => Some("none".to_owned()),
        Browser::Command(command) => Some(command.clone()),
    };
    Ok(HttpResponse::Ok().json(match started {
        LoginStarted::Pending {
            url,
            authorize_url,
            expires,
            host,
            moved_from,
            missed,
        } => {
            let mut started = api::LoginStarted::at(url, Moment(expires), browser);
            started.host = Some(host);
            started.moved_from = moved_from;
            started.note = missed.map(|missed| missed.to_string());
            started.authorize_url = start.paste.then_some(authorize_url);
            started
        }
        LoginStarted::Device {
            user_code,
            page,
            full_page,
            expires,
            host,
            moved_from,
        } => {
            let mut started = api::LoginStarted::on_device(
                api::DeviceCode {
                    user_code,
                    verification_uri: page,
                    verification_uri_complete: full_page,
                },
                Moment(expires),
            );
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

fn prefers_device(upstream: &Upstream) -> bool {
    let oauth = upstream.auth.oauth();
    oauth.is_some_and(|oauth| oauth.prefer_device_flow)
}

#[derive(serde::Deserialize)]
pub(super) struct Wait {
    wait_ms: Option<u64>,
}

pub(super) async fn login_progress(
    control: web::Data<Control>,
    asked: web::Path<String>,
    wait: web::Query<Wait>,
) -> Answer {
    let (upstream, account) = named(&control, &asked)?;
    let wait = Duration::from_millis(wait.wait_ms.unwrap_or(0).min(60_000));
    let ended = tokio::time::timeout(wait, control.directory.send(&account, || AwaitLogin)).await;
    let progress = match ended {
        Err(_) => api::LoginProgress::new(api::LoginState::Pending),
        Ok(outcome) => ended_in(&control, &upstream, &account, outcome?),
    };
    Ok(HttpResponse::Ok().json(progress))
}

/// Somebody who waited for a sign-in waits no longer. It goes on for others, and is given up where
/// there are none.
pub(super) async fn leave(control: web::Data<Control>, asked: web::Path<String>) -> Answer {
    let (_, account) = named(&control, &asked)?;
    let goes_on = control.directory.send(&account, || LeaveLogin).await?;
    Ok(HttpResponse::Ok().json(api::LoginProgress::new(if goes_on {
        api::LoginState::Pending
    } else {
        api::LoginState::Failed
    })))
}

/// How a sign-in ended.
fn ended_in(
    control: &Control,
    upstream: &Upstream,
    account: &AccountRef,
    outcome: LoginOutcome,
) -> api::LoginProgress {
    let failed = |problem: &Problem| {
        let mut progress = api::LoginProgress::new(api::LoginState::Failed);
        progress.problem = Some(api::Trouble::new(problem, None));
        progress
    };
    match outcome {
        LoginOutcome::Succeeded(status) => {
            let mut progress = api::LoginProgress::new(api::LoginState::Succeeded);
            let view = views::account(&control.directory, upstream, account, Some(&status));
            progress.account = Some(view);
            if !status.refreshable {
                let problem = Problem::new(Code::NoRefreshToken).with("upstream", account);
                progress.warnings.push(api::Trouble::new(&problem, None));
            }
            progress
        }
        LoginOutcome::Failed(fault) => failed(&fault.problem(account)),
        LoginOutcome::NotPending => {
            failed(&Problem::new(Code::LoginState).with("upstream", account))
        }
    }
}

/// Finishes a sign-in with the address that a browser on another machine was sent back to. That
/// the person holds it, and may open this socket, is the proof that a cookie is otherwise: the
/// `state` in it is checked as ever.
pub(super) async fn paste(
    control: web::Data<Control>,
    asked: web::Path<String>,
    pasted: web::Json<api::PasteLogin>,
) -> Answer {
    let (upstream, account) = named(&control, &asked)?;
    let query = url::Url::parse(pasted.url.trim())
        .ok()
        .and_then(|url| url.query().map(Arc::<str>::from))
        .ok_or_else(|| {
            let why = "this is not the address that the provider sent your browser back to";
            Problem::new(Code::BadRequest)
                .because(why)
                .next_step("copy the whole address, from http to its end")
        })?;
    let outcome = control
        .directory
        .send(&account, || FinishLogin(Arc::clone(&query)))
        .await?;
    let progress = ended_in(&control, &upstream, &account, outcome);
    Ok(HttpResponse::Ok().json(progress))
}

pub(super) async fn logout(
    control: web::Data<Control>,
    asked: web::Path<String>,
    options: web::Json<Option<api::Logout>>,
) -> Answer {
    let (upstream, account) = named(&control, &asked)?;
    if upstream.auth.oauth().is_none() {
        return Err(Refused(
            Problem::new(Code::NoSignIn)
                .with("upstream", &account)
                .with("kind", upstream.auth.kind()),
        ));
    }
    let options = options.into_inner().unwrap_or_default();
    let logout = || Logout {
        local: options.local,
        client: if options.keep_client {
            ClientFate::Keep
        } else {
            ClientFate::GiveBack
        },
    };
    let report = control
        .directory
        .send(&account, logout)
        .await?
        .map_err(|error| Problem::new(Code::StoreFailed).with("detail", error))?;
    let (provider, detail) = match report {
        LogoutReport::NothingHeld => (api::ProviderRevocation::NothingHeld, None),
        LogoutReport::Forgotten(None) => (api::ProviderRevocation::NotAsked, None),
        LogoutReport::Forgotten(Some(said)) => match said {
            Revocation::Done => (api::ProviderRevocation::Revoked, None),
            Revocation::NotOffered => (api::ProviderRevocation::NotOffered, None),
            said @ (Revocation::Later { .. } | Revocation::Refused(_)) => {
                (api::ProviderRevocation::Failed, Some(said.to_string()))
            }
        },
    };
    Ok(HttpResponse::Ok().json(api::LoggedOut::new(account.to_string(), provider, detail)))
}

pub(super) async fn refresh(control: web::Data<Control>, asked: web::Path<String>) -> Answer {
    let (upstream, account) = named(&control, &asked)?;
    if !upstream.auth.is_managed() {
        return Err(Refused(
            Problem::new(Code::NoSignIn)
                .with("upstream", &account)
                .with("kind", upstream.auth.kind()),
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
