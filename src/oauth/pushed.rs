//! Pushed authorization requests (RFC 9126): where a server demands them, the request goes to the
//! server itself first, and the browser carries only what it is called there.

use serde_json::Value;
use url::Url;

use super::classify::{cause_of, key_cause};
use super::login::PendingLogin;
use super::text::clean;
use super::token::{authenticated, read_description, read_error};
use crate::http::{Answer, OwnClient, Reach, Request};
use crate::jose::{Freshness, KeyFault};
use crate::model::fault::{OauthCode, TransientCause};
use crate::model::record::{ClientAuth, ClientRecord};

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushFault {
    /// The server refused it.
    #[error(
        "the authorization server refused the request that it wants before the browser comes: \
         {status}{}",
        said(.code.as_ref(), .description.as_deref())
    )]
    Refused {
        /// Its status.
        status: u16,
        /// Its error code.
        code: Option<OauthCode>,
        /// Its words.
        description: Option<String>,
    },
    /// The answer names no request.
    #[error("the answer to the authorization request is none: it names no request_uri")]
    Malformed,
    /// It may work later.
    #[error("the authorization request could not be sent: {0}")]
    Transient(TransientCause),
}

fn said(code: Option<&OauthCode>, description: Option<&str>) -> String {
    let code = code.map(|code| format!(" {}", code.0)).unwrap_or_default();
    let words = description.map(|words| format!(" ({words})"));
    code + &words.unwrap_or_default()
}

/// A request that is to be pushed: sent again each time that a browser comes, since servers take
/// each once, and not for long (RFC 9126 §4).
#[derive(Clone, Debug)]
pub struct Push {
    endpoint: Url,
    reach: Reach,
    client: ClientRecord,
    request: Url,
}

impl Push {
    /// Of this sign-in; `None` where its server takes the request from the browser.
    pub fn of(login: &PendingLogin) -> Option<Self> {
        Some(Self {
            endpoint: login.pushed.clone()?,
            reach: login.facts.reach,
            client: login.facts.client.clone(),
            request: login.url().clone(),
        })
    }

    /// All parameters, in the body and with the client's own authentication (RFC 9126 §2.1).
    fn request(&self, fresh: &Freshness) -> Result<Request, KeyFault> {
        // Whoever authenticates in the body names the client there already.
        let in_head = self.client.auth == ClientAuth::Basic && self.client.client_secret.is_some();
        let pairs: Vec<_> = self.request.query_pairs().collect();
        let fields: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
            .filter(|(name, _)| in_head || *name != "client_id")
            .collect();
        let request = authenticated(self.endpoint.clone(), &self.client, &fields, fresh)?;
        Ok(request.reach(self.reach))
    }

    /// Where the browser goes (RFC 9126 §4).
    fn page(&self, request_uri: &str) -> Url {
        let mut page = self.request.clone();
        page.set_query(None);
        page.query_pairs_mut()
            .append_pair("client_id", &self.client.client_id)
            .append_pair("request_uri", request_uri);
        page
    }
}

/// Sends it; where the browser goes.
pub(super) async fn push(
    client: OwnClient,
    push: Push,
    fresh: Freshness,
) -> Result<Url, PushFault> {
    let request = push.request(&fresh);
    let request = request.map_err(|fault| PushFault::Transient(key_cause(fault)))?;
    match client.send(request).await {
        Ok(answer) => read(&answer).map(|name| push.page(&name)),
        Err(fault) => Err(PushFault::Transient(cause_of(&fault))),
    }
}

/// RFC 9126 §2.2 and §2.3.
fn read(answer: &Answer) -> Result<String, PushFault> {
    let code = read_error(&answer.body);
    match answer.status {
        408 | 429 | 500.. => {
            return Err(PushFault::Transient(TransientCause::Status(answer.status)));
        }
        200..300 if code.is_none() => {}
        status => {
            return Err(PushFault::Refused {
                status,
                code,
                description: read_description(&answer.body),
            });
        }
    }
    let Ok(Value::Object(document)) = serde_json::from_slice(&answer.body) else {
        return Err(PushFault::Malformed);
    };
    let name = document.get("request_uri").and_then(Value::as_str);
    let name = name.filter(|name| !name.is_empty() && *name == clean(name, 2000));
    name.map(str::to_owned).ok_or(PushFault::Malformed)
}
