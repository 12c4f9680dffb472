//! JSON, with comments and trailing commas where the client reads them. `jsonc-parser` says from
//! where to where everything goes.

use std::ops::Range;

use jsonc_parser::ast::{self, ObjectPropName};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::Value;

use super::braces::{self, Grammar, Layout, Place};
use super::format::{Format, Made, Put, Refused, Spot};
use super::setting::{Fields, Setting};
use super::text::{
    Splice, indent, is_blank, line_end, line_start, newline, newline_before, spliced, unit,
};
use super::tree::{Body, Form, Node, Pair};

/// The value of the text; nothing where it holds nothing but blanks and comments.
fn tree(text: &str, format: Format) -> Result<Option<Node>, Refused> {
    let Format::Json {
        comments,
        trailing_commas,
    } = format
    else {
        unreachable!("the format chooses this module")
    };
    let options = ParseOptions {
        allow_comments: comments,
        allow_trailing_commas: trailing_commas,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &options)
        .map_err(|error| Refused::unreadable(text, error.range().start, error.kind()))?;
    Ok(parsed.value.as_ref().map(node))
}

fn node(value: &ast::Value<'_>) -> Node {
    let range = value.range();
    let body = match value {
        ast::Value::Object(object) => {
            let pairs = object.properties.iter().map(|property| {
                let key = property.name.range();
                Pair {
                    name: match &property.name {
                        ObjectPropName::String(text) => text.value.to_string(),
                        ObjectPropName::Word(word) => word.value.to_owned(),
                    },
                    key: key.start..key.end,
                    value: node(&property.value),
                }
            });
            Body::Map(Form::Braces, pairs.collect())
        }
        ast::Value::Array(array) => Body::List(array.elements.iter().map(node).collect()),
        ast::Value::StringLit(text) => Body::Scalar(Value::from(text.value.as_ref())),
        // Digits may be more than a machine number holds: they are compared as they stand.
        ast::Value::NumberLit(number) => Body::Scalar(match number.value.parse::<u32>() {
            Ok(number) => Value::from(number),
            Err(_) => serde_json::json!({"number": number.value}),
        }),
        ast::Value::BooleanLit(truth) => Body::Scalar(Value::from(truth.value)),
        ast::Value::NullKeyword(_) => Body::Scalar(Value::Null),
    };
    Node {
        at: range.start..range.end,
        body,
    }
}

pub(super) fn read(text: &str, format: Format) -> Result<Value, Refused> {
    Ok(tree(text, format)?.map_or_else(|| serde_json::json!({}), |node| node.meaning()))
}

fn places(pairs: &[Pair]) -> Vec<Place> {
    let place = |pair: &Pair| pair.key.start..pair.value.at.end;
    pairs.iter().map(place).collect()
}

/// The object at `node`, or what is wrong with it.
fn object<'a>(text: &str, node: &'a Node) -> Result<&'a [Pair], Refused> {
    node.pairs().ok_or_else(|| {
        Refused::form(
            text,
            node.at.start,
            "this is no object, and servers belong in one",
        )
    })
}

/// Puts `"name": …` into the object at `node`.
fn into(text: &str, node: &Node, name: &str, value: &Setting) -> Result<String, Refused> {
    let pairs = object(text, node)?;
    let (newline, unit) = (newline(text), unit(text));
    let write = |layout: Layout<'_>| {
        let value = match layout {
            Layout::Inline => value.json_line(),
            Layout::Lines(blanks) => value.json_lines(blanks, unit, newline),
        };
        format!("{}: {value}", Value::from(name))
    };
    let places = places(pairs);
    let splices = braces::put(text, &node.at, &places, Grammar::Json, write);
    Ok(spliced(text, splices))
}

