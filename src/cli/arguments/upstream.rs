//! The upstreams of the configuration.

use clap::{Args, Subcommand, ValueEnum};

use super::import::ImportArgs;

/// `upstream …`
#[derive(Debug, Subcommand)]
pub enum UpstreamCommand {
    /// Add an upstream to the config
    Add(Box<UpstreamAddArgs>),
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
    #[command(flatten)]
    pub grounds: GroundsArgs,
}

/// What a token is asked for with, where no person signs in.
#[derive(Debug, Default, Args)]
pub struct GroundsArgs {
    /// Where the assertion is.
    #[arg(
        long,
        value_name = "PLACE",
        help = "jwt-bearer: where the assertion is, as file:PATH, env:NAME or keyring:ITEM"
    )]
    pub assertion: Option<String>,
    /// token-exchange: the token endpoint of the identity provider
    #[arg(long, value_name = "URL", requires = "idp_client_id")]
    pub idp: Option<String>,
    /// token-exchange: the client to be at the identity provider
    #[arg(long, value_name = "ID", requires = "idp")]
    pub idp_client_id: Option<String>,
    /// token-exchange: where the token is that is exchanged, as PLACE
    #[arg(long, value_name = "PLACE", requires = "idp")]
    pub subject_token: Option<String>,
    /// exec: the command that prints the token
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

impl UpstreamAddArgs {
    /// Whether it uses a secret that has to be handed over.
    pub fn reads_keyring(&self) -> bool {
        let grounds = &self.grounds;
        match self.auth {
            AuthForm::Static | AuthForm::ClientCredentials => true,
            AuthForm::JwtBearer => self.signs || grounds.assertion.is_none(),
            AuthForm::TokenExchange => self.signs || grounds.subject_token.is_none(),
            AuthForm::Oauth => self.signs,
            AuthForm::Exec | AuthForm::Passthrough | AuthForm::None => false,
        }
    }

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
            grounds: GroundsArgs::default(),
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
    /// An assertion of somebody else is presented, such as a workload's token.
    JwtBearer,
    /// The same, with an assertion that an identity provider gives for a token.
    TokenExchange,
    /// A command prints a token.
    Exec,
    /// The agent sends its own token.
    Passthrough,
    /// It asks for nothing.
    None,
}

impl AuthForm {
    /// As the configuration has it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Oauth => "oauth",
            Self::ClientCredentials => "client_credentials",
            Self::Static => "static",
            Self::JwtBearer => "jwt_bearer",
            Self::TokenExchange => "token_exchange",
            Self::Exec => "exec",
            Self::Passthrough => "passthrough",
            Self::None => "none",
        }
    }
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
