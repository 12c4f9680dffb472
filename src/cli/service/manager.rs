//! The service manager of this user: what it is asked, and what it says.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;

use crate::cli::run::Context;
use crate::ctl::Fault;
use crate::model::catalogue::{Code, Problem};
use crate::service::{self, Service, ServiceFile, Step, launchd, systemd};

/// Which one there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Systemd,
    Launchd { user: u32 },
}

/// The service manager of this user, and the service of this daemon there.
pub(in crate::cli) struct Manager {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) directory: PathBuf,
}

impl Manager {
    pub(super) fn of(context: &Context) -> Result<Self, Fault> {
        let home = std::env::home_dir().ok_or_else(|| failed(&"no home directory is known"))?;
        let name = service::name(
            context
                .global
                .state_dir
                .is_some()
                .then_some(context.paths.state_dir.as_path()),
        );
        if cfg!(target_os = "macos") {
            let user = rustix::process::getuid().as_raw();
            return Ok(Self {
                kind: Kind::Launchd { user },
                name,
                directory: launchd::directory(&home),
            });
        }
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let config = config.filter(|path| path.is_absolute());
        Ok(Self {
            kind: Kind::Systemd,
            name,
            directory: systemd::directory(&home, config.as_deref()),
        })
    }

    pub(super) fn files(&self, service: &Service) -> Vec<ServiceFile> {
        match self.kind {
            Kind::Systemd => systemd::files(service).into(),
            Kind::Launchd { .. } => vec![launchd::file(service)],
        }
    }

    pub(super) fn file_names(&self) -> Vec<String> {
        match self.kind {
            Kind::Systemd => vec![
                format!("{}.socket", self.name),
                format!("{}.service", self.name),
            ],
            Kind::Launchd { .. } => vec![format!("{}.plist", launchd::label(&self.name))],
        }
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let names = self.file_names().into_iter();
        names.map(|name| self.directory.join(name))
    }

    pub(super) fn plist(&self) -> PathBuf {
        self.paths().next().expect("there is always one file")
    }

    pub(super) fn is_installed(&self) -> bool {
        self.paths().all(|path| path.exists())
    }

    pub(super) fn installed(&self) -> Result<(), Fault> {
        if self.is_installed() {
            return Ok(());
        }
        Err(Problem::new(Code::NotFound)
            .because("no service is installed for this daemon")
            .next_step("doorward service install")
            .into())
    }

    pub(super) fn reachable(&self) -> Step {
        match self.kind {
            Kind::Systemd => systemd::reachable(),
            Kind::Launchd { user } => launchd::reachable(user),
        }
    }

    pub(super) fn enable(&self) -> Vec<Step> {
        match self.kind {
            Kind::Systemd => vec![systemd::reread(), systemd::enable(&self.name)],
            Kind::Launchd { user } => vec![launchd::load(user, &self.plist())],
        }
    }

    pub(super) fn start(&self) -> Step {
        match self.kind {
            Kind::Systemd => systemd::start(&self.name),
            Kind::Launchd { user } => launchd::load(user, &self.plist()),
        }
    }

    pub(super) fn stop(&self) -> Step {
        match self.kind {
            Kind::Systemd => systemd::stop(&self.name),
            Kind::Launchd { user } => launchd::unload(user, &self.name),
        }
    }

    pub(super) fn disable(&self) -> Step {
        match self.kind {
            Kind::Systemd => systemd::disable(&self.name),
            Kind::Launchd { user } => launchd::unload(user, &self.name),
        }
    }

    pub(super) fn restart(&self) -> Step {
        match self.kind {
            Kind::Systemd => systemd::restart(&self.name),
            Kind::Launchd { user } => launchd::restart(user, &self.name),
        }
    }

    pub(super) async fn is_running(&self) -> bool {
        let step = match self.kind {
            Kind::Systemd => systemd::running(&self.name),
            Kind::Launchd { user } => launchd::loaded(user, &self.name),
        };
        said(&step).await.is_ok_and(|(worked, _)| worked)
    }

    /// Refuses where the manager cannot be asked, and says what can be done without it.
    pub(super) async fn answers(&self) -> Result<(), Fault> {
        let step = self.reachable();
        let why = match said(&step).await {
            Ok((true, _)) => return Ok(()),
            Ok((false, why)) => why,
            Err(error) => error.to_string(),
        };
        let how = match self.kind {
            Kind::Systemd => {
                "; over ssh you get one by: sudo loginctl enable-linger $USER, and another login"
            }
            Kind::Launchd { .. } => "",
        };
        Err(Problem::new(Code::ServiceFailed)
            .because(format!(
                "`{step}`: no service manager of this user answers: {why}{how}"
            ))
            .next_step("doorward up")
            .into())
    }

    pub(super) async fn tell(&self, step: &Step) -> Result<(), Fault> {
        match said(step).await {
            Ok((true, _)) => Ok(()),
            Ok((false, why)) => Err(failed(&format!("`{step}`: {why}"))),
            Err(error) => Err(failed(&format!("`{step}`: {error}"))),
        }
    }
}

/// Runs a step; whether it worked, and what it said.
async fn said(step: &Step) -> io::Result<(bool, String)> {
    let output = tokio::process::Command::new(step.program)
        .args(&step.arguments)
        .stdin(Stdio::null())
        .output()
        .await?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let said = match said.lines().last() {
        None => format!("it ended with {}", output.status),
        Some(line) => line.to_owned(),
    };
    Ok((output.status.success(), said))
}

/// The fault that the manager did not do it.
pub(super) fn failed(detail: &dyn std::fmt::Display) -> Fault {
    Problem::new(Code::ServiceFailed)
        .with("detail", detail)
        .into()
}
