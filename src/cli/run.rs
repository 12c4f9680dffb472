//! From what was typed to an exit code.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use super::arguments::{
    Cli, Command, CtlCommand, Global, LogForm, LogoutArgs, Output, ServeArgs, SessionCommand,
    StateForm, When,
};
use super::{
    agent, bridge, connect, local, login, logs, misread, service, session, start, up, upstream,
};
use crate::api::{self, Logout, RevokeFilter, SessionState};
use crate::clock::SystemClock;
use crate::config::{LogFormat, UpstreamUrl};
use crate::ctl::{
    self, Client, ColorWhen, Ctl, Fault, Format, ListArguments, Outcome, RevokeArguments, Screen,
    ScreenOptions, StatusArguments,
};
use crate::daemon::{self, ServeOptions};
use crate::demo;
use crate::model::catalogue::{Code, Problem};
use crate::model::invocation::Invocation;
use crate::paths::{Environment, Paths};

/// What every command is given.
pub(super) struct Context {
    pub(super) ctl: Ctl,
    pub(super) paths: Paths,
    pub(super) global: Global,
}

/// Runs the command that `arguments` ask for and gives its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let matches = Cli::command().try_get_matches_from(&arguments);
    let parsed = matches.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            return misread::told(&error, &arguments);
        }
    };
    if typed(&matches, "output")
        && let Err(error) = fits(&cli)
    {
        return misread::told(&error, &arguments);
    }
    let screen = Screen::of_process(screen_options(&cli), Arc::new(SystemClock))
        .called(invocation(&cli.global, |flag| typed(&matches, flag)));
    let paths = match paths(&cli.global) {
        Ok(paths) => paths,
        Err(fault) => {
            fault.tell(&screen, None);
            return fault.exit();
        }
    };
    let socket = match &cli.global.socket {
        Some(socket) => socket.clone(),
        None => paths.find_socket(),
    };
    let context = Context {
        ctl: Ctl {
            client: Client::new(socket),
            screen,
        },
        paths,
        global: cli.global,
    };
    let outcome = match cli.command {
        Some(Command::Serve(serve)) => serve_here(&context, serve),
        Some(Command::Demo(asked)) => demo::run(&context.ctl.screen, asked.seconds),
        command => block_on(&context, command),
    };
    match outcome {
        Ok(code) => code,
        Err(fault) => {
            fault.tell(&context.ctl.screen, None);
            fault.exit()
        }
    }
}

/// Refuses forms of output that a command has not. Only for what was typed: the environment speaks to
/// every command.
fn fits(cli: &Cli) -> Result<(), clap::Error> {
    let mint = matches!(cli.command, Some(Command::Session(SessionCommand::Mint(_))));
    let why = match cli.global.output {
        Some(Output::Name) if mint => "a new session has no form `name`: text, env, headers, json",
        Some(Output::Env | Output::Headers) if !mint => {
            "`env` and `headers` are forms of session mint"
        }
        _ => return Ok(()),
    };
    Err(Cli::command().error(clap::error::ErrorKind::ValueValidation, why))
}

/// Whether a flag stood on the command line: what the environment says holds for the next command
/// too.
fn typed(matches: &ArgMatches, flag: &str) -> bool {
    matches.value_source(flag) == Some(ValueSource::CommandLine)
}

/// How commands in messages are spelled, with those flags of `global` that are `told`.
fn invocation(global: &Global, told: impl Fn(&str) -> bool) -> Invocation {
    /// These speak to no daemon.
    const ALONE: [&str; 3] = ["explain", "demo", "help"];
    let flags: Vec<_> = same_daemon(global)
        .into_iter()
        .filter(|(flag, _)| told(flag))
        .map(|(flag, path)| (format!("--{}", flag.replace('_', "-")), path))
        .collect();
    let flags = flags.iter().map(|(flag, path)| (&**flag, &**path));
    let program = Cli::command();
    let names = program.get_subcommands().map(|it| it.get_name().to_owned());
    Invocation::new(flags, names.filter(|name| !ALONE.contains(&&**name)))
}

/// The options with which another command means the same daemon, by their ids, and their paths
/// wherever that command is run.
pub(super) fn same_daemon(global: &Global) -> Vec<(&'static str, PathBuf)> {
    let paths = [
        ("config", &global.config),
        ("state_dir", &global.state_dir),
        ("socket", &global.socket),
    ];
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let given = paths.into_iter();
    given
        .filter_map(|(id, path)| Some((id, absolute(path.as_ref()?))))
        .collect()
}

fn paths(global: &Global) -> Result<Paths, Fault> {
    let resolved = Paths::resolve(global.state_dir.as_deref(), &Environment::of_process());
    let mut paths = resolved.map_err(|error| {
        Fault::from(Problem::new(Code::StoreFailed).with("detail", error.to_string()))
    })?;
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    if let Some(config) = &global.config {
        paths.config = absolute(config);
    }
    if let Some(socket) = &global.socket {
        paths.socket = absolute(socket);
    }
    Ok(paths)
}

