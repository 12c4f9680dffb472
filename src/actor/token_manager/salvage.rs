//! New tokens between their arrival and the store. The one before them is spent, so they are all
//! there is of a sign-in; should the actor die over them, they still reach the store.

use crate::model::record::GrantRecord;
use crate::model::secret::RefreshToken;
use crate::store::Store;

/// What a death must not lose. Dropped while it holds a grant, it sends that to the store.
pub(super) struct Salvage {
    store: Store,
    /// The refresh token that is stored: where another one is by then, somebody signed in or out.
    stored: Option<RefreshToken>,
    grant: Option<GrantRecord>,
}

impl Salvage {
    /// Holds nothing yet; the store holds a grant with this refresh token.
    pub(super) fn new(store: Store, stored: Option<RefreshToken>) -> Self {
        Self {
            store,
            stored,
            grant: None,
        }
    }

    /// Holds `grant` from here on.
    pub(super) fn hold(&mut self, grant: GrantRecord) {
        self.grant = Some(grant);
    }

    /// Holds nothing any more: it is stored, or nobody may have it.
    pub(super) fn release(salvage: Option<Self>) {
        if let Some(mut salvage) = salvage {
            salvage.grant = None;
        }
    }
}

impl Drop for Salvage {
    fn drop(&mut self) {
        if let Some(grant) = self.grant.take() {
            self.store
                .replace_grant_unattended(self.stored.take(), grant);
        }
    }
}
