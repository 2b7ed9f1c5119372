//! Section 3: paths, four values, errors, quantifiers.

use super::{Desk, brief, catalogue, request};

/// A check of one condition, named `c`.
fn check(part: &str, condition: &str) -> Desk {
    Desk::rules(&format!(
        r#"{{"{part}": [{{"name": "c", "conditions": [{condition}]}}]}}"#
    ))
}

fn passes(part: &str, condition: &str, args: &str) -> bool {
    match check(part, condition).answer(args).as_str() {
        "allow " => true,
        refused if refused == format!("deny /tools/x/{part}/c") => false,
        other => panic!("{other}"),
    }
}

fn test(path: &str, op: &str, value: &str) -> String {
    format!(r#"{{"path": "{path}", "op": "{op}", "value": {value}}}"#)
}

#[test]
fn errors_combine_in_either_order() {
    let error = test("args.n", "gt", "5");
    for (args, is, word, denied) in [
        // `all`: false wins over an error, presumed false does not.
        (r#"{"n": "x", "a": 2}"#, test("args.a", "eq", "1"), "all", false),
        (r#"{"n": "x"}"#, test("args.a", "eq", "1"), "all", true),
        (r#"{"n": "x", "a": 1}"#, test("args.a", "eq", "1"), "all", true),
        // `any`: an error is one unless something is definitely true, and then it fires all the same.
        (r#"{"n": "x", "a": 2}"#, test("args.a", "eq", "1"), "any", true),
        (r#"{"n": "x", "a": 1}"#, test("args.a", "eq", "1"), "any", true),
    ] {
        for list in [format!("{error}, {is}"), format!("{is}, {error}")] {
            let condition = format!(r#"{{"{word}": [{list}]}}"#);
            assert_eq!(!passes("deny_if", &condition, args), denied, "{condition} {args}");
        }
    }
    for list in [
        format!("{error}, {}", test("args.a", "eq", "1")),
        format!("{}, {error}", test("args.a", "eq", "1")),
    ] {
        let condition = format!(r#"{{"any": [{list}]}}"#);
        assert!(
            passes("require", &condition, r#"{"n": "x", "a": 1}"#),
            "a definite true meets `any` despite an error"
        );
        assert!(!passes("require", &condition, r#"{"n": "x"}"#));
    }
}

#[test]
fn missing_is_presumed() {
    for op in ["eq", "lt", "contains", "starts_with", "regex"] {
        let value = if op == "lt" { "1" } else { r#""a""# };
        assert!(!passes("require", &test("args.a", op, value), "{}"), "{op}");
        assert!(passes("deny_if", &test("args.a", op, value), "{}"), "{op}");
    }
    for op in ["neq", "not_regex", "not_contains"] {
        assert!(
            !passes("require", &test("args.a", op, r#""a""#), "{}"),
            "{op} is presumed, not true"
        );
        assert!(
            !passes("deny_if", &test("args.a", op, r#""a""#), "{}"),
            "{op} fires on presumed true"
        );
    }
    assert!(passes("require", &test("args.a", "exists", "false"), "{}"));
    assert!(
        !passes("require", &test("args.a.b", "exists", "true"), r#"{"a": null}"#),
        "a step through null is missing"
    );
    assert!(
        passes("require", &test("args.a", "exists", "true"), r#"{"a": null}"#),
        "null counts as present"
    );
    assert!(
        passes("deny_if", &test("args.a", "eq", "null"), "{}"),
        "missing is not null"
    );
    assert!(!passes(
        "deny_if",
        &test("args.a", "eq", "null"),
        r#"{"a": null}"#
    ));
}

#[test]
fn a_wrong_step_is_an_error_under_every_operator() {
    for (path, op, value) in [
        ("args.a.b", "exists", "false"),
        ("args.a[0]", "exists", "true"),
        ("args.a[*]", "eq", "1"),
        ("args.a.b", "neq", "1"),
    ] {
        assert!(
            !passes("require", &test(path, op, value), r#"{"a": "text"}"#),
            "{path} {op}"
        );
        assert!(
            !passes("deny_if", &test(path, op, value), r#"{"a": "text"}"#),
            "{path} {op}"
        );
    }
}

#[test]
fn stars_quantify_by_part_and_not() {
    let lt = test("args.l[*]", "lt", "5");
    assert!(passes("require", &lt, r#"{"l": [1, 2]}"#));
    assert!(!passes("require", &lt, r#"{"l": [1, 9]}"#));
    assert!(
        !passes("deny_if", &lt, r#"{"l": [1, 9]}"#),
        "one is enough to fire"
    );
    let not = format!(r#"{{"not": {lt}}}"#);
    assert!(!passes("require", &not, r#"{"l": [1, 9]}"#), "not (some below 5)");
    assert!(passes("require", &not, r#"{"l": [6, 9]}"#));
    assert!(
        !passes("deny_if", &not, r#"{"l": [1, 9]}"#),
        "not (every one below 5)"
    );
    let twice = format!(r#"{{"not": {not}}}"#);
    assert!(passes("require", &twice, r#"{"l": [1, 2]}"#));
    assert!(
        !passes("require", &twice, r#"{"l": [1, 9]}"#),
        "two `not` are none"
    );
    // Elements combine like `all` and `any`: an error yields only to what is definite.
    assert!(passes(
        "require",
        r#"{"not": {"path": "args.l[*]", "op": "exists", "value": false}}"#,
        r#"{"l": [1, null]}"#
    ));
    assert!(!passes("require", &lt, r#"{"l": [1, "x"]}"#));
    assert!(!passes(
        "deny_if",
        &test("args.l[*].p", "gt", "5"),
        r#"{"l": [{"p": 1}, {"p": "x"}]}"#
    ));
}

#[test]
fn empty_lists_on_the_way_are_missing_values() {
    let nested = test("args.a[*].b[*]", "neq", "9");
    assert!(passes("require", &nested, r#"{"a": [{"b": [1]}, {"b": [2]}]}"#));
    assert!(
        !passes("require", &nested, r#"{"a": [{"b": [1]}, {"b": []}]}"#),
        "presumed true does not meet a requirement"
    );
    assert!(!passes("deny_if", &nested, r#"{"a": []}"#), "presumed true fires");
    assert!(passes(
        "deny_if",
        &test("args.a[*].b[*]", "eq", "9"),
        r#"{"a": [{"b": []}, {}]}"#
    ));
}

#[test]
fn a_star_visits_ten_thousand_elements() {
    let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    let lt = test("args.l[*]", "lt", "5");
    assert!(passes("require", &lt, &format!(r#"{{"l": {}}}"#, list(10_000))));
    assert!(!passes("require", &lt, &format!(r#"{{"l": {}}}"#, list(10_001))));
    // Summed over the lists that one `[*]` meets.
    let halves = |second: usize| {
        format!(
            r#"{{"a": [{{"l": {}}}, {{"l": {}}}]}}"#,
            list(5_000),
            list(second)
        )
    };
    let nested = test("args.a[*].l[*]", "gt", "5");
    assert!(passes("deny_if", &nested, &halves(5_000)));
    assert!(!passes("deny_if", &nested, &halves(5_001)));
    // Too many is an error of the condition, even where the first element would have decided.
    let all = format!(
        r#"{{"all": [{}, {}]}}"#,
        test("args.l[*]", "eq", "1"),
        test("args.no", "eq", "1")
    );
    assert!(!passes("deny_if", &all, &format!(r#"{{"l": {}}}"#, list(10_001))));
    assert!(passes("deny_if", &all, &format!(r#"{{"l": {}}}"#, list(10_000))));
}

#[test]
fn numbers_compare_exactly_and_huge_ones_are_errors() {
    let above = test("args.n", "gt", "9007199254740992");
    assert!(!passes("deny_if", &above, r#"{"n": 9007199254740993}"#));
    assert!(passes("deny_if", &above, r#"{"n": 9007199254740992.0}"#));
    assert!(passes("require", &test("args.n", "lt", "1"), r#"{"n": -9e307}"#));
    for huge in ["1e308", "-1e308", "1e400", "-1e9999"] {
        for part in ["require", "deny_if"] {
            assert!(
                !passes(part, &test("args.n", "lt", "1"), &format!(r#"{{"n": {huge}}}"#)),
                "{huge} under {part}"
            );
        }
    }
    assert!(
        passes("require", &test("args.n", "eq", "10e399"), r#"{"n": 1e400}"#),
        "eq never fails"
    );
}

#[test]
fn strings_lists_and_lengths() {
    assert!(
        !passes("require", &test("args.s", "contains", "1"), r#"{"s": "1"}"#),
        "a number is in no string"
    );
    assert!(passes(
        "require",
        &test("args.s", "not_contains", "1"),
        r#"{"s": "1"}"#
    ));
    assert!(passes(
        "require",
        &test("args.s", "contains", "1"),
        r#"{"s": [2, 1.0]}"#
    ));
    assert!(
        passes("require", &test("args.s", "len_lte", "2"), r#"{"s": "éé"}"#),
        "code points"
    );
    assert!(
        passes("require", &test("args", "len_lt", "3"), r#"{"a": 1, "b": 2}"#),
        "keys of the arguments"
    );
    assert!(!passes(
        "require",
        &test("args.s", "len_gt", "-1"),
        r#"{"s": true}"#
    ));
    assert!(passes("require", &test("args.s", "len_gte", "0"), r#"{"s": []}"#));
    assert!(
        passes(
            "require",
            &test("args.s", "regex", r#""^b$|c""#),
            r#"{"s": "abcd"}"#
        ),
        "not anchored"
    );
}

#[test]
fn addresses() {
    let within = |value: &str, address: &str| {
        passes(
            "require",
            &test("args.ip", "cidr_in", value),
            &format!(r#"{{"ip": "{address}"}}"#),
        )
    };
    assert!(within(r#"["0.0.0.0/0"]"#, "255.255.255.255"));
    assert!(!within(r#"["0.0.0.0/0"]"#, "::1"), "the families are apart");
    assert!(within(r#"["::/0"]"#, "2001:db8::1"));
    assert!(
        !within(r#"["::/0"]"#, "::ffff:10.0.0.1"),
        "a mapped address is IPv4"
    );
    assert!(within(r#"["10.0.0.1"]"#, "10.0.0.1"));
    assert!(!within(r#"["10.0.0.1"]"#, "10.0.0.2"));
    assert!(
        within(r#"["::ffff:10.0.0.0/104"]"#, "10.9.9.9"),
        "in the list, too"
    );
    assert!(within(r#"["fe80::/10"]"#, "febf::1"));
    assert!(!within(r#"["fe80::/10"]"#, "fec0::1"));
    for fault in ["010.0.0.1", "10.1", "fe80::1%eth0", "10.0.0.1 ", ""] {
        let deny_if = test("args.ip", "cidr_in", r#"["192.168.0.0/16"]"#);
        assert!(
            !passes("deny_if", &deny_if, &format!(r#"{{"ip": "{fault}"}}"#)),
            "{fault:?} is an error"
        );
    }
}

#[test]
fn facts_about_the_call() {
    let text = r#"{"version": "1", "default": "allow", "tools": {"x": {"require": [
        {"name": "labels", "conditions": [{"path": "grant.labels.team", "op": "in", "value": ["core"]}]},
        {"name": "facts", "conditions": [
            {"path": "tool", "op": "eq", "value": "x"}, {"path": "server", "op": "starts_with", "value": "sr"},
            {"path": "grant.id", "op": "regex", "value": "^g[0-9]$"}, {"path": "session", "op": "exists", "value": true},
            {"path": "category", "op": "eq", "value": "Read"}, {"path": "risk", "op": "in", "value": ["low", "medium"]}]}]}}}"#;
    let known =
        r#"{"version": "1", "servers": {"srv": {"tools": {"x": {"category": "Read", "risk": "low"}}}}}"#;
    let mut desk = Desk::with_catalogue(text, catalogue(known));
    let labels = [("team", "core")];
    let full = crate::Request {
        caller: crate::Caller::Named {
            grant: "g1",
            labels: &labels,
        },
        session: Some("s"),
        ..request("x", "{}")
    };
    assert_eq!(brief(&desk.decide(&full)), "allow ");
    assert_eq!(
        brief(&desk.decide(&crate::Request {
            caller: crate::Caller::named("g1"),
            ..full
        })),
        "deny /tools/x/require/labels"
    );
    assert_eq!(
        brief(&desk.decide(&crate::Request {
            session: Some(""),
            ..full
        })),
        "deny /tools/x/require/facts"
    );
    assert_eq!(
        brief(&desk.decide(&crate::Request {
            server: "srv2",
            ..full
        })),
        "deny /tools/x/require/facts"
    );
    let mut unknown = Desk::new(text);
    assert_eq!(
        brief(&unknown.decide(&full)),
        "deny /tools/x/require/facts",
        "a category nobody knows is missing"
    );
}

#[test]
fn hours_and_weekdays_in_utc() {
    // 1970-01-01 was a Thursday.
    const HOUR_MS: u64 = 3_600_000;
    for (ms, hour, weekday) in [
        (0, 0, 4),
        (HOUR_MS - 1, 0, 4),
        (23 * HOUR_MS, 23, 4),
        (24 * HOUR_MS, 0, 5),
        (3 * 24 * HOUR_MS, 0, 7),
        (4 * 24 * HOUR_MS, 0, 1),
        // 2024-02-29 12:34:56 UTC, a Thursday.
        (1_709_210_096_000, 12, 4),
    ] {
        let conditions = [
            test("time.hour", "eq", &hour.to_string()),
            test("time.weekday", "eq", &weekday.to_string()),
        ];
        let mut desk = check("require", &conditions.join(", "));
        assert_eq!(
            desk.at_ms(ms).answer("{}"),
            "allow ",
            "{ms}: hour {hour}, weekday {weekday}"
        );
    }
}

#[test]
fn a_schema_judges_arguments() {
    let mut desk = Desk::rules(
        r#"{"schema": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "maximum": 9007199254740992},
            "o": {"type": "object"}, "e": {"enum": ["a"]}}}}"#,
    );
    assert_eq!(desk.answer(r#"{"n": 1}"#), "allow ");
    assert_eq!(
        desk.answer(r#"{"n": 9007199254740993}"#),
        "deny /tools/x/schema",
        "exact"
    );
    assert_eq!(desk.answer("{}"), "deny /tools/x/schema");
    let refused = desk.ask(r#"{"n": 1, "e": "secret"}"#);
    assert_eq!(brief(&refused), "deny /tools/x/schema");
    assert!(
        refused.message.contains("/e") && !refused.message.contains("secret"),
        "{}",
        refused.message
    );
    let mut numbers = Desk::rules(
        r#"{"schema": {"properties": {"n": {"type": "integer", "multipleOf": 2, "maximum": 8}}}}"#,
    );
    for (number, answer) in [
        ("8.0", "allow "),
        ("80e-1", "allow "),
        ("-0", "allow "),
        ("9", "deny"),
        ("1e400", "deny"),
        ("1e10000", "deny"),
        ("1e-10000", "deny"),
        ("1E+1", "deny"),
    ] {
        let met = numbers.answer(&format!(r#"{{"n": {number}}}"#));
        assert!(met.starts_with(answer) && !met.contains('('), "{number}: {met}");
    }
    // The key with which serde_json marks numbers is a key like any other.
    assert_eq!(
        desk.answer(r#"{"n": {"$serde_json::private::Number": "1"}}"#),
        "deny /tools/x/schema"
    );
    assert_eq!(
        desk.answer(r#"{"n": 1, "o": {"$serde_json::private::Number": "1"}}"#),
        "allow "
    );
}

#[test]
fn the_input_schema_comes_from_the_catalogue() {
    let text = r#"{"version": "1", "default": "allow", "all_tools": {"schema": "input"}}"#;
    let known = r#"{"version": "1", "servers": {"srv": {"tools": {"x": {"input_schema": {"required": ["a"]}}, "y": {}}}}}"#;
    let mut desk = Desk::with_catalogue(text, catalogue(known));
    assert_eq!(desk.answer(r#"{"a": 1}"#), "allow ");
    assert_eq!(desk.answer("{}"), "deny /all_tools/schema");
    assert_eq!(
        brief(&desk.decide(&request("y", "{}"))),
        "deny /all_tools/schema",
        "known, but without a schema"
    );
    assert_eq!(
        brief(&desk.decide(&request("z", r#"{"a": 1}"#))),
        "deny /all_tools/schema",
        "unknown"
    );
}
