//! Where clients' files and programs are on this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::cli::run::Context;
use crate::connect::{Client, Places, Program, Scope};
use crate::ctl::Fault;
use crate::model::catalogue::{Code, Problem};
use crate::paths::PathError;

/// Where every program looks for others, also one that a desktop started.
const SYSTEM_WIDE: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/bin", "/opt/homebrew/bin"];

/// The home directory.
pub(super) fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}

fn set(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os(name).map(PathBuf::from);
    path.filter(|path| path.is_absolute())
}

/// Where files are, as the environment has it.
pub(super) fn places() -> Result<Places, Fault> {
    let home =
        home().ok_or_else(|| Problem::new(Code::StoreFailed).with("detail", PathError::NoHome))?;
    Ok(Places {
        config: set("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
        claude: set("CLAUDE_CONFIG_DIR"),
        codex: set("CODEX_HOME"),
        project: std::env::current_dir().unwrap_or_default(),
        macos: cfg!(target_os = "macos"),
        home,
    })
}

/// The path as a person writes it.
pub(super) fn shown(path: &Path) -> String {
    let home = home();
    match home
        .as_deref()
        .and_then(|home| path.strip_prefix(home).ok())
    {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

/// Whether a client is here: its command, its file, or the directory that is its alone.
pub(super) fn is_installed(client: Client) -> bool {
    let Ok(places) = places() else {
        return false;
    };
    let file = client.file(Scope::User, &places, Path::exists);
    let traces = file.is_some_and(|file| {
        let directory = file.parent().unwrap_or(&file);
        file.exists() || (directory != places.home && directory.exists())
    });
    traces
        || client
            .facts()
            .program
            .is_some_and(|name| on_path(OsStr::new(name)).next().is_some())
}

/// The programs of this name on `PATH`, first one first.
fn on_path(name: &OsStr) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = std::env::split_paths(&path)
        .filter(|it| it.is_absolute())
        .collect();
    let name = name.to_owned();
    let files = directories
        .into_iter()
        .map(move |directory| directory.join(&name));
    files.filter(|file| file.is_file())
}

/// How another program runs this one, with the daemon that this command talks to.
pub(super) fn program(context: &Context) -> Program {
    let global = &context.global;
    let given = [
        ("--state-dir", &global.state_dir),
        ("--config", &global.config),
        ("--socket", &global.socket),
    ];
    let mut flags = Vec::new();
    for (flag, path) in given {
        if let Some(path) = path {
            flags.push(flag.to_owned());
            flags.push(super::absolute(path).to_string_lossy().into_owned());
        }
    }
    Program {
        command: command(),
        flags,
    }
}

/// The name alone where every program finds it. Else its path on `PATH`, which lives through an
/// update, rather than where it really is.
fn command() -> String {
    let name = OsStr::new("doorward");
    let Ok(this) = std::env::current_exe() else {
        return "doorward".to_owned();
    };
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let is_this = |path: &PathBuf| real(path).is_some() && real(path) == real(&this);
    if SYSTEM_WIDE
        .iter()
        .any(|it| is_this(&Path::new(it).join(name)))
    {
        return "doorward".to_owned();
    }
    let found = on_path(name).find(is_this).unwrap_or(this);
    found.to_string_lossy().into_owned()
}
