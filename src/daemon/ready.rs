//! The line that tells whoever started the daemon where it listens.

use std::fs::OpenOptions;
use std::io::{self, Write};

/// Writes `line` to the open descriptor `fd`.
///
/// The standard streams are written as such: a supervisor may have made them sockets, which have
/// no path that could be opened. Any other descriptor is opened by its path, since a number alone
/// is nobody's descriptor.
pub(super) fn write(fd: i32, line: &str) -> io::Result<()> {
    let line = format!("{line}\n");
    match fd {
        1 => flushed(io::stdout().lock(), &line),
        2 => flushed(io::stderr().lock(), &line),
        _ => OpenOptions::new()
            .write(true)
            .open(format!("/dev/fd/{fd}"))
            .and_then(|file| flushed(file, &line)),
    }
}

fn flushed(mut to: impl Write, line: &str) -> io::Result<()> {
    to.write_all(line.as_bytes())?;
    to.flush()
}
