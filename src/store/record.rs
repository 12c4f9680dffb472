//! The form in which records are sealed: serde mirrors of `model::record`, JSON inside. One of
//! the few places that expose secrets, and the only one that writes them down.
//!
//! Fields are added with `#[serde(default)]` and never change their meaning.

use std::borrow::Cow;

use base64ct::{Base64UrlUnpadded, Encoding};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::model::fault::{LoginReason, OauthCode};
use crate::model::id::{AccountRef, Generation, SessionId};
use crate::model::mcp::McpRecord;
use crate::model::record::{
    AnswersRecord, BoundProcess, ClientAuth, ClientKey, ClientManagement, ClientOrigin,
    ClientRecord, Ending, GrantRecord, RefreshIntent, SessionOrigin, SessionRecord,
    SignedOutRecord,
};
use crate::model::secret::{
    ClientSecret, PrivateKey, RefreshToken, RegistrationToken, TokenDigest,
};
use crate::model::session::{Grant, SessionPolicy};
use crate::model::time::Timestamp;

/// A record that can be written down and read again.
pub(super) trait Stored: Sized {
    /// Its written form.
    fn write(&self) -> Zeroizing<Vec<u8>>;
    /// The record; `None` where the text is not one.
    fn read(text: &[u8]) -> Option<Self>;
}

fn json(mirror: &impl Serialize) -> Zeroizing<Vec<u8>> {
    // Large enough that the buffer hardly ever moves and leaves a copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(16 * 1024));
    serde_json::to_writer(&mut *text, mirror)
        .expect("records have string keys and no failing types");
    text
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    serde_json::from_slice(text).ok()
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ClientAuth", rename_all = "snake_case")]
enum AuthMirror {
    None,
    Basic,
    Post,
    PrivateKeyJwt,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ClientOrigin", rename_all = "snake_case")]
enum OriginMirror {
    Configured,
    Registered,
    Document,
}

#[derive(Serialize, Deserialize)]
struct ClientMirror<'a> {
    issuer: Cow<'a, str>,
    redirect_uri: Cow<'a, str>,
    client_id: Cow<'a, str>,
    client_secret: Option<Cow<'a, str>>,
    #[serde(default)]
    key: Option<KeyMirror<'a>>,
    secret_expires: Option<Timestamp>,
    #[serde(with = "AuthMirror")]
    auth: ClientAuth,
    #[serde(with = "OriginMirror")]
    origin: ClientOrigin,
    management: Option<ManagementMirror<'a>>,
    created: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct KeyMirror<'a> {
    key: Cow<'a, str>,
    id: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
struct ManagementMirror<'a> {
    uri: Cow<'a, str>,
    token: Cow<'a, str>,
}

impl<'a> From<&'a ClientRecord> for ClientMirror<'a> {
    fn from(client: &'a ClientRecord) -> Self {
        let secret = client.client_secret.as_ref().map(ClientSecret::expose);
        Self {
            issuer: client.issuer.as_str().into(),
            redirect_uri: client.redirect_uri.as_str().into(),
            client_id: client.client_id.as_str().into(),
            client_secret: secret.map(Cow::from),
            key: client.key.as_ref().map(|it| KeyMirror {
                key: it.key.expose().into(),
                id: it.id.as_deref().map(Cow::from),
            }),
            secret_expires: client.secret_expires,
            auth: client.auth,
            origin: client.origin,
            management: client.management.as_ref().map(|it| ManagementMirror {
                uri: it.uri.as_str().into(),
                token: it.token.expose().into(),
            }),
            created: client.created,
        }
    }
}

impl From<ClientMirror<'_>> for ClientRecord {
    fn from(mirror: ClientMirror<'_>) -> Self {
        Self {
            issuer: mirror.issuer.into_owned(),
            redirect_uri: mirror.redirect_uri.into_owned(),
            client_id: mirror.client_id.into_owned(),
            client_secret: mirror.client_secret.map(ClientSecret::new),
            key: mirror.key.map(|it| ClientKey {
                key: PrivateKey::new(it.key),
                id: it.id.map(Cow::into_owned),
            }),
            secret_expires: mirror.secret_expires,
            auth: mirror.auth,
            origin: mirror.origin,
            management: mirror.management.map(|it| ClientManagement {
                uri: it.uri.into_owned(),
                token: RegistrationToken::new(it.token),
            }),
            created: mirror.created,
        }
    }
}

