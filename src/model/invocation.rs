//! How a person calls this program: with the flags that name one daemon among several, a command
//! in a message has to carry them, or it does something else than the message says.

use std::path::Path;

/// The flags that a command in a message needs to reach the daemon that the message is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    flags: String,
    commands: Vec<String>,
}

impl Invocation {
    /// `flags` are the names of options and the paths they were given; `commands` the first words
    /// of the commands that take them.
    pub fn new<'a>(
        flags: impl IntoIterator<Item = (&'a str, &'a Path)>,
        commands: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut text = String::new();
        for (flag, path) in flags {
            text.push_str(flag);
            text.push(' ');
            text.push_str(&quoted(&path.to_string_lossy()));
            text.push(' ');
        }
        Self {
            flags: text,
            commands: commands.into_iter().collect(),
        }
    }

    /// `text` with the flags in every command of this program that it names. A command that has
    /// flags already, and the name of the program in a sentence, stay as they are.
    pub fn spell(&self, text: &str) -> String {
        const PROGRAM: &str = "doorward ";
        if self.flags.is_empty() {
            return text.to_owned();
        }
        let mut spelled = String::with_capacity(text.len() + self.flags.len());
        let mut rest = text;
        while let Some(at) = rest.find(PROGRAM) {
            let (before, after) = rest.split_at(at + PROGRAM.len());
            spelled.push_str(before);
            let own_word = !before[..at].ends_with(|c: char| c.is_alphanumeric() || c == '/');
            if own_word && self.begins_with_command(after) {
                spelled.push_str(&self.flags);
            }
            rest = after;
        }
        spelled.push_str(rest);
        spelled
    }

    fn begins_with_command(&self, text: &str) -> bool {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let word = &text[..end.unwrap_or(text.len())];
        self.commands.iter().any(|command| command == word)
    }
}

/// A word, or a path, as a shell reads it back.
pub fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(path: &str) -> Invocation {
        let commands = ["login", "up", "down", "session"].map(str::to_owned);
        Invocation::new([("--state-dir", Path::new(path))], commands)
    }

    #[test]
    fn a_command_in_a_message_names_the_same_daemon() {
        let own = invocation("/srv/one");
        for (text, spelled) in [
            (
                "linear needs you. Next: doorward login linear",
                "linear needs you. Next: doorward --state-dir /srv/one login linear",
            ),
            (
                "doorward down && doorward up",
                "doorward --state-dir /srv/one down && doorward --state-dir /srv/one up",
            ),
            ("doorward is locked", "doorward is locked"),
            (
                "doorward explain login_state",
                "doorward explain login_state",
            ),
            ("doorward updates it", "doorward updates it"),
            ("/opt/doorward up", "/opt/doorward up"),
            ("no command", "no command"),
        ] {
            assert_eq!(own.spell(text), spelled);
            assert_eq!(own.spell(&own.spell(text)), spelled, "twice is once");
            assert_eq!(Invocation::default().spell(text), text);
        }
    }

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        let spelled = invocation("/home/o'neill/my state").spell("doorward up");
        let words = r"doorward --state-dir '/home/o'\''neill/my state' up";
        assert_eq!(spelled, words);
    }
}
