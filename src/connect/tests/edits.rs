//! A person goes on editing between `connect` and `disconnect`: what is left is what the same
//! edits make of the file as it was.

use proptest::prelude::*;

use super::super::format::Spot;
use super::super::setting::Fields;
use super::golden::{self, rewritten};
use super::*;

/// One edit. The numbers choose among the places that there are.
#[derive(Clone, Debug)]
enum Edit {
    /// A comment, or an empty line, above a line.
    Above(usize, String),
    /// The same below.
    Below(usize, String),
    /// One word for another.
    Word(usize, String),
    /// A line that says nothing goes.
    Quiet(usize),
    /// Something behind everything.
    End(String),
    /// A server of the person's own, by whatever program.
    Server(String),
    /// The server of the person's own goes.
    NoServer,
    /// An editor of another system writes all lines anew.
    Lines(LineEnd, bool),
}

fn line_end() -> impl Strategy<Value = LineEnd> {
    prop_oneof![Just(LineEnd::Unix), Just(LineEnd::Dos)]
}

fn edit() -> impl Strategy<Value = Edit> {
    let word = || "x[a-z]{3,8}";
    let comment = || "(x[a-zäö {}\\[\\],:=\"']{0,12}|)";
    prop_oneof![
        (any::<usize>(), comment()).prop_map(|(at, text)| Edit::Above(at, text)),
        (any::<usize>(), comment()).prop_map(|(at, text)| Edit::Below(at, text)),
        (any::<usize>(), word()).prop_map(|(at, text)| Edit::Word(at, text)),
        any::<usize>().prop_map(Edit::Quiet),
        comment().prop_map(Edit::End),
        word().prop_map(Edit::Server),
        Just(Edit::NoServer),
        (line_end(), any::<bool>()).prop_map(|(to, mark)| Edit::Lines(to, mark)),
    ]
}

/// A line of its own that means nothing.
fn quiet(format: Format, text: &str) -> String {
    match format {
        _ if text.is_empty() => String::new(),
        Format::Json { comments: true, .. } => format!("// {text}"),
        Format::Json { .. } => String::new(),
        Format::Toml | Format::Yaml => format!("# {text}"),
    }
}

/// Lines that are in both texts, once in each.
fn shared<'a>(text: &'a str, other: &str) -> Vec<&'a str> {
    let once =
        |text: &str, line: &str| text.split_inclusive('\n').filter(|it| *it == line).count() == 1;
    let lines = text.split_inclusive('\n');
    lines
        .filter(|line| line.ends_with('\n') && once(text, line) && once(other, line))
        .collect()
}

/// Words that are in both texts, once in each.
fn words(text: &str, other: &str) -> Vec<String> {
    let split = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let once = |text: &str, word: &str| text.matches(word).count() == 1;
    let words = text.split(split);
    // Not the maps that hold servers: without them there is nothing to compare.
    let free = |word: &&str| {
        word.len() > 3
            && word.starts_with(|c: char| c.is_ascii_lowercase())
            && ![
                "mcp_servers",
                "extensions",
                "mcpServers",
                "servers",
                "context_servers",
            ]
            .contains(word)
            && !["true", "false", "null"].contains(word)
    };
    let found = words
        .filter(free)
        .filter(|word| once(text, word) && once(other, word));
    found.map(str::to_owned).collect()
}

