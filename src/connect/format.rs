//! The formats of configuration files, each with the four changes that are made to one: put an
//! entry in, put another in its place, put back what was there, take it out. A change is a splice
//! of the text, never a new rendering of it, so whatever is not ours stays as it is.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::setting::Fields;
use super::text::position;
use super::{json, toml, yaml};

/// How a client's file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON, and what else its client reads in it.
    Json {
        /// Comments.
        comments: bool,
        /// A comma behind the last item.
        trailing_commas: bool,
    },
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json { .. } => "JSON",
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
        })
    }
}

/// Why a text is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It cannot be read.
    #[error("{line}:{column}: {detail}")]
    Unreadable {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What its parser says.
        detail: String,
    },
    /// Something is written in a way in which nothing of ours can be put beside it.
    #[error("{line}:{column}: {detail}")]
    Form {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What it is.
        detail: String,
    },
    /// The changed text would not mean what it should: nothing that was tried is written.
    #[error("the change would not come out as it should")]
    Unsure,
}

impl Refused {
    pub(super) fn unreadable(text: &str, at: usize, detail: impl fmt::Display) -> Self {
        let (line, column) = position(text, at);
        let detail = detail.to_string();
        Self::Unreadable {
            line,
            column,
            detail,
        }
    }

    pub(super) fn form(text: &str, at: usize, detail: impl fmt::Display) -> Self {
        let (line, column) = position(text, at);
        let detail = detail.to_string();
        Self::Form {
            line,
            column,
            detail,
        }
    }
}

/// A map that was made, or filled for the first time, to hold an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Where it is; empty for the whole file.
    pub path: Vec<String>,
    /// The blanks that it held; nothing where it was not there at all.
    pub held: Option<String>,
}

impl Made {
    pub(super) fn new(path: &[&str], held: Option<&str>) -> Self {
        Self {
            path: path.iter().map(|&part| part.to_owned()).collect(),
            held: held.map(str::to_owned),
        }
    }

    /// What `made` remembers of the map at `path`.
    pub(super) fn of<'a>(made: &'a [Self], path: &[&str]) -> Option<&'a Self> {
        made.iter().find(|it| it.path == path)
    }
}

/// What was put in, and around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Put {
    /// The new text.
    pub(super) text: String,
    /// The maps that were made for it.
    pub(super) made: Vec<Made>,
    /// The blank lines and the newline in front of it, where a format has such.
    pub(super) lead: String,
}

/// Where an entry is: the path of the map that holds it, and its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<'a> {
    pub(super) path: &'a [&'a str],
    pub(super) name: &'a str,
}

impl Format {
    /// What the text means.
    pub fn read(self, text: &str) -> Result<Value, Refused> {
        match self {
            Self::Json { .. } => json::read(text, self),
            Self::Toml => toml::read(text),
            Self::Yaml => yaml::read(text),
        }
    }

    /// Puts an entry in where none of its name is.
    pub(super) fn put(self, text: &str, spot: Spot<'_>, entry: &Fields) -> Result<Put, Refused> {
        match self {
            Self::Json { .. } => json::put(text, self, spot, entry),
            Self::Toml => toml::put(text, spot, entry),
            Self::Yaml => yaml::put(text, spot, entry),
        }
    }

    /// Puts an entry in the place of another, and gives what was there.
    pub(super) fn swap(
        self,
        text: &str,
        spot: Spot<'_>,
        entry: &Fields,
    ) -> Result<(String, String), Refused> {
        match self {
            Self::Json { .. } => json::swap(text, self, spot, entry),
            Self::Toml => toml::swap(text, spot, entry),
            Self::Yaml => yaml::swap(text, spot, entry),
        }
    }

    /// Puts back what `swap` gave.
    pub(super) fn restore(
        self,
        text: &str,
        spot: Spot<'_>,
        before: &str,
    ) -> Result<String, Refused> {
        match self {
            Self::Json { .. } => json::restore(text, self, spot, before),
            Self::Toml => toml::restore(text, spot, before),
            Self::Yaml => yaml::restore(text, spot, before),
        }
    }

    /// Takes an entry out, and the maps that were made for it where nothing else is in them.
    pub(super) fn cut(
        self,
        text: &str,
        spot: Spot<'_>,
        made: &[Made],
        lead: &str,
    ) -> Result<String, Refused> {
        match self {
            Self::Json { .. } => json::cut(text, self, spot, made),
            Self::Toml => toml::cut(text, spot, made, lead),
            Self::Yaml => yaml::cut(text, spot, made),
        }
    }
}
