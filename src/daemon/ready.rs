//! The line that tells whoever started the daemon where it listens.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use crate::api::Failure;
use crate::model::catalogue::{Code, Problem};

/// The descriptor that the line goes to.
pub(super) enum Ready {
    Output,
    Errors,
    Other(File),
}

impl Ready {
    /// Takes the open descriptor `fd`.
    ///
    /// The standard streams are written as such: a supervisor may have made them sockets, which
    /// have no path that could be opened. Any other descriptor is opened by its path, since a
    /// number alone is nobody's descriptor; which only root could do once the memory of this
    /// process is closed, and which has to come before this process opens any of that number.
    pub(super) fn open(fd: i32) -> Result<Self, Problem> {
        Ok(match fd {
            1 => Self::Output,
            2 => Self::Errors,
            _ => {
                let path = format!("/dev/fd/{fd}");
                let opened = OpenOptions::new().write(true).open(path);
                Self::Other(opened.map_err(|error| {
                    Problem::new(Code::BadRequest)
                        .because(format!("--ready-fd {fd} cannot be written to: {error}"))
                        .next_step(format!("doorward serve --ready-fd {fd} {fd}> FILE"))
                })?)
            }
        })
    }

    /// Writes `line`.
    pub(super) fn write(self, line: &str) -> io::Result<()> {
        let line = format!("{line}\n");
        match self {
            Self::Output => flushed(io::stdout().lock(), &line),
            Self::Errors => flushed(io::stderr().lock(), &line),
            Self::Other(file) => flushed(file, &line),
        }
    }
}

fn flushed(mut to: impl Write, line: &str) -> io::Result<()> {
    to.write_all(line.as_bytes())?;
    to.flush()
}

/// Writes in the place of the ready line why there will be none.
pub(super) fn refuse(fd: i32, problem: &Problem) {
    // Where nobody listens any more, the log says the same.
    if let (Ok(to), Ok(line)) = (
        Ready::open(fd),
        serde_json::to_string(&Failure::from(problem)),
    ) {
        let _ = to.write(&line);
    }
}
