//! The effect of lists on tools.

use std::thread;

use super::*;

#[test]
fn the_first_list_is_accepted_and_later_ones_are_held_against_it() {
    let place = Place::new();
    let server = place.server();
    assert_eq!(states(&server, ["a", "b"]), [State::Unknown; 2]);
    assert_eq!(passes(&server, ["a"]), [true], "nothing is known of it yet");

    let first = list(&server, &[tool("a", "one"), tool("b", "two")]);
    assert_eq!(first, Observation::default());
    assert_eq!(
        states(&server, ["a", "b", "c"]),
        [State::Pinned, State::Pinned, State::New]
    );

    let later = list(
        &server,
        &[tool("a", "one"), tool("b", "evil"), tool("c", "three")],
    );
    assert_eq!(changes(&later), [("b", State::Changed), ("c", State::New)]);
    assert_eq!(shows(&later, ["a", "b", "c"]), [true, false, false]);
    assert_eq!(
        states(&server, ["a", "b", "c"]),
        [State::Pinned, State::Changed, State::New]
    );
    assert_eq!(passes(&server, ["a", "b", "c"]), [true, false, false]);

    let again = list(
        &server,
        &[tool("a", "one"), tool("b", "evil"), tool("c", "three")],
    );
    assert_eq!(changes(&again), [], "that was told before");
    assert_eq!(shows(&again, ["a", "b", "c"]), [true, false, false]);
    let another = list(&server, &[tool("b", "eviler")]);
    assert_eq!(changes(&another), [("b", State::Changed)]);

    // What is accepted is the definition, whatever was listed in between.
    let back = list(&server, &[tool("b", "two")]);
    assert!(back.shows("b") && back.changes.is_empty());
    assert_eq!(server.state("b"), State::Pinned);
    assert_eq!(
        server.state("a"),
        State::Pinned,
        "a tool that is gone stays pinned"
    );
}

#[test]
fn another_endpoint_is_another_server() {
    let place = Place::new();
    let here = place.server();
    list(&here, &[tool("a", "one")]);
    let there = place.server_at("https://elsewhere.example/mcp", Mode::Enforce);
    assert_eq!(there.state("a"), State::Changed, "also before it lists anything");
    assert_eq!(here.state("a"), State::Pinned, "until the reload is through");
    let seen = list(&there, &[tool("a", "one")]);
    assert_eq!(changes(&seen), [("a", State::Changed)]);
    place.sync();
    assert_eq!(place.accept(&Accept::default()), ["a"]);
    place.sync();
    assert_eq!(there.state("a"), State::Pinned);
    assert_eq!(here.state("a"), State::Changed);
}

#[test]
fn reporting_stops_nothing_and_off_notes_nothing() {
    let place = Place::new();
    let server = place.server_at(URL, Mode::Report);
    list(&server, &[tool("a", "one")]);
    let later = list(&server, &[tool("a", "evil"), tool("b", "two")]);
    assert_eq!(changes(&later), [("a", State::Changed), ("b", State::New)]);
    assert_eq!(shows(&later, ["a", "b"]), [true; 2]);
    assert_eq!(states(&server, ["a", "b"]), [State::Changed, State::New]);
    assert_eq!(passes(&server, ["a", "b"]), [true; 2]);

    let place = Place::new();
    let server = place.server_at(URL, Mode::Off);
    list(&server, &[tool("a", "one")]);
    assert_eq!(list(&server, &[tool("a", "evil")]), Observation::default());
    assert_eq!(server.state("a"), State::Unknown);
    assert_eq!(passes(&server, ["a"]), [true]);
    place.sync();
    assert!(!place.file().exists());
}

#[test]
fn pages_make_one_list() {
    let place = Place::new();
    let server = place.server();
    observe(
        &server,
        PageRef::FromStart,
        &answer(&[tool("a", "one")], Some("2")),
    );
    assert_eq!(
        states(&server, ["a", "b", "c"]),
        [State::Pinned, State::Unknown, State::Unknown]
    );
    observe(&server, PageRef::At("2"), &answer(&[tool("b", "two")], Some("3")));
    let changed = observe(
        &server,
        PageRef::At("2"),
        &answer(&[tool("b", "evil")], Some("3")),
    );
    assert_eq!(
        changes(&changed),
        [("b", State::Changed)],
        "what was seen once is pinned"
    );
    let last = observe(&server, PageRef::At("3"), &answer(&[tool("c", "three")], None));
    assert_eq!(last, Observation::default());
    assert_eq!(
        states(&server, ["a", "c", "d"]),
        [State::Pinned, State::Pinned, State::New]
    );
    let more = observe(&server, PageRef::At("3"), &answer(&[tool("d", "four")], None));
    assert_eq!(changes(&more), [("d", State::New)]);
}

