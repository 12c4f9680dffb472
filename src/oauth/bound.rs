//! Token requests with a proof of the key that the tokens are bound to (RFC 9449 §5).

use http::{HeaderName, HeaderValue};
use url::Url;

use super::classify::{bound_outcome, token_outcome, unsigned};
use super::token::read_error;
use super::wellknown;
use crate::http::{Answer, OwnClient, Request, TransportFault};
use crate::jose::{KeyFault, Prover};
use crate::model::fault::RefreshFailure;
use crate::model::token::NewTokens;

const PROOF: HeaderName = HeaderName::from_static("dpop");
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The tokens that such a request brings; without a key, those of the request as it is.
pub(super) async fn tokens(
    client: &OwnClient,
    prover: Option<&Prover>,
    endpoint: &Url,
    request: impl Fn() -> Result<Request, KeyFault>,
) -> Result<NewTokens, RefreshFailure> {
    let Some(prover) = prover else {
        return token_outcome(client.send(request().map_err(unsigned)?).await);
    };
    let answer = send(client, prover, endpoint, request).await;
    bound_outcome(answer.map_err(unsigned)?)
}

/// Sends what `request` makes to `endpoint`, with a proof. A server that wants
/// its nonce in the proof has refused the request for that alone, and nothing in it was used
/// (RFC 9449 §8): it is made once more, with the nonce.
async fn send(
    client: &OwnClient,
    prover: &Prover,
    endpoint: &Url,
    request: impl Fn() -> Result<Request, KeyFault>,
) -> Result<Result<Answer, TransportFault>, KeyFault> {
    let origin = wellknown::origin(endpoint);
    let first = client
        .send(proved(prover, &origin, endpoint, request()?)?)
        .await;
    let Ok(answer) = &first else {
        return Ok(first);
    };
    let wanted = remember(prover, &origin, answer)
        && (400..500).contains(&answer.status)
        && read_error(&answer.body).is_some_and(|code| code.0 == "use_dpop_nonce");
    if !wanted {
        return Ok(first);
    }
    let second = client
        .send(proved(prover, &origin, endpoint, request()?)?)
        .await;
    if let Ok(answer) = &second {
        remember(prover, &origin, answer);
    }
    Ok(second)
}

fn proved(
    prover: &Prover,
    origin: &str,
    endpoint: &Url,
    request: Request,
) -> Result<Request, KeyFault> {
    let mut bare = endpoint.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    let proof = prover.proof("POST", origin, bare.as_str(), None)?;
    let value = HeaderValue::from_str(&proof).map_err(|_| KeyFault::Refused)?;
    Ok(request.header(PROOF, value))
}

/// Takes note of the nonce in an answer; `false` where there is none.
fn remember(prover: &Prover, origin: &str, answer: &Answer) -> bool {
    let nonce = answer
        .headers
        .get(NONCE)
        .and_then(|value| value.to_str().ok());
    if let Some(nonce) = nonce {
        prover.remember(origin, nonce);
    }
    nonce.is_some()
}
