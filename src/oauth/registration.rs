//! The client identity: the configured one, that of a metadata document, one registered earlier with
//! this very issuer, or a
//! new dynamic registration (RFC 7591, deprecated in MCP 2026-07-28, and therefore last and kept
//! to this file). What the server returns is used, not what was asked for.

use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde_json::{Map, Value, json};
use url::Url;

use super::classify::cause_of;
use super::device;
use super::discovery::Discovered;
use super::method::{check_key, method_for, name_of, wanted_method};
use super::text::clean;
use super::token::{read_description, read_error};
use super::{ClientPlan, Provider};
use crate::clock::Clock;
use crate::http::{Answer, OwnClient, Reach, Request, TOKEN_BODY_LIMIT};
use crate::jose::KeyFault;
use crate::model::fault::{OauthCode, TransientCause};
use crate::model::record::{ClientAuth, ClientManagement, ClientOrigin, ClientProof, ClientRecord};
use crate::model::secret::{ClientSecret, RegistrationToken};
use crate::model::time::Timestamp;

/// What to do about a client identity.
#[derive(Clone, Debug)]
pub enum ClientChoice {
    /// Use this one.
    Use(Box<ClientRecord>),
    /// Register one.
    Register,
}

/// Why there is no client identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationFailure {
    /// The server has no registration endpoint, or registering is switched off.
    #[error("{issuer} does not register programs by itself")]
    NotOffered {
        /// Which server.
        issuer: String,
    },
    /// The server refused.
    #[error("{issuer} refused the registration: {status}{}", said(.code.as_ref(), .description.as_deref()))]
    Refused {
        /// Which server.
        issuer: String,
        /// Its status.
        status: u16,
        /// Its error code.
        code: Option<OauthCode>,
        /// Its words.
        description: Option<String>,
    },
    /// Every way to authenticate that the server takes is one we do not have.
    #[error("{issuer} takes no way of client authentication that is supported here")]
    NoCommonMethod {
        /// Which server.
        issuer: String,
    },
    /// The client's key signs in no way that the server takes.
    #[error("{issuer} takes no statements signed with {own}, which is what the private key does")]
    NoCommonAlgorithm {
        /// Which server.
        issuer: String,
        /// How the key signs.
        own: &'static str,
    },
    /// The client's key cannot be used.
    #[error("the client's private key: {0}")]
    Key(KeyFault),
    /// The answer is not a registration.
    #[error("the answer of {issuer} is not a registration: {what}")]
    Malformed {
        /// Which server.
        issuer: String,
        /// What is wrong.
        what: &'static str,
    },
    /// It may work later.
    #[error("{issuer}: {cause}")]
    Transient {
        /// Which server.
        issuer: String,
        /// What happened.
        cause: TransientCause,
    },
}

fn said(code: Option<&OauthCode>, description: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(code) = code {
        text = format!(" {}", code.0);
    }
    if let Some(description) = description {
        text = format!("{text} ({description})");
    }
    text
}

