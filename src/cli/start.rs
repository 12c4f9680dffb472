//! Starts a daemon that is not there, waits for its end, and tells how it is. Nothing here polls:
//! readiness is a line in a pipe, the end is a lock that becomes free.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};

use super::local;
use super::run::Context;
use super::service;
use crate::api::{self, Account, AccountState, Daemon, DaemonState, Failure, Status, Stopping};
use crate::config::{self, Config};
use crate::ctl::{self, Fault, Outcome, StatusArguments};
use crate::model::catalogue::{Code, Problem};
use crate::paths::log::{LONGEST_LOG, set_aside};

/// How long a daemon may take until it is ready: a keyring may ask a person.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long a daemon may take to end, beyond finishing what runs.
const GONE_WITHIN: Duration = Duration::from_mins(1);

/// How often `status --watch` looks.
const AGAIN: Duration = Duration::from_secs(2);

/// `doorward` alone: the status, or how to begin.
pub(super) async fn overview(context: &Context) -> Outcome {
    let configured = match context.running().await? {
        Some(status) => !status.upstreams.is_empty(),
        None => !load(context)?.config.upstreams.is_empty(),
    };
    if configured {
        return status(context, &StatusArguments::default()).await;
    }
    let screen = &context.ctl.screen;
    screen.out(screen.spell(
        "doorward signs in to remote MCP servers once, for every agent.\n\n\
         \x20 doorward login https://mcp.example.com/mcp    sign in\n\
         \x20 doorward run -- claude                        an agent with a session of its own\n\
         \x20 doorward connect claude                       or its configuration, once for all\n\
         \x20 doorward session mint                         or a credential, for any other agent\n\n\
         Without any account: doorward demo. More: doorward help",
    ));
    Ok(0)
}

/// `status`, also without a daemon.
pub(super) async fn status(context: &Context, arguments: &StatusArguments) -> Outcome {
    match ctl::status(&context.ctl, arguments).await {
        Err(fault) if fault.code() == Some(Code::NotRunning) => {
            let loaded = load(context)?;
            let mut status = stopped(context, &loaded.config);
            if let Some(wanted) = &arguments.upstream {
                let meant = |a: &Account| a.name == *wanted || a.reference() == *wanted;
                status.upstreams.retain(meant);
                if status.upstreams.is_empty() {
                    return Err(local::unknown(&loaded.config, wanted));
                }
            }
            Ok(ctl::print_status(&context.ctl.screen, &status))
        }
        outcome => outcome,
    }
}

