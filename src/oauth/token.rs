//! Token requests and their answers. The forms are built here and not by the oauth2 crate, whose
//! strict reading drops the status, `Retry-After` and whole answers that hold a rotated token.
//! Exactly one way of client authentication goes into a request.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde_json::{Map, Value};
use std::time::Duration;
use url::{Url, form_urlencoded};

use super::assertion;
use super::login::Exchange;
use super::text::clean;
use crate::http::{Reach, Request, TOKEN_BODY_LIMIT};
use crate::jose::{Freshness, KeyFault};
use crate::model::fault::OauthCode;
use crate::model::record::{ClientAuth, ClientRecord, GrantRecord};
use crate::model::secret::{AccessToken, RefreshToken};
use crate::model::time::Timestamp;
use crate::model::token::{NewTokens, TokenKind};

/// Lives longer than this are nonsense, most often milliseconds or an instant.
const LONGEST_LIFE: Duration = Duration::from_hours(24 * 3660);

/// Why an answer holds no tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerFault {
    /// It is an error, whatever its status.
    Code(OauthCode),
    /// It is neither tokens nor an error.
    Malformed(&'static str),
    /// It holds a new refresh token, and no access token that can be used.
    RotatedOnly(RefreshToken, &'static str),
}

/// The exchange of a code (RFC 6749 §4.1.3, RFC 7636 §4.5).
pub(super) fn code_request(exchange: &Exchange, fresh: &Freshness) -> Result<Request, KeyFault> {
    let facts = &exchange.facts;
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", exchange.code.expose()),
        ("redirect_uri", facts.redirect_uri.as_str()),
        ("code_verifier", exchange.verifier.expose()),
    ];
    if let Some(resource) = &facts.resource {
        fields.push(("resource", resource));
    }
    let endpoint = facts.token_endpoint.clone();
    let request = authenticated(endpoint, &facts.client, &fields, fresh)?;
    Ok(request.reach(facts.reach))
}

/// A refresh (RFC 6749 §6), identical in endpoint, client and resource to the grant. No scope is
/// named: the grant's own are meant.
pub(super) fn refresh_request(
    grant: &GrantRecord,
    endpoint: &Url,
    refresh: &RefreshToken,
    fresh: &Freshness,
) -> Result<Request, KeyFault> {
    let mut fields = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh.expose()),
    ];
    if let Some(resource) = &grant.resource {
        fields.push(("resource", resource));
    }
    let request = authenticated(endpoint.clone(), &grant.client, &fields, fresh)?;
    // The endpoint was judged when the person signed in.
    Ok(request.reach(Reach::ANYWHERE))
}

/// A form with the client's own authentication (RFC 6749 §2.3.1).
pub(super) fn authenticated(
    endpoint: Url,
    client: &ClientRecord,
    fields: &[(&str, &str)],
    fresh: &Freshness,
) -> Result<Request, KeyFault> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    let mut authorization = None;
    match (client.auth, &client.client_secret) {
        (ClientAuth::Basic, Some(secret)) => {
            let pair = format!(
                "{}:{}",
                escaped(&client.client_id),
                escaped(secret.expose())
            );
            let encoded = Base64::encode_string(pair.as_bytes());
            authorization = HeaderValue::from_str(&format!("Basic {encoded}")).ok();
        }
        (ClientAuth::Post, Some(secret)) => {
            form.append_pair("client_id", &client.client_id);
            form.append_pair("client_secret", secret.expose());
        }
        (ClientAuth::PrivateKeyJwt, _) => {
            form.append_pair("client_id", &client.client_id);
            form.append_pair("client_assertion_type", assertion::KIND);
            form.append_pair("client_assertion", &assertion::of(client, fresh)?);
        }
        (ClientAuth::None, _) | (ClientAuth::Basic | ClientAuth::Post, None) => {
            form.append_pair("client_id", &client.client_id);
        }
    }
    let request = Request::post_form(endpoint, form.finish()).limit(TOKEN_BODY_LIMIT);
    Ok(match authorization {
        Some(mut value) => {
            value.set_sensitive(true);
            request.header(AUTHORIZATION, value)
        }
        None => request,
    })
}

fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The tokens of a successful answer, read leniently: what cannot be read may hold the only copy
/// of a rotated refresh token.
pub fn read_tokens(body: &[u8], sent: Timestamp) -> Result<NewTokens, AnswerFault> {
    read(body, sent, &[TokenKind::Bearer])
}

