//! From a text and what is wanted in it to a new text and its inverse.

use serde_json::Value;

use super::ends::LineEnd;
use super::entry::Entry;
use super::format::{Format, Made, Refused, Spot};
use super::record::{Kept, Ours, Was};
use super::setting::meaning;
use super::text::is_blank;
use super::yaml;

/// The mark that some editors put at the beginning of a file.
const BOM: &str = "\u{feff}";

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// How the file is written.
    pub format: Format,
    /// The map of the servers.
    pub path: &'a [&'a str],
    /// The entries.
    pub entries: &'a [Entry],
    /// Whether entries of ours that are not among them go.
    pub only_these: bool,
    /// Whether an entry of somebody else's that has the name of one gives way.
    pub replace: bool,
}

/// What becomes of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is put in.
    Add,
    /// It takes the place of another.
    Replace,
    /// It is taken out; what it stood in the place of comes back.
    Remove,
    /// It is right already.
    Right,
    /// Somebody else's entry has its name, or it is somebody else's by now: it is kept.
    Foreign,
}

impl Operation {
    /// As programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Remove => "remove",
            Self::Right => "right",
            Self::Foreign => "keep",
        }
    }

    /// Whether the file is another afterwards.
    pub fn changes(self) -> bool {
        matches!(self, Self::Add | Self::Replace | Self::Remove)
    }
}

/// What becomes of one entry, and what it means before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What becomes of it.
    pub operation: Operation,
    /// Its name.
    pub name: String,
    /// What stands there.
    pub before: Option<Value>,
    /// What will.
    pub after: Option<Value>,
}

/// A new text and its inverse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The text; nothing where there shall be no file.
    pub text: Option<String>,
    /// What to remember.
    pub ours: Ours,
    /// What becomes of each entry.
    pub changes: Vec<Change>,
}

/// Puts what is wanted into `old`, of which `known` is ours already.
pub fn connect(old: Option<&str>, known: Option<&Ours>, wish: &Wish<'_>) -> Result<Plan, Refused> {
    let mut work = Work::begin(old, wish.format);
    let fresh = || Ours {
        was: match old {
            None => Was::Missing,
            Some(text) if is_blank(text.trim_start_matches(BOM)) => Was::Blank(text.to_owned()),
            Some(_) => Was::Full,
        },
        line_end: None,
        made: Vec::new(),
        entries: Vec::new(),
    };
    // Where nothing of ours is left (the file has gone, or somebody cleaned up), what is remembered
    // of the time before is about another file than this.
    let means = wish.format.read(&work.text)?;
    let is_left = |kept: &Kept| {
        let path: Vec<&str> = kept.path.iter().map(String::as_str).collect();
        let name = &kept.name;
        at(&means, Spot { path: &path, name }).is_some_and(|present| kept.is_in(present))
    };
    let known = known.filter(|known| known.entries.iter().any(is_left));
    let mut ours = known.map_or_else(fresh, |known| known.as_in(&work.text));
    let wanted = |kept: &Kept| wish.entries.iter().any(|entry| entry.name == kept.name);
    let (stay, stale): (Vec<_>, Vec<_>) = ours
        .entries
        .into_iter()
        .partition(|kept| !wish.only_these || (wanted(kept) && kept.path == wish.path));
    ours.entries = stay;
    for kept in stale.iter().rev() {
        work.take_out(kept, &ours.made)?;
    }
    let mut entries: Vec<&Entry> = wish.entries.iter().collect();
    // There each goes above those that are there.
    if wish.format == Format::Yaml {
        entries.reverse();
    }
    for entry in entries {
        work.put_in(entry, wish, &mut ours)?;
    }
    Ok(work.done(ours, false))
}

