//! Reads values out of the tree. Every mistake is noted and reading goes on, so that a person
//! sees all of them at once; every value is recorded with its source.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use super::Setting;
use super::Source;
use super::mistake::{Mistake, Place};
use super::raw::{Node, Origin, Table, Value};
use crate::model::catalogue::Code;
use crate::model::nearest::nearest;

/// The variables that `${VAR}` can name.
pub(super) type Variables = BTreeMap<String, String>;

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

    fn shape(wanted: &str, node: &Node) -> Self {
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
        let bare = node.loose_text().filter(|_| shape != "text");
        self.settings.borrow_mut().push(Setting {
            value: bare.map_or_else(|| node.written(), str::to_owned),
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

/// How a value of one kind is read.
pub(super) struct Kind<'k, T> {
    pub(super) shape: &'static str,
    pub(super) parse: &'k dyn Fn(&Node) -> Result<T, Wrong>,
}

impl<T> Clone for Kind<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Kind<'_, T> {}

macro_rules! kind {
    ($name:ident: $type:ty, $shape:literal, $parse:expr) => {
        pub(super) const $name: Kind<'static, $type> = Kind {
            shape: $shape,
            parse: &$parse,
        };
    };
}

kind!(TEXT: String, "text", text);
kind!(YES: bool, "true or false", yes);
kind!(DURATION: Duration, "text", duration);
kind!(LIMIT: Option<Duration>, "text", limit);
kind!(SIZE: u64, "text", size);
kind!(PORT: u16, "a number", |node| number(node, 1, 65535, "a port, 1 to 65535"));
kind!(COUNT: usize, "a number", |node| number(node, 1, 1 << 20, "a number of at least 1"));
kind!(ATTEMPTS: u32, "a number", |node| number(node, 1, 100, "a number from 1 to 100"));
kind!(SHARE: f64, "text", share);
kind!(LIST: Vec<String>, "an array", list);

pub(super) fn text(node: &Node) -> Result<String, Wrong> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(Wrong::shape("text", node)),
    }
}

fn yes(node: &Node) -> Result<bool, Wrong> {
    match (&node.value, node.loose_text()) {
        (Value::Bool(yes), _) => Ok(*yes),
        (_, Some("true" | "1" | "yes" | "on")) => Ok(true),
        (_, Some("false" | "0" | "no" | "off")) => Ok(false),
        _ => Err(Wrong::shape("true or false", node)),
    }
}

fn number<T: TryFrom<i128>>(node: &Node, min: i128, max: i128, wanted: &str) -> Result<T, Wrong> {
    let number = match (&node.value, node.loose_text()) {
        (Value::Integer(number), _) => *number,
        (_, Some(text)) => text
            .trim()
            .parse()
            .map_err(|_| Wrong::new(format!("must be {wanted}"), "this is no number"))?,
        _ => return Err(Wrong::shape(wanted, node)),
    };
    let fits = (min..=max).contains(&number);
    let out = || Wrong::new(format!("must be {wanted}"), format!("this is {number}"));
    fits.then(|| T::try_from(number).ok())
        .flatten()
        .ok_or_else(out)
}

fn duration(node: &Node) -> Result<Duration, Wrong> {
    const EXAMPLE: &str = "must be a duration such as \"90s\", \"30m\" or \"12h\"";
    const LONGEST: Duration = Duration::from_hours(24 * 366 * 100);
    let Value::Text(text) = &node.value else {
        return Err(Wrong::new(EXAMPLE, format!("this is {}", node.shape())));
    };
    match humantime::parse_duration(text.trim()) {
        Ok(length) if length <= LONGEST => Ok(length),
        Ok(_) => Err(Wrong::new(EXAMPLE, "this is more than a century")),
        Err(_) => Err(Wrong::new(EXAMPLE, "this is no duration")),
    }
}

