//! The two metadata documents: of the protected resource (RFC 9728) and of the authorization
//! server (RFC 8414, OpenID Connect Discovery). Unknown members are ignored, known ones are read
//! leniently, and what security rests on (who names whom, PKCE, https) is checked strictly.

use serde_json::{Map, Value};
use url::Url;

use super::ResourceMatch;
use super::text::clean;

/// What is known about `iss` in the callbacks of an authorization server (RFC 9207).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssSupport {
    /// It promises to send it.
    Advertised,
    /// It does not promise it.
    NotAdvertised,
    /// The endpoints are pinned and the issuer is not: there is nothing to compare with, and no
    /// second server to be mixed up with.
    IssuerUnknown,
}

/// An authorization server, as validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerMetadata {
    /// Its identifier, exactly as it writes it.
    pub issuer: String,
    /// Where a person signs in.
    pub authorization_endpoint: Url,
    /// Where codes and refresh tokens are presented.
    pub token_endpoint: Url,
    /// Where codes for other devices are given (RFC 8628 §4).
    pub device_endpoint: Option<Url>,
    /// Where clients register (RFC 7591).
    pub registration_endpoint: Option<Url>,
    /// Where tokens are revoked (RFC 7009).
    pub revocation_endpoint: Option<Url>,
    /// All scopes it knows.
    pub scopes_supported: Option<Vec<String>>,
    /// How clients may authenticate; `None` means `client_secret_basic` (RFC 8414 §2).
    pub auth_methods: Option<Vec<String>>,
    /// How the statements of clients that sign may be signed; `None`: it does not say.
    pub auth_algorithms: Option<Vec<String>>,
    /// Whether its callbacks carry `iss`.
    pub iss: IssSupport,
    /// Whether it fetches the metadata of clients whose id is a URL.
    pub metadata_documents: bool,
    /// Where authorization requests are sent before the browser comes, where it demands that
    /// (RFC 9126 §5).
    pub pushed_endpoint: Option<Url>,
}

/// A protected resource, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceMetadata {
    /// Its identifier, exactly as it writes it.
    pub resource: String,
    /// Its authorization servers; at least one.
    pub authorization_servers: Vec<String>,
    /// The scopes it knows.
    pub scopes_supported: Option<Vec<String>>,
    /// Whether it takes only tokens that are bound to a key.
    pub bound: bool,
}

/// How a metadata document of a resource was found: what its `resource` has to be depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retrieval {
    /// The challenge pointed to it.
    Header,
    /// At the well-known place of the endpoint's path.
    Path,
    /// At the root.
    Root,
}

impl ResourceMetadata {
    /// Reads a document (RFC 9728 §3.2).
    pub fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let document = object(body)?;
        let resource = string(&document, "resource").ok_or("it names no `resource`")?;
        Ok(Self {
            resource,
            authorization_servers: strings(&document, "authorization_servers").unwrap_or_default(),
            scopes_supported: strings(&document, "scopes_supported"),
            bound: document.get("dpop_bound_access_tokens_required") == Some(&Value::Bool(true)),
        })
    }

    /// Whether the document is about `endpoint` (RFC 9728 §3.3).
    pub fn is_about(&self, endpoint: &Url, found: Retrieval, how: ResourceMatch) -> bool {
        let Ok(named) = Url::parse(&self.resource) else {
            return false;
        };
        if named.fragment().is_some() || named.origin() != endpoint.origin() {
            return false;
        }
        match how {
            ResourceMatch::Strict if found == Retrieval::Root => {
                named.path() == "/" && named.query().is_none()
            }
            ResourceMatch::Strict => same(&named, endpoint),
            ResourceMatch::Prefix => same(&named, endpoint) || is_parent(&named, endpoint),
        }
    }
}

fn same(named: &Url, endpoint: &Url) -> bool {
    named.path() == endpoint.path() && named.query() == endpoint.query()
}

