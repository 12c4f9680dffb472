//! The upstreams of the configuration.

use clap::{Args, Subcommand, ValueEnum};

use super::import::ImportArgs;

/// `upstream …`
#[derive(Debug, Subcommand)]
pub enum UpstreamCommand {
    /// Add an upstream to the config
    Add(UpstreamAddArgs),
    /// List upstreams
    List,
    /// Show everything about one: settings with their sources, problems
    Show(NameArgs),
    /// Take one out of the config
    Remove(NameArgs),
    /// Try it step by step: connection, sign-in, initialize, tools
    Test(AccountArgs),
    /// Hand over its secret, on standard input
    SetSecret(NameArgs),
    /// Switch it on
    Enable(NameArgs),
    /// Switch it off, keeping its sign-in
    Disable(NameArgs),
    /// Give it another name
    Rename(RenameArgs),
    /// Take over remote servers that your agent programs have already
    Import(ImportArgs),
}

/// `upstream add`
#[derive(Debug, Args)]
pub struct UpstreamAddArgs {
    /// A short name such as linear
    pub name: String,
    /// The address of the MCP server
    pub url: String,
    /// How doorward proves itself to it
    #[arg(long, default_value = "oauth")]
    pub auth: AuthForm,
    /// The client to be, where it is registered already
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// That client proves itself with a private key, not with a secret
    #[arg(long, requires = "client_id")]
    pub signs: bool,
    /// A field to add to every request; may be repeated
    #[arg(long = "header", value_name = "K: V")]
    pub headers: Vec<String>,
    /// What people call it
    #[arg(long)]
    pub label: Option<String>,
    /// Scopes to ask for
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub scopes: Vec<String>,
    /// Allow plain http outside this machine
    #[arg(long)]
    pub allow_http: bool,
    /// Do not ask the address what it is
    #[arg(long)]
    pub no_probe: bool,
}

impl UpstreamAddArgs {
    /// An address, without any wishes; it is not asked what it is.
    pub fn of(name: &str, url: &str, auth: AuthForm) -> Self {
        Self {
            name: name.to_owned(),
            url: url.to_owned(),
            auth,
            client_id: None,
            signs: false,
            headers: Vec::new(),
            label: None,
            scopes: Vec::new(),
            allow_http: false,
            no_probe: true,
        }
    }
}

/// How doorward proves itself to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuthForm {
    /// A person signs in.
    Oauth,
    /// Doorward signs in by itself.
    ClientCredentials,
    /// A secret is stored.
    Static,
    /// The agent sends its own token.
    Passthrough,
    /// It asks for nothing.
    None,
}

/// One upstream.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The upstream
    pub name: String,
}

/// One account.
#[derive(Debug, Args)]
pub struct AccountArgs {
    /// The upstream, or an account as in notion@work
    #[arg(value_name = "UPSTREAM[@ACCOUNT]")]
    pub account: String,
}

/// `upstream rename`
#[derive(Debug, Args)]
pub struct RenameArgs {
    /// What it is called
    pub name: String,
    /// What it shall be called
    pub new: String,
}
