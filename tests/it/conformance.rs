//! The official suite with this program in it: a scenario of each side here, all of them by
//! `tests/conformance/run`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// Runs scenarios; `None` where the suite is not installed.
fn run(arguments: &[&str]) -> Option<(bool, String)> {
    if !folder().join("node_modules/.filled-from").exists() {
        eprintln!("SKIPPED: the suite is not installed; `tests/conformance/run` does it");
        return None;
    }
    let output = Command::new(folder().join("run"))
        .args(arguments)
        .env("DOORWARD_BIN", env!("CARGO_BIN_EXE_doorward"))
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Some((output.status.success(), said))
}

#[test]
fn cf_client_driver_and_cf_client_suite() {
    let Some((good, said)) = run(&["client", "auth/metadata-var2"]) else {
        return;
    };
    assert!(good && said.contains("2 of 2 scenarios pass"), "{said}");
}

#[test]
fn cf_server_suite_and_cf_differential_run() {
    let Some((good, said)) = run(&["server", "dns-rebinding-protection"]) else {
        return;
    };
    assert!(good && said.contains("2 of 2 scenarios"), "{said}");
}

/// The exit codes of runs in which an entry fails and passes, and one that nobody expects to fail
/// passes and fails.
const JUDGE: &str = "\
        import { baseline, judge, keyOf } from './lib/baseline.mjs'; \
        const [known] = (await baseline('client')).keys(); \
        const [suite, revision, scenario] = known.split(' '); \
        const of = (entry, passed) => judge('client', [{ ...entry, passed, checks: [] }], \
          { short: true, suite, only: [] }); \
        const expected = { suite, revision, scenario }; \
        const other = { suite, revision, scenario: 'initialize' }; \
        const codes = [await of(expected, false), await of(expected, true), \
          await of(other, true), await of(other, false)]; \
        console.log(`codes ${codes}`);";

#[test]
fn cf_pinned_with_baseline() {
    let json = |name: &str| -> Value {
        let text = std::fs::read_to_string(folder().join(name)).expect("a file");
        serde_json::from_str(&text).expect("JSON")
    };
    let wanted = json("package.json");
    let locked = json("package-lock.json");
    for name in ["@modelcontextprotocol/conformance", "conformance-stable"] {
        let version = wanted["dependencies"][name].as_str().expect("a version");
        let version = version.rsplit('@').next().expect("a part");
        assert!(
            version.starts_with(|c: char| c.is_ascii_digit()),
            "{version} is exact"
        );
        let entry = &locked["packages"][format!("node_modules/{name}")];
        assert_eq!(entry["version"], version, "{name}");
    }
    // An entry that passes, and one that nobody expects to fail, fail the run.
    let output = Command::new("node")
        .args(["--input-type=module", "-e", JUDGE])
        .current_dir(folder())
        .output()
        .expect("node starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("codes 0,1,0,1"), "{said}{told}");
}
