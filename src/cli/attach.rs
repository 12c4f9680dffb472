//! `session headers` and `session env`: a credential for whoever calls, the same one at every call,
//! and over with the calling process.

use super::arguments::{EnvArgs, HeadersArgs, ShellForm};
use super::run::{Context, spelled};
use super::{agent, project, start};
use crate::agents::Agent;
use crate::api::{self, Mint, Minted, Session, SessionDetail};
use crate::ctl::{Ctl, Fault, Outcome};
use crate::model::catalogue::{Code, Problem};
use crate::model::in_band::{FIELD, IN_RESULTS};
use crate::model::record::{BoundProcess, SessionOrigin};
use crate::model::secret::TokenDigest;
use crate::process;
use crate::project::Project;
use crate::run::{self, Shell};

/// `session headers`: one JSON object on standard output and nothing else, whatever happens.
pub(super) async fn headers(context: &Context, asked: HeadersArgs) -> Outcome {
    let project = project::here(context)?;
    let ancestors = process::ancestors();
    let caller = process::agent(&ancestors, asked.client.as_deref());
    let caller = caller.map(|it| &it.process);
    let outer = agent::outer();
    if let Some(credential) = outer
        .as_deref()
        .filter(|_| asked.bounds.upstreams.is_empty())
        && let Some(caller) = caller
        && let Some(session) = around(context, credential).await?
        && is_of(&session, caller)
    {
        print_headers(&context.ctl, credential, asked.client.as_deref());
        return Ok(0);
    }
    let wrong = asked.bounds.upstreams.first().cloned();
    let name = asked
        .client
        .or_else(|| caller.and_then(|it| it.exe.clone()));
    // What is written in an agent's configuration is not this person's word of now.
    let request = Mint {
        within: project.as_ref().map(|it| it.within(false)),
        upstreams: asked.bounds.upstreams,
        label: asked
            .label
            .or_else(|| label(name.as_deref(), project.as_ref())),
        client: name.clone(),
        ttl_s: asked.bounds.ttl.map(|ttl| ttl.as_secs()),
        ..of(SessionOrigin::Helper, caller, outer.as_deref())?
    };
    match mint(context, &request).await {
        Ok(minted) => {
            print_headers(&context.ctl, &minted.credential, name.as_deref());
            Ok(0)
        }
        Err(fault) => spelled(&context.ctl, Err(fault), wrong.as_deref()).await,
    }
}

fn print_headers(ctl: &Ctl, credential: &str, client: Option<&str>) {
    let mut fields = serde_json::json!({ "Authorization": format!("Bearer {credential}") });
    if client
        .and_then(Agent::of)
        .is_some_and(Agent::hides_refusals)
    {
        fields[FIELD] = IN_RESULTS.into();
    }
    ctl.screen.out(fields);
}

/// `session env`: lines that a shell evaluates.
pub(super) async fn env(context: &Context, asked: EnvArgs) -> Outcome {
    let project = project::here(context)?;
    let ancestors = process::ancestors();
    let shell = process::shell(&ancestors);
    let name = shell.and_then(process::Ancestor::shell_name);
    let form = asked.shell.map_or_else(|| Shell::called(name), Shell::from);
    let caller = shell.map(|it| &it.process);
    let (status, _) = start::ensure_running(context).await?;
    let mut outer = agent::outer();
    // What the same shell was given before is no limit to what it is given now.
    if let (Some(credential), Some(caller)) = (&outer, caller)
        && let Some(session) = around(context, credential).await?
        && session.origin == SessionOrigin::Env
        && is_of(&session, caller)
    {
        outer = None;
    }
    let wrong = asked.bounds.upstreams.first().cloned();
    let chosen = !asked.bounds.upstreams.is_empty();
    let request = Mint {
        within: project.as_ref().map(|it| it.within(chosen)),
        upstreams: asked.bounds.upstreams,
        label: asked.label.or_else(|| label(name, project.as_ref())),
        ttl_s: asked.bounds.ttl.map(|ttl| ttl.as_secs()),
        ..of(SessionOrigin::Env, caller, outer.as_deref())?
    };
    let minted = match mint(context, &request).await {
        Ok(minted) => minted,
        Err(fault) => return spelled(&context.ctl, Err(fault), wrong.as_deref()).await,
    };
    project::tell(context, project.as_ref(), &minted);
    let screen = &context.ctl.screen;
    let session = &minted.session;
    let accounts = run::granted(&session.grant, &status.upstreams);
    let socket = context.ctl.client.socket();
    let variables = run::variables(&minted.url, &minted.credential, socket, &accounts);
    let variables = variables.iter();
    let variables = variables.map(|(name, value)| (name, value.to_string_lossy()));
    if screen.format().is_json() {
        let all: std::collections::BTreeMap<_, _> = variables.collect();
        screen.json(&all);
        return Ok(0);
    }
    for (name, value) in variables {
        screen.out(form.set(name, &value));
    }
    let end = match (caller, name) {
        (Some(caller), Some(name)) => format!("ends with {name} (pid {})", caller.pid),
        _ => format!("revoke: doorward ctl revoke {}", session.id),
    };
    let words = session.grant_words();
    screen.say(format!(
        "doorward: session {} · {words} · {end}",
        session.id
    ));
    Ok(0)
}