/// The same of an answer to a request with a proof, whose token may be bound to the key of it.
pub fn read_bound_tokens(body: &[u8], sent: Timestamp) -> Result<NewTokens, AnswerFault> {
    read(body, sent, &[TokenKind::Bearer, TokenKind::Dpop])
}

fn read(body: &[u8], sent: Timestamp, known: &[TokenKind]) -> Result<NewTokens, AnswerFault> {
    let document = match serde_json::from_slice(body) {
        Ok(Value::Object(document)) => document,
        Ok(_) => return Err(AnswerFault::Malformed("it is not a JSON object")),
        Err(_) => return Err(AnswerFault::Malformed("it is not JSON")),
    };
    if let Some(code) = error_of(&document) {
        return Err(AnswerFault::Code(code));
    }
    let refresh = text(&document, "refresh_token").map(RefreshToken::new);
    let (access, kind) = match usable_access(&document, known) {
        Ok(found) => found,
        Err(what) => {
            return Err(match refresh {
                Some(refresh) => AnswerFault::RotatedOnly(refresh, what),
                None => AnswerFault::Malformed(what),
            });
        }
    };
    Ok(NewTokens {
        access,
        kind,
        expires_in: document.get("expires_in").and_then(life),
        refresh,
        scopes: document.get("scope").and_then(scopes),
        identity: text(&document, "id_token").and_then(identity),
        received: sent,
    })
}

/// The access token, if it can be sent as one.
fn usable_access(
    document: &Map<String, Value>,
    known: &[TokenKind],
) -> Result<(AccessToken, TokenKind), &'static str> {
    let access = text(document, "access_token").ok_or("it holds no access token")?;
    if HeaderValue::from_str(access).is_err() {
        return Err("its token fits in no header");
    }
    // Slack calls what is a bearer token by whom it speaks for. A token bound to a key must
    // never be sent as a bearer token (RFC 9449 §5).
    let kind = text(document, "token_type").unwrap_or("bearer");
    let bearer = ["bearer", "user", "bot"];
    let kind = if bearer.iter().any(|name| name.eq_ignore_ascii_case(kind)) {
        TokenKind::Bearer
    } else if kind.eq_ignore_ascii_case("dpop") && known.contains(&TokenKind::Dpop) {
        TokenKind::Dpop
    } else {
        return Err("its token is not a bearer token");
    };
    Ok((AccessToken::new(access), kind))
}

/// The error code of an answer that is an error.
pub fn read_error(body: &[u8]) -> Option<OauthCode> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(document)) => error_of(&document),
        _ => None,
    }
}

/// The words of an answer that is an error.
pub fn read_description(body: &[u8]) -> Option<String> {
    let Ok(Value::Object(document)) = serde_json::from_slice(body) else {
        return None;
    };
    text(&document, "error_description").map(|words| clean(words, 300))
}

fn error_of(document: &Map<String, Value>) -> Option<OauthCode> {
    let code = match document.get("error")? {
        Value::String(code) => code.as_str(),
        Value::Object(inner) => ["code", "type", "error"]
            .into_iter()
            .find_map(|name| text(inner, name))
            .unwrap_or("unspecified"),
        _ => return None,
    };
    (!code.is_empty()).then(|| OauthCode(clean(code, 80)))
}

fn text<'a>(document: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = document.get(name)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

/// `expires_in` as a number or a string; what makes no sense counts as not announced (TL-08).
fn life(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    let life = Duration::try_from_secs_f64(seconds).ok()?;
    let sensible = !life.is_zero() && life <= LONGEST_LIFE;
    if !sensible {
        tracing::debug!(seconds, "the announced life of a token makes no sense");
    }
    sensible.then_some(life)
}

fn scopes(value: &Value) -> Option<Vec<String>> {
    let words: Vec<String> = match value {
        Value::String(text) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Value::Array(items) => items
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => return None,
    };
    (!words.is_empty()).then_some(words)
}

/// Who signed in, for display: an ID token's claims, whose signature nobody checked.
fn identity(id_token: &str) -> Option<String> {
    let payload = id_token.split('.').nth(1)?.trim_end_matches('=');
    let bytes = Base64UrlUnpadded::decode_vec(payload).ok()?;
    let Ok(Value::Object(claims)) = serde_json::from_slice(&bytes) else {
        return None;
    };
    ["email", "preferred_username", "name", "sub"]
        .into_iter()
        .find_map(|name| text(&claims, name))
        .map(|name| clean(name, 120))
        .filter(|name| !name.is_empty())
}
