//! Recorded answers of token and revocation endpoints, and what becomes of them.

use super::*;
use crate::http::{Answer, Lost, NotSent, TransportFault};
use crate::model::fault::OauthCode;
use crate::oauth::classify::token_outcome;
use crate::oauth::revoke::outcome;
use crate::oauth::token::{AnswerFault, read_tokens};

fn got(status: u16, body: &str) -> Answer {
    with(status, &[], body)
}

fn with(status: u16, fields: &[(&'static str, &'static str)], body: &str) -> Answer {
    let mut headers = http::HeaderMap::new();
    for (name, value) in fields {
        headers.insert(*name, http::HeaderValue::from_static(value));
    }
    Answer {
        status,
        headers,
        body: body.to_owned().into(),
        sent: NOW,
        received: NOW.plus(Duration::from_secs(2)),
    }
}

fn tokens(extra: &Value) -> NewTokens {
    let mut document = json!({ "access_token": "a", "token_type": "Bearer" });
    for (name, value) in extra.as_object().expect("an object") {
        document[name] = value.clone();
    }
    read_tokens(document.to_string().as_bytes(), NOW).expect("tokens")
}

#[derive(Debug, PartialEq)]
enum Class {
    Success,
    Final,
    Transient,
    Ambiguous,
}

fn class(result: Result<Answer, TransportFault>) -> Class {
    match token_outcome(result) {
        Ok(_) => Class::Success,
        Err(RefreshFailure::Rejected(_)) => Class::Final,
        Err(RefreshFailure::Transient { .. }) => Class::Transient,
        Err(RefreshFailure::Ambiguous(_) | RefreshFailure::RotatedOnly { .. }) => Class::Ambiguous,
    }
}