/// By whole segments: `/mcp` is a parent of `/mcp/a`, and not of `/mcp2`.
fn is_parent(named: &Url, endpoint: &Url) -> bool {
    let parent = named.path().trim_end_matches('/');
    let rest = endpoint.path().strip_prefix(parent);
    named.query().is_none() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What an authorization server says about itself, before any of it is believed.
#[derive(Clone, Debug)]
pub struct RawServer {
    /// Its identifier.
    pub issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    device_endpoint: Option<String>,
    registration_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    scopes_supported: Option<Vec<String>>,
    auth_methods: Option<Vec<String>>,
    auth_algorithms: Option<Vec<String>>,
    challenge_methods: Vec<String>,
    iss: IssSupport,
    metadata_documents: bool,
    pushed_endpoint: Option<String>,
    pushes: bool,
    aliases: Map<String, Value>,
}

/// Why a server's metadata cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFault {
    /// It lacks something.
    Malformed(&'static str),
    /// It does not say that it supports PKCE with S256.
    NoPkce,
    /// One of its endpoints may not be used.
    Endpoint(String),
}

impl RawServer {
    /// Reads a document (RFC 8414 §3.2).
    pub fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let document = object(body)?;
        let advertised = document.get("authorization_response_iss_parameter_supported");
        Ok(Self {
            issuer: string(&document, "issuer").ok_or("it names no `issuer`")?,
            authorization_endpoint: string(&document, "authorization_endpoint"),
            token_endpoint: string(&document, "token_endpoint"),
            device_endpoint: string(&document, "device_authorization_endpoint"),
            registration_endpoint: string(&document, "registration_endpoint"),
            revocation_endpoint: string(&document, "revocation_endpoint"),
            scopes_supported: strings(&document, "scopes_supported"),
            auth_methods: strings(&document, "token_endpoint_auth_methods_supported"),
            auth_algorithms: strings(
                &document,
                "token_endpoint_auth_signing_alg_values_supported",
            ),
            challenge_methods: strings(&document, "code_challenge_methods_supported")
                .unwrap_or_default(),
            iss: match advertised {
                Some(Value::Bool(true)) => IssSupport::Advertised,
                _ => IssSupport::NotAdvertised,
            },
            metadata_documents: document.get("client_id_metadata_document_supported")
                == Some(&Value::Bool(true)),
            pushed_endpoint: string(&document, "pushed_authorization_request_endpoint"),
            pushes: document.get("require_pushed_authorization_requests")
                == Some(&Value::Bool(true)),
            aliases: match document.get("mtls_endpoint_aliases") {
                Some(Value::Object(aliases)) => aliases.clone(),
                _ => Map::new(),
            },
        })
    }

    /// The same with the addresses that it has for clients which show a certificate (RFC 8705 §5).
    #[must_use]
    pub fn for_certificates(mut self) -> Self {
        for (name, endpoint) in [
            ("token_endpoint", &mut self.token_endpoint),
            ("device_authorization_endpoint", &mut self.device_endpoint),
            ("registration_endpoint", &mut self.registration_endpoint),
            ("revocation_endpoint", &mut self.revocation_endpoint),
            (
                "pushed_authorization_request_endpoint",
                &mut self.pushed_endpoint,
            ),
        ] {
            if let Some(alias) = string(&self.aliases, name) {
                *endpoint = Some(alias);
            }
        }
        self
    }

    /// The server, if it can be used. `fit` says whether an endpoint may be spoken to.
    pub fn validate(self, fit: impl Fn(&Url) -> bool) -> Result<ServerMetadata, ServerFault> {
        let endpoint = |text: Option<String>| match text {
            None => Ok(None),
            Some(text) => match Url::parse(&text) {
                Ok(url) if fit(&url) => Ok(Some(url)),
                _ => Err(ServerFault::Endpoint(clean(&text, 200))),
            },
        };
        if !self.challenge_methods.iter().any(|method| method == "S256") {
            return Err(ServerFault::NoPkce);
        }
        if self.pushes && self.pushed_endpoint.is_none() {
            let what = "it demands pushed requests and names no endpoint for them";
            return Err(ServerFault::Malformed(what));
        }
        Ok(ServerMetadata {
            authorization_endpoint: endpoint(self.authorization_endpoint)?.ok_or(
                ServerFault::Malformed("it names no `authorization_endpoint`"),
            )?,
            token_endpoint: endpoint(self.token_endpoint)?
                .ok_or(ServerFault::Malformed("it names no `token_endpoint`"))?,
            device_endpoint: endpoint(self.device_endpoint)?,
            registration_endpoint: endpoint(self.registration_endpoint)?,
            revocation_endpoint: endpoint(self.revocation_endpoint)?,
            issuer: self.issuer,
            scopes_supported: self.scopes_supported,
            auth_methods: self.auth_methods,
            auth_algorithms: self.auth_algorithms,
            iss: self.iss,
            metadata_documents: self.metadata_documents,
            pushed_endpoint: endpoint(self.pushed_endpoint.filter(|_| self.pushes))?,
        })
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, &'static str> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err("it is not a JSON object"),
    }
}

fn string(document: &Map<String, Value>, name: &str) -> Option<String> {
    let text = document.get(name)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// A list of strings; some servers write a single one without its brackets.
fn strings(document: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    match document.get(name)? {
        Value::Array(items) => Some(
            items
                .iter()
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect(),
        ),
        Value::String(text) => Some(text.split_ascii_whitespace().map(str::to_owned).collect()),
        _ => None,
    }
}
