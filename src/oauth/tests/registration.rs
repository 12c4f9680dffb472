//! Which client identity is used, and how one is registered.

use super::*;
use crate::http::fake::{Fake, json as reply};
use crate::model::fault::OauthCode;
use crate::model::record::ClientKey;
use crate::model::secret::PrivateKey;

async fn register_at(
    fake: &Fake,
    methods: Option<&[&str]>,
    scopes: &[&str],
) -> Result<ClientRecord, RegistrationFailure> {
    let mut found = discovered();
    found.trust = Trust::new(Zone::Host, &Pins::default());
    found.server.registration_endpoint = Some(fake.at("/register"));
    found.server.auth_methods = methods.map(|list| list.iter().map(|&m| m.to_owned()).collect());
    let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
    let provider = provider(url("https://h.example/mcp"));
    authority().0.register(&provider, &found, &scopes).await
}

fn sent(fake: &Fake, index: usize) -> Value {
    serde_json::from_str(&fake.seen()[index].body).expect("a document")
}

#[actix_web::test]
async fn oc_dcr_application_type_native() {
    let fake = Fake::start(|_, _| reply(201, &json!({ "client_id": "c" }))).await;
    let client = register_at(&fake, Some(&["none"]), &["read", "write"])
        .await
        .expect("a client");
    let document = sent(&fake, 0);
    assert_eq!(document["application_type"], "native");
    assert_eq!(
        document["token_endpoint_auth_method"], "none",
        "oc_dcr_public_client"
    );
    assert_eq!(
        document["grant_types"],
        json!(["authorization_code", "refresh_token"]),
        "oc_metadata_grant_types_refresh"
    );
    assert_eq!(document["redirect_uris"], json!([REDIRECT]));
    assert_eq!(document["scope"], "read write");
    assert_eq!(
        (client.client_id.as_str(), client.auth),
        ("c", ClientAuth::None)
    );
    assert_eq!(
        client.issuer, "https://id.example",
        "oc_credentials_keyed_by_issuer"
    );
}

#[actix_web::test]
async fn oc_dcr_public_client_only_where_offered() {
    for (methods, asked) in [
        (Some(&["client_secret_post", "none"][..]), "none"),
        (
            Some(&["client_secret_post", "client_secret_basic"][..]),
            "client_secret_basic",
        ),
        (Some(&["client_secret_post"][..]), "client_secret_post"),
        (None, "client_secret_basic"),
    ] {
        let fake = Fake::start(|_, _| reply(201, &json!({ "client_id": "c" }))).await;
        register_at(&fake, methods, &[]).await.expect("a client");
        assert_eq!(sent(&fake, 0)["token_endpoint_auth_method"], asked);
        assert_eq!(sent(&fake, 0).get("scope"), None);
    }
    let fake = Fake::start(|_, _| not_found()).await;
    let failed = register_at(&fake, Some(&["private_key_jwt"]), &[]).await;
    assert!(matches!(
        failed,
        Err(RegistrationFailure::NoCommonMethod { .. })
    ));
    assert!(fake.seen().is_empty());
}

#[actix_web::test]
async fn oc_dcr_uses_returned_values() {
    let fake = Fake::start(|base, _| {
        let document = json!({
            "client_id": "given",
            "client_secret": "hush",
            "client_secret_expires_at": 1_800_000_000,
            "token_endpoint_auth_method": "client_secret_post",
            "redirect_uris": [REDIRECT],
            "registration_client_uri": format!("{base}register/given"),
            "registration_access_token": "manage",
        });
        reply(201, &document)
    })
    .await;
    let client = register_at(&fake, Some(&["none"]), &[])
        .await
        .expect("a client");
    assert_eq!(client.client_id, "given");
    assert_eq!(client.auth, ClientAuth::Post);
    assert_eq!(client.client_secret, Some(ClientSecret::new("hush")));
    assert_eq!(
        client.secret_expires,
        Some(Timestamp::from_millis(1_800_000_000_000))
    );
    let management = client.management.expect("management");
    assert_eq!(management.token.expose(), "manage");

    let never = json!({ "client_id": "c", "client_secret": "s", "client_secret_expires_at": 0 });
    let fake = Fake::start(move |_, _| reply(200, &never)).await;
    let client = register_at(&fake, None, &[]).await.expect("a client");
    assert_eq!(
        (client.secret_expires, client.auth),
        (None, ClientAuth::Basic)
    );
}