/// Makes the same edit in both texts, if there is a place for it.
fn make(edit: &Edit, client: Client, texts: &mut [String; 2]) {
    let facts = client.facts();
    let newline = if texts[0].contains("\r\n") {
        "\r\n"
    } else {
        "\n"
    };
    let next = match edit {
        Edit::Above(at, text) | Edit::Below(at, text) => {
            let lines = shared(&texts[0], &texts[1]);
            let Some(line) = lines.get(at % lines.len().max(1)) else {
                return;
            };
            let quiet = quiet(facts.format, text) + newline;
            let new = match edit {
                Edit::Above(..) => format!("{quiet}{line}"),
                _ => format!("{line}{quiet}"),
            };
            let line = (*line).to_owned();
            texts.each_ref().map(|text| in_place(text, &line, &new))
        }
        Edit::Word(at, new) => {
            let words = words(&texts[0], &texts[1]);
            let Some(word) = words.get(at % words.len().max(1)) else {
                return;
            };
            texts
                .each_ref()
                .map(|text| text.replacen(word.as_str(), new, 1))
        }
        Edit::Quiet(at) => {
            let lines = shared(&texts[0], &texts[1]);
            let starts = |line: &&str| line.trim_start().starts_with(['#', '/']);
            let lines: Vec<_> = lines.into_iter().filter(starts).collect();
            let Some(line) = lines.get(at % lines.len().max(1)) else {
                return;
            };
            let line = (*line).to_owned();
            texts.each_ref().map(|text| in_place(text, &line, ""))
        }
        Edit::End(text) => {
            let quiet = quiet(facts.format, text);
            texts
                .each_ref()
                .map(|text| format!("{text}{newline}{quiet}"))
        }
        Edit::Server(name) => {
            let fields: Fields = vec![("command".to_owned(), name.as_str().into())];
            let spot = Spot {
                path: facts.path,
                name,
            };
            let body = |text: &str| text.trim_start_matches('\u{feff}').to_owned();
            let there = |text: &String| {
                let read = facts.format.read(&body(text)).expect("it can be read");
                read[facts.path[0]].get(name.as_str()).is_some()
            };
            if texts.iter().any(there) || own(facts, &texts[0]) == 0 {
                return;
            }
            let inline = texts[0].contains("mcp_servers = {");
            texts.each_ref().map(|text| {
                if facts.format == Format::Toml && !inline {
                    let table = format!("[mcp_servers.{name}]{newline}command = '{name}'");
                    return format!("{text}{newline}{table}{newline}");
                }
                let bom = if text.starts_with('\u{feff}') {
                    "\u{feff}"
                } else {
                    ""
                };
                let put = facts.format.put(&body(text), spot, &fields);
                format!("{bom}{}", put.expect("it can be put in").text)
            })
        }
        Edit::Lines(to, mark) => texts.each_ref().map(|text| rewritten(text, *to, *mark)),
        Edit::NoServer => {
            let spot = Spot {
                path: facts.path,
                name: "mine",
            };
            let there = |text: &String| {
                let body = text.trim_start_matches('\u{feff}');
                let read = facts.format.read(body).expect("it can be read");
                read[facts.path[0]].get("mine").is_some()
            };
            if !texts.iter().all(there) || own(facts, &texts[0]) < 2 {
                return;
            }
            texts.each_ref().map(|text| {
                let body = text.trim_start_matches('\u{feff}');
                let bom = &text[..text.len() - body.len()];
                let left = facts.format.cut(body, spot, &[], "").expect("it can go");
                format!("{bom}{left}")
            })
        }
    };
    // What the client could not read any more is no edit.
    let reads = |text: &String| {
        facts
            .format
            .read(text.trim_start_matches('\u{feff}'))
            .is_ok()
    };
    if next.iter().all(reads) {
        *texts = next;
    }
}

/// How many servers the person has. Where there is none, how a first one is written follows from
/// ours, and no comma and no line of it can be compared.
fn own(facts: &Facts, text: &str) -> usize {
    let read = facts.format.read(text.trim_start_matches('\u{feff}'));
    let read = read.expect("it can be read");
    read[facts.path[0]]
        .as_object()
        .map_or(0, serde_json::Map::len)
}

/// `line`, which is there once as a whole line, gives way to `new`.
fn in_place(text: &str, line: &str, new: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines.map(|it| if it == line { new } else { it }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn edits_around_ours_survive_byte_for_byte(
        case in any::<usize>(),
        from in prop::option::of((line_end(), any::<bool>())),
        mut edits in prop::collection::vec(edit(), 0..8),
    ) {
        // Where a server goes follows from the lines around it, so they come before those.
        edits.sort_by_key(|edit| !matches!(edit, Edit::Server(_) | Edit::NoServer));
        let cases: Vec<_> = golden::all().filter(|case| {
            case.3.as_ref().is_some_and(|text| !text.is_empty())
        }).collect();
        let (name, client, mode, old) = cases[case % cases.len()].clone();
        let old = old.expect("chosen so");
        let old = from.map_or(old.clone(), |(from, mark)| rewritten(&old, from, mark));
        let plan = connected(client, mode, Some(&old));
        let mut texts = [old, plan.text.clone().expect("a file")];
        for edit in &edits {
            make(edit, client, &mut texts);
        }
        let [expected, now] = texts;
        let back = undone(client, Some(&now), &plan).expect("it was there before");
        prop_assert_eq!(back, expected, "{} after\n{}", name, now);
    }
}
