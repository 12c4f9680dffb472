//! Opens a page in the person's browser. `$BROWSER` is honoured the way xdg-open does it: several
//! commands between colons, `%s` for the address. No shell is involved, so that an address can
//! never become a command.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Whether a browser was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It was.
    Yes,
    /// There is none here, or none was wanted.
    No,
}

/// Opens `url` with the command of the configuration, if there is one, else with `$BROWSER`, else
/// with the browser of the desktop.
pub fn open(url: &str, configured: Option<&str>) -> Opened {
    match configured {
        Some("none") => return Opened::No,
        None | Some("default") => {}
        Some(command) => return start(&words(command, url)),
    }
    match std::env::var("BROWSER") {
        Ok(list) if !list.trim().is_empty() => from_list(&list, url),
        _ if is_headless() => Opened::No,
        _ => match webbrowser::open(url) {
            Ok(()) => Opened::Yes,
            Err(_) => Opened::No,
        },
    }
}

/// Whether no browser can show a window here.
pub fn is_headless() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let display = set("DISPLAY") || set("WAYLAND_DISPLAY");
    !display && (cfg!(not(target_os = "macos")) || set("SSH_CONNECTION"))
}

fn from_list(list: &str, url: &str) -> Opened {
    let commands = list.split(':').filter(|command| !command.trim().is_empty());
    commands
        .map(|command| start(&words(command, url)))
        .find(|opened| *opened == Opened::Yes)
        .unwrap_or(Opened::No)
}

/// The words of a command, with the address in its place, or at the end.
fn words(command: &str, url: &str) -> Vec<String> {
    let mut placed = false;
    let mut words: Vec<String> = command
        .split_whitespace()
        .map(|word| {
            placed |= word.contains("%s") || word.contains("{url}");
            word.replace("%s", url).replace("{url}", url)
        })
        .collect();
    if !placed {
        words.push(url.to_owned());
    }
    words
}

fn start(words: &[String]) -> Opened {
    let Some((program, arguments)) = words.split_first() else {
        return Opened::No;
    };
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    match started {
        Ok(_) => Opened::Yes,
        Err(_) => Opened::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_takes_its_place_or_the_end() {
        let url = "http://127.0.0.1:5177/login/linear?t=K7QF&x=;rm";
        assert_eq!(words("firefox", url), ["firefox", url]);
        assert_eq!(words("open -a Safari", url), ["open", "-a", "Safari", url]);
        assert_eq!(
            words("firefox --new %s -x", url),
            ["firefox", "--new", url, "-x"]
        );
        assert_eq!(words("b {url}", url), ["b", url]);
    }

    #[test]
    fn a_browser_that_is_not_there_gives_way_to_the_next() {
        assert_eq!(
            from_list("/nonexistent/a:/nonexistent/b %s", "x"),
            Opened::No
        );
        assert_eq!(from_list("/nonexistent/a:true %s", "x"), Opened::Yes);
    }
}
