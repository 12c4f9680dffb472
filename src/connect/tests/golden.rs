//! One file of every client and mode that is connected: `tests/golden/connect/NAME.before`, with
//! comments, odd indentation, CRLF, a byte order mark and trailing commas, becomes `NAME.after`.
//! With `DOORWARD_WRITE_GOLDEN` in the environment the latter is written.

use std::path::PathBuf;

use super::*;

const CASES: [(&str, Client, Mode); 29] = [
    ("claude", Client::Claude, Mode::Helper),
    ("claude-env", Client::Claude, Mode::Env),
    ("claude-bom", Client::Claude, Mode::Bridge),
    ("claude-static", Client::Claude, Mode::Static),
    ("codex", Client::Codex, Mode::Bridge),
    ("codex-crlf", Client::Codex, Mode::Env),
    ("codex-odd", Client::Codex, Mode::Bridge),
    ("codex-inline", Client::Codex, Mode::Static),
    ("opencode", Client::OpenCode, Mode::Bridge),
    ("opencode-env", Client::OpenCode, Mode::Env),
    ("opencode-odd", Client::OpenCode, Mode::Bridge),
    ("gemini", Client::Gemini, Mode::Bridge),
    ("gemini-env", Client::Gemini, Mode::Env),
    ("gemini-odd", Client::Gemini, Mode::Bridge),
    ("goose", Client::Goose, Mode::Bridge),
    ("goose-empty", Client::Goose, Mode::Bridge),
    ("goose-env", Client::Goose, Mode::Env),
    ("goose-odd", Client::Goose, Mode::Bridge),
    ("goose-bom", Client::Goose, Mode::Env),
    ("cursor", Client::Cursor, Mode::Bridge),
    ("cursor-env", Client::Cursor, Mode::Env),
    ("cursor-odd", Client::Cursor, Mode::Bridge),
    ("vscode", Client::VsCode, Mode::Bridge),
    ("vscode-static", Client::VsCode, Mode::Static),
    ("vscode-odd", Client::VsCode, Mode::Bridge),
    ("zed", Client::Zed, Mode::Bridge),
    ("zed-odd", Client::Zed, Mode::Static),
    ("claude-desktop", Client::ClaudeDesktop, Mode::Bridge),
    ("claude-desktop-odd", Client::ClaudeDesktop, Mode::Bridge),
];

fn golden(name: &str, ending: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join(format!("tests/golden/connect/{name}.{ending}"))
}

/// A file that is not there stands for one that is not there.
pub(super) fn before(name: &str) -> Option<String> {
    let file = golden(name, "before");
    file.exists()
        .then(|| std::fs::read_to_string(file).expect("text"))
}

pub(super) fn all() -> impl Iterator<Item = (&'static str, Client, Mode, Option<String>)> {
    CASES
        .into_iter()
        .map(|(name, client, mode)| (name, client, mode, before(name)))
}

/// `text` as another editor writes it: lines end so, with a byte order mark or without.
pub(super) fn rewritten(text: &str, end: LineEnd, mark: bool) -> String {
    let text = end.written(text.trim_start_matches('\u{feff}'));
    if mark {
        format!("\u{feff}{text}")
    } else {
        text
    }
}

#[test]
fn every_client_has_a_file_with_a_mark_and_one_with_carriage_returns() {
    for client in Client::ALL {
        let of_it = || {
            all()
                .filter(|case| case.1 == client)
                .filter_map(|case| case.3)
        };
        assert!(
            of_it().any(|text| text.starts_with('\u{feff}')),
            "{client:?}"
        );
        assert!(of_it().any(|text| text.contains("\r\n")), "{client:?}");
    }
}

#[test]
fn line_ends_and_marks_are_those_of_the_file_whatever_they_are() {
    for (name, client, mode, old) in all() {
        let Some(old) = old.filter(|old| old.contains('\n')) else {
            continue;
        };
        let new = connected(client, mode, Some(&old)).text.expect("a file");
        for end in [LineEnd::Unix, LineEnd::Dos] {
            for mark in [false, true] {
                let old = rewritten(&old, end, mark);
                let plan = connected(client, mode, Some(&old));
                let expected = rewritten(&new, end, mark);
                assert_eq!(plan.text.as_ref(), Some(&expected), "{name} {end:?}");
                let back = undone(client, plan.text.as_deref(), &plan);
                assert_eq!(back, Some(old), "{name} {end:?}");
            }
        }
    }
}

#[test]
fn every_client_gets_its_entries_and_keeps_its_file() {
    for (name, client, mode, old) in all() {
        let plan = connected(client, mode, old.as_deref());
        let new = plan.text.as_deref().expect("a file");
        let after = golden(name, "after");
        if std::env::var_os("DOORWARD_WRITE_GOLDEN").is_some() {
            std::fs::write(&after, new).expect("written");
        }
        let golden = std::fs::read_to_string(after).expect("text");
        assert_eq!(new, golden, "{name}");
    }
}

#[test]
fn every_mode_of_every_client_has_a_file() {
    for client in Client::ALL {
        for mode in client.facts().modes {
            let found = CASES.iter().any(|case| (case.1, case.2) == (client, *mode));
            assert!(found, "{client:?} {mode:?}");
        }
    }
}

#[test]
fn disconnect_gives_back_what_was_there_byte_for_byte() {
    for (name, client, mode, old) in all() {
        let plan = connected(client, mode, old.as_deref());
        let back = undone(client, plan.text.as_deref(), &plan);
        assert_eq!(back, old, "{name}");
    }
}

#[test]
fn connecting_twice_changes_nothing_the_second_time() {
    for (name, client, mode, old) in all() {
        let plan = connected(client, mode, old.as_deref());
        let entries = entries(client, mode);
        let again = connect(
            plan.text.as_deref(),
            Some(&plan.ours),
            &wish(client, &entries),
        );
        let again = again.expect("it can be read");
        assert_eq!(
            (&again.text, &again.ours),
            (&plan.text, &plan.ours),
            "{name}"
        );
        assert!(
            again.changes.iter().all(|it| !it.operation.changes()),
            "{name}"
        );
    }
}

#[test]
fn another_mode_takes_the_place_of_the_first_and_is_undone_as_well() {
    for (name, client, mode, old) in all() {
        let plan = connected(client, mode, old.as_deref());
        for other in client.facts().modes {
            let entries = entries(client, *other);
            let wish = wish(client, &entries);
            let next = connect(plan.text.as_deref(), Some(&plan.ours), &wish);
            let next = next.expect("it can be changed");
            let back = undone(client, next.text.as_deref(), &next);
            assert_eq!(back, old, "{name} {other:?}");
        }
    }
}