/// Takes everything that is ours out of `old`.
pub fn disconnect(old: Option<&str>, format: Format, ours: &Ours) -> Result<Plan, Refused> {
    let mut work = Work::begin(old, format);
    let ours = ours.as_in(&work.text);
    if old.is_some() {
        for kept in ours.entries.iter().rev() {
            work.take_out(kept, &ours.made)?;
        }
    }
    let left = Ours {
        was: ours.was,
        line_end: None,
        made: Vec::new(),
        entries: Vec::new(),
    };
    Ok(work.done(left, true))
}

/// A text on the way to what is wanted.
struct Work<'a> {
    format: Format,
    old: Option<&'a str>,
    bom: &'static str,
    text: String,
    changes: Vec<Change>,
}

impl<'a> Work<'a> {
    fn begin(old: Option<&'a str>, format: Format) -> Self {
        let text = old.unwrap_or_default();
        let body = text.strip_prefix(BOM);
        Self {
            format,
            old,
            bom: if body.is_some() { BOM } else { "" },
            text: body.unwrap_or(text).to_owned(),
            changes: Vec::new(),
        }
    }

    fn note(&mut self, operation: Operation, name: &str, before: Option<Value>) {
        self.changes.push(Change {
            operation,
            name: name.to_owned(),
            before,
            after: None,
        });
    }

    fn put_in(&mut self, entry: &Entry, wish: &Wish<'_>, ours: &mut Ours) -> Result<(), Refused> {
        let spot = Spot {
            path: wish.path,
            name: &entry.name,
        };
        let means = meaning(&entry.fields);
        let wanted = match self.format {
            Format::Yaml => yaml::meaning(means.clone()),
            Format::Json { .. } | Format::Toml => means.clone(),
        };
        let present = at(&self.format.read(&self.text)?, spot).cloned();
        let of_this = |kept: &Kept| kept.name == entry.name && kept.path == wish.path;
        let index = ours.entries.iter().position(of_this);
        let Some(present) = present else {
            let put = self.format.put(&self.text, spot, &entry.fields)?;
            self.accept(put.text, spot, &Expected::Is(&wanted))?;
            let remembered = |made: &Made| ours.made.iter().any(|it| it.path == made.path);
            let made: Vec<_> = put.made.into_iter().filter(|it| !remembered(it)).collect();
            ours.made.extend(made);
            ours.keep(Kept {
                lead: put.lead,
                ..Kept::of(entry, wish)
            });
            self.note(Operation::Add, &entry.name, None);
            self.after(means);
            return Ok(());
        };
        let known = index.filter(|&index| ours.entries[index].is_in(&present));
        if covers(&present, &wanted) {
            self.note(Operation::Right, &entry.name, Some(present));
            return Ok(());
        }
        if known.is_none() && !wish.replace {
            self.note(Operation::Foreign, &entry.name, Some(present));
            return Ok(());
        }
        let (text, before) = self.format.swap(&self.text, spot, &entry.fields)?;
        self.accept(text, spot, &Expected::Is(&wanted))?;
        if let Some(index) = known {
            let marks = &mut ours.entries[index].marks;
            if !marks.contains(&entry.mark()) {
                marks.push(entry.mark());
            }
        } else {
            ours.keep(Kept {
                before: Some(before),
                ..Kept::of(entry, wish)
            });
        }
        self.note(Operation::Replace, &entry.name, Some(present));
        self.after(means);
        Ok(())
    }

    fn after(&mut self, means: Value) {
        if let Some(change) = self.changes.last_mut() {
            change.after = Some(means);
        }
    }

