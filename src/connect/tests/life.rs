//! What happens to entries between `connect` and `disconnect`: the person changes them, the client
//! writes its file anew, other entries are wanted, and names were taken before.

use serde_json::Value;

use super::super::plan::Operation;
use super::golden::rewritten;
use super::*;

fn operations(plan: &Plan) -> Vec<(&str, Operation)> {
    let changes = plan.changes.iter();
    changes.map(|it| (it.name.as_str(), it.operation)).collect()
}

const TAKEN: [(Client, &str); 5] = [
    (
        Client::Claude,
        "{\n  \"mcpServers\": {\n    \"linear\": {\"type\": \"sse\",   \"url\": \"https://mcp.linear.app/sse\"}\n  }\n}\n",
    ),
    (
        Client::Codex,
        "[mcp_servers.linear]\nurl = 'https://mcp.linear.app/mcp' # mine\n\n[mcp_servers.linear.http_headers]\nX = 'y'\n\n[z]\na = 1\n",
    ),
    (
        Client::Codex,
        "[mcp_servers]\nlinear = { url = 'https://mcp.linear.app/mcp' } # mine\n",
    ),
    (
        Client::Goose,
        "extensions:\n  linear: # mine\n    type: streamable_http\n    uri: https://mcp.linear.app/mcp # there\n  # end\nz: 1\n",
    ),
    (
        Client::Goose,
        "extensions: {linear: {uri: 'https://mcp.linear.app/mcp'}, z: {}}\n",
    ),
];

#[test]
fn an_entry_of_that_name_is_kept() {
    for (client, text) in TAKEN {
        let plan = connected(client, client.facts().modes[0], Some(text));
        assert!(
            operations(&plan).contains(&("linear", Operation::Foreign)),
            "{client:?}"
        );
        assert!(plan.ours.entries.iter().all(|kept| kept.name != "linear"));
        assert_eq!(
            undone(client, plan.text.as_deref(), &plan).as_deref(),
            Some(text)
        );
    }
}

#[test]
fn an_entry_of_that_name_gives_way_where_asked_and_comes_back() {
    for (client, text) in TAKEN {
        for mode in client.facts().modes {
            let entries = entries(client, *mode);
            let wish = Wish {
                replace: true,
                ..wish(client, &entries)
            };
            let plan = connect(Some(text), None, &wish).expect("it can be written");
            assert!(
                operations(&plan).contains(&("linear", Operation::Replace)),
                "{client:?}"
            );
            let new = plan.text.as_deref().expect("a file");
            assert!(!new.contains("mcp.linear.app"), "{new}");
            assert_eq!(undone(client, Some(new), &plan).as_deref(), Some(text));
        }
    }
}

#[test]
fn what_the_person_put_into_our_entry_goes_with_it() {
    let plan = connected(Client::Codex, Mode::Bridge, Some("a = 1\n"));
    let now = plan.text.clone().expect("a file")
        + "\n[mcp_servers.linear.tools.search]\napproval_mode = \"approve\"\n\n[mine]\nb = 1\n";
    let back = undone(Client::Codex, Some(&now), &plan);
    assert_eq!(back.as_deref(), Some("a = 1\n\n\n[mine]\nb = 1\n"));
    // And it stays where the same is wanted again.
    let entries = entries(Client::Codex, Mode::Bridge);
    let again = connect(Some(&now), Some(&plan.ours), &wish(Client::Codex, &entries));
    assert_eq!(
        again.expect("it can be read").text.as_deref(),
        Some(now.as_str())
    );
}

#[test]
fn an_entry_that_leads_elsewhere_by_now_is_the_persons() {
    let plan = connected(Client::Cursor, Mode::Env, None);
    let text = plan.text.as_deref().expect("a file");
    let now = text.replace(
        "http://127.0.0.1:5177/u/linear",
        "https://mcp.linear.app/mcp",
    );
    let undone = disconnect(Some(&now), Client::Cursor.facts().format, &plan.ours);
    let undone = undone.expect("it can be undone");
    assert_eq!(
        operations(&undone),
        [
            ("notion-work", Operation::Remove),
            ("linear", Operation::Foreign)
        ]
    );
    let left = undone.text.expect("a file");
    assert!(
        left.contains("mcp.linear.app") && !left.contains("notion"),
        "{left}"
    );
}

