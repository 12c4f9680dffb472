//! `upstream import`: shows what a person's agent programs have, and adds what is chosen of it.

use serde_json::{Value, json};

use super::arguments::{AuthForm, ImportArgs, Origin, UpstreamAddArgs};
use super::run::Context;
use super::{local, start, upstream};
use crate::config;
use crate::ctl::{self, Fault, Format, Outcome, column};
use crate::import::{self, Candidate, Entry, Home, Known, Source, Unreadable, Verdict};
use crate::model::catalogue::{Code, Problem};
use crate::model::nearest::nearest;

/// The exit code where some could be added and others not.
const PARTIAL: u8 = 10;

pub(super) async fn run(context: &Context, asked: ImportArgs) -> Outcome {
    let found = candidates(context, &asked.from)?;
    let screen = &context.ctl.screen;
    let json = screen.format().is_json();
    if found.is_empty() {
        if json {
            screen.json(&document(&found, &[]));
        } else {
            screen.say("No remote servers were found in the configurations of your agents.");
            screen.hint("doorward login URL adds one");
        }
        return named(&found, &asked.names).map(|_| 0);
    }
    if !json {
        table(context, &found);
    }
    let chosen = choose(context, &found, &asked)?;
    let (added, failed) = add(context, &chosen).await;
    if json {
        screen.json(&document(&found, &added));
    } else {
        tell(context, &chosen, &added).await;
    }
    match (added.len(), failed) {
        (_, None) => Ok(0),
        (0, Some(fault)) => Err(fault),
        (_, Some(fault)) => {
            if !json {
                fault.tell(screen, None);
            }
            Err(Fault::Said(PARTIAL))
        }
    }
}

/// Everything that was found, each server once.
fn candidates(context: &Context, from: &[Origin]) -> Result<Vec<Candidate>, Fault> {
    let loaded = config::load(&context.inputs());
    let loaded = loaded.map_err(|error| local::config_fault(context, &error))?;
    let upstreams = loaded.config.upstreams.values();
    let known = Known {
        upstreams: upstreams
            .map(|it| (it.name.to_string(), it.url.as_str().to_owned()))
            .collect(),
        own: start::stopped(context, &loaded.config).daemon.base_url,
    };
    let Some(home) = Home::of_process() else {
        return Err(Problem::new(Code::BadRequest)
            .because("HOME is not set, and the user database knows no home directory")
            .next_step("HOME=/home/you doorward upstream import")
            .into());
    };
    let mut entries: Vec<Entry> = Vec::new();
    for source in Source::ALL {
        let wanted = Origin::Program(source);
        if !from.is_empty() && !from.contains(&wanted) && !from.contains(&Origin::McpRemote) {
            continue;
        }
        match import::entries(source, &home) {
            Ok(found) => entries.extend(found),
            Err(error) if from.contains(&wanted) => return Err(unreadable(source, &error)),
            Err(error) => {
                let problem = unreadable(source, &error);
                context.ctl.screen.warn(problem.to_string());
            }
        }
    }
    entries.retain(|entry| {
        from.is_empty()
            || from.contains(&Origin::Program(entry.source))
            || entry.through_command && from.contains(&Origin::McpRemote)
    });
    Ok(import::judge(&entries, &known))
}

fn unreadable(source: Source, error: &Unreadable) -> Fault {
    let problem = Problem::new(Code::ClientConfigUnreadable)
        .with("file", error.file.display())
        .with("format", error.format)
        .with("client", source.as_str())
        .next_step(format!(
            "fix it, then: doorward upstream import --from {}",
            source.as_str()
        ));
    match error.at {
        Some((line, column)) => problem
            .with("line", line)
            .with("col", column)
            .because("the parser stopped there")
            .into(),
        None => problem
            .with("line", 1)
            .with("col", 1)
            .because("the system does not give it out, or it is too long")
            .into(),
    }
}

fn table(context: &Context, found: &[Candidate]) {
    let screen = &context.ctl.screen;
    if screen.format() == Format::Name {
        for candidate in found.iter().filter(|it| it.verdict == Verdict::New) {
            screen.out(&candidate.name);
        }
        return;
    }
    let columns = [
        column("NAME"),
        column("ADDRESS").flexible(),
        column("FROM"),
        column("NOTE").flexible(),
    ];
    let row = |it: &Candidate| vec![it.name.clone(), it.shown.clone(), from(it), note(it)];
    screen.table(&columns, found.iter().map(row).collect());
}

