//! Client authentication by a signed statement, `private_key_jwt` (RFC 7523 §2.2 and §3, OpenID
//! Connect Core §9).

use serde_json::{Map, json};

use crate::jose::{Freshness, KeyFault, SigningKey};
use crate::model::record::ClientRecord;

/// `client_assertion_type` (RFC 7523 §2.2).
pub(super) const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long an assertion is good for, in seconds: one request, on clocks that differ a little.
const LIFE: u64 = 120;

/// The statement that whoever sends it is `client`. It is addressed to the issuer alone
/// (draft-ietf-oauth-rfc7523bis §4): another server could pass on one that is addressed to more.
pub(super) fn of(client: &ClientRecord, fresh: &Freshness) -> Result<String, KeyFault> {
    let own = client.key.as_ref().ok_or(KeyFault::NoKey)?;
    let key = SigningKey::read(&own.key)?;
    let mut header = Map::new();
    header.insert("typ".to_owned(), "JWT".into());
    if let Some(id) = &own.id {
        header.insert("kid".to_owned(), id.as_str().into());
    }
    let now = fresh.seconds();
    let claims = json!({
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": client.issuer,
        "jti": fresh.id(),
        "iat": now,
        "exp": now + LIFE,
    });
    let claims = claims.as_object().expect("written as an object above");
    key.sign(header, claims)
}