/// `status --watch`: again and again, until somebody ends it.
pub(super) async fn watch(context: &Context, arguments: &StatusArguments) -> Outcome {
    use std::io::{IsTerminal, Write};
    loop {
        let mut out = std::io::stdout();
        if out.is_terminal() {
            // The cursor to the top, and the screen empty.
            let _ = out.write_all(b"\x1b[H\x1b[2J");
        }
        status(context, arguments).await?;
        if out.flush().is_err() {
            return Ok(0);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The configuration that the daemon would read.
pub(super) fn load(context: &Context) -> Result<config::Loaded, Fault> {
    config::load(&context.inputs()).map_err(|error| local::config_fault(context, &error))
}

/// What the configuration alone tells.
pub(super) fn stopped(context: &Context, config: &Config) -> Status {
    let base_url = config.server.base_url();
    let problem =
        Problem::new(Code::NotRunning).with("socket", context.ctl.client.socket().display());
    let account = |(upstream, name): (&config::Upstream, &crate::model::id::AccountName)| {
        let reference = upstream.account_ref(name.clone());
        let is_default = *name == upstream.default_account;
        let path = if is_default {
            upstream.name.to_string()
        } else {
            reference.to_string()
        };
        Account {
            name: upstream.name.to_string(),
            account: name.to_string(),
            label: upstream.label.clone(),
            url: upstream.url.as_str().to_owned(),
            local_url: format!("{base_url}/u/{path}"),
            auth: upstream.auth.kind().to_owned(),
            state: if upstream.enabled {
                AccountState::Error
            } else {
                AccountState::Disabled
            },
            identity: None,
            scopes: Vec::new(),
            token: None,
            last_used_at: None,
            sessions: 0,
            problem: upstream.enabled.then(|| api::Trouble::new(&problem, None)),
        }
    };
    let accounts = config
        .upstreams
        .values()
        .flat_map(|upstream| {
            upstream
                .accounts
                .keys()
                .map(move |name| (upstream.as_ref(), name))
        })
        .map(account);
    let daemon = Daemon {
        state: DaemonState::Stopped,
        version: None,
        pid: None,
        started_at: None,
        socket: format!("unix:{}", context.ctl.client.socket().display()),
        locked: false,
        store: None,
        warnings: Vec::new(),
        base_url: base_url.clone(),
    };
    Status::new(daemon, accounts.collect(), &[])
}

/// The status of the daemon that runs, and whether it had to be started.
pub(super) async fn ensure_running(context: &Context) -> Result<(Status, bool), Fault> {
    if let Some(status) = context.running().await? {
        return Ok((status, false));
    }
    // Mistakes are better shown here than in the log of a daemon that does not start.
    load(context)?;
    let _turn = turn(context).await?;
    if let Some(status) = context.running().await? {
        return Ok((status, false));
    }
    spawn(context, &[], READY_WITHIN).await?;
    match context.running().await? {
        Some(status) => Ok((status, true)),
        None => Err(could_not(context, "it ended right after it was ready")),
    }
}

/// The turn to start a daemon: of two commands at a time, the second waits here, and then finds
/// what the first has started.
pub(super) async fn turn(context: &Context) -> Result<File, Fault> {
    prepare(context)?;
    let turn = locked(context.paths.start_lock(), READY_WITHIN * 2).await;
    turn.map_err(|error| could_not(context, &error))
}

/// The turn to change the config file, in which no daemon begins to read it; `None` where one runs,
/// which changes its file itself.
pub(super) async fn turn_without_daemon(context: &Context) -> Result<Option<File>, Fault> {
    if context.running().await?.is_some() {
        return Ok(None);
    }
    let turn = turn(context).await?;
    Ok(context.running().await?.is_none().then_some(turn))
}

/// Makes the state directory, closed to others before anything is in it.
pub(super) fn prepare(context: &Context) -> Result<(), Fault> {
    let prepared = context.paths.prepare();
    prepared.map_err(|error| Fault::from(error.problem()))
}

/// The fault that no daemon could be started.
pub(super) fn could_not(context: &Context, detail: &str) -> Fault {
    Problem::new(Code::StartFailed)
        .with("detail", detail)
        .with("log", context.paths.log.display())
        .into()
}

/// Starts a daemon of its own process group, with flags beside those that every daemon here gets,
/// and waits until it is ready.
pub(super) async fn spawn(
    context: &Context,
    flags: &[&str],
    patience: Duration,
) -> Result<(), Fault> {
    let failed = |error: &dyn std::fmt::Display| could_not(context, &error.to_string());
    set_aside(&context.paths.log, LONGEST_LOG).map_err(|error| failed(&error))?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&context.paths.log)
        .map_err(|error| failed(&error))?;
    let program = std::env::current_exe().map_err(|error| failed(&error))?;
    let mut command = std::process::Command::new(program);
    command
        .args(arguments(context))
        .args(flags)
        .current_dir("/")
        // Its standard output is for the line that says ready, and for nothing else.
        .env_remove("DOORWARD_OUTPUT")
        // An agent may be what starts it, and its credential is nothing for a daemon to hold.
        .env_remove("DOORWARD_SESSION")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0);
    let mut child = tokio::process::Command::from(command)
        .spawn()
        .map_err(|error| failed(&error))?;
    // The child inherits nothing but its standard streams, so readiness comes on its stdout.
    let stdout = child
        .stdout
        .take()
        .ok_or_else(|| failed(&"it has no output"))?;
    let mut line = String::new();
    let mut reader = BufReader::new(stdout);
    let read = tokio::time::timeout(patience, reader.read_line(&mut line)).await;
    match read {
        Ok(Ok(length)) if length > 0 => match refusal(&line) {
            None => Ok(()),
            Some(fault) => {
                let _ = child.wait().await;
                Err(fault)
            }
        },
        Ok(_) => {
            let _ = child.wait().await;
            Err(failed(&"it ended at once"))
        }
        Err(_) => Err(failed(
            &"it is not ready yet; it may wait for the keyring to be unlocked",
        )),
    }
}

/// Makes sure that a daemon runs, as no child of this process: one that is about to become an
/// agent must leave it no child that it does not know. The command that starts it says what is
/// wrong.
pub(super) async fn ensure_apart(context: &Context) -> Result<Status, Fault> {
    if let Some(status) = context.running().await? {
        return Ok(status);
    }
    let failed = |error: std::io::Error| could_not(context, &error.to_string());
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = tokio::process::Command::new(program);
    command
        .args(["up", "-q"])
        .args(same_daemon(context))
        .env_remove("DOORWARD_OUTPUT")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let ended = command.status().await.map_err(failed)?;
    match context.running().await? {
        Some(status) => Ok(status),
        None if ended.success() => Err(could_not(context, "it ended right after it was ready")),
        None => Err(Fault::Said(1)),
    }
}

fn arguments(context: &Context) -> Vec<OsString> {
    let mut all: Vec<OsString> = ["serve", "--ready-fd", "1", "--tell-failure"]
        .map(OsString::from)
        .to_vec();
    all.extend(same_daemon(context));
    all
}

/// The flags with which another command means the same daemon.
pub(super) fn same_daemon(context: &Context) -> Vec<OsString> {
    let options = super::run::same_daemon(&context.global).into_iter();
    options
        .flat_map(|(id, path)| [format!("--{}", id.replace('_', "-")).into(), path.into()])
        .collect()
}

/// What a daemon wrote in the place of its ready line, where that says why it did not start.
fn refusal(line: &str) -> Option<Fault> {
    let failure: Failure = serde_json::from_str(line).ok()?;
    Some(Fault::Failure(Box::new(failure)))
}

/// Waits for the exclusive lock of `path`.
async fn locked(path: PathBuf, patience: Duration) -> Result<File, String> {
    let wait = tokio::task::spawn_blocking(move || {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&path)?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    });
    match tokio::time::timeout(patience, wait).await {
        Ok(Ok(file)) => file.map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("another command is starting it and does not get on".to_owned()),
    }
}

