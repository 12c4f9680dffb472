//! Whose command this is: the agent program, or the shell, that stands behind the shells and
//! launchers by which a command is started and which end before its answer is used.

use crate::model::record::BoundProcess;

use super::{Origin, find, platform};

/// How far up is looked: deeper than any desk has shells in shells, and an end where the system
/// shows a circle.
const FARTHEST: usize = 32;
const SHELLS: &[&str] = &[
    "sh", "bash", "dash", "zsh", "fish", "ksh", "mksh", "ash", "busybox", "pwsh", "nu", "xonsh",
    "elvish", "tcsh", "csh",
];
/// They start one command, wait for it, and are no agents.
const LAUNCHERS: &[&str] = &[
    "timeout", "time", "nice", "env", "xargs", "strace", "script",
];
/// They run programs that are written in other words than the machine's.
const INTERPRETERS: &[&str] = &["node", "bun", "deno", "python", "python3", "ruby"];
/// They run a shell of their own to learn what it sets, and tell the shell above them.
const SETTERS: &[&str] = &["direnv", "mise", "shadowenv", "devbox", "nix", "nix-shell"];

/// A process that this one comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Which one it is.
    pub process: BoundProcess,
    image: Option<u64>,
    words: Vec<String>,
}

/// The processes of this user that this one comes from, the nearest first. What cannot be seen
/// ends the line.
pub fn ancestors() -> Vec<Ancestor> {
    let mut all: Vec<Ancestor> = Vec::new();
    let mut next = origin(std::process::id());
    while let Some(parent) = next.map(|origin| origin.parent)
        && all.len() < FARTHEST
        && let Ok(process) = find(parent)
        && let Some(seen) = origin(parent)
    {
        all.push(Ancestor {
            process,
            image: seen.image,
            words: seen.words.clone(),
        });
        next = Some(seen);
    }
    all
}

fn origin(pid: u32) -> Option<Origin> {
    platform::origin(pid).ok().flatten()
}

/// The agent program that asks: the nearest one called `client`, or without such a one the
/// nearest that is neither a launcher nor a shell that only runs a command or a script.
pub fn agent<'a>(ancestors: &'a [Ancestor], client: Option<&str>) -> Option<&'a Ancestor> {
    let named = client.and_then(|name| ancestors.iter().find(|it| it.is_called(name)));
    let lasting = |it: &&Ancestor| !it.is_one_of(LAUNCHERS) && !it.is_passing_shell();
    named.or_else(|| ancestors.iter().find(lasting))
}

/// The shell that asks. A copy of itself that it made to read a command's output is not meant,
/// nor is one in which a tool only looks at what would be set.
pub fn shell(ancestors: &[Ancestor]) -> Option<&Ancestor> {
    let setter = ancestors.iter().rposition(|it| it.is_one_of(SETTERS));
    let above = &ancestors[setter.map_or(0, |at| at + 1)..];
    let at = above.iter().position(|it| it.is_one_of(SHELLS))?;
    let copies = above[at..].windows(2);
    let depth = copies.take_while(|pair| pair[0].is_copy_of(&pair[1]));
    above.get(at + depth.count())
}

impl Ancestor {
    /// Whether it goes by this name: to the system, as a program, or as the script that an
    /// interpreter runs.
    fn is_called(&self, name: &str) -> bool {
        let script = self.is_one_of(INTERPRETERS) || self.shell_name().is_some();
        let mut words = self.words.iter().skip(1);
        let script = script.then(|| words.find(|word| !word.starts_with('-')));
        let script = script.flatten().map(|word| {
            let word = base(word);
            word.rsplit_once('.').map_or(word, |(stem, _)| stem)
        });
        let names = [self.process.exe.as_deref(), self.program(), script];
        names.into_iter().flatten().any(|it| it == name)
    }

    fn program(&self) -> Option<&str> {
        // A login shell is called `-zsh`.
        let name = base(self.words.first()?);
        Some(name.strip_prefix('-').unwrap_or(name))
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        self.program().is_some_and(|name| names.contains(&name))
    }

