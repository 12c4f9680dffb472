//! A session that was minted and a sign-in that was made just now, as the store has them. Whoever
//! is about one of their fields changes that one; the benches share them.

use doorward::model::id::{AccountRef, Generation, SessionId};
use doorward::model::record::{
    ClientAuth, ClientOrigin, ClientRecord, GrantRecord, SessionOrigin, SessionRecord,
};
use doorward::model::secret::{RefreshToken, SessionToken};
use doorward::model::session::{Grant, SessionPolicy};
use doorward::model::time::Timestamp;

/// The session of this number, which may reach everything, and its credential.
pub(crate) fn session(number: u64, now: Timestamp) -> (SessionToken, SessionRecord) {
    let id = SessionId::from_random(number);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let token = SessionToken::from_random(&id.digits(), &bytes);
    let record = SessionRecord {
        id,
        digest: token.digest(),
        label: None,
        client: None,
        origin: SessionOrigin::Mint,
        grant: Grant::All,
        policy: SessionPolicy::default(),
        minted: now,
        last_used: now,
        calls: 0,
        bound: None,
        ended: None,
    };
    (token, record)
}

/// The first sign-in of `account`, for the upstream at `url`, by a client that was configured.
pub(crate) fn sign_in(
    account: &AccountRef,
    issuer: &str,
    url: &str,
    refresh: &str,
    now: Timestamp,
) -> GrantRecord {
    GrantRecord {
        account: account.clone(),
        token_endpoint: format!("{issuer}/token"),
        revocation_endpoint: None,
        client: ClientRecord {
            issuer: issuer.to_owned(),
            redirect_uri: "http://127.0.0.1:5177/oauth/callback".to_owned(),
            client_id: "a client".to_owned(),
            client_secret: None,
            key: None,
            secret_expires: None,
            auth: ClientAuth::None,
            origin: ClientOrigin::Configured,
            management: None,
            created: now,
        },
        issuer: issuer.to_owned(),
        resource: None,
        upstream_url: url.to_owned(),
        scopes: Vec::new(),
        refresh: Some(RefreshToken::new(refresh)),
        dpop: None,
        generation: Generation(1),
        identity: None,
        signed_in: now,
        refreshed: now,
        expires: None,
    }
}
