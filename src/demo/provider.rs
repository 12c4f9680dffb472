//! The demo's authorization server on the wire: metadata, registration, authorization, tokens,
//! revocation. Its person says yes to everything.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::web::{self, Data, Form, Json, Query, ServiceConfig};
use actix_web::{HttpResponse, http::header};
use serde_json::{Value, json};
use url::Url;

use super::clerk::{Clerk, Denied, Pair};
use super::host::Host;

type Fields = HashMap<String, String>;

struct Desk {
    clerk: Arc<Clerk>,
    /// The issuer: the address without the slash that `Url` ends it with.
    issuer: String,
}

/// Starts it.
pub(super) fn start(clerk: &Arc<Clerk>) -> std::io::Result<Host> {
    Host::start("/", |url| {
        let desk = Data::new(Desk {
            clerk: Arc::clone(clerk),
            issuer: issuer(url),
        });
        move |app: &mut ServiceConfig| {
            app.app_data(desk.clone())
                .route(
                    "/.well-known/oauth-authorization-server",
                    web::get().to(metadata),
                )
                .route("/register", web::post().to(register))
                .route("/authorize", web::get().to(authorize))
                .route("/token", web::post().to(token))
                .route("/revoke", web::post().to(revoke));
        }
    })
}

/// The issuer identifier of the server at `url`.
pub(super) fn issuer(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// RFC 8414 section 2.
async fn metadata(desk: Data<Desk>) -> Json<Value> {
    let issuer = &desk.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "registration_endpoint": format!("{issuer}/register"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "scopes_supported": ["mcp:tools", "offline_access"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

/// RFC 7591 section 3.
async fn register(desk: Data<Desk>, asked: Json<Value>) -> HttpResponse {
    let mut answer = asked.into_inner();
    let uris = answer["redirect_uris"].as_array();
    let uris = uris.map_or(Vec::new(), |uris| {
        let texts = uris.iter().filter_map(Value::as_str);
        texts.map(ToOwned::to_owned).collect()
    });
    if uris.is_empty() {
        return refusal("invalid_redirect_uri");
    }
    answer["client_id"] = desk.clerk.register(uris).into();
    answer["token_endpoint_auth_method"] = "none".into();
    HttpResponse::Created().json(answer)
}

/// RFC 6749 section 4.1.1, RFC 7636 section 4.3.
async fn authorize(desk: Data<Desk>, asked: Query<Fields>) -> HttpResponse {
    let field = |name: &str| asked.get(name).map_or("", String::as_str);
    let pkce = field("code_challenge_method") == "S256" && field("response_type") == "code";
    let redirect = field("redirect_uri");
    let code = desk
        .clerk
        .authorize(field("client_id"), redirect, field("code_challenge"));
    let (true, Some(code), Ok(mut back)) = (pkce, code, Url::parse(redirect)) else {
        return refusal("invalid_request");
    };
    back.query_pairs_mut()
        .append_pair("code", &code)
        .append_pair("state", field("state"))
        .append_pair("iss", &desk.issuer);
    HttpResponse::Found()
        .insert_header((header::LOCATION, back.as_str()))
        .finish()
}

/// RFC 6749 sections 4.1.3 and 6.
async fn token(desk: Data<Desk>, asked: Form<Fields>) -> HttpResponse {
    let field = |name: &str| asked.get(name).map_or("", String::as_str);
    let client = field("client_id");
    let pair = match field("grant_type") {
        "authorization_code" => desk.clerk.exchange(
            client,
            field("code"),
            field("redirect_uri"),
            field("code_verifier"),
        ),
        "refresh_token" => desk.clerk.refresh(client, field("refresh_token")),
        _ => return refusal("unsupported_grant_type"),
    };
    match pair {
        Ok(Pair {
            access,
            refresh,
            life,
        }) => HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(json!({
                "access_token": access, "refresh_token": refresh, "token_type": "Bearer",
                "expires_in": life.as_secs(), "scope": "mcp:tools offline_access",
            })),
        Err(Denied::InvalidClient) => {
            HttpResponse::Unauthorized().json(json!({ "error": Denied::InvalidClient.as_str() }))
        }
        Err(denied) => refusal(denied.as_str()),
    }
}

/// RFC 7009 section 2.
async fn revoke(desk: Data<Desk>, asked: Form<Fields>) -> HttpResponse {
    desk.clerk
        .revoke(asked.get("token").map_or("", String::as_str));
    HttpResponse::Ok().finish()
}

fn refusal(error: &str) -> HttpResponse {
    HttpResponse::BadRequest().json(json!({ "error": error }))
}
