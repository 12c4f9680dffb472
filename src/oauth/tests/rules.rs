//! Rules of the protocol that are proved by nothing else, a test each, named after the rule.

use super::*;
use crate::http::fake::{Fake, json as reply};
use crate::model::fault::OauthCode;
use crate::oauth::token::{AnswerFault, read_tokens};

const RESOURCE: &str = "/.well-known/oauth-protected-resource/mcp";
const SERVER: &str = "/.well-known/oauth-authorization-server";

/// An authorization server that says of itself what `change` makes of the usual.
async fn server_with(change: impl Fn(&Url, &mut Value) + 'static) -> Fake {
    Fake::start(move |base, seen| match seen.target.as_str() {
        SERVER => {
            let mut document = server_document(base);
            change(base, &mut document);
            reply(200, &document)
        }
        "/register" => reply(201, &json!({ "client_id": base.as_str() })),
        "/token" => {
            let tokens = json!({ "access_token": "a", "token_type": "Bearer", "scope": "read" });
            reply(200, &tokens)
        }
        _ => not_found(),
    })
    .await
}

/// An upstream that names `server` as its authorization server.
async fn upstream_of(server: &Url) -> Fake {
    let issuer = wellknown::origin(server);
    Fake::start(move |base, seen| match seen.target.as_str() {
        "/mcp" => unauthorized("Bearer"),
        RESOURCE => {
            let mut document = resource_document(base, "/mcp");
            document["authorization_servers"] = json!([issuer]);
            reply(200, &document)
        }
        _ => not_found(),
    })
    .await
}

/// Walks a whole sign-in with the registrations of earlier ones, and returns the grant.
async fn sign_in(upstream: &Fake, stored: &[ClientRecord]) -> GrantRecord {
    let (authority, _) = authority();
    let provider = provider(upstream.at("/mcp"));
    let known: Vec<_> = stored.iter().map(|client| client.issuer.clone()).collect();
    let found = authority.discover(&provider, &known).await;
    let found = found.expect("a server");
    let client = match choose(&provider, &found, stored, NOW).expect("a client") {
        ClientChoice::Use(client) => *client,
        ClientChoice::Register => {
            let made = authority.register(&provider, &found, &[]).await;
            made.expect("registered")
        }
    };
    let login = begin(&provider, &found, client);
    let state = login.url().query_pairs().find(|(name, _)| name == "state");
    let callback = format!("state={}&code=c", state.expect("a state").1);
    let exchange = check_callback(&mut Some(login), Callback::parse(&callback), NOW);
    let exchange = exchange.expect("accepted");
    let facts = exchange.facts.clone();
    let tokens = authority.exchange(exchange).await.expect("tokens");
    facts.grant(&tokens, Generation(1))
}

fn begin(provider: &Provider, found: &Discovered, client: ClientRecord) -> PendingLogin {
    let start = Start {
        account: account(),
        client,
        scopes: vec!["read".to_owned()],
        window: Duration::from_mins(5),
    };
    PendingLogin::begin(provider, found, start, NOW, &Counting::new()).expect("a sign-in")
}

#[actix_web::test]
async fn oc_as_migration_reregisters() {
    let old = server_with(|_, _| {}).await;
    let new = server_with(|_, _| {}).await;
    let before = sign_in(&upstream_of(&old.url).await, &[]).await;
    assert_eq!(before.issuer, wellknown::origin(&old.url));
    let asked = old.seen().len();
    // The resource names another server now: it gets a registration of its own, and the server
    // of before, its client and its tokens have no part in it.
    let after = sign_in(&upstream_of(&new.url).await, &[before.client]).await;
    assert_eq!(after.issuer, wellknown::origin(&new.url));
    assert_eq!(after.client.issuer, after.issuer);
    assert_eq!(after.client.client_id, new.url.as_str());
    assert_eq!(after.token_endpoint, new.at("/token").to_string());
    assert_eq!(new.targets(), [SERVER, "/register", "/token"]);
    assert_eq!(old.seen().len(), asked);
}

#[test]
fn oc_scope_challenge_authoritative() {
    let provider = provider(url("https://h.example/mcp"));
    let mut found = discovered();
    found.server.scopes_supported = Some(vec!["a".to_owned()]);
    found.resource_scopes = Some(vec!["a".to_owned(), "b".to_owned()]);
    // Neither a part of what is listed nor all of it: exactly what the challenge says.
    for challenge in [vec!["z"], vec!["b", "y"], vec!["b"], vec!["c", "a", "b"]] {
        let words: Vec<String> = challenge.iter().map(|&word| word.to_owned()).collect();
        found.challenge_scopes = Some(words.clone());
        assert_eq!(scope::select(&provider, &found, &[]), words);
    }
}

