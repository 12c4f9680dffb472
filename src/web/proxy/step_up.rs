//! A call that an upstream refuses for want of scopes: it is held while a person may sign in with
//! more of them, and sent again with what that brought. A 403 with this challenge is as definite
//! as a 401: the call was not carried out (MCP 2026-07-28 authorization, Step-Up).

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::super::AgentState;
use super::admit::Call;
use super::message::Kind;
use super::trouble::problem;
use super::{challenge, credential};
use crate::ledger::Published;
use crate::model::catalogue::{Code, Problem};
use crate::model::step_up::StepUp;

/// The scopes that an answer asks for; any other 403 is the upstream's own answer.
pub(super) fn wanted(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let asked = status == StatusCode::FORBIDDEN
        && challenge::parameter(headers, "error").as_deref() == Some("insufficient_scope");
    asked.then(|| challenge::parameter(headers, "scope").unwrap_or_default())
}

/// Waits for a credential of another sign-in than the one of `used`. `until` is when this call
/// has waited long enough, over all its attempts.
pub(super) async fn signed_in_again(
    state: &AgentState,
    call: &Call,
    kind: Option<Kind>,
    used: &Published,
    scopes: &str,
    until: &mut Option<Instant>,
) -> Result<Arc<Published>, Problem> {
    let (route, now) = (&call.route, state.clock.now());
    if route.slot.refused(scopes, used.signed_in, now) == StepUp::Futile {
        return Err(problem(call, Code::UpstreamForbidden)
            .with("identity", "this sign-in")
            .because(format!(
                "it asks for {scopes} again, although somebody signed in for that"
            ))
            .next_step("ask who administers it, or sign in as somebody who may do this"));
    }
    let patience = match kind {
        Some(Kind::Tool | Kind::Fetch) => route.spec.hold,
        _ => Duration::ZERO,
    };
    let until = *until.get_or_insert_with(|| Instant::now() + patience);
    loop {
        let changed = route.slot.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();

        let held = credential::published(state, route);
        if let Some(held) = held.filter(|held| held.signed_in != used.signed_in) {
            return Ok(held);
        }
        if timeout_at(until, changed).await.is_err() {
            return Err(needed(call, scopes));
        }
    }
}

/// What is said where nobody is waited for any longer.
pub(super) fn needed(call: &Call, scopes: &str) -> Problem {
    let account = call.route.account();
    let more = match argument(scopes) {
        none if none.is_empty() => none,
        list => format!(" --add-scopes {list}"),
    };
    let command = format!("doorward login {account} --force{more}");
    problem(call, Code::ScopeNeeded)
        .with("scopes", scopes)
        .next_step(command)
}

/// Scopes as one argument that a shell takes as it is: agents and people run what they are told,
/// and the upstream chose these words.
fn argument(scopes: &str) -> String {
    let words: Vec<&str> = scopes.split_ascii_whitespace().collect();
    let list = words.join(",");
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/,@+=".contains(c);
    if list.chars().all(plain) {
        return list;
    }
    format!("'{}'", list.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oc_stepup_command_can_be_run_as_it_stands() {
        for (scopes, shown) in [
            ("write", "write"),
            ("a:write  b", "a:write,b"),
            (
                "https://x.example/auth/y openid",
                "https://x.example/auth/y,openid",
            ),
            ("a;reboot b", "'a;reboot,b'"),
            ("$(id)", "'$(id)'"),
            ("it's", "'it'\\''s'"),
        ] {
            assert_eq!(argument(scopes), shown);
        }
    }
}
