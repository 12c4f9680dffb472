//! The kinds of values: text, durations, sizes, shares, lists, words. Text from the environment,
//! from flags and from defaults may stand for any of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::raw::{Node, Value};
use super::read::Wrong;
use crate::model::nearest::nearest;

/// The variables that `${VAR}` can name.
pub(super) type Variables = BTreeMap<String, String>;

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
kind!(PORT: u16, "a number", |node| number(node, 0, 65535, "a port, 0 to 65535"));
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
pub(super) fn list(node: &Node) -> Result<Vec<String>, Wrong> {
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
