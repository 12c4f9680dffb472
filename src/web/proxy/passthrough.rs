//! Upstreams for which the agent brings its own token: it passes as it is, unless it says itself
//! that it has expired. The signature is the upstream's business: what is read here only makes an
//! answer come sooner, and is never a reason to trust.

use std::time::Duration;

use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use base64ct::{Base64UrlUnpadded, Encoding};

use crate::model::time::Timestamp;

/// The agent's own `Authorization`, unless it is a local credential of ours.
pub(super) fn token(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let ours = value
        .split(|b| *b == b' ')
        .any(|word| word.starts_with(b"dw_"));
    (!ours).then_some(value)
}

/// When a `Bearer` JWT ended, if that was more than `skew` before `now` (seeds.md S3).
pub(super) fn expired(value: &[u8], skew: Duration, now: Timestamp) -> Option<Timestamp> {
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let end = end_of(token.trim())?;
    (now > end.plus(skew)).then_some(end)
}

/// What a token in the form of a JWT says of its end, in whole seconds.
fn end_of(token: &str) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: Option<serde_json::Value>,
    }
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let json = Base64UrlUnpadded::decode_vec(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&json).ok()?;
    let seconds = claims.exp?.as_f64()?.trunc();
    let since_1970 = Duration::try_from_secs_f64(seconds).ok()?;
    (!since_1970.is_zero()).then(|| Timestamp::MIN.plus(since_1970))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKEW: Duration = Duration::from_mins(1);

    fn jwt(claims: &str) -> String {
        let payload = Base64UrlUnpadded::encode_string(claims.as_bytes());
        format!("bearer e30.{payload}.not-a-signature")
    }

    fn at(value: &str, millis: u64) -> bool {
        expired(value.as_bytes(), SKEW, Timestamp::from_millis(millis)).is_some()
    }

    #[test]
    fn seed_s3_01_the_edge_of_the_skew_passes() {
        let token = jwt(r#"{"exp":1000}"#);
        assert!(!at(&token, 1_060_000));
        assert!(at(&token, 1_060_001));
        let strict = |millis| {
            let now = Timestamp::from_millis(millis);
            expired(token.as_bytes(), Duration::ZERO, now).is_some()
        };
        assert!(!strict(1_000_000) && strict(1_000_001), "configurable");
    }

    #[test]
    fn seed_s3_02_three_parts_make_a_token_and_its_signature_is_not_looked_at() {
        assert!(at(&jwt(r#"{"exp":1000}"#), 5_000_000));
        let padded = "Bearer e30.eyJleHAiOjEwMDB9Cg==.";
        assert!(at(padded, 5_000_000), "with padding, and no signature");
        for parts in [
            "a.b",
            "a.b.c.d",
            "e30.eyJleHAiOjEwMDB9",
            "x.eyJleHAiOjEwMDB9.y.z",
        ] {
            assert!(!at(&format!("Bearer {parts}"), 5_000_000), "{parts}");
        }
    }

    #[test]
    fn seed_s3_03_an_end_that_makes_no_sense_is_none() {
        for claims in [
            r#"{"sub":"x"}"#,
            r#"{"exp":null}"#,
            r#"{"exp":"1000"}"#,
            r#"{"exp":[1000]}"#,
            r#"{"exp":0}"#,
            r#"{"exp":-1000}"#,
            r#"{"exp":0.9}"#,
        ] {
            assert!(!at(&jwt(claims), 5_000_000), "{claims}");
        }
        let fraction = jwt(r#"{"exp":1000.9}"#);
        assert!(!at(&fraction, 1_060_000));
        assert!(at(&fraction, 1_060_001), "a fraction is dropped");
    }

    #[test]
    fn seed_s3_04_what_is_no_token_of_this_form_is_not_judged() {
        for value in [
            "Bearer opaque",
            "Bearer a.b.c",
            "Bearer ..",
            "Bearer e30.bm90IGpzb24.x",
            "Basic YTpi",
            "Bearer",
        ] {
            assert!(!at(value, 5_000_000), "{value}");
        }
    }
}
