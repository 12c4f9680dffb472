//! What is said on the control socket: paths, requests and answers, shared by the daemon and the
//! commands. Answers are the documents that `-o json` prints; fields are added, never removed or
//! given another meaning.

mod device;
mod ending;
mod handed;
mod moment;
mod requests;
mod sessions;
mod sign_in;
#[cfg(test)]
mod tests;
mod upstreams;

use serde::{Deserialize, Serialize};

pub use device::*;
pub use ending::*;
pub use handed::*;
pub use moment::Moment;
pub use requests::*;
pub use sessions::*;
pub use sign_in::*;
pub use upstreams::*;

use crate::model::catalogue::{Code, Problem};
use crate::model::time::Timestamp;

/// The addresses on the control socket. `ACCOUNT` is `notion@work`, or `notion` for the default
/// account.
pub mod path {
    /// `GET`: [`super::Status`].
    pub const STATUS: &str = "/api/v1/status";
    /// `GET`: [`super::Upstreams`]; `POST` [`super::AddUpstream`]: [`super::UpstreamDetail`].
    pub const UPSTREAMS: &str = "/api/v1/upstreams";
    /// `GET`: [`super::Sessions`], with `?all=true` the ended ones too; `POST`
    /// [`super::Mint`]: [`super::Minted`].
    pub const SESSIONS: &str = "/api/v1/sessions";
    /// `POST` [`super::Revoke`]: [`super::Revoked`].
    pub const REVOKE: &str = "/api/v1/sessions:revoke";
    /// `POST`: [`super::Reloaded`].
    pub const RELOAD: &str = "/api/v1/reload";
    /// `POST` [`super::Shutdown`]: [`super::Stopping`].
    pub const SHUTDOWN: &str = "/api/v1/shutdown";
    /// `POST` [`super::HandOver`]: [`super::Stopping`], once the other one has the sockets.
    pub const HAND_OVER: &str = "/api/v1/handover";
    /// `GET`: [`super::DaemonVersion`].
    pub const VERSION: &str = "/api/v1/version";

    /// `GET`: [`super::UpstreamDetail`]; `PATCH` [`super::ChangeUpstream`]; `DELETE`.
    pub fn upstream(name: &str) -> String {
        format!("{UPSTREAMS}/{name}")
    }

    /// `POST` [`super::StartLogin`]: [`super::LoginStarted`]; `GET` with `?wait_ms=`:
    /// [`super::LoginProgress`], answered when the sign-in is over or the wait is.
    pub fn login(account: &str) -> String {
        format!("{UPSTREAMS}/{account}/login")
    }

    /// `POST` [`super::PasteLogin`]: [`super::LoginProgress`].
    pub fn paste(account: &str) -> String {
        format!("{UPSTREAMS}/{account}/login/paste")
    }

    /// `POST` [`super::Logout`]: [`super::LoggedOut`].
    pub fn logout(account: &str) -> String {
        format!("{UPSTREAMS}/{account}/logout")
    }

    /// `POST`: [`super::Refreshed`].
    pub fn refresh(account: &str) -> String {
        format!("{UPSTREAMS}/{account}/refresh")
    }

    /// `PUT` [`super::SetSecret`]: [`super::UpstreamDetail`].
    pub fn secret(name: &str) -> String {
        format!("{UPSTREAMS}/{name}/secret")
    }

    /// `POST`: [`super::TestReport`].
    pub fn test(account: &str) -> String {
        format!("{UPSTREAMS}/{account}/test")
    }

    /// `GET`: [`super::SessionDetail`]; the beginning of an id is enough.
    pub fn session(id: &str) -> String {
        format!("{SESSIONS}/{id}")
    }

    /// `POST`: [`super::SessionDetail`]; a use that calls nothing.
    pub fn renew(id: &str) -> String {
        format!("{SESSIONS}/{id}/renew")
    }
}

/// `doorward/status/v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Which document it is.
    pub schema: String,
    /// The daemon.
    pub daemon: Daemon,
    /// Totals.
    pub counts: Counts,
    /// Every account of every upstream.
    pub upstreams: Vec<Account>,
}

