//! `upstream …`: a daemon that runs changes its own file and follows it at once; without one the
//! file is changed here.

use http::Method;
use toml_edit::{InlineTable, Value};

use super::arguments::{AuthForm, UpstreamAddArgs, UpstreamCommand};
use super::run::{Context, spelled};
use super::{import, local, start};
use crate::api::{self, AddUpstream, ChangeUpstream, UpstreamDetail, Upstreams};
use crate::config::{self, EditError, Edition};
use crate::ctl::{self, Fault, Outcome};
use crate::model::catalogue::{Code, Problem};
use crate::model::id::UpstreamName;

pub(super) async fn run(context: &Context, command: UpstreamCommand) -> Outcome {
    let ctl = &context.ctl;
    match command {
        UpstreamCommand::Add(asked) => {
            add(context, &asked).await?;
            let name = &asked.name;
            let (screen, tick) = (&ctl.screen, ctl.screen.tick());
            screen.out(format!("{tick} Added {name}"));
            if asked.auth == AuthForm::Oauth {
                screen.hint(format!("doorward login {name}"));
            }
            Ok(0)
        }
        UpstreamCommand::List => match ctl::list_upstreams(ctl).await {
            Err(fault) if fault.code() == Some(Code::NotRunning) => {
                let loaded = config::load(&context.inputs());
                let loaded = loaded.map_err(|e| local::config_fault(context, &e))?;
                let status = start::stopped(context, &loaded.config);
                ctl::print_list(&ctl.screen, &Upstreams::new(status.upstreams));
                Ok(0)
            }
            outcome => outcome,
        },
        UpstreamCommand::Show(asked) => {
            let outcome = ctl::show_upstream(ctl, &asked.name).await;
            spelled(ctl, outcome, Some(&asked.name)).await
        }
        UpstreamCommand::Test(asked) => {
            let outcome = ctl::test_upstream(ctl, &asked.account).await;
            spelled(ctl, outcome, Some(&asked.account)).await
        }
        UpstreamCommand::Remove(asked) => {
            let outcome = remove(context, &asked.name).await;
            spelled(ctl, outcome, Some(&asked.name)).await
        }
        UpstreamCommand::Import(asked) => import::run(context, asked).await,
        UpstreamCommand::Enable(asked) => switch(context, &asked.name, true).await,
        UpstreamCommand::Disable(asked) => switch(context, &asked.name, false).await,
        UpstreamCommand::Rename(asked) => {
            let new: UpstreamName = name(&asked.new)?;
            // What is stored under the name goes with it, and only a daemon can open that.
            start::ensure_running(context).await?;
            let change = ChangeUpstream {
                name: Some(asked.new.clone()),
                ..ChangeUpstream::default()
            };
            let done = change_it(context, &asked.name, &change, |edition, old| {
                edition.rename(old, &new)
            });
            let outcome = done.await.map(|()| 0);
            if outcome.is_ok() {
                let tick = ctl.screen.tick();
                ctl.screen
                    .out(format!("{tick} {} is now {}", asked.name, asked.new));
            }
            spelled(ctl, outcome, Some(&asked.name)).await
        }
    }
}

/// Adds an upstream, by the daemon or here.
pub(super) async fn add(context: &Context, asked: &UpstreamAddArgs) -> Result<(), Fault> {
    let new = name(&asked.name)?;
    let headers = asked.headers.iter().map(|text| header(text));
    let headers: Vec<(String, String)> = headers.collect::<Result<_, Fault>>()?;
    let auth = match asked.auth {
        AuthForm::Oauth => None,
        AuthForm::None => Some("none".to_owned()),
    };
    if context.running().await?.is_some() {
        let request = AddUpstream {
            name: asked.name.clone(),
            url: asked.url.clone(),
            label: asked.label.clone(),
            auth,
            scopes: asked.scopes.clone(),
            headers,
            allow_http: asked.allow_http,
        };
        let _: UpstreamDetail = context
            .ctl
            .client
            .post(api::path::UPSTREAMS, &request)
            .await?;
        return Ok(());
    }
    let settings = settings(asked, &headers);
    let settings: Vec<(&str, Value)> = settings;
    match edit(context, |edition| edition.add(&new, &asked.url, &settings)) {
        Err(fault) if fault.code() == Some(Code::UpstreamExists) => {
            let loaded = config::load(&context.inputs());
            let loaded = loaded.map_err(|e| local::config_fault(context, &e))?;
            let present = loaded.config.upstream(&asked.name);
            // Adding what is there already changes nothing, as with a daemon.
            if present.is_some_and(|upstream| upstream.url.as_str() == asked.url) {
                return Ok(());
            }
            Err(local::exists(context, &asked.name))
        }
        done => done,
    }
}

