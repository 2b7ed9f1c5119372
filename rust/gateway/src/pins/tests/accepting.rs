//! Accepting definitions.

use super::*;

#[test]
fn accepting_takes_effect_in_a_process_that_runs() {
    let place = Place::new();
    let server = place.server();
    list(&server, &[tool("a", "one"), tool("b", "two")]);
    list(
        &server,
        &[tool("a", "evil"), tool("b", "evil"), tool("c", "three")],
    );
    place.sync();
    let accepted = || {
        let servers = review::read(&place.path(), Some("srv")).expect("readable");
        servers[0].tools[0]
            .pinned
            .last()
            .expect("it was accepted")
            .record
            .digest
    };
    let first = accepted();
    let names = ["a".to_owned()];
    let one = Accept {
        tools: Some(&names),
        ..Accept::default()
    };
    assert_eq!(place.accept(&one), ["a"]);
    place.sync();
    assert_eq!(
        states(&server, ["a", "b", "c"]),
        [State::Pinned, State::Changed, State::New]
    );
    assert_ne!(accepted(), first);
    assert_eq!(place.accept(&one), [""; 0], "it is accepted already");
    assert_eq!(place.accept(&Accept::default()), ["b", "c"]);
    place.sync();
    assert_eq!(states(&server, ["a", "b", "c"]), [State::Pinned; 3]);
    let old = list(&server, &[tool("a", "one")]);
    assert_eq!(
        changes(&old),
        [("a", State::Changed)],
        "the older one is not accepted any more"
    );
}

#[test]
fn two_forms_of_a_tool_side_by_side() {
    let place = Place::new();
    let server = place.server();
    list(&server, &[tool("a", "one")]);
    list(&server, &[tool("a", "two")]);
    place.sync();
    let both = Accept {
        keeps_others: true,
        ..Accept::default()
    };
    assert_eq!(place.accept(&both), ["a"]);
    place.sync();
    for form in ["one", "two"] {
        assert!(list(&server, &[tool("a", form)]).shows("a"), "{form}");
        assert_eq!(server.state("a"), State::Pinned, "{form}");
    }
    for n in 0..7 {
        list(&server, &[tool("a", &format!("more {n}"))]);
        place.sync();
        let accepted = review::accept(&place.path(), "srv", &both);
        assert_eq!(accepted.is_ok(), n < 6, "{accepted:?}");
        place.sync();
    }
}

#[test]
fn only_what_was_reviewed_is_accepted() {
    let place = Place::new();
    let server = place.server();
    list(&server, &[tool("a", "one")]);
    let seen = list(&server, &[tool("a", "two")]);
    let digest = seen.changes.first().expect("it changed").digest.to_string();
    list(&server, &[tool("a", "evil")]);
    place.sync();
    let names = ["a".to_owned()];
    let reviewed = Accept {
        tools: Some(&names),
        digest: digest.get(..12),
        ..Accept::default()
    };
    let error = review::accept(&place.path(), "srv", &reviewed);
    assert!(matches!(error, Err(PinsError::AnotherDigest { .. })), "{error:?}");
    list(&server, &[tool("a", "two")]);
    place.sync();
    assert_eq!(place.accept(&reviewed), ["a"]);
    assert_eq!(place.accept(&reviewed), [""; 0]);
    list(&server, &[tool("a", "one")]);
    list(&server, &[tool("a", "two")]);
    place.sync();
    let other = Accept {
        digest: Some("0000"),
        ..reviewed
    };
    assert!(
        review::accept(&place.path(), "srv", &other).is_err(),
        "it is not the accepted one either"
    );
    let unknown = ["b".to_owned()];
    let error = review::accept(
        &place.path(),
        "srv",
        &Accept {
            tools: Some(&unknown),
            ..Accept::default()
        },
    );
    assert!(matches!(error, Err(PinsError::UnknownTool { .. })), "{error:?}");
}

#[test]
fn what_is_accepted_is_what_the_file_said_not_what_comes_next() {
    let place = Place::new();
    let server = place.server();
    list(&server, &[tool("a", "one")]);
    list(&server, &[tool("a", "two")]);
    place.sync();
    // The server goes on between the look and the acceptance, and again before it is read.
    list(&server, &[tool("a", "evil")]);
    assert_eq!(place.accept(&Accept::default()), ["a"]);
    place.sync();
    assert_eq!(server.state("a"), State::Changed);
    place.sync();
    assert_eq!(place.reviewed(), [("a".to_owned(), State::Changed)]);
    list(&server, &[tool("a", "two")]);
    assert_eq!(server.state("a"), State::Pinned);
}

