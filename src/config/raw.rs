//! The configuration as it was written: a tree whose every key and value knows where it came
//! from. Variables of the environment and flags are laid over the tree of the file, so that
//! precedence is decided once and every later check can point to the right place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a key or a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the file, at these bytes.
    File(Range<usize>),
    /// In a variable of the environment.
    Variable(String),
    /// On the command line.
    Flag(&'static str),
    /// Nowhere.
    Default,
}

/// A value and its origin.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i128),
    Float(f64),
    Bool(bool),
    Date,
    Array(Vec<Node>),
    Table(Table),
}

/// A key of a table and what is written behind it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) key: Origin,
    pub(super) node: Node,
}

/// A table, in the order of its keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(pub(super) Vec<Item>);

/// Something that is not TOML.
#[derive(Clone, Debug)]
pub(super) struct NotToml {
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

/// Reads a file. With any mistake of form, all of those are returned and nothing else.
pub(super) fn parse(text: &str) -> Result<Table, Vec<NotToml>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table(document.get_ref()));
    }
    let wrong = errors.iter().map(|error| NotToml {
        span: error.span().unwrap_or(0..0),
        message: error.message().to_owned(),
    });
    Err(wrong.collect())
}

fn table(from: &DeTable<'_>) -> Table {
    let mut items: Vec<Item> = from
        .iter()
        .map(|(key, value)| Item {
            name: key.get_ref().to_string(),
            key: Origin::File(key.span()),
            node: node(value),
        })
        .collect();
    items.sort_by_key(|item| match &item.key {
        Origin::File(span) => span.start,
        _ => 0,
    });
    Table(items)
}

fn node(from: &Spanned<DeValue<'_>>) -> Node {
    let value = match from.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::Text(number.as_str().to_owned()), Value::Integer),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(yes) => Value::Bool(*yes),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(values) => Value::Array(values.iter().map(node).collect()),
        DeValue::Table(inner) => Value::Table(table(inner)),
    };
    Node {
        origin: Origin::File(from.span()),
        value,
    }
}

impl Table {
    /// The value behind `name`.
    pub(super) fn find(&self, name: &str) -> Option<&Item> {
        self.0.iter().find(|item| item.name == name)
    }

    /// The table behind `name`, if that is one.
    pub(super) fn table(&self, name: &str) -> Option<&Self> {
        match &self.find(name)?.node.value {
            Value::Table(inner) => Some(inner),
            _ => None,
        }
    }

    /// Writes `value` at the end of `path`, over what is there.
    pub(super) fn set(&mut self, path: &[&str], origin: &Origin, value: Value) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let at = self.0.iter().position(|item| item.name == *first);
        let index = at.unwrap_or_else(|| {
            self.0.push(Item {
                name: (*first).to_owned(),
                key: origin.clone(),
                node: Node {
                    origin: origin.clone(),
                    value: Value::Table(Self::default()),
                },
            });
            self.0.len() - 1
        });
        let item = &mut self.0[index];
        if rest.is_empty() {
            item.key = origin.clone();
            item.node = Node {
                origin: origin.clone(),
                value,
            };
            return;
        }
        if let Value::Table(inner) = &mut item.node.value {
            inner.set(rest, origin, value);
        } else {
            let mut inner = Self::default();
            inner.set(rest, origin, value);
            item.node.value = Value::Table(inner);
        }
    }
}

impl Node {
    /// Text that stands for a value of any kind: a default, a variable, a flag.
    pub(super) fn loose(text: &str, origin: Origin) -> Self {
        Self {
            origin,
            value: Value::Text(text.to_owned()),
        }
    }

    /// The text, where text may stand for a value of another kind.
    pub(super) fn loose_text(&self) -> Option<&str> {
        match (&self.origin, &self.value) {
            (Origin::File(_), _) => None,
            (_, Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// What kind of value it is.
    pub(super) fn shape(&self) -> &'static str {
        match &self.value {
            Value::Text(_) => "text",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Bool(_) => "true or false",
            Value::Date => "a date",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
        }
    }

    /// As it would be written in the file.
    pub(super) fn written(&self) -> String {
        match &self.value {
            Value::Text(text) => quoted(text),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Bool(yes) => yes.to_string(),
            Value::Date => "a date".to_owned(),
            Value::Array(values) => {
                let values: Vec<String> = values.iter().map(Self::written).collect();
                format!("[{}]", values.join(", "))
            }
            Value::Table(Table(items)) => {
                let pair = |item: &Item| format!("{} = {}", item.name, item.node.written());
                let pairs: Vec<String> = items.iter().map(pair).collect();
                format!("{{ {} }}", pairs.join(", "))
            }
        }
    }
}

/// `text` as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
