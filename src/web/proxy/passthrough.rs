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

/// When a `Bearer` JWT ended, if that was more than `skew` before `now`.
pub(super) fn expired(value: &[u8], skew: Duration, now: Timestamp) -> Option<Timestamp> {
    #[derive(serde::Deserialize)]
    struct Claims {
        exp: Option<f64>,
    }
    let (scheme, token) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parts = token.trim().split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let json = Base64UrlUnpadded::decode_vec(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&json).ok()?;
    let seconds = Duration::try_from_secs_f64(claims.exp?.max(0.0)).ok()?;
    let end = Timestamp::MIN.plus(seconds);
    (now >= end.plus(skew)).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_that_says_so_itself_is_expired() {
        let jwt = |claims: &str| {
            format!(
                "bearer e30.{}.sig",
                Base64UrlUnpadded::encode_string(claims.as_bytes())
            )
        };
        let at = |value: &str, seconds: u64| {
            let now = Timestamp::from_millis(seconds * 1000);
            expired(value.as_bytes(), Duration::from_mins(1), now).is_some()
        };
        assert!(!at(&jwt(r#"{"exp":1000}"#), 1059), "within the skew");
        assert!(at(&jwt(r#"{"exp":1000}"#), 1060));
        assert!(at(&jwt(r#"{"exp":1000.5}"#), 1061));
        assert!(!at(&jwt(r#"{"exp":"1000"}"#), 5000), "not a number");
        assert!(!at(&jwt(r#"{"sub":"x"}"#), 5000));
        assert!(!at("Bearer opaque", 5000));
        assert!(!at("Bearer a.b.c", 5000));
        assert!(!at("Basic YTpi", 5000));
    }
}
