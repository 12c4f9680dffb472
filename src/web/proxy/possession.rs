//! Tokens that are bound to a key: each request to the upstream carries a proof of it (RFC 9449 §7).
//! Requests with other tokens never come here.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::challenge;
use crate::ledger::{Bound, Published};
use crate::model::route::Origin;

const PROOF: HeaderName = HeaderName::from_static("dpop");
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Puts the proof beside the token, where the token needs one. What it is for is the address
/// without its query (RFC 9449 §4.2, `htu`).
pub(in crate::web) fn prove(
    held: &Published,
    method: &Method,
    to: &Origin,
    path: &str,
    fields: &mut HeaderMap,
) {
    let Some(bound) = &held.bound else { return };
    let origin = written(to);
    let url = format!("{origin}{path}");
    let proof = bound
        .prover
        .proof(method.as_str(), &origin, &url, Some(&bound.hash));
    // Without a proof the upstream refuses it, which is told like every refusal.
    if let Ok(Ok(value)) = proof.map(|proof| HeaderValue::from_str(&proof)) {
        fields.insert(PROOF, value);
    }
}

/// Takes note of the nonce in an answer; `true` where the request was refused for want of that
/// nonce alone, so that it may be sent once more (RFC 9449 §9).
pub(in crate::web) fn is_worth_another(
    bound: &Bound,
    from: &Origin,
    status: StatusCode,
    fields: &HeaderMap,
) -> bool {
    let nonce = fields.get(NONCE).and_then(|value| value.to_str().ok());
    let Some(nonce) = nonce else { return false };
    // Another request may have brought the same one first: it need not be new.
    bound.prover.remember(&written(from), nonce);
    status == StatusCode::UNAUTHORIZED
        && challenge::parameter(fields, "error").is_some_and(|error| error == "use_dpop_nonce")
}

/// Where a server is, as proofs have it.
fn written(origin: &Origin) -> String {
    let scheme = if origin.secure { "https" } else { "http" };
    format!("{scheme}://{}", origin.authority)
}
