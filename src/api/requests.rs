//! What is asked of the daemon, and the answers that tell what became of it. Unknown fields of a
//! request are refused: an option that an older daemon would ignore must not look obeyed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Session;
use crate::model::record::SessionOrigin;
use crate::model::time::Timestamp;

/// Asks for a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mint {
    /// The accounts it may reach, as people write them; none: what the configuration says.
    #[serde(default)]
    pub upstreams: Vec<String>,
    /// What to call it.
    #[serde(default)]
    pub label: Option<String>,
    /// The agent program.
    #[serde(default)]
    pub client: Option<String>,
    /// Its sliding window, in seconds.
    #[serde(default)]
    pub ttl_s: Option<u64>,
    /// Its patience with quiet, in seconds.
    #[serde(default)]
    pub idle_s: Option<u64>,
    /// The process to bind it to.
    #[serde(default)]
    pub bind_pid: Option<u32>,
    /// What that process will be called, where it is about to become another program.
    #[serde(default)]
    pub bind_exe: Option<String>,
    /// The session it is minted inside of, by its public id: it may reach what that one may.
    #[serde(default)]
    pub parent: Option<String>,
    /// What the project it is for leaves of all that.
    #[serde(default)]
    pub within: Option<Within>,
    /// Whether the same process may be given the same session again, with its credential.
    #[serde(default)]
    pub reuse: bool,
    /// How it comes to be.
    pub origin: SessionOrigin,
}

impl Mint {
    /// A request for what the configuration says.
    pub fn of(origin: SessionOrigin) -> Self {
        Self {
            upstreams: Vec::new(),
            label: None,
            client: None,
            ttl_s: None,
            idle_s: None,
            bind_pid: None,
            bind_exe: None,
            parent: None,
            within: None,
            reuse: false,
            origin,
        }
    }
}

/// What a project leaves of a grant: it can take away, and not add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Within {
    /// Where it says so; for messages.
    pub file: String,
    /// The accounts that it leaves; none at all where this is not said.
    #[serde(default)]
    pub upstreams: Option<Vec<String>>,
    /// The longest sliding window, in seconds.
    #[serde(default)]
    pub ttl_s: Option<u64>,
}

/// Asks for the end of sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoke {
    /// Which.
    pub filter: RevokeFilter,
    /// Why, in a person's words.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Which sessions are meant. Conditions add up; without any, none is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeFilter {
    /// These, by id or the beginning of one.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Those of this agent program.
    #[serde(default)]
    pub client: Option<String>,
    /// Those that may reach this upstream, or this account of it.
    #[serde(default)]
    pub upstream: Option<String>,
    /// Those whose label has this form; `*` stands for anything.
    #[serde(default)]
    pub label: Option<String>,
    /// Those that have been quiet for so many seconds.
    #[serde(default)]
    pub idle_s: Option<u64>,
    /// All.
    #[serde(default)]
    pub all: bool,
}

impl RevokeFilter {
    /// Whether it is a list of ids and nothing else.
    pub fn is_ids_only(&self) -> bool {
        let only = Self {
            ids: self.ids.clone(),
            ..Self::default()
        };
        !self.ids.is_empty() && *self == only
    }

    /// Whether `session` is meant, ids aside.
    pub fn covers(&self, session: &Session, now: Timestamp) -> bool {
        if session.state.is_over() {
            return false;
        }
        let client = self
            .client
            .as_deref()
            .map(|it| session.client_name() == Some(it));
        let upstream = self.upstream.as_deref().map(|it| session.reaches(it));
        let label = self.label.as_deref().map(|form| {
            let label = session.label.as_deref();
            label.is_some_and(|label| matches_form(form, label))
        });
        let quiet = self.idle_s.map(|seconds| {
            let used = session.last_used_at.unwrap_or(session.created_at);
            let open = session.counters.streams_open > 0;
            !open && now.since(used.0) >= Duration::from_secs(seconds)
        });
        let conditions = [client, upstream, label, quiet];
        let any = self.all || conditions.iter().any(Option::is_some);
        any && conditions.into_iter().flatten().all(|holds| holds)
    }
}

/// Whether `text` has the form `form`, in which `*` stands for anything.
fn matches_form(form: &str, text: &str) -> bool {
    let mut parts = form.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Asks for a new upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddUpstream {
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: String,
    /// What people call it.
    #[serde(default)]
    pub label: Option<String>,
    /// The kind of its authentication, as the configuration has it; without it `oauth`.
    #[serde(default)]
    pub auth: Option<String>,
    /// The client, where it is registered already.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Whether that client signs with a key.
    #[serde(default)]
    pub signs: bool,
    /// The scopes to ask for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Fields added to every request.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Whether it may be plain `http` outside this machine.
    #[serde(default)]
    pub allow_http: bool,
    /// The command that prints its token, for `exec`.
    #[serde(default)]
    pub command: Vec<String>,
    /// Where its assertion is, for `jwt_bearer`: `file:PATH`, `env:NAME` or `keyring:ITEM`.
    #[serde(default)]
    pub assertion: Option<String>,
    /// Who gives the assertion, for `token_exchange`.
    #[serde(default)]
    pub idp: Option<AddProvider>,
}

/// An identity provider of a new upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddProvider {
    /// Its token endpoint.
    pub token_endpoint: String,
    /// The client there.
    pub client_id: String,
    /// Where the token is that is exchanged, as the place of an assertion is written.
    #[serde(default)]
    pub subject_token: Option<String>,
}

/// Asks for a change of an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeUpstream {
    /// Switches it on or off.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Gives it another name.
    #[serde(default)]
    pub name: Option<String>,
}

/// `doorward/reloaded/v1`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Which document it is.
    pub schema: String,
    /// Upstreams that are new.
    pub added: Vec<String>,
    /// Upstreams that are gone.
    pub removed: Vec<String>,
    /// Upstreams that differ.
    pub changed: Vec<String>,
    /// Keys that differ and that only a restart brings into effect.
    pub restart: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

impl Reloaded {
    /// The document, for now without a change.
    pub fn unchanged() -> Self {
        Self {
            schema: "doorward/reloaded/v1".to_owned(),
            ..Self::default()
        }
    }
}
