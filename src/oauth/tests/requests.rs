//! What goes to token and revocation endpoints, and how often.

use base64ct::{Base64UrlUnpadded, Encoding};

use super::*;
use crate::http::fake::{Fake, json as reply};
use crate::model::fault::OauthCode;
use crate::model::record::ClientKey;
use crate::model::secret::PrivateKey;

fn good() -> Deed {
    reply(
        200,
        &json!({ "access_token": "a", "token_type": "Bearer", "expires_in": 60 }),
    )
}

fn exchange_at(fake: &Fake, zone: Zone, client: ClientRecord) -> Exchange {
    let mut found = discovered();
    found.trust = Trust::new(zone, &Pins::default());
    found.server.token_endpoint = fake.at("/token");
    let start = Start {
        account: account(),
        client,
        scopes: vec!["read".to_owned()],
        window: Duration::from_mins(5),
    };
    let provider = provider(url("https://h.example/mcp"));
    let login = PendingLogin::begin(&provider, &found, start, NOW, &Counting::new());
    let login = login.expect("a sign-in");
    let state = login.url().query_pairs().find(|(name, _)| name == "state");
    let callback = format!("state={}&code=the%20code", state.expect("a state").1);
    check_callback(&mut Some(login), Callback::parse(&callback), NOW).expect("accepted")
}

#[actix_web::test]
async fn oc_resource_param_everywhere() {
    let fake = Fake::start(|_, _| good()).await;
    let exchange = exchange_at(&fake, Zone::Host, client(ClientAuth::None, None));
    let facts = exchange.facts.clone();
    let tokens = authority().0.exchange(exchange).await.expect("tokens");
    let grant = facts.grant(&tokens, Generation(1));
    assert_eq!(grant.scopes, ["read"], "tl_scope_default_equals_requested");
    assert_eq!(grant.token_endpoint, fake.at("/token").to_string());
    assert_eq!(grant.expires, Some(NOW.plus(Duration::from_mins(1))));

    let code = &fake.seen()[0];
    assert_eq!(
        code.field("grant_type").as_deref(),
        Some("authorization_code")
    );
    assert_eq!(code.field("code").as_deref(), Some("the code"));
    assert_eq!(code.field("redirect_uri").as_deref(), Some(REDIRECT));
    assert_eq!(code.field("code_verifier").expect("a verifier").len(), 43);
    assert_eq!(
        code.field("resource").as_deref(),
        Some("https://h.example/mcp")
    );
    assert_eq!(code.field("client_id").as_deref(), Some("client one"));

    let refreshable = super::grant(&fake.at("/token"), grant.client);
    authority().0.refresh(&refreshable).await.expect("tokens");
    let refresh = &fake.seen()[1];
    assert_eq!(
        refresh.field("grant_type").as_deref(),
        Some("refresh_token")
    );
    assert_eq!(
        refresh.field("refresh_token").as_deref(),
        Some("the refresh token")
    );
    assert_eq!(
        refresh.field("resource").as_deref(),
        Some("https://h.example/mcp")
    );
    assert_eq!(refresh.field("scope"), None, "tl_refresh_scope_subset");
    let kind = refresh.header("content-type");
    assert_eq!(kind, Some("application/x-www-form-urlencoded"));
}

#[actix_web::test]
async fn oc_token_endpoint_auth_methods() {
    let fake = Fake::start(|_, _| good()).await;
    for (auth, secret) in [
        (ClientAuth::None, None),
        (ClientAuth::Basic, Some("a secret:+")),
        (ClientAuth::Post, Some("a secret:+")),
    ] {
        let grant = grant(&fake.at("/token"), client(auth, secret));
        authority().0.refresh(&grant).await.expect("tokens");
    }
    let seen = fake.seen();
    let [none, basic, post] = seen.as_slice() else {
        panic!("three requests");
    };
    assert_eq!(none.header("authorization"), None);
    assert_eq!(none.field("client_id").as_deref(), Some("client one"));
    assert_eq!(none.field("client_secret"), None);
    // client+one:a+secret%3A%2B
    let encoded = "Basic Y2xpZW50K29uZTphK3NlY3JldCUzQSUyQg==";
    assert_eq!(basic.header("authorization"), Some(encoded));
    assert_eq!(
        (basic.field("client_id"), basic.field("client_secret")),
        (None, None)
    );
    assert_eq!(post.header("authorization"), None);
    assert_eq!(post.field("client_secret").as_deref(), Some("a secret:+"));
}

/// What a compact signature says, unchecked.
fn parts_of(statement: &str) -> [Value; 2] {
    let mut parts = statement.split('.').map(|part| {
        let bytes = Base64UrlUnpadded::decode_vec(part).expect("base64url");
        serde_json::from_slice::<Value>(&bytes)
    });
    let mut next = || parts.next().expect("a part").expect("JSON");
    [next(), next()]
}

