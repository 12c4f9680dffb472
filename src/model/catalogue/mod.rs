//! The error catalogue: one table from which every message about trouble is made, whether it goes
//! to an agent, to a person's terminal or to a page. An entry says what happened, why, and what
//! to do next; its code is stable.

mod explain;
mod reason;
mod reserved;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use reason::ago;
pub use table::Code;

/// Whether, and after what, the same request may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// It would fail again.
    No,
    /// It may be repeated at once: it was certainly not carried out.
    Safe,
    /// After a person has done something.
    AfterUser,
    /// After a while; how long is said beside it where it is known.
    After,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The stable name.
    pub code: &'static str,
    /// Its row.
    pub number: u16,
    /// The HTTP status of an answer that carries it.
    pub http: u16,
    /// The OAuth error code, where it differs from the name.
    pub oauth_error: Option<&'static str>,
    /// The JSON-RPC error number, where agents can meet it.
    pub rpc: Option<i32>,
    /// Whether the same request may be made again.
    pub retry: Retry,
    /// The exit code of a command that fails with it.
    pub exit: u8,
    /// What happened, with `{placeholders}`.
    pub what: &'static str,
    /// Why, with `{placeholders}`; the usual reason where there are several.
    pub why: &'static str,
    /// What to do next, with `{placeholders}`; empty where nothing can be done.
    pub fix: &'static str,
    /// The long form.
    pub explain: &'static str,
}

/// A text is not the name of a catalogue entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such code")]
pub struct UnknownCode;

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let named = |code: &&Self| code.as_str() == text;
        Self::ALL.iter().find(named).copied().ok_or(UnknownCode)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One occurrence of trouble: an entry with its placeholders filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: Code,
    values: Vec<(&'static str, String)>,
    why: Option<String>,
    fix: Option<String>,
    retry_after: Option<Duration>,
    url: Option<String>,
}

impl Problem {
    /// An occurrence of `code`.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            values: Vec::new(),
            why: None,
            fix: None,
            retry_after: None,
            url: None,
        }
    }

    /// Fills the placeholder `name`. The value may come from outside: it is made harmless.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.values.push((name, harmless(&value.to_string())));
        self
    }

    /// Says another reason than the usual one.
    #[must_use]
    pub fn because(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(harmless(&why.to_string()));
        self
    }

    /// Says another next step than the usual one.
    #[must_use]
    pub fn next_step(mut self, fix: impl fmt::Display) -> Self {
        self.fix = Some(harmless(&fix.to_string()));
        self
    }

    /// Says how long to wait before trying again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds the address of the page on which a person can mend it.
    #[must_use]
    pub fn at_url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Which entry it is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The entry.
    pub fn entry(&self) -> &'static Entry {
        self.code.entry()
    }

    /// What happened.
    pub fn what(&self) -> String {
        self.fill(self.entry().what)
    }

    /// Why.
    pub fn why(&self) -> String {
        self.why
            .clone()
            .unwrap_or_else(|| self.fill(self.entry().why))
    }

    /// What to do next: a command, or a sentence that ends with one. `None` where nothing helps.
    pub fn fix(&self) -> Option<String> {
        let fix = self
            .fix
            .clone()
            .unwrap_or_else(|| self.fill(self.entry().fix));
        (!fix.is_empty()).then_some(fix)
    }

    /// The one line that agents show: `what. Why. Next: fix`.
    pub fn message(&self) -> String {
        let mut text = self.what();
        let why = self.why();
        if !why.is_empty() {
            text.push_str(". ");
            text.push_str(&capitalized(&why));
        }
        match self.fix() {
            Some(fix) => {
                text.push_str(". Next: ");
                text.push_str(&fix);
            }
            None => text.push('.'),
        }
        text
    }

    /// The value that fills the placeholder `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values
            .iter()
            .rev()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    /// How long to wait before trying again, in whole seconds, rounded up.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.retry_after
            .map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    }

    /// The address of the page on which a person can mend it.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Fills a template. A placeholder without a value leaves nothing, not even the space before.
    fn fill(&self, template: &str) -> String {
        let mut text = String::with_capacity(template.len() + 32);
        let mut rest = template;
        while let Some(open) = rest.find('{') {
            let Some(length) = rest[open..].find('}') else {
                break;
            };
            text.push_str(&rest[..open]);
            match self.value(&rest[open + 1..open + length]) {
                Some(value) => text.push_str(value),
                None => text.truncate(text.trim_end_matches(' ').len()),
            }
            rest = &rest[open + length + 1..];
        }
        text.push_str(rest);
        text
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for Problem {}

/// Text from outside, on one line, of bounded length, and without the words that make some agent
/// programs start a sign-in of their own.
fn harmless(text: &str) -> String {
    const LONGEST: usize = 400;
    const ALARM: &str = "auth required";
    let mut clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect();
    while let Some(at) = clean.to_ascii_lowercase().find(ALARM) {
        clean.replace_range(at..at + ALARM.len(), "sign-in needed");
    }
    clean
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if text.starts_with(|c: char| c.is_ascii_lowercase()) => {
            first.to_ascii_uppercase().to_string() + chars.as_str()
        }
        _ => text.to_owned(),
    }
}
