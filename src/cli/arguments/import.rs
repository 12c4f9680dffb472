//! `upstream import`

use clap::{Args, ValueEnum};

use crate::import::Source;

/// `upstream import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Take over these, by the names that are shown
    #[arg(value_name = "NAME", conflicts_with = "all")]
    pub names: Vec<String>,
    /// Look at these only
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub from: Vec<Origin>,
    /// Take over all that can be
    #[arg(long)]
    pub all: bool,
    /// Only show what could be taken over
    #[arg(long, conflicts_with = "names")]
    pub dry_run: bool,
}

/// Where servers may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An agent program.
    Program(Source),
    /// Whatever reaches its servers through `mcp-remote`.
    McpRemote,
}

impl ValueEnum for Origin {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Origin; 10] = {
            let mut all = [Origin::McpRemote; 10];
            let mut at = 0;
            while at < Source::ALL.len() {
                all[at] = Origin::Program(Source::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::Program(source) => source.as_str(),
            Self::McpRemote => "mcp-remote",
        }))
    }
}
