//! `upstream import`: what a person's agent programs have becomes upstreams, and no secret of it is
//! shown or copied.

use serde_json::{Value, json};

use super::{Home, run};

const SECRET: &str = "sk-never-to-be-seen-1234";

/// A home in which four programs have servers.
fn home() -> Home {
    let home = Home::new();
    let claude = json!({"mcpServers": {
        "linear": {"type": "http", "url": "https://mcp.linear.app/mcp"},
        "github": {"type": "http", "url": "https://api.example/mcp",
                   "headers": {"Authorization": format!("Bearer {SECRET}")}},
        "zap": {"type": "http", "url": format!("https://zap.example/s/{SECRET}/mcp")},
    }});
    home.write(".claude.json", &claude.to_string());
    let cursor = json!({"mcpServers": {
        "Linear": {"url": "https://mcp.linear.app/mcp"},
        "docs": {"url": "https://docs.example/mcp", "headers": {"X-Team": SECRET}},
    }});
    home.write(".cursor/mcp.json", &cursor.to_string());
    home.write(
        ".codex/config.toml",
        "[mcp_servers.notion]\ncommand = \"npx\"\nargs = [\"mcp-remote\", \"https://mcp.notion.com/mcp\"]\n",
    );
    home
}

fn import(home: &Home, words: &[&str]) -> super::Ran {
    run(home.doorward().args(["upstream", "import"]).args(words))
}

fn config(home: &Home) -> String {
    std::fs::read_to_string(home.path("state/config.toml")).unwrap_or_default()
}

#[test]
fn what_is_there_is_shown_and_nothing_is_done() {
    let home = home();
    let shown = import(&home, &["--dry-run"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for words in [
        "linear  https://mcp.linear.app/mcp",
        "claude, cursor",
        "codex, mcp-remote",
        "without its header fields: X-Team",
        "has a secret of its own, which is not taken over (Authorization)",
        "https://zap.example/…",
    ] {
        assert!(shown.out.contains(words), "{words} is not in {}", shown.out);
    }
    assert!(!shown.out.contains(SECRET) && !shown.err.contains(SECRET));
    assert_eq!(config(&home), "");
    let listed = import(&home, &["--dry-run", "--from", "mcp-remote", "-o", "name"]);
    assert_eq!(listed.out, "notion\n");
    let listed = import(
        &home,
        &["--dry-run", "--from", "cursor,codex", "-o", "name"],
    );
    assert_eq!(listed.out, "notion\nlinear\ndocs\n");
    let document = import(&home, &["--dry-run", "--json"]);
    let document: Value = serde_json::from_str(&document.out).expect("one document");
    assert_eq!(document["schema"], "doorward/import/v1");
    assert_eq!(document["items"].as_array().map(Vec::len), Some(5));
    assert!(!document.to_string().contains(SECRET));
}

#[test]
fn what_is_chosen_is_added() {
    let home = home();
    // Nobody can be asked, so that the flag is named and nothing is done.
    let asked = import(&home, &[]);
    assert_eq!(asked.code, 6, "{}", asked.err);
    assert!(
        asked.err.contains("doorward upstream import linear"),
        "{}",
        asked.err
    );
    assert_eq!(config(&home), "");
    let one = import(&home, &["notion"]);
    assert_eq!(one.code, 0, "{}", one.err);
    assert!(one.out.contains("Added notion"), "{}", one.out);
    assert!(one.err.contains("doorward login notion"), "{}", one.err);
    assert!(config(&home).contains("[upstreams.notion]\nurl = \"https://mcp.notion.com/mcp\""));
    let all = import(&home, &["--all", "--json"]);
    let document: Value = serde_json::from_str(&all.out).expect("one document");
    let items = document["items"].as_array().expect("a list").iter();
    let added: Vec<_> = items.filter(|it| it["added"] == true).collect();
    let names: Vec<_> = added.iter().map(|it| it["name"].as_str()).collect();
    assert_eq!(names, [Some("linear"), Some("docs")]);
    let again = import(&home, &["--yes"]);
    assert_eq!(again.code, 0, "{}", again.err);
    assert!(
        again.out.contains("is an upstream already"),
        "{}",
        again.out
    );
    assert!(!again.out.contains("Added"), "{}", again.out);
    let config = config(&home);
    assert_eq!(config.matches("url = ").count(), 3, "{config}");
    assert!(
        !config.contains(SECRET) && !config.contains("zap"),
        "{config}"
    );
    let checked = run(home.doorward().args(["config", "check"]));
    assert_eq!(checked.code, 0, "{}", checked.err);
}

#[test]
fn what_cannot_be_taken_over_says_why() {
    let home = home();
    for (name, why) in [
        ("github", "has a secret of its own"),
        ("zap", "may hold a secret"),
    ] {
        let refused = import(&home, &[name]);
        assert_eq!(refused.code, 6, "{}", refused.err);
        assert!(refused.err.contains(why), "{}", refused.err);
    }
    let unknown = import(&home, &["linaer"]);
    assert_eq!(unknown.code, 5);
    assert!(
        unknown.err.contains("did you mean linear?"),
        "{}",
        unknown.err
    );
    assert_eq!(config(&home), "");
}

#[test]
fn a_broken_file_of_one_program_is_in_nobody_elses_way() {
    let home = home();
    home.write(".cursor/mcp.json", &format!("{{\n  \"a\": {SECRET}"));
    let shown = import(&home, &["--dry-run"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(shown.out.contains("linear"), "{}", shown.out);
    assert!(shown.err.contains("mcp.json:2:"), "{}", shown.err);
    assert!(!shown.err.contains(SECRET), "{}", shown.err);
    let named = import(&home, &["--dry-run", "--from", "cursor"]);
    assert_eq!(named.code, 7, "{}", named.err);
    let empty = run(Home::new().doorward().args(["upstream", "import"]));
    assert_eq!((empty.code, empty.out.as_str()), (0, ""));
    assert!(empty.err.contains("No remote servers"), "{}", empty.err);
}
