//! `upstream …`: a daemon that runs changes its own file and follows it at once; without one the
//! file is changed here.

use super::arguments::{AuthForm, GroundsArgs, UpstreamAddArgs, UpstreamCommand};
use super::run::{Context, spelled};
use super::{import, local, secret, start};
use crate::api::{
    self, Account, AddProvider, AddUpstream, ChangeUpstream, SettingView, UpstreamDetail, Upstreams,
};
use crate::config::{self, EditError, Edition, NewProvider, NewUpstream, UpstreamUrl};
use crate::ctl::{self, Fault, Outcome};
use crate::model::catalogue::{Code, Problem};
use crate::model::id::UpstreamName;
use crate::model::invocation::quoted;
use http::Method;

pub(super) async fn run(context: &Context, command: UpstreamCommand) -> Outcome {
    let ctl = &context.ctl;
    match command {
        UpstreamCommand::Add(asked) => {
            let added = add(context, &asked).await?;
            let (name, tick) = (&asked.name, ctl.screen.tick());
            let words = match added {
                Added::New => format!("{tick} Added {name}"),
                Added::Before => format!("{name} is there with this address; nothing was changed"),
            };
            changed(context, name, &words).await?;
            let probes = added == Added::New && !asked.no_probe && !ctl.screen.format().is_json();
            if probes
                && context.running().await?.is_some()
                && let Some(found) = ctl::found_upstream(ctl, name).await
            {
                ctl.screen.say(format!("  {found}"));
            }
            match asked.auth {
                _ if added == Added::Before => {}
                AuthForm::Oauth if asked.signs => {
                    let set = format!("doorward upstream set-secret {name} < KEY.pem");
                    ctl.screen
                        .hint(format!("{set}, then: doorward login {name}"));
                }
                AuthForm::Oauth => ctl.screen.hint(format!("doorward login {name}")),
                _ if asked.reads_keyring() => {
                    ctl.screen
                        .hint(format!("doorward upstream set-secret {name}"));
                }
                AuthForm::Passthrough | AuthForm::None => {}
                _ => ctl.screen.hint(format!("doorward upstream test {name}")),
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
        UpstreamCommand::SetSecret(asked) => secret::set(context, &asked.name).await,
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
            let outcome = match done.await {
                Ok(()) => {
                    let tick = ctl.screen.tick();
                    let words = format!("{tick} {} is now {}", asked.name, asked.new);
                    changed(context, &asked.new, &words).await
                }
                Err(fault) => Err(fault),
            };
            spelled(ctl, outcome, Some(&asked.name)).await
        }
    }
}

/// Says what was done to an upstream: in words, or by the document of `upstream show`.
async fn changed(context: &Context, name: &str, words: &str) -> Outcome {
    let screen = &context.ctl.screen;
    if !screen.format().is_json() {
        screen.out(words);
    } else if context.running().await?.is_some() {
        return ctl::show_upstream(&context.ctl, name).await;
    } else {
        screen.json(&configured(context, name)?);
    }
    Ok(0)
}

/// What the configuration alone tells of an upstream.
fn configured(context: &Context, name: &str) -> Result<UpstreamDetail, Fault> {
    let loaded = config::load(&context.inputs()).map_err(|e| local::config_fault(context, &e))?;
    let mut items = start::stopped(context, &loaded.config).upstreams;
    items.retain(|account| account.name == name);
    let server = &loaded.config.server;
    let redirect = match loaded.config.upstream(name) {
        Some(upstream) => config::redirect_uri(upstream, server, &server.base_url()),
        None => server.redirect_uri(),
    };
    let prefix = format!("upstreams.{name}.");
    let settings = loaded.settings.into_iter();
    let settings = settings
        .filter(|setting| setting.key.starts_with(&prefix))
        .map(|setting| SettingView {
            key: setting.key,
            value: setting.value,
            source: setting.source.to_string(),
        });
    Ok(UpstreamDetail::new(items, settings.collect(), redirect))
}

/// What adding came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is there now.
    New,
    /// It was there before, under this name and at this address.
    Before,
}

