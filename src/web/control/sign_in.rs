//! Signing in and out, and a refresh at once.

use std::time::Duration;

use actix_web::{HttpResponse, web};

use super::{Answer, Control, Refused, named, view, views};
use crate::actor::login::{LoginOptions, LoginOutcome, LoginStarted};
use crate::actor::{AwaitLogin, BeginLogin, ClientFate, ForceRefresh, Logout, LogoutReport};
use crate::api::{self, Moment};
use crate::config::Browser;
use crate::model::catalogue::{Code, Problem};
use crate::oauth::Revocation;

pub(super) async fn login(
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
            other => (api::ProviderRevocation::Failed, Some(format!("{other:?}"))),
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
