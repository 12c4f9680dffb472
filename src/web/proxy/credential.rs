//! The upstream credential of one request: the published one where it is usable, else whatever
//! the account's token manager can bring about within the patience of this kind of request.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::super::AgentState;
use super::super::routes::RouteEntry;
use super::message::Kind;
use crate::ledger::Published;
use crate::model::fault::{CredentialError, LoginReason, TransientCause};
use crate::model::id::Generation;
use crate::model::token::Freshness;

/// How long a handshake waits for a credential: all agent programs take any error there as the
/// end of the server, and the shortest of their patiences is ten seconds (decision D10).
pub(super) const HANDSHAKE_HOLD: Duration = Duration::from_secs(8);

/// The published credential, if it can be used now. An aging one is, and its manager is told once.
pub(super) fn published(state: &AgentState, route: &RouteEntry) -> Option<Arc<Published>> {
    let now = state.clock.now();
    route.slot.touch(now);
    let held = route.slot.load().filter(|held| route.takes(held))?;
    match held.freshness(now) {
        Freshness::Fresh => {}
        Freshness::Aging => {
            if route.slot.nudge_once() {
                state.source.nudge(route.account());
            }
        }
        Freshness::Expired => return None,
    }
    Some(held)
}

/// Waits for a credential other than the `rejected` one.
pub(super) async fn obtain(
    state: &AgentState,
    route: &RouteEntry,
    kind: Option<Kind>,
    rejected: Option<Generation>,
) -> Result<Arc<Published>, CredentialError> {
    let patience = match kind {
        Some(Kind::Handshake) => HANDSHAKE_HOLD,
        Some(Kind::Tool | Kind::Fetch) => route.spec.hold,
        _ => Duration::ZERO,
    };
    let until = Instant::now() + patience;
    loop {
        let changed = route.slot.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();

        let asking = state.source.ask(route.account(), rejected);
        let answer = match kind {
            Some(Kind::Handshake) => timeout_at(until, asking)
                .await
                .unwrap_or(Err(CredentialError::TimedOut)),
            _ => asking.await,
        };
        let error = match answer {
            Ok(held) if route.takes(&held) => return Ok(held),
            // The upstream of this call is another one by now.
            Ok(_) => return Err(CredentialError::LoginRequired(LoginReason::Never)),
            Err(error) => error,
        };
        let worth_waiting = match kind {
            // It is answered by somebody else meanwhile.
            Some(Kind::Handshake) if route.spec.keeps_alive() => false,
            Some(Kind::Handshake) => !matches!(error, CredentialError::TimedOut),
            // A network is often back in a moment; an outage of a server seldom ends in a minute.
            _ if is_offline(&error) => true,
            // A person may be signing in right now; that is waited for with signs of life, where
            // those are wanted.
            _ => !route.spec.keeps_alive() && matches!(error, CredentialError::LoginRequired(_)),
        };
        if patience.is_zero() || !worth_waiting {
            return Err(error);
        }
        // What failed for want of a network is asked for again when its pause is over.
        let again = match &error {
            CredentialError::Unavailable { retry_at, .. } if kind != Some(Kind::Handshake) => {
                Instant::now() + retry_at.since(state.clock.now())
            }
            _ => until,
        };
        if timeout_at(again.min(until), changed).await.is_err() && again >= until {
            return Err(error);
        }
    }
}

/// Whether nobody was reached, as after waking from sleep, when the network comes late.
fn is_offline(error: &CredentialError) -> bool {
    matches!(
        error,
        CredentialError::Unavailable {
            cause: TransientCause::Connect(_),
            ..
        }
    )
}
