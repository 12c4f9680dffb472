//! `Retry-After` in both of its forms (RFC 9110 §10.2.3).

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

use crate::model::time::Timestamp;

/// The longest wait that a server can ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// How long the server asks to wait, bounded. A date is taken relative to the server's own
/// `Date`, so that its clock need not agree with ours, and else to `now`.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are a long wait all the same.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    }
    let until = http_date(value)?;
    let server_now = headers
        .get(DATE)
        .and_then(|date| http_date(date.to_str().ok()?))
        .unwrap_or(now);
    Some(until.since(server_now).min(MAX_RETRY_AFTER))
}

fn http_date(text: &str) -> Option<Timestamp> {
    let instant = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    let millis = u64::try_from(instant.timestamp().as_millisecond()).ok()?;
    Some(Timestamp::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&'static str, &'static str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, http::HeaderValue::from_static(value));
        }
        // 1994-11-06T08:49:37Z
        retry_after(&headers, Timestamp::from_millis(784_111_777_000))
    }

    #[test]
    fn tl_retry_after() {
        let seconds = Duration::from_secs;
        assert_eq!(asked(&[("retry-after", "120")]), Some(seconds(120)));
        assert_eq!(asked(&[("retry-after", " 0 ")]), Some(seconds(0)));
        assert_eq!(asked(&[("retry-after", "86400")]), Some(MAX_RETRY_AFTER));
        assert_eq!(
            asked(&[("retry-after", "99999999999999999999999")]),
            Some(MAX_RETRY_AFTER)
        );
        assert_eq!(
            asked(&[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")]),
            Some(seconds(30))
        );
        assert_eq!(
            asked(&[
                ("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"),
                ("date", "Sun, 06 Nov 1994 08:49:57 GMT"),
            ]),
            Some(seconds(10)),
            "by the server's own clock"
        );
        assert_eq!(
            asked(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]),
            Some(seconds(0)),
            "a date that has passed"
        );
        assert_eq!(asked(&[("retry-after", "soon")]), None);
        assert_eq!(asked(&[("retry-after", "-5")]), None);
        assert_eq!(asked(&[("retry-after", "")]), None);
        assert_eq!(asked(&[]), None);
    }
}