#[test]
fn a_page_in_the_middle_is_no_whole_list() {
    let place = Place::new();
    let server = place.server();
    let last = answer(&[tool("z", "last")], None);
    // Nobody came to it from the beginning, so it tells nothing of what the list holds.
    for asked in [PageRef::At("9"), PageRef::Unknown] {
        assert!(observe(&server, asked, &last).shows("z"));
        assert_eq!(states(&server, ["a", "z"]), [State::Unknown; 2], "{asked:?}");
    }
    // One client stops halfway, another one pages under cursors of its own.
    observe(
        &server,
        PageRef::FromStart,
        &answer(&[tool("a", "one")], Some("x1")),
    );
    observe(
        &server,
        PageRef::FromStart,
        &answer(&[tool("a", "one")], Some("y1")),
    );
    observe(&server, PageRef::At("9"), &last);
    assert_eq!(server.state("new"), State::Unknown);
    observe(&server, PageRef::At("y1"), &last);
    assert_eq!(
        states(&server, ["a", "z", "new"]),
        [State::Pinned, State::Pinned, State::New]
    );
}

#[test]
fn an_empty_list_is_a_list() {
    let place = Place::new();
    let server = place.server();
    list(&server, &[]);
    assert_eq!(server.state("a"), State::New);
    place.sync();
    assert_eq!(place.opened_again().server().state("a"), State::New);
}

#[test]
fn messages_without_a_list_tell_nothing() {
    let place = Place::new();
    let server = place.server();
    for message in [
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no tools"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required"}}"#,
    ] {
        assert_eq!(
            observe(&server, PageRef::FromStart, message),
            Observation::default()
        );
        assert_eq!(server.state("a"), State::Unknown, "{message}");
    }
}

#[test]
fn two_tools_of_one_name_are_neither() {
    let place = Place::new();
    let server = place.server();
    let twice = [
        tool("a", "one"),
        tool("b", "two"),
        tool("a", "other"),
        tool("b", "two"),
    ];
    let first = list(&server, &twice);
    assert_eq!(changes(&first), [("a", State::New)]);
    assert!(!first.shows("a") && first.shows("b"));
    place.sync();
    let error = review::accept(
        &place.path(),
        "srv",
        &Accept {
            tools: Some(&["a".to_owned()]),
            ..Accept::default()
        },
    );
    assert!(matches!(error, Err(PinsError::Ambiguous { .. })), "{error:?}");
    assert_eq!(place.accept(&Accept::default()), [""; 0]);

    let later = list(&server, &[tool("a", "one"), tool("b", "two"), tool("b", "other")]);
    assert_eq!(changes(&later), [("b", State::Changed)]);
    assert!(!later.shows("b"));
    assert_eq!(states(&server, ["a", "b"]), [State::New, State::Changed]);
    place.sync();
    assert_eq!(place.opened_again().server().state("b"), State::Changed);
    assert_eq!(place.accept(&Accept::default()), ["a"]);
}

#[test]
fn clients_that_are_told_different_things() {
    let place = Place::new();
    let server = place.server();
    list(&server, &[tool("a", "one")]);
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let server = server.clone();
            thread::spawn(move || {
                for _ in 0..200 {
                    let said = if thread % 2 == 0 { "one" } else { "evil" };
                    let seen = list(&server, &[tool("a", said), tool(&format!("t{thread}"), "new")]);
                    assert_eq!(seen.shows("a"), said == "one", "each is shown what was accepted");
                    assert!(!seen.shows(&format!("t{thread}")));
                    assert!(matches!(server.state("a"), State::Pinned | State::Changed));
                }
            })
        })
        .collect();
    let writer = {
        let pins = Arc::clone(&place.pins);
        thread::spawn(move || (0..50).flat_map(|_| pins.sync()).count())
    };
    for thread in threads {
        thread.join().expect("no assertion failed");
    }
    assert_eq!(
        writer.join().expect("no panic"),
        0,
        "nothing failed to be written"
    );
    list(&server, &[tool("a", "one")]);
    place.sync();
    assert_eq!(
        place.reviewed(),
        [
            ("a", State::Pinned),
            ("t0", State::New),
            ("t1", State::New),
            ("t2", State::New),
            ("t3", State::New)
        ]
        .map(|(name, state)| (name.to_owned(), state))
    );
}

