//! The line that tells whoever started the daemon where it listens.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

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
    /// process is closed.
    pub(super) fn open(fd: i32) -> io::Result<Self> {
        Ok(match fd {
            1 => Self::Output,
            2 => Self::Errors,
            _ => {
                let path = format!("/dev/fd/{fd}");
                Self::Other(OpenOptions::new().write(true).open(path)?)
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
