//! Where a person's browser passes on its way to a provider and back. A link carries a ticket
//! that only the person who asked for the sign-in was shown; the browser that opens it is given a
//! cookie, and only that browser may bring the code back (protocol.md SE-08).

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use subtle::ConstantTimeEq;
use url::{Url, form_urlencoded};

use crate::actor::directory::Directory;
use crate::actor::login::{LoginFault, LoginOptions, LoginOutcome, LoginStarted};
use crate::actor::pending::PendingEntry;
use crate::actor::{BeginLogin, ClientFate, FinishLogin, Logout, OpenLogin, Status};
use crate::config::Config;
use crate::model::catalogue::{Code, Problem};
use crate::model::id::AccountRef;
use crate::model::secret::TokenDigest;

use super::Pages;
use super::pages::{Page, hardened, respond};

/// The sign-in pages of a port whose providers send browsers back to `redirect_path`.
pub fn pages(directory: Directory, redirect_path: &str) -> Pages {
    let landing: Arc<str> = redirect_path.into();
    let (owned, returned) = (Arc::clone(&landing), Arc::clone(&landing));
    Pages {
        owns: Arc::new(move |_, head| {
            let path = head.uri.path();
            is_landing(path, &owned)
                || path.starts_with("/login/")
                || matches!(path, "/oauth/login" | "/oauth/status" | "/oauth/logout")
        }),
        reached_from_elsewhere: Arc::new(move |_, head| is_landing(head.uri.path(), &returned)),
        configure: Arc::new(move |config| {
            config
                .app_data(web::Data::new(directory.clone()))
                .route("/login/{account}", web::get().to(open_link))
                .route("/oauth/login", web::get().to(ask_first))
                .route("/oauth/login", web::post().to(start_default))
                .route("/oauth/status", web::get().to(status))
                .route("/oauth/logout", web::get().to(ask_before_logout))
                .route("/oauth/logout", web::post().to(logout))
                .route("/oauth/logout", web::delete().to(logout))
                .route(&landing, web::get().to(callback))
                .route(&format!("{landing}/{{upstream}}"), web::get().to(callback));
        }),
    }
}

/// Whether a provider may have sent a browser here: some upstreams have a landing of their own.
fn is_landing(path: &str, landing: &str) -> bool {
    let tail = path.strip_prefix(landing);
    tail.is_some_and(|tail| match tail.strip_prefix('/') {
        Some(name) => !name.is_empty() && !name.contains('/'),
        None => tail.is_empty(),
    })
}

/// Whether a sign-in is to end at `path`: what comes back elsewhere was meant for another server
/// (RFC 9700 §4.4.2.2).
fn ends_at(entry: &PendingEntry, path: &str) -> bool {
    Url::parse(&entry.redirect_uri).is_ok_and(|redirect| redirect.path() == path)
}

fn parameter(request: &HttpRequest, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(request.query_string().as_bytes());
    pairs
        .find(|(other, _)| other == name)
        .map(|(_, value)| value.into_owned())
}

async fn open_link(
    directory: web::Data<Directory>,
    account: web::Path<String>,
    request: HttpRequest,
) -> HttpResponse {
    let now = directory.deps().clock.now();
    let entry = parameter(&request, "t")
        .and_then(|ticket| directory.deps().pending.by_ticket(&ticket, now))
        .filter(|entry| {
            account
                .parse::<AccountRef>()
                .is_ok_and(|named| named == entry.account)
        });
    let Some(entry) = entry else { return stale() };
    if !entry.pushed {
        return to_provider(&entry, &entry.authorize_url);
    }
    match directory.send(&entry.account, || OpenLogin).await {
        Ok(Some(Ok(url))) => to_provider(&entry, &url),
        Ok(Some(Err(fault))) => failure_page(&fault, &entry.account),
        Ok(None) => stale(),
        Err(error) => trouble("doorward cannot open this sign-in", &error.to_string()),
    }
}

