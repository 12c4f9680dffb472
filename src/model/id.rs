//! The names of things: upstreams, accounts, sessions, generations. All of them are safe in logs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A name was not of the form `[a-z][a-z0-9-]{0,31}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name is 1 to 32 characters of a-z, 0-9 and '-', and starts with a letter")]
pub struct InvalidName;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                is_name(text).then(|| Self(text.into())).ok_or(InvalidName)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type! {
    /// The short name of one remote MCP server.
    UpstreamName
}

name_type! {
    /// The name of one identity on an upstream; an unnamed one is called `default`.
    AccountName
}

impl Default for AccountName {
    fn default() -> Self {
        Self("default".into())
    }
}

fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// One identity on one upstream: what a sign-in belongs to. Written `notion@work`, or `notion`
/// where the account is the default one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountRef {
    /// The upstream.
    pub upstream: UpstreamName,
    /// The identity on it.
    pub account: AccountName,
}

impl AccountRef {
    /// The default account of `upstream`.
    pub fn default_of(upstream: UpstreamName) -> Self {
        Self {
            upstream,
            account: AccountName::default(),
        }
    }
}

impl fmt::Display for AccountRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.account == AccountName::default() {
            self.upstream.fmt(f)
        } else {
            f.pad(&format!("{}@{}", self.upstream, self.account))
        }
    }
}

impl FromStr for AccountRef {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.split_once('@') {
            None => Ok(Self::default_of(text.parse()?)),
            Some((upstream, account)) => Ok(Self {
                upstream: upstream.parse()?,
                account: account.parse()?,
            }),
        }
    }
}

/// The public id of a session: shown in tables and logs, written `s_7q2kd4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

/// A session id was not of the form `s_[0-9a-z]{6,12}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session id looks like s_7q2kd4")]
pub struct InvalidSessionId;

impl SessionId {
    /// How many different ids [`SessionId::from_random`] makes: six digits of base 36.
    pub const SPACE: u64 = 36_u64.pow(6);

    /// An id out of random bits.
    pub fn from_random(bits: u64) -> Self {
        Self(bits % Self::SPACE)
    }

    /// The digits behind `s_`.
    pub fn digits(self) -> String {
        let mut rest = self.0;
        let mut digits = Vec::with_capacity(12);
        while rest > 0 || digits.len() < 6 {
            digits.push(char::from(
                b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize],
            ));
            rest /= 36;
        }
        digits.iter().rev().collect()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("s_{}", self.digits()))
    }
}

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        let digits = text.strip_prefix("s_").ok_or(InvalidSessionId)?;
        let lower = digits
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !lower || !(6..=12).contains(&digits.len()) {
            return Err(InvalidSessionId);
        }
        u64::from_str_radix(digits, 36)
            .map(Self)
            .map_err(|_| InvalidSessionId)
    }
}

impl Serialize for SessionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Counts the credentials published for one account. A rejected token is named by its
/// generation, so that many rejections of one token cost one refresh.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
