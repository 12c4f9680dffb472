//! Credentials of upstreams: when one is fresh, aging or expired.

use std::time::Duration;

use super::id::Generation;
use super::secret::{AccessToken, RefreshToken};
use super::time::Timestamp;

/// An access token and what is known about its life.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The token.
    pub access: AccessToken,
    /// When it was received, less the time the request took.
    pub issued: Timestamp,
    /// When it ends, if the authorization server said so.
    pub expires: Option<Timestamp>,
    /// Which one it is of its account.
    pub generation: Generation,
}

/// When credentials are refreshed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenPolicy {
    /// Refresh when this share of the life is left ...
    pub ahead: f64,
    /// ... but at least this long before the end, where the life allows ...
    pub ahead_min: Duration,
    /// ... and at most this long.
    pub ahead_max: Duration,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            ahead: 0.2,
            ahead_min: Duration::from_mins(1),
            ahead_max: Duration::from_mins(10),
        }
    }
}

/// The state of a credential at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Use it.
    Fresh,
    /// Use it, and start a refresh.
    Aging,
    /// Wait for a refresh.
    Expired,
}

/// How a token is presented (RFC 6749 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenKind {
    /// Whoever has it may use it (RFC 6750).
    #[default]
    Bearer,
    /// Only with a proof of the key that it is bound to (RFC 9449).
    Dpop,
}

/// The answer of a token endpoint, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTokens {
    /// The access token.
    pub access: AccessToken,
    /// How it is presented.
    pub kind: TokenKind,
    /// Its announced life, counted from `received`; `None` where nothing sensible was announced.
    pub expires_in: Option<Duration>,
    /// The new refresh token. `None` means: go on with the one there is (RFC 6749 §6).
    pub refresh: Option<RefreshToken>,
    /// The scopes granted; `None` means: those asked for (RFC 6749 §5.1).
    pub scopes: Option<Vec<String>>,
    /// Who signed in, where an `id_token` told; for display only.
    pub identity: Option<String>,
    /// When the answer came, less the time the request took.
    pub received: Timestamp,
}

impl NewTokens {
    /// A token of which nothing more is known, had at `received`.
    pub fn bare(access: AccessToken, received: Timestamp) -> Self {
        Self {
            access,
            kind: TokenKind::Bearer,
            expires_in: None,
            refresh: None,
            scopes: None,
            identity: None,
            received,
        }
    }
}

/// When to refresh a credential: `ahead` before its end (decision D7), earlier by up to a tenth of
/// that, chosen by `roll` in `0.0..1.0`, so that accounts of one provider do not move in step.
/// Never earlier than half of the life, so that a very short token does not cost a refresh per
/// request. Without an announced end: never.
pub fn refresh_at(
    issued: Timestamp,
    expires: Option<Timestamp>,
    policy: &TokenPolicy,
    roll: f64,
) -> Timestamp {
    let Some(end) = expires else {
        return Timestamp::MAX;
    };
    let life = end.since(issued);
    let half = life / 2;
    let share = life.mul_f64(unit(policy.ahead));
    let ahead = share.min(policy.ahead_max).max(policy.ahead_min).min(half);
    let jittered = ahead.mul_f64(1.0 + 0.1 * unit(roll));
    end.minus(jittered.min(half))
}

/// The state at `now` of a credential that ends at `expires` and is to be refreshed from
/// `refresh_at` on. The end is announced by somebody else's clock, so it is over when it is there.
pub fn freshness(expires: Option<Timestamp>, refresh_at: Timestamp, now: Timestamp) -> Freshness {
    if expires.is_some_and(|end| now >= end) {
        Freshness::Expired
    } else if now >= refresh_at {
        Freshness::Aging
    } else {
        Freshness::Fresh
    }
}

/// `share` as a share of one; zero where it is no number.
pub(super) fn unit(share: f64) -> f64 {
    if share.is_nan() {
        0.0
    } else {
        share.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn tl_proactive_refresh_margin() {
        let policy = TokenPolicy::default();
        let hour = refresh_at(at(0), Some(at(3600)), &policy, 0.0);
        assert_eq!(
            hour,
            at(3000),
            "a fifth of an hour is more than ten minutes"
        );
        let five_minutes = refresh_at(at(0), Some(at(300)), &policy, 0.0);
        assert_eq!(five_minutes, at(240), "at least a minute before the end");
        let five_seconds = refresh_at(at(0), Some(at(5)), &policy, 0.0);
        assert_eq!(
            five_seconds,
            Timestamp::from_millis(2500),
            "half of a short life"
        );
        assert_eq!(refresh_at(at(0), None, &policy, 0.5), Timestamp::MAX);
    }

    proptest! {
        #[test]
        fn a_refresh_is_due_within_the_second_half_of_a_life(
            issued in 0_u64..1 << 50, life in 1_u64..1 << 40, roll in 0.0_f64..1.0,
        ) {
            let end = issued + life;
            let due = refresh_at(
                Timestamp::from_millis(issued),
                Some(Timestamp::from_millis(end)),
                &TokenPolicy::default(),
                roll,
            );
            prop_assert!(due.as_millis() >= issued + life / 2);
            prop_assert!(due.as_millis() <= end);
        }
    }
}