#[test]
fn a_reset_begins_anew() {
    let place = Place::new();
    let server = place.server();
    list(&server, &[tool("a", "one")]);
    list(&server, &[tool("a", "evil")]);
    place.sync();
    review::reset(&place.path(), "srv").expect("there is something");
    assert!(matches!(
        review::reset(&place.path(), "srv"),
        Err(PinsError::UnknownServer { .. })
    ));
    place.sync();
    assert_eq!(states(&server, ["a", "b"]), [State::Unknown; 2]);
    list(&server, &[tool("a", "evil")]);
    assert_eq!(states(&server, ["a", "b"]), [State::Pinned, State::New]);
}

#[test]
fn two_gateways_share_a_folder() {
    let place = Place::new();
    let other = place.opened_again();
    let (here, there) = (place.server(), other.server());
    list(&here, &[tool("a", "one")]);
    list(&there, &[tool("a", "evil"), tool("b", "two")]);
    place.sync();
    other.sync();
    assert_eq!(there.state("a"), State::Changed, "who wrote first was first");
    assert_eq!(there.state("b"), State::New);
    other.sync();
    place.sync();
    assert_eq!(
        place.reviewed(),
        [("a".to_owned(), State::Changed), ("b".to_owned(), State::New)]
    );
    assert_eq!(place.accept(&Accept::default()), ["a", "b"]);
    place.sync();
    other.sync();
    assert_eq!(there.state("a"), State::Pinned);
    assert_eq!(
        here.state("a"),
        State::Pinned,
        "what was accepted is what was listed last"
    );
    list(&here, &[tool("a", "one")]);
    assert_eq!(here.state("a"), State::Changed, "it is told the first one");
}

#[test]
fn a_saved_list_is_a_whole_one() {
    let place = Place::new();
    let server = place.server();
    let saved = |text: &str| server.observe_whole(&Variant::unknown(), &mut Tape::new(), text.as_bytes());
    let tools = format!("[{},{}]", tool("a", "one"), tool("b", "two"));
    for (text, expected) in [
        (
            format!(r#"{{"tools":{tools},"nextCursor":"2"}}"#),
            "the list goes on at its `nextCursor`",
        ),
        (
            r#"{"content":[]}"#.to_owned(),
            "expected an answer to `tools/list`",
        ),
        (tools.clone(), "expected an answer to `tools/list`"),
        (r#"{"tools":{}}"#.to_owned(), "`result.tools` has the wrong type"),
    ] {
        let error = saved(&text).expect_err(&text).to_string();
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(server.state("a"), State::Unknown);
    }
    assert_eq!(
        saved(&format!(r#"{{"tools":{tools}}}"#)).expect("a list"),
        Observation::default()
    );
    assert_eq!(
        states(&server, ["a", "b", "c"]),
        [State::Pinned, State::Pinned, State::New]
    );
    let seen = saved(&answer(&[tool("a", "evil")], None)).expect("an answer");
    assert_eq!(changes(&seen), [("a", State::Changed)]);
}

#[test]
fn an_approval_is_for_all_accepted_forms_or_under_report_for_the_last_one() {
    let place = Place::new();
    let (server, report) = (place.server(), place.server_at(URL, Mode::Report));
    let unknown = server.digest("a");
    assert!(unknown.is_some(), "no door that pins nothing has the same");
    list(&server, &[tool("a", "one")]);
    let (one, listed_one) = (server.digest("a"), report.digest("a"));
    assert!(
        one != unknown && listed_one == one,
        "one form is accepted, and was listed last"
    );
    list(&server, &[tool("a", "two")]);
    assert_eq!(server.digest("a"), one, "what is not accepted does not count");
    assert_ne!(report.digest("a"), listed_one);
    place.sync();
    place.accept(&Accept::default());
    place.sync();
    assert_ne!(server.digest("a"), one);
    assert_eq!(place.server_at(URL, Mode::Off).digest("a"), None);
}
