//! What a person sees of a change before and after it. Lines that stay are not shown: the secrets
//! of other servers stand in them.

use std::path::Path;

use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use super::place;
use super::target::Target;
use crate::cli::run::Context;
use crate::connect::{Client, Connections, Mode, Operation, Plan, Scope};
use crate::ctl::{Color, Format, Outcome, column};

/// What is shown in the place of a credential.
pub(super) const PLACEHOLDER: &str = "dw_…";
/// Of a longer line only this many characters are shown.
const LINE: usize = 300;

/// What is looked at.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) target: Target<'a>,
    /// Nothing for a file that was named.
    pub(super) scope: Option<Scope>,
    pub(super) mode: Mode,
}

impl Sight<'_> {
    fn head(&self) -> String {
        let mut parts = vec![self.target.client.facts().title];
        parts.extend(self.scope.map(|scope| match scope {
            Scope::User => "user scope",
            Scope::Project => "project scope",
        }));
        format!(
            "{} · {} · {}",
            parts.join(" · "),
            place::shown(self.target.file),
            self.mode.name()
        )
    }

    /// What would change.
    pub(super) fn preview(&self, context: &Context, old: Option<&str>, plan: &Plan) {
        let screen = &context.ctl.screen;
        if screen.format().is_json() {
            return;
        }
        screen.out(self.head());
        let new = plan.text.as_deref();
        if new.is_none() {
            screen.out("  the file goes: it was made for these entries");
        }
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let difference = TextDiff::from_lines(old, new);
        let mut last = None;
        for change in difference.iter_all_changes() {
            let (sign, color, line) = match change.tag() {
                ChangeTag::Equal => {
                    last = None;
                    continue;
                }
                ChangeTag::Delete => ("-", Color::Red, change.old_index()),
                ChangeTag::Insert => ("+", Color::Green, change.new_index()),
            };
            if last.is_none() {
                let line = line.map_or(1, |line| line + 1);
                screen.out(format!("  line {line}"));
            }
            last = Some(sign);
            let text = shortened(&masked(change.value().trim_end_matches(['\r', '\n'])));
            screen.out(screen.painted(&format!("  {sign} {text}"), color));
        }
        self.kept(context, plan);
    }

    /// Entries that stay because they are somebody else's.
    fn kept(&self, context: &Context, plan: &Plan) {
        let foreign = plan.changes.iter();
        for change in foreign.filter(|it| it.operation == Operation::Foreign) {
            let name = &change.name;
            let place = match change.before.as_ref().and_then(address) {
                Some(address) => format!("points to {address}"),
                None => "is not doorward's".to_owned(),
            };
            let advice = match self.target.verb {
                "connect" => "--replace puts doorward in its place",
                _ => "take it out yourself if you do not want it",
            };
            let screen = &context.ctl.screen;
            screen.warn(format!("\"{name}\" {place}: kept; {advice}"));
        }
    }

    /// Nothing is to be done.
    pub(super) fn nothing(&self, context: &Context, plan: &Plan) {
        let screen = &context.ctl.screen;
        if screen.format().is_json() {
            return;
        }
        let right = plan
            .changes
            .iter()
            .filter(|it| it.operation == Operation::Right);
        let right: Vec<_> = right.map(|it| it.name.as_str()).collect();
        let file = place::shown(self.target.file);
        if right.is_empty() {
            screen.out(format!("{file} has nothing to change"));
        } else {
            screen.out(format!(
                "{} {file} is right already: {}",
                screen.tick(),
                right.join(", ")
            ));
        }
        self.kept(context, plan);
    }

    /// It was written.
    pub(super) fn written(&self, context: &Context) {
        let screen = &context.ctl.screen;
        if screen.format().is_json() {
            return;
        }
        let facts = self.target.client.facts();
        screen.out(format!(
            "{} Wrote {} · undo: doorward disconnect {}",
            screen.tick(),
            place::shown(self.target.file),
            facts.name
        ));
        if self.mode == Mode::Env {
            let program = facts.program.unwrap_or("CMD");
            screen.hint(format!(
                "its credential comes from the environment; start it with: doorward run --no-inject -- {program}"
            ));
        }
        screen.say(format!("next: {}", facts.next));
    }

    /// What was ours is out.
    pub(super) fn taken_out(&self, context: &Context) {
        let screen = &context.ctl.screen;
        if !screen.format().is_json() {
            let file = place::shown(self.target.file);
            screen.out(format!(
                "{} Nothing of doorward's is in {file} any more",
                screen.tick()
            ));
        }
    }

    /// `doorward/connect/v1`
    pub(super) fn document(&self, plan: &Plan, written: bool) -> Value {
        let path = self.target.client.facts().path;
        let changes = plan.changes.iter().map(|change| {
            let mut at = path.to_vec();
            at.push(&change.name);
            json!({
                "op": change.operation.name(),
                "path": at,
                "before": change.before.as_ref().map(without_credential),
                "after": change.after.as_ref().map(without_credential),
            })
        });
        json!({
            "schema": "doorward/connect/v1",
            "client": self.target.client.facts().name,
            "file": self.target.file,
            "scope": self.scope.map(|scope| match scope {
                Scope::User => "user",
                Scope::Project => "project",
            }),
            "mode": self.mode.name(),
            "changes": changes.collect::<Vec<_>>(),
            "written": written,
        })
    }
}

