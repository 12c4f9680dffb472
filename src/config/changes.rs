//! What differs between two configurations, upstream by upstream.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::types::{Config, Upstream};
use crate::model::id::UpstreamName;

/// The way from one configuration to another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Upstreams that are new.
    pub added: Vec<Arc<Upstream>>,
    /// Upstreams that are gone.
    pub removed: Vec<UpstreamName>,
    /// Upstreams that differ.
    pub changed: Vec<Change>,
    /// Whether the listening address differs, which a running daemon cannot follow.
    pub address: bool,
    /// Whether the place of the secrets differs, which a running daemon cannot follow either.
    pub store: bool,
}

/// One upstream that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What it is now.
    pub upstream: Arc<Upstream>,
    /// Whether credentials of the old one must not be used for the new one: another address,
    /// another authorization server, another client.
    pub identity: bool,
}

impl Changes {
    /// The way from `old` to `new`.
    pub fn between(old: &Config, new: &Config) -> Self {
        let mut changes = Self {
            address: (old.server.bind, old.server.port) != (new.server.bind, new.server.port),
            store: old.store != new.store,
            ..Self::default()
        };
        for (name, upstream) in &new.upstreams {
            match old.upstreams.get(name) {
                None => changes.added.push(Arc::clone(upstream)),
                Some(before) if before != upstream => changes.changed.push(Change {
                    upstream: Arc::clone(upstream),
                    identity: before.url != upstream.url || before.auth != upstream.auth,
                }),
                Some(_) => {}
            }
        }
        let gone = |name: &&UpstreamName| !new.upstreams.contains_key(*name);
        changes.removed = old.upstreams.keys().filter(gone).cloned().collect();
        changes
    }

    /// Whether no upstream differs.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// Goes the way.
    pub fn apply(&self, upstreams: &mut BTreeMap<UpstreamName, Arc<Upstream>>) {
        for name in &self.removed {
            upstreams.remove(name);
        }
        let changed = self.changed.iter().map(|change| &change.upstream);
        for upstream in self.added.iter().chain(changed) {
            upstreams.insert(upstream.name.clone(), Arc::clone(upstream));
        }
    }
}
