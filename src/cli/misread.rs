//! What was typed and means nothing: told like every other error, also to programs.

use std::ffi::OsString;
use std::io::Write;

use clap::error::ErrorKind;

use crate::api::Failure;
use crate::model::catalogue::{Code, Problem};

/// Tells `error` in the form that `arguments` ask for, and gives the exit code.
pub(super) fn told(error: &clap::Error, arguments: &[OsString]) -> u8 {
    let asked = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if !asked && wants_json(arguments) {
        let problem = problem(&error.to_string());
        let text = serde_json::to_string_pretty(&Failure::new(&problem, None));
        // What a reader that has gone away is told does not matter.
        let _ = writeln!(
            std::io::stdout().lock(),
            "{}",
            text.expect("documents have text keys")
        );
        return 2;
    }
    // A reader that has gone away is no error.
    let _ = error.print();
    if asked { 0 } else { 2 }
}

/// The first paragraph says what is wrong; the rest is for eyes.
fn problem(text: &str) -> Problem {
    let first = text.split("\n\n").next().unwrap_or(text);
    let words: Vec<_> = first.split_whitespace().collect();
    let why = words.join(" ");
    Problem::new(Code::BadRequest).because(why.trim_start_matches("error: "))
}

/// Whether JSON was asked for, in arguments that could not be read. What follows `--` belongs to
/// another program.
fn wants_json(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().map(|it| it.to_string_lossy()).collect();
    let own: Vec<&str> = words
        .iter()
        .map(AsRef::as_ref)
        .take_while(|word| *word != "--")
        .collect();
    let is_json = |form: &str| matches!(form, "json" | "jsonl");
    let joined = |word: &&str| {
        ["--output=", "-o=", "-o"]
            .iter()
            .any(|flag| word.strip_prefix(flag).is_some_and(is_json))
    };
    let apart = |pair: &[&str]| matches!(pair, ["-o" | "--output", form] if is_json(form));
    let said = own.contains(&"--json") || own.iter().any(joined) || own.windows(2).any(apart);
    said || std::env::var("DOORWARD_OUTPUT").is_ok_and(|form| is_json(&form))
}
