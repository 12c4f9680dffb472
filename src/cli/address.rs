//! `login` with an address: the upstream is added for the sign-in, and taken out again where nobody
//! signs in. The next step is spelled with the address then, since the name is gone.

use http::Method;

use super::arguments::{AuthForm, LoginArgs, UpstreamAddArgs};
use super::run::Context;
use super::{login, upstream};
use crate::api::{self, LoginProgress, LoginState, UpstreamDetail};
use crate::ctl::{Fault, Outcome};
use crate::model::catalogue::Code;
use crate::model::invocation::quoted;

pub(super) async fn login(context: &Context, asked: LoginArgs, url: &str) -> Outcome {
    let wanted = asked.name.clone();
    let (mut name, mut added) = login::known_or_added(context, url, wanted.as_deref()).await?;
    let mut outcome = login::sign_in(context, asked.clone(), &name).await;
    let taken_back = |fault: &Fault| fault.code() == Some(Code::UpstreamUnknown);
    if !added && outcome.as_ref().is_err_and(taken_back) {
        // Whoever had added it has just taken it out again.
        (name, added) = login::known_or_added(context, url, wanted.as_deref()).await?;
        outcome = login::sign_in(context, asked, &name).await;
    }
    let Err(fault) = outcome else {
        return outcome;
    };
    let removed = added && take_back(context, &name).await;
    if fault.code() == Some(Code::NoSignIn) {
        return open(context, fault, &name, removed.then_some(url)).await;
    }
    if removed {
        let screen = &context.ctl.screen;
        screen.say(format!("Removed upstream {name} again: nobody signed in"));
    }
    Err(respelled(fault, &name, url))
}

/// Takes an upstream out of the config again that was added for a sign-in which failed, unless
/// somebody else has signed in to it meanwhile, or is about to.
async fn take_back(context: &Context, name: &str) -> bool {
    let client = &context.ctl.client;
    let path = api::path::upstream(name);
    let Ok(detail) = client.get::<UpstreamDetail>(&path).await else {
        return false;
    };
    // Where nobody waits, that is answered at once.
    let progress = format!("{}?wait_ms=1000", api::path::login(name));
    let waiting = client.get::<LoginProgress>(&progress).await;
    let is_awaited = waiting.is_ok_and(|it| it.state == LoginState::Pending);
    if is_awaited || detail.items.iter().any(|account| account.token.is_some()) {
        return false;
    }
    let removed: Result<serde_json::Value, Fault> =
        client.call(Method::DELETE, &path, None::<&()>).await;
    removed.is_ok()
}

/// A server that answers without a sign-in: with `url`, it is added as one, and there is nothing
/// else to do for it.
async fn open(context: &Context, fault: Fault, name: &str, url: Option<&str>) -> Outcome {
    if let Some(url) = url {
        upstream::add(context, &UpstreamAddArgs::of(name, url, AuthForm::None)).await?;
    }
    let ctl = &context.ctl;
    let path = api::path::upstream(name);
    let detail: UpstreamDetail = ctl.client.get(&path).await?;
    let screen = &ctl.screen;
    let account = detail.items.first().filter(|it| it.auth == "none");
    let Some(account) = account else {
        return Err(fault);
    };
    if screen.format().is_json() {
        screen.json(account);
        return Ok(0);
    }
    screen.out(format!(
        "{} {name} needs no sign-in: it answers without one",
        screen.tick()
    ));
    screen.out(format!("  local address: {}", account.local_url));
    let next = format!("next: doorward session mint --upstream {name}");
    screen.out(screen.spell(&next));
    Ok(0)
}

/// The fault with a next step that holds also where there is no upstream of this name any more.
fn respelled(fault: Fault, name: &str, url: &str) -> Fault {
    match fault.code().and_then(|code| next_step(code, name, url)) {
        Some(fix) => fault.with_next_step(fix),
        None => fault,
    }
}

fn next_step(code: Code, name: &str, url: &str) -> Option<String> {
    let url = quoted(url);
    let again = format!("doorward login {url}");
    Some(match code {
        Code::LoginTimeout => format!("{again} --wait 15m"),
        Code::UpstreamUnreachable
        | Code::UpstreamTls
        | Code::UpstreamTimeout
        | Code::ConnectionLost => format!("check the address, then: {again}"),
        Code::DiscoveryFailed => format!(
            "doorward upstream add {name} {url}, then set `issuer`, or `authorization_endpoint` \
             and `token_endpoint`, in the config, and: doorward login {name}"
        ),
        Code::RegistrationFailed => format!(
            "create a client there, then: doorward upstream add {name} {url} --client-id ID, \
             and: doorward login {name}"
        ),
        Code::DeviceNotOffered => format!("{again} --paste"),
        Code::LoginDenied | Code::LoginState | Code::LoginFailed | Code::IssuerMismatch => again,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalogue::Problem;

    #[test]
    fn the_next_step_after_a_failed_first_sign_in_names_the_address() {
        let url = "https://mcp.example.com/mcp?a=1&b=2";
        for code in [
            Code::LoginTimeout,
            Code::LoginDenied,
            Code::UpstreamUnreachable,
            Code::DiscoveryFailed,
            Code::RegistrationFailed,
        ] {
            let fault = Problem::new(code).with("upstream", "example").into();
            let fix = respelled(fault, "example", url).into_problem().fix();
            let fix = fix.expect("a next step");
            assert!(
                fix.contains("'https://mcp.example.com/mcp?a=1&b=2'"),
                "{fix}"
            );
        }
        let busy = Problem::new(Code::Busy).into();
        let fix = respelled(busy, "example", url).into_problem().fix();
        assert_eq!(fix.as_deref(), Some("wait"));
    }
}
