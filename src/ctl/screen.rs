//! What a person sees: data on stdout, talk on stderr, in the form that was asked for. Colour
//! never carries meaning alone, and nothing is shortened in a pipe.

use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;

use serde::Serialize;

use super::table::layout;
use super::{Column, Fault};
use crate::api::{Account, Failure, Moment};
use crate::clock::Clock;
use crate::model::catalogue::{Code, Problem};
use crate::model::invocation::Invocation;
use crate::model::time::{Timestamp, brief};

/// The form of data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A table that fits the terminal.
    #[default]
    Table,
    /// A table that may be wider.
    Wide,
    /// One document.
    Json,
    /// One line of JSON for each item.
    Jsonl,
    /// Names only.
    Name,
}

impl Format {
    /// Whether programs read it.
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

/// Whether to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorWhen {
    /// On a terminal.
    #[default]
    Auto,
    /// In pipes too.
    Always,
    /// Not at all.
    Never,
}

/// What was asked for on the command line.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScreenOptions {
    /// The form of data.
    pub format: Format,
    /// Whether to use colour.
    pub color: ColorWhen,
    /// No hints, no progress.
    pub quiet: bool,
    /// More talk.
    pub verbose: u8,
    /// Yes to all questions.
    pub yes: bool,
    /// No questions.
    pub no_input: bool,
}

/// Where commands print.
#[derive(Clone)]
pub struct Screen {
    options: ScreenOptions,
    color_out: bool,
    color_err: bool,
    unicode: bool,
    width: Option<usize>,
    clock: Arc<dyn Clock>,
    invocation: Invocation,
}

/// A colour of the sixteen that every terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Good.
    Green,
    /// Under way.
    Blue,
    /// Needs a person.
    Yellow,
    /// Bad.
    Red,
    /// Beside the point.
    Dim,
}

/// The words for states, and their colours.
const STATES: [(&str, Color); 9] = [
    ("ready", Color::Green),
    ("active", Color::Green),
    ("refreshing", Color::Blue),
    ("expiring", Color::Yellow),
    ("login", Color::Yellow),
    ("error", Color::Red),
    ("disabled", Color::Dim),
    ("expired", Color::Dim),
    ("revoked", Color::Dim),
];

impl Color {
    fn code(self) -> &'static str {
        match self {
            Self::Green => "32",
            Self::Blue => "34",
            Self::Yellow => "33",
            Self::Red => "1;31",
            Self::Dim => "2",
        }
    }
}

