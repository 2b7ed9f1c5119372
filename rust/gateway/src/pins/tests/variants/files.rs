//! Variants in files of pins: older files and damaged ones.

use super::*;

/// A file as it was written before there were variants.
fn without_variants(place: &Place, is_complete: bool) -> String {
    let server = place.server();
    list(&server, &few());
    list(
        &server,
        &[tool("a", "evil"), tool("b", "two"), tool("c", "three")],
    );
    place.sync();
    let servers = review::read(&place.path(), None).expect("readable");
    let record = |form: &review::ReviewedForm| {
        let record = &form.record;
        format!(
            r#"{{"digest": "{}", "endpoint": {{"shown": "{}", "digest": "{}"}}, "listed_at_unix_s": 1700000000, "definition": {}}}"#,
            record.digest,
            record.endpoint.shown(),
            record.endpoint.digest(),
            record.definition.as_json()
        )
    };
    let tools = servers[0].tools.iter().map(|tool| {
        let pinned: Vec<String> = tool.pinned.iter().map(record).collect();
        let listed = tool
            .listed
            .iter()
            .map(|form| format!(", \"listed\": {}", record(form)));
        let listed: String = listed.collect();
        format!(
            "\"{}\": {{\"pinned\": [{}]{listed}}}",
            tool.name,
            pinned.join(", ")
        )
    });
    let tools: Vec<String> = tools.collect();
    format!(
        "{{\"version\": 1, \"server\": \"srv\", \"complete\": {is_complete}, \"tools\": {{\n{}\n}}}}\n",
        tools.join(",\n")
    )
}

#[test]
fn a_file_is_these_bytes() {
    let timed = Timed::new();
    let server = timed.server();
    list(&server, &few()[..2]);
    show(&server, NEW, &[tool("a", "evil"), tool("b", "two")]);
    list(&server, &[tool("a", "one"), tool("b", "other")]);
    timed.place.sync();
    let servers = review::read(&timed.place.path(), None).expect("readable");
    let record = |name: &str, description: &str| {
        let digests = servers[0].tools.iter().flat_map(|tool| {
            let pinned = tool.pinned.iter().map(|form| &form.record);
            pinned.chain(tool.listed.iter().map(|form| &form.record))
        });
        let definition =
            format!(r#"{{"description":"{description}","inputSchema":{{"type":"object"}},"name":"{name}"}}"#);
        let mut found = digests.filter(|record| record.definition.as_json() == definition);
        let record = found.next_back().expect("a record");
        format!(
            r#"{{"digest": "{}", "endpoint": {{"shown": "{URL}", "digest": "{}"}}, "listed_at_unix_s": {NOW}, "definition": {definition}}}"#,
            record.digest,
            record.endpoint.digest(),
        )
    };
    let expected = format!(
        r#"{{"version": 2, "server": "srv", "complete": true, "first_lists": {{"began_at_unix_s": {NOW}, "seen_at_unix_s": {NOW}, "over": false}}, "variants": [{{"variant": "unknown", "complete": true}}, {{"variant": "2026-07-28", "complete": true}}], "tools": {{
"a": {{"pinned": [{{"record": {}, "variants": [0]}}, {{"record": {}, "variants": [1]}}]}},
"b": {{"pinned": [{{"record": {}, "variants": [0, 1]}}], "listed": [{{"record": {}, "variants": [0]}}]}}
}}}}
"#,
        record("a", "one"),
        record("a", "evil"),
        record("b", "two"),
        record("b", "other"),
    );
    assert_eq!(read(&timed.place.file()), expected);
}

#[test]
fn files_of_before_go_on_with_no_time_left() {
    let text = without_variants(&Place::new(), true);
    let timed = Timed::new();
    fs::write(timed.place.file(), &text).expect("writable");
    let server = timed.server();
    assert_eq!(
        states(&server, ["a", "b", "c", "d"]),
        [State::Changed, State::Pinned, State::New, State::New]
    );
    timed.place.sync();
    assert_eq!(read(&timed.place.file()), text, "there is nothing to write yet");
    assert_eq!(changes(&show(&server, NEW, &more())).len(), 11);
    timed.place.sync();
    assert!(read(&timed.place.file()).starts_with("{\"version\": 2, "));
    let again = timed.opened_again();
    assert_eq!(
        states(&again.server(), ["b", "c", "more0"]),
        [State::Pinned, State::New, State::New]
    );
    let of = variant(NEW);
    let what = Accept {
        variant: Some(&of),
        ..Accept::default()
    };
    assert_eq!(timed.place.accept(&what).len(), 11);

    // A first list that has not come to its end goes on, and the time begins with its end.
    let timed = Timed::new();
    fs::write(timed.place.file(), without_variants(&Place::new(), false)).expect("writable");
    let server = timed.server();
    assert_eq!(server.state("d"), State::Unknown);
    show(&server, OLD, &few());
    assert_eq!(show(&server, NEW, &more()), Observation::default());
}

#[test]
fn damaged_variants_are_told() {
    let timed = Timed::new();
    show(&timed.server(), OLD, &few());
    timed.place.sync();
    let whole = read(&timed.place.file());
    for (from, to, expected) in [
        (
            "\"variant\": \"unknown\"",
            "\"variant\": \"x y\"",
            "expected `unknown`, and then other variants",
        ),
        (
            "\"variant\": \"unknown\"",
            "\"variant\": \"2025-11-25\"",
            "expected `unknown`, and then",
        ),
        (
            "\"variants\": [1]",
            "\"variants\": [2]",
            "expected places in the list of variants",
        ),
        (
            "\"variants\": [1]",
            "\"variants\": [64]",
            "expected places in the list of variants",
        ),
        ("\"over\": false", "\"over\": 0", "expected true or false"),
        (
            "\"first_lists\"",
            "\"last_lists\"",
            "expected an object with `first_lists`",
        ),
    ] {
        let text = whole.replacen(from, to, 1);
        assert_ne!(text, whole, "{from}");
        fs::write(timed.place.file(), text).expect("writable");
        let error = review::read(&timed.place.path(), None).expect_err(to).to_string();
        assert!(
            error.contains("are damaged") && error.contains(expected),
            "{error}"
        );
    }
}
