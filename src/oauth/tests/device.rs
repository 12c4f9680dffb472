//! Codes for other devices: what is asked, what is read, and how often.

use super::*;
use crate::http::fake::{Fake, json as reply};
use crate::model::fault::OauthCode;
use crate::oauth::device::GRANT;

fn facts_at(fake: &Fake) -> (LoginFacts, Discovered) {
    let mut found = discovered();
    found.trust = Trust::new(Zone::Host, &Pins::default());
    found.server.token_endpoint = fake.at("/token");
    found.server.device_endpoint = Some(fake.at("/device"));
    let start = Start {
        account: account(),
        client: client(ClientAuth::Basic, Some("s")),
        scopes: vec!["read".to_owned(), "write".to_owned()],
        window: Duration::from_mins(15),
    };
    let provider = provider(url("https://h.example/mcp"));
    (LoginFacts::new(&provider, &found, start, NOW), found)
}

async fn code_at(fake: &Fake) -> Result<DeviceLogin, DeviceFault> {
    let (facts, found) = facts_at(fake);
    let ask = DeviceAsk::new(facts, &found)?;
    authority().0.device_code(ask).await
}

fn code(extra: &Value) -> Deed {
    let mut document = json!({
        "device_code": "the device code",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://id.example/device",
        "expires_in": 600,
    });
    for (name, value) in extra.as_object().expect("an object") {
        document[name] = value.clone();
    }
    reply(200, &document)
}

#[actix_web::test]
async fn oc_device_flow_polling_asks_and_reads() {
    let fake = Fake::start(|_, seen| match seen.target.as_str() {
        "/device" => {
            code(&json!({"interval": 2, "verification_uri_complete": "https://id.example/d?c"}))
        }
        _ => reply(400, &json!({"error": "authorization_pending"})),
    })
    .await;
    let login = code_at(&fake).await.expect("a code");
    assert_eq!(login.user_code, "WDJB-MJHT");
    assert_eq!(login.page.as_str(), "https://id.example/device");
    assert!(login.full_page.is_some());
    assert_eq!(login.pace.wait(), Duration::from_secs(2));
    assert_eq!(login.facts.expires, NOW.plus(Duration::from_mins(10)));
    assert!(!format!("{login:?}").contains("the device code"));
    assert_eq!(authority().0.poll_device(&login).await, Polled::Pending);

    let seen = fake.seen();
    let [asked, polled] = seen.as_slice() else {
        panic!("two requests");
    };
    assert_eq!(asked.field("scope").as_deref(), Some("read write"));
    assert_eq!(polled.field("grant_type").as_deref(), Some(GRANT));
    assert_eq!(
        polled.field("device_code").as_deref(),
        Some("the device code")
    );
    for seen in [asked, polled] {
        assert_eq!(
            seen.field("resource").as_deref(),
            Some("https://h.example/mcp")
        );
        assert!(
            seen.header("authorization")
                .is_some_and(|it| it.starts_with("Basic "))
        );
    }
}

#[actix_web::test]
async fn a_code_that_cannot_be_shown_is_none() {
    for (extra, said) in [
        (json!({"user_code": ""}), "`user_code`"),
        (json!({"device_code": null}), "`device_code`"),
        (
            json!({"verification_uri": "javascript:alert(1)"}),
            "no page",
        ),
        (
            json!({"verification_uri": "http://id.example/device"}),
            "no page",
        ),
    ] {
        let fake = Fake::start(move |_, _| code(&extra)).await;
        let fault = code_at(&fake).await.expect_err("refused").to_string();
        assert!(fault.contains(said), "{fault}");
    }
    let fake = Fake::start(|_, _| reply(400, &json!({"error": "unauthorized_client"}))).await;
    let fault = code_at(&fake).await.expect_err("refused");
    let no = RefreshFailure::Rejected(OauthCode("unauthorized_client".to_owned()));
    assert_eq!(fault, DeviceFault::Failed(no));
    let (facts, mut found) = facts_at(&fake);
    found.server.device_endpoint = None;
    let fault = DeviceAsk::new(facts, &found).expect_err("not offered");
    assert!(matches!(fault, DeviceFault::NotOffered { .. }));
}

#[actix_web::test]
async fn oc_device_flow_polling_tells_answers_apart() {
    let of = async |deed: fn() -> Deed| {
        let fake = Fake::start(move |_, seen| match seen.target.as_str() {
            "/device" => code(&json!({})),
            _ => deed(),
        })
        .await;
        let login = code_at(&fake).await.expect("a code");
        authority().0.poll_device(&login).await
    };
    let error = |code: &str| reply(400, &json!({"error": code}));
    assert_eq!(
        of(|| reply(400, &json!({"error": "slow_down"}))).await,
        Polled::SlowDown
    );
    assert_eq!(
        of(|| reply(400, &json!({"error": "expired_token"}))).await,
        Polled::Expired
    );
    let denied = of(|| reply(400, &json!({"error": "access_denied"}))).await;
    assert!(matches!(denied, Polled::Denied(_)), "{denied:?}");
    for trouble in [
        (|| Deed::Reset) as fn() -> Deed,
        || answer(503, &[], ""),
        || Deed::Hang,
    ] {
        let polled = of(trouble).await;
        assert!(matches!(polled, Polled::Unreachable(_)), "{polled:?}");
    }
    for over in ["invalid_grant", "invalid_client", "nonsense"] {
        let fake = Fake::start(move |_, seen| match seen.target.as_str() {
            "/device" => code(&json!({})),
            _ => error(over),
        })
        .await;
        let login = code_at(&fake).await.expect("a code");
        let polled = authority().0.poll_device(&login).await;
        assert!(matches!(polled, Polled::Failed(_)), "{over}: {polled:?}");
    }
}

#[test]
fn oc_device_flow_polling_slows_down() {
    let seconds = Duration::from_secs;
    let pace = Pace::new(None);
    assert_eq!(pace.wait(), seconds(5), "RFC 8628 §3.2");
    let slower = pace.after(&Polled::SlowDown);
    assert_eq!(slower.wait(), seconds(10));
    assert_eq!(
        slower.after(&Polled::Pending).wait(),
        seconds(10),
        "it counts from here on"
    );
    assert_eq!(slower.after(&Polled::SlowDown).wait(), seconds(15));
    let gone = Polled::Unreachable(TransientCause::TimedOut);
    let away = pace.after(&gone);
    assert_eq!(away.wait(), seconds(10));
    assert_eq!(away.after(&gone).wait(), seconds(20));
    assert_eq!(
        away.after(&Polled::Pending).wait(),
        seconds(5),
        "it is back"
    );
    let mut pace = away;
    for _ in 0..100 {
        pace = pace.after(&gone).after(&Polled::SlowDown);
    }
    assert!(pace.wait() <= seconds(60));
}