    /// The name of its program, where it is a shell.
    pub fn shell_name(&self) -> Option<&str> {
        self.program().filter(|name| SHELLS.contains(name))
    }

    /// A shell that ends with the command or the script that it was given.
    fn is_passing_shell(&self) -> bool {
        let runs = |word: &String| !word.starts_with('-') || is_command_flag(word);
        self.is_one_of(SHELLS) && self.words.iter().skip(1).any(runs)
    }

    /// Whether it is a fork of `parent` that became no program of its own.
    fn is_copy_of(&self, parent: &Self) -> bool {
        match (self.image, parent.image) {
            (Some(own), Some(other)) => own == other,
            _ => !self.words.is_empty() && self.words == parent.words,
        }
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// `-c`, also among other letters, as in `-lc`.
fn is_command_flag(word: &str) -> bool {
    let letters = word.strip_prefix('-').unwrap_or_default();
    !letters.starts_with('-') && letters.contains('c')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of ancestors, each with a number for its image and its words.
    fn line(all: &[(u64, &str)]) -> Vec<Ancestor> {
        let ancestor = |(pid, (image, words)): (u32, &(u64, &str))| {
            let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            let name = words[0].rsplit('/').next().expect("a name").to_owned();
            let process = BoundProcess {
                pid,
                started: 1,
                boot: None,
                exe: Some(name),
            };
            Ancestor {
                process,
                image: (*image > 0).then_some(*image),
                words,
            }
        };
        (1..).zip(all).map(ancestor).collect()
    }

    fn pid(found: Option<&Ancestor>) -> Option<u32> {
        found.map(|it| it.process.pid)
    }

    #[test]
    fn an_agent_stands_behind_the_shells_that_it_starts() {
        let claude = line(&[
            (1, "/bin/sh -c doorward session headers"),
            (2, "node /usr/local/bin/claude --resume"),
            (3, "-zsh"),
            (4, "/usr/bin/login"),
        ]);
        for client in [None, Some("claude"), Some("codex")] {
            assert_eq!(pid(agent(&claude, client)), Some(2), "{client:?}");
        }
        let script = line(&[
            (1, "timeout 5 doorward"),
            (2, "bash ./helper.sh"),
            (3, "/bin/bash -lc ./helper.sh"),
            (4, "mcp-program"),
            (5, "claude"),
        ]);
        assert_eq!(pid(agent(&script, None)), Some(4));
        assert_eq!(pid(agent(&script, Some("claude"))), Some(5));
        assert_eq!(
            pid(agent(&line(&[(1, "bash -i"), (2, "tmux")]), None)),
            Some(1)
        );
        assert_eq!(pid(agent(&[], None)), None);
    }

    #[test]
    fn a_shell_is_found_behind_its_copies() {
        let copies = line(&[(1, "bash"), (1, "bash"), (2, "bash"), (3, "tmux")]);
        assert_eq!(pid(shell(&copies)), Some(2), "the third is another shell");
        let unseen = line(&[(0, "-zsh"), (0, "-zsh"), (0, "login")]);
        assert_eq!(pid(shell(&unseen)), Some(2));
        assert_eq!(pid(shell(&line(&[(1, "python x"), (2, "fish")]))), Some(2));
        assert_eq!(pid(shell(&line(&[(1, "cron")]))), None);
    }

    #[test]
    fn a_tool_that_looks_what_would_be_set_is_not_the_shell() {
        let direnv = line(&[
            (1, "/usr/bin/bash -c eval it"),
            (2, "direnv export zsh"),
            (3, "zsh"),
            (3, "zsh"),
        ]);
        assert_eq!(pid(shell(&direnv)), Some(4));
    }

    #[test]
    fn the_line_begins_with_the_parent() {
        let all = ancestors();
        let parent = rustix::process::getppid().expect("a test is started by something");
        let first = all.first().map(|it| it.process.pid);
        assert_eq!(first, u32::try_from(parent.as_raw_nonzero().get()).ok());
    }
}
