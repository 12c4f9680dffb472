//! What requests leave behind, written down: MCP sessions, so that agents go on after a restart,
//! and the last good answers of servers, for agents that begin while those cannot be asked.

use std::collections::HashMap;
use std::time::Duration;

use tracing::warn;

use crate::actor::directory::Directory;
use crate::model::id::AccountRef;
use crate::model::mcp::{McpRecord, Opener, SignedIn};
use crate::model::record::AnswersRecord;
use crate::store::{StoreError, Traces};

/// How long more of it is waited for before it is written.
const TOGETHER: Duration = Duration::from_millis(100);

/// Writes down what there is, as it comes. Goes on until it is dropped.
pub(super) async fn keep(directory: Directory) {
    loop {
        let ledger = &directory.deps().ledger;
        tokio::select! {
            () = ledger.memory().changed() => {}
            () = ledger.mcp().changed() => {}
        }
        tokio::time::sleep(TOGETHER).await;
        write(&directory).await;
    }
}

/// Writes down what there is now.
pub(super) async fn write(directory: &Directory) {
    let deps = directory.deps();
    let signed_in = match signed_in(directory).await {
        Ok(signed_in) => signed_in,
        Err(error) => return warn!(%error, "what agents may go on with is not saved"),
    };
    // Nothing is waited for from here until the store has it: this may be dropped at any wait.
    let answers = deps.ledger.memory().take_unwritten();
    let sessions = deps.ledger.mcp().take_unwritten();
    let mut traces = Traces::default();
    for (account, answers) in answers {
        traces.answers.push(AnswersRecord { account, answers });
    }
    for (key, session) in sessions {
        let record = session.and_then(|session| {
            let now = deps.ledger.slot(&session.account).epoch();
            session.record(Some(now), signed_in.get(&session.account).cloned())
        });
        traces.mcp_sessions.push((key.to_string(), record));
    }
    if traces.is_empty() {
        return;
    }
    if let Err(error) = deps.store.put_traces(traces).await {
        warn!(%error, "what agents may go on with is not saved");
    }
}

/// Puts into the ledger what an earlier run has written down, and forgets the sessions that
/// nobody can use any more.
pub(super) async fn restore(directory: &Directory) -> Result<(), StoreError> {
    let deps = directory.deps();
    let memory = deps.ledger.memory();
    for record in deps.store.answers().await? {
        memory.restore(record.account, record.answers);
    }
    let signed_in = signed_in(directory).await?;
    let alive = |record: &McpRecord| match record.by {
        Opener::One(Some(id)) => deps
            .ledger
            .session_by_id(id)
            .is_some_and(|cell| cell.ending().is_none()),
        Opener::One(None) | Opener::Several => true,
    };
    let sessions = deps.ledger.mcp();
    for record in deps.store.mcp_sessions().await? {
        if alive(&record) && record.lasts(signed_in.get(&record.account)) {
            let under = deps.ledger.slot(&record.account).epoch();
            sessions.restore(record, Some(under));
        } else {
            sessions.forget(&record);
        }
    }
    Ok(())
}

/// Who is signed in.
async fn signed_in(directory: &Directory) -> Result<HashMap<AccountRef, SignedIn>, StoreError> {
    let grants = directory.deps().store.grants().await?;
    let grants = grants.into_iter().map(|(grant, _)| {
        let signed_in = SignedIn {
            at: grant.signed_in,
            issuer: grant.issuer,
            who: grant.identity,
        };
        (grant.account, signed_in)
    });
    Ok(grants.collect())
}
