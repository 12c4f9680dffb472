//! The configuration: read from a file, the environment and flags, checked as a whole, and then
//! right by construction. Nothing here reads the environment or a file by itself, save [`load`].

mod added;
mod changes;
mod check;
mod edit;
mod env;
mod kinds;
mod mistake;
mod proxy;
mod raw;
mod read;
mod redirect;
#[cfg(test)]
mod tests;
mod types;
mod unattended;
mod upstream;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub use added::{NewProvider, NewUpstream, NoPlace};
pub use changes::{Change, Changes};
pub use edit::{EditError, Edition};
pub use mistake::{ConfigError, Mistake, Place, Position};
pub use proxy::Proxy;
pub use redirect::{LandingPlan, landing, pages_of, redirect_uri};
pub use types::*;
pub use unattended::*;
pub use upstream::*;

use crate::model::catalogue::Code;

/// What a configuration is made of.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The file; it need not exist unless it was named by a person.
    pub file: PathBuf,
    /// Whether a person named the file.
    pub named: bool,
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// The command line.
    pub flags: Flags,
}

impl Inputs {
    /// `file` and the environment of this process.
    pub fn of_process(file: PathBuf, named: bool) -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            file,
            named,
            variables,
            flags: Flags::default(),
        }
    }
}

/// Settings from the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--bind`
    pub bind: Option<IpAddr>,
    /// `--port`
    pub port: Option<u16>,
    /// `--upstream`, by name.
    pub upstreams: Vec<(String, String)>,
}

/// A configuration and where its parts came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Every key with its value and source.
    pub settings: Vec<Setting>,
    /// What a person should be told once.
    pub warnings: Vec<String>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name from the top of the file.
    pub key: String,
    /// Its value as it would be written.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything else.
    Default,
    /// The file, at this byte.
    File {
        /// Where the value begins.
        at: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag.
    Flag(&'static str),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.pad("default"),
            Self::File { .. } => f.pad("config"),
            Self::Variable(name) => f.pad(&format!("env {name}")),
            Self::Flag(name) => f.pad(&format!("flag {name}")),
        }
    }
}

/// Reads the file and makes a configuration of it.
pub fn load(inputs: &Inputs) -> Result<Loaded, ConfigError> {
    let text = match std::fs::read_to_string(&inputs.file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !inputs.named => String::new(),
        Err(error) => return Err(unreadable(&inputs.file, &error)),
    };
    parse(&text, inputs)
}

/// Makes a configuration of the text of a file.
pub fn parse(text: &str, inputs: &Inputs) -> Result<Loaded, ConfigError> {
    let report = read::Report::default();
    let mut environment_only = false;
    let mut config = Config::default();
    match raw::parse(text) {
        Err(wrong) => {
            for raw::NotToml { span, message } in wrong {
                let origin = raw::Origin::File(span);
                let wrong = read::Wrong::new("", message);
                report.mistake(&origin, "this is not TOML".to_owned(), wrong);
            }
        }
        Ok(mut tree) => {
            let variables = &inputs.variables;
            environment_only = env::overlay(&mut tree, variables, &inputs.flags, &report);
            config = check::config(&tree, variables, environment_only, &report);
        }
    }
    config.environment_only = environment_only;
    let mut mistakes = report.mistakes.into_inner();
    if mistakes.is_empty() {
        return Ok(Loaded {
            config,
            settings: report.settings.into_inner(),
            warnings: report.warnings.into_inner(),
        });
    }
    mistakes.sort_by_key(|mistake| match &mistake.place {
        Place::File(span) => span.start,
        Place::Variable(_) | Place::Flag(_) | Place::Whole => usize::MAX,
    });
    Err(ConfigError {
        file: inputs.file.clone(),
        text: text.to_owned(),
        mistakes,
    })
}

fn unreadable(file: &Path, error: &io::Error) -> ConfigError {
    ConfigError {
        file: file.to_owned(),
        text: String::new(),
        mistakes: vec![Mistake {
            place: Place::Whole,
            message: "the config cannot be read".to_owned(),
            note: error.to_string(),
            help: None,
            code: Code::ConfigInvalid,
        }],
    }
}
