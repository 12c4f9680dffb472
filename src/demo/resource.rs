//! The demo's MCP server: one tool, no sessions, and a door that only a live access token opens.

use std::sync::Arc;

use actix_web::web::{self, Data, Json, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, http::header};
use serde_json::{Value, json};
use url::Url;

use super::clerk::Clerk;
use super::host::Host;
use super::provider::issuer;

struct Door {
    clerk: Arc<Clerk>,
    resource: String,
    metadata: String,
    issuer: String,
}

/// Starts it behind the authorization server at `provider`.
pub(super) fn start(clerk: &Arc<Clerk>, provider: &Url) -> std::io::Result<Host> {
    Host::start("/mcp", |url| {
        let mut metadata = url.clone();
        metadata.set_path("/.well-known/oauth-protected-resource/mcp");
        let door = Data::new(Door {
            clerk: Arc::clone(clerk),
            resource: url.as_str().to_owned(),
            metadata: metadata.into(),
            issuer: issuer(provider),
        });
        move |app: &mut ServiceConfig| {
            app.app_data(door.clone())
                .route(
                    "/.well-known/oauth-protected-resource/mcp",
                    web::get().to(describe),
                )
                .route("/mcp", web::post().to(answer));
        }
    })
}

/// RFC 9728 section 2.
async fn describe(door: Data<Door>) -> Json<Value> {
    Json(json!({
        "resource": door.resource,
        "authorization_servers": [door.issuer],
        "scopes_supported": ["mcp:tools"],
        "bearer_methods_supported": ["header"],
    }))
}

async fn answer(door: Data<Door>, asked: HttpRequest, message: Json<Value>) -> HttpResponse {
    let bearer = asked.headers().get(header::AUTHORIZATION);
    let bearer = bearer.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if !bearer.is_some_and(|token| door.clerk.admits(token)) {
        // RFC 6750 section 3.1: no error code where there was no token.
        let error = bearer.map_or("", |_| "error=\"invalid_token\", ");
        let challenge = format!("Bearer {error}resource_metadata=\"{}\"", door.metadata);
        return HttpResponse::Unauthorized()
            .insert_header((header::WWW_AUTHENTICATE, challenge))
            .json(json!({ "error": "invalid_token" }));
    }
    let Some(id) = message.get("id") else {
        return HttpResponse::Accepted().finish();
    };
    let outcome = match message["method"].as_str() {
        Some("initialize") => json!({ "result": {
            "protocolVersion": "2025-06-18",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "doorward-demo", "version": env!("CARGO_PKG_VERSION") },
        }}),
        Some("ping") => json!({ "result": {} }),
        Some("tools/list") => json!({ "result": { "tools": [{
            "name": "echo",
            "description": "Says what it is told.",
            "inputSchema": {
                "type": "object",
                "properties": { "text": { "type": "string" } },
                "required": ["text"],
            },
        }]}}),
        Some("tools/call") => match &message["params"]["arguments"]["text"] {
            Value::String(text) if message["params"]["name"] == "echo" => {
                json!({ "result": { "content": [{ "type": "text", "text": text }] } })
            }
            _ => json!({ "error": { "code": -32602, "message": "echo wants a text" } }),
        },
        _ => json!({ "error": { "code": -32601, "message": "no such method" } }),
    };
    let mut answer = json!({ "jsonrpc": "2.0", "id": id });
    if let (Value::Object(answer), Value::Object(outcome)) = (&mut answer, outcome) {
        answer.extend(outcome);
    }
    HttpResponse::Ok().json(answer)
}
