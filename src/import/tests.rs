use serde_json::json;

use super::*;

/// A home with one file.
fn home(file: &str, text: &str) -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join(file);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    std::fs::write(path, text).expect("written");
    let home = Home {
        home: folder.path().to_owned(),
        config: folder.path().join(".config"),
        codex: folder.path().join(".codex"),
    };
    (folder, home)
}

fn found(source: Source, file: &str, text: &str) -> Vec<Entry> {
    let (_folder, home) = home(file, text);
    entries(source, &home).expect("readable")
}

/// Name and address of each.
fn addresses(entries: &[Entry]) -> Vec<(&str, &str)> {
    entries
        .iter()
        .map(|it| (it.name.as_str(), it.url.as_str()))
        .collect()
}

fn judged(entries: &[Entry]) -> Vec<(String, Verdict)> {
    let known = Known {
        upstreams: vec![("there".to_owned(), "https://there.example/mcp".to_owned())],
        own: "http://127.0.0.1:5177".to_owned(),
    };
    let all = judge(entries, &known);
    all.into_iter().map(|it| (it.name, it.verdict)).collect()
}

fn entry(name: &str, url: &str) -> Entry {
    Entry {
        source: Source::Cursor,
        file: "mcp.json".into(),
        name: name.to_owned(),
        url: url.to_owned(),
        transport: Transport::Http,
        fields: Vec::new(),
        through_command: false,
    }
}

#[test]
fn claude_code_has_servers_of_its_own_and_of_directories() {
    let text = json!({
        "numStartups": 3,
        "mcpServers": {
            "linear": {"type": "http", "url": "https://mcp.linear.app/mcp"},
            "asana": {"type": "sse", "url": "https://mcp.asana.com/x"},
            "local": {"command": "node", "args": ["server.js"]},
            "keyed": {"type": "http", "url": "https://keyed.example/mcp",
                      "headers": {"X-Api-Key": "sk-secret"}},
        },
        "projects": {"/home/ana/web": {"mcpServers": {
            "notion": {"type": "http", "url": "https://mcp.notion.com/mcp"},
        }}},
    });
    let found = found(Source::Claude, ".claude.json", &text.to_string());
    let names: Vec<_> = addresses(&found).into_iter().map(|it| it.0).collect();
    assert_eq!(names, ["asana", "keyed", "linear", "notion"]);
    assert_eq!(found[0].transport, Transport::Sse);
    assert_eq!(found[1].fields, ["X-Api-Key"]);
    assert!(!format!("{found:?}").contains("sk-secret"));
}

#[test]
fn codex_names_variables_and_they_are_secrets() {
    let text = "model = \"x\"\n[mcp_servers.linear]\nurl = \"https://mcp.linear.app/mcp\"\n\
                [mcp_servers.github]\nurl = \"https://api.example/mcp/\"\n\
                bearer_token_env_var = \"GITHUB_PAT\"\n[mcp_servers.here]\ncommand = \"x\"\n";
    let found = found(Source::Codex, ".codex/config.toml", text);
    let expected = [
        ("github", "https://api.example/mcp/"),
        ("linear", "https://mcp.linear.app/mcp"),
    ];
    assert_eq!(addresses(&found), expected);
    assert_eq!(found[0].fields, ["Authorization"]);
}

#[test]
fn comments_and_commas_too_many_are_read_over() {
    let text = "\u{feff}// mine\r\n{\"servers\": {\r\n  /* one */ \"linear\": \
                {\"type\": \"http\", \"url\": \"https://mcp.linear.app/mcp\",},\r\n},}\r\n";
    let file = ".config/Code/User/mcp.json";
    #[cfg(target_os = "macos")]
    let file = "Library/Application Support/Code/User/mcp.json";
    let found = found(Source::VsCode, file, text);
    assert_eq!(
        addresses(&found),
        [("linear", "https://mcp.linear.app/mcp")]
    );
}

#[test]
fn both_forms_of_opencode_are_read() {
    let entry = json!({"type": "remote", "url": "https://a.example/mcp", "enabled": true});
    for document in [
        json!({"mcp": {"a": entry}}),
        json!({"mcp": {"servers": {"a": entry}}}),
    ] {
        for file in ["opencode.json", "opencode.jsonc"] {
            let file = format!(".config/opencode/{file}");
            let found = found(Source::OpenCode, &file, &document.to_string());
            assert_eq!(addresses(&found), [("a", "https://a.example/mcp")]);
        }
    }
}

#[test]
fn a_bare_url_of_gemini_is_the_older_transport() {
    let text = json!({"mcpServers": {
        "new": {"httpUrl": "https://new.example/mcp"},
        "old": {"url": "https://old.example/mcp"},
        "typed": {"url": "https://typed.example/mcp", "type": "http"},
    }});
    let found = found(Source::Gemini, ".gemini/settings.json", &text.to_string());
    let kinds: Vec<_> = found.iter().map(|it| it.transport).collect();
    assert_eq!(kinds, [Transport::Http, Transport::Sse, Transport::Http]);
}

#[test]
fn goose_writes_yaml() {
    let text = "GOOSE_MODEL: x # a note\nextensions:\n  linear:\n    enabled: true\n    \
                type: streamable_http\n    uri: https://mcp.linear.app/mcp\n    headers: {}\n    \
                timeout: 300\n  developer:\n    type: builtin\n    name: developer\n  remote:\n    \
                type: stdio\n    cmd: npx\n    args: [\"-y\", mcp-remote, 'https://r.example/mcp']\n";
    let found = found(Source::Goose, ".config/goose/config.yaml", text);
    let expected = [
        ("linear", "https://mcp.linear.app/mcp"),
        ("remote", "https://r.example/mcp"),
    ];
    assert_eq!(addresses(&found), expected);
    assert!(found[1].through_command);
}

