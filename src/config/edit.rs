//! Changes the file of a configuration and nothing in it but what is meant: comments, order and
//! blank lines stay. A file that somebody else changed meanwhile is left alone.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use super::{ConfigError, Inputs, parse};
use crate::model::id::UpstreamName;

/// Why the file was not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It is not a right configuration, before the change.
    #[error("{0}")]
    Config(Box<ConfigError>),
    /// It is right as it is, and would not be with the change.
    #[error("{0}")]
    Unfit(Box<ConfigError>),
    /// There is an upstream of that name already.
    #[error("there is already an upstream called {0}")]
    Exists(UpstreamName),
    /// There is none of that name in the file.
    #[error("{0} is not in the config file")]
    Missing(UpstreamName),
    /// Somebody else wrote to it.
    #[error("{} changed meanwhile", .0.display())]
    Changed(PathBuf),
    /// The operating system refused.
    #[error("{}: {error}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

/// A file while it is changed.
#[derive(Debug)]
pub struct Edition {
    file: PathBuf,
    before: Option<String>,
    document: DocumentMut,
}

impl Edition {
    /// Opens `file`, which need not exist.
    pub fn open(file: &Path) -> Result<Self, EditError> {
        let before = read(file)?;
        let text = before.clone().unwrap_or_default();
        let document = text.parse().map_err(|_| {
            let inputs = Inputs {
                file: file.to_owned(),
                ..Inputs::default()
            };
            match parse(&text, &inputs) {
                Err(error) => EditError::Config(Box::new(error)),
                Ok(_) => EditError::Changed(file.to_owned()),
            }
        })?;
        Ok(Self {
            file: file.to_owned(),
            before,
            document,
        })
    }

    /// Adds an upstream at the end.
    pub fn add(
        &mut self,
        name: &UpstreamName,
        url: &str,
        settings: &[(&str, toml_edit::Value)],
    ) -> Result<(), EditError> {
        let upstreams = self.document.entry("upstreams").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let exists = || EditError::Exists(name.clone());
        let upstreams = upstreams.as_table_like_mut().ok_or_else(exists)?;
        if upstreams.contains_key(name.as_str()) {
            return Err(exists());
        }
        let mut table = Table::new();
        table.insert("url", value(url));
        for (key, setting) in settings {
            table.insert(key, value(setting.clone()));
        }
        if self
            .before
            .as_deref()
            .is_some_and(|text| !text.trim().is_empty())
        {
            table.decor_mut().set_prefix("\n");
        }
        upstreams.insert(name.as_str(), Item::Table(table));
        Ok(())
    }

    /// Takes an upstream out, and the default that names it.
    pub fn remove(&mut self, name: &UpstreamName) -> Result<(), EditError> {
        let missing = || EditError::Missing(name.clone());
        let upstreams = self.upstreams().ok_or_else(missing)?;
        upstreams.remove(name.as_str()).ok_or_else(missing)?;
        if self.default_upstream() == Some(name.as_str()) {
            self.document.remove("default_upstream");
        }
        Ok(())
    }

    /// Switches an upstream on or off.
    pub fn enable(&mut self, name: &UpstreamName, enabled: bool) -> Result<(), EditError> {
        let missing = || EditError::Missing(name.clone());
        let upstream = self
            .upstreams()
            .and_then(|all| all.get_mut(name.as_str()))
            .and_then(Item::as_table_like_mut)
            .ok_or_else(missing)?;
        match upstream.get_mut("enabled").and_then(Item::as_value_mut) {
            Some(old) => {
                let decor = old.decor().clone();
                *old = enabled.into();
                *old.decor_mut() = decor;
            }
            None => {
                upstream.insert("enabled", value(enabled));
            }
        }
        Ok(())
    }

    /// Gives an upstream another name.
    pub fn rename(&mut self, old: &UpstreamName, new: &UpstreamName) -> Result<(), EditError> {
        let upstreams = self
            .upstreams()
            .ok_or_else(|| EditError::Missing(old.clone()))?;
        if upstreams.contains_key(new.as_str()) {
            return Err(EditError::Exists(new.clone()));
        }
        let item = upstreams
            .remove(old.as_str())
            .ok_or_else(|| EditError::Missing(old.clone()))?;
        upstreams.insert(new.as_str(), item);
        if self.default_upstream() == Some(old.as_str()) {
            self.document["default_upstream"] = value(new.as_str());
        }
        self.rename_in_default_grant(old, new);
        Ok(())
    }

    /// New sessions reach what they reached before.
    fn rename_in_default_grant(&mut self, old: &UpstreamName, new: &UpstreamName) {
        let sessions = self.document.get_mut("sessions");
        let granted = sessions
            .and_then(Item::as_table_like_mut)
            .and_then(|table| table.get_mut("default_grant"))
            .and_then(Item::as_array_mut);
        for entry in granted.into_iter().flat_map(toml_edit::Array::iter_mut) {
            let renamed = entry.as_str().and_then(|text| {
                let rest = text.strip_prefix(old.as_str())?;
                (rest.is_empty() || rest.starts_with('@')).then(|| format!("{new}{rest}"))
            });
            if let Some(renamed) = renamed {
                let decor = entry.decor().clone();
                *entry = renamed.into();
                *entry.decor_mut() = decor;
            }
        }
    }

    /// The file as it would be.
    pub fn text(&self) -> String {
        self.document.to_string()
    }

    /// Checks the result as a whole and puts it in the place of the file: all of it or nothing.
    pub fn save(self, inputs: &Inputs) -> Result<(), EditError> {
        let text = self.text();
        if let Err(after) = parse(&text, inputs) {
            // Lines that are not in the file yet are no place to point to.
            let before = parse(self.before.as_deref().unwrap_or_default(), inputs);
            return Err(match before {
                Ok(_) => EditError::Unfit(Box::new(after)),
                Err(before) => EditError::Config(Box::new(before)),
            });
        }
        let io = |error| EditError::Io {
            file: self.file.clone(),
            error,
        };
        // A link is followed, so that a file kept elsewhere stays where it is.
        let target = fs::canonicalize(&self.file).unwrap_or_else(|_| self.file.clone());
        let dir = target.parent().unwrap_or(Path::new("."));
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(io)?;
        let mode = fs::metadata(&target).map_or(0o600, |facts| facts.permissions().mode());
        let mut new = tempfile::NamedTempFile::new_in(dir).map_err(io)?;
        new.write_all(text.as_bytes()).map_err(io)?;
        let permissions = fs::Permissions::from_mode(mode & 0o777);
        new.as_file().set_permissions(permissions).map_err(io)?;
        new.as_file().sync_all().map_err(io)?;
        if read(&self.file)? != self.before {
            return Err(EditError::Changed(self.file));
        }
        new.persist(&target).map_err(|error| io(error.error))?;
        // The new name is durable only once the directory is.
        File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)
    }

    fn upstreams(&mut self) -> Option<&mut dyn TableLike> {
        self.document.get_mut("upstreams")?.as_table_like_mut()
    }

    fn default_upstream(&self) -> Option<&str> {
        self.document.get("default_upstream")?.as_str()
    }
}

fn read(file: &Path) -> Result<Option<String>, EditError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EditError::Io {
            file: file.to_owned(),
            error,
        }),
    }
}
