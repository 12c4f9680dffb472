//! `.doorward.toml`: what a project leaves of the upstreams that a person has. It is read from a
//! directory that anybody may have written, so that it can only take away: there is no key in it
//! that adds an upstream, a header or a command, and one that would is a mistake.

use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use crate::api::Within;
use crate::config::{ConfigError, Mistake, Place};
use crate::model::catalogue::Code;
use crate::model::id::AccountRef;

#[cfg(test)]
mod tests;

/// What it is called.
pub const NAME: &str = ".doorward.toml";
/// More than anybody writes into it.
const LONGEST: u64 = 64 << 10;
/// As long as a label is shown.
const LABEL: usize = 80;

/// What a project asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its file.
    pub file: PathBuf,
    /// The accounts that it leaves, as people write them; `None` where it does not say.
    pub upstreams: Option<Vec<String>>,
    /// What sessions in it are called.
    pub label: Option<String>,
    /// The longest time that a session lives on after a use.
    pub ttl: Option<Duration>,
}

impl Project {
    /// What it leaves of a grant. `chosen`: a person has named the upstreams, which goes before
    /// what a file says of them.
    pub fn within(&self, chosen: bool) -> Within {
        Within {
            file: self.file.display().to_string(),
            upstreams: self.upstreams.clone().filter(|_| !chosen),
            ttl_s: self.ttl.map(|ttl| ttl.as_secs()),
        }
    }
}

/// The project that `directory` is in: the nearest file upwards, whole and right, or an error.
pub fn find(directory: &Path) -> Result<Option<Project>, ConfigError> {
    for folder in directory.ancestors() {
        let file = folder.join(NAME);
        if let Some(text) = read(&file).map_err(|note| unreadable(&file, &note))? {
            return parse(file, text).map(Some);
        }
    }
    Ok(None)
}

/// The text of a file, `None` where there is none.
fn read(path: &Path) -> Result<Option<String>, String> {
    let told = |error: std::io::Error| error.to_string();
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(told(error)),
    };
    // Opening a pipe would wait for a writer.
    if !meta.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(told)?;
    let length = file.take(LONGEST + 1).read_to_string(&mut text);
    if length.map_err(told)? as u64 > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    Ok(Some(text))
}

/// The keys that there are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    upstreams: Option<Vec<Spanned<String>>>,
    label: Option<Spanned<String>>,
    ttl: Option<Spanned<String>>,
}

/// A mistake: where, what, and what the caret points out.
type Wrong = (Range<usize>, String, String);

fn parse(file: PathBuf, text: String) -> Result<Project, ConfigError> {
    let parsed = toml::from_str::<Raw>(&text).map_err(|error| {
        let at = error.span().unwrap_or(0..0);
        let message = error.message().to_owned();
        let note = if message.starts_with("unknown field") {
            "a project can only take away: it has `upstreams`, `label` and `ttl`"
        } else {
            "here"
        };
        vec![(at, message, note.to_owned())]
    });
    let checked = parsed.and_then(|raw| check(file.clone(), raw));
    checked.map_err(|wrong| {
        let mistake = |(at, message, note): Wrong| Mistake {
            place: Place::File(at),
            message,
            note,
            help: None,
            code: Code::ConfigInvalid,
        };
        let mistakes = wrong.into_iter().map(mistake).collect();
        ConfigError {
            file,
            text,
            mistakes,
        }
    })
}

fn check(file: PathBuf, raw: Raw) -> Result<Project, Vec<Wrong>> {
    let mut wrong: Vec<Wrong> = Vec::new();
    let names = raw.upstreams.iter().flatten();
    for name in names.filter(|name| name.get_ref().parse::<AccountRef>().is_err()) {
        let message = "must be the name of an upstream, or of an account of one";
        let note = "write it as `notion` or `notion@work`";
        wrong.push((name.span(), message.to_owned(), note.to_owned()));
    }
    if let Some(label) = &raw.label {
        let text = label.get_ref();
        if text.trim().is_empty() || text.chars().count() > LABEL || text.contains(char::is_control)
        {
            let message = format!("must be one line of at most {LABEL} characters");
            wrong.push((label.span(), message, "this is not".to_owned()));
        }
    }
    let ttl = raw.ttl.as_ref().map(|ttl| {
        let length = humantime::parse_duration(ttl.get_ref()).ok();
        length.filter(|it| *it >= Duration::from_secs(1))
    });
    if let (Some(None), Some(written)) = (&ttl, &raw.ttl) {
        let message = "must be a duration of at least a second".to_owned();
        let note = "write one such as 30m, 12h or 7d".to_owned();
        wrong.push((written.span(), message, note));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let upstreams = raw.upstreams;
    Ok(Project {
        file,
        upstreams: upstreams.map(|all| all.into_iter().map(Spanned::into_inner).collect()),
        label: raw.label.map(Spanned::into_inner),
        ttl: ttl.flatten(),
    })
}

fn unreadable(file: &Path, note: &str) -> ConfigError {
    ConfigError {
        file: file.to_owned(),
        text: String::new(),
        mistakes: vec![Mistake {
            place: Place::File(0..0),
            message: format!("{} cannot be read", file.display()),
            note: note.to_owned(),
            help: None,
            code: Code::ConfigInvalid,
        }],
    }
}