fn from(candidate: &Candidate) -> String {
    let names = candidate.sources.iter().map(|it| it.as_str());
    let mut all: Vec<&str> = names.collect();
    if candidate.through_command {
        all.push("mcp-remote");
    }
    all.join(", ")
}

fn note(candidate: &Candidate) -> String {
    let fields = candidate.fields.join(", ").replace(char::is_control, " ");
    match candidate.verdict {
        Verdict::New if !fields.is_empty() => {
            format!("can be taken over, without its header fields: {fields}")
        }
        Verdict::OwnSecret => format!("{} ({fields})", candidate.verdict.words()),
        verdict => verdict.words().to_owned(),
    }
}

/// Those that a person wants: named, all, or asked for one by one.
fn choose<'f>(
    context: &Context,
    found: &'f [Candidate],
    asked: &ImportArgs,
) -> Result<Vec<&'f Candidate>, Fault> {
    let new = found.iter().filter(|it| it.verdict == Verdict::New);
    if !asked.names.is_empty() {
        return named(found, &asked.names);
    }
    if asked.dry_run {
        return Ok(Vec::new());
    }
    if asked.all {
        return Ok(new.collect());
    }
    let screen = &context.ctl.screen;
    let mut chosen = Vec::new();
    for candidate in new {
        let question = format!("Take over {} ({})?", candidate.name, candidate.shown);
        let command = format!("doorward upstream import {}", candidate.name);
        if screen.confirm(&question, &command)? {
            chosen.push(candidate);
        }
    }
    Ok(chosen)
}

/// Those with these names, all of which have to be there and possible.
fn named<'f>(found: &'f [Candidate], names: &[String]) -> Result<Vec<&'f Candidate>, Fault> {
    let mut chosen = Vec::new();
    for name in names {
        let Some(candidate) = found.iter().find(|it| it.name == *name) else {
            let known = found.iter().map(|it| it.name.as_str());
            let near = nearest(name, known);
            let why = near.map_or_else(
                || "no agent program of yours has a server that would be called so".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            return Err(Problem::new(Code::UpstreamUnknown)
                .with("name", name)
                .because(why)
                .next_step("doorward upstream import --dry-run")
                .into());
        };
        match candidate.verdict {
            Verdict::New => chosen.push(candidate),
            // What was asked for is so.
            Verdict::Known => {}
            verdict => {
                return Err(Problem::new(Code::NotImportable)
                    .with("name", name)
                    .with("reason", verdict.words())
                    .into());
            }
        }
    }
    Ok(chosen)
}

/// Adds them. One that fails keeps none of the others from being added.
async fn add<'c>(context: &Context, chosen: &[&'c Candidate]) -> (Vec<&'c str>, Option<Fault>) {
    let (mut added, mut failed) = (Vec::new(), None);
    for candidate in chosen {
        let asked = UpstreamAddArgs::of(&candidate.name, &candidate.url, AuthForm::Oauth);
        match upstream::add(context, &asked).await {
            Ok(_) => added.push(candidate.name.as_str()),
            Err(fault) => {
                failed.get_or_insert(fault);
            }
        }
    }
    (added, failed)
}

async fn tell(context: &Context, chosen: &[&Candidate], added: &[&str]) {
    let screen = &context.ctl.screen;
    for name in added {
        screen.out(format!("{} Added {name}", screen.tick()));
        if let Some(found) = ctl::found_upstream(&context.ctl, name).await {
            screen.out(format!("  {found}"));
        }
    }
    if let Some(first) = added.first() {
        screen.hint(format!("doorward login {first}"));
    }
    let taken = chosen.iter().filter(|it| added.contains(&it.name.as_str()));
    let mut programs: Vec<Source> = taken.flat_map(|it| it.sources.clone()).collect();
    programs.sort();
    programs.dedup();
    if !programs.is_empty() {
        let programs: Vec<&str> = programs.iter().map(|it| it.as_str()).collect();
        screen.say(format!(
            "Their entries in {} stay as they are and go past doorward.",
            programs.join(", ")
        ));
    }
}

fn document(found: &[Candidate], added: &[&str]) -> Value {
    let item = |it: &Candidate| {
        let from: Vec<&str> = it.sources.iter().map(|source| source.as_str()).collect();
        json!({
            "name": it.name,
            "url": it.shown,
            "from": from,
            "mcp_remote": it.through_command,
            "fields": it.fields,
            "verdict": it.verdict,
            "note": note(it),
            "added": added.contains(&it.name.as_str()),
        })
    };
    let items: Vec<Value> = found.iter().map(item).collect();
    json!({ "schema": "doorward/import/v1", "items": items })
}