impl Status {
    /// The document, with its totals counted.
    pub fn new(daemon: Daemon, upstreams: Vec<Account>, sessions: &[Session]) -> Self {
        let count = |state| upstreams.iter().filter(|up| up.state == state).count();
        let lives = |session: &&Session| !session.state.is_over();
        let active = |session: &&Session| session.state == SessionState::Active;
        Self {
            schema: "doorward/status/v1".to_owned(),
            daemon,
            counts: Counts {
                sessions: sessions.iter().filter(lives).count(),
                active: sessions.iter().filter(active).count(),
                upstreams: upstreams.len(),
                need_login: count(AccountState::Login),
                failing: count(AccountState::Error),
            },
            upstreams,
        }
    }
}

/// The daemon as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// Running or not.
    pub state: DaemonState,
    /// Its version; `null` when it does not run.
    pub version: Option<String>,
    /// Its process.
    pub pid: Option<u32>,
    /// When it started.
    pub started_at: Option<Moment>,
    /// Where agents reach it.
    pub base_url: String,
    /// Its control socket.
    pub socket: String,
    /// Whether everything is locked.
    pub locked: bool,
    /// Where its secrets are.
    pub store: Option<Store>,
    /// What a person should know, such as that the store is a file or does not take writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Whether the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DaemonState {
    /// It does.
    Running,
    /// It finishes what it has begun.
    Stopping,
    /// It does not.
    Stopped,
}

/// Where secrets are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// `keychain`, `secret-service`, `file` or `memory`.
    pub kind: String,
    /// Whether it takes reads and writes.
    pub ok: bool,
    /// What is to be known about it.
    #[serde(default)]
    pub detail: Option<String>,
}

/// Totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Living sessions.
    pub sessions: usize,
    /// Those of them in use.
    pub active: usize,
    /// Accounts of upstreams.
    pub upstreams: usize,
    /// Accounts that need a person.
    pub need_login: usize,
    /// Accounts that fail.
    pub failing: usize,
}

/// What the daemon says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonVersion {
    /// Its version.
    pub version: String,
    /// When the program that it runs was written to the disk; unknown to old versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Moment>,
}

/// `doorward/version/v1`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Which document it is.
    pub schema: String,
    /// That of the command.
    pub version: String,
    /// The commit it was built from, where that is known.
    pub commit: Option<String>,
    /// The platform it was built for.
    pub target: String,
    /// Parts that can be left out of a build.
    pub features: Vec<String>,
    /// Revisions of MCP that it was made for.
    pub protocol_revisions: Vec<String>,
    /// The daemon, if one runs.
    pub daemon: Option<DaemonVersion>,
}

/// A problem inside another document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The entry of the catalogue.
    pub code: String,
    /// What happened.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do next.
    pub fix: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Moment>,
}

impl Trouble {
    /// `problem` as of `at`.
    pub fn new(problem: &Problem, at: Option<Timestamp>) -> Self {
        Self {
            code: problem.code().as_str().to_owned(),
            what: problem.what(),
            why: problem.why(),
            fix: problem.fix(),
            at: at.map(Moment),
        }
    }

    /// The entry, if this version knows it.
    pub fn code(&self) -> Option<Code> {
        self.code.parse().ok()
    }
}

/// An answer that is a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The problem.
    pub error: FailureDetail,
}

/// The problem of a [`Failure`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureDetail {
    /// The entry of the catalogue.
    pub code: String,
    /// What happened.
    pub message: String,
    /// Why.
    pub why: String,
    /// What to do next.
    pub fix: Option<String>,
    /// Under which the log has more.
    pub request_id: Option<String>,
}

impl Failure {
    /// `problem` as the answer to a request.
    pub fn new(problem: &Problem, request_id: Option<String>) -> Self {
        Self {
            error: FailureDetail {
                code: problem.code().as_str().to_owned(),
                message: problem.what(),
                why: problem.why(),
                fix: problem.fix(),
                request_id,
            },
        }
    }

    /// The exit code of a command that ends with it.
    pub fn exit(&self) -> u8 {
        let code: Result<Code, _> = self.error.code.parse();
        code.map_or(1, |code| code.entry().exit)
    }
}

impl From<&Problem> for Failure {
    fn from(problem: &Problem) -> Self {
        Self::new(problem, None)
    }
}