fn settings(asked: &UpstreamAddArgs, headers: &[(String, String)]) -> Vec<(&'static str, Value)> {
    let mut settings: Vec<(&str, Value)> = Vec::new();
    if let Some(label) = &asked.label {
        settings.push(("label", label.into()));
    }
    if asked.allow_http {
        settings.push(("allow_http", true.into()));
    }
    if !headers.is_empty() {
        let table: InlineTable = headers
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        settings.push(("headers", table.into()));
    }
    let mut auth = InlineTable::new();
    match asked.auth {
        AuthForm::None => {
            auth.insert("kind", "none".into());
        }
        AuthForm::Oauth if asked.scopes.is_empty() => {}
        AuthForm::Oauth => {
            auth.insert("kind", "oauth".into());
            let scopes: toml_edit::Array = asked.scopes.iter().collect();
            auth.insert("scopes", scopes.into());
        }
    }
    if !auth.is_empty() {
        settings.push(("auth", auth.into()));
    }
    settings
}

fn header(text: &str) -> Result<(String, String), Fault> {
    let (name, value) = text.split_once(':').ok_or_else(|| {
        Problem::new(Code::BadRequest)
            .because(format!("the header {text} has no colon"))
            .next_step("write --header 'X-Workspace: web'")
    })?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

async fn remove(context: &Context, asked: &str) -> Outcome {
    let gone = name(asked)?;
    let ctl = &context.ctl;
    let running = context.running().await?;
    let sessions: usize = running
        .iter()
        .flat_map(|status| &status.upstreams)
        .filter(|account| account.name == asked)
        .map(|account| account.sessions)
        .sum();
    let known = running.is_none()
        || running
            .iter()
            .flat_map(|status| &status.upstreams)
            .any(|account| account.name == asked);
    if known {
        ctl.screen.say(match sessions {
            0 => format!("This takes {asked} out of the config and forgets its sign-in."),
            1 => format!("This takes {asked} out of the config and forgets its sign-in. 1 session may use it."),
            n => format!("This takes {asked} out of the config and forgets its sign-in. {n} sessions may use it."),
        });
        let command = format!("doorward upstream remove {asked} --yes");
        if !ctl.screen.confirm("Continue?", &command)? {
            return Err(Fault::Declined);
        }
    }
    if running.is_some() {
        let path = api::path::upstream(asked);
        let _: serde_json::Value = ctl.client.call(Method::DELETE, &path, None::<&()>).await?;
    } else {
        edit(context, |edition| edition.remove(&gone))?;
    }
    ctl.screen
        .out(format!("{} Removed {asked}", ctl.screen.tick()));
    Ok(0)
}

async fn switch(context: &Context, asked: &str, enabled: bool) -> Outcome {
    let change = ChangeUpstream {
        enabled: Some(enabled),
        ..ChangeUpstream::default()
    };
    let done = change_it(context, asked, &change, |edition, name| {
        edition.enable(name, enabled)
    });
    let outcome = done.await.map(|()| 0);
    if outcome.is_ok() {
        let screen = &context.ctl.screen;
        let word = if enabled { "on" } else { "off" };
        screen.out(format!("{} {asked} is switched {word}", screen.tick()));
    }
    spelled(&context.ctl, outcome, Some(asked)).await
}

async fn change_it(
    context: &Context,
    asked: &str,
    change: &ChangeUpstream,
    here: impl FnOnce(&mut Edition, &UpstreamName) -> Result<(), EditError>,
) -> Result<(), Fault> {
    let old = name(asked)?;
    if context.running().await?.is_some() {
        let path = api::path::upstream(asked);
        let client = &context.ctl.client;
        let _: UpstreamDetail = client.call(Method::PATCH, &path, Some(change)).await?;
        return Ok(());
    }
    edit(context, |edition| here(edition, &old))
}

fn name(text: &str) -> Result<UpstreamName, Fault> {
    text.parse().map_err(|error| {
        Problem::new(Code::BadRequest)
            .because(format!("{text} cannot be the name of an upstream: {error}"))
            .next_step("choose another name")
            .into()
    })
}

/// Changes the file here.
fn edit(
    context: &Context,
    change: impl FnOnce(&mut Edition) -> Result<(), EditError>,
) -> Result<(), Fault> {
    let done = Edition::open(&context.paths.config).and_then(|mut edition| {
        change(&mut edition)?;
        edition.save(&context.inputs())
    });
    done.map_err(|error| local::edit_fault(context, error))
}