impl Screen {
    /// The terminal, or what stands in its place.
    pub fn of_process(options: ScreenOptions, clock: Arc<dyn Clock>) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let forced = set("CLICOLOR_FORCE") && std::env::var("CLICOLOR_FORCE").as_deref() != Ok("0");
        let color = |terminal: bool| match options.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto if set("NO_COLOR") => false,
            ColorWhen::Auto => forced || (terminal && !dumb),
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
            .unwrap_or_default()
            .to_ascii_lowercase();
        let terminal = io::stdout().is_terminal();
        let width = rustix::termios::tcgetwinsize(io::stdout())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|columns| terminal && *columns > 0);
        Self {
            options,
            color_out: color(terminal),
            color_err: color(io::stderr().is_terminal()),
            unicode: locale.contains("utf-8") || locale.contains("utf8") || !terminal,
            width,
            clock,
            invocation: Invocation::default(),
        }
    }

    /// The same for somebody who has called the program like this: what it suggests, they can
    /// type as it stands.
    #[must_use]
    pub fn called(mut self, invocation: Invocation) -> Self {
        self.invocation = invocation;
        self
    }

    /// The same for a command whose standard output is a protocol: everything is talk.
    #[must_use]
    pub fn in_words(mut self) -> Self {
        self.options.format = Format::Table;
        self
    }

    /// How the person has called the program.
    pub fn invocation(&self) -> &Invocation {
        &self.invocation
    }

    /// `text` with its commands as this person has to type them.
    pub fn spell(&self, text: &str) -> String {
        self.invocation.spell(text)
    }

    /// Spells the commands in what is wrong with `accounts`, for a document.
    pub fn spell_all(&self, accounts: &mut [Account]) {
        for trouble in accounts.iter_mut().filter_map(|it| it.problem.as_mut()) {
            trouble.fix = trouble.fix.as_deref().map(|fix| self.spell(fix));
        }
    }

    /// The form of data.
    pub fn format(&self) -> Format {
        self.options.format
    }

    /// How much talk is wanted.
    pub fn verbose(&self) -> u8 {
        self.options.verbose
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The mark of something that worked.
    pub fn tick(&self) -> &'static str {
        if self.unicode { "✓" } else { "ok:" }
    }

    /// What stands for nothing.
    pub fn dash(&self) -> &'static str {
        if self.unicode { "—" } else { "-" }
    }

    /// What stands between facts in one line.
    pub fn dot(&self) -> &'static str {
        if self.unicode { " · " } else { " | " }
    }

    /// Data. A reader that has gone away is no error.
    pub fn out(&self, text: impl Display) {
        let _ = writeln!(io::stdout().lock(), "{text}");
    }

    /// Data as a document.
    pub fn json(&self, document: &impl Serialize) {
        let text = serde_json::to_string_pretty(document);
        self.out(text.expect("documents have text keys"));
    }

    /// Data, one document a line.
    pub fn jsonl<T: Serialize>(&self, items: &[T]) {
        for item in items {
            self.out(serde_json::to_string(item).expect("documents have text keys"));
        }
    }

    /// Talk.
    pub fn say(&self, text: impl Display) {
        if !self.options.quiet {
            self.tell(&text.to_string());
        }
    }

    fn tell(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{}", self.spell(text));
    }

    /// Advice.
    pub fn hint(&self, text: impl Display) {
        let label = self.painted_err("hint:", Color::Dim);
        self.say(format!("{label} {text}"));
    }

    /// Something to know.
    pub fn warn(&self, text: impl Display) {
        let label = self.painted_err("warning:", Color::Yellow);
        self.tell(&format!("{label} {text}"));
    }

    /// What went wrong.
    pub fn failure(&self, failure: &Failure, spelling: Option<&str>) {
        if self.options.format.is_json() {
            let mut failure = failure.clone();
            failure.error.fix = failure.error.fix.map(|fix| self.spell(&fix));
            self.json(&failure);
            return;
        }
        let detail = &failure.error;
        let mut lines = vec![format!(
            "{} {}",
            self.painted_err("error:", Color::Red),
            detail.message
        )];
        let mut labelled = |label: &str, text: &str| {
            let label = self.painted_err(label, Color::Dim);
            lines.push(format!("  {label} {text}"));
        };
        if !detail.why.is_empty() {
            labelled("why:", &detail.why);
        }
        if let Some(fix) = &detail.fix {
            labelled("run:", fix);
        }
        if let Some(near) = spelling {
            labelled("hint:", &format!("did you mean {near}?"));
        }
        if self.options.verbose > 0 {
            let request = detail.request_id.as_deref();
            let request = request.map_or(String::new(), |id| format!(" · request {id}"));
            labelled("code:", &format!("{}{request}", detail.code));
        }
        self.tell(&lines.join("\n"));
    }

    /// Asks for a yes. `command` is what to run where nobody can be asked.
    pub fn confirm(&self, question: &str, command: &str) -> Result<bool, Fault> {
        if self.options.yes {
            return Ok(true);
        }
        if self.options.no_input || !io::stdin().is_terminal() {
            return Err(Problem::new(Code::ConfirmationNeeded)
                .with("detail", format!("nobody can be asked here: {question}"))
                .with("command", self.spell(command))
                .into());
        }
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{question} [y/N] ");
        let _ = stderr.flush();
        let mut answer = String::new();
        let _ = io::stdin().lock().read_line(&mut answer);
        let answer = answer.trim().to_ascii_lowercase();
        Ok(matches!(answer.as_str(), "y" | "yes"))
    }

    /// `text` in a colour, for stdout.
    pub fn painted(&self, text: &str, color: Color) -> String {
        paint(text, color, self.color_out)
    }

    fn painted_err(&self, text: &str, color: Color) -> String {
        paint(text, color, self.color_err)
    }

    /// How long ago it was.
    pub fn ago(&self, at: Option<Moment>) -> String {
        match at {
            None => "never".to_owned(),
            Some(Moment(at)) => format!("{} ago", brief(self.now().since(at), 1)),
        }
    }

    /// How long it is until then.
    pub fn until(&self, at: Option<Moment>) -> String {
        match at {
            None => self.dash().to_owned(),
            Some(Moment(at)) if at <= self.now() => "over".to_owned(),
            Some(Moment(at)) => format!("in {}", brief(at.since(self.now()), 1)),
        }
    }

    /// The lines of a table that is talk, and not data: none of it is shortened.
    pub fn lines(&self, columns: &[Column], rows: Vec<Vec<String>>) -> Vec<String> {
        layout(columns, rows, None, self.unicode)
    }

    /// A table; `rows` have as many cells as there are `columns`.
    pub fn table(&self, columns: &[Column], rows: Vec<Vec<String>>) {
        let width = match self.options.format {
            Format::Wide => None,
            _ => self.width,
        };
        for line in layout(columns, rows, width, self.unicode) {
            self.out(self.highlighted(&line, columns));
        }
    }

    /// The words for states in their colours.
    fn highlighted(&self, line: &str, columns: &[Column]) -> String {
        if !self.color_out || !columns.iter().any(|column| column.name == "STATE") {
            return line.to_owned();
        }
        for (word, color) in STATES {
            let cell = format!("  {word}  ");
            if line.contains(&cell) {
                let painted = format!("  {}  ", self.painted(word, color));
                return line.replacen(&cell, &painted, 1);
            }
        }
        line.to_owned()
    }
}

fn paint(text: &str, color: Color, on: bool) -> String {
    if on {
        format!("\x1b[{}m{text}\x1b[0m", color.code())
    } else {
        text.to_owned()
    }
}
