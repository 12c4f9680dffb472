//! Remote servers that a person's agent programs have already, and which of them can become
//! upstreams. Only files of the person are read and none of a project: what lies in a directory that
//! somebody else may have written adds nothing. Secrets are dropped where they are read: of header
//! fields nothing but the names goes on.

use std::path::PathBuf;

mod command;
mod entry;
mod judge;
mod read;
mod source;
#[cfg(test)]
mod tests;

pub use judge::{Candidate, Known, Verdict, judge};
pub use source::{Home, Source};

/// A remote server in one agent program's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The agent program.
    pub source: Source,
    /// The file.
    pub file: PathBuf,
    /// What it is called there.
    pub name: String,
    /// Its address, as it is written there.
    pub url: String,
    /// How it is spoken to.
    pub transport: Transport,
    /// The names of the header fields that are sent to it; their values are nowhere.
    pub fields: Vec<String>,
    /// Whether a program stands between that does the sign-in: `mcp-remote`.
    pub through_command: bool,
}

/// How a remote server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP, or nothing says otherwise.
    Http,
    /// Two connections, as in the revision of 2024-11-05.
    Sse,
}

/// A file that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Which.
    pub file: PathBuf,
    /// Where in it, from one; without a place, the system does not give it out.
    pub at: Option<(usize, usize)>,
    /// What it should be.
    pub format: &'static str,
}

/// Everything that one agent program has. A file that is not there holds nothing.
pub fn entries(source: Source, home: &Home) -> Result<Vec<Entry>, Unreadable> {
    let mut all = Vec::new();
    for file in source.files(home) {
        let Some(document) = read::document(&file, source.format())? else {
            continue;
        };
        all.extend(entry::all(source, &file, &document));
    }
    Ok(all)
}
