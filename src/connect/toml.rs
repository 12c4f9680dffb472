//! TOML. `toml_edit` says from where to where everything goes; a new entry is a table with a
//! header of its own at the end of the file, and is taken out by whole lines.

use std::ops::Range;

use serde_json::Value;
use toml_edit::{Document, InlineTable, Item, Table};

use super::braces::{self, Grammar, Place};
use super::format::{Made, Put, Refused, Spot};
use super::setting::{Fields, Setting, toml_key};
use super::text::{Splice, is_blank, line_end, line_start, newline, newline_before, spliced};

fn document(text: &str) -> Result<Document<&str>, Refused> {
    Document::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Refused::unreadable(text, at, error.message().replace('\n', ", "))
    })
}

pub(super) fn read(text: &str) -> Result<Value, Refused> {
    document(text)?;
    let table: ::toml::Table = text.parse().map_err(|_| Refused::Unsure)?;
    serde_json::to_value(table).map_err(|_| Refused::Unsure)
}

fn descend<'a>(item: &'a Item, path: &[&str]) -> Option<&'a Item> {
    path.iter().try_fold(item, |item, name| item.get(name))
}

/// The header and the lines of an entry, without a newline at its end.
fn block(newline: &str, spot: Spot<'_>, entry: &Fields) -> String {
    let names = spot.path.iter().chain([&spot.name]);
    let names: Vec<_> = names.map(|name| toml_key(name)).collect();
    let mut lines = vec![format!("[{}]", names.join("."))];
    lines.extend(
        entry
            .iter()
            .map(|(name, value)| format!("{} = {}", toml_key(name), value.toml_line())),
    );
    lines.join(newline)
}

fn inline(name: &str, entry: &Fields) -> String {
    let value = Setting::Fields(entry.clone());
    format!("{} = {}", toml_key(name), value.toml_line())
}

pub(super) fn put(text: &str, spot: Spot<'_>, entry: &Fields) -> Result<Put, Refused> {
    let document = document(text)?;
    match descend(document.as_item(), spot.path) {
        Some(Item::Value(toml_edit::Value::InlineTable(table))) => {
            let at = table.span().ok_or(Refused::Unsure)?;
            let inner = &text[at.start + 1..at.end - 1];
            let mut made = Vec::new();
            if table.is_empty() && is_blank(inner) {
                made.push(Made::new(spot.path, Some(inner)));
            }
            let pair = inline(spot.name, entry);
            let places = places(table);
            let splices = braces::put(text, &at, &places, Grammar::Toml, |_| pair.clone());
            Ok(Put {
                text: spliced(text, splices),
                made,
                lead: String::new(),
            })
        }
        None | Some(Item::None | Item::Table(_)) => Ok(at_end(text, spot, entry)),
        Some(other) => {
            let at = other.span().map_or(0, |span| span.start);
            let detail = "this is no table, and servers belong in one";
            Err(Refused::form(text, at, detail))
        }
    }
}

/// A table behind all others, one blank line below what is there.
fn at_end(text: &str, spot: Spot<'_>, entry: &Fields) -> Put {
    let newline = newline(text);
    let block = block(newline, spot, entry);
    if text.is_empty() {
        return Put {
            text: format!("{block}{newline}"),
            ..Put::default()
        };
    }
    let end = newline_before(text, text.len());
    let blank_line = is_blank(&text[line_start(text, end)..end]);
    let lead = if blank_line {
        newline.to_owned()
    } else {
        newline.repeat(2)
    };
    Put {
        text: spliced(text, vec![Splice::put(end, format!("{lead}{block}"))]),
        made: Vec::new(),
        lead,
    }
}

/// Where an entry is.
enum Entry {
    /// Tables with headers, from their headers to the ends of their last lines, in order.
    Tables(Vec<Range<usize>>),
    /// One of the values between the braces of an inline table.
    Inline {
        braces: Range<usize>,
        pairs: Vec<Place>,
        index: usize,
        value: Range<usize>,
    },
    /// A line of the table around it.
    Line {
        key: Range<usize>,
        value: Range<usize>,
    },
}

fn find(text: &str, spot: Spot<'_>) -> Result<Entry, Refused> {
    let document = document(text)?;
    let around = descend(document.as_item(), spot.path).ok_or(Refused::Unsure)?;
    let item = around.get(spot.name).ok_or(Refused::Unsure)?;
    if let Some(table) = item.as_table() {
        let dotted = |at: usize| {
            let detail = "this entry is written with dotted keys; change it by hand";
            Refused::form(text, at, detail)
        };
        if table.is_dotted() {
            return Err(dotted(table.span().map_or(0, |span| span.start)));
        }
        let mut tables = Vec::new();
        extents(text, table, &mut tables);
        tables.sort_by_key(|table| table.start);
        return if tables.is_empty() {
            Err(dotted(0))
        } else {
            Ok(Entry::Tables(tables))
        };
    }
    let value = item.span().ok_or(Refused::Unsure)?;
    if let Some(table) = around.as_inline_table() {
        let index = table.iter().position(|(name, _)| name == spot.name);
        return Ok(Entry::Inline {
            braces: table.span().ok_or(Refused::Unsure)?,
            pairs: places(table),
            index: index.ok_or(Refused::Unsure)?,
            value,
        });
    }
    let key = around.as_table().and_then(|table| table.key(spot.name));
    let key = key.and_then(toml_edit::Key::span).ok_or(Refused::Unsure)?;
    Ok(Entry::Line { key, value })
}

