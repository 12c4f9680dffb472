//! Sessions and accounts as the documents of the control socket show them.

use std::time::Duration;

use crate::actor::account::AccountStatus;
use crate::actor::directory::Directory;
use crate::api;
use crate::api::Moment;
use crate::config::{Config, Upstream};
use crate::ledger::{Ledger, SessionCell, Spared};
use crate::model::catalogue::{Code, Problem};
use crate::model::fault::CredentialError;
use crate::model::id::AccountRef;
use crate::model::refresh::State;
use crate::model::secret::TokenDigest;
use crate::model::session::{Death, Grant, Liveness, Verdict, lapses_at};
use crate::model::time::Timestamp;

/// A session used in this time is active.
const ACTIVE: Duration = Duration::from_mins(5);

/// What the agent of a session was spared.
pub(super) fn kept_alive(cell: &SessionCell, ledger: &Ledger) -> api::KeptAlive {
    let times = |spared| {
        let tally = cell.keeping().tally(spared);
        api::Times {
            count: tally.count,
            last_at: tally.last.map(Moment),
        }
    };
    let waiting = ledger.mcp().waiting(cell.id());
    api::KeptAlive {
        waiting: waiting.iter().map(Into::into).collect(),
        stubbed: times(Spared::Absence),
        repaired: times(Spared::Loss),
        resumed: times(Spared::Break),
    }
}

/// One session.
pub(super) fn session(cell: &SessionCell, config: &Config, now: Timestamp) -> api::Session {
    let facts = cell.facts();
    let policy = cell.policy();
    let verdict = cell.verdict(now);
    let quiet = now.since(facts.last_used) > ACTIVE && facts.streams == 0;
    let state = match verdict {
        Verdict::Dead(Death::Revoked) => api::SessionState::Revoked,
        Verdict::Dead(_) => api::SessionState::Expired,
        Verdict::Live { .. } if quiet || cell.calls() == 0 && facts.streams == 0 => {
            api::SessionState::Idle
        }
        Verdict::Live { .. } => api::SessionState::Active,
    };
    let grant = match &*cell.grant() {
        Grant::Only(accounts) => accounts.iter().map(Into::into).collect(),
        Grant::All => config
            .accounts()
            .map(|(_, account)| (&account).into())
            .collect(),
    };
    let held_off = facts.streams > 0 || facts.bound == Liveness::Alive;
    let ending = cell.ending();
    api::Session {
        id: cell.id().to_string(),
        label: cell.label().map(ToOwned::to_owned),
        client: cell.client().map(|name| api::Client {
            name: name.to_owned(),
            version: None,
            user_agent: None,
        }),
        origin: cell.origin(),
        state,
        grant,
        grant_all: *cell.grant() == Grant::All,
        created_at: Moment(cell.minted()),
        last_used_at: (cell.calls() > 0).then_some(Moment(facts.last_used)),
        expires_at: Moment(lapses_at(&facts, policy)),
        idle_expires_at: (!held_off).then(|| Moment(facts.last_used.plus(policy.idle))),
        max_expires_at: policy.max_age.map(|age| Moment(cell.minted().plus(age))),
        bound: cell.bound().map(|process| api::Bound {
            pid: process.pid,
            exe: process.exe.clone(),
            cwd_label: None,
            alive: facts.bound == Liveness::Alive && ending.is_none(),
        }),
        counters: api::Counters {
            calls: cell.calls(),
            errors: cell.errors(),
            bytes_in: cell.bytes_in(),
            bytes_out: cell.bytes_out(),
            streams_open: facts.streams.into(),
        },
        parent: None,
        ended_at: ending.map(|ending| Moment(ending.at)),
        ended_by: ending.map(|ending| ending.by),
        ended_reason: ending.and_then(|ending| ending.reason.clone()),
        fingerprint: cell.digest().fingerprint(),
        later_fingerprints: cell.later().iter().map(TokenDigest::fingerprint).collect(),
    }
}

/// One account.
pub(super) fn account(
    directory: &Directory,
    upstream: &Upstream,
    account: &AccountRef,
    status: Option<&AccountStatus>,
) -> api::Account {
    let deps = directory.deps();
    let now = deps.clock.now();
    let reaches = |cell: &SessionCell| {
        cell.may_reach(account) && matches!(cell.verdict(now), Verdict::Live { .. })
    };
    let sessions = deps
        .ledger
        .sessions()
        .iter()
        .filter(|cell| reaches(cell))
        .count();
    let (state, problem) = match status {
        _ if !upstream.enabled => (api::AccountState::Disabled, None),
        None => {
            let detail = "its actor failed five times in a minute; it is back after a reload";
            let broken = Problem::new(Code::Internal).with("detail", detail);
            (api::AccountState::Error, Some(broken))
        }
        Some(status) => judge(account, status, now),
    };
    let slot = deps.ledger.slot(account);
    // What the person can do something about comes before what only time may mend.
    let failing = slot.failing().filter(|_| state.is_usable());
    let (state, problem, at) = match failing {
        Some(failing) => {
            let problem = failing.problem.clone();
            (api::AccountState::Error, Some(problem), Some(failing.at))
        }
        None => (state, problem, None),
    };
    let managed = upstream.auth.is_managed();
    let token = status
        .filter(|status| managed && status.refreshed.is_some())
        .map(|status| api::Token {
            expires_at: status.expires.map(Moment),
            refreshed_at: status.refreshed.map(Moment),
            refreshable: status.refreshable,
        });
    api::Account {
        name: upstream.name.to_string(),
        account: account.account.to_string(),
        label: upstream.label.clone(),
        url: upstream.url.as_str().to_owned(),
        local_url: format!("{}/u/{account}", deps.origin),
        auth: upstream.auth.kind().to_owned(),
        state,
        identity: status.and_then(|status| status.identity.clone()),
        scopes: status
            .map(|status| status.scopes.clone())
            .unwrap_or_default(),
        token,
        last_used_at: slot.last_used().map(Moment),
        sessions,
        problem: problem.map(|problem| api::Trouble::new(&problem, at)),
    }
}

fn judge(
    account: &AccountRef,
    status: &AccountStatus,
    now: Timestamp,
) -> (api::AccountState, Option<Problem>) {
    let of = |error: &CredentialError| Some(Problem::of_credential(account, error, now));
    match &status.state {
        None | Some(State::Ready | State::Cold) => {
            let day = Duration::from_hours(24);
            let ends = status.expires.is_some_and(|end| end <= now.plus(day));
            if status.state.is_some() && !status.refreshable && ends {
                (api::AccountState::Expiring, None)
            } else {
                (api::AccountState::Ready, None)
            }
        }
        Some(State::Refreshing { .. }) => (api::AccountState::Refreshing, None),
        Some(State::Degraded {
            cause,
            attempts,
            retry_at,
            ..
        }) => {
            let error = CredentialError::Unavailable {
                cause: cause.clone(),
                attempts: *attempts,
                retry_at: *retry_at,
            };
            (api::AccountState::Error, of(&error))
        }
        Some(State::SignedOut { reason, .. }) => (
            api::AccountState::Login,
            of(&CredentialError::LoginRequired(reason.clone())),
        ),
        Some(State::RejectedByResource { since }) => {
            let error = CredentialError::RejectedByResource { since: *since };
            (api::AccountState::Error, of(&error))
        }
    }
}
