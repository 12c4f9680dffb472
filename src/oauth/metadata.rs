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
        })
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource(name: &str) -> ResourceMetadata {
        ResourceMetadata {
            resource: name.to_owned(),
            authorization_servers: Vec::new(),
            scopes_supported: None,
            bound: false,
        }
    }

    fn server(extra: Value) -> Result<ServerMetadata, ServerFault> {
        let mut document = json!({
            "issuer": "https://id.example",
            "authorization_endpoint": "https://id.example/authorize",
            "token_endpoint": "https://id.example/token",
            "code_challenge_methods_supported": ["S256"],
        });
        for (name, value) in extra.as_object().expect("an object") {
            document[name] = value.clone();
        }
        RawServer::parse(document.to_string().as_bytes())
            .expect("a document")
            .validate(|url| url.scheme() == "https")
    }

    #[test]
    fn oc_prm_resource_mismatch_rejected() {
        let endpoint: Url = "https://h.example/team/mcp".parse().expect("a URL");
        for wrong in [
            "https://evil.example/team/mcp",
            "http://h.example/team/mcp",
            "https://h.example:444/team/mcp",
            "https://h.example/team/mcp2",
            "https://h.example/team/mc",
            "https://h.example/team/mcp/more",
            "https://h.example/team/mcp#x",
            "https://h.example/?team",
            "not a url",
        ] {
            for found in [Retrieval::Header, Retrieval::Path, Retrieval::Root] {
                let document = resource(wrong);
                assert!(
                    !document.is_about(&endpoint, found, ResourceMatch::Prefix),
                    "{wrong}"
                );
                assert!(
                    !document.is_about(&endpoint, found, ResourceMatch::Strict),
                    "{wrong}"
                );
            }
        }
    }

    #[test]
    fn oc_prm_resource_prefix_relaxation() {
        let endpoint: Url = "https://h.example/team/mcp".parse().expect("a URL");
        for parent in [
            "https://h.example",
            "https://H.example/",
            "https://h.example/team",
            "https://h.example:443/team/",
            "https://h.example/team/mcp",
            "https://h.example/team/mcp/",
        ] {
            let document = resource(parent);
            assert!(
                document.is_about(&endpoint, Retrieval::Header, ResourceMatch::Prefix),
                "{parent}"
            );
        }
        let strict =
            |name: &str, found| resource(name).is_about(&endpoint, found, ResourceMatch::Strict);
        assert!(strict("https://h.example/team/mcp", Retrieval::Header));
        assert!(!strict("https://h.example/team", Retrieval::Header));
        assert!(strict("https://h.example", Retrieval::Root));
        assert!(!strict("https://h.example/team/mcp", Retrieval::Root));
    }

    #[test]
    fn oc_pkce_support_required() {
        for missing in [json!(null), json!([]), json!(["plain"]), json!("plain")] {
            let refused = server(json!({ "code_challenge_methods_supported": missing }));
            assert_eq!(refused, Err(ServerFault::NoPkce));
        }
        assert!(server(json!({ "code_challenge_methods_supported": ["plain", "S256"] })).is_ok());
    }

    #[test]
    fn se_https_required() {
        for endpoint in [
            "authorization_endpoint",
            "token_endpoint",
            "device_authorization_endpoint",
            "registration_endpoint",
            "revocation_endpoint",
        ] {
            let refused = server(json!({ endpoint: "http://id.example/x" }));
            assert_eq!(
                refused,
                Err(ServerFault::Endpoint("http://id.example/x".to_owned()))
            );
        }
    }

    #[test]
    fn documents_are_read_leniently_and_unknown_members_ignored() {
        let read = server(json!({
            "scopes_supported": "openid offline_access",
            "token_endpoint_auth_methods_supported": ["none", 7],
            "authorization_response_iss_parameter_supported": true,
            "nonsense": {"deep": [1, 2]},
        }))
        .expect("usable");
        assert_eq!(
            read.scopes_supported,
            Some(vec!["openid".to_owned(), "offline_access".to_owned()])
        );
        assert_eq!(read.auth_methods, Some(vec!["none".to_owned()]));
        assert_eq!(read.iss, IssSupport::Advertised);
        for body in [
            "",
            "[]",
            "\"x\"",
            "<html>",
            "{\"issuer\":",
            "{}",
            "{\"issuer\":7}",
        ] {
            assert!(RawServer::parse(body.as_bytes()).is_err(), "{body}");
            assert!(ResourceMetadata::parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
