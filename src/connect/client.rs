//! The clients that can be connected: one row each of where its file is, how that is written, and
//! what it can be told.

use std::path::{Path, PathBuf};

use super::entry::Mode;
use super::format::Format;

/// A program whose file can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
    /// `OpenCode`.
    OpenCode,
    /// Gemini CLI.
    Gemini,
    /// goose.
    Goose,
    /// Cursor.
    Cursor,
    /// Visual Studio Code.
    VsCode,
    /// Zed.
    Zed,
    /// The desktop app of Claude.
    ClaudeDesktop,
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The person's, for all their projects.
    User,
    /// The one of a project.
    Project,
}

/// Where files are on this machine.
#[derive(Clone, Debug)]
pub struct Places {
    /// The home directory.
    pub home: PathBuf,
    /// `XDG_CONFIG_HOME`, or what stands for it.
    pub config: PathBuf,
    /// `CLAUDE_CONFIG_DIR`, where it is set.
    pub claude: Option<PathBuf>,
    /// `CODEX_HOME`, where it is set.
    pub codex: Option<PathBuf>,
    /// The directory of the project.
    pub project: PathBuf,
    /// Whether applications keep their files as macOS has it.
    pub macos: bool,
}

/// What is known of a client.
#[derive(Debug)]
pub struct Facts {
    /// What it is called here.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// How its file is written.
    pub format: Format,
    /// The map of its servers in that file.
    pub path: &'static [&'static str],
    /// How its servers can reach doorward, the usual way first.
    pub modes: &'static [Mode],
    /// The command that starts it, where it has one.
    pub program: Option<&'static str>,
    /// How it comes to read its file again.
    pub next: &'static str,
}

const STRICT: Format = Format::Json {
    comments: false,
    trailing_commas: false,
};
const COMMENTED: Format = Format::Json {
    comments: true,
    trailing_commas: false,
};
const LENIENT: Format = Format::Json {
    comments: true,
    trailing_commas: true,
};

impl Client {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Claude,
        Self::Codex,
        Self::OpenCode,
        Self::Gemini,
        Self::Goose,
        Self::Cursor,
        Self::VsCode,
        Self::Zed,
        Self::ClaudeDesktop,
    ];

    /// The client of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.facts().name == name)
    }

    /// What is known of it.
    pub fn facts(self) -> &'static Facts {
        match self {
            Self::Claude => &Facts {
                name: "claude",
                title: "Claude Code",
                format: STRICT,
                path: &["mcpServers"],
                modes: &[Mode::Helper, Mode::Env, Mode::Bridge, Mode::Static],
                program: Some("claude"),
                next: "restart Claude Code, or type /mcp in it",
            },
            Self::Codex => &Facts {
                name: "codex",
                title: "Codex",
                format: Format::Toml,
                path: &["mcp_servers"],
                modes: &[Mode::Bridge, Mode::Env, Mode::Static],
                program: Some("codex"),
                next: "restart Codex",
            },
            Self::OpenCode => &Facts {
                name: "opencode",
                title: "OpenCode",
                format: LENIENT,
                path: &["mcp"],
                modes: &[Mode::Bridge, Mode::Env],
                program: Some("opencode"),
                next: "restart OpenCode",
            },
            Self::Gemini => &Facts {
                name: "gemini",
                title: "Gemini CLI",
                format: COMMENTED,
                path: &["mcpServers"],
                modes: &[Mode::Bridge, Mode::Env],
                program: Some("gemini"),
                next: "restart Gemini CLI",
            },
            Self::Goose => &Facts {
                name: "goose",
                title: "goose",
                format: Format::Yaml,
                path: &["extensions"],
                modes: &[Mode::Bridge, Mode::Env],
                program: Some("goose"),
                next: "start a new goose session",
            },
            Self::Cursor => &Facts {
                name: "cursor",
                title: "Cursor",
                format: LENIENT,
                path: &["mcpServers"],
                modes: &[Mode::Bridge, Mode::Env],
                program: Some("cursor"),
                next: "switch the servers on in Cursor's settings, under MCP",
            },
            Self::VsCode => &Facts {
                name: "vscode",
                title: "VS Code",
                format: LENIENT,
                path: &["servers"],
                modes: &[Mode::Bridge, Mode::Static],
                program: Some("code"),
                next: "start the servers in VS Code with: MCP: List Servers",
            },
            Self::Zed => &Facts {
                name: "zed",
                title: "Zed",
                format: LENIENT,
                path: &["context_servers"],
                modes: &[Mode::Bridge, Mode::Static],
                program: Some("zed"),
                next: "nothing: Zed reads its settings again by itself",
            },
            Self::ClaudeDesktop => &Facts {
                name: "claude-desktop",
                title: "Claude Desktop",
                format: STRICT,
                path: &["mcpServers"],
                modes: &[Mode::Bridge],
                program: None,
                next: "quit Claude Desktop and start it again",
            },
        }
    }

    /// Its file; nothing where it has none of that scope. `exists` tells which of two names is
    /// in use.
    pub fn file(
        self,
        scope: Scope,
        places: &Places,
        exists: impl Fn(&Path) -> bool,
    ) -> Option<PathBuf> {
        let Places {
            home,
            config,
            project,
            ..
        } = places;
        let either = |directory: PathBuf| {
            let commented = directory.join("opencode.jsonc");
            if exists(&commented) {
                commented
            } else {
                directory.join("opencode.json")
            }
        };
        let applications = if places.macos {
            home.join("Library/Application Support")
        } else {
            config.clone()
        };
        Some(match (self, scope) {
            (Self::Claude, Scope::User) => {
                let directory = places.claude.as_ref().unwrap_or(home);
                directory.join(".claude.json")
            }
            (Self::Claude, Scope::Project) => project.join(".mcp.json"),
            (Self::Codex, Scope::User) => match &places.codex {
                Some(directory) => directory.join("config.toml"),
                None => home.join(".codex/config.toml"),
            },
            (Self::Codex, Scope::Project) => project.join(".codex/config.toml"),
            (Self::OpenCode, Scope::User) => either(config.join("opencode")),
            (Self::OpenCode, Scope::Project) => either(project.clone()),
            (Self::Gemini, Scope::User) => home.join(".gemini/settings.json"),
            (Self::Gemini, Scope::Project) => project.join(".gemini/settings.json"),
            (Self::Goose, Scope::User) => config.join("goose/config.yaml"),
            (Self::Cursor, Scope::User) => home.join(".cursor/mcp.json"),
            (Self::Cursor, Scope::Project) => project.join(".cursor/mcp.json"),
            (Self::VsCode, Scope::User) => applications.join("Code/User/mcp.json"),
            (Self::VsCode, Scope::Project) => project.join(".vscode/mcp.json"),
            (Self::Zed, Scope::User) => config.join("zed/settings.json"),
            (Self::Zed, Scope::Project) => project.join(".zed/settings.json"),
            (Self::ClaudeDesktop, Scope::User) => {
                applications.join("Claude/claude_desktop_config.json")
            }
            (Self::Goose | Self::ClaudeDesktop, Scope::Project) => return None,
        })
    }
}
