//! `login`: with an address, the upstream is added first; the daemon is started where it does not
//! run.

use url::{Host, Url};

use super::arguments::{AuthForm, LoginArgs, UpstreamAddArgs};
use super::run::{Context, spelled};
use super::upstream::{self, Added};
use super::{address, local, start};
use crate::api::{self, StartLogin, Upstreams};
use crate::config::{self, UpstreamUrl};
use crate::ctl::{self, Fault, LoginArguments, Outcome};
use crate::model::catalogue::{Code, Problem};

pub(super) async fn login(context: &Context, asked: LoginArgs) -> Outcome {
    if let Some(url) = address(&asked.target) {
        return address::login(context, asked, &url?).await;
    }
    if context.running().await?.is_none() {
        check_name(context, &asked.target)?;
    }
    let account = asked.target.clone();
    let outcome = sign_in(context, asked, &account).await;
    spelled(&context.ctl, outcome, Some(&account)).await
}

pub(super) async fn sign_in(context: &Context, asked: LoginArgs, account: &str) -> Outcome {
    let (status, started) = start::ensure_running(context).await?;
    if started {
        context
            .ctl
            .screen
            .say(format!("Started doorward on {}", status.daemon.base_url));
    }
    let arguments = LoginArguments {
        account: account.to_owned(),
        request: StartLogin {
            force: asked.force || asked.scopes.is_some() || !asked.add_scopes.is_empty(),
            scopes: asked.scopes,
            add_scopes: asked.add_scopes,
            window_s: asked.wait.map(|wait| wait.as_secs()),
            paste: asked.paste,
            device: asked.device,
        },
        no_browser: asked.no_browser,
    };
    ctl::login(&context.ctl, &arguments).await
}

/// The address that was typed, if it was one: names have no dot and no colon.
fn address(target: &str) -> Option<Result<String, Fault>> {
    if !target.contains(['.', ':', '/']) {
        return None;
    }
    let url = if target.contains("://") {
        target.to_owned()
    } else {
        format!("https://{target}")
    };
    Some(match UpstreamUrl::parse(&url) {
        Some(_) => Ok(url),
        None => Err(not_a_url(target)),
    })
}

pub(super) fn not_a_url(text: &str) -> Fault {
    Problem::new(Code::BadRequest)
        .because(format!(
            "{text} is neither the name of an upstream nor an http(s) address"
        ))
        .next_step("doorward login https://mcp.example.com/mcp")
        .into()
}

fn check_name(context: &Context, target: &str) -> Result<(), Fault> {
    let loaded = config::load(&context.inputs()).map_err(|e| local::config_fault(context, &e))?;
    match loaded.config.account(target) {
        Some(_) => Ok(()),
        None => Err(local::unknown(&loaded.config, target)),
    }
}

/// The upstream with this address; a new one where there is none, which is told. Of two commands at
/// a time, the second finds what the first has added.
pub(super) async fn known_or_added(
    context: &Context,
    url: &str,
    wanted: Option<&str>,
) -> Result<(String, bool), Fault> {
    let _turn = start::turn(context).await?;
    let known: Vec<(String, String)> = if context.running().await?.is_some() {
        let upstreams: Upstreams = context.ctl.client.get(api::path::UPSTREAMS).await?;
        let items = upstreams.items.into_iter();
        items.map(|account| (account.name, account.url)).collect()
    } else {
        let loaded = config::load(&context.inputs());
        let loaded = loaded.map_err(|e| local::config_fault(context, &e))?;
        let all = loaded.config.upstreams.values();
        all.map(|up| (up.name.to_string(), up.url.as_str().to_owned()))
            .collect()
    };
    let same = known
        .iter()
        .find(|(name, address)| address == url && wanted.is_none_or(|wanted| wanted == name));
    if let Some((name, _)) = same {
        return Ok((name.clone(), false));
    }
    let name = match (wanted, UpstreamUrl::parse(url)) {
        (Some(wanted), _) => wanted.to_owned(),
        (None, Some(parsed)) => free(&name_of(parsed.url()), &known),
        (None, None) => return Err(not_a_url(url)),
    };
    let asked = UpstreamAddArgs::of(&name, url, AuthForm::Oauth);
    if upstream::add_in_turn(context, &asked).await? == Added::New {
        let screen = &context.ctl.screen;
        screen.say(format!("Added upstream {name}  ({url})"));
        return Ok((name, true));
    }
    Ok((name, false))
}

/// `name`, or with `-2` and so on behind it where that is taken.
fn free(name: &str, known: &[(String, String)]) -> String {
    let taken = |name: &str| known.iter().any(|(known, _)| known == name);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|candidate| !taken(candidate))
        .unwrap_or_else(|| name.to_owned())
}

/// The name for an address: the label of its host that somebody registered.
pub(super) fn name_of(url: &Url) -> String {
    let Some(Host::Domain(host)) = url.host() else {
        return "local".to_owned();
    };
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    let registered = match labels.as_slice() {
        [] | [_] => "local",
        [.., name, second, top] if top.len() == 2 && is_shared(second) => name,
        [.., name, _] => name,
    };
    let clean: String = registered
        .to_ascii_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
        .take(28)
        .collect();
    if clean.starts_with(|c: char| c.is_ascii_lowercase()) {
        clean
    } else {
        format!("mcp-{clean}").trim_end_matches('-').to_owned()
    }
}

/// Whether names are registered below this label of a country, as in co.uk.
fn is_shared(label: &str) -> bool {
    matches!(
        label,
        "ac" | "co" | "com" | "edu" | "gov" | "net" | "or" | "org" | "ne" | "go"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_called_after_the_registered_label_of_its_host() {
        for (url, name) in [
            ("https://mcp.linear.app/mcp", "linear"),
            ("https://api.githubcopilot.com/mcp/", "githubcopilot"),
            ("https://example.com", "example"),
            ("https://mcp.example.co.uk", "example"),
            ("http://127.0.0.1:8080/mcp", "local"),
            ("http://[::1]:8080/mcp", "local"),
            ("http://localhost:3000", "local"),
            ("https://4chan.example.io", "example"),
            ("https://mcp.37signals.com", "mcp-37signals"),
        ] {
            let url = Url::parse(url).expect("an address");
            assert_eq!(name_of(&url), name, "{url}");
            assert!(
                name_of(&url)
                    .parse::<crate::model::id::UpstreamName>()
                    .is_ok()
            );
        }
        let known = [
            ("linear".to_owned(), "x".to_owned()),
            ("linear-2".to_owned(), "y".to_owned()),
        ];
        assert_eq!(free("linear", &known), "linear-3");
        assert_eq!(free("notion", &known), "notion");
    }

    #[test]
    fn names_and_addresses_are_told_apart() {
        assert!(address("linear").is_none());
        assert!(address("notion@work").is_none());
        let url = |text: &str| address(text).and_then(Result::ok);
        assert_eq!(
            url("mcp.linear.app/mcp").as_deref(),
            Some("https://mcp.linear.app/mcp")
        );
        assert_eq!(
            url("http://127.0.0.1:1/m").as_deref(),
            Some("http://127.0.0.1:1/m")
        );
        assert!(matches!(address("ftp://x"), Some(Err(_))));
    }
}
