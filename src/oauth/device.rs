//! The device authorization grant (RFC 8628): a person enters a code on a page that is open
//! anywhere, and the token endpoint is asked until that was done.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::classify::{token_outcome, unsigned};
use super::login::{LoginFacts, MAX_WINDOW};
use super::text::clean;
use super::token::{authenticated, read_error};
use super::{Discovered, wellknown};
use crate::http::{Answer, OwnClient, Reach, Request};
use crate::jose::{Freshness, KeyFault};
use crate::model::fault::{OauthCode, RefreshFailure, TransientCause};
use crate::model::secret::DeviceCode;
use crate::model::token::NewTokens;

/// `grant_type` (RFC 8628 §3.4).
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// How long to wait between two questions where the server does not say (RFC 8628 §3.2).
const INTERVAL: Duration = Duration::from_secs(5);
/// What `slow_down` adds to that (RFC 8628 §3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// However often the server cannot be reached, it is asked again after this.
const SLOWEST: Duration = Duration::from_mins(1);

/// A sign-in on another device, before the server has given a code for it.
#[derive(Clone, Debug)]
pub struct DeviceAsk {
    facts: LoginFacts,
    endpoint: Url,
    reach: Reach,
}

/// A sign-in on another device that waits for its person.
pub struct DeviceLogin {
    /// What it was started with.
    pub facts: LoginFacts,
    /// What the person types, as the server wrote it.
    pub user_code: String,
    /// Where they type it.
    pub page: Url,
    /// The page with the code in it, where the server gives one.
    pub full_page: Option<Url>,
    /// When to ask.
    pub pace: Pace,
    code: DeviceCode,
}

/// Why there is no code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceFault {
    /// The server does not do this.
    #[error("{issuer} offers no sign-in on another device")]
    NotOffered {
        /// Which server.
        issuer: String,
    },
    /// The request for a code failed.
    #[error("{0}")]
    Failed(RefreshFailure),
    /// The answer is none to such a request.
    #[error("the answer is not a device code: {0}")]
    Malformed(&'static str),
}

/// What the token endpoint said to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// The person is done.
    Done(NewTokens),
    /// Not yet.
    Pending,
    /// Not yet, and it was asked too often.
    SlowDown,
    /// It could not be asked.
    Unreachable(TransientCause),
    /// The person, or a rule, said no.
    Denied(OauthCode),
    /// The code is over.
    Expired,
    /// Something else, which stays so.
    Failed(RefreshFailure),
}

/// How long to wait before the next question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    interval: Duration,
    wait: Duration,
}

impl Pace {
    /// The pace that a server named, or the usual one.
    pub fn new(interval: Option<Duration>) -> Self {
        let interval = interval.unwrap_or(INTERVAL).min(SLOWEST);
        Self {
            interval,
            wait: interval,
        }
    }

    /// How long to wait now.
    pub fn wait(self) -> Duration {
        self.wait
    }

    /// Takes note of an answer: every `slow_down` counts from here on, and a server that cannot be
    /// reached is asked half as often each time, until it can (RFC 8628 §3.5).
    #[must_use]
    pub fn after(self, polled: &Polled) -> Self {
        match polled {
            Polled::SlowDown => Self::new(Some(self.interval + SLOWER)),
            Polled::Unreachable(_) => Self {
                wait: (self.wait * 2).min(SLOWEST),
                ..self
            },
            _ => Self::new(Some(self.interval)),
        }
    }
}

impl DeviceAsk {
    /// The endpoint of the server that was discovered.
    pub fn endpoint(discovered: &Discovered) -> Result<&Url, DeviceFault> {
        let server = &discovered.server;
        let offered = server.device_endpoint.as_ref();
        offered.ok_or_else(|| DeviceFault::NotOffered {
            issuer: clean(&server.issuer, 200),
        })
    }

    /// Asks the server that was discovered.
    pub fn new(facts: LoginFacts, discovered: &Discovered) -> Result<Self, DeviceFault> {
        let endpoint = Self::endpoint(discovered)?.clone();
        Ok(Self {
            reach: discovered.trust.reach(&endpoint),
            endpoint,
            facts,
        })
    }

    /// The request of RFC 8628 §3.1.
    fn request(&self, fresh: &Freshness) -> Result<Request, KeyFault> {
        let scope = self.facts.scopes.join(" ");
        let mut fields = Vec::new();
        if !scope.is_empty() {
            fields.push(("scope", scope.as_str()));
        }
        if let Some(resource) = &self.facts.resource {
            fields.push(("resource", resource));
        }
        let request = authenticated(self.endpoint.clone(), &self.facts.client, &fields, fresh)?;
        Ok(request.reach(self.reach))
    }
}