/// The request for a session of `caller`; inside of `outer` it may reach no more than that one.
fn of(
    origin: SessionOrigin,
    caller: Option<&BoundProcess>,
    outer: Option<&str>,
) -> Result<Mint, Fault> {
    let parent = outer.map(agent::parent).transpose()?;
    let nested = parent.is_some();
    Ok(Mint {
        bind_pid: caller.map(|it| it.pid),
        parent,
        reuse: true,
        ..Mint::of(if nested {
            SessionOrigin::Nested
        } else {
            origin
        })
    })
}

/// Mints where a daemon runs already at the price of one request.
async fn mint(context: &Context, request: &Mint) -> Result<Minted, Fault> {
    let client = &context.ctl.client;
    let minted = match client.post(api::path::SESSIONS, request).await {
        Err(fault) if fault.code() == Some(Code::NotRunning) => {
            start::ensure_running(context).await?;
            client.post(api::path::SESSIONS, request).await
        }
        minted => minted,
    };
    match (&minted, &request.parent) {
        (Err(fault), Some(id)) if fault.code() == Some(Code::SessionNotFound) => {
            Err(Problem::new(Code::SessionNotFound)
                .with("id", id)
                .because("`DOORWARD_SESSION` names it, and it is over")
                .next_step("start the agent anew, or unset DOORWARD_SESSION")
                .into())
        }
        _ => minted,
    }
}

/// The session that `credential` belongs to, if it is known here; a daemon that is away is started,
/// since it knows the sessions of before.
async fn around(context: &Context, credential: &str) -> Result<Option<Session>, Fault> {
    let client = &context.ctl.client;
    let path = api::path::session(&agent::parent(credential)?);
    let mut detail: Result<SessionDetail, Fault> = client.get(&path).await;
    if let Err(fault) = &detail
        && fault.code() == Some(Code::NotRunning)
    {
        start::ensure_running(context).await?;
        detail = client.get(&path).await;
    }
    let Ok(SessionDetail { item, .. }) = detail else {
        return Ok(None);
    };
    let fingerprint = TokenDigest::of(credential.as_bytes()).fingerprint();
    Ok(item.is_opened_by(&fingerprint).then_some(item))
}

/// Whether it lives and is bound to this process.
fn is_of(session: &Session, process: &BoundProcess) -> bool {
    let bound = session.bound.as_ref();
    !session.state.is_over() && bound.is_some_and(|it| it.alive && it.pid == process.pid)
}

fn label(name: Option<&str>, project: Option<&Project>) -> Option<String> {
    let name = name?;
    let place = agent::place(project);
    Some(run::label(Some(name), name.as_ref(), place.as_deref()))
}

impl From<ShellForm> for Shell {
    fn from(form: ShellForm) -> Self {
        match form {
            ShellForm::Bash | ShellForm::Zsh => Self::Posix,
            ShellForm::Fish => Self::Fish,
            ShellForm::Pwsh => Self::Pwsh,
        }
    }
}
