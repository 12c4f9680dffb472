//! Reads values out of the tree. Every mistake is noted and reading goes on, so that a person
//! sees all of them at once; every value is recorded with its source.

use std::cell::RefCell;
use std::str::FromStr;

use super::Setting;
use super::Source;
use super::kinds::{Kind, list};
use super::mistake::{Mistake, Place};
use super::raw::{Node, Origin, Table, Value, quoted};
use crate::model::catalogue::Code;
use crate::model::nearest::nearest;

/// Why a value is not what it should be.
#[derive(Clone, Debug)]
pub(super) struct Wrong {
    /// Follows the name of the key: "must be …".
    pub(super) demand: String,
    /// What the caret points out.
    pub(super) note: String,
    /// What to do.
    pub(super) help: Option<String>,
}

impl Wrong {
    pub(super) fn new(demand: impl Into<String>, note: impl Into<String>) -> Self {
        Self {
            demand: demand.into(),
            note: note.into(),
            help: None,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn shape(wanted: &str, node: &Node) -> Self {
        Self::new(
            format!("must be {wanted}"),
            format!("this is {}", node.shape()),
        )
    }
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Report {
    pub(super) mistakes: RefCell<Vec<Mistake>>,
    pub(super) settings: RefCell<Vec<Setting>>,
    pub(super) warnings: RefCell<Vec<String>>,
}

impl Report {
    pub(super) fn mistake(&self, origin: &Origin, message: String, wrong: Wrong) {
        self.mistakes.borrow_mut().push(Mistake {
            place: place(origin),
            message,
            note: wrong.note,
            help: wrong.help,
            code: Code::ConfigInvalid,
        });
    }

    fn record(&self, key: String, node: &Node, shape: &str) {
        let written = match (shape, node.loose_text()) {
            (_, None) | ("text", _) => node.written(),
            ("an array", _) => {
                let words = list(node).unwrap_or_default();
                let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                format!("[{}]", quoted.join(", "))
            }
            (_, Some(bare)) => bare.to_owned(),
        };
        // Fields often hold keys of an interface.
        let secret = key.contains(".headers.")
            || key.contains(".auth.env.")
            || key.split('.').next_back() == Some("proxy") && written.contains('@');
        self.settings.borrow_mut().push(Setting {
            value: if secret {
                "\"‹set›\"".to_owned()
            } else {
                written
            },
            source: source(&node.origin),
            key,
        });
    }

    /// What is recorded for `key`.
    fn recorded(&self, key: &str) -> Option<Setting> {
        let settings = self.settings.borrow();
        settings.iter().find(|setting| setting.key == key).cloned()
    }
}

pub(super) fn place(origin: &Origin) -> Place {
    match origin {
        Origin::File(span) => Place::File(span.clone()),
        Origin::Variable(name) => Place::Variable(name.clone()),
        Origin::Flag(name) => Place::Flag((*name).to_owned()),
        Origin::Default => Place::File(0..0),
    }
}

fn source(origin: &Origin) -> Source {
    match origin {
        Origin::File(span) => Source::File { at: span.start },
        Origin::Variable(name) => Source::Variable(name.clone()),
        Origin::Flag(name) => Source::Flag(name),
        Origin::Default => Source::Default,
    }
}

/// One table while it is read.
pub(super) struct Section<'t> {
    /// As it is written between brackets; empty for the whole file.
    pub(super) path: String,
    pub(super) report: &'t Report,
    pub(super) origin: Origin,
    table: &'t Table,
    known: Vec<(&'static str, &'static str)>,
}

static NOTHING: Table = Table(Vec::new());

impl<'t> Section<'t> {
    pub(super) fn new(path: String, origin: Origin, table: &'t Table, report: &'t Report) -> Self {
        Self {
            path,
            report,
            origin,
            table,
            known: Vec::new(),
        }
    }

    /// The name of `key` from the top of the file.
    pub(super) fn full(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    /// What is written for `key`.
    pub(super) fn node(&mut self, key: &'static str, shape: &'static str) -> Option<&'t Node> {
        self.known.push((key, shape));
        self.table.find(key).map(|item| &item.node)
    }

    /// Whether `key` is written, and where.
    pub(super) fn written(&self, key: &str) -> Option<&'t Origin> {
        self.table.find(key).map(|item| &item.node.origin)
    }

    /// The value of `key`, else its default, which is given as it would be written.
    pub(super) fn read<T>(&mut self, key: &'static str, default: &str, kind: Kind<'_, T>) -> T {
        let standard = Node::loose(default, Origin::Default);
        let node = self.node(key, kind.shape).unwrap_or(&standard);
        self.report.record(self.full(key), node, kind.shape);
        match (kind.parse)(node) {
            Ok(value) => value,
            Err(wrong) => {
                self.wrong(key, &node.origin, wrong);
                match (kind.parse)(&standard) {
                    Ok(value) => value,
                    Err(wrong) => unreachable!("the default of {key} {}", wrong.demand),
                }
            }
        }
    }

    /// The value of `key`, if it is written and right.
    pub(super) fn optional<T>(&mut self, key: &'static str, kind: Kind<'_, T>) -> Option<T> {
        let node = self.node(key, kind.shape)?;
        self.report.record(self.full(key), node, kind.shape);
        match (kind.parse)(node) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.wrong(key, &node.origin, wrong);
                None
            }
        }
    }

    /// The value of `key`, else the one of `[defaults]`.
    pub(super) fn inherited<T: Clone>(
        &mut self,
        key: &'static str,
        default: &T,
        kind: Kind<'_, T>,
    ) -> T {
        if self.table.find(key).is_none()
            && let Some(setting) = self.report.recorded(&format!("defaults.{key}"))
        {
            let key = self.full(key);
            let mut settings = self.report.settings.borrow_mut();
            settings.push(Setting { key, ..setting });
        }
        self.optional(key, kind).unwrap_or_else(|| default.clone())
    }

    /// The table behind `key`; an empty one where nothing is written.
    pub(super) fn table(&mut self, key: &'static str) -> Section<'t> {
        let path = self.full(key);
        let item = self.table.find(key);
        self.known.push((key, "a table"));
        let (origin, table) = match item.map(|item| (&item.key, &item.node)) {
            None => (self.origin.clone(), &NOTHING),
            Some((origin, node)) => {
                if let Value::Table(table) = &node.value {
                    (origin.clone(), table)
                } else {
                    self.wrong(key, &node.origin, Wrong::shape("a table", node));
                    (origin.clone(), &NOTHING)
                }
            }
        };
        Section::new(path, origin, table, self.report)
    }

    /// The tables behind `key`, each under a name that a person chose.
    pub(super) fn named<N: FromStr>(&mut self, key: &'static str) -> Vec<(N, Section<'t>)>
    where
        N::Err: std::fmt::Display,
    {
        let outer = self.table(key);
        let mut all = Vec::new();
        for item in &outer.table.0 {
            let path = format!("{}.{}", outer.path, item.name);
            let Value::Table(table) = &item.node.value else {
                let wrong = Wrong::shape("a table", &item.node);
                let message = format!("`{path}` {}", wrong.demand);
                self.report.mistake(&item.node.origin, message, wrong);
                continue;
            };
            match item.name.parse() {
                Ok(name) => {
                    let section = Section::new(path, item.key.clone(), table, self.report);
                    all.push((name, section));
                }
                Err(error) => {
                    let message = format!("`{}` cannot be a name", item.name);
                    let wrong = Wrong::new("", format!("{error}"));
                    self.report.mistake(&item.key, message, wrong);
                    // What is below it is looked at as well; nothing is made of it.
                    if let Ok(stand_in) = "unnamed".parse() {
                        let section = Section::new(path, item.key.clone(), table, self.report);
                        all.push((stand_in, section));
                    }
                }
            }
        }
        all
    }

    /// The pairs of text behind `key`.
    pub(super) fn pairs(&mut self, key: &'static str) -> Vec<(&'t str, &'t Origin, &'t Node)> {
        let inner = self.table(key);
        let items = inner.table.0.iter();
        let pairs: Vec<_> = items
            .map(|item| (item.name.as_str(), &item.key, &item.node))
            .collect();
        for (name, _, node) in &pairs {
            self.report.record(inner.full(name), node, "text");
        }
        pairs
    }

    /// Notes that `key` is known and cannot be used yet.
    pub(super) fn later(&mut self, key: &'static str) {
        if let Some(node) = self.node(key, "") {
            let origin = self.table.find(key).map_or(&node.origin, |item| &item.key);
            let message = format!("`{}` is not available in this version", self.full(key));
            let wrong = Wrong::new("", "take it out");
            self.report.mistake(origin, message, wrong);
        }
    }

    /// Notes a mistake at the value of `key`.
    pub(super) fn wrong(&self, key: &str, origin: &Origin, wrong: Wrong) {
        let message = format!("`{}` {}", self.full(key), wrong.demand);
        self.report.mistake(origin, message, wrong);
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self) {
        for item in &self.table.0 {
            if self.known.iter().any(|(known, _)| *known == item.name) {
                continue;
            }
            let place = match self.path.as_str() {
                "" => "at the top of the file".to_owned(),
                path => format!("in [{path}]"),
            };
            let names = self.known.iter().map(|(name, _)| *name);
            let note = if let Some(near) = nearest(&item.name, names.clone()) {
                let known = self.known.iter().find(|(name, _)| *name == near);
                let shape = known.map_or("", |(_, shape)| *shape);
                if shape.is_empty() || shape == item.node.shape() {
                    format!("did you mean `{near}`?")
                } else {
                    format!("did you mean `{near}` ({shape})?")
                }
            } else {
                let all: Vec<&str> = names.collect();
                format!("known here: {}", all.join(", "))
            };
            let message = format!("unknown key `{}` {place}", item.name);
            self.report
                .mistake(&item.key, message, Wrong::new("", note));
        }
    }
}
