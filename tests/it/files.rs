//! `docs/files.md`: a line a file. It is what each file says of itself in its first sentence, so that it
//! cannot be another one; `UPDATE=1` writes it anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};

const HEAD: &str = "# Files\n\nWhat each file says of itself first. [ARCHITECTURE.md](../ARCHITECTURE.md) has the \
                    folders, and the way of\na request through them.\n";

#[test]
fn the_list_of_files_is_what_the_files_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    gather(&root.join("src"), &mut files);
    files.sort();
    let mut list = HEAD.to_owned();
    let mut folder = None;
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a file");
        let place = file.strip_prefix(root).expect("below the root");
        let name = place.file_name().expect("a name").to_string_lossy();
        if folder.as_deref() != place.parent() {
            folder = place.parent().map(Path::to_owned);
            let _ = write!(list, "\n## {}\n\n", place.parent().expect("src").display());
        }
        let said = match first_sentence(&text) {
            said if said.is_empty() && name == "tests.rs" => {
                "Tests of what is beside it.".to_owned()
            }
            said => said,
        };
        assert!(
            !said.is_empty(),
            "{} says nothing of itself",
            place.display()
        );
        let _ = writeln!(list, "- `{name}`: {said}");
    }
    let kept = root.join("docs/files.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&kept, &list).expect("written");
    }
    let kept = std::fs::read_to_string(kept).unwrap_or_default();
    assert!(
        kept == list,
        "docs/files.md is another list; write it with UPDATE=1"
    );
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            gather(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// What the documentation of a file begins with, up to the end of its first sentence.
fn first_sentence(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let lines = lines.map(str::trim).take_while(|line| !line.is_empty());
    let whole = lines.collect::<Vec<_>>().join(" ");
    match whole.split_once(". ") {
        Some((first, _)) => format!("{first}."),
        None => whole,
    }
}
