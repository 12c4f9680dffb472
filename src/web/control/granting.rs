//! What a new session may reach: what was asked for, but inside of another session no more than that
//! one may, and in a project no more than its file names.

use std::sync::Arc;

use super::{Control, Refused, named};
use crate::api;
use crate::config::Config;
use crate::ledger::SessionCell;
use crate::model::catalogue::{Code, Problem};
use crate::model::id::AccountRef;
use crate::model::session::Grant;

/// A grant, and what a project named in vain.
pub(super) struct Granted {
    pub(super) grant: Grant,
    pub(super) lacking: Vec<String>,
}

/// The grant of `asked`, inside of `parent` where there is one.
pub(super) fn grant(
    control: &Control,
    asked: &api::Mint,
    parent: Option<Arc<SessionCell>>,
) -> Result<Granted, Refused> {
    let config = control.directory.deps().config.load();
    let wide = match parent.as_deref() {
        Some(parent) => (*parent.grant()).clone(),
        None => config.sessions.default_grant.clone(),
    };
    let (named_in, mut lacking) = match &asked.within {
        Some(within) => project(&config, within),
        None => (None, Vec::new()),
    };
    if asked.upstreams.is_empty() {
        let Some(accounts) = named_in else {
            return Ok(Granted {
                grant: wide,
                lacking,
            });
        };
        let (mine, others): (Vec<_>, Vec<_>) = accounts
            .into_iter()
            .partition(|account| wide.covers(account));
        lacking.extend(others.iter().map(ToString::to_string));
        let grant = Grant::Only(mine);
        return Ok(Granted { grant, lacking });
    }
    let mut accounts = Vec::new();
    for name in &asked.upstreams {
        let account = named(control, name)?.1;
        if let Some(parent) = parent.as_deref().filter(|it| !it.may_reach(&account)) {
            return Err(outside(parent, &account));
        }
        if let (Some(left), Some(within)) = (&named_in, &asked.within)
            && !left.contains(&account)
        {
            let problem = Problem::new(Code::NotInProject)
                .with("upstream", &account)
                .with("file", &within.file);
            return Err(Refused(problem));
        }
        if !accounts.contains(&account) {
            accounts.push(account);
        }
    }
    let grant = Grant::Only(accounts);
    Ok(Granted { grant, lacking })
}

/// The accounts that a project leaves, if it says so, and the names that mean none.
fn project(config: &Config, within: &api::Within) -> (Option<Vec<AccountRef>>, Vec<String>) {
    let Some(names) = &within.upstreams else {
        return (None, Vec::new());
    };
    let (mut accounts, mut lacking) = (Vec::new(), Vec::new());
    for name in names {
        match config.account(name) {
            Some((_, account)) if !accounts.contains(&account) => accounts.push(account),
            Some(_) => {}
            None => lacking.push(name.clone()),
        }
    }
    (Some(accounts), lacking)
}

fn outside(parent: &SessionCell, account: &AccountRef) -> Refused {
    Refused(
        Problem::new(Code::NotGranted)
            .with("id", parent.id())
            .with("upstream", account)
            .because("a session minted inside of it may reach no more than it may")
            .next_step("doorward session mint, outside of it"),
    )
}
