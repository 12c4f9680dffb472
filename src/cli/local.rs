//! Commands that need no daemon: the config file, the catalogue, the version.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use serde_json::json;

use super::arguments::{CheckArgs, ConfigCommand, ExplainArgs, InitArgs, ShowArgs};
use super::run::Context;
use super::start;
use crate::api::{Failure, Version};
use crate::config::{self, Config, ConfigError, EditError, Setting};
use crate::ctl::{Fault, Format, Outcome, column};
use crate::model::catalogue::{Code, Problem};
use crate::model::id::UpstreamName;
use crate::model::nearest::nearest;

/// What `config init` writes.
const EXAMPLE: &str = include_str!("../config/example.toml");

pub(super) fn config(context: &Context, command: ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Check(asked) => check(context, asked),
        ConfigCommand::Show(asked) => show(context, &asked),
        ConfigCommand::Path => {
            let (screen, file) = (&context.ctl.screen, &context.paths.config);
            if screen.format().is_json() {
                screen.json(&json!({ "schema": "doorward/config-path/v1", "file": file }));
            } else {
                screen.out(file.display());
            }
            Ok(0)
        }
        ConfigCommand::Init(asked) => init(context, &asked),
    }
}

fn check(context: &Context, asked: CheckArgs) -> Outcome {
    let mut inputs = context.inputs();
    if let Some(file) = asked.file {
        inputs.file = file;
        inputs.named = true;
    }
    let screen = &context.ctl.screen;
    match config::load(&inputs) {
        Ok(loaded) => {
            let upstreams = loaded.config.upstreams.len();
            if screen.format().is_json() {
                screen.json(&json!({
                    "schema": "doorward/config-check/v1",
                    "file": inputs.file,
                    "upstreams": upstreams,
                    "warnings": loaded.warnings,
                }));
                return Ok(0);
            }
            for warning in &loaded.warnings {
                screen.warn(warning);
            }
            let plural = if upstreams == 1 { "" } else { "s" };
            let file = inputs.file.display();
            screen.out(format!(
                "{} {file}: {upstreams} upstream{plural}, no mistakes",
                screen.tick()
            ));
            Ok(0)
        }
        Err(error) => {
            let fix = format!("edit {}", inputs.file.display());
            Err(tell_config(context, &error, &fix))
        }
    }
}

/// Tells a person what is wrong with the configuration.
pub(super) fn config_fault(context: &Context, error: &ConfigError) -> Fault {
    tell_config(context, error, "doorward config check")
}

/// Tells a person what is wrong with a file, and what to do about it.
pub(super) fn tell_config(context: &Context, error: &ConfigError, fix: &str) -> Fault {
    let screen = &context.ctl.screen;
    let fix = if error.is_unreadable() {
        "name a file that can be read, or make one: doorward config init"
    } else {
        fix
    };
    let problem = error.problem().next_step(fix);
    if screen.format().is_json() {
        let mistakes = error.mistakes.iter().map(|mistake| {
            let at = error.position(mistake);
            json!({
                "line": at.map(|at| at.line),
                "column": at.map(|at| at.column),
                "message": mistake.message,
                "note": mistake.note,
                "help": mistake.help,
            })
        });
        let mistakes: Vec<_> = mistakes.collect();
        let mut failure = Failure::from(&problem);
        failure.error.fix = failure.error.fix.map(|fix| screen.spell(&fix));
        screen.json(&json!({
            "error": failure.error,
            "file": error.file,
            "mistakes": mistakes,
        }));
    } else {
        let shown = error.render();
        // Beside the mistakes this line is all there is to say, so that -q keeps both.
        let fix = screen.spell(fix);
        let _ = writeln!(std::io::stderr().lock(), "{shown}  run: {fix}");
    }
    Fault::Said(problem.entry().exit)
}