#[test]
fn one_process_of_clients_that_page_at_once() {
    let place = Place::new();
    let server = place.server();
    let pages = 20;
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let server = server.clone();
            thread::spawn(move || {
                let cursor = |page: usize| format!("{thread}-{page}");
                // The last of them alone goes to the end.
                for page in 0..if thread == 3 { pages } else { pages - 2 } {
                    let here = cursor(page);
                    let asked = if page == 0 {
                        PageRef::FromStart
                    } else {
                        PageRef::At(&here)
                    };
                    let next = (page + 1 < pages).then(|| cursor(page + 1));
                    let tools = [tool(&format!("t{page}"), "one")];
                    let seen = observe(&server, asked, &answer(&tools, next.as_deref()));
                    assert_eq!(seen, Observation::default());
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no assertion failed");
    }
    for page in 0..pages {
        assert_eq!(server.state(&format!("t{page}")), State::Pinned);
    }
    assert_eq!(server.state("more"), State::New);
}

#[test]
fn it_is_counted_how_tools_stand() {
    let place = Place::new();
    let server = place.server();
    let numbers = |server: &Server| {
        let Numbers { tools, changes } = server.numbers();
        let tools: Vec<usize> = tools.into_iter().map(|(_, count)| count).collect();
        let changes: Vec<u64> = changes.into_iter().map(|(_, count)| count).collect();
        (tools, changes)
    };
    assert_eq!(numbers(&server), (vec![0, 0, 0], vec![0, 0]));
    list(&server, &[tool("a", "one"), tool("b", "two")]);
    assert_eq!(numbers(&server), (vec![2, 0, 0], vec![0, 0]));
    for _ in 0..3 {
        list(
            &server,
            &[tool("a", "evil"), tool("b", "two"), tool("c", "three")],
        );
    }
    assert_eq!(numbers(&server), (vec![1, 1, 1], vec![1, 1]));
    list(&server, &[tool("a", "one"), tool("b", "two")]);
    assert_eq!(numbers(&server), (vec![2, 0, 1], vec![1, 1]), "it was so once");
    let elsewhere = place.server_at("https://evil.example/mcp", Mode::Report);
    assert_eq!(numbers(&elsewhere).0, [0, 2, 1]);
    assert_eq!(place.server_at(URL, Mode::Off).numbers(), Numbers::default());
}

/// A tool whose argument `x` is mirrored in this field.
fn mirroring(field: &str) -> String {
    format!(
        r#"{{"name":"m","inputSchema":{{"type":"object","properties":{{"x":{{"type":"string","x-mcp-header":"{field}"}}}}}}}}"#
    )
}

/// The fields of the tool `m`.
fn mirrored(server: &Server) -> Option<Vec<String>> {
    let bindings = server.bindings("m")?;
    Some(bindings.all().map(|one| one.field().to_owned()).collect())
}

#[test]
fn mirrored_arguments_are_those_of_every_form_that_clients_go_by() {
    let place = Place::new();
    let server = place.server();
    assert_eq!(mirrored(&server), None, "nothing is known");
    list(&server, &[tool("m", "plain"), tool("other", "plain")]);
    assert_eq!(mirrored(&server), Some(Vec::new()));

    list(&server, &[mirroring("A")]);
    assert_eq!(mirrored(&server), Some(vec!["mcp-param-a".to_owned()]));
    place.sync();
    place.accept(&Accept {
        keeps_others: true,
        ..Accept::default()
    });
    place.sync();
    // Of two forms, the one that was not listed last counts as well.
    list(&server, &[tool("m", "plain")]);
    assert_eq!(server.state("m"), State::Pinned);
    assert_eq!(mirrored(&server), Some(vec!["mcp-param-a".to_owned()]));
    list(&server, &[mirroring("B")]);
    let both = ["mcp-param-a", "mcp-param-b"].map(str::to_owned);
    assert_eq!(mirrored(&server), Some(both.to_vec()));

    // They come from the file as well.
    place.sync();
    let again = place.opened_again();
    assert_eq!(mirrored(&again.server()), Some(both.to_vec()));
    assert_eq!(mirrored(&again.server_at(URL, Mode::Off)), None);
}