#[test]
fn oc_pending_auth_record() {
    let found = discovered();
    let client = client(ClientAuth::None, None);
    let login = begin(
        &provider(url("https://h.example/mcp")),
        &found,
        client.clone(),
    );
    // What is kept before a browser is opened is what the callback and the exchange are held to.
    let facts = &login.facts;
    assert_eq!(facts.account, account(), "who asked, and for what");
    assert_eq!(facts.issuer, found.server.issuer);
    assert_eq!(facts.token_endpoint, found.server.token_endpoint);
    assert_eq!(facts.client, client);
    assert_eq!(facts.redirect_uri, REDIRECT);
    assert_eq!(facts.resource, found.resource);
    assert_eq!(facts.scopes, ["read"]);
    assert_eq!(facts.expires, NOW.plus(Duration::from_mins(5)));
    let query: std::collections::HashMap<_, _> = login.url().query_pairs().into_owned().collect();
    assert!(login.matches(&query["state"]) && !login.matches("another"));
    let callback = format!("state={}&code=c", query["state"]);
    let exchange = check_callback(&mut Some(login), Callback::parse(&callback), NOW);
    let exchange = exchange.expect("accepted");
    let verifier = oauth2::PkceCodeVerifier::new(exchange.verifier.expose().to_owned());
    let challenge = oauth2::PkceCodeChallenge::from_code_verifier_sha256(&verifier);
    assert_eq!(challenge.as_str(), query["code_challenge"]);
}

#[actix_web::test]
async fn oc_token_request_redirect_uri() {
    let server = server_with(|_, _| {}).await;
    sign_in(&upstream_of(&server.url).await, &[]).await;
    let seen = server.seen();
    let code = seen.last().expect("the exchange");
    assert_eq!(code.target, "/token");
    assert_eq!(code.field("redirect_uri").as_deref(), Some(REDIRECT));
}

#[test]
fn oc_token_type_enforced() {
    let of = |kind: &str| {
        let document = json!({ "access_token": "a", "token_type": kind });
        read_tokens(document.to_string().as_bytes(), NOW)
    };
    for bearer in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        assert!(of(bearer).is_ok(), "{bearer}");
    }
    for bound in [
        "DPoP",
        "dpop",
        "mac",
        "N_A",
        "PoP",
        "Bearer DPoP",
        " Bearer",
    ] {
        assert!(
            matches!(of(bound), Err(AnswerFault::Malformed(_))),
            "{bound}: never sent as a bearer token"
        );
    }
}

#[actix_web::test]
async fn tl_refresh_scope_subset() {
    let server = server_with(|_, _| {}).await;
    for scopes in [vec![], vec!["read"], vec!["read", "admin"]] {
        let mut grant = grant(&server.at("/token"), client(ClientAuth::None, None));
        grant.scopes = scopes.into_iter().map(str::to_owned).collect();
        authority().0.refresh(&grant).await.expect("tokens");
    }
    for refresh in server.seen() {
        let kind = refresh.field("grant_type");
        assert_eq!(kind.as_deref(), Some("refresh_token"));
        assert_eq!(refresh.field("scope"), None, "the grant's own");
    }
}

#[actix_web::test]
async fn tl_no_introspection_dependency() {
    let server = server_with(|base, document| {
        let endpoint = base.join("/introspect").expect("a path");
        document["introspection_endpoint"] = endpoint.to_string().into();
    })
    .await;
    let grant = sign_in(&upstream_of(&server.url).await, &[]).await;
    let mut grant = GrantRecord {
        refresh: Some(RefreshToken::new("r")),
        ..grant
    };
    authority().0.refresh(&grant).await.expect("tokens");
    grant.revocation_endpoint = None;
    authority().0.revoke(&grant, None).await;
    assert_eq!(server.targets(), [SERVER, "/register", "/token", "/token"]);
}

#[actix_web::test]
async fn tl_token_bound_to_resource_the_record_names_all_it_is_bound_to() {
    let server = server_with(|_, _| {}).await;
    let upstream = upstream_of(&server.url).await;
    let grant = sign_in(&upstream, &[]).await;
    assert_eq!(grant.issuer, wellknown::origin(&server.url));
    assert_eq!(grant.client.client_id, server.url.as_str());
    assert_eq!(grant.resource, Some(upstream.at("/mcp").to_string()));
    assert_eq!(grant.upstream_url, upstream.at("/mcp").to_string());
    assert_eq!(grant.account, account());
    assert_eq!(grant.scopes, ["read"], "as granted");
}

