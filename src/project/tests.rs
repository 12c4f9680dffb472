use super::*;

fn project(text: &str) -> Result<Project, String> {
    let folder = tempfile::tempdir().expect("a directory");
    std::fs::write(folder.path().join(NAME), text).expect("written");
    let deep = folder.path().join("a/b");
    std::fs::create_dir_all(&deep).expect("made");
    let found = find(&deep).map_err(|error| error.render())?;
    Ok(found.expect("found upwards"))
}

#[test]
fn a_project_is_found_upwards_and_may_say_three_things() {
    let text = "upstreams = [\"linear\", \"notion@work\"]\nlabel = \"web-app\"\nttl = \"2h\"\n";
    let project = project(text).expect("right");
    let names = project.upstreams.as_deref().expect("it says so");
    assert_eq!(names, ["linear", "notion@work"]);
    assert_eq!(project.label.as_deref(), Some("web-app"));
    assert_eq!(project.ttl, Some(Duration::from_hours(2)));
    assert!(project.file.ends_with(NAME));
    assert_eq!(project.within(false).upstreams, project.upstreams);
    assert_eq!(
        project.within(true).upstreams,
        None,
        "a person's word goes first"
    );
    assert_eq!(project.within(true).ttl_s, Some(7200));
}

#[test]
fn what_is_not_said_takes_nothing_away() {
    let empty = project("# nothing\n").expect("right");
    assert_eq!(
        (empty.upstreams, empty.label, empty.ttl),
        (None, None, None)
    );
    let none = project("upstreams = []").expect("right");
    assert_eq!(none.upstreams, Some(Vec::new()), "that is not the same");
}

#[test]
fn whatever_could_add_something_is_a_mistake() {
    for (text, key) in [
        ("url = \"https://evil.example\"", "url"),
        (
            "[upstreams.evil]\nurl = \"https://evil.example/mcp\"",
            "upstreams",
        ),
        (
            "upstreams = [{ name = \"x\", url = \"https://evil.example\" }]",
            "string",
        ),
        ("headers = { \"X\" = \"y\" }", "headers"),
        ("[sessions]\nttl = \"90d\"", "sessions"),
        ("exec = [\"sh\", \"-c\", \"x\"]", "exec"),
        ("[server]\nallow_remote = true", "server"),
        ("default_upstream = \"x\"", "default_upstream"),
        ("max_age = \"off\"", "max_age"),
        ("grant = \"all\"", "grant"),
    ] {
        let said = project(text).expect_err(text);
        assert!(said.contains("-->") && said.contains(key), "{text}: {said}");
    }
}

#[test]
fn mistakes_are_told_at_their_place() {
    let said =
        project("upstreams = [\"https://evil.example\", \"ok\", \"a b\"]\n").expect_err("two");
    assert_eq!(said.matches(".doorward.toml:1:").count(), 2, "{said}");
    for label in ["", "\\u001b[2J", "a\\nb", &"x".repeat(81)] {
        project(&format!("label = \"{label}\"")).expect_err(label);
    }
    for ttl in ["0s", "soon", "-1h", "off"] {
        project(&format!("ttl = \"{ttl}\"")).expect_err(ttl);
    }
    project("ttl = 90").expect_err("no text");
    project("upstreams = ").expect_err("no TOML");
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join(NAME);
    std::fs::create_dir(&path).expect("made");
    let error = find(folder.path()).expect_err("no file");
    assert!(error.render().contains("no file"), "{}", error.render());
    std::fs::remove_dir(&path).expect("ours");
    let size = usize::try_from(LONGEST).expect("it fits") + 1;
    std::fs::write(&path, "#".repeat(size)).expect("written");
    find(folder.path()).expect_err("too long");
    // A project around these tests would be found too.
    std::fs::remove_file(&path).expect("ours");
    assert_eq!(find(folder.path()), Ok(None));
}