/// A duration or "off".
fn limit(node: &Node) -> Result<Option<Duration>, Wrong> {
    match &node.value {
        Value::Text(text) if text == "off" => Ok(None),
        _ => duration(node).map(Some).map_err(|wrong| Wrong {
            demand: wrong.demand + ", or \"off\"",
            ..wrong
        }),
    }
}

fn size(node: &Node) -> Result<u64, Wrong> {
    const EXAMPLE: &str = "must be a size such as \"64KiB\" or \"16MiB\"";
    if let Value::Integer(number) = &node.value
        && let Ok(bytes) = u64::try_from(*number)
    {
        return Ok(bytes);
    }
    let Value::Text(text) = &node.value else {
        return Err(Wrong::new(EXAMPLE, format!("this is {}", node.shape())));
    };
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(Wrong::new(EXAMPLE, "this is no size")),
    };
    let count: Option<u64> = text[..digits].parse().ok();
    count
        .and_then(|count| count.checked_mul(unit))
        .ok_or_else(|| Wrong::new(EXAMPLE, "this is no size"))
}

/// A share of a whole, as "20%" or 0.2.
fn share(node: &Node) -> Result<f64, Wrong> {
    const EXAMPLE: &str = "must be a share such as \"20%\"";
    let found = match &node.value {
        Value::Float(number) => Some(*number),
        Value::Text(text) => text
            .trim()
            .strip_suffix('%')
            .and_then(|percent| percent.trim().parse::<f64>().ok())
            .map(|percent| percent / 100.0),
        _ => return Err(Wrong::new(EXAMPLE, format!("this is {}", node.shape()))),
    };
    found
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| Wrong::new(EXAMPLE, "this is none between 0% and 100%"))
}

/// An array of texts; outside the file, words between blanks or commas.
fn list(node: &Node) -> Result<Vec<String>, Wrong> {
    match (&node.value, node.loose_text()) {
        (Value::Array(values), _) => values.iter().map(text).collect(),
        (_, Some(words)) => Ok(as_array(words).unwrap_or_else(|| {
            let all = words.split([',', ' ']).filter(|word| !word.is_empty());
            all.map(str::to_owned).collect()
        })),
        _ => Err(Wrong::shape("an array", node)),
    }
}

/// What `["a", "b"]` says, if `text` has that form.
fn as_array(text: &str) -> Option<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Wrapped {
        list: Vec<String>,
    }
    let wrapped: Wrapped = toml::from_str(&format!("list = {text}")).ok()?;
    Some(wrapped.list)
}

/// One of a few words.
pub(super) fn word<T: Copy>(node: &Node, words: &[(&str, T)]) -> Result<T, Wrong> {
    let all: Vec<String> = words
        .iter()
        .map(|(word, _)| format!("\"{word}\""))
        .collect();
    let demand = format!("must be one of {}", all.join(", "));
    let Value::Text(text) = &node.value else {
        return Err(Wrong::new(demand, format!("this is {}", node.shape())));
    };
    if let Some((_, value)) = words.iter().find(|(word, _)| word == text) {
        return Ok(*value);
    }
    let meant = match nearest(text, words.iter().map(|(word, _)| *word)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "this is none of them".to_owned(),
    };
    Err(Wrong::new(demand, meant))
}

/// `text` with `${VAR}` replaced.
pub(super) fn expand(text: &str, variables: &Variables) -> Result<String, Wrong> {
    let mut full = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find("${") {
        let Some(length) = rest[open..].find('}') else {
            break;
        };
        full.push_str(&rest[..open]);
        let name = &rest[open + 2..open + length];
        let value = variables.get(name).filter(|value| !value.is_empty());
        full.push_str(value.ok_or_else(|| {
            Wrong::new(
                "names a variable that is not set",
                format!("{name} is not set in the environment of the daemon"),
            )
        })?);
        rest = &rest[open + length + 1..];
    }
    full.push_str(rest);
    Ok(full)
}