impl Stored for ClientRecord {
    fn write(&self) -> Zeroizing<Vec<u8>> {
        json(&ClientMirror::from(self))
    }

    fn read(text: &[u8]) -> Option<Self> {
        parse::<ClientMirror<'static>>(text).map(Self::from)
    }
}

#[derive(Serialize, Deserialize)]
struct GrantMirror<'a> {
    account: Cow<'a, AccountRef>,
    issuer: Cow<'a, str>,
    token_endpoint: Cow<'a, str>,
    revocation_endpoint: Option<Cow<'a, str>>,
    client: ClientMirror<'a>,
    resource: Option<Cow<'a, str>>,
    upstream_url: Cow<'a, str>,
    scopes: Cow<'a, [String]>,
    refresh: Option<Cow<'a, str>>,
    #[serde(default)]
    dpop: Option<Cow<'a, str>>,
    generation: Generation,
    identity: Option<Cow<'a, str>>,
    signed_in: Timestamp,
    refreshed: Timestamp,
    expires: Option<Timestamp>,
}

impl Stored for GrantRecord {
    fn write(&self) -> Zeroizing<Vec<u8>> {
        let refresh = self.refresh.as_ref().map(RefreshToken::expose);
        json(&GrantMirror {
            account: Cow::Borrowed(&self.account),
            issuer: self.issuer.as_str().into(),
            token_endpoint: self.token_endpoint.as_str().into(),
            revocation_endpoint: self.revocation_endpoint.as_deref().map(Cow::from),
            client: (&self.client).into(),
            resource: self.resource.as_deref().map(Cow::from),
            upstream_url: self.upstream_url.as_str().into(),
            scopes: self.scopes.as_slice().into(),
            refresh: refresh.map(Cow::from),
            dpop: self.dpop.as_ref().map(|key| key.expose().into()),
            generation: self.generation,
            identity: self.identity.as_deref().map(Cow::from),
            signed_in: self.signed_in,
            refreshed: self.refreshed,
            expires: self.expires,
        })
    }