/// The client identity to use: the configured one, else the one of the metadata document where the
/// server fetches those, else one registered earlier with this issuer and this redirect URI, else a
/// new one. `stored` may hold records of any issuer; a record of
/// another one is never used (OC-27).
pub fn choose(
    provider: &Provider,
    discovered: &Discovered,
    stored: &[ClientRecord],
    now: Timestamp,
) -> Result<ClientChoice, RegistrationFailure> {
    let server = &discovered.server;
    if let ClientPlan::Configured {
        client_id,
        proof,
        auth,
    } = &provider.client
    {
        let supported = server.auth_methods.as_deref();
        let auth = auth
            .or_else(|| method_for(proof.as_ref(), supported))
            .ok_or_else(|| RegistrationFailure::NoCommonMethod {
                issuer: server.issuer.clone(),
            })?;
        let (client_secret, key) = match proof.clone() {
            None => (None, None),
            Some(ClientProof::Secret(secret)) => (Some(secret), None),
            Some(ClientProof::Key(key)) => {
                check_key(&key, server)?;
                (None, Some(key))
            }
        };
        return Ok(ClientChoice::Use(Box::new(ClientRecord {
            issuer: server.issuer.clone(),
            redirect_uri: provider.redirect_uri.clone(),
            client_id: client_id.clone(),
            client_secret,
            key,
            secret_expires: None,
            auth,
            origin: ClientOrigin::Configured,
            management: None,
            created: now,
        })));
    }
    if let Some(document) = &provider.metadata_document
        && server.metadata_documents
    {
        return Ok(ClientChoice::Use(Box::new(ClientRecord {
            issuer: server.issuer.clone(),
            redirect_uri: provider.redirect_uri.clone(),
            client_id: document.clone(),
            client_secret: None,
            key: None,
            secret_expires: None,
            // Whoever can read the document can claim to be its client: there is no secret.
            auth: ClientAuth::None,
            origin: ClientOrigin::Document,
            management: None,
            created: now,
        })));
    }
    let earlier = stored.iter().find(|client| {
        client.issuer == server.issuer
            && client.redirect_uri == provider.redirect_uri
            && client.origin == ClientOrigin::Registered
            && client.secret_expires.is_none_or(|end| now < end)
    });
    if let Some(client) = earlier {
        return Ok(ClientChoice::Use(Box::new(client.clone())));
    }
    match (&provider.client, &server.registration_endpoint) {
        (ClientPlan::Register, Some(_)) => Ok(ClientChoice::Register),
        _ => Err(RegistrationFailure::NotOffered {
            issuer: server.issuer.clone(),
        }),
    }
}

/// Registers a client. A server that refuses the metadata is asked once more without the scopes,
/// which some servers take only from their own list.
pub(super) async fn register(
    client: OwnClient,
    clock: std::sync::Arc<dyn Clock>,
    provider: Provider,
    discovered: Discovered,
    scopes: Vec<String>,
) -> Result<ClientRecord, RegistrationFailure> {
    let issuer = discovered.server.issuer.clone();
    let endpoint = discovered.server.registration_endpoint.clone();
    let Some(endpoint) = endpoint else {
        return Err(RegistrationFailure::NotOffered { issuer });
    };
    let method = wanted_method(discovered.server.auth_methods.as_deref()).ok_or_else(|| {
        RegistrationFailure::NoCommonMethod {
            issuer: issuer.clone(),
        }
    })?;
    let reach = discovered.trust.reach(&endpoint);
    let mut document = request_document(&provider, method, &scopes);
    let answer = post(&client, &issuer, &endpoint, reach, &document).await?;
    let code = read_error(&answer.body);
    let narrow = code.is_some_and(|code| code.0 == "invalid_client_metadata");
    let answer = if answer.status == 400 && narrow && !scopes.is_empty() {
        document.remove("scope");
        post(&client, &issuer, &endpoint, reach, &document).await?
    } else {
        answer
    };
    read(
        &issuer,
        &provider.redirect_uri,
        method,
        &answer,
        clock.now(),
    )
}

/// The metadata of a native client (RFC 7591 §2, OC-22, OC-23).
fn request_document(
    provider: &Provider,
    method: ClientAuth,
    scopes: &[String],
) -> Map<String, Value> {
    // One that nobody is sent back to is for sign-ins on other devices.
    let (uris, grant, responses): (&[&str], &str, &[&str]) = match provider.redirect_uri.as_str() {
        "" => (&[], device::GRANT, &[]),
        uri => (&[uri], "authorization_code", &["code"]),
    };
    let document = json!({
        "client_name": provider.client_name,
        "redirect_uris": uris,
        "grant_types": [grant, "refresh_token"],
        "response_types": responses,
        "token_endpoint_auth_method": name_of(method),
        "application_type": "native",
        "software_id": "doorward",
        "software_version": env!("CARGO_PKG_VERSION"),
    });
    let Value::Object(mut document) = document else {
        return Map::new();
    };
    if !scopes.is_empty() {
        document.insert("scope".to_owned(), scopes.join(" ").into());
    }
    document
}

