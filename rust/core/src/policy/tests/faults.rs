//! Every fault of a document, not the first alone.

use super::super::{Format, PolicyError, Source, faults, parse};
use super::errors::every_error;
use super::json;

fn all(format: Format, document: &str) -> Vec<PolicyError> {
    faults(&Source {
        name: "policy",
        stem: "policy",
        format,
        bytes: document.as_bytes(),
    })
}

fn lines(document: &str) -> Vec<(usize, String)> {
    let found = all(Format::Yaml, document);
    found
        .into_iter()
        .map(|fault| (fault.line, fault.message))
        .collect()
}

#[test]
fn no_fault_hides_another() {
    let document = r#"version: "1"
default: maybe
mode: loud
log_args: [args.ok, nope]
hide: [1, fine]
colour: red
all_tools:
  limits:
    - {counter: all, window: fortnight, max: -1, scope: planet, colour: red}
    - {counter: all, window: minute, max: 5}
    - {counter: all, window: minute, max: 6}
categories:
  Wriet: {}
  Read: {hide: false}
  Write: {action: forbid}
tools:
  a:
    action: forbid
    require:
      - {name: "", conditions: [{path: nope, op: eq, value: 1}, {path: args.a, op: equals, value: 1}], on_deny: 1}
      - {}
    schema: 5
    rate_limit: often
    approval: {when: []}
  b: {action: require_approval, approval: {when: [], timeout: soon, colour: red}}
  c: 1
"#;
    let found = lines(document);
    let counts = |line: usize| found.iter().filter(|(at, _)| *at == line).count();
    let expected = [
        (2, 1),
        (3, 1),
        (4, 1),
        (5, 1),
        (6, 1),
        (9, 4),
        (11, 1),
        (13, 1),
        (14, 1),
        (15, 1),
        (18, 1),
        (20, 4),
        (21, 1),
        (22, 1),
        (23, 1),
        // Whether the approval at line 24 fits is not known while its action has a fault.
        (25, 3),
        (26, 1),
    ];
    for (line, count) in expected {
        assert_eq!(counts(line), count, "line {line}: {found:#?}");
    }
    assert_eq!(
        found.len(),
        expected.iter().map(|(_, count)| count).sum::<usize>(),
        "{found:#?}"
    );
    assert!(found.is_sorted_by_key(|(line, _)| *line), "{found:#?}");
}

#[test]
fn the_first_one_found_is_among_them_and_valid_documents_have_none() {
    for case in every_error() {
        let source = Source {
            name: "policy",
            stem: "policy",
            format: case.format,
            bytes: case.document.as_bytes(),
        };
        let first = parse(&source).expect_err(&case.name);
        let found = faults(&source);
        assert!(
            found.contains(&first),
            "{}: {first} is not in {found:#?}",
            case.name
        );
    }
    let good = r#"{"version":"1","default":"deny","tools":{"a":{"rate_limit":"5/minute"}}}"#;
    assert!(json(good).is_ok());
    assert_eq!(all(Format::Json, good), []);
}

#[test]
fn a_misspelt_field_is_not_missing_as_well() {
    let found = lines("version: \"1\"\ndefualt: deny\n");
    let [(2, message)] = &*found else {
        panic!("{found:?}")
    };
    assert!(message.contains("did you mean `default`?"), "{message}");
}

#[test]
fn a_misspelt_field_is_one_fault() {
    for more in [
        "defualt: maybe",
        "hid: 1",
        "all_tools: {aproval: {}}",
        "tools: {a: {aproval: {when: []}}}",
    ] {
        let found = lines(&format!("version: \"1\"\ndefault: deny\n{more}\n"));
        assert_eq!(found.len(), 1, "{more}: {found:?}");
        assert!(found[0].1.contains("did you mean"), "{found:?}");
    }
    let found = lines("version: \"1\"\ndefault: deny\ntols: {a: {action: maybe}}\n");
    assert_eq!(found.len(), 2, "what is in it is read: {found:?}");
}

#[test]
fn what_leaves_nothing_to_look_into_stands_alone() {
    for document in ["version: \"2\"\ndefault: maybe\n", "[1]", "a: [", ""] {
        assert_eq!(lines(document).len(), 1, "{document:?}: {:?}", lines(document));
    }
}

#[test]
fn the_list_ends() {
    let tools: Vec<String> = (0..200).map(|number| format!(r#""t{number}":1"#)).collect();
    let document = format!(
        r#"{{"version":"1","default":"deny","tools":{{{}}}}}"#,
        tools.join(",")
    );
    assert_eq!(all(Format::Json, &document).len(), 100);
}
