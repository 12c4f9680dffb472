//! Mistakes in a configuration, each at its place, and how they are shown: file, line, column,
//! the offending line with a caret below, and what to write instead. Secrets are not shown.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use crate::model::catalogue::{Code, Problem};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What.
    pub message: String,
    /// What the caret points out.
    pub note: String,
    /// What to do about it, where the note does not say it.
    pub help: Option<String>,
    /// The entry of the catalogue.
    pub code: Code,
}

/// Where a mistake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the file, at these bytes.
    File(Range<usize>),
    /// In a variable of the environment.
    Variable(String),
    /// On the command line.
    Flag(String),
    /// The file as a whole, which could not be read.
    Whole,
}

/// A configuration that cannot be used, and everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// What is written in it.
    pub text: String,
    /// At least one.
    pub mistakes: Vec<Mistake>,
}

/// A place in a text as people count it, from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl ConfigError {
    /// The position of `mistake`, if it is in the file.
    pub fn position(&self, mistake: &Mistake) -> Option<Position> {
        match &mistake.place {
            Place::File(span) => Some(position(&self.text, span.start)),
            Place::Variable(_) | Place::Flag(_) | Place::Whole => None,
        }
    }

    /// Whether the file could not even be read.
    pub fn is_unreadable(&self) -> bool {
        self.mistakes.iter().any(|it| it.place == Place::Whole)
    }

    /// The same as a problem of what was asked for, where the file itself is right.
    pub fn problem_of_change(&self) -> Problem {
        let Some(first) = self.mistakes.first() else {
            return Problem::new(Code::BadRequest);
        };
        let problem =
            Problem::new(Code::BadRequest).because(format!("{}: {}", first.message, first.note));
        match &first.help {
            Some(help) => problem.next_step(help),
            None => problem,
        }
    }

    /// The first mistake as a problem of the catalogue.
    pub fn problem(&self) -> Problem {
        let Some(first) = self.mistakes.first() else {
            return Problem::new(Code::ConfigInvalid);
        };
        let more = match self.mistakes.len() {
            1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        let problem = Problem::new(first.code).because(format!("{}{more}", first.note));
        if first.code != Code::ConfigInvalid {
            return problem.with("bind", first.message.as_str());
        }
        let problem = problem.with("problem", first.message.as_str());
        let file = self.file.display();
        match (&first.place, self.position(first)) {
            (Place::Variable(name), _) => {
                problem.with("place", format!("environment variable {name}"))
            }
            (Place::Flag(name), _) => problem.with("place", name),
            (_, Some(at)) => problem.with("place", format!("{file}:{}", at.line)),
            (_, None) => problem.with("place", file),
        }
    }

    /// All mistakes, in the form that people know from compilers.
    pub fn render(&self) -> String {
        let all: Vec<String> = self.mistakes.iter().map(|m| self.render_one(m)).collect();
        all.join("\n")
    }

    fn render_one(&self, mistake: &Mistake) -> String {
        let message = one_line(&mistake.message);
        let mut shown = match mistake.code {
            Code::RemoteBindRefused => {
                format!("error: doorward will not listen on {message}\n")
            }
            _ => format!("error: {message}\n"),
        };
        let note = one_line(&mistake.note);
        let place = match &mistake.place {
            Place::Variable(name) => format!("  --> environment variable {name}\n   = {note}\n"),
            Place::Flag(name) => format!("  --> {name}\n   = {note}\n"),
            Place::Whole => format!("  --> {}\n   = {note}\n", self.file.display()),
            Place::File(span) => self.render_place(span, &note),
        };
        shown.push_str(&place);
        if let Some(help) = &mistake.help {
            shown.push_str("  help: ");
            shown.push_str(&one_line(help));
            shown.push('\n');
        }
        shown
    }

    fn render_place(&self, span: &Range<usize>, note: &str) -> String {
        let Position { line, column } = position(&self.text, span.start);
        let (written, padding, carets) = excerpt(&self.text, span);
        let name = self.file.file_name().unwrap_or(self.file.as_os_str());
        let name = name.to_string_lossy();
        let blank = " ".repeat(line.to_string().len());
        format!(
            "  --> {name}:{line}:{column}\n{blank} |\n{line} | {written}\n\
             {blank} | {padding}{carets} {note}\n"
        )
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render())
    }
}

