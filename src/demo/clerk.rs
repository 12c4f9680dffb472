//! The books of the demo's authorization server: it rotates refresh tokens, and takes the second
//! use of one for theft (RFC 9700 section 4.14.2).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};

use crate::clock::{Clock, Random};
use crate::model::time::Timestamp;

/// Issues and checks.
pub(super) struct Clerk {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    life: Duration,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    /// The redirect URIs of each client.
    clients: HashMap<String, Vec<String>>,
    codes: HashMap<String, Code>,
    /// Every refresh token that was ever issued, and whether it was used.
    refresh: HashMap<String, Issued>,
    access: HashMap<String, Access>,
    grants: u64,
    seen: Seen,
}

struct Code {
    client: String,
    redirect: String,
    challenge: String,
}

struct Issued {
    grant: u64,
    spent: bool,
}

struct Access {
    grant: u64,
    expires: Timestamp,
}

/// What the authorization server saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Authorization codes that were exchanged.
    pub(super) sign_ins: u64,
    /// Refreshes that were granted.
    pub(super) refreshes: u64,
    /// Refresh tokens that were presented again.
    pub(super) reuses: u64,
}

/// A pair of tokens.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) access: String,
    pub(super) refresh: String,
    pub(super) life: Duration,
}

/// Why there is no pair; its words are those of RFC 6749 section 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    InvalidClient,
    InvalidGrant,
}

impl Denied {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
        }
    }
}

impl Clerk {
    pub(super) fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>, life: Duration) -> Self {
        Self {
            clock,
            random,
            life,
            books: Mutex::default(),
        }
    }

    /// No entry is ever half made, so the books of a thread that panicked can be used.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> String {
        let mut bytes = [0; 24];
        self.random.fill(&mut bytes);
        Base64UrlUnpadded::encode_string(&bytes)
    }

    /// Registers a client.
    pub(super) fn register(&self, redirects: Vec<String>) -> String {
        let client = self.fresh();
        self.books().clients.insert(client.clone(), redirects);
        client
    }

    /// A code for a person who says yes, or nothing where the client may not ask so.
    pub(super) fn authorize(
        &self,
        client: &str,
        redirect: &str,
        challenge: &str,
    ) -> Option<String> {
        let code = self.fresh();
        let mut books = self.books();
        let known = books.clients.get(client)?;
        known.iter().find(|known| *known == redirect)?;
        books.codes.insert(
            code.clone(),
            Code {
                client: client.to_owned(),
                redirect: redirect.to_owned(),
                challenge: challenge.to_owned(),
            },
        );
        Some(code)
    }

    /// Exchanges a code, once (RFC 6749 section 4.1.3, RFC 7636 section 4.6).
    pub(super) fn exchange(
        &self,
        client: &str,
        code: &str,
        redirect: &str,
        verifier: &str,
    ) -> Result<Pair, Denied> {
        let taken = self.books().codes.remove(code);
        let code = taken.ok_or(Denied::InvalidGrant)?;
        let proof = Base64UrlUnpadded::encode_string(&Sha256::digest(verifier));
        if code.client != client || code.redirect != redirect || code.challenge != proof {
            return Err(Denied::InvalidGrant);
        }
        self.books().seen.sign_ins += 1;
        Ok(self.grant())
    }

    /// A pair of a grant of its own.
    pub(super) fn grant(&self) -> Pair {
        let grant = {
            let mut books = self.books();
            books.grants += 1;
            books.grants
        };
        self.issue(grant)
    }

    fn issue(&self, grant: u64) -> Pair {
        let (access, refresh) = (self.fresh(), self.fresh());
        let now = self.clock.now();
        let expires = now.plus(self.life);
        let mut books = self.books();
        books.access.retain(|_, access| access.expires >= now);
        books
            .access
            .insert(access.clone(), Access { grant, expires });
        let issued = Issued {
            grant,
            spent: false,
        };
        books.refresh.insert(refresh.clone(), issued);
        Pair {
            access,
            refresh,
            life: self.life,
        }
    }

    /// Exchanges a refresh token for the next pair. One that comes again ends its grant.
    pub(super) fn refresh(&self, client: &str, token: &str) -> Result<Pair, Denied> {
        let grant = {
            let mut books = self.books();
            if !books.clients.contains_key(client) {
                return Err(Denied::InvalidClient);
            }
            let issued = books.refresh.get_mut(token).ok_or(Denied::InvalidGrant)?;
            let grant = issued.grant;
            if std::mem::replace(&mut issued.spent, true) {
                books.seen.reuses += 1;
                books.end(grant);
                return Err(Denied::InvalidGrant);
            }
            books.seen.refreshes += 1;
            grant
        };
        Ok(self.issue(grant))
    }

    /// Ends the grant that `token` belongs to (RFC 7009).
    pub(super) fn revoke(&self, token: &str) {
        let mut books = self.books();
        let by_refresh = books.refresh.get(token).map(|issued| issued.grant);
        let by_access = books.access.get(token).map(|access| access.grant);
        if let Some(grant) = by_refresh.or(by_access) {
            books.end(grant);
        }
    }

    /// Whether an access token is good now.
    pub(super) fn admits(&self, access: &str) -> bool {
        let now = self.clock.now();
        let books = self.books();
        books
            .access
            .get(access)
            .is_some_and(|access| now < access.expires)
    }

    /// What was seen so far.
    pub(super) fn seen(&self) -> Seen {
        self.books().seen
    }
}

