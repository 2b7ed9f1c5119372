//! Lists that are meant to do harm.

use super::*;

fn refused(server: &Server, answer: &str) -> String {
    let error = server
        .observe(
            PageRef::FromStart,
            &Variant::unknown(),
            &mut Tape::new(),
            answer.as_bytes(),
        )
        .expect_err("it is refused");
    error.to_string()
}

#[test]
fn a_hundred_thousand_tools() {
    let place = Place::new();
    let server = place.server();
    let tools: Vec<String> = (0..100_000).map(|n| tool(&format!("t{n}"), "one")).collect();
    assert!(
        refused(&server, &answer(&tools, None)).starts_with("the server `srv` lists more than 4096 tools")
    );
    assert_eq!(server.state("t0"), State::Unknown, "nothing was recorded");
    place.sync();
    assert!(!place.file().exists());
}

#[test]
fn tools_without_end() {
    let place = Place::new();
    let server = place.server();
    let page = |n: usize| -> Vec<String> { (0..100).map(|m| tool(&format!("t{n}-{m}"), "one")).collect() };
    observe(&server, PageRef::FromStart, &answer(&page(0), Some("1")));
    for n in 1..40 {
        observe(
            &server,
            PageRef::At(&n.to_string()),
            &answer(&page(n), Some(&(n + 1).to_string())),
        );
    }
    let next = answer(&page(40), Some("41"));
    let error = server.observe(
        PageRef::At("40"),
        &Variant::unknown(),
        &mut Tape::new(),
        next.as_bytes(),
    );
    assert!(matches!(error, Err(PinsError::TooManyTools { .. })), "{error:?}");
    assert_eq!(
        states(&server, ["t39-99", "t40-0"]),
        [State::Pinned, State::Unknown]
    );
}

#[test]
fn new_names_in_every_list_take_no_more_room() {
    let place = Place::new();
    let server = place.server();
    list(&server, &[tool("a", "one")]);
    for n in 0..30 {
        let names: Vec<String> = (0..200).map(|m| format!("t{n}-{m}")).collect();
        let tools: Vec<String> = names.iter().map(|name| tool(name, "one")).collect();
        let seen = list(&server, &tools);
        assert!(names.iter().all(|name| !seen.shows(name)), "{n}");
    }
    place.sync();
    let reviewed = place.reviewed();
    assert!(reviewed.len() <= 4096, "{}", reviewed.len());
    assert_eq!(server.state("a"), State::Pinned);
    assert!(
        reviewed.iter().any(|(name, _)| name == "t29-199"),
        "the last list is there to be accepted"
    );
    assert_eq!(server.state("t0-0"), State::New);
}

#[test]
fn schemas_of_fifty_megabytes() {
    let place = Place::new();
    let server = place.server();
    let huge = [tool("a", "one"), tool("b", &"x".repeat(50 << 20))];
    assert!(refused(&server, &answer(&huge, None)).starts_with("the definition of the tool `b`"));
    let many: Vec<String> = (0..200)
        .map(|n| tool(&format!("t{n}"), &"x".repeat(100 << 10)))
        .collect();
    assert!(
        refused(&server, &answer(&many, None)).starts_with("the tools of the server `srv` have more than")
    );
    assert_eq!(states(&server, ["a", "t0"]), [State::Unknown; 2]);
    let left_out = format!(r#"{{"name":"a","_meta":"{}"}}"#, "x".repeat(1 << 20));
    list(&server, &[left_out]);
    assert_eq!(
        server.state("a"),
        State::Pinned,
        "what is not recorded needs no room"
    );
}

#[test]
fn answers_that_two_readers_read_differently() {
    let place = Place::new();
    let server = place.server();
    for text in [
        r#"{"result":{"tools":[],"tools":[{"name":"a"}]}}"#,
        r#"{"result":{"tools":[],"Tools":[{"name":"a"}]}}"#,
        r#"{"result":{"tools":[{"name":"a","description":"x","description":"y"}]}}"#,
        r#"[{"result":{"tools":[]}}]"#,
        r#"{"result":{"tools":[{"name":"\ud800"}]}}"#,
        "{",
    ] {
        refused(&server, text);
        assert_eq!(server.state("a"), State::Unknown, "{text}");
    }
}

#[test]
fn depth_does_not_overflow_the_stack() {
    let place = Place::new();
    let server = place.server();
    let nested = |depth: usize| format!(r#"{{"name":"a","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    refused(&server, &answer(&[nested(100_000)], None));
    // As deep as an answer may be: it comes back from the file, too.
    list(&server, &[nested(500)]);
    place.sync();
    assert_eq!(place.opened_again().server().state("a"), State::Pinned);
}

#[test]
fn nesting_is_not_multiplied_for_people() {
    let place = Place::new();
    let server = place.server();
    let many = "0,".repeat(10_000) + "0";
    let deep = format!("{}{many}{}", "[".repeat(400), "]".repeat(400));
    let said = format!(r#"{{"name":"a","x":{deep}}}"#);
    list(&server, std::slice::from_ref(&said));
    place.sync();
    let servers = review::read(&place.path(), Some("srv")).expect("readable");
    let members = servers[0].tools[0].pinned[0].record.definition.members();
    let shown: usize = members.expect("valid").iter().map(|(_, text)| text.len()).sum();
    assert!(shown < 20 * said.len(), "{shown} characters of {}", said.len());
}

#[test]
fn names_that_are_no_names() {
    let place = Place::new();
    let server = place
        .pins
        .server("../../etc/p\0", Endpoint::url(URL), Mode::Enforce)
        .expect("readable");
    let name = r"a\u0000\n/../\u202e";
    list(&server, &[tool(name, "one")]);
    assert_eq!(server.state("a\0\n/../\u{202e}"), State::Pinned);
    place.sync();
    let files: Vec<_> = std::fs::read_dir(place.path()).expect("a folder").collect();
    assert_eq!(files.len(), 2, "the lock and one file: {files:?}");
    let again = place.opened_again();
    let server = again
        .pins
        .server("../../etc/p\0", Endpoint::url(URL), Mode::Enforce)
        .expect("readable");
    assert_eq!(server.state("a\0\n/../\u{202e}"), State::Pinned);
}

#[test]
fn cursors_without_end_do_not_grow() {
    let place = Place::new();
    let server = place.server();
    for n in 0..3000 {
        observe(
            &server,
            PageRef::FromStart,
            &answer(&[tool("a", "one")], Some(&format!("c{n}"))),
        );
    }
    observe(&server, PageRef::At("c2999"), &answer(&[tool("b", "two")], None));
    assert_eq!(states(&server, ["b", "c"]), [State::Pinned, State::New]);
}
