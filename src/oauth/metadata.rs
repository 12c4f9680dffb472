//! The two metadata documents: of the protected resource (RFC 9728) and of the authorization
//! server (RFC 8414, OpenID Connect Discovery). Unknown members are ignored, known ones are read
//! leniently, and what security rests on (who names whom, PKCE, https) is checked strictly.

use url::Url;

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
    /// Where clients register (RFC 7591).
    pub registration_endpoint: Option<Url>,
    /// Where tokens are revoked (RFC 7009).
    pub revocation_endpoint: Option<Url>,
    /// All scopes it knows.
    pub scopes_supported: Option<Vec<String>>,
    /// How clients may authenticate; `None` means `client_secret_basic` (RFC 8414 §2).
    pub auth_methods: Option<Vec<String>>,
    /// Whether its callbacks carry `iss`.
    pub iss: IssSupport,
}