fn show(context: &Context, asked: &ShowArgs) -> Outcome {
    let loaded = config::load(&context.inputs()).map_err(|e| config_fault(context, &e))?;
    let screen = &context.ctl.screen;
    if screen.format().is_json() {
        let item = |setting: &Setting| {
            json!({
                "key": setting.key,
                "value": setting.value,
                "source": setting.source.to_string(),
            })
        };
        let items: Vec<_> = loaded.settings.iter().map(item).collect();
        screen.json(&json!({ "schema": "doorward/config/v1", "items": items }));
        return Ok(0);
    }
    if asked.sources {
        let columns = [column("KEY"), column("VALUE").flexible(), column("SOURCE")];
        let row = |setting: &Setting| {
            let source = setting.source.to_string();
            vec![setting.key.clone(), setting.value.clone(), source]
        };
        screen.table(&columns, loaded.settings.iter().map(row).collect());
    } else {
        for setting in &loaded.settings {
            screen.out(format!("{} = {}", setting.key, setting.value));
        }
    }
    Ok(0)
}

fn init(context: &Context, asked: &InitArgs) -> Outcome {
    let file = &context.paths.config;
    let failed = |error: std::io::Error| unwritten(context, &error);
    if let Some(dir) = file.parent() {
        if *dir == context.paths.state_dir {
            start::prepare(context)?;
        }
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if asked.force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let mut open = options.open(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Problem::new(Code::ConfirmationNeeded)
            .with("detail", format!("{} exists", file.display()))
            .with("command", "doorward config init --force")
            .into(),
        _ => failed(error),
    })?;
    open.write_all(EXAMPLE.as_bytes()).map_err(failed)?;
    let screen = &context.ctl.screen;
    if screen.format().is_json() {
        screen.json(&json!({ "schema": "doorward/config-init/v1", "file": file }));
    } else {
        screen.out(format!("{} Wrote {}", screen.tick(), file.display()));
    }
    Ok(0)
}

/// The fault of an edit.
pub(super) fn edit_fault(context: &Context, error: EditError) -> Fault {
    match error {
        EditError::Config(error) => config_fault(context, &error),
        EditError::Unfit(error) => error.problem_of_change().into(),
        EditError::Exists(name) => Problem::new(Code::UpstreamExists).with("name", name).into(),
        EditError::Missing(name) => match config::load(&context.inputs()) {
            Ok(loaded) => unknown(&loaded.config, name.as_str()),
            Err(error) => config_fault(context, &error),
        },
        EditError::Changed(file) => Problem::new(Code::ConfigChanged)
            .with("file", file.display())
            .into(),
        EditError::Io { error, .. } => unwritten(context, &error),
    }
}

/// The fault that the config file cannot be read or written.
fn unwritten(context: &Context, error: &std::io::Error) -> Fault {
    Problem::new(Code::ConfigUnwritable)
        .with("file", context.paths.config.display())
        .with("detail", error)
        .into()
}

/// The fault that an upstream of this name exists.
pub(super) fn exists(context: &Context, name: &str) -> Fault {
    let loaded = config::load(&context.inputs()).ok();
    let upstream = loaded
        .as_ref()
        .and_then(|loaded| loaded.config.upstream(name));
    let problem = Problem::new(Code::UpstreamExists).with("name", name);
    match upstream {
        Some(upstream) => problem.with("url", upstream.url.as_str()).into(),
        None => problem.because("the config names it").into(),
    }
}

/// The fault that there is no upstream or account of this name, with what was probably meant.
pub(super) fn unknown(config: &Config, name: &str) -> Fault {
    let names: Vec<&str> = config.upstreams.keys().map(UpstreamName::as_str).collect();
    let bare = name.split('@').next().unwrap_or(name);
    if let Some(upstream) = config.upstream(bare) {
        let accounts: Vec<String> = upstream.accounts.keys().map(ToString::to_string).collect();
        return Problem::new(Code::AccountUnknown)
            .with("upstream", bare)
            .with(
                "account",
                name.split_once('@')
                    .map_or("default", |(_, account)| account),
            )
            .with("names", accounts.join(", "))
            .into();
    }
    let listed = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    let problem = Problem::new(Code::UpstreamUnknown)
        .with("name", name)
        .with("names", listed);
    match nearest(bare, names.iter().copied()) {
        Some(near) => problem
            .next_step(format!("did you mean {near}? doorward upstream list"))
            .into(),
        None if name.parse::<UpstreamName>().is_ok() => problem.into(),
        None => problem.next_step("doorward upstream list").into(),
    }
}

