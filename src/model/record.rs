//! What outlives the process: the records of grants, registered clients and sessions. Plain data;
//! how it is sealed and written is the business of `store`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{AccountRef, Generation, SessionId};
use super::mcp::standin::Answers;
use super::secret::{ClientSecret, PrivateKey, RefreshToken, RegistrationToken, TokenDigest};
use super::session::{Death, Grant, SessionPolicy};
use super::time::Timestamp;

/// How a client proves itself at the token endpoint (RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// Public client: `client_id` in the body.
    None,
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// `private_key_jwt` (RFC 7523 §2.2): a statement signed with the client's key.
    PrivateKeyJwt,
}

/// What a client of the configuration proves itself with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientProof {
    /// A secret that the server knows as well.
    Secret(ClientSecret),
    /// A key whose public half the server knows.
    Key(ClientKey),
}

/// The key of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    /// The key.
    pub key: PrivateKey,
    /// What the server calls its public half (`kid`, RFC 7515 §4.1.4).
    pub id: Option<String>,
}

/// Where a client identity came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientOrigin {
    /// Written in the configuration.
    Configured,
    /// Dynamic registration (RFC 7591).
    Registered,
    /// A metadata document whose URL is the id (draft-ietf-oauth-client-id-metadata-document).
    Document,
}

/// A client identity at one authorization server. Never presented to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRecord {
    /// The authorization server it belongs to.
    pub issuer: String,
    /// The redirect URI it was registered with.
    pub redirect_uri: String,
    /// The identity.
    pub client_id: String,
    /// The secret of a confidential client.
    pub client_secret: Option<ClientSecret>,
    /// The key of one that signs.
    pub key: Option<ClientKey>,
    /// When the secret ends, if ever.
    pub secret_expires: Option<Timestamp>,
    /// How it authenticates.
    pub auth: ClientAuth,
    /// Where it came from.
    pub origin: ClientOrigin,
    /// RFC 7592 management, where the server offers it.
    pub management: Option<ClientManagement>,
    /// When it was made.
    pub created: Timestamp,
}

impl ClientRecord {
    /// Takes another proof in the place of the one that it has.
    pub fn proves(&mut self, proof: ClientProof) {
        (self.client_secret, self.key) = match proof {
            ClientProof::Secret(secret) => (Some(secret), None),
            ClientProof::Key(key) => (None, Some(key)),
        };
    }
}

/// How a registration may be changed or deleted (RFC 7592 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientManagement {
    /// The registration's own URI.
    pub uri: String,
    /// The token for it.
    pub token: RegistrationToken,
}

/// A sign-in of one account: everything a refresh needs, so that it goes to the very endpoint
/// with the very client identity that the grant was made with (RFC 6749 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// Whose it is.
    pub account: AccountRef,
    /// The authorization server.
    pub issuer: String,
    /// Its token endpoint.
    pub token_endpoint: String,
    /// Its revocation endpoint (RFC 7009).
    pub revocation_endpoint: Option<String>,
    /// The client identity the grant is bound to.
    pub client: ClientRecord,
    /// The `resource` the grant is for (RFC 8707); `None` where switched off.
    pub resource: Option<String>,
    /// The upstream URL it was made for: a token is sent nowhere else.
    pub upstream_url: String,
    /// Granted scopes.
    pub scopes: Vec<String>,
    /// The refresh token; `None` where the provider gave none.
    pub refresh: Option<RefreshToken>,
    /// The key that its tokens are bound to (RFC 9449); without it they are worth nothing, so that
    /// it is kept and lost with them.
    pub dpop: Option<PrivateKey>,
    /// The generation of the credential that came with it.
    pub generation: Generation,
    /// Who signed in, where known; for display only.
    pub identity: Option<String>,
    /// When a person signed in.
    pub signed_in: Timestamp,
    /// When it was last refreshed.
    pub refreshed: Timestamp,
    /// When the access token that came with it ends, for display after a restart.
    pub expires: Option<Timestamp>,
}

/// What a server said last to handshakes and lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswersRecord {
    /// Of which account.
    pub account: AccountRef,
    /// What it said.
    pub answers: Answers,
}

/// Written before a refresh token is presented, removed with the result: after a crash it tells
/// that the token may have been used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshIntent {
    /// The generation whose refresh token is being presented.
    pub generation: Generation,
    /// When.
    pub at: Timestamp,
    /// How many times it has been presented without an answer, this one included.
    pub presented: u32,
}

/// Why an account needs a person, kept over restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOutRecord {
    /// Whose.
    pub account: AccountRef,
    /// Why.
    pub reason: super::fault::LoginReason,
}

/// How a session came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionOrigin {
    /// `doorward session mint`.
    Mint,
    /// `doorward run`.
    Run,
    /// A helper that prints headers.
    Helper,
    /// The stdio bridge.
    Bridge,
    /// `doorward session env`.
    Env,
    /// Written into a client's file.
    Static,
    /// Minted inside another session.
    Nested,
}

/// Who or what ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// A person.
    Person,
    /// The end of the bound process.
    ProcessExit,
    /// The sliding window.
    Ttl,
    /// Quiet for too long.
    Idle,
    /// The ceiling.
    MaxAge,
    /// Its only upstream was removed.
    UpstreamRemoved,
    /// A newer session for the same process and label, or another rule.
    Policy,
}

/// The end of a session.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ending {
    /// Which kind.
    pub death: Death,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: EndedBy,
    /// The reason: what a person wrote, or what happened.
    pub reason: Option<String>,
}

/// A process that a session belongs to: a pid alone may be another program's tomorrow.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BoundProcess {
    /// Process id.
    pub pid: u32,
    /// When it started, in the platform's own unit; tells a reused pid.
    pub started: u64,
    /// Which run of the kernel the start counts from, where it counts from that.
    #[serde(default)]
    pub boot: Option<String>,
    /// The program's name.
    pub exe: Option<String>,
}

impl BoundProcess {
    /// Whether both are one process, whatever it is called by now.
    pub fn is(&self, other: &Self) -> bool {
        let key = |process: &Self| (process.pid, process.started, process.boot.clone());
        key(self) == key(other)
    }
}

/// A session as it is kept: its digest and its times, never its credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Public id.
    pub id: SessionId,
    /// Digest of the credential.
    pub digest: TokenDigest,
    /// Digests of those that it was given later, when nobody could show its process the ones
    /// before: they stay good, since the process may be using them.
    pub later: Vec<TokenDigest>,
    /// What the person called it.
    pub label: Option<String>,
    /// The agent program, where known.
    pub client: Option<String>,
    /// How it came to be.
    pub origin: SessionOrigin,
    /// What it may reach.
    pub grant: Grant,
    /// Its windows.
    pub policy: SessionPolicy,
    /// When it was minted.
    pub minted: Timestamp,
    /// When it was last used, as of the last write.
    pub last_used: Timestamp,
    /// Calls made, as of the last write.
    pub calls: u64,
    /// Its process.
    pub bound: Option<BoundProcess>,
    /// Its end, once it has ended.
    pub ended: Option<Ending>,
}

/// How long records of ended sessions are kept by default: seven days.
pub const KEEP_ENDED: Duration = Duration::from_hours(168);

/// Where the key that seals all records is to live, as configured (decision D5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreKind {
    /// The operating system's keyring; a key file where there is no keyring service at all.
    #[default]
    Auto,
    /// The operating system's keyring, and nothing else.
    Keyring,
    /// A file; `None` is the one in the state directory.
    File(Option<PathBuf>),
    /// Nothing is kept: a random key, and records in memory.
    Memory,
}