pub(super) fn put(
    text: &str,
    format: Format,
    spot: Spot<'_>,
    entry: &Fields,
) -> Result<Put, Refused> {
    let mut made = Vec::new();
    let mut text = text.to_owned();
    if tree(&text, format)?.is_none() {
        made.push(Made::new(&[], None));
        let newline = newline(&text);
        text = if text.ends_with('\n') || text.is_empty() {
            format!("{text}{{}}{newline}")
        } else {
            format!("{text}{newline}{{}}")
        };
    }
    for depth in 0..=spot.path.len() {
        let root = tree(&text, format)?.ok_or(Refused::Unsure)?;
        let here = &spot.path[..depth];
        let node = root.descend(here).ok_or(Refused::Unsure)?;
        let empty = object(&text, node)?.is_empty();
        let inner = &text[inside(node)];
        if empty && is_blank(inner) && Made::of(&made, here).is_none() {
            made.push(Made::new(here, Some(inner)));
        }
        match spot.path.get(depth) {
            Some(next) if node.find(next).is_some() => {}
            Some(next) => {
                text = into(&text, node, next, &Setting::Fields(Vec::new()))?;
                made.push(Made::new(&spot.path[..=depth], None));
            }
            None => text = into(&text, node, spot.name, &Setting::Fields(entry.clone()))?,
        }
    }
    Ok(Put {
        text,
        made,
        lead: String::new(),
    })
}

/// Between the braces.
fn inside(node: &Node) -> Range<usize> {
    node.at.start + 1..node.at.end - 1
}

fn place_of(text: &str, format: Format, spot: Spot<'_>) -> Result<Pair, Refused> {
    let root = tree(text, format)?.ok_or(Refused::Unsure)?;
    let node = root.descend(spot.path).ok_or(Refused::Unsure)?;
    Ok(node.find(spot.name).ok_or(Refused::Unsure)?.1.clone())
}

pub(super) fn swap(
    text: &str,
    format: Format,
    spot: Spot<'_>,
    entry: &Fields,
) -> Result<(String, String), Refused> {
    let pair = place_of(text, format, spot)?;
    let value = Setting::Fields(entry.clone());
    let start = line_start(text, pair.key.start);
    let new = if is_blank(&text[start..pair.key.start]) {
        let blanks = indent(text, pair.key.start);
        value.json_lines(blanks, unit(text), newline(text))
    } else {
        value.json_line()
    };
    let before = text[pair.value.at.clone()].to_owned();
    Ok((
        spliced(text, vec![Splice::swap(pair.value.at, new)]),
        before,
    ))
}

pub(super) fn restore(
    text: &str,
    format: Format,
    spot: Spot<'_>,
    before: &str,
) -> Result<String, Refused> {
    let pair = place_of(text, format, spot)?;
    Ok(spliced(text, vec![Splice::swap(pair.value.at, before)]))
}

pub(super) fn cut(
    text: &str,
    format: Format,
    spot: Spot<'_>,
    made: &[Made],
) -> Result<String, Refused> {
    let mut text = cut_one(text, format, spot.path, spot.name)?;
    for depth in (0..=spot.path.len()).rev() {
        let here = &spot.path[..depth];
        let Some(root) = tree(&text, format)? else {
            break;
        };
        let Some(node) = root.descend(here) else {
            break;
        };
        let empty = node.pairs().is_some_and(<[Pair]>::is_empty);
        if !empty || !is_blank(&text[inside(node)]) {
            break;
        }
        match Made::of(made, here).map(|made| made.held.as_deref()) {
            Some(Some(held)) => {
                text = spliced(&text, vec![Splice::swap(inside(node), held)]);
                break;
            }
            Some(None) => {
                text = match here.split_last() {
                    Some((name, outer)) => cut_one(&text, format, outer, name)?,
                    None => without_root(&text, &node.at),
                }
            }
            None => break,
        }
    }
    Ok(text)
}

/// The text without its value, and without the line that was made for it.
fn without_root(text: &str, at: &Range<usize>) -> String {
    let gone = match line_end(text, at.end) {
        end if end == text.len() => newline_before(text, at.start)..at.end,
        end => at.start..end + newline(&text[end..]).len(),
    };
    spliced(text, vec![Splice::cut(gone)])
}

fn cut_one(text: &str, format: Format, path: &[&str], name: &str) -> Result<String, Refused> {
    let root = tree(text, format)?.ok_or(Refused::Unsure)?;
    let node = root.descend(path).ok_or(Refused::Unsure)?;
    let (index, _) = node.find(name).ok_or(Refused::Unsure)?;
    let places = places(object(text, node)?);
    let splices = braces::cut(text, &node.at, &places, index, Grammar::Json);
    Ok(spliced(text, splices))
}