pub(super) fn explain(context: &Context, asked: &ExplainArgs) -> Outcome {
    let screen = &context.ctl.screen;
    let Some(text) = &asked.code else {
        if screen.format().is_json() {
            let items: Vec<_> = Code::possible().map(document).collect();
            screen.json(&json!({ "schema": "doorward/explanations/v1", "items": items }));
        } else if screen.format() == Format::Name {
            for code in Code::possible() {
                screen.out(code);
            }
        } else {
            let columns = [column("CODE"), column("WHAT").flexible()];
            let row = |code: Code| vec![code.to_string(), shown(code.entry().what)];
            screen.table(&columns, Code::possible().map(row).collect());
        }
        return Ok(0);
    };
    let named = text.replace('-', "_").parse::<Code>().ok();
    let Some(code) = named.filter(|code| !code.is_reserved()) else {
        let near = nearest(text, Code::possible().map(Code::as_str));
        let fix = match near {
            Some(near) => format!("doorward explain {near}"),
            None => "doorward explain".to_owned(),
        };
        return Err(Problem::new(Code::NotFound)
            .because(format!("there is no code called {text}"))
            .next_step(fix)
            .into());
    };
    if screen.format().is_json() {
        screen.json(&document(code));
        return Ok(0);
    }
    let entry = code.entry();
    screen.out(format!("{}: {}", entry.code, shown(entry.what)));
    screen.out("");
    for line in wrapped(entry.explain, 78) {
        screen.out(line);
    }
    if !entry.fix.is_empty() {
        screen.out("");
        screen.out(format!("Usually: {}", shown(entry.fix)));
    }
    Ok(0)
}

fn document(code: Code) -> serde_json::Value {
    let entry = code.entry();
    json!({
        "schema": "doorward/explanation/v1",
        "code": entry.code,
        "number": entry.number,
        "what": entry.what,
        "why": entry.why,
        "fix": entry.fix,
        "explain": entry.explain,
        "http": entry.http,
        "rpc": entry.rpc,
        "retry": entry.retry,
        "exit": entry.exit,
    })
}

/// A template for people: placeholders in capitals.
fn shown(template: &str) -> String {
    let mut upper = false;
    let mut text = String::with_capacity(template.len());
    for c in template.chars() {
        match c {
            '{' => upper = true,
            '}' => upper = false,
            c if upper => text.push(c.to_ascii_uppercase()),
            c => text.push(c),
        }
    }
    text
}

/// `text` in lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// What follows the processor in the name of the platform, as Rust calls it.
const PLATFORM: &str = if cfg!(target_os = "macos") {
    "apple-darwin"
} else if cfg!(target_env = "musl") {
    "unknown-linux-musl"
} else {
    "unknown-linux-gnu"
};

/// Revisions of MCP that are spoken.
const REVISIONS: [&str; 5] = [
    "2024-11-05",
    "2025-03-26",
    "2025-06-18",
    "2025-11-25",
    "2026-07-28",
];

/// This command's version.
pub(super) fn version() -> Version {
    Version {
        schema: "doorward/version/v1".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("DOORWARD_COMMIT").map(str::to_owned),
        target: format!("{}-{PLATFORM}", std::env::consts::ARCH),
        features: Vec::new(),
        protocol_revisions: REVISIONS.map(str::to_owned).into(),
        daemon: None,
    }
}
