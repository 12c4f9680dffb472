//! How shells write a variable.

/// A kind of shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// sh, bash, zsh and their like.
    Posix,
    /// fish.
    Fish,
    /// `PowerShell`.
    Pwsh,
}

impl Shell {
    /// The kind of the shell with this name.
    pub fn called(name: Option<&str>) -> Self {
        match name {
            Some("fish") => Self::Fish,
            Some("pwsh") => Self::Pwsh,
            _ => Self::Posix,
        }
    }

    /// The line that sets a variable for what is started from there. In single quotes no shell
    /// reads anything but their end.
    pub fn set(self, name: &str, value: &str) -> String {
        match self {
            Self::Posix => format!("export {name}='{}'", value.replace('\'', r"'\''")),
            Self::Fish => {
                let value = value.replace('\\', r"\\").replace('\'', r"\'");
                format!("set -gx {name} '{value}'")
            }
            Self::Pwsh => format!("$env:{name} = '{}'", value.replace('\'', "''")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_what_was_meant() {
        let odd = r"a'b $HOME `x` \n \' end";
        for shell in ["sh", "bash"] {
            let line = Shell::called(Some(shell)).set("DOORWARD_TRY", odd);
            let script = format!("{line}\nprintf %s \"$DOORWARD_TRY\"");
            let output = std::process::Command::new("/bin/sh")
                .args(["-c", &script])
                .output();
            let output = output.expect("there is a shell");
            assert_eq!(String::from_utf8_lossy(&output.stdout), odd, "{line}");
        }
        let fish = Shell::called(Some("fish")).set("A", r"x'y\z");
        assert_eq!(fish, r"set -gx A 'x\'y\\z'");
        let pwsh = Shell::called(Some("pwsh")).set("A", r"x'y\z");
        assert_eq!(pwsh, r"$env:A = 'x''y\z'");
        assert_eq!(Shell::called(None), Shell::Posix);
    }
}
