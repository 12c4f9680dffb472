//! The commands against a running daemon: they ask on the control socket and print the answer.
//! Nothing is decided here, and no file of the daemon is read or written.

pub mod browser;
mod client;
mod daemon;
mod device;
mod login;
mod paste;
mod screen;
mod sessions;
mod status;
mod table;
mod upstreams;

use crate::api::{self, Failure};
use crate::model::catalogue::{Code, Problem};
use crate::model::nearest::nearest;

pub use client::Client;
pub use daemon::{ask_to_stop, reload, running, version};
pub use login::{LoginArguments, login, logout};
pub use screen::{Color, ColorWhen, Format, Screen, ScreenOptions};
pub use sessions::{
    ListArguments, MintArguments, MintForm, RevokeArguments, list as list_sessions, mint, renew,
    revoke, show as show_session,
};
pub use status::{StatusArguments, print_status, status};
pub use table::{Column, column};
pub use upstreams::{
    found as found_upstream, list as list_upstreams, print_list, refresh, show as show_upstream,
    test as test_upstream,
};

/// What a command needs.
pub struct Ctl {
    /// The daemon.
    pub client: Client,
    /// The person.
    pub screen: Screen,
}

/// Why a command did not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The daemon said so.
    #[error("{}", .0.error.message)]
    Failure(Box<Failure>),
    /// It was noticed here.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// A person said no.
    #[error("nothing was changed")]
    Declined,
    /// All has been said already; this is the exit code.
    #[error("exit code {0}")]
    Said(u8),
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl Fault {
    /// The exit code of ux.
    pub fn exit(&self) -> u8 {
        match self {
            Self::Failure(failure) => failure.exit(),
            Self::Problem(problem) => problem.entry().exit,
            Self::Declined => 6,
            Self::Said(code) => *code,
        }
    }

    /// Which entry of the catalogue it is.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Failure(failure) => failure.error.code.parse().ok(),
            Self::Problem(problem) => Some(problem.code()),
            Self::Declined | Self::Said(_) => None,
        }
    }

    /// The same as an entry of the catalogue, for somebody who is told in another way.
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Problem(problem) => *problem,
            Self::Failure(failure) => {
                let detail = failure.error;
                let code = detail.code.parse().unwrap_or(Code::Internal);
                let why = format!("{}: {}", detail.message, detail.why);
                let problem = Problem::new(code).because(why.trim_end_matches(": "));
                match detail.fix {
                    Some(fix) => problem.next_step(fix),
                    None => problem,
                }
            }
            other => Problem::new(Code::StartFailed).because(other),
        }
    }

    /// The same with another next step.
    #[must_use]
    pub fn with_next_step(self, fix: String) -> Self {
        match self {
            Self::Failure(mut failure) => {
                failure.error.fix = Some(fix);
                Self::Failure(failure)
            }
            Self::Problem(problem) => problem.next_step(fix).into(),
            other => other,
        }
    }

    /// Tells the person.
    pub fn tell(&self, screen: &Screen, spelling: Option<&str>) {
        match self {
            Self::Failure(failure) => screen.failure(failure, spelling),
            Self::Problem(problem) => screen.failure(&Failure::from(problem.as_ref()), spelling),
            Self::Declined => screen.say("Nothing was changed."),
            Self::Said(_) => {}
        }
    }
}

/// The end of a command: its exit code, or why it failed.
pub type Outcome = Result<u8, Fault>;

impl Ctl {
    /// The upstream that was probably meant by `name`, for a fault that says there is none.
    pub async fn spelling(&self, fault: &Fault, name: &str) -> Option<String> {
        let unknown = [Code::UpstreamUnknown, Code::AccountUnknown];
        if !fault.code().is_some_and(|code| unknown.contains(&code)) {
            return None;
        }
        let known: api::Upstreams = self.client.get(api::path::UPSTREAMS).await.ok()?;
        let mut names: Vec<String> = known.items.iter().map(api::Account::reference).collect();
        names.extend(known.items.iter().map(|account| account.name.clone()));
        nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
    }
}
