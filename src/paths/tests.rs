use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};

use super::*;
use crate::model::time::Timestamp;

fn environment(pairs: &[(&str, &Path)]) -> Environment {
    pairs.iter().copied().collect()
}

fn in_dir(dir: &Path) -> Paths {
    Paths::resolve(Some(dir), &Environment::default()).expect("a path")
}

fn private_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    chmod(dir.path(), 0o700);
    dir
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
}

fn info(paths: &Paths) -> DaemonInfo {
    DaemonInfo {
        pid: 4711,
        version: "0.1.0".into(),
        base_url: "http://127.0.0.1:5177".into(),
        socket: paths.socket.clone(),
        started: Timestamp::from_millis(5),
    }
}

#[test]
fn a_state_directory_asked_for_by_name_holds_everything() {
    let asked = Path::new("/srv/dw");
    let home = Path::new("/home/u");
    let by_variable = environment(&[("HOME", home), ("DOORWARD_STATE_DIR", asked)]);
    for paths in [
        Paths::resolve(None, &by_variable).expect("a path"),
        Paths::resolve(Some(asked), &environment(&[("HOME", home)])).expect("a path"),
    ] {
        let Paths {
            state_dir,
            socket,
            lock,
            daemon,
            store,
            key,
            config,
            log,
            connections,
            note,
        } = paths;
        assert_eq!(state_dir, asked);
        assert_eq!(note, None);
        for file in [socket, lock, daemon, store, key, config, log, connections] {
            assert_eq!(file.parent(), Some(asked), "{}", file.display());
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_platform_directories_follow_the_environment() {
    let runtime = private_dir();
    let paths = Paths::resolve(
        None,
        &environment(&[
            ("HOME", Path::new("/home/u")),
            ("XDG_RUNTIME_DIR", runtime.path()),
            ("XDG_CONFIG_HOME", Path::new("relative/is/ignored")),
        ]),
    )
    .expect("a path");
    assert_eq!(
        paths.store,
        Path::new("/home/u/.local/state/doorward/store.redb")
    );
    assert_eq!(
        paths.config,
        Path::new("/home/u/.config/doorward/config.toml")
    );
    assert_eq!(paths.socket, runtime.path().join("doorward/doorward.sock"));
}

#[test]
fn without_a_home_nothing_is_guessed() {
    assert_eq!(
        Paths::resolve(None, &Environment::default()),
        Err(PathError::NoHome)
    );
}

#[test]
fn a_client_without_the_runtime_variable_finds_the_socket() {
    let home = private_dir();
    let runtime = private_dir();
    let only_home = environment(&[("HOME", home.path())]);
    let client = Paths::resolve(None, &only_home).expect("a path");
    let daemon = Paths {
        socket: runtime.path().join("doorward/doorward.sock"),
        ..client.clone()
    };
    let lock = InstanceLock::acquire(&daemon).expect("free");
    let _listener = lock.bind_socket().expect("a socket");
    lock.announce(&info(&daemon)).expect("written");
    assert_eq!(client.find_socket(), daemon.socket);
    assert_eq!(mode(&daemon.daemon), 0o600);
}

#[test]
fn a_state_path_too_long_for_a_socket_gets_a_short_one_and_says_so() {
    let base = private_dir();
    let long = base.path().join("d".repeat(120));
    let paths = in_dir(&long);
    assert!(paths.socket.as_os_str().len() <= SOCKET_PATH_MAX);
    assert!(paths.note.as_ref().is_some_and(|n| n.contains("too long")));
    assert_eq!(paths.socket, in_dir(&long).socket);
    assert_ne!(
        paths.socket,
        in_dir(&base.path().join("e".repeat(120))).socket
    );

    let lock = InstanceLock::acquire(&paths).expect("free");
    let listener = lock.bind_socket().expect("a socket");
    let dir = paths.socket.parent().expect("has one").to_owned();
    assert_eq!((mode(&dir), mode(&paths.socket)), (0o700, 0o600));
    UnixStream::connect(paths.find_socket()).expect("somebody listens");
    drop((listener, lock));
    assert!(!paths.socket.exists());
    fs::remove_dir(dir).expect("empty");
}

#[test]
fn se_per_os_user_state_directories_are_closed_and_foreign_ones_refused() {
    let base = private_dir();
    let paths = in_dir(&base.path().join("a/b"));
    paths.prepare().expect("made");
    assert_eq!(mode(&paths.state_dir), 0o700);

    chmod(&paths.state_dir, 0o755);
    paths.prepare().expect("empty, so closed");
    assert_eq!(mode(&paths.state_dir), 0o700);

    fs::write(paths.state_dir.join("thesis.txt"), "mine").expect("written");
    chmod(&paths.state_dir, 0o755);
    let refused = PathError::Exposed {
        path: paths.state_dir.clone(),
        mode: 0o755,
        directory: true,
    };
    assert_eq!(paths.prepare(), Err(refused));
    assert_eq!(mode(&paths.state_dir), 0o755, "left as it was");
}

#[test]
fn an_own_directory_is_closed_again_unless_others_could_write_into_it() {
    let base = private_dir();
    let paths = in_dir(&base.path().join("state"));
    drop(InstanceLock::acquire(&paths).expect("free"));
    chmod(&paths.state_dir, 0o750);
    paths.prepare().expect("ours");
    assert_eq!(mode(&paths.state_dir), 0o700);
    chmod(&paths.state_dir, 0o770);
    assert!(matches!(paths.prepare(), Err(PathError::Exposed { .. })));
}

#[test]
fn ls_single_instance_lock() {
    let base = private_dir();
    let paths = in_dir(base.path());
    let lock = InstanceLock::acquire(&paths).expect("free");
    lock.announce(&info(&paths)).expect("written");
    assert_eq!(DaemonInfo::read(&paths), Some(info(&paths)));
    assert_eq!(
        InstanceLock::acquire(&paths).map(drop),
        Err(PathError::Running { pid: Some(4711) })
    );
    drop(lock);
    assert_eq!(DaemonInfo::read(&paths), None);
    InstanceLock::acquire(&paths).expect("free again");
}

#[test]
fn what_a_killed_daemon_left_does_not_block_a_start() {
    let base = private_dir();
    let paths = in_dir(base.path());
    fs::write(&paths.daemon, r#"{"pid":1}"#).expect("written");
    create_private(&paths.lock).expect("made");
    drop(UnixListener::bind(&paths.socket).expect("bound"));
    assert!(paths.socket.exists());

    let lock = InstanceLock::acquire(&paths).expect("nobody holds it");
    let _listener = lock.bind_socket().expect("stale one removed");
    UnixStream::connect(&paths.socket).expect("somebody listens");
}

#[test]
fn ls_single_instance_lock_a_socket_that_somebody_listens_on_is_kept() {
    let base = private_dir();
    let first = in_dir(&base.path().join("one"));
    let second = Paths {
        socket: first.socket.clone(),
        ..in_dir(&base.path().join("two"))
    };
    let holder = InstanceLock::acquire(&first).expect("free");
    let _listener = holder.bind_socket().expect("a socket");
    let other = InstanceLock::acquire(&second).expect("another lock");
    assert_eq!(
        other.bind_socket().map(drop),
        Err(PathError::Running { pid: None })
    );
    drop(other);
    UnixStream::connect(&first.socket).expect("still there");
}

#[test]
fn a_file_in_the_place_of_the_socket_is_kept() {
    let base = private_dir();
    let paths = in_dir(base.path());
    fs::write(&paths.socket, "something").expect("written");
    let lock = InstanceLock::acquire(&paths).expect("free");
    assert!(matches!(
        lock.bind_socket().map(drop),
        Err(PathError::Unexpected { .. })
    ));
    drop(lock);
    assert!(paths.socket.exists());
}

#[test]
fn private_files_are_replaced_whole_and_exposed_ones_refused() {
    let base = private_dir();
    let file = base.path().join("key");
    refuse_exposed(&file).expect("nothing there is fine");
    fs::write(&file, "old").expect("written");
    chmod(&file, 0o644);
    assert!(matches!(
        refuse_exposed(&file),
        Err(PathError::Exposed { mode: 0o644, .. })
    ));
    write_private(&file, b"new").expect("written");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(fs::read(&file).expect("there"), b"new");
    refuse_exposed(&file).expect("closed now");
}
