//! A new configuration under a daemon that serves.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::failed;
use crate::actor::directory::Directory;
use crate::api;
use crate::config::{self, Changes, Inputs};
use crate::transport::TlsTrust;
use crate::web::AgentState;
use crate::web::control::Reload;
use crate::web::plan::Plan;

/// Loads the configuration again and lets everybody know; any problem keeps the old one.
pub(super) fn reloader(
    directory: &Directory,
    state: &Arc<AgentState>,
    inputs: &Arc<Inputs>,
    local: SocketAddr,
    trust: TlsTrust,
) -> Reload {
    let (directory, state, inputs) = (directory.clone(), Arc::clone(state), Arc::clone(inputs));
    let one_at_a_time = Mutex::new(());
    Arc::new(move || {
        let _turn = one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let deps = directory.deps();
        let loaded = config::load(&inputs).map_err(|error| error.problem())?;
        let old = deps.config.load_full();
        let changes = Changes::between(&old, &loaded.config);
        let plan = Plan::of_config(&loaded.config, local, &deps.ledger, &trust)
            .map_err(|error| failed("an upstream's address cannot be used", error))?;
        let config = Arc::new(loaded.config);
        deps.config.store(Arc::clone(&config));
        directory.forgive();
        let wanted: Vec<_> = config.accounts().map(|(_, account)| account).collect();
        for account in directory.accounts() {
            let anew = changes
                .changed
                .iter()
                .any(|change| change.identity && change.upstream.name == account.upstream);
            if wanted.contains(&account) && !anew {
                directory.reconfigure(&account);
            } else {
                // A changed upstream gets a new manager, which looks at what is stored for it.
                directory.close_account(&account);
            }
        }
        for account in &wanted {
            directory.open_account(account);
        }
        state.plan.store(Arc::new(plan));
        let mut report = api::Reloaded::unchanged();
        report.added = changes
            .added
            .iter()
            .map(|upstream| upstream.name.to_string())
            .collect();
        report.removed = changes.removed.iter().map(ToString::to_string).collect();
        report.changed = changes
            .changed
            .iter()
            .map(|change| change.upstream.name.to_string())
            .collect();
        if changes.address {
            report.restart.push("server.bind and server.port".into());
        }
        if changes.store {
            report.restart.push("store".into());
        }
        report.warnings = loaded.warnings;
        Ok(report)
    })
}