/// Sends the browser to the provider and marks it as the one that may come back.
fn to_provider(entry: &PendingEntry, url: &str) -> HttpResponse {
    let name = cookie_name(&entry.cookie);
    let cookie = format!(
        "{name}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age=900",
        entry.cookie
    );
    hardened(HttpResponse::SeeOther())
        .insert_header((header::SET_COOKIE, cookie))
        .insert_header((header::LOCATION, url))
        .finish()
}

/// Several sign-ins may be open in one browser, so each has a cookie of its own.
fn cookie_name(value: &str) -> String {
    TokenDigest::of(value.as_bytes())
        .fingerprint()
        .replace("sha256:", "doorward_login_")
}

fn has_cookie(request: &HttpRequest, value: &str) -> bool {
    let name = cookie_name(value);
    request
        .headers()
        .get_all(header::COOKIE)
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .any(|(n, v)| n == name && bool::from(v.as_bytes().ct_eq(value.as_bytes())))
}

/// The end of a sign-in: the browser comes back.
pub(super) async fn callback(
    directory: web::Data<Directory>,
    request: HttpRequest,
) -> HttpResponse {
    let Some(state) = parameter(&request, "state") else {
        return stale();
    };
    let pending = &directory.deps().pending;
    let Some(entry) = pending.by_state(&state, directory.deps().clock.now()) else {
        return stale();
    };
    if !ends_at(&entry, request.path()) {
        return stale();
    }
    // Somebody else's browser must neither finish this sign-in nor use its `state` up.
    if !has_cookie(&request, &entry.cookie) || pending.take_state(&state).is_none() {
        return stale();
    }
    let query: Arc<str> = request.query_string().into();
    match directory
        .send(&entry.account, || FinishLogin(Arc::clone(&query)))
        .await
    {
        Ok(LoginOutcome::Succeeded(status)) => {
            let who = status.identity.as_deref().map(|who| format!(" as {who}"));
            let title = format!("Signed in to {}{}", entry.account, who.unwrap_or_default());
            let text = ["Agents already running can use it now. You can close this tab."];
            let page = Page {
                title: &title,
                text: &text,
                command: Some("doorward status"),
                button: None,
            };
            respond(StatusCode::OK, &page)
        }
        Ok(LoginOutcome::Failed(fault)) => failure_page(&fault, &entry.account),
        Ok(LoginOutcome::NotPending) => stale(),
        Err(error) => trouble("doorward cannot finish this sign-in", &error.to_string()),
    }
}

fn stale() -> HttpResponse {
    let problem = Problem::new(Code::LoginState).with("upstream", "NAME");
    problem_page(StatusCode::BAD_REQUEST, &problem)
}

fn failure_page(fault: &LoginFault, account: &AccountRef) -> HttpResponse {
    problem_page(StatusCode::BAD_REQUEST, &fault.problem(account))
}

fn problem_page(status: StatusCode, problem: &Problem) -> HttpResponse {
    let (title, why, fix) = (problem.what(), problem.why(), problem.fix());
    respond(
        status,
        &Page {
            title: &title,
            text: &[&why],
            command: fix.as_deref(),
            button: None,
        },
    )
}

fn trouble(title: &str, why: &str) -> HttpResponse {
    let page = Page {
        title,
        text: &[why],
        command: Some("doorward status"),
        button: None,
    };
    respond(StatusCode::SERVICE_UNAVAILABLE, &page)
}

fn default_account(config: &Config) -> Option<AccountRef> {
    let upstream = config.upstreams.get(config.default_upstream.as_ref()?)?;
    Some(upstream.account_ref(upstream.default_account.clone()))
}

fn no_default() -> HttpResponse {
    let page = Page {
        title: "There is no default upstream",
        text: &["This address signs in to the upstream that `default_upstream` names."],
        command: Some("doorward login URL"),
        button: None,
    };
    respond(StatusCode::NOT_FOUND, &page)
}

async fn ask_first(directory: web::Data<Directory>) -> HttpResponse {
    let Some(account) = default_account(&directory.deps().config.load()) else {
        return no_default();
    };
    let title = format!("Sign in to {account}?");
    let page = Page {
        title: &title,
        text: &["Every agent that doorward serves will act there in your name."],
        command: None,
        button: Some(("/oauth/login", "Sign in")),
    };
    respond(StatusCode::OK, &page)
}