#[actix_web::test]
async fn seed_s4_02_a_code_with_pkce_at_discovered_or_pinned_endpoints() {
    let server = server_with(|_, _| {}).await;
    let upstream = upstream_of(&server.url).await;
    sign_in(&upstream, &[]).await;
    let seen = server.seen();
    let code = seen.last().expect("the exchange");
    let kind = code.field("grant_type");
    assert_eq!(kind.as_deref(), Some("authorization_code"));
    assert!(code.field("code_verifier").is_some_and(|v| v.len() == 43));

    let mut pinned = provider(upstream.at("/mcp"));
    pinned.pins.authorization_endpoint = Some(url("https://pinned.example/a"));
    pinned.pins.token_endpoint = Some(url("https://pinned.example/t"));
    let found = authority().0.discover(&pinned, &[]).await.expect("pinned");
    let login = begin(&pinned, &found, client(ClientAuth::None, None));
    assert!(
        login
            .url()
            .as_str()
            .starts_with("https://pinned.example/a?")
    );
    assert!(login.url().as_str().contains("code_challenge_method=S256"));
    assert_eq!(login.facts.token_endpoint, url("https://pinned.example/t"));
}

#[actix_web::test]
async fn seed_s4_03_a_client_is_registered_unless_one_is_set() {
    let server = server_with(|_, _| {}).await;
    let upstream = upstream_of(&server.url).await;
    let grant = sign_in(&upstream, &[]).await;
    assert_eq!(grant.client.origin, ClientOrigin::Registered);
    assert!(server.targets().contains(&"/register".to_owned()));

    let mut set = provider(upstream.at("/mcp"));
    set.client = ClientPlan::Configured {
        client_id: "mine".to_owned(),
        proof: None,
        auth: None,
    };
    let found = authority().0.discover(&set, &[]).await.expect("a server");
    let chosen = choose(&set, &found, &[grant.client], NOW).expect("a client");
    let ClientChoice::Use(client) = chosen else {
        panic!("a client id is set");
    };
    assert_eq!(client.client_id, "mine");
    assert_eq!(client.origin, ClientOrigin::Configured);
}

#[actix_web::test]
async fn seed_s4_07_what_was_tried_is_told_when_discovery_fails() {
    let nothing = Fake::start(|_, _| not_found()).await;
    let failed = authority()
        .0
        .discover(&provider(nothing.at("/mcp")), &[])
        .await
        .expect_err("nothing there");
    let trail: Vec<String> = failed.trail.iter().map(ToString::to_string).collect();
    for asked in nothing.targets() {
        assert!(
            trail.iter().any(|step| step.contains(&asked)),
            "{asked} in {trail:?}"
        );
    }
}

#[actix_web::test]
async fn se_no_reflection() {
    // What an endpoint writes into a body is its own; of an error its code is told, cleaned.
    const PAGE: &str = "<h1>10.0.0.7 internal admin</h1>";
    for (status, body) in [
        (500, PAGE.to_owned()),
        (400, PAGE.to_owned()),
        (200, PAGE.to_owned()),
        (
            400,
            json!({ "error": "invalid_grant", "note": PAGE }).to_string(),
        ),
    ] {
        let fake = Fake::start(move |_, _| answer(status, &[], &body)).await;
        let grant = grant(&fake.at("/token"), client(ClientAuth::None, None));
        let failed = authority().0.refresh(&grant).await.expect_err("refused");
        let told = format!("{failed} {failed:?}");
        assert!(!told.contains("internal admin"), "{told}");
        if let RefreshFailure::Rejected(OauthCode(code)) = failed {
            assert_eq!(code, "invalid_grant");
        }
        let found = authority()
            .0
            .discover(&provider(fake.at("/mcp")), &[])
            .await;
        let failed = found.expect_err("no metadata");
        let told = format!("{} {:?}", failed.fault, failed.trail);
        assert!(!told.contains("internal admin"), "{told}");
    }
}

#[actix_web::test]
async fn px_own_client_conformant() {
    // Our one message of our own is the handshake that draws a challenge, in a revision that has
    // one: without a credential, and as the transport wants it.
    let upstream = upstream_of(&url("https://id.example")).await;
    let _ = authority()
        .0
        .discover(&provider(upstream.at("/mcp")), &[])
        .await;
    let probe = upstream.seen().into_iter().next().expect("the probe");
    assert_eq!(
        (probe.method.as_str(), probe.target.as_str()),
        ("POST", "/mcp")
    );
    assert_eq!(probe.header("content-type"), Some("application/json"));
    let accept = probe.header("accept").expect("a field");
    assert!(accept.contains("application/json") && accept.contains("text/event-stream"));
    assert_eq!(probe.header("authorization"), None);
    let message: Value = serde_json::from_str(&probe.body).expect("JSON");
    assert_eq!(
        (&message["jsonrpc"], &message["method"]),
        (&json!("2.0"), &json!("initialize"))
    );
    assert!(message["id"].is_string());
    let params = &message["params"];
    assert_eq!(params["protocolVersion"], "2025-11-25");
    assert!(params["capabilities"].is_object());
    assert_eq!(params["clientInfo"]["name"], "doorward");
    assert_eq!(params["clientInfo"]["version"], env!("CARGO_PKG_VERSION"));
}