/// Adds an upstream, by the daemon or here. Adding what is there already changes nothing (seeds.md
/// S1-03).
pub(super) async fn add(context: &Context, asked: &UpstreamAddArgs) -> Result<Added, Fault> {
    let _turn = start::turn_without_daemon(context).await?;
    add_in_turn(context, asked).await
}

/// What to type in the place of what was asked for.
fn better(asked: &UpstreamAddArgs) -> String {
    let (name, url) = (&asked.name, quoted(&asked.url));
    let add = format!("doorward upstream add {name}");
    let is_web = UpstreamUrl::parse(&asked.url).is_some();
    if !is_web {
        format!("{add} https://mcp.example.com/mcp")
    } else if asked.auth == AuthForm::ClientCredentials && asked.client_id.is_none() {
        format!("{add} {url} --auth client-credentials --client-id ID")
    } else if asked.url.starts_with("http:") && !asked.allow_http {
        format!("write https, or, if the network between is yours: {add} {url} --allow-http")
    } else {
        "doorward upstream add --help".to_owned()
    }
}

/// The same for a caller that has the turn already, or knows that a daemon runs.
pub(super) async fn add_in_turn(
    context: &Context,
    asked: &UpstreamAddArgs,
) -> Result<Added, Fault> {
    let new = name(&asked.name)?;
    let added = add_named(context, asked, new).await;
    added.map_err(|fault| match fault.code() {
        Some(Code::BadRequest) => fault.with_next_step(better(asked)),
        _ => fault,
    })
}

async fn add_named(
    context: &Context,
    asked: &UpstreamAddArgs,
    new: UpstreamName,
) -> Result<Added, Fault> {
    let headers = asked.headers.iter().map(|text| header(text));
    let headers: Vec<(String, String)> = headers.collect::<Result<_, Fault>>()?;
    agree(asked)?;
    if let Some(status) = context.running().await? {
        let same = |it: &Account| it.name == asked.name && it.url == asked.url;
        if status.upstreams.iter().any(same) {
            return Ok(Added::Before);
        }
        let request = request(asked, headers);
        let _: UpstreamDetail = context
            .ctl
            .client
            .post(api::path::UPSTREAMS, &request)
            .await?;
        return Ok(Added::New);
    }
    let new_upstream = described(request(asked, headers));
    let settings = new_upstream.settings().map_err(|error| {
        Problem::new(Code::BadRequest)
            .because(error)
            .next_step("doorward upstream add --help")
    })?;
    match edit(context, |edition| edition.add(&new, &asked.url, &settings)) {
        Err(fault) if fault.code() == Some(Code::UpstreamExists) => {
            let loaded = config::load(&context.inputs());
            let loaded = loaded.map_err(|e| local::config_fault(context, &e))?;
            let present = loaded.config.upstream(&asked.name);
            if present.is_some_and(|upstream| upstream.url.as_str() == asked.url) {
                return Ok(Added::Before);
            }
            Err(local::exists(context, &asked.name))
        }
        done => done.map(|()| Added::New),
    }
}

/// What the daemon is asked for.
fn request(asked: &UpstreamAddArgs, headers: Vec<(String, String)>) -> AddUpstream {
    let GroundsArgs {
        assertion,
        idp,
        idp_client_id,
        subject_token,
        command,
    } = &asked.grounds;
    let idp = idp.as_ref().zip(idp_client_id.as_ref());
    AddUpstream {
        name: asked.name.clone(),
        url: asked.url.clone(),
        label: asked.label.clone(),
        auth: Some(asked.auth.kind().to_owned()),
        client_id: asked.client_id.clone(),
        signs: asked.signs,
        scopes: asked.scopes.clone(),
        headers,
        allow_http: asked.allow_http,
        command: command.clone(),
        assertion: assertion.clone(),
        idp: idp.map(|(endpoint, client)| AddProvider {
            token_endpoint: endpoint.clone(),
            client_id: client.clone(),
            subject_token: subject_token.clone(),
        }),
    }
}

/// The same, for the file.
fn described(request: AddUpstream) -> NewUpstream {
    NewUpstream {
        name: request.name,
        label: request.label,
        kind: request.auth.unwrap_or_else(|| "oauth".to_owned()),
        client_id: request.client_id,
        signs: request.signs,
        scopes: request.scopes,
        headers: request.headers,
        allow_http: request.allow_http,
        command: request.command,
        assertion: request.assertion,
        idp: request.idp.map(|idp| NewProvider {
            token_endpoint: idp.token_endpoint,
            client_id: idp.client_id,
            subject_token: idp.subject_token,
        }),
    }
}

