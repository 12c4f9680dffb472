//! `run`: everything that happens before this process becomes the agent. Whatever fails here is
//! told by one exit code, since all others may be the agent's.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use super::arguments::{LoginArgs, RunArgs};
use super::inject::Telling;
use super::run::Context;
use super::{local, login, project, start};
use crate::api::{self, Account, AccountState, Mint, Minted, RevokeFilter, Revoked, Status};
use crate::config::{self, Config};
use crate::ctl::{Fault, Outcome};
use crate::model::catalogue::{Code, Problem};
use crate::model::record::SessionOrigin;
use crate::model::secret::SessionToken;
use crate::project::Project;
use crate::run;

/// The exit code where the command has not begun.
const NOT_BEGUN: u8 = 125;

/// `run`
pub(super) async fn run(context: &Context, asked: RunArgs) -> Outcome {
    let outer = outer();
    if let Some(credential) = &outer
        && !asked.nested
        && !asked.print
    {
        let problem = Problem::new(Code::AlreadyInside);
        return Err(match SessionToken::id_in(credential) {
            Some(id) => problem.with("id", id).into(),
            None => problem.into(),
        });
    }
    if asked.print {
        return print(context, &asked).await;
    }
    let wrong = asked.bounds.upstreams.first().cloned();
    let fault = match begin(context, asked, outer.as_deref()).await {
        Ok(never) => match never {},
        Err(fault) => fault,
    };
    let begun = [Code::CommandNotFound, Code::CommandNotExecutable];
    if fault.code().is_some_and(|code| begun.contains(&code)) {
        return Err(fault);
    }
    let near = match &wrong {
        Some(name) => context.ctl.spelling(&fault, name).await,
        None => None,
    };
    fault.tell(&context.ctl.screen, near.as_deref());
    Err(Fault::Said(NOT_BEGUN))
}

async fn begin(
    context: &Context,
    asked: RunArgs,
    outer: Option<&str>,
) -> Result<std::convert::Infallible, Fault> {
    let ctl = &context.ctl;
    let project = project::here(context)?;
    let status = start::ensure_apart(context).await?;
    let (command, arguments) = split(&asked.command);
    let client = run::client(&asked.client, command);
    let telling = Telling::of(&asked, client.as_deref());
    let place = place(project.as_ref());
    let label = asked
        .label
        .unwrap_or_else(|| run::label(client.as_deref(), command, place.as_deref()));
    let name = run::name_of(command);
    let parent = outer.map(parent).transpose()?;
    let chosen = !asked.bounds.upstreams.is_empty();
    let request = Mint {
        within: project.as_ref().map(|it| it.within(chosen)),
        upstreams: asked.bounds.upstreams,
        label: Some(label),
        client,
        ttl_s: asked.bounds.ttl.map(|ttl| ttl.as_secs()),
        bind_pid: (!asked.keep).then(std::process::id),
        bind_exe: (!asked.keep).then(|| name.clone()),
        parent,
        ..Mint::of(match outer {
            Some(_) => SessionOrigin::Nested,
            None => SessionOrigin::Run,
        })
    };
    let minted: Minted = ctl.client.post(api::path::SESSIONS, &request).await?;
    let session = &minted.session;
    project::tell(context, project.as_ref(), &minted);
    let accounts = run::granted(&session.grant, &status.upstreams);
    sign_in(context, &accounts).await;
    let end = if asked.keep {
        format!("revoke: doorward ctl revoke {}", session.id)
    } else {
        format!("ends with {name}")
    };
    let words = session.grant_words();
    ctl.screen.say(format!(
        "doorward: session {} · {words} · {end}",
        session.id
    ));
    let socket = ctl.client.socket();
    let mut variables = run::variables(&minted.url, &minted.credential, socket, &accounts);
    let words = telling.told_of(context, &accounts, arguments, &mut variables);
    let problem = run::turn_into(command, &words, &variables);
    let request = api::Revoke {
        filter: RevokeFilter {
            ids: vec![session.id.clone()],
            ..RevokeFilter::default()
        },
        reason: Some(problem.what()),
    };
    // Where this fails, the daemon ends the session with this process.
    let _: Result<Revoked, Fault> = ctl.client.post(api::path::REVOKE, &request).await;
    Err(problem.into())
}

/// The credential of the session around this one.
pub(super) fn outer() -> Option<String> {
    let outer = std::env::var("DOORWARD_SESSION").ok();
    outer.filter(|credential| !credential.is_empty())
}

