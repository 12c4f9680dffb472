//! Addresses that need no session: health, readiness, what this is, and the things that agents
//! look for when they take a server for an OAuth server, which is never answered with anything
//! but 404.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::dev::RequestHead;
use actix_web::http::header::{ACCEPT, USER_AGENT};
use actix_web::http::{Method, StatusCode};
use serde_json::json;

use super::AgentState;
use super::plan::Plan;
use super::respond::{self, RequestId};
use super::routes::{RouteAuth, RouteEntry};
use crate::model::catalogue::{Code, Problem};
use crate::model::token::Freshness;

/// Answers what is a probe; `None` for what is to be proxied.
pub(super) fn answer(
    state: &AgentState,
    plan: &Plan,
    head: &RequestHead,
    id: RequestId,
) -> Option<HttpResponse> {
    let path = head.uri.path();
    if looks_for_oauth(path) {
        return Some(no_oauth(head, id));
    }
    if head.method != Method::GET && head.method != Method::HEAD {
        return None;
    }
    match path {
        "/health" => Some(respond::json(
            StatusCode::OK,
            &json!({ "status": "ok" }),
            id,
        )),
        "/ready" => Some(ready(state, id)),
        "/mcp/health" => Some(upstream_health(state, plan.default_route(), id)),
        "/" if !accepts_events(head) => {
            let body = json!({
                "name": "doorward",
                "version": env!("CARGO_PKG_VERSION"),
                "health": "/health",
                "endpoint": "/u/<upstream>",
            });
            Some(respond::json(StatusCode::OK, &body, id))
        }
        _ => None,
    }
}

/// Whether a path is one of those that OAuth clients try, also below a data path, and also
/// written with escapes.
fn looks_for_oauth(path: &str) -> bool {
    if matches!(path, "/register" | "/authorize" | "/token") {
        return true;
    }
    // Cheap first: hardly any path has a dot or an escape right after a slash.
    path.split('/').any(|segment| {
        (segment.starts_with('.') || segment.starts_with('%')) && {
            let plain = percent_decoded(segment).to_ascii_lowercase();
            plain.starts_with(".well-known") && !plain[11..].starts_with(char::is_alphanumeric)
        }
    })
}

fn percent_decoded(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        let escape = rest.get(at + 1..at + 3);
        let byte = escape.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        text.push(byte.map_or('%', char::from));
        rest = &rest[at + if byte.is_some() { 3 } else { 1 }..];
    }
    text + rest
}

fn no_oauth(head: &RequestHead, id: RequestId) -> HttpResponse {
    let client = head
        .headers()
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok());
    let problem = Problem::new(Code::OauthNotOffered)
        .with("client", client.unwrap_or("a client"))
        .with("path", head.uri.path());
    respond::plain(&problem, id)
}

fn accepts_events(head: &RequestHead) -> bool {
    head.headers().get_all(ACCEPT).any(|value| {
        value
            .as_bytes()
            .split(|b| *b == b',')
            .any(|kind| kind.trim_ascii().starts_with(b"text/event-stream"))
    })
}

fn ready(state: &AgentState, id: RequestId) -> HttpResponse {
    let checks = state.checks.load();
    let ready = checks.store == "ok" && checks.config == "ok" && !state.stop.begun.is_cancelled();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({
        "ready": ready,
        "checks": { "store": checks.store, "config": checks.config },
    });
    respond::json(status, &body, id)
}

fn upstream_health(
    state: &AgentState,
    route: Option<&Arc<RouteEntry>>,
    id: RequestId,
) -> HttpResponse {
    let word = match route {
        None => "none",
        Some(route) if !route.spec.enabled => "disabled",
        Some(route) if route.spec.auth != RouteAuth::Injected => "ready",
        Some(route) => match route.slot.load() {
            Some(held) if held.freshness(state.clock.now()) != Freshness::Expired => "ready",
            _ => "no_credential",
        },
    };
    respond::json(
        StatusCode::OK,
        &json!({ "status": "ok", "upstream": word }),
        id,
    )
}
