//! The seeds, in every build; and random changes of them, where no fuzzer runs.

use std::path::Path;

use proptest::prelude::*;

use super::TARGETS;

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let files = std::fs::read_dir(folder).expect("seeds").flatten();
    files
        .map(|file| std::fs::read(file.path()).expect("a file"))
        .collect()
}

#[test]
fn every_parser_holds_for_its_seeds() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(seeds.len() >= 5, "{name}");
        for seed in seeds {
            target(&seed);
        }
    }
}

#[test]
fn every_parser_has_a_target_of_the_fuzzer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("a file");
    for (name, _) in TARGETS {
        assert!(root.join(format!("fuzz_targets/{name}.rs")).exists());
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}

proptest! {
    #[test]
    fn every_parser_holds_for_changed_seeds(
        which in any::<(prop::sample::Index, prop::sample::Index)>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..3), 0..8),
    ) {
        let (name, target) = TARGETS[which.0.index(TARGETS.len())];
        let seeds = seeds(name);
        let mut bytes = seeds[which.1.index(seeds.len())].clone();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len() + 1);
            match how {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ => bytes.truncate(at.max(1)),
            }
        }
        target(&bytes);
    }
}
