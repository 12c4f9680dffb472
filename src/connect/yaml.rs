//! YAML of one document: an entry in block form is put in and taken out by whole lines.

mod reader;

use self::reader::tree;
use serde_json::Value;

use super::braces::{self, Grammar, Place};
use super::format::{Made, Put, Refused, Spot};
use super::setting::{Fields, Setting, yaml_text};
use super::text::{
    Splice, indent, is_blank, line_end, line_start, newline, newline_before, spliced,
};
use super::tree::{Body, Form, Node, Pair};

pub(super) fn read(text: &str) -> Result<Value, Refused> {
    Ok(tree(text)?.map_or_else(|| serde_json::json!({}), |node| node.meaning()))
}

/// What an entry means to a reader that takes every scalar for a text.
pub(super) fn meaning(value: Value) -> Value {
    match value {
        Value::Bool(_) | Value::Number(_) => Value::from(value.to_string()),
        Value::Array(items) => items.into_iter().map(meaning).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            Value::Object(fields.map(|(name, value)| (name, meaning(value))).collect())
        }
        Value::Null | Value::String(_) => value,
    }
}

/// `name` with its value, on lines of block form.
fn lines(blanks: &str, name: &str, value: &Setting, into: &mut Vec<String>) {
    let name = yaml_text(name);
    match value {
        Setting::Fields(fields) if !fields.is_empty() => {
            into.push(format!("{blanks}{name}:"));
            let deeper = format!("{blanks}  ");
            for (name, value) in fields {
                lines(&deeper, name, value, into);
            }
        }
        _ => into.push(format!("{blanks}{name}: {}", value.yaml_line())),
    }
}

fn block(text: &str, blanks: &str, name: &str, value: &Setting) -> String {
    let mut all = Vec::new();
    lines(blanks, name, value, &mut all);
    all.join(newline(text))
}

fn places(pairs: &[Pair]) -> Vec<Place> {
    let place = |pair: &Pair| pair.key.start..pair.value.at.end.max(pair.key.end);
    pairs.iter().map(place).collect()
}

/// The end of the last line of a pair in block form.
fn last_line(text: &str, pair: &Pair) -> usize {
    line_end(text, pair.value.at.end.max(pair.key.end))
}

/// Where the value of a pair may begin: right behind its colon.
fn behind_colon(text: &str, pair: &Pair) -> Result<usize, Refused> {
    let colon = text[pair.key.end..].find(':').ok_or(Refused::Unsure)?;
    Ok(pair.key.end + colon + 1)
}

pub(super) fn put(text: &str, spot: Spot<'_>, entry: &Fields) -> Result<Put, Refused> {
    let mut made = Vec::new();
    let root = tree(text)?;
    // The deepest map of the path that is there.
    let mut depth = 0;
    let mut within: Option<&Pair> = None;
    let mut node = root.as_ref();
    while let Some((_, pair)) = spot.path.get(depth).and_then(|name| node?.find(name)) {
        (within, node) = (Some(pair), Some(&pair.value));
        depth += 1;
    }
    let mut value = Setting::Fields(entry.clone());
    let mut name = spot.name;
    for (above, part) in spot.path.iter().enumerate().skip(depth).rev() {
        value = Setting::Fields(vec![(name.to_owned(), value)]);
        name = part;
        made.push(Made::new(&spot.path[..=above], None));
    }
    let here = &spot.path[..depth];
    let newline = newline(text);
    let splices = match (node, within) {
        (None, _) => at_end(text, &block(text, "", name, &value)),
        (Some(node), within) => match (&node.body, within) {
            (Body::Map(Form::Braces, pairs), _) => {
                let inner = &text[node.at.start + 1..node.at.end - 1];
                if pairs.is_empty() && is_blank(inner) {
                    made.push(Made::new(here, Some(inner)));
                }
                let pair = format!("{}: {}", yaml_text(name), value.yaml_line());
                let places = places(pairs);
                braces::put(text, &node.at, &places, Grammar::Yaml, |_| pair.clone())
            }
            (Body::Map(Form::Block, pairs), within) => {
                let first = pairs.first().ok_or(Refused::Unsure)?;
                let blanks = &text[line_start(text, first.key.start)..first.key.start];
                if !is_blank(blanks) {
                    let detail = "this map begins in the middle of a line";
                    return Err(Refused::form(text, first.key.start, detail));
                }
                let block = block(text, blanks, name, &value);
                match within {
                    // Above the comments of the first pair, which stay with it.
                    Some(pair) => {
                        let line = line_end(text, pair.key.end);
                        vec![Splice::put(line, format!("{newline}{block}"))]
                    }
                    None => at_end(text, &block),
                }
            }
            (Body::Scalar(Value::Null), Some(pair)) => {
                made.push(Made::new(here, Some("")));
                let blanks = format!("{}  ", indent(text, pair.key.start));
                let block = block(text, &blanks, name, &value);
                let line = line_end(text, pair.key.end);
                vec![Splice::put(line, format!("{newline}{block}"))]
            }
            (Body::Map(Form::Special, _), _) => {
                let detail = "this map has an anchor or a tag, and nothing is added to it";
                return Err(Refused::form(text, node.at.start, detail));
            }
            _ => {
                let detail = "this is no map, and extensions belong in one";
                return Err(Refused::form(text, node.at.start, detail));
            }
        },
    };
    Ok(Put {
        text: spliced(text, splices),
        made,
        lead: String::new(),
    })
}