/// Asks for a code.
pub(super) async fn ask(
    client: OwnClient,
    ask: DeviceAsk,
    fresh: Freshness,
) -> Result<DeviceLogin, DeviceFault> {
    let request = ask.request(&fresh);
    let request = request.map_err(|fault| DeviceFault::Failed(unsigned(fault)))?;
    let answer = client.send(request).await;
    if let Ok(answer) = &answer
        && (200..300).contains(&answer.status)
        && read_error(&answer.body).is_none()
    {
        return read(ask.facts, answer);
    }
    // The errors are those of the token endpoint (RFC 8628 §3.2).
    match token_outcome(answer) {
        Ok(_) => Err(DeviceFault::Malformed("it holds tokens")),
        Err(failure) => Err(DeviceFault::Failed(failure)),
    }
}

/// RFC 8628 §3.2.
fn read(mut facts: LoginFacts, answer: &Answer) -> Result<DeviceLogin, DeviceFault> {
    let malformed = DeviceFault::Malformed;
    let Ok(Value::Object(document)) = serde_json::from_slice(&answer.body) else {
        return Err(malformed("it is not a JSON object"));
    };
    let code = text(&document, "device_code").ok_or(malformed("it has no `device_code`"))?;
    let user_code = text(&document, "user_code").ok_or(malformed("it has no `user_code`"))?;
    // The second name is that of Google, from before the RFC.
    let page = text(&document, "verification_uri")
        .or_else(|| text(&document, "verification_url"))
        .and_then(page)
        .ok_or(malformed("it names no page that can be opened"))?;
    let life = seconds(&document, "expires_in").unwrap_or(MAX_WINDOW);
    // Neither longer than the code is good, nor than the person was given.
    facts.expires = facts.expires.min(facts.started.plus(life));
    Ok(DeviceLogin {
        facts,
        user_code: clean(user_code, 64),
        page,
        full_page: text(&document, "verification_uri_complete").and_then(self::page),
        pace: Pace::new(seconds(&document, "interval")),
        code: DeviceCode::new(code),
    })
}

fn text<'a>(document: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = document.get(name)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

fn seconds(document: &Map<String, Value>, name: &str) -> Option<Duration> {
    let length = Duration::try_from_secs_f64(document.get(name)?.as_f64()?).ok()?;
    (!length.is_zero()).then_some(length)
}

fn page(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(wellknown::is_secure)
}

/// One question whether the person is done.
pub(super) struct Question {
    pub(super) facts: LoginFacts,
    code: DeviceCode,
}

impl DeviceLogin {
    pub(super) fn question(&self) -> Question {
        Question {
            facts: self.facts.clone(),
            code: self.code.clone(),
        }
    }
}

impl Question {
    /// The request of RFC 8628 §3.4.
    pub(super) fn request(&self, fresh: &Freshness) -> Result<Request, KeyFault> {
        let facts = &self.facts;
        let mut fields = vec![("grant_type", GRANT), ("device_code", self.code.expose())];
        if let Some(resource) = &facts.resource {
            fields.push(("resource", resource));
        }
        let endpoint = facts.token_endpoint.clone();
        let request = authenticated(endpoint, &facts.client, &fields, fresh)?;
        Ok(request.reach(facts.reach))
    }
}

/// What an answer of the token endpoint means for the sign-in (RFC 8628 §3.5). A lost one is asked
/// for again: either the code still waits, or the server will say that it was used.
pub(super) fn polled(outcome: Result<NewTokens, RefreshFailure>) -> Polled {
    match outcome {
        Ok(tokens) => Polled::Done(tokens),
        Err(RefreshFailure::Transient {
            cause: TransientCause::Code(code),
            ..
        }) => match code.0.as_str() {
            "authorization_pending" => Polled::Pending,
            "slow_down" => Polled::SlowDown,
            "access_denied" => Polled::Denied(code),
            "expired_token" => Polled::Expired,
            "temporarily_unavailable" | "server_error" => {
                Polled::Unreachable(TransientCause::Code(code))
            }
            _ => Polled::Failed(RefreshFailure::Rejected(code)),
        },
        Err(RefreshFailure::Transient { cause, .. } | RefreshFailure::Ambiguous(cause)) => {
            Polled::Unreachable(cause)
        }
        Err(failure) => Polled::Failed(failure),
    }
}

impl fmt::Debug for DeviceLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceLogin")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}
