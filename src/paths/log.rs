//! The log of a daemon in the background does not grow without bound: what goes beyond a length is
//! set aside in one file beside it, in the place of what was set aside before.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_getfl};

/// How long a log may become, in bytes.
pub const LONGEST_LOG: u64 = 8 << 20;

/// Where the part before is.
fn former(log: &Path) -> PathBuf {
    let mut name = OsString::from(log);
    name.push(".1");
    name.into()
}

/// Sets a log aside that nobody writes; whether it was too long.
pub fn set_aside(log: &Path, longest: u64) -> io::Result<bool> {
    match fs::metadata(log) {
        Ok(facts) if facts.len() > longest => fs::rename(log, former(log)).map(|()| true),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The same for a log that `output` appends to, which goes on with the emptied file; whether it
/// was too long. An output that goes elsewhere is left alone. What is written in the meantime is
/// lost: the caller sees to it that nothing is.
pub fn empty(log: &Path, output: impl AsFd, longest: u64) -> io::Result<bool> {
    let output = File::from(output.as_fd().try_clone_to_owned()?);
    let facts = output.metadata()?;
    if !facts.is_file() || facts.len() <= longest {
        return Ok(false);
    }
    let present = match fs::metadata(log) {
        Ok(present) => present,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let same = (facts.dev(), facts.ino()) == (present.dev(), present.ino());
    // One that does not append would go on far behind the end, with nothing before it.
    if !same || !fcntl_getfl(&output)?.contains(OFlags::APPEND) {
        return Ok(false);
    }
    let mut aside = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(former(log))?;
    io::copy(&mut File::open(log)?, &mut aside)?;
    OpenOptions::new().write(true).open(log)?.set_len(0)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn a_log_that_is_written_goes_on_after_what_was_set_aside() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("a.log");
        let mut output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .expect("opens");
        for (line, over, present, aside) in [
            ("one\n", false, "one\n", ""),
            ("two\n", true, "", "one\ntwo\n"),
            ("three\n", false, "three\n", "one\ntwo\n"),
            ("four\n", true, "", "three\nfour\n"),
        ] {
            output.write_all(line.as_bytes()).expect("written");
            assert_eq!(empty(&log, &output, 6).expect("looked at"), over, "{line}");
            let files = (read(&log), read(&former(&log)));
            assert_eq!(files, (present.to_owned(), aside.to_owned()), "{line}");
        }
        let mode = fs::metadata(former(&log)).expect("there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn an_output_that_is_another_file_or_does_not_append_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let (log, other) = (dir.path().join("a.log"), dir.path().join("b.log"));
        fs::write(&log, "long enough").expect("written");
        let mut plain = File::options().write(true).open(&log).expect("opens");
        plain.write_all(b"from the start").expect("written");
        assert!(!empty(&log, &plain, 3).expect("looked at"));
        fs::write(&other, "long enough").expect("written");
        let elsewhere = File::options().append(true).open(&other).expect("opens");
        assert!(!empty(&log, &elsewhere, 3).expect("looked at"));
        assert_eq!(read(&log), "from the start");
        assert!(!former(&log).exists());
    }

    #[test]
    fn a_log_of_the_daemon_before_is_set_aside_where_it_is_too_long() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("a.log");
        assert!(!set_aside(&log, 3).expect("nothing there"));
        fs::write(&log, "old").expect("written");
        assert!(!set_aside(&log, 3).expect("short"));
        fs::write(&log, "older").expect("written");
        assert!(set_aside(&log, 3).expect("long"));
        assert_eq!((log.exists(), &*read(&former(&log))), (false, "older"));
    }
}