async fn start_default(directory: web::Data<Directory>) -> HttpResponse {
    let Some(account) = default_account(&directory.deps().config.load()) else {
        return no_default();
    };
    let options = LoginOptions {
        force: true,
        ..LoginOptions::default()
    };
    match directory
        .send(&account, || BeginLogin(options.clone()))
        .await
    {
        Ok(Ok(LoginStarted::Pending {
            host,
            moved_from: Some(former),
            ..
        })) => {
            let title = format!("{account} names another sign-in server now");
            let text = format!("It was {former} before, and it is {host} now.");
            let command = format!("doorward login {account} --force");
            let page = Page {
                title: &title,
                text: &[&text],
                command: Some(&command),
                button: None,
            };
            respond(StatusCode::CONFLICT, &page)
        }
        Ok(Ok(LoginStarted::Pending { url, .. })) => hardened(HttpResponse::SeeOther())
            .insert_header((header::LOCATION, url))
            .finish(),
        Ok(Ok(LoginStarted::Device {
            user_code, page, ..
        })) => {
            let title = format!("Somebody signs in to {account} on another device");
            let text = format!("Enter the code {user_code} at {page}");
            let page = Page {
                title: &title,
                text: &[&text],
                command: None,
                button: None,
            };
            respond(StatusCode::OK, &page)
        }
        Ok(Ok(LoginStarted::AlreadySignedIn(_))) => {
            let title = format!("{account} is signed in already");
            let text = ["You can close this tab."];
            let page = Page {
                title: &title,
                text: &text,
                command: None,
                button: None,
            };
            respond(StatusCode::OK, &page)
        }
        Ok(Err(fault)) => failure_page(&fault, &account),
        Err(error) => trouble("doorward cannot start a sign-in", &error.to_string()),
    }
}

/// The account that these pages may tell about: the default one, and only where agents may come
/// without a credential. Elsewhere this port tells nothing about accounts (protocol.md LS-12).
fn open_account(directory: &Directory) -> Result<AccountRef, Box<HttpResponse>> {
    let config = directory.deps().config.load();
    default_account(&config)
        .filter(|_| !config.sessions.require)
        .ok_or_else(|| {
            Box::new(hardened(HttpResponse::NotFound()).json(serde_json::json!({
                "error": "not_found",
                "error_description": super::respond::spell(
                    "This is answered on the control socket. Next: doorward status",
                ),
            })))
        })
}

async fn status(directory: web::Data<Directory>) -> HttpResponse {
    let account = match open_account(&directory) {
        Ok(account) => account,
        Err(refusal) => return *refusal,
    };
    let status = directory.send(&account, || Status).await;
    let signed_in = status.is_ok_and(|status| status.is_usable());
    hardened(HttpResponse::Ok()).json(serde_json::json!({ "authenticated": signed_in }))
}

async fn ask_before_logout(directory: web::Data<Directory>) -> HttpResponse {
    let account = match open_account(&directory) {
        Ok(account) => account,
        Err(refusal) => return *refusal,
    };
    let title = format!("Sign out of {account}?");
    let page = Page {
        title: &title,
        text: &["The sign-in is revoked at the provider and forgotten here."],
        command: None,
        button: Some(("/oauth/logout", "Sign out")),
    };
    respond(StatusCode::OK, &page)
}

async fn logout(directory: web::Data<Directory>) -> HttpResponse {
    let account = match open_account(&directory) {
        Ok(account) => account,
        Err(refusal) => return *refusal,
    };
    let out = || Logout {
        local: false,
        client: ClientFate::GiveBack,
    };
    match directory.send(&account, out).await {
        Ok(Ok(_)) => {
            hardened(HttpResponse::Ok()).json(serde_json::json!({ "authenticated": false }))
        }
        Ok(Err(error)) => trouble("the sign-out was not saved", &error.to_string()),
        Err(error) => trouble("doorward cannot sign out", &error.to_string()),
    }
}