    fn read(text: &[u8]) -> Option<Self> {
        let mirror: GrantMirror<'static> = parse(text)?;
        Some(Self {
            account: mirror.account.into_owned(),
            issuer: mirror.issuer.into_owned(),
            token_endpoint: mirror.token_endpoint.into_owned(),
            revocation_endpoint: mirror.revocation_endpoint.map(Cow::into_owned),
            client: mirror.client.into(),
            resource: mirror.resource.map(Cow::into_owned),
            upstream_url: mirror.upstream_url.into_owned(),
            scopes: mirror.scopes.into_owned(),
            refresh: mirror.refresh.map(RefreshToken::new),
            dpop: mirror.dpop.map(PrivateKey::new),
            generation: mirror.generation,
            identity: mirror.identity.map(Cow::into_owned),
            signed_in: mirror.signed_in,
            refreshed: mirror.refreshed,
            expires: mirror.expires,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RefreshIntent")]
struct IntentMirror {
    generation: Generation,
    at: Timestamp,
    presented: u32,
}

#[derive(Serialize, Deserialize)]
struct IntentText(#[serde(with = "IntentMirror")] RefreshIntent);

impl Stored for RefreshIntent {
    fn write(&self) -> Zeroizing<Vec<u8>> {
        json(&IntentText(*self))
    }

    fn read(text: &[u8]) -> Option<Self> {
        parse(text).map(|IntentText(intent)| intent)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReasonMirror {
    Never,
    Rejected {
        code: String,
        at: Timestamp,
        after_lost_answer: bool,
    },
    NoRefreshToken {
        at: Timestamp,
    },
    SignedOut {
        at: Timestamp,
    },
    IssuerChanged {
        at: Timestamp,
    },
}

#[derive(Serialize, Deserialize)]
struct SignedOutMirror {
    account: AccountRef,
    reason: ReasonMirror,
}

impl Stored for SignedOutRecord {
    fn write(&self) -> Zeroizing<Vec<u8>> {
        let reason = match self.reason.clone() {
            LoginReason::Never => ReasonMirror::Never,
            LoginReason::Rejected {
                code: OauthCode(code),
                at,
                after_lost_answer,
            } => ReasonMirror::Rejected {
                code,
                at,
                after_lost_answer,
            },
            LoginReason::NoRefreshToken { at } => ReasonMirror::NoRefreshToken { at },
            LoginReason::SignedOut { at } => ReasonMirror::SignedOut { at },
            LoginReason::IssuerChanged { at } => ReasonMirror::IssuerChanged { at },
        };
        json(&SignedOutMirror {
            account: self.account.clone(),
            reason,
        })
    }

    fn read(text: &[u8]) -> Option<Self> {
        let mirror: SignedOutMirror = parse(text)?;
        let reason = match mirror.reason {
            ReasonMirror::Never => LoginReason::Never,
            ReasonMirror::Rejected {
                code,
                at,
                after_lost_answer,
            } => LoginReason::Rejected {
                code: OauthCode(code),
                at,
                after_lost_answer,
            },
            ReasonMirror::NoRefreshToken { at } => LoginReason::NoRefreshToken { at },
            ReasonMirror::SignedOut { at } => LoginReason::SignedOut { at },
            ReasonMirror::IssuerChanged { at } => LoginReason::IssuerChanged { at },
        };
        Some(Self {
            account: mirror.account,
            reason,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct SessionMirror<'a> {
    id: SessionId,
    digest: String,
    label: Option<Cow<'a, str>>,
    client: Option<Cow<'a, str>>,
    origin: SessionOrigin,
    grant: Cow<'a, Grant>,
    policy: SessionPolicy,
    minted: Timestamp,
    last_used: Timestamp,
    calls: u64,
    bound: Option<Cow<'a, BoundProcess>>,
    ended: Option<Cow<'a, Ending>>,
}

impl Stored for SessionRecord {
    fn write(&self) -> Zeroizing<Vec<u8>> {
        json(&SessionMirror {
            id: self.id,
            digest: Base64UrlUnpadded::encode_string(&self.digest.0),
            label: self.label.as_deref().map(Cow::from),
            client: self.client.as_deref().map(Cow::from),
            origin: self.origin,
            grant: Cow::Borrowed(&self.grant),
            policy: self.policy,
            minted: self.minted,
            last_used: self.last_used,
            calls: self.calls,
            bound: self.bound.as_ref().map(Cow::Borrowed),
            ended: self.ended.as_ref().map(Cow::Borrowed),
        })
    }

    fn read(text: &[u8]) -> Option<Self> {
        let mirror: SessionMirror<'static> = parse(text)?;
        let mut digest = [0; 32];
        let decoded = Base64UrlUnpadded::decode(&mirror.digest, &mut digest).ok()?;
        if decoded.len() != digest.len() {
            return None;
        }
        Some(Self {
            id: mirror.id,
            digest: TokenDigest(digest),
            label: mirror.label.map(Cow::into_owned),
            client: mirror.client.map(Cow::into_owned),
            origin: mirror.origin,
            grant: mirror.grant.into_owned(),
            policy: mirror.policy,
            minted: mirror.minted,
            last_used: mirror.last_used,
            calls: mirror.calls,
            bound: mirror.bound.map(Cow::into_owned),
            ended: mirror.ended.map(Cow::into_owned),
        })
    }
}

/// These hold no secrets of a type of its own, and are their own mirrors.
macro_rules! as_it_is {
    ($record:ty) => {
        impl Stored for $record {
            fn write(&self) -> Zeroizing<Vec<u8>> {
                json(self)
            }

            fn read(text: &[u8]) -> Option<Self> {
                parse(text)
            }
        }
    };
}

as_it_is!(AnswersRecord);
as_it_is!(McpRecord);

#[cfg(test)]
mod tests;
