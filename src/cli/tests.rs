use clap::{CommandFactory, Parser};

use super::Cli;
use crate::model::catalogue::{Code, Problem};

fn commands(fix: &str) -> Vec<Vec<String>> {
    let starts = fix.match_indices("doorward ").map(|(at, _)| at);
    starts
        .map(|at| {
            let end = fix[at..]
                .find(['`', '&', ';'])
                .map_or(fix.len(), |n| at + n);
            let words = fix[at..end].split_whitespace();
            words.map(str::to_owned).collect()
        })
        .collect()
}

#[test]
fn the_definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_next_step_is_a_command_that_exists() {
    let mut seen = 0;
    for code in Code::possible() {
        let problem = Problem::new(code)
            .with("upstream", "linear")
            .with("name", "linear")
            .with("client", "claude")
            .with("grant", "notion")
            .with("scopes", "read,write")
            .with("next", "5178");
        for command in commands(&problem.fix().unwrap_or_default()) {
            seen += 1;
            let parsed = Cli::try_parse_from(&command);
            let help = parsed.as_ref().err().map(clap::Error::kind);
            let fine = parsed.is_ok() || help == Some(clap::error::ErrorKind::DisplayHelp);
            assert!(fine, "{code}: {command:?}");
        }
        for quoted in code.entry().explain.split('`').skip(1).step_by(2) {
            for command in commands(quoted) {
                let known = Cli::command();
                let found = known.find_subcommand(&command[1]);
                assert!(found.is_some(), "{code}: {command:?}");
            }
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn flags_of_other_commands_are_refused() {
    let parse = |text: &str| Cli::try_parse_from(text.split(' '));
    assert!(parse("doorward logout").is_err());
    assert!(parse("doorward logout linear --all").is_err());
    assert!(parse("doorward ctl revoke").is_err());
    assert!(parse("doorward ctl revoke s_7q2kd4 --reason x").is_ok());
    assert!(parse("doorward ctl revoke --all --client x").is_err());
    assert!(parse("doorward --timeout 0s status").is_err());
    assert!(parse("doorward serve --port 65536").is_err());
    assert!(parse("doorward status --json -o json").is_ok());
}
