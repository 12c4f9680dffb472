//! `service`: has the service manager of this user keep the daemon running.

use std::io;
use std::path::Path;

use serde_json::json;

use super::arguments::ServiceCommand;
use super::run::Context;
use super::start;
use crate::ctl::{Fault, Outcome};
use crate::service::{Service, systemd};

mod manager;

use manager::{Kind, Manager, failed};

/// The exit codes of `service status`.
const STOPPED: u8 = 3;
const NOT_INSTALLED: u8 = 5;

/// `service …`
pub(super) async fn run(context: &Context, command: ServiceCommand) -> Outcome {
    let manager = Manager::of(context)?;
    match command {
        ServiceCommand::Print => print(context, &manager),
        ServiceCommand::Install(asked) if asked.dry_run => print(context, &manager),
        ServiceCommand::Install(_) => install(context, &manager).await,
        ServiceCommand::Uninstall => uninstall(context, &manager).await,
        ServiceCommand::Start => {
            manager.installed()?;
            start_in_place(context, &manager).await?;
            Ok(done(context, "doorward runs"))
        }
        ServiceCommand::Stop => {
            manager.installed()?;
            manager.tell(&manager.stop()).await?;
            Ok(done(context, "doorward has stopped"))
        }
        ServiceCommand::Restart => {
            manager.installed()?;
            restart(context, &manager).await?;
            Ok(done(context, "doorward has restarted"))
        }
        ServiceCommand::Status => status(context, &manager).await,
    }
}

/// The service manager of this user, if a service of this daemon is installed there.
pub(super) fn installed(context: &Context) -> Option<Manager> {
    let manager = Manager::of(context).ok()?;
    manager.is_installed().then_some(manager)
}

/// The daemon as the manager is to run it.
fn service(context: &Context, manager: &Manager) -> Result<Service, Fault> {
    let server = start::load(context)?.config.server;
    if server.port == 0 {
        return Err(failed(
            &"`server.port` is 0; agents need an address that stays, such as 5177",
        ));
    }
    let paths = &context.paths;
    let flags = [
        ("--state-dir", &paths.state_dir),
        ("--config", &paths.config),
        ("--socket", &paths.socket),
    ];
    let flags = flags
        .into_iter()
        .flat_map(|(flag, path)| [flag.to_owned(), path.to_string_lossy().into_owned()]);
    Ok(Service {
        name: manager.name.clone(),
        program: std::env::current_exe().map_err(|error| failed(&error))?,
        flags: flags.collect(),
        address: (server.bind, server.port).into(),
        socket: paths.socket.clone(),
        log: paths.log.clone(),
        drain: server.drain,
    })
}

fn print(context: &Context, manager: &Manager) -> Outcome {
    let files = manager.files(&service(context, manager)?);
    let screen = &context.ctl.screen;
    if screen.format().is_json() {
        let files = files
            .iter()
            .map(|file| json!({ "file": manager.directory.join(&file.name), "text": file.text }));
        let files: Vec<_> = files.collect();
        screen.json(&json!({ "schema": "doorward/service-files/v1", "items": files }));
        return Ok(0);
    }
    for (number, file) in files.iter().enumerate() {
        if number > 0 {
            screen.out("");
        }
        screen.out(format!(
            "# {}",
            manager.directory.join(&file.name).display()
        ));
        screen.out(file.text.trim_end());
    }
    Ok(0)
}

async fn install(context: &Context, manager: &Manager) -> Outcome {
    let files = manager.files(&service(context, manager)?);
    manager.answers().await?;
    context.paths.prepare().map_err(|error| failed(&error))?;
    // What runs already holds the address.
    if !manager.is_running().await {
        start::stop(context).await?;
    }
    let written = |path: &Path, error: io::Error| failed(&format!("{}: {error}", path.display()));
    std::fs::create_dir_all(&manager.directory)
        .map_err(|error| written(&manager.directory, error))?;
    for file in &files {
        let path = manager.directory.join(&file.name);
        std::fs::write(&path, &file.text).map_err(|error| written(&path, error))?;
    }
    for step in manager.enable() {
        manager.tell(&step).await?;
    }
    let screen = &context.ctl.screen;
    if !screen.format().is_json() {
        for path in manager.paths() {
            screen.out(format!("{} Wrote {}", screen.tick(), path.display()));
        }
        screen.say(screen.spell("its log: doorward logs"));
        if manager.kind == Kind::Systemd {
            screen
                .say("it ends with your last login; to keep it: sudo loginctl enable-linger $USER");
        }
    }
    status(context, manager).await
}

async fn uninstall(context: &Context, manager: &Manager) -> Outcome {
    if manager.paths().all(|path| !path.exists()) {
        manager.installed()?;
    }
    manager.answers().await?;
    let stopped = manager.tell(&manager.disable()).await;
    if let (Err(fault), Kind::Systemd) = (stopped, manager.kind) {
        return Err(fault);
    }
    for path in manager.paths() {
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&format!("{}: {error}", path.display()))),
        }
    }
    if manager.kind == Kind::Systemd {
        manager.tell(&systemd::reread()).await?;
    }
    Ok(done(
        context,
        "The service is gone; sign-ins and sessions are kept",
    ))
}

/// Starts the service, in the place of a daemon that somebody started without it.
pub(super) async fn start_in_place(context: &Context, manager: &Manager) -> Result<(), Fault> {
    manager.answers().await?;
    if !manager.is_running().await {
        start::stop(context).await?;
    }
    manager.tell(&manager.start()).await
}

/// Has the service run this program from now on.
pub(super) async fn restart(context: &Context, manager: &Manager) -> Result<(), Fault> {
    if !manager.is_running().await {
        return start_in_place(context, manager).await;
    }
    manager.tell(&manager.restart()).await
}

/// Has the manager close the sockets too, after a stop: somebody who knocks would start the
/// service again.
pub(super) async fn let_go(context: &Context) {
    if let Some(manager) = installed(context)
        && manager.kind == Kind::Systemd
    {
        // One that cannot be asked holds no sockets either.
        let _ = manager.tell(&manager.stop()).await;
    }
}

async fn status(context: &Context, manager: &Manager) -> Outcome {
    let (installed, running) = (manager.is_installed(), manager.is_running().await);
    let (state, code) = match (installed, running) {
        (false, _) => ("not installed", NOT_INSTALLED),
        (true, false) => ("stopped", STOPPED),
        (true, true) => ("running", 0),
    };
    let screen = &context.ctl.screen;
    if screen.format().is_json() {
        let files: Vec<_> = manager.paths().collect();
        screen.json(&json!({
            "schema": "doorward/service/v1",
            "name": manager.name,
            "installed": installed,
            "running": running,
            "files": files,
        }));
    } else {
        screen.out(format!("{}: {state}", manager.name));
        if !installed {
            screen.say(screen.spell("install it: doorward service install"));
        }
    }
    Ok(code)
}

fn done(context: &Context, said: &str) -> u8 {
    let screen = &context.ctl.screen;
    if screen.format().is_json() {
        screen.json(&json!({ "schema": "doorward/service-done/v1", "done": said }));
    } else {
        screen.out(format!("{} {said}", screen.tick()));
    }
    0
}
