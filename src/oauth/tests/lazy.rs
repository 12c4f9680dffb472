//! Servers that shake hands with anybody and want a token only after that.

use super::*;
use crate::http::fake::{Fake, json as reply};

const PRM: &str = "/.well-known/oauth-protected-resource";

async fn lazy(hello: fn() -> Deed) -> Fake {
    Fake::start(move |base, seen| match seen.target.as_str() {
        "/mcp" if seen.method == "DELETE" => answer(200, &[], ""),
        "/mcp" if is_probe(seen) => hello(),
        "/mcp" => {
            let pointer = format!("Bearer scope=\"basic\", resource_metadata=\"{base}meta\"");
            unauthorized(&pointer)
        }
        "/meta" => {
            let mut document = resource_document(base, "/mcp");
            document["scopes_supported"] = json!(["everything"]);
            reply(200, &document)
        }
        target if target.starts_with(PRM) => panic!("the pointer is the only place"),
        "/.well-known/oauth-authorization-server" => reply(200, &server_document(base)),
        _ => not_found(),
    })
    .await
}

#[actix_web::test]
async fn oc_scope_challenge_of_a_server_that_shakes_hands_with_anybody() {
    let fake = lazy(|| answer(200, &[("Mcp-Session-Id", "s 1")], "{}")).await;
    let plan = provider(fake.at("/mcp"));
    let found = authority().0.discover(&plan, &[]).await.expect("a server");
    assert_eq!(scope::select(&plan, &found, &[]), ["basic"]);
    let seen = fake.seen();
    let asked: Vec<_> = seen.iter().map(|seen| seen.method.as_str()).collect();
    assert_eq!(asked, ["POST", "POST", "DELETE", "GET", "GET"]);
    assert!(seen[1].body.contains("\"tools/list\""));
    for later in &seen[1..3] {
        assert_eq!(later.header("mcp-session-id"), Some("s 1"));
        assert_eq!(later.header("mcp-protocol-version"), Some("2025-11-25"));
        assert_eq!(later.header("authorization"), None);
    }
}

#[actix_web::test]
async fn a_server_that_knows_no_handshake_is_asked_in_its_own_way() {
    let fake = lazy(|| answer(404, &[], "{}")).await;
    let plan = provider(fake.at("/mcp"));
    let found = authority().0.discover(&plan, &[]).await.expect("a server");
    assert_eq!(scope::select(&plan, &found, &[]), ["basic"]);
    let second = &fake.seen()[1];
    assert_eq!(second.header("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(second.header("mcp-method"), Some("tools/list"));
    let body: Value = serde_json::from_str(&second.body).expect("JSON");
    let version = &body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"];
    assert_eq!(version, "2026-07-28");
}
