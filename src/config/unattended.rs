//! How doorward proves itself where no person signs in: a stored secret, a command, a client of
//! its own; and where the agent does that itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use url::Url;

use super::Resource;
use crate::model::record::ClientAuth;

/// Where a secret is kept; never the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In doorward's own store, under this name (`doorward upstream set-secret`).
    Stored(String),
    /// A variable of the daemon's environment.
    Variable(String),
    /// A file that nobody else may read.
    File(PathBuf),
    /// A command that prints it: the program and its arguments.
    Command(Vec<String>),
}

/// What a client of the configuration proves itself with, and where that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofSource {
    /// A secret that the server knows as well.
    Secret(SecretSource),
    /// A private key in PEM.
    Key {
        /// Where it is.
        place: SecretSource,
        /// What the server calls its public half (`kid`).
        id: Option<String>,
    },
}

impl ProofSource {
    /// Where it is.
    pub fn place(&self) -> &SecretSource {
        match self {
            Self::Secret(place) | Self::Key { place, .. } => place,
        }
    }
}

/// `kind = "static"`: a secret that was made elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Static {
    /// Where it is.
    pub secret: SecretSource,
    /// The field that carries it.
    pub header: HeaderName,
    /// What the field says.
    pub format: HeaderForm,
}

/// What stands around a secret in the value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderForm {
    /// Before it.
    pub before: String,
    /// Behind it.
    pub after: String,
}

impl Default for HeaderForm {
    /// `Bearer {secret}` (RFC 6750 §2.1).
    fn default() -> Self {
        Self {
            before: "Bearer ".to_owned(),
            after: String::new(),
        }
    }
}

/// `kind = "exec"`: a command that prints a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How its output is read.
    pub output: ExecOutput,
    /// Variables added to those of the daemon.
    pub env: BTreeMap<String, String>,
    /// How long it may take.
    pub timeout: Duration,
    /// How long a token serves whose output tells no end.
    pub cache: Duration,
    /// What a person is told who does not have the program.
    pub install_hint: Option<String>,
}

/// How the output of a command is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExecOutput {
    /// As what it looks like.
    #[default]
    Auto,
    /// The first line is the token.
    Token,
    /// An object with `token`, and `expires_at` or `expires_in`.
    Json,
    /// Kubernetes `ExecCredential`: `status.token` and `status.expirationTimestamp`.
    ExecCredential,
}

/// What a token is asked for with, where no person signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grounds {
    /// `kind = "client_credentials"` (RFC 6749 §4.4): doorward is the one who signs in.
    Client,
    /// `kind = "jwt_bearer"` (RFC 7523 §2.1): an assertion is presented, such as the token that a
    /// platform gives to each workload. Where it is.
    Assertion(SecretSource),
    /// `kind = "token_exchange"` (RFC 8693): the assertion is had from an identity provider.
    Exchange(Box<IdentityProvider>),
}

/// `idp` of `kind = "token_exchange"`: who exchanges a token for an assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityProvider {
    /// Its token endpoint.
    pub token_endpoint: Url,
    /// Its name, which is what a private key's statements are addressed to.
    pub issuer: Option<Url>,
    /// The client there.
    pub client_id: String,
    /// What that client proves itself with.
    pub proof: Option<ProofSource>,
    /// How; `None`: the usual way for the proof.
    pub client_auth: Option<ClientAuth>,
    /// Where the token is that is exchanged.
    pub subject: SecretSource,
    /// What kind of token it is (RFC 8693 §3).
    pub subject_type: String,
}

/// The kinds in which doorward itself asks for tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The token endpoint; without one it is discovered.
    pub token_endpoint: Option<Url>,
    /// The authorization server, where several are offered or none is named.
    pub issuer: Option<Url>,
    /// The client identity.
    pub client_id: String,
    /// What a token is asked for with.
    pub grounds: Grounds,
    /// What the client proves itself with.
    pub proof: Option<ProofSource>,
    /// How the client proves itself; `None`: as the server offers.
    pub client_auth: Option<ClientAuth>,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// The `audience` parameter, which some servers want.
    pub audience: Option<String>,
    /// The `resource` parameter (RFC 8707).
    pub resource: Resource,
}

/// `kind = "passthrough"`: the agent sends its own token of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passthrough {
    /// How long after its `exp` a token still passes; `None` leaves `exp` alone.
    pub skew: Option<Duration>,
}