/// `down`
pub(super) async fn down(context: &Context) -> Outcome {
    let screen = &context.ctl.screen;
    let Some(stopping) = stop(context).await? else {
        screen.say("doorward is not running");
        if screen.format().is_json() {
            let nothing =
                serde_json::json!({ "schema": "doorward/stopping/v1", "state": "stopped" });
            screen.json(&nothing);
        }
        return Ok(0);
    };
    service::let_go(context).await;
    if screen.format().is_json() {
        screen.json(&stopping);
    } else {
        screen.out(format!("{} doorward has stopped", screen.tick()));
    }
    Ok(0)
}

/// Stops the daemon and waits for its end, if there is one.
pub(super) async fn stop(context: &Context) -> Result<Option<Stopping>, Fault> {
    let Some(stopping) = ctl::ask_to_stop(&context.ctl).await? else {
        return Ok(None);
    };
    let drain = Duration::from_secs(stopping.drain_s);
    gone(&context.paths.lock, drain + GONE_WITHIN).await?;
    Ok(Some(stopping))
}

/// Waits until the daemon that holds `lock` has ended: the kernel gives the lock back then.
async fn gone(lock: &Path, patience: Duration) -> Result<(), Fault> {
    let lock = lock.to_owned();
    let wait = tokio::task::spawn_blocking(move || match File::open(&lock) {
        Ok(file) => file.lock_shared(),
        Err(_) => Ok(()),
    });
    match tokio::time::timeout(patience, wait).await {
        Ok(_) => Ok(()),
        Err(_) => Err(Problem::new(Code::TimedOut)
            .because("it was told to stop and still finishes what is running")
            .into()),
    }
}
