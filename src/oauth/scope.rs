//! Which scopes to ask for.

use super::Provider;
use super::discovery::Discovered;

/// The scopes of a sign-in: the configured ones, else those of the upstream's challenge, else all
/// that the protected resource lists, else the defaults of the environment mode, else none. Never
/// all that the authorization server knows.
///
/// `more` are scopes that a person or a step-up asks for on top.
pub fn select(provider: &Provider, discovered: &Discovered, more: &[String]) -> Vec<String> {
    let configured = provider.scopes.clone();
    let chosen = configured.clone().or_else(|| {
        let named = discovered.challenge_scopes.clone();
        named.or_else(|| discovered.resource_scopes.clone())
    });
    let mut scopes = match chosen {
        Some(scopes) if !scopes.is_empty() || configured.is_some() => scopes,
        _ => provider.default_scopes.clone(),
    };
    for scope in more {
        push(&mut scopes, scope);
    }
    // Alone it would narrow what the server grants by default, so it joins others only.
    let offered = discovered.server.scopes_supported.iter().flatten();
    if configured.is_none() && !scopes.is_empty() && offered.into_iter().any(is_offline) {
        push(&mut scopes, "offline_access");
    }
    scopes
}

fn is_offline(scope: &String) -> bool {
    scope == "offline_access"
}

fn push(scopes: &mut Vec<String>, scope: &str) {
    if !scope.is_empty() && !scopes.iter().any(|there| there == scope) {
        scopes.push(scope.to_owned());
    }
}