fn screen_options(cli: &Cli) -> ScreenOptions {
    let global = &cli.global;
    let format = match global.output {
        // Whoever reads these takes every JSON object on standard output for header fields.
        _ if matches!(
            cli.command,
            Some(Command::Session(SessionCommand::Headers(_)))
        ) =>
        {
            Format::Table
        }
        _ if global.json => Format::Json,
        Some(Output::Wide) => Format::Wide,
        Some(Output::Json) => Format::Json,
        Some(Output::Jsonl) => Format::Jsonl,
        Some(Output::Name) => Format::Name,
        None | Some(Output::Table | Output::Text | Output::Env | Output::Headers) => Format::Table,
    };
    ScreenOptions {
        format,
        color: match global.color {
            When::Auto => ColorWhen::Auto,
            When::Always => ColorWhen::Always,
            When::Never => ColorWhen::Never,
        },
        quiet: global.quiet,
        verbose: global.verbose,
        yes: global.yes,
        no_input: global.no_input || std::env::var("CI").is_ok_and(|ci| ci == "true"),
    }
}

/// Runs a command on a runtime of this thread, within `--timeout`.
fn block_on(context: &Context, command: Option<Command>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new(Code::Internal).with("detail", error))?;
    let outcome = runtime.block_on(async {
        let work = dispatch(context, command);
        match context.global.timeout {
            None => work.await,
            Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
                Err(Problem::new(Code::TimedOut)
                    .with("timeout", humantime::format_duration(limit))
                    .into())
            }),
        }
    });
    // A thread that still waits for a lock is not waited for.
    runtime.shutdown_background();
    outcome
}

async fn dispatch(context: &Context, command: Option<Command>) -> Outcome {
    let ctl = &context.ctl;
    match command {
        None => start::overview(context).await,
        Some(Command::Status(asked)) => {
            let arguments = StatusArguments {
                upstream: asked.upstream.clone(),
                check: asked.check,
            };
            let outcome = if asked.watch {
                start::watch(context, &arguments).await
            } else {
                start::status(context, &arguments).await
            };
            spelled(ctl, outcome, asked.upstream.as_deref()).await
        }
        Some(Command::Login(asked)) => login::login(context, asked).await,
        Some(Command::Logout(asked)) => logout(ctl, &asked).await,
        Some(Command::Run(asked)) => agent::run(context, asked).await,
        Some(Command::Connect(asked)) => connect::connect(context, asked).await,
        Some(Command::Disconnect(asked)) => connect::disconnect(context, asked).await,
        Some(Command::Up) => up::up(context).await,
        Some(Command::Down) => start::down(context).await,
        Some(Command::Logs(asked)) => logs::show(context, asked).await,
        Some(Command::Upstream(asked)) => upstream::run(context, asked).await,
        Some(Command::Session(asked)) => session::run(context, asked).await,
        Some(Command::Bridge(asked)) => bridge::bridge(context, asked).await,
        Some(Command::Ctl(CtlCommand::Reload)) => reload(context).await,
        Some(Command::Ctl(asked)) => run_ctl(ctl, asked).await,
        Some(Command::Config(asked)) => local::config(context, asked),
        Some(Command::Service(asked)) => service::run(context, asked).await,
        Some(Command::Explain(asked)) => local::explain(context, &asked),
        Some(Command::Version) => ctl::version(ctl, local::version()).await,
        Some(Command::Serve(_) | Command::Demo(_)) => unreachable!("not run on this runtime"),
    }
}

pub(super) async fn run_ctl(ctl: &Ctl, command: CtlCommand) -> Outcome {
    match command {
        CtlCommand::Sessions(asked) => {
            let arguments = ListArguments {
                client: asked.client,
                upstream: asked.upstream,
                state: asked.state.map(|state| match state {
                    StateForm::Active => SessionState::Active,
                    StateForm::Idle => SessionState::Idle,
                    StateForm::Expired => SessionState::Expired,
                    StateForm::Revoked => SessionState::Revoked,
                }),
                all: asked.all,
            };
            let outcome = ctl::list_sessions(ctl, &arguments).await;
            spelled(ctl, outcome, arguments.upstream.as_deref()).await
        }
        CtlCommand::Show(asked) => ctl::show_session(ctl, &asked.id).await,
        CtlCommand::Revoke(asked) => {
            let filter = RevokeFilter {
                ids: asked.ids,
                client: asked.client,
                upstream: asked.upstream,
                label: asked.label,
                idle_s: asked.idle.map(|idle| idle.as_secs()),
                all: asked.all,
            };
            let (reason, upstream) = (asked.reason, filter.upstream.clone());
            let outcome = ctl::revoke(ctl, &RevokeArguments { filter, reason }).await;
            spelled(ctl, outcome, upstream.as_deref()).await
        }
        CtlCommand::Refresh(asked) => {
            let outcome = ctl::refresh(ctl, &asked.account).await;
            spelled(ctl, outcome, Some(&asked.account)).await
        }
        CtlCommand::Reload => ctl::reload(ctl).await,
    }
}