/// Lines behind all others.
fn at_end(text: &str, block: &str) -> Vec<Splice> {
    let newline = newline(text);
    if text.is_empty() {
        return vec![Splice::put(0, format!("{block}{newline}"))];
    }
    let end = newline_before(text, text.len());
    vec![Splice::put(end, format!("{newline}{block}"))]
}

fn find(text: &str, spot: Spot<'_>) -> Result<(Form, Node, usize), Refused> {
    let root = tree(text)?.ok_or(Refused::Unsure)?;
    let node = root.descend(spot.path).ok_or(Refused::Unsure)?;
    let (index, _) = node.find(spot.name).ok_or(Refused::Unsure)?;
    let Body::Map(form, _) = &node.body else {
        return Err(Refused::Unsure);
    };
    Ok((*form, node.clone(), index))
}

/// Where a value is that something else can be put for, and how deep its pair is indented.
fn value_at<'a>(
    text: &'a str,
    spot: Spot<'_>,
) -> Result<(std::ops::Range<usize>, Option<&'a str>), Refused> {
    let (form, node, index) = find(text, spot)?;
    let pair = &node.pairs().ok_or(Refused::Unsure)?[index];
    if form == Form::Braces {
        return Ok((pair.value.at.clone(), None));
    }
    let blanks = indent(text, pair.key.start);
    Ok((
        behind_colon(text, pair)?..last_line(text, pair),
        Some(blanks),
    ))
}

pub(super) fn swap(
    text: &str,
    spot: Spot<'_>,
    entry: &Fields,
) -> Result<(String, String), Refused> {
    let (at, blanks) = value_at(text, spot)?;
    let before = text[at.clone()].to_owned();
    let new = match blanks {
        None => Setting::Fields(entry.clone()).yaml_line(),
        Some(blanks) => {
            let mut all = vec![String::new()];
            let deeper = format!("{blanks}  ");
            for (name, value) in entry {
                lines(&deeper, name, value, &mut all);
            }
            all.join(newline(text))
        }
    };
    Ok((spliced(text, vec![Splice::swap(at, new)]), before))
}

pub(super) fn restore(text: &str, spot: Spot<'_>, before: &str) -> Result<String, Refused> {
    let (at, _) = value_at(text, spot)?;
    Ok(spliced(text, vec![Splice::swap(at, before)]))
}

pub(super) fn cut(text: &str, spot: Spot<'_>, made: &[Made]) -> Result<String, Refused> {
    let mut text = cut_one(text, spot.path, spot.name)?;
    let mut here = spot.path;
    while let Some((name, outer)) = here.split_last() {
        let Some(root) = tree(&text)? else {
            break;
        };
        let Some((_, pair)) = root.descend(outer).and_then(|node| node.find(name)) else {
            break;
        };
        let held = Made::of(made, here).map(|made| made.held.as_deref());
        let at = pair.value.at.clone();
        match (&pair.value.body, held) {
            (Body::Scalar(Value::Null), Some(None)) => text = cut_one(&text, outer, name)?,
            // Without its last pair a map in block form is nothing, and a reader wants a map.
            (Body::Scalar(Value::Null), None) => {
                let colon = behind_colon(&text, pair)?;
                text = spliced(&text, vec![Splice::put(colon, " {}")]);
                break;
            }
            (Body::Map(Form::Braces, pairs), Some(held)) if pairs.is_empty() => {
                let inside = at.start + 1..at.end - 1;
                match held {
                    _ if !is_blank(&text[inside.clone()]) => break,
                    Some(held) => {
                        text = spliced(&text, vec![Splice::swap(inside, held)]);
                        break;
                    }
                    None => text = cut_one(&text, outer, name)?,
                }
            }
            _ => break,
        }
        here = outer;
    }
    Ok(text)
}

fn cut_one(text: &str, path: &[&str], name: &str) -> Result<String, Refused> {
    let (form, node, index) = find(text, Spot { path, name })?;
    let pairs = node.pairs().ok_or(Refused::Unsure)?;
    if form == Form::Braces {
        let splices = braces::cut(text, &node.at, &places(pairs), index, Grammar::Yaml);
        return Ok(spliced(text, splices));
    }
    let pair = &pairs[index];
    let start = line_start(text, pair.key.start);
    if !is_blank(&text[start..pair.key.start]) {
        let detail = "this entry begins in the middle of a line";
        return Err(Refused::form(text, pair.key.start, detail));
    }
    let end = last_line(text, pair);
    let gone = if start == 0 {
        let rest = &text[end..];
        let newline = if rest.starts_with("\r\n") {
            2
        } else {
            rest.len().min(1)
        };
        0..end + newline
    } else {
        newline_before(text, start)..end
    };
    Ok(spliced(text, vec![Splice::cut(gone)]))
}