impl Books {
    fn end(&mut self, grant: u64) {
        self.access.retain(|_, access| access.grant != grant);
        self.refresh.retain(|_, issued| issued.grant != grant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, SystemRandom};

    const BACK: &str = "http://127.0.0.1:1/callback";

    fn signed_in() -> (Arc<ManualClock>, Clerk, String, Pair) {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000)));
        let (own, random) = (Arc::clone(&clock), Arc::new(SystemRandom));
        let clerk = Clerk::new(own, random, Duration::from_secs(5));
        let client = clerk.register(vec![BACK.to_owned()]);
        let challenge = Base64UrlUnpadded::encode_string(&Sha256::digest("verifier"));
        let code = clerk.authorize(&client, BACK, &challenge).expect("a code");
        let pair = clerk
            .exchange(&client, &code, BACK, "verifier")
            .expect("a pair");
        let again = clerk.exchange(&client, &code, BACK, "verifier");
        assert_eq!(again.expect_err("used"), Denied::InvalidGrant);
        (clock, clerk, client, pair)
    }

    #[test]
    fn an_access_token_dies_at_its_time() {
        let (clock, clerk, _, pair) = signed_in();
        clock.advance(Duration::from_millis(4_999));
        assert!(clerk.admits(&pair.access));
        clock.advance(Duration::from_millis(1));
        assert!(!clerk.admits(&pair.access));
    }

    #[test]
    fn the_second_use_of_a_refresh_token_ends_the_grant() {
        let (_, clerk, client, first) = signed_in();
        let second = clerk.refresh(&client, &first.refresh).expect("rotated");
        assert!(clerk.admits(&second.access));
        let thief = clerk.refresh(&client, &first.refresh);
        assert_eq!(thief.expect_err("used"), Denied::InvalidGrant);
        assert!(!clerk.admits(&second.access));
        clerk.refresh(&client, &second.refresh).expect_err("ended");
        let seen = Seen {
            sign_ins: 1,
            refreshes: 1,
            reuses: 1,
        };
        assert_eq!(clerk.seen(), seen);
    }

    #[test]
    fn a_code_needs_its_verifier_and_a_registered_address() {
        let (_, clerk, client, _) = signed_in();
        assert!(
            clerk
                .authorize(&client, "http://127.0.0.1:2/", "x")
                .is_none()
        );
        let code = clerk
            .authorize(&client, BACK, "not the hash")
            .expect("a code");
        let stolen = clerk.exchange(&client, &code, BACK, "verifier");
        assert_eq!(stolen.expect_err("no proof"), Denied::InvalidGrant);
    }
}
