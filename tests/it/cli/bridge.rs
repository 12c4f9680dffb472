//! What keeps a bridge from working, to the agent in its own words and to the person in theirs.

use serde_json::Value;

use super::{Home, run};

const HELLO: &str = r#"{"jsonrpc":"2.0","id":"a","method":"initialize","params":{}}"#;

#[test]
fn a_mistake_in_the_config_is_told_to_the_agent_and_to_the_person() {
    let home = Home::new();
    let file = home.write("state/config.toml", "[server]\nport = \"many\"\n");
    // A form that was chosen for other commands must not get between an agent and its server.
    for form in ["table", "json"] {
        let mut command = home.doorward();
        command
            .args(["bridge", "linear"])
            .env("DOORWARD_OUTPUT", form);
        let ran = run(command.write_stdin(format!("no message\n{HELLO}\n")));
        assert_eq!(ran.code, 7, "{}", ran.err);
        let answer: Value = serde_json::from_str(&ran.out).expect("one message");
        assert_eq!(
            (&answer["id"], answer["error"]["data"]["code"].as_str()),
            (&"a".into(), Some("config_invalid"))
        );
        let told = answer["error"]["message"].as_str().expect("a text");
        let place = format!("{}:2: ", file.display());
        assert!(told.starts_with(&place), "{told}");
        assert!(told.ends_with("Next: doorward config check"), "{told}");
        assert!(ran.err.contains("2 | port = \"many\""), "{}", ran.err);
        assert!(
            ran.err.ends_with("  run: doorward config check\n"),
            "{}",
            ran.err
        );
    }
}

#[test]
fn a_bridge_that_nobody_speaks_to_tells_the_person_only() {
    let home = Home::new();
    let mut command = home.doorward();
    command.args(["bridge", "linear", "--no-autostart"]);
    let ran = run(command.write_stdin(""));
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{}", ran.err);
    assert!(
        ran.err.starts_with("error: doorward is not running\n"),
        "{}",
        ran.err
    );
}