#[actix_web::test]
async fn oc_dcr_error_surfaced() {
    let fake = Fake::start(|_, _| {
        let words = json!({ "error": "invalid_redirect_uri", "error_description": "no\u{7} http" });
        reply(400, &words)
    })
    .await;
    let failed = register_at(&fake, Some(&["none"]), &["read"])
        .await
        .expect_err("refused");
    assert_eq!(
        failed,
        RegistrationFailure::Refused {
            issuer: "https://id.example".to_owned(),
            status: 400,
            code: Some(OauthCode("invalid_redirect_uri".to_owned())),
            description: Some("no http".to_owned()),
        }
    );
    assert!(
        failed
            .to_string()
            .contains("400 invalid_redirect_uri (no http)"),
        "{failed}"
    );
    assert_eq!(fake.seen().len(), 1);

    for (status, body) in [(201, "<html>"), (201, "{}"), (200, r#"{"client_id":""}"#)] {
        let fake = Fake::start(move |_, _| answer(status, &[], body)).await;
        let failed = register_at(&fake, None, &[]).await;
        assert!(
            matches!(failed, Err(RegistrationFailure::Malformed { .. })),
            "{body}"
        );
    }
    let fake = Fake::start(|_, _| answer(503, &[], "")).await;
    let failed = register_at(&fake, None, &[]).await;
    assert!(matches!(failed, Err(RegistrationFailure::Transient { .. })));
    let other = json!({ "client_id": "c", "redirect_uris": ["https://elsewhere.example/"] });
    let fake = Fake::start(move |_, _| reply(201, &other)).await;
    let failed = register_at(&fake, None, &[]).await;
    assert!(matches!(failed, Err(RegistrationFailure::Malformed { .. })));
}

#[actix_web::test]
async fn a_server_that_refuses_the_scopes_is_asked_once_more_without() {
    let fake = Fake::start(|_, seen| {
        if seen.body.contains("\"scope\"") {
            reply(400, &json!({ "error": "invalid_client_metadata" }))
        } else {
            reply(201, &json!({ "client_id": "c" }))
        }
    })
    .await;
    assert!(register_at(&fake, Some(&["none"]), &["odd"]).await.is_ok());
    assert_eq!(fake.seen().len(), 2);
    let fake = Fake::start(|_, _| reply(400, &json!({ "error": "invalid_client_metadata" }))).await;
    assert!(register_at(&fake, Some(&["none"]), &["odd"]).await.is_err());
    assert_eq!(fake.seen().len(), 2, "once");
}

#[test]
fn oc_credentials_keyed_by_issuer() {
    let plain = provider(url("https://h.example/mcp"));
    let found = discovered();
    let chosen = |stored: &[ClientRecord]| match choose(&plain, &found, stored, NOW) {
        Ok(ClientChoice::Use(client)) => Some(client.client_id),
        Ok(ClientChoice::Register) => None,
        Err(failure) => panic!("{failure}"),
    };
    let fitting = client(ClientAuth::None, None);
    assert_eq!(
        chosen(std::slice::from_ref(&fitting)).as_deref(),
        Some("client one")
    );
    let mut elsewhere = fitting.clone();
    elsewhere.issuer = "https://id.example/".to_owned();
    let mut moved = fitting.clone();
    moved.redirect_uri = "http://127.0.0.1:1/cb".to_owned();
    let mut ended = fitting.clone();
    ended.secret_expires = Some(NOW);
    let mut configured = fitting;
    configured.origin = ClientOrigin::Configured;
    assert_eq!(chosen(&[elsewhere, moved, ended, configured]), None);
}

#[test]
fn oc_registration_priority() {
    let mut plan = provider(url("https://h.example/mcp"));
    let mut found = discovered();
    plan.client = ClientPlan::Never;
    let stored = [client(ClientAuth::None, None)];
    assert!(matches!(
        choose(&plan, &found, &stored, NOW),
        Ok(ClientChoice::Use(_))
    ));
    let none = choose(&plan, &found, &[], NOW);
    assert!(matches!(none, Err(RegistrationFailure::NotOffered { .. })));
    plan.client = ClientPlan::Register;
    assert!(matches!(
        choose(&plan, &found, &[], NOW),
        Ok(ClientChoice::Register)
    ));
    found.server.registration_endpoint = None;
    let none = choose(&plan, &found, &[], NOW);
    assert!(matches!(none, Err(RegistrationFailure::NotOffered { .. })));
}

#[test]
fn oc_token_endpoint_auth_methods_of_a_configured_client() {
    let method = |secret: bool, auth, supported: Option<&[&str]>| {
        let mut plan = provider(url("https://h.example/mcp"));
        plan.client = ClientPlan::Configured {
            client_id: "c".to_owned(),
            proof: secret.then(|| ClientProof::Secret(ClientSecret::new("s"))),
            auth,
        };
        let mut found = discovered();
        let list = supported.map(|list| list.iter().map(|&name| name.to_owned()).collect());
        found.server.auth_methods = list;
        match choose(&plan, &found, &[], NOW) {
            Ok(ClientChoice::Use(client)) => Some(client.auth),
            _ => None,
        }
    };
    let both = ["client_secret_post", "client_secret_basic"];
    assert_eq!(method(false, None, Some(&both)), Some(ClientAuth::None));
    assert_eq!(method(true, None, None), Some(ClientAuth::Basic));
    assert_eq!(method(true, None, Some(&both)), Some(ClientAuth::Basic));
    assert_eq!(method(true, None, Some(&both[..1])), Some(ClientAuth::Post));
    assert_eq!(method(true, None, Some(&["private_key_jwt"])), None);
    assert_eq!(
        method(true, Some(ClientAuth::Post), Some(&both[1..])),
        Some(ClientAuth::Post),
        "the configuration wins"
    );
}

#[test]
fn oc_client_assertion_claims_are_signed_in_a_way_that_the_server_takes() {
    let answer = |pem: &str, methods: Option<&[&str]>, algorithms: Option<&[&str]>| {
        let list = |names: Option<&[&str]>| {
            names.map(|names| names.iter().map(|&name| name.to_owned()).collect())
        };
        let mut plan = provider(url("https://h.example/mcp"));
        plan.client = ClientPlan::Configured {
            client_id: "mine".to_owned(),
            proof: Some(ClientProof::Key(ClientKey {
                key: PrivateKey::new(pem),
                id: None,
            })),
            auth: None,
        };
        let mut found = discovered();
        found.server.auth_methods = list(methods);
        found.server.auth_algorithms = list(algorithms);
        match choose(&plan, &found, &[], NOW) {
            Ok(ClientChoice::Use(client)) => Ok(client.auth),
            Ok(ClientChoice::Register) => panic!("there is one"),
            Err(failure) => Err(failure.to_string()),
        }
    };
    let ec = include_str!("../../jose/tests/ec.pem");
    let both: &[&str] = &["client_secret_basic", "private_key_jwt"];
    let signs = Ok(ClientAuth::PrivateKeyJwt);
    assert_eq!(answer(ec, None, None), signs);
    assert_eq!(answer(ec, Some(both), Some(&["RS256", "ES256"])), signs);
    let refused = |answer: Result<ClientAuth, String>, said: &str| {
        let why = answer.expect_err("refused");
        assert!(why.contains(said), "{why}");
    };
    refused(
        answer(ec, Some(&both[..1]), None),
        "no way of client authentication",
    );
    refused(
        answer(ec, Some(both), Some(&["RS256"])),
        "signed with ES256",
    );
    refused(answer("-----", None, None), "no private key in PEM");
}

#[actix_web::test]
async fn a_registration_is_deleted_only_at_its_own_server() {
    let fake = Fake::start(|_, _| answer(204, &[], "")).await;
    let mut record = client(ClientAuth::None, None);
    assert_eq!(
        authority().0.deregister(&record).await,
        Revocation::NotOffered
    );
    record.management = Some(crate::model::record::ClientManagement {
        uri: fake.at("/register/c").to_string(),
        token: crate::model::secret::RegistrationToken::new("manage"),
    });
    assert_eq!(
        authority().0.deregister(&record).await,
        Revocation::NotOffered
    );
    assert!(fake.seen().is_empty(), "se_secret_destination_check");
    record.issuer = wellknown::origin(&fake.url);
    assert_eq!(authority().0.deregister(&record).await, Revocation::Done);
    let seen = &fake.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("DELETE", "/register/c")
    );
    assert_eq!(seen.header("authorization"), Some("Bearer manage"));
}