impl std::error::Error for ConfigError {}

/// Where the byte `at` is.
fn position(text: &str, at: usize) -> Position {
    let before = &text[..floor(text, at)];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position {
        line: before.matches('\n').count() + 1,
        column: before[start..].chars().count() + 1,
    }
}

/// The line that `span` begins on, the blanks in front of the carets, and the carets.
fn excerpt(text: &str, span: &Range<usize>) -> (String, String, String) {
    let from = floor(text, span.start);
    let start = text[..from].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[from..].find('\n').map_or(text.len(), |n| from + n);
    let line = text[start..end].trim_end_matches('\r');
    let blank = |c: char| if c == '\t' { '\t' } else { ' ' };
    let padding = text[start..from.min(start + line.len())].chars().map(blank);
    let to = floor(text, span.end).clamp(from, start + line.len().max(from - start));
    let width = text[from..to].chars().count().max(1);
    (masked(line), padding.collect(), "^".repeat(width))
}

/// The nearest place at or before `at` at which `text` may be cut.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// A line without a secret that somebody wrote where none belongs. The length stays, so that the
/// carets still point to it.
fn masked(line: &str) -> String {
    const SECRETIVE: [&str; 5] = ["secret", "password", "authorization", "api-key", "token"];
    let clean: String = line
        .chars()
        .map(|c| if c.is_control() && c != '\t' { ' ' } else { c })
        .collect();
    let lower = clean.to_ascii_lowercase();
    let secretive =
        SECRETIVE.iter().any(|word| lower.contains(word)) && !lower.contains("endpoint");
    // `http://user:password@proxy`
    let names_somebody = |rest: &str| {
        let authority = rest.split(['/', '"', '\'']).next().unwrap_or_default();
        authority.contains('@')
    };
    if !secretive && !lower.split("://").skip(1).any(names_somebody) {
        return clean;
    }
    let mut shown = String::with_capacity(clean.len());
    let mut rest = clean.as_str();
    while let Some(at) = rest.find(['"', '\'']) {
        let (before, quoted) = rest.split_at(at + 1);
        shown.push_str(before);
        let end = before
            .chars()
            .next_back()
            .and_then(|quote| quoted.find(quote));
        let (inner, after) = quoted.split_at(end.unwrap_or(quoted.len()));
        // A name is no secret, and a mistake may be in it.
        if after
            .get(1..)
            .is_some_and(|after| after.trim_start().starts_with('='))
        {
            shown.push_str(inner);
        } else {
            shown.extend(inner.chars().map(|_| '*'));
        }
        let quote = after.chars().take(1);
        shown.extend(quote);
        rest = after.get(1..).unwrap_or_default();
    }
    shown + rest
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn a_line_that_may_hold_a_secret_is_shown_without_it() {
        for line in [
            "proxy = \"http://u:canary@proxy.corp:3128\"",
            "token_endpoint = \"https://u:canary@as.example/token\"",
            "client_secret = 'canary'",
        ] {
            assert!(!masked(line).contains("canary"), "{}", masked(line));
            assert_eq!(masked(line).len(), line.len());
        }
        let named = masked("headers = { \"Bad Token\" = \"canary\", 'x' = 'canary' }");
        assert_eq!(
            named,
            "headers = { \"Bad Token\" = \"******\", 'x' = '******' }"
        );
        let harmless = "token_endpoint = \"https://as.example/token?for=me@example.org\"";
        assert_eq!(masked(harmless), harmless);
    }
}