#[test]
fn a_client_that_writes_its_file_anew_loses_ours_all_the_same() {
    for (name, client, mode, old) in super::golden::all() {
        let plan = connected(client, mode, old.as_deref());
        let format = client.facts().format;
        let body = |text: &str| text.trim_start_matches('\u{feff}').to_owned();
        let before = format
            .read(&body(&old.unwrap_or_default()))
            .expect("readable");
        let means = format
            .read(&body(plan.text.as_deref().expect("a file")))
            .expect("readable");
        let anew = match format {
            // JSON is YAML, too.
            Format::Json { .. } | Format::Yaml => serde_json::to_string_pretty(&means),
            Format::Toml => Ok(::toml::to_string(&means).expect("a table")),
        };
        let anew = anew.expect("a document") + "\n";
        let back = undone(client, Some(&anew), &plan).unwrap_or_default();
        let back = format.read(&back).expect("readable");
        let path = client.facts().path[0];
        let strip = |mut value: Value| {
            if value[path]
                .as_object()
                .is_none_or(serde_json::Map::is_empty)
            {
                value.as_object_mut().expect("a map").remove(path);
            }
            value
        };
        assert_eq!(strip(back), strip(before), "{name}");
    }
}

#[test]
fn what_is_not_wanted_any_more_goes_and_the_rest_stays() {
    for (name, client, mode, old) in super::golden::all() {
        let plan = connected(client, mode, old.as_deref());
        let entries = entries(client, mode);
        let only = Wish {
            entries: &entries[1..],
            ..wish(client, &entries)
        };
        let next = connect(plan.text.as_deref(), Some(&plan.ours), &only).expect("written");
        assert!(
            operations(&next).contains(&("linear", Operation::Remove)),
            "{name}"
        );
        let more = Wish {
            entries: &entries[..1],
            only_these: false,
            ..only
        };
        let both = connect(next.text.as_deref(), Some(&next.ours), &more).expect("written");
        assert_eq!(operations(&both), [("linear", Operation::Add)], "{name}");
        let back = undone(client, both.text.as_deref(), &both);
        assert_eq!(back, old, "{name}");
    }
}

#[test]
fn a_first_server_of_the_persons_beside_ours_stays_readable() {
    let old = "{\n  \"mcpServers\": {}\n}\n";
    let plan = connected(Client::Claude, Mode::Helper, Some(old));
    let text = plan.text.as_deref().expect("a file");
    for (from, to) in [
        ("    }\n  }\n}", "    },\n    \"mine\": {}\n  }\n}"),
        ("{\n    \"linear\"", "{\n    \"mine\": {},\n    \"linear\""),
    ] {
        assert_eq!(text.matches(from).count(), 1);
        let now = text.replacen(from, to, 1);
        let back = undone(Client::Claude, Some(&now), &plan);
        let expected = "{\n  \"mcpServers\": {\n    \"mine\": {}\n  }\n}\n";
        assert_eq!(back.as_deref(), Some(expected));
    }
}

#[test]
fn a_file_that_went_meanwhile_is_begun_anew() {
    let plan = connected(Client::Goose, Mode::Bridge, Some("a: 1\n"));
    assert_eq!(undone(Client::Goose, None, &plan), None);
    let entries = entries(Client::Goose, Mode::Bridge);
    let wish = wish(Client::Goose, &entries);
    let again = connect(None, Some(&plan.ours), &wish).expect("written");
    assert_eq!(undone(Client::Goose, again.text.as_deref(), &again), None);
}

#[test]
fn a_map_in_block_form_without_its_last_pair_is_still_a_map() {
    let plan = connected(
        Client::Goose,
        Mode::Bridge,
        Some("extensions:\n  mine: {}\nz: 1\n"),
    );
    let now = plan
        .text
        .clone()
        .expect("a file")
        .replace("  mine: {}\n", "");
    let back = undone(Client::Goose, Some(&now), &plan);
    assert_eq!(back.as_deref(), Some("extensions: {}\nz: 1\n"));
}

#[test]
fn what_comes_back_ends_its_lines_as_the_file_does_by_then() {
    // An editor of another system writes all lines anew.
    for (client, text) in TAKEN {
        let mode = client.facts().modes[0];
        for (first, then) in [(LineEnd::Unix, LineEnd::Dos), (LineEnd::Dos, LineEnd::Unix)] {
            let old = rewritten(text, first, false);
            let entries = entries(client, mode);
            let wish = Wish {
                replace: true,
                ..wish(client, &entries)
            };
            let plan = connect(Some(&old), None, &wish).expect("it can be written");
            let now = rewritten(plan.text.as_deref().expect("a file"), then, true);
            let back = undone(client, Some(&now), &plan);
            assert_eq!(back, Some(rewritten(text, then, true)), "{client:?}");
        }
    }
}

#[test]
fn lines_that_end_differently_in_one_file_stay_so() {
    let old = "{\r\n  \"a\": 1,\n  \"mcpServers\": {\n\n  }\r\n}\n";
    let plan = connected(Client::Claude, Mode::Bridge, Some(old));
    let back = undone(Client::Claude, plan.text.as_deref(), &plan);
    assert_eq!(back.as_deref(), Some(old));
}
