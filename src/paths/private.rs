//! Directories and files that only their owner may use. They are created with their final
//! permissions in one step, so that there is no moment at which others could open them.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{FILE_NAMES, PathError};

const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;

/// The user this process runs as.
pub(super) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether `dir` is a directory of ours that nobody else may use.
pub(super) fn is_private_dir(dir: &Path) -> bool {
    fs::metadata(dir)
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == user() && meta.mode() & OTHERS == 0)
}

/// The directory systemd makes for every user who is logged in. It follows from the user id, so
/// it is found without `XDG_RUNTIME_DIR`.
pub(super) fn user_runtime_dir() -> Option<PathBuf> {
    let dir = PathBuf::from(format!("/run/user/{}", user()));
    is_private_dir(&dir).then_some(dir)
}

/// Makes sure that `dir` exists, is ours, and is closed to others.
///
/// An existing directory that others may only read is closed to them when there is nothing in it
/// but files of ours; one that is used for other things too is refused, not changed. One that
/// others may write to is refused unless empty: what is in it may be theirs.
pub fn ensure_private_dir(dir: &Path) -> Result<(), PathError> {
    let failed = |error: io::Error| PathError::io(dir, &error);
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(dir).map_err(failed)?;
    let meta = fs::metadata(dir).map_err(failed)?;
    owned(dir, &meta)?;
    let mode = meta.mode() & 0o777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let mut empty = true;
    let mut only_ours = true;
    for entry in fs::read_dir(dir).map_err(failed)? {
        empty = false;
        only_ours &= FILE_NAMES
            .iter()
            .any(|name| entry.as_ref().is_ok_and(|it| it.file_name() == *name));
    }
    if !empty && (!only_ours || mode & OTHERS_WRITE != 0) {
        // Another command may have closed it meanwhile, and put in what was seen.
        if is_private_dir(dir) {
            return Ok(());
        }
        return Err(PathError::Exposed {
            path: dir.to_owned(),
            mode,
            directory: true,
        });
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Refuses a file that belongs to another user or that others may open. A file that is not there
/// is fine.
pub fn refuse_exposed(file: &Path) -> Result<(), PathError> {
    let meta = match fs::metadata(file) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(PathError::io(file, &error)),
    };
    if !meta.is_file() {
        return Err(PathError::Unexpected {
            path: file.to_owned(),
            expected: "a file",
        });
    }
    owned(file, &meta)?;
    closed(file, &meta)
}

/// Refuses a socket that is not this user's alone.
pub fn refuse_exposed_socket(path: &Path) -> Result<(), PathError> {
    let meta = fs::metadata(path).map_err(|error| PathError::io(path, &error))?;
    if !meta.file_type().is_socket() {
        return Err(PathError::Unexpected {
            path: path.to_owned(),
            expected: "a socket",
        });
    }
    owned(path, &meta)?;
    closed(path, &meta)
}

/// Refuses a file that others may use.
fn closed(path: &Path, meta: &Metadata) -> Result<(), PathError> {
    let mode = meta.mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(PathError::Exposed {
            path: path.to_owned(),
            mode,
            directory: false,
        });
    }
    Ok(())
}

fn owned(path: &Path, meta: &Metadata) -> Result<(), PathError> {
    if meta.uid() == user() {
        return Ok(());
    }
    Err(PathError::NotOurs {
        path: path.to_owned(),
        owner: meta.uid(),
    })
}

/// Opens `file` for reading and writing, created with mode 0600 where it is not there yet.
pub fn create_private(file: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(file)
}

/// Replaces `file` by one with this content and mode 0600: whoever reads it sees the old or the
/// new content, whole, also after a crash.
pub fn write_private(file: &Path, content: &[u8]) -> io::Result<()> {
    let dir = file.parent().unwrap_or_else(|| Path::new("."));
    // A temporary file of this crate has mode 0600 from its creation on.
    let mut temporary = tempfile::NamedTempFile::new_in(dir)?;
    temporary.write_all(content)?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).map_err(|error| error.error)?;
    File::open(dir)?.sync_all()
}
