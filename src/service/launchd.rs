//! launchd: an agent of the user (`launchd.plist(5)`). Its sockets are the daemon's own: launchd
//! gives those of a plist away only through a call that needs `unsafe`.

use std::path::{Path, PathBuf};

use super::{BEYOND_DRAIN, Service, ServiceFile, Step};

/// Where the agents of a user are.
pub fn directory(home: &Path) -> PathBuf {
    home.join("Library/LaunchAgents")
}

/// What launchd calls the service.
pub fn label(name: &str) -> String {
    format!("dev.{name}")
}

/// The agent of `service`.
pub fn file(service: &Service) -> ServiceFile {
    let label = label(&service.name);
    let program = service.program.to_string_lossy();
    let words = [program.as_ref()]
        .into_iter()
        .chain(service.flags.iter().map(String::as_str))
        .chain(["serve", "--log-format", "json"]);
    let words: Vec<_> = words
        .map(|word| format!("    <string>{}</string>\n", escaped(word)))
        .collect();
    let words = words.concat();
    let log = escaped(&service.log.to_string_lossy());
    let stop = (service.drain + BEYOND_DRAIN).as_secs();
    ServiceFile {
        name: format!("{label}.plist"),
        text: format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>{label}</string>
  <key>ProgramArguments</key>
  <array>
{words}  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ProcessType</key>
  <string>Interactive</string>
  <key>ExitTimeOut</key>
  <integer>{stop}</integer>
  <key>Umask</key>
  <integer>63</integer>
  <key>StandardErrorPath</key>
  <string>{log}</string>
</dict>
</plist>
"#
        ),
    }
}

fn launchctl<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Step {
    Step::new("launchctl", arguments)
}

fn target(user: u32, name: &str) -> String {
    format!("gui/{user}/{}", label(name))
}

/// Tells whether launchd keeps a session for this user.
pub fn reachable(user: u32) -> Step {
    launchctl(["print", &format!("gui/{user}")])
}

/// Starts the service now, and at every login.
pub fn load(user: u32, plist: &Path) -> Step {
    launchctl([
        "bootstrap",
        &format!("gui/{user}"),
        &plist.to_string_lossy(),
    ])
}

/// The opposite.
pub fn unload(user: u32, name: &str) -> Step {
    launchctl(["bootout", &target(user, name)])
}

/// Starts another daemon in the place of the one that runs.
pub fn restart(user: u32, name: &str) -> Step {
    launchctl(["kickstart", "-k", &target(user, name)])
}

/// Tells whether the service is loaded: exit code 0.
pub fn loaded(user: u32, name: &str) -> Step {
    launchctl(["print", &target(user, name)])
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
