//! What an entry says, in an order that reads well, and how each format writes it.

use serde_json::{Map as Object, Value};

/// A value of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// A text.
    Text(String),
    /// A number; durations are in the unit of the client.
    Number(u32),
    /// Yes or no.
    Flag(bool),
    /// Texts in order.
    List(Vec<String>),
    /// Settings by name.
    Fields(Fields),
}

/// Settings by name, in the order in which they are written.
pub type Fields = Vec<(String, Setting)>;

impl From<&str> for Setting {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Setting {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Setting {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<u32> for Setting {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

impl From<Vec<String>> for Setting {
    fn from(items: Vec<String>) -> Self {
        Self::List(items)
    }
}

impl From<Fields> for Setting {
    fn from(fields: Fields) -> Self {
        Self::Fields(fields)
    }
}

impl Setting {
    /// Its meaning.
    pub(super) fn meaning(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Number(number) => Value::from(*number),
            Self::Flag(flag) => Value::from(*flag),
            Self::List(items) => items.iter().map(String::as_str).collect(),
            Self::Fields(fields) => meaning(fields),
        }
    }

    /// As JSON in one line.
    pub(super) fn json_line(&self) -> String {
        match self {
            Self::Fields(fields) => {
                let pair = |(name, value): &(String, Self)| {
                    format!("{}: {}", Value::from(name.as_str()), value.json_line())
                };
                let pairs: Vec<_> = fields.iter().map(pair).collect();
                format!("{{{}}}", pairs.join(", "))
            }
            Self::List(items) => {
                let items = items.iter().map(|it| Value::from(it.as_str()).to_string());
                format!("[{}]", items.collect::<Vec<_>>().join(", "))
            }
            Self::Text(_) | Self::Number(_) | Self::Flag(_) => self.meaning().to_string(),
        }
    }

    /// As JSON on lines that begin with `blanks`, indented by `unit`; lists of words stay on one.
    pub(super) fn json_lines(&self, blanks: &str, unit: &str, newline: &str) -> String {
        let Self::Fields(fields) = self else {
            return self.json_line();
        };
        if fields.is_empty() {
            return "{}".to_owned();
        }
        let inner = format!("{blanks}{unit}");
        let pair = |(name, value): &(String, Self)| {
            let name = Value::from(name.as_str());
            let value = value.json_lines(&inner, unit, newline);
            format!("{newline}{inner}{name}: {value}")
        };
        let pairs: Vec<_> = fields.iter().map(pair).collect();
        format!("{{{}{newline}{blanks}}}", pairs.join(","))
    }

    /// As YAML in one line, as it stands in braces.
    pub(super) fn yaml_line(&self) -> String {
        match self {
            Self::Text(text) => yaml_text(text),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| yaml_text(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Fields(fields) => {
                let pair = |(name, value): &(String, Self)| {
                    format!("{}: {}", yaml_text(name), value.yaml_line())
                };
                let pairs: Vec<_> = fields.iter().map(pair).collect();
                format!("{{{}}}", pairs.join(", "))
            }
            Self::Number(_) | Self::Flag(_) => self.meaning().to_string(),
        }
    }

    /// As TOML in one line.
    pub(super) fn toml_line(&self) -> String {
        match self {
            Self::Text(text) => toml_edit::Value::from(text.as_str()).to_string(),
            Self::List(items) => {
                let items = items.iter().map(String::as_str);
                items.collect::<toml_edit::Array>().to_string()
            }
            Self::Fields(fields) => {
                let pair = |(name, value): &(String, Self)| {
                    format!("{} = {}", toml_key(name), value.toml_line())
                };
                let pairs: Vec<_> = fields.iter().map(pair).collect();
                format!("{{ {} }}", pairs.join(", "))
            }
            Self::Number(_) | Self::Flag(_) => self.meaning().to_string(),
        }
    }
}

/// The meaning of settings by name.
pub(super) fn meaning(fields: &[(String, Setting)]) -> Value {
    let pairs = fields.iter();
    let pairs = pairs.map(|(name, value)| (name.clone(), value.meaning()));
    Value::Object(pairs.collect::<Object<_, _>>())
}

/// A key of TOML, quoted where it has to be.
pub(super) fn toml_key(name: &str) -> String {
    toml_edit::Key::new(name).to_string()
}

/// A text of YAML: plain where nothing could take it for something else.
pub(super) fn yaml_text(text: &str) -> String {
    // What one version of YAML or another takes for a truth value or for nothing.
    const TAKEN: [&str; 10] = [
        "true", "false", "yes", "no", "on", "off", "y", "n", "null", "~",
    ];
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    if first && text.chars().all(plain) && !TAKEN.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}