/// The documents of what was done, where programs read them.
pub(super) fn documents(context: &Context, documents: Vec<Value>, several: bool) {
    let screen = &context.ctl.screen;
    match (screen.format(), documents.as_slice()) {
        (Format::Jsonl, all) => screen.jsonl(all),
        (Format::Json, [one]) if !several => screen.json(one),
        (Format::Json, all) if several => screen.json(&all),
        _ => {}
    }
}

/// `connect --list`
pub(super) fn list(context: &Context, connections: &Connections) -> Outcome {
    let screen = &context.ctl.screen;
    let places = place::places()?;
    let mut rows = Vec::new();
    let mut items = Vec::new();
    for client in Client::ALL {
        let name = client.facts().name;
        let usual = client.file(Scope::User, &places, Path::exists);
        let installed = place::is_installed(client);
        let of_it = connections.items.iter().filter(|it| it.client == name);
        let mut files: Vec<_> = of_it.map(|it| (it.file.clone(), Some(it))).collect();
        if files.is_empty() {
            files.extend(usual.map(|file| (file, None)));
        }
        for (file, connection) in files {
            let ours = connection.map(|it| it.ours.entries.iter().map(|kept| kept.name.as_str()));
            let ours: Vec<&str> = ours.into_iter().flatten().collect();
            let mode = connection.map(|it| it.mode.name());
            let dash = || screen.dash().to_owned();
            rows.push(vec![
                name.to_owned(),
                if installed { "yes" } else { "no" }.to_owned(),
                if ours.is_empty() {
                    dash()
                } else {
                    ours.join(", ")
                },
                mode.map_or_else(dash, str::to_owned),
                place::shown(&file),
            ]);
            items.push(json!({
                "client": name,
                "installed": installed,
                "connected": ours,
                "mode": mode,
                "file": file,
            }));
        }
    }
    match screen.format() {
        Format::Json => screen.json(&json!({"schema": "doorward/clients/v1", "items": items})),
        Format::Jsonl => screen.jsonl(&items),
        Format::Name => Client::ALL
            .iter()
            .for_each(|it| screen.out(it.facts().name)),
        Format::Table | Format::Wide => screen.table(
            &[
                column("CLIENT"),
                column("INSTALLED"),
                column("CONNECTED"),
                column("MODE"),
                column("FILE").flexible(),
            ],
            rows,
        ),
    }
    Ok(0)
}

/// Where an entry leads: an address, or a command.
fn address(entry: &Value) -> Option<String> {
    let text = |name: &str| entry[name].as_str().map(str::to_owned);
    let names = ["url", "httpUrl", "uri", "command", "cmd"];
    names.into_iter().find_map(text)
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(LINE) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

/// The text without any credential of ours.
fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("dw_") {
        let (before, found) = rest.split_at(at);
        let end = found
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(found.len());
        shown.push_str(before);
        // What is shorter is a name or our own placeholder.
        shown.push_str(if end > 30 { PLACEHOLDER } else { &found[..end] });
        rest = &found[end..];
    }
    shown + rest
}

fn without_credential(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(masked(text)),
        Value::Array(items) => items.iter().map(without_credential).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| (name.clone(), without_credential(value)));
            Value::Object(fields.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}