#[actix_web::test]
async fn oc_client_assertion_claims() {
    let fake = Fake::start(|_, _| good()).await;
    let mut signing = client(ClientAuth::PrivateKeyJwt, None);
    signing.key = Some(ClientKey {
        key: PrivateKey::new(include_str!("../../jose/tests/ec.pem")),
        id: Some("k1".to_owned()),
    });
    let grant = grant(&fake.at("/token"), signing.clone());
    // One authority: its ids go on.
    let (authority, _) = authority();
    for _ in 0..2 {
        authority.refresh(&grant).await.expect("tokens");
    }
    let seen = fake.seen();
    let mut ids = Vec::new();
    for seen in &seen {
        assert_eq!(seen.header("authorization"), None);
        assert_eq!(seen.field("client_secret"), None);
        let kind = seen.field("client_assertion_type");
        assert_eq!(
            kind.as_deref(),
            Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        );
        let statement = seen.field("client_assertion").expect("an assertion");
        let [header, claims] = parts_of(&statement);
        assert_eq!(header, json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}));
        assert_eq!(
            (&claims["iss"], &claims["sub"]),
            (&json!("client one"), &json!("client one"))
        );
        assert_eq!(claims["aud"], "https://id.example", "the issuer, alone");
        let now = NOW.as_millis() / 1000;
        assert_eq!(
            (&claims["iat"], &claims["exp"]),
            (&json!(now), &json!(now + 120))
        );
        ids.push(claims["jti"].as_str().expect("an id").to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    let shown = format!("{signing:?}");
    assert!(
        !shown.contains("BEGIN") && shown.contains("redacted"),
        "{shown}"
    );

    let mut broken = grant.clone();
    broken.client.key.as_mut().expect("a key").key = PrivateKey::new("nonsense");
    let failed = authority.refresh(&broken).await.expect_err("no key");
    assert!(failed.to_string().contains("private key"), "{failed}");
    assert_eq!(fake.seen().len(), 2, "nothing was sent");
}

#[actix_web::test]
async fn no_token_request_is_ever_sent_twice() {
    for deed in [
        (|| Deed::Reset) as fn() -> Deed,
        || Deed::Hang,
        || answer(503, &[], ""),
        || answer(307, &[("Location", "/token2")], ""),
        || answer(200, &[], "<html>"),
        || Deed::Say("HTTP/1.1 103 Hints\r\n\r\n".to_owned()),
    ] {
        let fake = Fake::start(move |_, _| deed()).await;
        let exchange = exchange_at(&fake, Zone::Host, client(ClientAuth::None, None));
        assert!(authority().0.exchange(exchange).await.is_err());
        assert_eq!(fake.seen().len(), 1);
        let grant = grant(&fake.at("/token"), client(ClientAuth::None, None));
        assert!(authority().0.refresh(&grant).await.is_err());
        assert_eq!(fake.targets(), ["/token", "/token"]);
    }
}

#[actix_web::test]
async fn tl_refresh_same_issuer() {
    let fake = Fake::start(|_, _| reply(400, &json!({ "error": "invalid_grant" }))).await;
    let mut grant = grant(&fake.at("/t?x=1"), client(ClientAuth::None, None));
    let failed = authority().0.refresh(&grant).await.expect_err("refused");
    let code = OauthCode("invalid_grant".to_owned());
    assert_eq!(failed, RefreshFailure::Rejected(code));
    assert_eq!(
        fake.targets(),
        ["/t?x=1"],
        "the grant's endpoint, and no discovery"
    );
    grant.refresh = None;
    let failed = authority()
        .0
        .refresh(&grant)
        .await
        .expect_err("nothing to present");
    assert!(matches!(failed, RefreshFailure::Transient { .. }));
}

#[actix_web::test]
async fn tl_clock_skew_and_suspend_counts_from_the_request() {
    let (authority, clock) = authority();
    let moved = clock.clone();
    let fake = Fake::start(move |_, _| {
        moved.advance(Duration::from_secs(7));
        good()
    })
    .await;
    let grant = grant(&fake.at("/token"), client(ClientAuth::None, None));
    let tokens = authority.refresh(&grant).await.expect("tokens");
    assert_eq!(
        tokens.received, NOW,
        "before the seven seconds that the answer took"
    );
}

#[actix_web::test]
async fn se_secret_destination_check_a_code_goes_nowhere_inside() {
    let fake = Fake::start(|_, _| good()).await;
    let exchange = exchange_at(&fake, Zone::Public, client(ClientAuth::None, None));
    let failed = authority().0.exchange(exchange).await.expect_err("refused");
    assert!(matches!(failed, RefreshFailure::Transient { .. }));
    assert!(fake.seen().is_empty());
}

#[actix_web::test]
async fn tl_logout_revokes() {
    let fake = Fake::start(|_, _| answer(200, &[], "")).await;
    let mut grant = grant(&fake.at("/token"), client(ClientAuth::Post, Some("s")));
    let access = AccessToken::new("the access token");
    let (authority, _) = authority();
    assert_eq!(
        authority.revoke(&grant, Some(&access)).await,
        Revocation::NotOffered
    );
    grant.revocation_endpoint = Some(fake.at("/revoke").to_string());
    assert_eq!(
        authority.revoke(&grant, Some(&access)).await,
        Revocation::Done
    );
    let seen = fake.seen();
    let of = |name: &str| -> Vec<_> { seen.iter().filter_map(|seen| seen.field(name)).collect() };
    assert_eq!(of("token"), ["the refresh token", "the access token"]);
    assert_eq!(of("token_type_hint"), ["refresh_token", "access_token"]);
    assert_eq!(of("client_secret"), ["s", "s"]);
}
