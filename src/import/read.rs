//! Files of three formats as one kind of tree. What is wrong with a file is told by its place
//! alone: the text around it may be a secret.

use std::io::{ErrorKind, Read};
use std::path::Path;

use saphyr_parser::{Event, EventReceiver, Parser, ScalarStyle};
use serde_json::{Map, Value};

use super::Unreadable;

/// More than any of these programs writes; one of them keeps its history in the same file.
const LONGEST: u64 = 64 << 20;
/// Deeper than any of them goes.
const DEEPEST: usize = 64;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON, with comments and commas too many.
    Json,
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
}

impl Format {
    fn as_str(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
        }
    }
}

/// What a file holds; `None` where there is none.
pub(super) fn document(file: &Path, format: Format) -> Result<Option<Value>, Unreadable> {
    let failed = |at| Unreadable {
        file: file.to_owned(),
        at,
        format: format.as_str(),
    };
    let text = match text(file) {
        Ok(text) => text,
        Err(ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(_) => return Err(failed(None)),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let parsed = match format {
        Format::Json => json(text),
        Format::Toml => toml(text),
        Format::Yaml => yaml(text),
    };
    parsed.map(Some).map_err(|at| failed(Some(at)))
}

fn text(file: &Path) -> Result<String, ErrorKind> {
    let kind = |error: std::io::Error| error.kind();
    // Opening a pipe would wait for a writer.
    if !std::fs::metadata(file).map_err(kind)?.is_file() {
        return Err(ErrorKind::IsADirectory);
    }
    let mut text = String::new();
    let open = std::fs::File::open(file).map_err(kind)?;
    let length = open.take(LONGEST + 1).read_to_string(&mut text);
    if length.map_err(kind)? as u64 > LONGEST {
        return Err(ErrorKind::FileTooLarge);
    }
    Ok(text)
}

fn json(text: &str) -> Result<Value, (usize, usize)> {
    let parsed = jsonc_parser::parse_to_serde_value(text, &jsonc_parser::ParseOptions::default());
    parsed.map_err(|error| (error.line_display(), error.column_display()))
}

fn toml(text: &str) -> Result<Value, (usize, usize)> {
    toml::from_str(text).map_err(|error| {
        let before = &text[..error.span().map_or(0, |span| span.start).min(text.len())];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[start..].chars().count() + 1)
    })
}

fn yaml(text: &str) -> Result<Value, (usize, usize)> {
    let mut tree = Tree::default();
    let loaded = Parser::new_from_str(text).load(&mut tree, false);
    loaded.map_err(|error| (error.marker().line(), error.marker().col() + 1))?;
    Ok(tree.root.unwrap_or_default())
}

/// Builds a tree out of what the parser reports. An alias stands for nothing here: none of these
/// programs writes one, and what it would stand for may be of any size.
#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    root: Option<Value>,
    /// How many collections are open below the deepest that is looked into.
    below: usize,
}

enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

impl Tree {
    fn add(&mut self, value: Value) {
        match self.open.last_mut() {
            None => {
                self.root.get_or_insert(value);
            }
            Some(Open::List(all)) => all.push(value),
            Some(Open::Map(all, key)) => match key.take() {
                Some(key) => {
                    all.insert(key, value);
                }
                // A key that is no text names nothing that is looked for.
                None => *key = Some(value.as_str().unwrap_or_default().to_owned()),
            },
        }
    }

    fn begin(&mut self, open: Open) {
        if self.open.len() >= DEEPEST {
            self.below += 1;
        } else {
            self.open.push(open);
        }
    }

    fn end(&mut self) {
        if self.below > 0 {
            self.below -= 1;
            if self.below == 0 {
                self.add(Value::Null);
            }
            return;
        }
        let value = match self.open.pop() {
            Some(Open::List(all)) => all.into(),
            Some(Open::Map(all, _)) => all.into(),
            None => return,
        };
        self.add(value);
    }
}

impl<'t> EventReceiver<'t> for Tree {
    fn on_event(&mut self, event: Event<'t>) {
        match event {
            Event::SequenceStart(..) => self.begin(Open::List(Vec::new())),
            Event::MappingStart(..) => self.begin(Open::Map(Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Scalar(text, style, ..) if self.below == 0 => {
                let value = match &*text {
                    "true" if style == ScalarStyle::Plain => true.into(),
                    "false" if style == ScalarStyle::Plain => false.into(),
                    text => text.into(),
                };
                self.add(value);
            }
            Event::Alias(_) if self.below == 0 => self.add(Value::Null),
            _ => {}
        }
    }
}
