//! The demo is the first thing that a newcomer runs.

use serde_json::Value;

use super::{Home, run};

#[test]
fn the_demo_needs_no_account_and_no_call_through_doorward_fails() {
    let home = Home::new();
    let ran = run(home.doorward().args(["demo", "--seconds", "7", "--json"]));
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err)))
        .collect();
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert_eq!(lines.len(), 8, "a line a second, and the sum");
    let seconds: Vec<_> = lines.iter().map(|line| line["second"].as_u64()).collect();
    assert_eq!(seconds[..7], (1..=7).map(Some).collect::<Vec<_>>());
    let sum = &lines[7];
    assert_eq!(sum["done"], true);
    assert_eq!(sum["sessions"], 8);
    assert_eq!(sum["sign_ins"], 1);
    assert_eq!((&sum["failures"], &sum["reuses"]), (&0.into(), &0.into()));
    assert!(sum["refreshes"].as_u64() >= Some(1), "{sum}");
    let (calls, bare) = (sum["calls"].as_u64(), sum["bare_failures"].as_u64());
    assert!(calls > Some(8), "{sum}");
    assert!(
        bare > Some(0),
        "the token of the start is dead by now: {sum}"
    );
    let left = std::fs::read_dir(home.path("")).expect("a directory");
    let names: Vec<_> = left.flatten().map(|entry| entry.file_name()).collect();
    assert!(
        names.is_empty(),
        "the demo keeps to a directory of its own: {names:?}"
    );
}

#[test]
fn the_demo_wants_a_time_that_is_one() {
    let home = Home::new();
    for wrong in ["0", "-3", "soon", "100000"] {
        let ran = run(home
            .doorward()
            .args(["demo", &format!("--seconds={wrong}")]));
        assert_eq!(ran.code, 2, "{wrong}: {}", ran.err);
        assert!(ran.err.contains("--seconds"), "{}", ran.err);
    }
}