#[test]
fn tl_error_in_200_body() {
    let table = [
        (
            200,
            r#"{"access_token":"a","token_type":"Bearer"}"#,
            Class::Success,
        ),
        (
            201,
            r#"{"access_token":"a","token_type":"bearer","expires_in":3600}"#,
            Class::Success,
        ),
        (200, r#"{"access_token":"a"}"#, Class::Success),
        (
            200,
            r#"{"access_token":"a","token_type":null}"#,
            Class::Success,
        ),
        (
            200,
            r#"{"ok":true,"access_token":"a","token_type":"user"}"#,
            Class::Success,
        ),
        (200, r#"{"error":null,"access_token":"a"}"#, Class::Success),
        (
            200,
            r#"{"access_token":"a","token_type":"DPoP"}"#,
            Class::Ambiguous,
        ),
        (
            200,
            r#"{"access_token":"a","token_type":"mac"}"#,
            Class::Ambiguous,
        ),
        (200, r#"{"error":"invalid_grant"}"#, Class::Final),
        (
            200,
            r#"{"ok":false,"error":"ratelimited"}"#,
            Class::Transient,
        ),
        (200, r#"{"ok":false}"#, Class::Ambiguous),
        (200, r#"{"access_token":""}"#, Class::Ambiguous),
        (200, r#"{"access_token":"a\nb"}"#, Class::Ambiguous),
        (200, r#"{"access_token":"a","tok"#, Class::Ambiguous),
        (200, "", Class::Ambiguous),
        (200, "<html>", Class::Ambiguous),
        (204, "", Class::Ambiguous),
        (302, "", Class::Transient),
        (
            400,
            r#"{"error":"invalid_grant","error_description":"x"}"#,
            Class::Final,
        ),
        (401, r#"{"error":"invalid_client"}"#, Class::Final),
        (400, r#"{"error":"unauthorized_client"}"#, Class::Final),
        (400, r#"{"error":"invalid_scope"}"#, Class::Transient),
        (400, r#"{"error":"invalid_request"}"#, Class::Transient),
        (
            400,
            r#"{"error":"temporarily_unavailable"}"#,
            Class::Transient,
        ),
        (400, r#"{"error":{"code":"invalid_grant"}}"#, Class::Final),
        (400, "Bad Request", Class::Transient),
        (403, "<html>blocked</html>", Class::Transient),
        (404, "", Class::Transient),
        (408, "", Class::Transient),
        (429, r#"{"error":"invalid_grant"}"#, Class::Transient),
        (500, r#"{"error":"invalid_grant"}"#, Class::Transient),
        (503, "", Class::Transient),
    ];
    for (status, body, expected) in table {
        assert_eq!(class(Ok(got(status, body))), expected, "{status} {body}");
    }
}

#[test]
fn tl_transient_errors_keep_tokens() {
    for fault in [
        NotSent::Name("id.example".to_owned()),
        NotSent::Connect("refused".to_owned()),
        NotSent::Tls("expired".to_owned()),
        NotSent::Forbidden("10.0.0.1".to_owned()),
    ] {
        assert_eq!(class(Err(fault.into())), Class::Transient);
    }
    // tl_refresh_lost_response: what may have arrived may have used the token up.
    for fault in [
        Lost::TimedOut,
        Lost::Broken,
        Lost::TooLarge,
        Lost::Unreadable,
        Lost::Interim(103),
        Lost::Unframed,
    ] {
        assert_eq!(class(Err(fault.into())), Class::Ambiguous);
    }
}

#[test]
fn tl_retry_after_is_passed_on() {
    for (status, body) in [(429, ""), (503, ""), (400, r#"{"error":"slow_down"}"#)] {
        let failure = token_outcome(Ok(with(status, &[("retry-after", "90")], body)));
        let Err(RefreshFailure::Transient { retry_after, .. }) = failure else {
            panic!("{failure:?}");
        };
        assert_eq!(retry_after, Some(Duration::from_secs(90)));
    }
}

#[test]
fn a_providers_code_is_kept_and_cleaned() {
    let failure = token_outcome(Ok(got(400, "{\"error\":\"in\\u001bvalid_grant\"}")));
    let code = OauthCode("invalid_grant".to_owned());
    assert_eq!(
        failure.expect_err("refused"),
        RefreshFailure::Rejected(code)
    );
}

#[test]
fn tl_expires_in_lenient() {
    let seconds = |value: Value| tokens(&json!({ "expires_in": value })).expires_in;
    for hour in [json!(3600), json!(3600.0), json!("3600"), json!(" 3600 ")] {
        assert_eq!(seconds(hour), Some(Duration::from_hours(1)));
    }
    assert_eq!(seconds(json!(0.5)), Some(Duration::from_millis(500)));
    let year = 31_536_000;
    assert_eq!(seconds(json!(year)), Some(Duration::from_secs(year)));
    for nonsense in [
        json!(null),
        json!(0),
        json!(-1),
        json!("-1"),
        json!(1e12),
        json!(1e300),
        json!("soon"),
        json!("NaN"),
        json!("inf"),
        json!(true),
        json!([3600]),
        json!(""),
    ] {
        assert_eq!(seconds(nonsense.clone()), None, "{nonsense}");
    }
    assert_eq!(tokens(&json!({})).expires_in, None, "tl_expires_in_absent");
}

#[test]
fn tl_clock_skew_and_suspend_lifetimes_count_from_the_request() {
    let answer = got(200, r#"{"access_token":"a","expires_in":10}"#);
    assert_eq!(token_outcome(Ok(answer)).expect("tokens").received, NOW);
}

#[test]
fn tl_scope_default_equals_requested() {
    let scopes = |value: Value| tokens(&json!({ "scope": value })).scopes;
    let two = Some(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(scopes(json!("a  b")), two);
    assert_eq!(scopes(json!(["a", "b"])), two);
    for absent in [json!(null), json!(""), json!([]), json!(7)] {
        assert_eq!(scopes(absent), None);
    }
}

#[test]
fn tl_rotation_replace_or_keep() {
    let refresh = |value: Value| tokens(&json!({ "refresh_token": value })).refresh;
    assert_eq!(refresh(json!("new")), Some(RefreshToken::new("new")));
    for absent in [json!(null), json!("")] {
        assert_eq!(
            refresh(absent),
            None,
            "an empty one does not replace anything"
        );
    }
}

#[test]
fn an_id_token_tells_who_signed_in_and_nothing_else() {
    use base64ct::{Base64UrlUnpadded, Encoding};
    let identity = |claims: &str| {
        let payload = Base64UrlUnpadded::encode_string(claims.as_bytes());
        tokens(&json!({ "id_token": format!("e30.{payload}.sig") })).identity
    };
    let full = r#"{"sub":"7","name":"Ann","preferred_username":"ann","email":"ann@h.example"}"#;
    assert_eq!(identity(full), Some("ann@h.example".to_owned()));
    assert_eq!(
        identity(r#"{"sub":"7","name":"Ann"}"#),
        Some("Ann".to_owned())
    );
    assert_eq!(identity(r#"{"sub":"7"}"#), Some("7".to_owned()));
    assert_eq!(identity("{\"sub\":\"\\u001b[0m\"}"), Some("[0m".to_owned()));
    assert_eq!(identity("not json"), None);
    for broken in ["", "a", "a.b", "a.%.c"] {
        assert_eq!(tokens(&json!({ "id_token": broken })).identity, None);
    }
}

#[test]
fn tl_revocation_responses() {
    let of = |status, body: &str| outcome(Ok(got(status, body)));
    assert_eq!(of(200, ""), Revocation::Done);
    assert_eq!(of(204, ""), Revocation::Done);
    assert_eq!(
        of(400, r#"{"error":"unsupported_token_type"}"#),
        Revocation::NotOffered
    );
    assert_eq!(of(404, ""), Revocation::NotOffered);
    assert_eq!(
        of(401, r#"{"error":"invalid_client"}"#),
        Revocation::Refused(401)
    );
    assert_eq!(
        outcome(Ok(with(503, &[("retry-after", "5")], ""))),
        Revocation::Later {
            cause: TransientCause::Status(503),
            retry_after: Some(Duration::from_secs(5)),
        }
    );
    let lost = outcome(Err(Lost::TimedOut.into()));
    assert!(matches!(lost, Revocation::Later { .. }), "{lost:?}");
}

/// The token that was presented is spent: its successor is the only one there is.
#[test]
fn a_new_refresh_token_is_read_out_of_an_answer_that_is_of_no_other_use() {
    for body in [
        r#"{"refresh_token":"r"}"#,
        r#"{"access_token":"","refresh_token":"r"}"#,
        r#"{"access_token":"a\nb","refresh_token":"r","token_type":"Bearer"}"#,
        r#"{"access_token":"a","refresh_token":"r","token_type":"DPoP"}"#,
    ] {
        let failure = token_outcome(Ok(got(200, body))).expect_err("no token to use");
        let RefreshFailure::RotatedOnly { refresh, .. } = failure else {
            panic!("{failure:?}");
        };
        assert_eq!(refresh.expose(), "r");
    }
}

proptest::proptest! {
    #[test]
    fn no_answer_makes_the_reader_panic(status in 200_u16..600, body in ".{0,200}") {
        let _ = token_outcome(Ok(got(status, &body)));
    }

    #[test]
    fn what_is_no_object_is_never_tokens(body in r#"(\[.*\]|"[a-z]*"|[0-9]{1,9}|[a-z]{0,9})"#) {
        let fault = read_tokens(body.as_bytes(), NOW).expect_err("no tokens");
        proptest::prop_assert!(matches!(fault, AnswerFault::Malformed(_)));
    }
}
