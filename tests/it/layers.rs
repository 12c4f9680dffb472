//! Imports follow the layers: a module uses its own and those below, and nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What each module may import of ours, besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("egress", &[]),
    ("clock", &["model"]),
    ("failpoint", &[]),
    ("paths", &["model", "clock"]),
    ("process", &["model"]),
    ("http", &["model", "clock", "egress"]),
    ("transport", &["model", "clock", "egress"]),
    ("api", &["model", "clock"]),
    ("config", &["model", "clock", "egress"]),
    ("project", &["model", "api", "config"]),
    ("store", &["model", "clock", "failpoint", "paths"]),
    ("jose", &["model", "clock"]),
    ("oauth", &["model", "clock", "http", "jose"]),
    ("ledger", &["model", "clock", "jose"]),
    ("credential", &["model", "clock", "config", "jose", "store"]),
    (
        "actor",
        &[
            "model",
            "clock",
            "jose",
            "failpoint",
            "process",
            "config",
            "store",
            "oauth",
            "ledger",
            "credential",
        ],
    ),
    (
        "web",
        &[
            "model",
            "clock",
            "jose",
            "failpoint",
            "process",
            "egress",
            "http",
            "transport",
            "api",
            "config",
            "store",
            "oauth",
            "ledger",
            "actor",
        ],
    ),
    ("ctl", &["model", "clock", "api", "paths", "http"]),
    ("bridge", &["model", "api", "ctl"]),
    ("connect", &["model"]),
    ("agents", &["model"]),
    ("import", &["model"]),
    ("run", &["model", "agents", "api"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_follow_the_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut breaches = Vec::new();
    let mut looked_at = 0;
    for file in files {
        let inside = file
            .strip_prefix(&root)
            .expect("inside")
            .to_string_lossy()
            .into_owned();
        // Tests may set up whatever they need.
        if inside.contains("tests") || inside.ends_with("fake.rs") {
            continue;
        }
        let module = inside.split(['/', '.']).next().expect("a name");
        let Some(allowed) = layers.get(module) else {
            continue;
        };
        let text = std::fs::read_to_string(&file).expect("text");
        let code = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .expect("a part");
        for at in code.split("crate::").skip(1) {
            let end = at
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(at.len());
            let used = &at[..end];
            looked_at += 1;
            let ours = layers.contains_key(used) || matches!(used, "daemon" | "cli" | "demo");
            if ours && used != module && !allowed.contains(&used) {
                breaches.push(format!("{inside} uses {used}"));
            }
        }
    }
    assert!(looked_at > 100, "the test reads the sources");
    assert!(breaches.is_empty(), "{breaches:#?}");
}