/// Refuses what one kind has no use for, and names what another one needs.
fn agree(asked: &UpstreamAddArgs) -> Result<(), Fault> {
    let (form, grounds) = (asked.auth, &asked.grounds);
    let own = matches!(
        form,
        AuthForm::ClientCredentials | AuthForm::JwtBearer | AuthForm::TokenExchange
    );
    let wrong = match form {
        _ if own && asked.client_id.is_none() => "--client-id ID is needed: the client to be",
        AuthForm::TokenExchange if grounds.idp.is_none() => {
            "--idp URL and --idp-client-id ID are needed: who gives the assertion"
        }
        AuthForm::JwtBearer if asked.signs && grounds.assertion.is_none() => {
            "--assertion PLACE is needed: the key of the client has its place in the keyring"
        }
        AuthForm::TokenExchange if asked.signs && grounds.subject_token.is_none() => {
            "--subject-token PLACE is needed: the key of the client has its place in the keyring"
        }
        AuthForm::Exec if grounds.command.is_empty() => {
            "the command is missing: it comes last, behind --"
        }
        _ if form != AuthForm::Exec && !grounds.command.is_empty() => {
            "a command is for --auth exec"
        }
        _ if form != AuthForm::JwtBearer && grounds.assertion.is_some() => {
            "--assertion is for --auth jwt-bearer"
        }
        _ if form != AuthForm::TokenExchange && grounds.idp.is_some() => {
            "--idp is for --auth token-exchange"
        }
        _ => return Ok(()),
    };
    let problem = Problem::new(Code::BadRequest).because(wrong);
    Err(problem.next_step("doorward upstream add --help").into())
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
    if running.is_none() {
        let loaded = config::load(&context.inputs());
        let loaded = loaded.map_err(|e| local::config_fault(context, &e))?;
        if loaded.config.upstream(asked).is_none() {
            return Err(local::unknown(&loaded.config, asked));
        }
    }
    // One that is not known is for the daemon to name.
    let mut accounts = running.iter().flat_map(|status| &status.upstreams);
    let known = running.is_none() || accounts.any(|account| account.name == asked);
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
    if let Some(_turn) = start::turn_without_daemon(context).await? {
        edit(context, |edition| edition.remove(&gone))?;
    } else {
        let path = api::path::upstream(asked);
        let _: serde_json::Value = ctl.client.call(Method::DELETE, &path, None::<&()>).await?;
    }
    if ctl.screen.format().is_json() {
        ctl.screen.json(&serde_json::json!({
            "schema": "doorward/upstream-removed/v1",
            "removed": asked,
        }));
    } else {
        let tick = ctl.screen.tick();
        ctl.screen.out(format!("{tick} Removed {asked}"));
    }
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
    let outcome = match done.await {
        Ok(()) => {
            let word = if enabled { "on" } else { "off" };
            let tick = context.ctl.screen.tick();
            let words = format!("{tick} {asked} is switched {word}");
            changed(context, asked, &words).await
        }
        Err(fault) => Err(fault),
    };
    spelled(&context.ctl, outcome, Some(asked)).await
}

async fn change_it(
    context: &Context,
    asked: &str,
    change: &ChangeUpstream,
    here: impl Fn(&mut Edition, &UpstreamName) -> Result<(), EditError>,
) -> Result<(), Fault> {
    let old = name(asked)?;
    let turn = start::turn_without_daemon(context).await?;
    if turn.is_none() {
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

/// Changes the file here, in a turn: what changed it meanwhile was a person's editor, and what that
/// wrote is read before the second try.
fn edit(
    context: &Context,
    change: impl Fn(&mut Edition) -> Result<(), EditError>,
) -> Result<(), Fault> {
    let once = || {
        let mut edition = Edition::open(&context.paths.config)?;
        change(&mut edition)?;
        edition.save(&context.inputs())
    };
    let done = match once() {
        Err(EditError::Changed(_)) => once(),
        done => done,
    };
    done.map_err(|error| local::edit_fault(context, error))
}
