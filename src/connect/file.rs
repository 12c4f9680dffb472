//! A client's file while it is changed. It is replaced as a whole or not at all, keeps its mode
//! and its owner, stays where a link leads, and is left alone where somebody else wrote to it
//! since it was read.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::text::position;

/// Why a file is not read or not written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Somebody else wrote to it since it was read.
    #[error("it changed meanwhile")]
    Changed,
    /// A link leads out of the home directory.
    #[error("it is a link to {}, outside of your home directory", .0.display())]
    Elsewhere(PathBuf),
    /// It is no text: a byte at this place is none of UTF-8.
    #[error("{line}:{column}: a byte here is not UTF-8")]
    NotText {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// Its directory takes no file.
    #[error("nothing can be put into {}: {}", .0.display(), .1)]
    Directory(PathBuf, io::Error),
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A file that was read and may be written.
#[derive(Debug)]
pub struct Draft {
    /// Where it really is.
    target: PathBuf,
    before: Option<String>,
}

impl Draft {
    /// Reads `file`, which need not be there. `home`: a link out of it is not followed.
    pub fn open(file: &Path, home: Option<&Path>) -> Result<Self, FileError> {
        let target = target(file)?;
        if let Some(home) = home {
            let real = fs::canonicalize(home).unwrap_or_else(|_| home.to_owned());
            if file.starts_with(home) && !target.starts_with(&real) {
                return Err(FileError::Elsewhere(target));
            }
        }
        let before = read(&target)?;
        Ok(Self { target, before })
    }

    /// What it holds; nothing where it is not there.
    pub fn text(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// Writes `new`, or removes the file. `private`: nobody else may read it from now on.
    pub fn write(self, new: Option<&str>, private: bool) -> Result<(), FileError> {
        let directory = self.target.parent().unwrap_or(Path::new("."));
        let Some(new) = new else {
            self.unchanged()?;
            if self.before.is_some() {
                fs::remove_file(&self.target)?;
                File::open(directory)?.sync_all()?;
            }
            return Ok(());
        };
        let closed = |error| FileError::Directory(directory.to_owned(), error);
        fs::create_dir_all(directory).map_err(closed)?;
        // Its error names a file that nobody knows.
        let file = tempfile::NamedTempFile::new_in(directory);
        let mut file = file.map_err(|error| closed(error.kind().into()))?;
        file.write_all(new.as_bytes())?;
        let facts = match fs::metadata(&self.target) {
            Ok(facts) => Some(facts),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let mode = facts.as_ref().map_or(0o600, |facts| facts.mode() & 0o777);
        let mode = if private { mode & 0o600 } else { mode };
        let mode = match &facts {
            Some(facts) => keep_owner(file.as_file(), facts, mode)?,
            None => mode,
        };
        let permissions = fs::Permissions::from_mode(mode);
        file.as_file().set_permissions(permissions)?;
        file.as_file().sync_all()?;
        self.unchanged()?;
        file.persist(&self.target).map_err(|error| error.error)?;
        // The new name is durable only once the directory is.
        File::open(directory)?.sync_all()?;
        Ok(())
    }

    fn unchanged(&self) -> Result<(), FileError> {
        match read(&self.target) {
            Ok(now) if now == self.before => Ok(()),
            Ok(_) | Err(FileError::NotText { .. }) => Err(FileError::Changed),
            Err(error) => Err(error),
        }
    }
}

/// A file is not given to somebody else by being replaced. Gives the mode that it may have: where
/// its group is one that this user is not in, the group of the new file may do what everybody may.
fn keep_owner(new: &File, old: &Metadata, mode: u32) -> io::Result<u32> {
    let facts = new.metadata()?;
    if facts.uid() != old.uid() {
        std::os::unix::fs::fchown(new, Some(old.uid()), Some(old.gid()))?;
    } else if facts.gid() != old.gid()
        && std::os::unix::fs::fchown(new, None, Some(old.gid())).is_err()
    {
        return Ok((mode & !0o070) | ((mode & 0o007) << 3));
    }
    Ok(mode)
}

/// Where `file` really is, also where it is not there yet.
fn target(file: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(file) {
        Ok(target) => Ok(target),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if file.is_symlink() {
                let why = "it is a link to a file that is not there";
                return Err(io::Error::new(ErrorKind::NotFound, why));
            }
            let real = file.parent().map(target_of_directory).transpose()?;
            let name = file.file_name().unwrap_or_default();
            Ok(real.unwrap_or_default().join(name))
        }
        Err(error) => Err(error),
    }
}

/// The same for a directory, of which any part may be missing.
fn target_of_directory(directory: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(directory) {
        Ok(real) => Ok(real),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            match (directory.parent(), directory.file_name()) {
                (Some(parent), Some(name)) => Ok(target_of_directory(parent)?.join(name)),
                _ => Ok(directory.to_owned()),
            }
        }
        Err(error) => Err(error),
    }
}

fn read(file: &Path) -> Result<Option<String>, FileError> {
    match fs::read(file) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let right = String::from_utf8_lossy(&error.as_bytes()[..at]);
                let (line, column) = position(&right, at);
                Err(FileError::NotText { line, column })
            }
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}
