//! Agent programs and where their configuration is: the files of the person, on Linux and macOS.

use std::path::{Path, PathBuf};

use super::read::Format;

/// An agent program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Claude Code.
    Claude,
    /// Claude Desktop, which reaches remote servers through `mcp-remote`.
    ClaudeDesktop,
    /// Codex.
    Codex,
    /// Cursor.
    Cursor,
    /// VS Code.
    VsCode,
    /// `OpenCode`.
    OpenCode,
    /// Gemini CLI.
    Gemini,
    /// goose.
    Goose,
    /// Zed.
    Zed,
}

/// Where a person's files are.
#[derive(Clone, Debug)]
pub struct Home {
    /// The home directory.
    pub home: PathBuf,
    /// `XDG_CONFIG_HOME`, or `.config` in it.
    pub config: PathBuf,
    /// `CODEX_HOME`, or `.codex` in it.
    pub codex: PathBuf,
}

impl Home {
    /// That of this process; `None` where nothing tells which it is.
    pub fn of_process() -> Option<Self> {
        let absolute = |name| {
            let path = std::env::var_os(name).map(PathBuf::from);
            path.filter(|path| path.is_absolute())
        };
        let home = std::env::home_dir().filter(|path| path.is_absolute())?;
        Some(Self {
            config: absolute("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
            codex: absolute("CODEX_HOME").unwrap_or_else(|| home.join(".codex")),
            home,
        })
    }
}

impl Source {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 9] = [
        Self::Claude,
        Self::ClaudeDesktop,
        Self::Codex,
        Self::Cursor,
        Self::VsCode,
        Self::OpenCode,
        Self::Gemini,
        Self::Goose,
        Self::Zed,
    ];

    /// What it is called on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::ClaudeDesktop => "claude-desktop",
            Self::Codex => "codex",
            Self::Cursor => "cursor",
            Self::VsCode => "vscode",
            Self::OpenCode => "opencode",
            Self::Gemini => "gemini",
            Self::Goose => "goose",
            Self::Zed => "zed",
        }
    }

    /// The files that may hold its servers.
    pub(super) fn files(self, home: &Home) -> Vec<PathBuf> {
        let Home {
            home,
            config,
            codex,
        } = home;
        let support = |folder: &str| {
            if cfg!(target_os = "macos") {
                home.join("Library/Application Support").join(folder)
            } else {
                config.join(folder)
            }
        };
        match self {
            Self::Claude => vec![home.join(".claude.json")],
            Self::ClaudeDesktop => {
                vec![support("Claude").join("claude_desktop_config.json")]
            }
            Self::Codex => vec![codex.join("config.toml")],
            Self::Cursor => vec![home.join(".cursor/mcp.json")],
            Self::VsCode => vec![support("Code").join("User/mcp.json")],
            Self::OpenCode => both(&config.join("opencode/opencode")),
            Self::Gemini => vec![home.join(".gemini/settings.json")],
            Self::Goose => vec![config.join("goose/config.yaml")],
            Self::Zed => vec![config.join("zed/settings.json")],
        }
    }

    pub(super) fn format(self) -> Format {
        match self {
            Self::Codex => Format::Toml,
            Self::Goose => Format::Yaml,
            _ => Format::Json,
        }
    }
}

/// `opencode.json` and `opencode.jsonc`: it reads both.
fn both(stem: &Path) -> Vec<PathBuf> {
    ["json", "jsonc"].map(|end| stem.with_extension(end)).into()
}