/// `ctl reload`: what the daemon does not take is shown whole, where it is in the file.
async fn reload(context: &Context) -> Outcome {
    let outcome = ctl::reload(&context.ctl).await;
    match &outcome {
        Err(fault) if fault.code() == Some(Code::ConfigInvalid) => {
            start::load(context)?;
            outcome
        }
        _ => outcome,
    }
}

async fn logout(ctl: &Ctl, asked: &LogoutArgs) -> Outcome {
    let request = Logout {
        keep_client: asked.keep_client,
        local: asked.local,
    };
    let account = asked.upstream.as_deref();
    let outcome = ctl::logout(ctl, account, request).await;
    spelled(ctl, outcome, account).await
}

/// Adds what was probably meant to a fault that says that a name is unknown.
pub(super) async fn spelled(ctl: &Ctl, outcome: Outcome, name: Option<&str>) -> Outcome {
    let (Err(fault), Some(name)) = (&outcome, name) else {
        return outcome;
    };
    let Some(near) = ctl.spelling(fault, name).await else {
        return outcome;
    };
    fault.tell(&ctl.screen, Some(&near));
    Err(Fault::Said(fault.exit()))
}

fn serve_here(context: &Context, asked: ServeArgs) -> Outcome {
    let global = &context.global;
    let upstreams: Result<Vec<_>, Fault> = asked.upstreams.iter().map(|it| named(it)).collect();
    let absolute = |path: &Option<PathBuf>| path.as_ref().and_then(|p| std::path::absolute(p).ok());
    let upstreams = upstreams?;
    // All mistakes are shown here. The command that starts a daemon has shown them already.
    if !asked.tell_failure {
        let mut inputs = context.inputs();
        inputs.flags.bind = asked.bind;
        inputs.flags.port = asked.port;
        inputs.flags.upstreams.clone_from(&upstreams);
        let loaded = crate::config::load(&inputs);
        loaded.map_err(|error| local::config_fault(context, &error))?;
    }
    let options = ServeOptions {
        config_path: absolute(&global.config),
        state_dir: absolute(&global.state_dir),
        socket: absolute(&global.socket),
        bind: asked.bind,
        port: asked.port,
        upstreams,
        ready_fd: asked.ready_fd,
        tell_failure: asked.tell_failure,
        until_eof: asked.until_eof,
        succeed: asked.succeed,
        log_format: asked.log_format.map(|form| match form {
            LogForm::Text => LogFormat::Text,
            LogForm::Json => LogFormat::Json,
        }),
        watch: asked.watch,
        // Whoever reads what an agent was told has another environment.
        invocation: invocation(global, |_| true),
    };
    daemon::serve(options).map(|()| 0).map_err(Fault::from)
}

/// `name=url`, or an address alone, which is called after its host.
fn named(text: &str) -> Result<(String, String), Fault> {
    let (name, url) = match text.split_once('=') {
        Some((name, url)) if !name.contains(['/', ':', '?']) => (Some(name), url),
        _ => (None, text),
    };
    let parsed = UpstreamUrl::parse(url).ok_or_else(|| login::not_a_url(url))?;
    let name = name.map_or_else(|| login::name_of(parsed.url()), str::to_owned);
    Ok((name, url.to_owned()))
}

impl Context {
    /// The inputs of the configuration that the daemon would read.
    pub(super) fn inputs(&self) -> crate::config::Inputs {
        let named = self.global.config.is_some();
        crate::config::Inputs::of_process(self.paths.config.clone(), named)
    }

    /// The same once more, for work that outlives the borrow of this one.
    pub(super) fn again(&self) -> Self {
        Self {
            ctl: Ctl {
                client: self.ctl.client.clone(),
                screen: self.ctl.screen.clone(),
            },
            paths: self.paths.clone(),
            global: self.global.clone(),
        }
    }

    /// Whether a daemon answers.
    pub(super) async fn running(&self) -> Result<Option<api::Status>, Fault> {
        ctl::running(&self.ctl).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_on_the_command_line_may_be_named() {
        let pair = |text: &str| named(text).expect("right");
        let of = |name: &str, url: &str| (name.to_owned(), url.to_owned());
        assert_eq!(
            pair("a=https://x.example/m"),
            of("a", "https://x.example/m")
        );
        assert_eq!(
            pair("https://mcp.linear.app/mcp?a=b"),
            of("linear", "https://mcp.linear.app/mcp?a=b")
        );
        assert!(named("a=nonsense").is_err());
    }
}