    fn take_out(&mut self, kept: &Kept, made: &[Made]) -> Result<(), Refused> {
        let path: Vec<&str> = kept.path.iter().map(String::as_str).collect();
        let spot = Spot {
            path: &path,
            name: &kept.name,
        };
        let present = at(&self.format.read(&self.text)?, spot).cloned();
        match present {
            None => {}
            Some(present) if !kept.is_in(&present) => {
                self.note(Operation::Foreign, &kept.name, Some(present));
            }
            Some(present) => {
                if let Some(before) = &kept.before {
                    let text = self.format.restore(&self.text, spot, before)?;
                    self.accept(text, spot, &Expected::Another)?;
                } else {
                    let text = self.format.cut(&self.text, spot, made, &kept.lead)?;
                    self.accept(text, spot, &Expected::Nothing)?;
                }
                self.note(Operation::Remove, &kept.name, Some(present));
                let now = at(&self.format.read(&self.text)?, spot).cloned();
                if let Some(change) = self.changes.last_mut() {
                    change.after = now;
                }
            }
        }
        Ok(())
    }

    /// Takes `text` where it differs from what it was in the entry at `spot` and nowhere else.
    fn accept(
        &mut self,
        text: String,
        spot: Spot<'_>,
        expected: &Expected<'_>,
    ) -> Result<(), Refused> {
        let read = |text: &str| self.format.read(text).map_err(|_| Refused::Unsure);
        let (mut old, mut new) = (read(&self.text)?, read(&text)?);
        let there = at(&new, spot);
        let right = match expected {
            Expected::Is(wanted) => there == Some(*wanted),
            Expected::Another => there.is_some(),
            Expected::Nothing => there.is_none(),
        };
        without(&mut old, spot);
        without(&mut new, spot);
        if !right || old != new {
            return Err(Refused::Unsure);
        }
        self.text = text;
        Ok(())
    }

    fn done(self, mut ours: Ours, over: bool) -> Plan {
        ours.line_end = LineEnd::of(&self.text).filter(|_| !over);
        let changed = self.changes.iter().any(|it| it.operation.changes());
        let text = match &ours.was {
            _ if !changed => self.old.map(str::to_owned),
            Was::Missing if over && is_blank(&self.text) => None,
            Was::Blank(text) if over && is_blank(&self.text) => Some(text.clone()),
            _ => Some(format!("{}{}", self.bom, self.text)),
        };
        Plan {
            text,
            ours,
            changes: self.changes,
        }
    }
}

/// What has to stand at a spot afterwards.
enum Expected<'a> {
    Is(&'a Value),
    Another,
    Nothing,
}

impl Kept {
    /// What there is to know of `entry` as it is put in.
    fn of(entry: &Entry, wish: &Wish<'_>) -> Self {
        Self {
            path: wish.path.iter().map(|&part| part.to_owned()).collect(),
            name: entry.name.clone(),
            marks: vec![entry.mark()],
            lead: String::new(),
            before: None,
        }
    }

    /// Whether `present` is still this entry: its address or its command is one that we wrote.
    pub(super) fn is_in(&self, present: &Value) -> bool {
        self.marks.iter().any(|mark| covers(present, mark))
    }
}

/// Whether `present` says all that `wanted` says; it may say more.
fn covers(present: &Value, wanted: &Value) -> bool {
    match (present, wanted) {
        (Value::Object(present), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, value)| present.get(name).is_some_and(|it| covers(it, value))),
        _ => present == wanted,
    }
}

fn at<'a>(value: &'a Value, spot: Spot<'_>) -> Option<&'a Value> {
    let map = spot
        .path
        .iter()
        .try_fold(value, |value, part| value.get(part))?;
    map.get(spot.name)
}

/// Takes the entry at `spot` out, and the maps around it that hold nothing then.
fn without(value: &mut Value, spot: Spot<'_>) {
    let Some((first, rest)) = spot.path.split_first() else {
        if let Some(map) = value.as_object_mut() {
            map.remove(spot.name);
        }
        return;
    };
    let Some(map) = value.as_object_mut() else {
        return;
    };
    if let Some(inner) = map.get_mut(*first) {
        without(inner, Spot { path: rest, ..spot });
        let empty = inner.as_object().is_some_and(serde_json::Map::is_empty);
        if empty || inner.is_null() {
            map.remove(*first);
        }
    }
}
