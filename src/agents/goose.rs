//! goose: it takes servers as commands, for a session that is given one, and calls each after its
//! program. So every server is a link to this program with the name of the server, and what it
//! does is `bridge`.

use std::ffi::OsString;

use super::{Content, Injection, Server, Surroundings};

pub(super) fn told_of(servers: &[Server], around: &Surroundings<'_>) -> Injection {
    let mut words = around.arguments.iter().map(|word| word.to_str());
    let takes = matches!(words.next(), Some(Some("session" | "s" | "run")));
    // A word that is no flag is a command of its own, such as `session list`.
    let more = words
        .next()
        .is_none_or(|word| word.is_some_and(|it| it.starts_with('-')));
    if !takes || !more {
        return Injection::default();
    }
    let mut injection = Injection {
        behind: 1,
        ..Injection::default()
    };
    for server in servers {
        let link = around.folder.join(&server.name);
        let mut command = quoted(&link.to_string_lossy());
        for word in ["bridge", &server.reference] {
            command += " ";
            command += word;
        }
        for word in around.same_daemon {
            command += " ";
            command += &quoted(&word.to_string_lossy());
        }
        let more: [OsString; 2] = ["--with-extension".into(), command.into()];
        injection.arguments.extend(more);
        let content = Content::Link(around.program.to_owned());
        injection.files.push((link, content));
    }
    injection
}

/// The command is split as shells do, and in older versions at spaces alone, so that only what
/// has to be is quoted.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-@:+".contains(c);
    if word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
