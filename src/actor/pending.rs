//! Sign-ins under way, found by the digest of their `state` and of their ticket. A lookup by
//! digest takes the same time whatever is presented.

use std::sync::Arc;

use dashmap::DashMap;

use crate::model::id::AccountRef;
use crate::model::secret::TokenDigest;
use crate::model::time::Timestamp;

/// One sign-in that a browser may open and come back from.
#[derive(Debug)]
pub struct PendingEntry {
    /// Whose it is.
    pub account: AccountRef,
    /// The authorization request.
    pub authorize_url: String,
    /// Whether the server wants that before the browser comes (RFC 9126), each time anew.
    pub pushed: bool,
    /// Where the browser is to come back to.
    pub redirect_uri: String,
    /// The cookie that the browser which opened the link is given, and which must come back with
    /// the redirect: a `state` that leaked to somebody else is worth nothing.
    pub cookie: String,
    /// When it is over.
    pub expires: Timestamp,
}

/// All of them.
#[derive(Debug, Default)]
pub struct PendingLogins {
    by_state: DashMap<TokenDigest, Arc<PendingEntry>>,
    by_ticket: DashMap<TokenDigest, Arc<PendingEntry>>,
}

impl PendingLogins {
    /// Makes a sign-in findable.
    pub fn insert(&self, state: TokenDigest, ticket: TokenDigest, entry: Arc<PendingEntry>) {
        self.by_ticket.insert(ticket, Arc::clone(&entry));
        self.by_state.insert(state, entry);
    }

    /// The sign-in that a person opens with this ticket; good until the sign-in is over, since
    /// the daemon may open a browser and the person click the printed link as well.
    pub fn by_ticket(&self, ticket: &str, now: Timestamp) -> Option<Arc<PendingEntry>> {
        let entry = self.by_ticket.get(&TokenDigest::of(ticket.as_bytes()))?;
        (entry.expires >= now).then(|| Arc::clone(&entry))
    }

    /// The sign-in that a redirect with this `state` belongs to, without using it up.
    pub fn by_state(&self, state: &str, now: Timestamp) -> Option<Arc<PendingEntry>> {
        let entry = self.by_state.get(&TokenDigest::of(state.as_bytes()))?;
        (entry.expires >= now).then(|| Arc::clone(&entry))
    }

    /// Uses a `state` up: the first caller gets the sign-in, a second one nothing
    /// (RFC 6749 §10.12, RFC 9700 §4.7).
    pub fn take_state(&self, state: &str) -> Option<Arc<PendingEntry>> {
        self.by_state
            .remove(&TokenDigest::of(state.as_bytes()))
            .map(|(_, entry)| entry)
    }

    /// Gives the sign-in of `account` until `expires`.
    pub fn extend(&self, account: &AccountRef, expires: Timestamp) {
        for map in [&self.by_state, &self.by_ticket] {
            for mut entry in map.iter_mut().filter(|entry| entry.account == *account) {
                let longer = PendingEntry {
                    account: entry.account.clone(),
                    authorize_url: entry.authorize_url.clone(),
                    pushed: entry.pushed,
                    redirect_uri: entry.redirect_uri.clone(),
                    cookie: entry.cookie.clone(),
                    expires,
                };
                *entry.value_mut() = Arc::new(longer);
            }
        }
    }

    /// Forgets every sign-in of `account`.
    pub fn forget(&self, account: &AccountRef) {
        self.by_state.retain(|_, entry| entry.account != *account);
        self.by_ticket.retain(|_, entry| entry.account != *account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(expires: u64) -> Arc<PendingEntry> {
        Arc::new(PendingEntry {
            account: "linear".parse().expect("a name"),
            authorize_url: "https://as.example/authorize".into(),
            pushed: false,
            redirect_uri: "http://127.0.0.1:5177/oauth/callback".into(),
            cookie: "c".into(),
            expires: Timestamp::from_millis(expires),
        })
    }

    #[test]
    fn oc_state_single_use() {
        let logins = PendingLogins::default();
        logins.insert(
            TokenDigest::of(b"state"),
            TokenDigest::of(b"ticket"),
            entry(10),
        );
        assert!(logins.take_state("other").is_none());
        assert!(logins.take_state("state").is_some());
        assert!(logins.take_state("state").is_none());
    }

    #[test]
    fn a_ticket_is_good_up_to_its_last_instant() {
        let logins = PendingLogins::default();
        logins.insert(
            TokenDigest::of(b"state"),
            TokenDigest::of(b"ticket"),
            entry(10),
        );
        assert!(
            logins
                .by_ticket("ticket", Timestamp::from_millis(10))
                .is_some()
        );
        assert!(
            logins
                .by_ticket("ticket", Timestamp::from_millis(11))
                .is_none()
        );
        assert!(
            logins
                .by_state("state", Timestamp::from_millis(11))
                .is_none()
        );
        let account = "linear".parse().expect("a name");
        logins.extend(&account, Timestamp::from_millis(12));
        let later = Timestamp::from_millis(11);
        assert!(logins.by_ticket("ticket", later).is_some());
        assert!(logins.by_state("state", later).is_some());
        logins.forget(&account);
        assert!(
            logins
                .by_ticket("ticket", Timestamp::from_millis(1))
                .is_none()
        );
    }
}
