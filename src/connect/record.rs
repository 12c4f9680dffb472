//! What `connect` remembers: the exact inverse of what it wrote, one connection a file. No
//! credential is in it; what was replaced is, as it stood in the client's file, so this one is as
//! private as the rest of the state directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ends::LineEnd;
use super::entry::Mode;
use super::format::Made;

const SCHEMA: &str = "doorward/connections/v1";

/// What is remembered of all files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    schema: String,
    /// One for each file that was written.
    pub items: Vec<Connection>,
}

/// What is remembered of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The client.
    pub client: String,
    /// Its file, as it is named.
    pub file: PathBuf,
    /// How its servers reach doorward.
    pub mode: Mode,
    /// The session whose credential is in the file.
    #[serde(default)]
    pub session: Option<String>,
    /// What is ours in it.
    pub ours: Ours,
}

/// What is ours in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ours {
    /// How the file was before.
    pub was: Was,
    /// How the lines of the file ended when they were put in.
    #[serde(default)]
    pub line_end: Option<LineEnd>,
    /// The maps that were made for our entries.
    pub made: Vec<Made>,
    /// Our entries, in the order in which they were put in.
    pub entries: Vec<Kept>,
}

impl Ours {
    /// Remembers an entry, in the place of one that was at its spot before.
    pub(super) fn keep(&mut self, kept: Kept) {
        let there = |it: &Kept| it.name == kept.name && it.path == kept.path;
        self.entries.retain(|it| !there(it));
        self.entries.push(kept);
    }

    /// Whether the entry of this name is one of these still.
    pub fn holds(&self, name: &str, entry: &Value) -> bool {
        let mut named = self.entries.iter().filter(|kept| kept.name == name);
        named.any(|kept| kept.is_in(entry))
    }
}

/// How a file was before anything was put into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Was {
    /// Not there.
    Missing,
    /// There, with nothing to be seen in it.
    Blank(String),
    /// There, with something in it.
    Full,
}

/// An entry of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The map that holds it.
    pub path: Vec<String>,
    /// Its name.
    pub name: String,
    /// What it is known by: every address or command that it may have, also the one before a
    /// change that was perhaps not carried out.
    pub marks: Vec<Value>,
    /// The newlines in front of it, where they were put there with it.
    pub lead: String,
    /// What it stands in the place of.
    pub before: Option<String>,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            items: Vec::new(),
        }
    }
}

impl Connections {
    /// What is remembered in `file`; nothing where it is not there.
    pub fn load(file: &Path) -> io::Result<Self> {
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let read: Self = serde_json::from_slice(&text)?;
        if read.schema != SCHEMA {
            let why = format!(
                "it is of the kind {}, which this version does not know",
                read.schema
            );
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        Ok(read)
    }

    /// Writes it, all or nothing; durable when this returns.
    pub fn save(&self, file: &Path) -> io::Result<()> {
        let directory = file.parent().unwrap_or(Path::new("."));
        // A new temporary file is the owner's alone.
        let mut new = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer_pretty(&mut new, self)?;
        new.write_all(b"\n")?;
        new.as_file().sync_all()?;
        new.persist(file).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()
    }

    /// The connection of a client through a file.
    pub fn find(&self, client: &str, file: &Path) -> Option<&Connection> {
        let mut items = self.items.iter();
        items.find(|it| it.client == client && it.file == file)
    }

    /// Remembers `connection` in the place of an older one; one without entries is forgotten.
    pub fn set(&mut self, connection: Connection) {
        let (client, file) = (connection.client.clone(), connection.file.clone());
        self.items
            .retain(|it| it.client != client || it.file != file);
        if !connection.ours.entries.is_empty() || connection.session.is_some() {
            self.items.push(connection);
        }
    }

    /// Keeps other commands from changing it until the lock is dropped.
    pub fn lock(file: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(file.with_extension("lock"))?;
        lock.lock()?;
        Ok(lock)
    }
}
