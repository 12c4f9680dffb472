//! The list of rules and the tests that prove them, kept true: every test it names is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use doorward::clock::{Random, SystemRandom};

/// All test functions below `folder`, and the files that are no tests.
fn read(folder: &Path, tests: &mut BTreeSet<String>, sources: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "node_modules") {
                read(&path, tests, sources);
            }
            continue;
        }
        if path.extension().is_none_or(|ending| ending != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        let mut attribute = false;
        for line in text.lines().map(str::trim_start) {
            if line.starts_with("#[") {
                attribute |= line.starts_with("#[test]") || line.contains("::test]");
            } else if attribute {
                let signature = line.strip_prefix("async ").unwrap_or(line);
                if let Some(rest) = signature.strip_prefix("fn ") {
                    let end = rest.find('(').unwrap_or(rest.len());
                    tests.insert(rest[..end].to_owned());
                }
                attribute = false;
            }
        }
        sources.insert(path.to_string_lossy().into_owned(), text);
    }
}

fn everything() -> (BTreeSet<String>, BTreeMap<String, String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut tests, mut sources) = (BTreeSet::new(), BTreeMap::new());
    read(&root.join("src"), &mut tests, &mut sources);
    read(&root.join("tests"), &mut tests, &mut sources);
    assert!(tests.len() > 400, "the sources are read");
    (tests, sources)
}

/// The lines of the list: an id, and what proves it.
fn listed() -> Vec<(&'static str, &'static str)> {
    include_str!("../../rules.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').expect("an id and what proves it"))
        .collect()
}

#[test]
fn every_rule_names_tests_that_exist() {
    let (tests, _) = everything();
    let mut wrong = Vec::new();
    let mut ids = BTreeSet::new();
    for (id, proof) in listed() {
        if !ids.insert(id) {
            wrong.push(format!("{id} is listed twice"));
        }
        if let Some(reason) = proof.strip_prefix("not here: ") {
            if reason.trim().is_empty() {
                wrong.push(format!("{id} needs a reason"));
            }
            continue;
        }
        for name in proof.split(' ') {
            if !tests.contains(name) {
                wrong.push(format!("{id} names {name}, which is no test"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_no_test_proves_is_told_to_people() {
    let page = include_str!("../../../docs/conformance.md");
    let silent: Vec<_> = listed()
        .into_iter()
        .filter(|(_, proof)| proof.starts_with("not here: "))
        .filter(|(id, _)| !page.contains(&format!("| {id}, ")))
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn every_test_that_is_called_after_a_row_stands_in_the_list() {
    let (tests, _) = everything();
    let named: BTreeSet<&str> = listed().iter().flat_map(|(_, p)| p.split(' ')).collect();
    let rows = ["seed_s1_", "seed_s2_", "seed_s4_"];
    let loose: Vec<_> = tests
        .iter()
        .filter(|test| rows.iter().any(|row| test.starts_with(row)))
        .filter(|test| !named.contains(test.as_str()))
        .collect();
    assert!(loose.is_empty(), "{loose:#?}");
}

#[test]
fn se_csprng() {
    // One place makes random bits, from the operating system; everything else is handed them.
    let generators = [
        "getrandom::",
        "rand::",
        "fastrand",
        "thread_rng",
        "OsRng",
        "RandomState",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (_, sources) = everything();
    let users: BTreeSet<_> = sources
        .iter()
        .filter(|(path, text)| {
            Path::new(path).starts_with(&root) && generators.iter().any(|name| text.contains(name))
        })
        .map(|(path, _)| {
            Path::new(path)
                .strip_prefix(&root)
                .expect("inside")
                .to_owned()
        })
        .collect();
    // Signatures take the random part of theirs from ring, which asks the same system.
    let known = ["clock.rs", "jose/key.rs"].map(Into::into);
    assert_eq!(users, BTreeSet::from(known));
    let mut seen = BTreeSet::new();
    for _ in 0..64 {
        let mut bytes = [0; 32];
        SystemRandom.fill(&mut bytes);
        assert!(seen.insert(bytes), "no value comes twice");
    }
}