#[test]
fn the_server_behind_mcp_remote_is_found() {
    let server = |words: serde_json::Value| json!({"mcpServers": {"x": words}}).to_string();
    for words in [
        json!({"command": "npx", "args": ["-y", "mcp-remote@latest", "https://x.example/mcp", "9999"]}),
        json!({"command": "cmd", "args": ["/c", "npx", "mcp-remote", "https://x.example/mcp"]}),
        json!({"command": "/opt/bin/mcp-remote", "args": ["--debug", "https://x.example/mcp"]}),
        json!({"command": ["bunx", "mcp-remote@0.1.2", "https://x.example/mcp"]}),
    ] {
        let found = found(Source::Cursor, ".cursor/mcp.json", &server(words.clone()));
        assert_eq!(
            addresses(&found),
            [("x", "https://x.example/mcp")],
            "{words}"
        );
        assert_eq!(judged(&found), [("x".to_owned(), Verdict::New)]);
    }
    let keyed = server(json!({"command": "npx", "args": [
        "mcp-remote", "https://x.example/mcp", "--header", "Authorization: Bearer sk-secret",
    ]}));
    let found = found(Source::Cursor, ".cursor/mcp.json", &keyed);
    assert_eq!(found[0].fields, ["Authorization"]);
    assert!(!format!("{found:?}").contains("sk-secret"));
    assert_eq!(judged(&found), [("x".to_owned(), Verdict::OwnSecret)]);
    let zed = json!({"context_servers": {"z": {
        "command": {"path": "npx", "args": ["mcp-remote", "https://z.example/mcp"]},
    }}});
    let found = self::found(Source::Zed, ".config/zed/settings.json", &zed.to_string());
    assert_eq!(addresses(&found), [("z", "https://z.example/mcp")]);
}

#[test]
fn an_address_that_lets_in_whoever_knows_it_is_left_alone() {
    for url in [
        "https://ana:pass@x.example/mcp",
        "https://x.example/mcp?api_key=1",
        "https://x.example/mcp?profile=a1b2c3d4e5f6a7b8",
        "https://x.example/s/NGE1ZjY3ODktYWJjZC00/mcp",
        "https://x.example/mcp#frag",
    ] {
        let candidates = judge(&[entry("x", url)], &Known::default());
        assert_eq!(candidates[0].verdict, Verdict::SecretAddress, "{url}");
        assert_eq!(candidates[0].shown, "https://x.example/…");
    }
    for (url, verdict) in [
        ("https://x.example/mcp?read_only=true", Verdict::New),
        ("https://x.example/workspaces/engineering/mcp", Verdict::New),
        ("https://${HOST}/mcp", Verdict::Variable),
        ("https://x.example/{env:PART}", Verdict::Variable),
        ("https://x.example/v1/sse", Verdict::Sse),
        ("http://x.example/mcp", Verdict::PlainHttp),
        ("http://localhost:3000/mcp", Verdict::New),
        ("unix:///run/x.sock", Verdict::NoAddress),
        ("nonsense", Verdict::NoAddress),
    ] {
        let expected = [("x".to_owned(), verdict)];
        assert_eq!(judged(&[entry("x", url)]), expected, "{url}");
    }
}

#[test]
fn each_server_is_one_candidate_with_a_name_of_its_own() {
    let mut second = entry("other", "https://a.example/mcp");
    second.source = Source::Codex;
    let entries = [
        entry("Linear (prod)", "https://a.example/mcp"),
        second,
        entry("there", "https://another.example/mcp"),
        entry("known", "https://there.example/mcp"),
        entry("日本", "https://jp.example/mcp"),
        entry("ours", "http://127.0.0.1:5177/u/linear"),
    ];
    let known = Known {
        upstreams: vec![("there".to_owned(), "https://there.example/mcp".to_owned())],
        own: "http://127.0.0.1:5177".to_owned(),
    };
    let all = judge(&entries, &known);
    let names: Vec<_> = all
        .iter()
        .map(|it| (it.name.as_str(), it.verdict))
        .collect();
    let expected = [
        ("linear--prod", Verdict::New),
        ("there-2", Verdict::New),
        ("there", Verdict::Known),
        ("server", Verdict::New),
    ];
    assert_eq!(names, expected);
    assert_eq!(all[0].sources, [Source::Cursor, Source::Codex]);
}

#[test]
fn a_broken_file_is_told_by_its_place_alone() {
    for (source, file, text, at) in [
        (
            Source::Cursor,
            ".cursor/mcp.json",
            "{\"a\": sk-secret",
            Some(1),
        ),
        (
            Source::Codex,
            ".codex/config.toml",
            "a = 1\nkey = sk-secret\n",
            Some(2),
        ),
        (
            Source::Goose,
            ".config/goose/config.yaml",
            "a: [\n  sk-secret: }\n",
            Some(3),
        ),
    ] {
        let (_folder, home) = home(file, text);
        let error = entries(source, &home).expect_err("broken");
        assert_eq!(error.at.map(|at| at.0), at, "{error:?}");
        assert!(!format!("{error:?}").contains("secret"));
    }
    let (folder, home) = home("x", "");
    std::fs::create_dir_all(folder.path().join(".claude.json")).expect("made");
    let error = entries(Source::Claude, &home).expect_err("a directory");
    assert_eq!(error.at, None);
    for source in Source::ALL {
        let nothing = if source == Source::Claude {
            continue;
        } else {
            source
        };
        assert_eq!(entries(nothing, &home), Ok(Vec::new()));
    }
}