async fn post(
    client: &OwnClient,
    issuer: &str,
    endpoint: &Url,
    reach: Reach,
    document: &Map<String, Value>,
) -> Result<Answer, RegistrationFailure> {
    let document = Value::Object(document.clone());
    let request = Request::post_json(endpoint.clone(), &document)
        .limit(TOKEN_BODY_LIMIT)
        .reach(reach);
    let transient = |cause| RegistrationFailure::Transient {
        issuer: clean(issuer, 200),
        cause,
    };
    let answer = client.send(request).await;
    let answer = answer.map_err(|fault| transient(cause_of(&fault)))?;
    match answer.status {
        408 | 429 | 500.. => Err(transient(TransientCause::Status(answer.status))),
        _ => Ok(answer),
    }
}

/// What the server registered, which may differ from what was asked for (RFC 7591 §3.2.1).
fn read(
    issuer: &str,
    redirect_uri: &str,
    asked: ClientAuth,
    answer: &Answer,
    now: Timestamp,
) -> Result<ClientRecord, RegistrationFailure> {
    let named = || clean(issuer, 200);
    let malformed = |what| RegistrationFailure::Malformed {
        issuer: named(),
        what,
    };
    let code = read_error(&answer.body);
    if !(200..300).contains(&answer.status) || code.is_some() {
        return Err(RegistrationFailure::Refused {
            issuer: named(),
            status: answer.status,
            code,
            description: read_description(&answer.body),
        });
    }
    let Ok(Value::Object(document)) = serde_json::from_slice(&answer.body) else {
        return Err(malformed("it is not a JSON object"));
    };
    let text = |name: &str| {
        let text = document.get(name)?.as_str()?;
        (!text.is_empty()).then_some(text)
    };
    let client_id = text("client_id").ok_or_else(|| malformed("it names no client"))?;
    if let Some(Value::Array(uris)) = document.get("redirect_uris")
        && !uris.is_empty()
        && !redirect_uri.is_empty()
        && !uris.iter().any(|uri| uri == redirect_uri)
    {
        return Err(malformed("it names another redirect URI"));
    }
    let client_secret = text("client_secret").map(ClientSecret::new);
    let auth = match text("token_endpoint_auth_method") {
        None => asked,
        Some(name) => [ClientAuth::None, ClientAuth::Basic, ClientAuth::Post]
            .into_iter()
            .find(|method| name_of(*method) == name)
            .ok_or_else(|| RegistrationFailure::NoCommonMethod { issuer: named() })?,
    };
    let auth = match client_secret {
        None => ClientAuth::None,
        Some(_) => auth,
    };
    let management = match (
        text("registration_client_uri"),
        text("registration_access_token"),
    ) {
        (Some(uri), Some(token)) => Some(ClientManagement {
            uri: uri.to_owned(),
            token: RegistrationToken::new(token),
        }),
        _ => None,
    };
    let secret_expires = document
        .get("client_secret_expires_at")
        .and_then(Value::as_f64)
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok())
        .map(|since| Timestamp::MIN.plus(since));
    Ok(ClientRecord {
        issuer: issuer.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        client_id: client_id.to_owned(),
        client_secret,
        key: None,
        secret_expires,
        auth,
        origin: ClientOrigin::Registered,
        management,
        created: now,
    })
}

/// The deletion of a registration (RFC 7592 §2.3).
pub(super) fn delete_request(client: &ClientRecord) -> Option<Request> {
    let management = client.management.as_ref()?;
    let uri = Url::parse(&management.uri).ok()?;
    // The token goes to the server that issued it and nowhere else (SE-07).
    let issuer = Url::parse(&client.issuer).ok()?;
    if uri.origin() != issuer.origin() {
        return None;
    }
    let bearer = format!("Bearer {}", management.token.expose());
    let mut value = HeaderValue::from_str(&bearer).ok()?;
    value.set_sensitive(true);
    let request = Request::new(http::Method::DELETE, uri)
        .limit(TOKEN_BODY_LIMIT)
        .reach(Reach::ANYWHERE);
    Some(request.header(AUTHORIZATION, value))
}
