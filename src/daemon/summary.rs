//! What `SIGUSR1` asks for: the state of everything in one line of the log.

use std::collections::BTreeMap;

use tracing::info;

use crate::web::control::{Control, overview};

/// Writes the line. No name and no identity is in it: a log may be shown to others.
pub(super) async fn log(control: &Control) {
    let whole = overview(control).await;
    let mut states = BTreeMap::new();
    for account in &whole.upstreams {
        *states.entry(account.state.as_str()).or_insert(0_usize) += 1;
    }
    let states: Vec<_> = states
        .iter()
        .map(|(word, n)| format!("{word} {n}"))
        .collect();
    let store_ok = whole.daemon.store.is_some_and(|store| store.ok);
    info!(
        sessions = whole.counts.sessions,
        active = whole.counts.active,
        upstreams = whole.counts.upstreams,
        states = states.join(", "),
        store_ok,
        "state"
    );
}