/// The id of the session around this one. Without it nothing would limit what is minted.
pub(super) fn parent(credential: &str) -> Result<String, Fault> {
    match SessionToken::id_in(credential) {
        Some(id) => Ok(id.to_string()),
        None => Err(Problem::new(Code::SessionUnknown)
            .because("DOORWARD_SESSION holds no credential of doorward")
            .next_step("unset DOORWARD_SESSION")
            .into()),
    }
}

/// The command and what it is given.
fn split(command: &[OsString]) -> (&OsString, &[OsString]) {
    command
        .split_first()
        .expect("the definition of the arguments requires one")
}

/// Offers a sign-in where one is needed and a person can be asked. The agent is run all the same:
/// its other upstreams work.
async fn sign_in(context: &Context, accounts: &[&Account]) {
    let screen = &context.ctl.screen;
    let asks = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let waiting = accounts.iter().filter(|it| it.state == AccountState::Login);
    for account in waiting.map(|account| account.reference()) {
        let needs = format!("{account} needs you to sign in");
        let later = format!("doorward login {account}");
        let now = asks
            && screen
                .confirm(&format!("{needs}. Do it now?"), &later)
                .unwrap_or(false);
        if !now {
            screen.warn(format!("{needs}: {later}"));
            continue;
        }
        if let Err(fault) = login::login(context, LoginArgs::of(account)).await {
            fault.tell(screen, None);
        }
    }
}

/// The accounts that a run would be granted, from the configuration alone.
fn chosen<'s>(
    config: &Config,
    status: &'s Status,
    asked: &RunArgs,
    project: Option<&Project>,
) -> Result<Vec<&'s Account>, Fault> {
    let find = |name: &String| {
        let (_, account) = config.account(name)?;
        let is = |it: &&Account| it.reference() == account.to_string();
        status.upstreams.iter().find(is)
    };
    if !asked.bounds.upstreams.is_empty() {
        let known = |name| find(name).ok_or_else(|| local::unknown(config, name));
        return asked.bounds.upstreams.iter().map(known).collect();
    }
    let covered = |account: &&Account| {
        let account = account.reference().parse();
        account.is_ok_and(|account| config.sessions.default_grant.covers(&account))
    };
    let mut accounts: Vec<_> = status.upstreams.iter().filter(covered).collect();
    if let Some(names) = project.and_then(|project| project.upstreams.as_ref()) {
        let left: Vec<_> = names.iter().filter_map(find).collect();
        accounts.retain(|account| left.contains(account));
    }
    Ok(accounts)
}

/// What a session is called after: the project, or the directory.
pub(super) fn place(project: Option<&Project>) -> Option<PathBuf> {
    match project.and_then(|project| project.label.as_ref()) {
        // A label may hold a slash, and only what follows the last one is shown of a path.
        Some(label) => Some(label.replace('/', "∕").into()),
        None => std::env::current_dir().ok(),
    }
}

/// `run --print`: from the daemon where one runs, and else from the configuration alone, since
/// nothing may be started or minted.
async fn print(context: &Context, asked: &RunArgs) -> Outcome {
    let loaded = config::load(&context.inputs());
    let loaded = loaded.map_err(|error| local::config_fault(context, &error))?;
    let status: Status = match context.running().await? {
        Some(status) => status,
        None => start::stopped(context, &loaded.config),
    };
    let project = project::here(context)?;
    let accounts = chosen(&loaded.config, &status, asked, project.as_ref())?;
    let (url, socket) = (&status.daemon.base_url, context.ctl.client.socket());
    let mut variables = run::variables(url, "dw_…", socket, &accounts);
    let screen = &context.ctl.screen;
    let (command, arguments) = split(&asked.command);
    let client = run::client(&asked.client, command);
    let telling = Telling::of(asked, client.as_deref());
    let mut words = vec![command.clone()];
    words.extend(telling.told_of(context, &accounts, arguments, &mut variables));
    if screen.format().is_json() {
        let text = |text: &OsString| text.to_string_lossy().into_owned();
        let words: Vec<_> = words.iter().map(text).collect();
        let variables: BTreeMap<_, _> = variables
            .iter()
            .map(|(name, value)| (name, text(value)))
            .collect();
        screen.json(&serde_json::json!({"command": words, "environment": variables}));
        return Ok(0);
    }
    for (name, value) in &variables {
        screen.out(format!("{name}={}", value.to_string_lossy()));
    }
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    screen.out(words.join(" "));
    Ok(0)
}