/// The tables with headers in `table`, itself included.
fn extents(text: &str, table: &Table, into: &mut Vec<Range<usize>>) {
    if !table.is_implicit()
        && !table.is_dotted()
        && let Some(header) = table.span()
    {
        let mut end = header.end;
        last_value(table, &mut end);
        into.push(line_start(text, header.start)..line_end(text, end));
    }
    for (_, item) in table {
        match item {
            Item::Table(table) => extents(text, table, into),
            Item::ArrayOfTables(tables) => {
                tables.iter().for_each(|table| extents(text, table, into));
            }
            Item::None | Item::Value(_) => {}
        }
    }
}

/// The end of the last value that stands below the header of `table`.
fn last_value(table: &Table, end: &mut usize) {
    for (_, item) in table {
        match item {
            Item::Value(value) => *end = value_end(value).max(*end),
            Item::Table(table) if table.is_dotted() => last_value(table, end),
            Item::None | Item::Table(_) | Item::ArrayOfTables(_) => {}
        }
    }
}

/// The end of a value; that of dotted keys is the one of the last of them.
fn value_end(value: &toml_edit::Value) -> usize {
    let own = value.span().map_or(0, |span| span.end);
    match value {
        toml_edit::Value::InlineTable(table) if table.is_dotted() => {
            let ends = table.iter().map(|(_, value)| value_end(value));
            ends.fold(own, usize::max)
        }
        _ => own,
    }
}

fn places(table: &InlineTable) -> Vec<Place> {
    let place = |(name, value): (&str, &toml_edit::Value)| {
        let key = table.key(name)?.span()?;
        Some(key.start..value_end(value))
    };
    table.iter().filter_map(place).collect()
}

/// The text from the first table of an entry to the end of its last. That nothing of another
/// entry is in between is seen afterwards, by what the new text means.
fn whole(tables: &[Range<usize>]) -> Result<Range<usize>, Refused> {
    match tables {
        [] => Err(Refused::Unsure),
        [first, ..] => Ok(first.start..tables.iter().map(|it| it.end).fold(first.end, usize::max)),
    }
}

pub(super) fn swap(
    text: &str,
    spot: Spot<'_>,
    entry: &Fields,
) -> Result<(String, String), Refused> {
    let (at, new) = match find(text, spot)? {
        Entry::Tables(tables) => (whole(&tables)?, block(newline(text), spot, entry)),
        Entry::Inline { value, .. } | Entry::Line { value, .. } => {
            (value, Setting::Fields(entry.clone()).toml_line())
        }
    };
    let before = text[at.clone()].to_owned();
    Ok((spliced(text, vec![Splice::swap(at, new)]), before))
}

pub(super) fn restore(text: &str, spot: Spot<'_>, before: &str) -> Result<String, Refused> {
    let splices = match find(text, spot)? {
        Entry::Tables(tables) => {
            let (first, more) = tables.split_first().ok_or(Refused::Unsure)?;
            let mut splices = vec![Splice::swap(first.clone(), before)];
            splices.extend(
                more.iter()
                    .map(|it| Splice::cut(without_line(text, it, ""))),
            );
            splices
        }
        Entry::Inline { value, .. } | Entry::Line { value, .. } => {
            vec![Splice::swap(value, before)]
        }
    };
    Ok(spliced(text, splices))
}

pub(super) fn cut(
    text: &str,
    spot: Spot<'_>,
    made: &[Made],
    lead: &str,
) -> Result<String, Refused> {
    let splices = match find(text, spot)? {
        Entry::Tables(tables) => {
            let leads = std::iter::once(lead).chain(std::iter::repeat(""));
            let gone = tables.iter().zip(leads);
            let gone = gone.map(|(table, lead)| Splice::cut(without_line(text, table, lead)));
            gone.collect()
        }
        Entry::Inline {
            braces,
            pairs,
            index,
            ..
        } => {
            let held = Made::of(made, spot.path).and_then(|made| made.held.as_deref());
            match held {
                Some(held) if pairs.len() == 1 => {
                    vec![Splice::swap(braces.start + 1..braces.end - 1, held)]
                }
                _ => braces::cut(text, &braces, &pairs, index, Grammar::Toml),
            }
        }
        Entry::Line { key, value } => {
            let line = line_start(text, key.start)..line_end(text, value.end);
            vec![Splice::cut(without_line(text, &line, ""))]
        }
    };
    Ok(spliced(text, splices))
}

/// Whole lines with one newline, and with what was put in front of them where it is still there.
fn without_line(text: &str, lines: &Range<usize>, lead: &str) -> Range<usize> {
    let before = &text[..lines.start];
    if lines.start == 0 {
        let rest = &text[lines.end..];
        let newline = if rest.starts_with("\r\n") {
            2
        } else {
            rest.len().min(1)
        };
        return 0..lines.end + newline;
    }
    let start = match before.strip_suffix(lead) {
        Some(kept) if !lead.is_empty() => kept.len(),
        _ => newline_before(text, lines.start),
    };
    start..lines.end
}
