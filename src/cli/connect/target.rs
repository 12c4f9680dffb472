//! The file that a command is about, and what is told where it cannot be read, changed or written.

use std::path::Path;

use super::place;
use crate::connect::{Client, Draft, FileError, Refused};
use crate::ctl::Fault;
use crate::model::catalogue::{Code, Problem};

/// A client's file.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) client: Client,
    pub(super) file: &'a Path,
    /// What is done to it: `connect` or `disconnect`.
    pub(super) verb: &'static str,
    /// The command that does it, as it was given.
    pub(super) again: &'a str,
}

impl Target<'_> {
    /// Reads it. `follow`: also through a link out of the home directory.
    pub(super) fn open(self, follow: bool) -> Result<Draft, Fault> {
        let home = place::home();
        let home = home.as_deref().filter(|_| !follow);
        Draft::open(self.file, home).map_err(|error| self.failed(error))
    }

    fn problem(self, code: Code) -> Problem {
        let name = self.client.facts().name;
        let problem = Problem::new(code).with("client", name);
        problem.with("file", place::shown(self.file))
    }

    fn unreadable(self, line: usize, column: usize, format: &str, why: &str) -> Fault {
        self.problem(Code::ClientConfigUnreadable)
            .with("line", line)
            .with("col", column)
            .with("format", format)
            .with("detail", format!("{why}; nothing was written"))
            .next_step(format!("fix it, then: {}", self.again))
            .into()
    }

    fn inaccessible(self, detail: String) -> Fault {
        self.problem(Code::ClientFileFailed)
            .with("detail", format!("{detail}; nothing was written"))
            .next_step(format!("make it accessible, then: {}", self.again))
            .into()
    }

    /// The file is not read or not written.
    pub(super) fn failed(self, error: FileError) -> Fault {
        let facts = self.client.facts();
        match error {
            FileError::Changed => {
                let why = format!("{} or somebody else wrote to it", facts.title);
                self.problem(Code::ClientConfigChanged)
                    .because(format!("{why}; nothing was written"))
                    .next_step(self.again)
                    .into()
            }
            FileError::Elsewhere(target) => {
                let shown = place::shown(self.file);
                let outside = target.display();
                let detail = format!("{shown} leads to {outside}, outside of your home directory");
                Problem::new(Code::ConfirmationNeeded)
                    .with("detail", detail)
                    .with("command", format!("{} --follow", self.again))
                    .into()
            }
            FileError::NotText { line, column } => {
                self.unreadable(line, column, "text", "a byte here is not UTF-8")
            }
            FileError::Directory(directory, error) => {
                let directory = place::shown(&directory);
                let detail = format!("nothing can be put into {directory}: {error}");
                self.inaccessible(detail)
            }
            FileError::Io(error) => self.inaccessible(error.to_string()),
        }
    }

    /// Its text is not changed.
    pub(super) fn refused(self, why: Refused) -> Fault {
        match why {
            Refused::Unreadable {
                line,
                column,
                detail,
            } => {
                let format = self.client.facts().format.to_string();
                self.unreadable(line, column, &format, &detail)
            }
            Refused::Form { .. } | Refused::Unsure => {
                let problem = self
                    .problem(Code::ClientFileRefused)
                    .with("detail", format!("{why}; nothing was written"));
                if self.verb == "disconnect" {
                    let next = "take the entries out by hand, then the same command again";
                    return problem.next_step(next).into();
                }
                problem.into()
            }
        }
    }
}
