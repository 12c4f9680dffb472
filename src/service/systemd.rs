//! systemd: a socket unit that holds the address whatever happens to the daemon, and a service
//! unit (`systemd.socket(5)`, `systemd.service(5)`).
//!
//! Of the hardening only what needs no namespace is used: a user manager can make those only where
//! the system lets everybody, and in one of its own the daemon would not see the processes that
//! sessions are bound to.

use std::path::{Path, PathBuf};

use super::{BEYOND_DRAIN, Service, ServiceFile, Step};

/// Where the units of a user are.
pub fn directory(home: &Path, config_home: Option<&Path>) -> PathBuf {
    let config = config_home.map_or_else(|| home.join(".config"), Path::to_owned);
    config.join("systemd/user")
}

/// The units of `service`.
pub fn files(service: &Service) -> [ServiceFile; 2] {
    let Service { name, address, .. } = service;
    let program = quoted(&service.program.to_string_lossy());
    let flags: Vec<_> = service.flags.iter().map(|flag| quoted(flag)).collect();
    let flags = flags.join(" ");
    let socket = escaped(&service.socket.to_string_lossy());
    let log = escaped(&service.log.to_string_lossy());
    let stop = (service.drain + BEYOND_DRAIN).as_secs();
    [
        ServiceFile {
            name: format!("{name}.socket"),
            text: format!(
                "[Unit]\n\
                 Description=doorward, the address that agents use\n\
                 \n\
                 [Socket]\n\
                 ListenStream={address}\n\
                 ListenStream={socket}\n\
                 SocketMode=0600\n\
                 DirectoryMode=0700\n\
                 Backlog=2048\n\
                 \n\
                 [Install]\n\
                 WantedBy=sockets.target\n"
            ),
        },
        ServiceFile {
            name: format!("{name}.service"),
            text: format!(
                "[Unit]\n\
                 Description=doorward, sign-ins for agents\n\
                 Requires={name}.socket\n\
                 After={name}.socket\n\
                 \n\
                 [Service]\n\
                 Type=notify\n\
                 ExecStart={program} {flags} serve --log-format json\n\
                 ExecReload={program} {flags} ctl reload\n\
                 StandardError=append:{log}\n\
                 Restart=on-failure\n\
                 # A mistake in the configuration is not mended by another start.\n\
                 RestartPreventExitStatus=7\n\
                 # The keyring may ask a person.\n\
                 TimeoutStartSec=90\n\
                 # Running calls get their time, and refreshes are waited for.\n\
                 TimeoutStopSec={stop}\n\
                 UMask=0077\n\
                 LimitCORE=0\n\
                 NoNewPrivileges=yes\n\
                 LockPersonality=yes\n\
                 RestrictRealtime=yes\n\
                 RestrictSUIDSGID=yes\n\
                 \n\
                 [Install]\n\
                 WantedBy=default.target\n"
            ),
        },
    ]
}

fn systemctl<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Step {
    Step::new("systemctl", ["--user"].into_iter().chain(arguments))
}

/// Tells whether the manager of this user can be asked.
pub fn reachable() -> Step {
    systemctl(["show-environment"])
}

/// Makes the manager read its files again.
pub fn reread() -> Step {
    systemctl(["daemon-reload"])
}

/// Starts the service now, and with every session of the user.
pub fn enable(name: &str) -> Step {
    let [socket, service] = units(name);
    systemctl(["enable", "--now", &socket, &service])
}

/// The opposite.
pub fn disable(name: &str) -> Step {
    let [socket, service] = units(name);
    systemctl(["disable", "--now", &socket, &service])
}

/// Starts the service, and holds its sockets.
pub fn start(name: &str) -> Step {
    let [socket, service] = units(name);
    systemctl(["start", &socket, &service])
}

/// Stops the service, and closes its sockets.
pub fn stop(name: &str) -> Step {
    let [socket, service] = units(name);
    systemctl(["stop", &socket, &service])
}

/// Starts another daemon in the place of the one that runs; the sockets stay open.
pub fn restart(name: &str) -> Step {
    systemctl(["restart", &units(name)[1]])
}

/// Tells whether the service runs: exit code 0.
pub fn running(name: &str) -> Step {
    systemctl(["is-active", "--quiet", &units(name)[1]])
}

fn units(name: &str) -> [String; 2] {
    [format!("{name}.socket"), format!("{name}.service")]
}

/// `text` without the specifiers of systemd.
fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}

/// `text` as one word of a command line of systemd, without its variables.
fn quoted(text: &str) -> String {
    let text = escaped(text).replace('$', "$$");
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@=,%$".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    let text = text.replace('\\', r"\\").replace('"', "\\\"");
    format!("\"{text}\"")
}
