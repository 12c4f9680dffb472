//! Sessions as documents show them. A credential is in one of them only: the answer to a mint.

use serde::{Deserialize, Serialize};

use super::Moment;
use crate::model::id::AccountRef;
use crate::model::record::{EndedBy, SessionOrigin};

mod keeping;

pub use keeping::{KeptAlive, Times};

/// The longest label of a session, in characters.
pub const LONGEST_LABEL: usize = 80;

/// `doorward/sessions/v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// Which document it is.
    pub schema: String,
    /// When it was made.
    pub generated_at: Moment,
    /// The sessions, newest first.
    pub items: Vec<Session>,
    /// Where the next page begins; there is one page so far.
    pub next_cursor: Option<String>,
}

impl Sessions {
    /// The document.
    pub fn new(generated_at: Moment, items: Vec<Session>) -> Self {
        Self {
            schema: "doorward/sessions/v1".to_owned(),
            generated_at,
            items,
            next_cursor: None,
        }
    }
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its public id.
    pub id: String,
    /// What the person called it.
    pub label: Option<String>,
    /// The agent program.
    pub client: Option<Client>,
    /// How it came to be.
    pub origin: SessionOrigin,
    /// How it is.
    pub state: SessionState,
    /// The accounts it may reach, resolved.
    pub grant: Vec<GrantedAccount>,
    /// Whether it may reach all upstreams, those of the future too.
    #[serde(default)]
    pub grant_all: bool,
    /// When it was minted.
    pub created_at: Moment,
    /// When it was last used; `null`: never.
    pub last_used_at: Option<Moment>,
    /// When it ends if it is not used until then.
    pub expires_at: Moment,
    /// When it is reclaimed if it is not used until then; `null` while that is held off.
    pub idle_expires_at: Option<Moment>,
    /// When it ends whatever the use.
    pub max_expires_at: Option<Moment>,
    /// Its process.
    pub bound: Option<Bound>,
    /// What it did.
    pub counters: Counters,
    /// The session it was minted inside of.
    pub parent: Option<String>,
    /// When it ended.
    pub ended_at: Option<Moment>,
    /// By whom.
    pub ended_by: Option<EndedBy>,
    /// Why, in the words of the person who ended it.
    #[serde(default)]
    pub ended_reason: Option<String>,
    /// Tells credentials apart without giving one away.
    pub fingerprint: String,
    /// The same of credentials that it was given later, after restarts of the daemon.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later_fingerprints: Vec<String>,
}

impl Session {
    /// What it may reach, in words.
    pub fn grant_words(&self) -> String {
        if self.grant_all {
            return "all".to_owned();
        }
        if self.grant.is_empty() {
            return "nothing".to_owned();
        }
        let names: Vec<String> = self.grant.iter().map(GrantedAccount::reference).collect();
        names.join(", ")
    }

    /// Whether it may reach `asked`: an upstream, or one account of it.
    pub fn reaches(&self, asked: &str) -> bool {
        // A grant of all is listed account by account as well, so that a name that no upstream has
        // means no session.
        self.grant.iter().any(|granted| {
            let full = format!("{}@{}", granted.upstream, granted.account);
            granted.upstream == asked || full == asked
        })
    }

    /// Whether the credential with this fingerprint opens it.
    pub fn is_opened_by(&self, fingerprint: &str) -> bool {
        let later = self.later_fingerprints.iter().map(String::as_str);
        later
            .chain([self.fingerprint.as_str()])
            .any(|it| it == fingerprint)
    }

    /// When it ends, if nothing happens.
    pub fn next_end(&self) -> Moment {
        let ends = [
            Some(self.expires_at),
            self.idle_expires_at,
            self.max_expires_at,
        ];
        ends.into_iter().flatten().min().unwrap_or(self.expires_at)
    }

    /// The name of its agent program.
    pub fn client_name(&self) -> Option<&str> {
        self.client.as_ref().map(|client| client.name.as_str())
    }
}

/// An agent program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: Option<String>,
    /// As it calls itself.
    #[serde(default)]
    pub user_agent: Option<String>,
}

/// How a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Used in the last five minutes, or with an open stream.
    Active,
    /// Valid and quiet.
    Idle,
    /// Its window ran out.
    Expired,
    /// Ended by a person, by the end of its process, or by a rule.
    Revoked,
}

impl SessionState {
    /// Whether it has ended.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Expired | Self::Revoked)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Idle => "idle",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// An account in a grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedAccount {
    /// The upstream.
    pub upstream: String,
    /// The account on it.
    pub account: String,
}

impl GrantedAccount {
    /// As people write it.
    pub fn reference(&self) -> String {
        if self.account == "default" {
            self.upstream.clone()
        } else {
            format!("{}@{}", self.upstream, self.account)
        }
    }
}

impl From<&AccountRef> for GrantedAccount {
    fn from(account: &AccountRef) -> Self {
        Self {
            upstream: account.upstream.as_str().to_owned(),
            account: account.account.as_str().to_owned(),
        }
    }
}

/// The process of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Its id.
    pub pid: u32,
    /// The program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// The directory it was started in.
    #[serde(default)]
    pub cwd_label: Option<String>,
    /// Whether it lives.
    pub alive: bool,
}

/// What a session did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Requests.
    pub calls: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Bytes from the agent.
    pub bytes_in: u64,
    /// Bytes to the agent.
    pub bytes_out: u64,
    /// Streams that are open.
    pub streams_open: u64,
}

/// `doorward/session/v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDetail {
    /// Which document it is.
    pub schema: String,
    /// The session.
    pub item: Session,
    /// What was done so that its agent did not lose a server.
    #[serde(default)]
    pub kept_alive: KeptAlive,
}

impl SessionDetail {
    /// The document.
    pub fn new(item: Session, kept_alive: KeptAlive) -> Self {
        Self {
            schema: "doorward/session/v1".to_owned(),
            item,
            kept_alive,
        }
    }
}

/// `doorward/session-minted/v1`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minted {
    /// Which document it is.
    pub schema: String,
    /// The session.
    pub session: Session,
    /// Its credential: shown once, kept by nobody.
    pub credential: String,
    /// Where the agent uses it.
    pub url: String,
    /// Names of a project's file that this person has no such upstream for, or may not use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<String>,
}

impl Minted {
    /// The document.
    pub fn new(session: Session, credential: String, url: String) -> Self {
        Self {
            schema: "doorward/session-minted/v1".to_owned(),
            session,
            credential,
            url,
            lacking: Vec::new(),
        }
    }
}

impl std::fmt::Debug for Minted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Minted")
            .field("session", &self.session.id)
            .field("credential", &"[redacted]")
            .finish_non_exhaustive()
    }
}

/// `doorward/revoked/v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Which document it is.
    pub schema: String,
    /// The sessions that are over now.
    pub revoked: Vec<String>,
    /// Those that could not be ended, and why.
    pub failed: Vec<RevokeFailure>,
    /// Those that were over before: nothing was done to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<AlreadyOver>,
}

/// A session that was over before somebody ended it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlreadyOver {
    /// Its id.
    pub id: String,
    /// When it ended.
    pub at: Moment,
    /// By whom.
    pub by: EndedBy,
}

impl Revoked {
    /// The document.
    pub fn new(revoked: Vec<String>, failed: Vec<RevokeFailure>) -> Self {
        Self {
            schema: "doorward/revoked/v1".to_owned(),
            revoked,
            failed,
            over: Vec::new(),
        }
    }
}

/// A session that could not be ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeFailure {
    /// Its id, or what was given as one.
    pub id: String,
    /// The entry of the catalogue.
    pub code: String,
}
