//! Edits of the file: what was asked for, and nothing else.

use super::*;
use crate::model::id::UpstreamName;

fn edited(text: &str, edit: impl FnOnce(&mut Edition)) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config.toml");
    std::fs::write(&file, text).expect("written");
    let mut edition = Edition::open(&file).expect("opens");
    edit(&mut edition);
    edition.save(&inputs(&[])).expect("saves");
    std::fs::read_to_string(&file).expect("read")
}

fn name(text: &str) -> UpstreamName {
    text.parse().expect("a name")
}

const COMMENTED: &str = "# mine\nversion = 1   # one\n\n[upstreams.a]   # first\n\
                         url   = \"https://a.example\"  # here\n\n# the end\n";

#[test]
fn an_edit_changes_nothing_else() {
    let added = edited(COMMENTED, |e| {
        e.add(&name("b"), "https://b.example/", &[]).expect("added");
    });
    assert_eq!(
        added,
        "# mine\nversion = 1   # one\n\n[upstreams.a]   # first\n\
         url   = \"https://a.example\"  # here\n\n[upstreams.b]\nurl = \"https://b.example/\"\n\n# the end\n"
    );
    let off = edited(COMMENTED, |e| e.enable(&name("a"), false).expect("edited"));
    assert!(
        off.contains("url   = \"https://a.example\"  # here\nenabled = false\n"),
        "{off}"
    );
    let back = edited(&added, |e| e.remove(&name("b")).expect("removed"));
    assert_eq!(back, COMMENTED);
    let renamed = edited(COMMENTED, |e| {
        e.rename(&name("a"), &name("c")).expect("renamed");
    });
    assert!(renamed.contains("[upstreams.c]"), "{renamed}");
    let granted = "[upstreams.a]\nurl = \"https://a.example\"\n[upstreams.ab]\n\
                   url = \"https://b.example\"\n[sessions]\ndefault_grant = [\"a\", \"ab\"] # both\n";
    let renamed = edited(granted, |e| {
        e.rename(&name("a"), &name("c")).expect("renamed");
    });
    assert!(
        renamed.contains("default_grant = [\"c\", \"ab\"] # both"),
        "{renamed}"
    );
}

#[test]
fn an_edit_of_a_file_that_is_not_there_makes_a_private_one() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("deep/config.toml");
    let mut edition = Edition::open(&file).expect("opens");
    edition
        .add(&name("a"), "https://a.example", &[])
        .expect("added");
    edition.save(&inputs(&[])).expect("saves");
    let text = std::fs::read_to_string(&file).expect("read");
    assert_eq!(text, "[upstreams.a]\nurl = \"https://a.example\"\n");
    let mode = std::fs::metadata(&file)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_edit_stands_back_when_the_file_changed_meanwhile() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config.toml");
    std::fs::write(&file, COMMENTED).expect("written");
    let mut edition = Edition::open(&file).expect("opens");
    edition.enable(&name("a"), false).expect("edited");
    std::fs::write(&file, "# other\n").expect("written");
    let refused = edition.save(&inputs(&[])).expect_err("refused");
    assert!(matches!(refused, EditError::Changed(_)));
    assert_eq!(std::fs::read_to_string(&file).expect("read"), "# other\n");
}

#[test]
fn an_edit_that_would_break_the_config_is_not_saved() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config.toml");
    let mut edition = Edition::open(&file).expect("opens");
    edition.add(&name("a"), "nonsense", &[]).expect("added");
    let refused = edition.save(&inputs(&[])).expect_err("refused");
    assert!(matches!(refused, EditError::Unfit(_)));
    assert!(!file.exists());
}
