//! Texts that cannot be read, and forms that nothing is put into: the place is told, and no text
//! comes back.

use super::*;

fn refused(client: Client, text: &str) -> String {
    let mode = client.facts().modes[0];
    let entries = entries(client, mode);
    let refused = connect(Some(text), None, &wish(client, &entries));
    refused.expect_err("it is refused").to_string()
}

#[test]
fn what_a_client_could_not_read_is_refused_with_its_place() {
    for (client, text, place) in [
        (Client::Claude, "{\n  \"a\": 1\n  \"b\": 2\n}", "2:9: "),
        (Client::Claude, "{\n  // no comments here\n}", "2:3: "),
        (Client::ClaudeDesktop, "{\"a\": [1,],\n}", "1:9: "),
        (Client::Gemini, "{ // fine\n  \"a\": 1,\n}", "2:9: "),
        (Client::Zed, "{ 'a': 1 }", "1:3: "),
        (Client::VsCode, "{}\n{}", "2:1: "),
        (Client::Codex, "a = 1\nb = \n", "2:"),
        (Client::Codex, "é = 1\n", "1:1: "),
        (Client::Goose, "a: 1\n b: 2\n", "2:"),
        (Client::Goose, "a: [1\n", "2:1: "),
    ] {
        let told = refused(client, text);
        assert!(told.starts_with(place), "{client:?} {text:?}: {told}");
    }
}

#[test]
fn what_holds_no_servers_is_refused_with_its_place() {
    for (client, text, told) in [
        (
            Client::Claude,
            "[]",
            "1:1: this is no object, and servers belong in one",
        ),
        (
            Client::Claude,
            "{\n  \"mcpServers\": []\n}",
            "2:17: this is no object, and servers belong in one",
        ),
        (
            Client::Claude,
            "{\"mcpServers\": null}",
            "1:16: this is no object, and servers belong in one",
        ),
        (
            Client::Codex,
            "mcp_servers = 1\n",
            "1:15: this is no table, and servers belong in one",
        ),
        (
            Client::Goose,
            "extensions: []\n",
            "1:13: this is no map, and extensions belong in one",
        ),
        (
            Client::Goose,
            "extensions: &all\n  a: {}\n",
            "1:13: this map has an anchor or a tag, and nothing is added to it",
        ),
        (
            Client::Goose,
            "a: 1\n---\nb: 1\n",
            "2:1: a second document begins here",
        ),
    ] {
        assert_eq!(refused(client, text), told, "{client:?} {text:?}");
    }
}

#[test]
fn a_table_that_is_closed_to_additions_is_left_alone() {
    // The dotted key closes the table (TOML 1.0, Table).
    let text = "[mcp_servers]\nlinear.command = 'x'\n";
    let entries = entries(Client::Codex, Mode::Bridge);
    let wish = Wish {
        replace: true,
        ..wish(Client::Codex, &entries)
    };
    let told = connect(Some(text), None, &wish).expect_err("it is refused");
    let expected = "2:1: this entry is written with dotted keys; change it by hand";
    assert_eq!(told.to_string(), expected);
}

#[test]
fn odd_forms_get_their_entries_and_lose_them_again() {
    for (client, text) in [
        (Client::Claude, "{}"),
        (Client::Claude, "{ }\n"),
        (Client::Claude, "\u{feff}{}\r\n"),
        (Client::Claude, "  \n"),
        (Client::Claude, "{\"mcpServers\":\n{\n}}"),
        (
            Client::Claude,
            "{\"mcpServers\": {}, \"mcpServers\": {\"mine\": {}}}",
        ),
        (Client::Zed, "// nothing but a comment"),
        (
            Client::Zed,
            "{ /* a */ \"context_servers\" /* b */ : /* c */ { /* d */ } /* e */ }",
        ),
        (
            Client::Zed,
            "{\"context_servers\": {\"mine\": {} /* , */ /* } */ , /* last */}}",
        ),
        (
            Client::Zed,
            "{\"context_servers\": {\n  \"mine\": {}, // , }\n  // \"old\": {},\n}}",
        ),
        (
            Client::Zed,
            "{\"context_servers\": {\n  \"mine\": {} /* to\n the end */ }}",
        ),
        (Client::Codex, "\n"),
        (Client::Codex, "# nothing but a comment"),
        (Client::Codex, "a = 1\n\n\n"),
        (Client::Codex, "mcp_servers = {}\n"),
        (Client::Codex, "mcp_servers.mine.command = \"x\"\n"),
        (
            Client::Codex,
            "[mcp_servers]\nmine = { command = \"x\" }\n\n[z]\n",
        ),
        (
            Client::Codex,
            "[mcp_servers]\n[[more]]\na = '''\n[mcp_servers.linear]\n'''\n",
        ),
        (Client::Goose, "---\nGOOSE_MODEL: x\n"),
        (Client::Goose, "extensions:\n"),
        (Client::Goose, "extensions:   # none\nz: 1\n"),
        (
            Client::Goose,
            "{extensions: {mine: {enabled: true}}, z: 1}\n",
        ),
        (
            Client::Goose,
            "\"extensions\" :\n    mine: &m {a: 1}\n    yours: *m\n",
        ),
        (
            Client::Goose,
            "extensions:\n  mine:\n    d: |+\n      x\n\n\nz: 1\n",
        ),
        (Client::Goose, "# only\n# comments\n"),
    ] {
        for mode in client.facts().modes {
            let plan = connected(client, *mode, Some(text));
            let back = undone(client, plan.text.as_deref(), &plan);
            assert_eq!(back.as_deref(), Some(text), "{client:?} {:?}", plan.text);
        }
    }
}
