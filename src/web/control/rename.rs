//! Gives an upstream another name. Its sign-ins and what sessions may reach go with it: both hold
//! under the old and the new name before the name changes, and under the new one only after it,
//! so that no crash in between loses anything.

use std::sync::Arc;

use super::upstreams::edited;
use super::{Control, Refused};
use crate::config::Upstream;
use crate::ledger::SessionCell;
use crate::model::catalogue::{Code, Problem};
use crate::model::id::{AccountRef, UpstreamName};
use crate::model::record::GrantRecord;
use crate::model::session::Grant;
use crate::store::StoreError;

pub(super) async fn rename(
    control: &Control,
    upstream: &Upstream,
    wanted: &UpstreamName,
) -> Result<(), Refused> {
    let (directory, deps) = (&control.directory, control.directory.deps());
    if let Some(present) = deps.config.load().upstreams.get(wanted) {
        let exists = Problem::new(Code::UpstreamExists).with("name", wanted);
        return Err(Refused(exists.with("url", present.url.as_str())));
    }
    // A session that is minted meanwhile would be granted a name that is about to go.
    let _turn = directory.minting().alone().await;
    let accounts: Vec<_> = upstream.account_refs().collect();
    // A refresh that runs may bring another token than the one that is stored now.
    for account in &accounts {
        directory.close_account(account);
    }
    directory.settle().await;
    let renamed = async {
        copy_sign_ins(control, &accounts, wanted).await?;
        let both = |grant: &Grant| grant.under_both_names(&upstream.name, wanted);
        regrant(control, both).await?;
        edited(control, |edition| edition.rename(&upstream.name, wanted))
    };
    if let Err(refused) = renamed.await {
        for account in &accounts {
            directory.open_account(account);
        }
        // Best effort: a name that leads nowhere opens nothing.
        let _ = regrant(control, |grant| grant.without(wanted)).await;
        return Err(refused);
    }
    regrant(control, |grant| grant.without(&upstream.name)).await?;
    for account in &accounts {
        deps.store.forget_account(account).await.map_err(failed)?;
    }
    Ok(())
}

async fn copy_sign_ins(
    control: &Control,
    accounts: &[AccountRef],
    wanted: &UpstreamName,
) -> Result<(), Refused> {
    let store = &control.directory.deps().store;
    for (grant, _) in store.grants().await.map_err(failed)? {
        if accounts.contains(&grant.account) {
            let account = AccountRef {
                upstream: wanted.clone(),
                account: grant.account.account.clone(),
            };
            let moved = GrantRecord { account, ..grant };
            store.put_grant(moved).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Changes what sessions may reach, of those for which `change` gives something else.
async fn regrant(
    control: &Control,
    change: impl Fn(&Grant) -> Option<Grant>,
) -> Result<(), Refused> {
    let lives = |cell: &Arc<SessionCell>| cell.ending().is_none();
    let sessions = control.directory.deps().ledger.sessions();
    for cell in sessions.into_iter().filter(lives) {
        if let Some(grant) = change(&cell.grant()) {
            let written = control.directory.regrant(&cell, grant).await;
            written.map_err(failed)?;
        }
    }
    Ok(())
}

fn failed(error: StoreError) -> Refused {
    Refused(Problem::new(Code::StoreFailed).with("detail", error))
}
