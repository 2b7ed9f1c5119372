//! The parts of a call that a record may keep.

use std::ops::ControlFlow;

use super::{Desk, request};
use crate::Request;

const POLICY: &str = r#"{
    "version": "1",
    "default": "allow",
    "log_args": ["args.a.b", "args.list[*].n[*]", "args.a.b", "args.list[0]"]
}"#;

/// Returns the keys, and the values of each path as they were written, of which at most `most` are wanted.
fn seen(desk: &mut Desk, request: &Request<'_>, most: usize) -> Option<(Vec<String>, Vec<String>)> {
    let mut found = None;
    let snapshot = desk.engine.snapshot();
    desk.engine
        .decide_seen(&snapshot, request, desk.now, &mut desk.scratch, |seen| {
            let values = seen.logged().map(|path| {
                let mut line = format!("{}{}:", path.text(), if path.is_many() { " many" } else { "" });
                let mut left = most;
                seen.each_value(path, |value| {
                    if left == 0 {
                        return ControlFlow::Break(());
                    }
                    left -= 1;
                    line.push(' ');
                    line.push_str(value.raw());
                    ControlFlow::Continue(())
                });
                line
            });
            found = Some((seen.keys().map(str::to_owned).collect(), values.collect()));
        });
    found
}

#[test]
fn keys_and_the_values_that_the_policy_names() {
    let mut desk = Desk::new(POLICY);
    let args =
        r#"{"a": {"b": "x\u0041"}, "list": [{"n": [1, 2.50]}, {}, {"n": 3}, {"n": [null]}], "se\ncret": 1}"#;
    let (keys, values) = seen(&mut desk, &request("t", args), 2).unwrap();
    assert_eq!(keys, ["a", "list", "se\ncret"]);
    assert_eq!(
        values,
        [
            r#"args.a.b: "x\u0041""#,
            "args.list[*].n[*] many: 1 2.50",
            r#"args.list[0]: {"n": [1, 2.50]}"#
        ]
    );
    let (_, values) = seen(&mut desk, &request("t", args), 9).unwrap();
    assert_eq!(values[1], "args.list[*].n[*] many: 1 2.50 null");
}

#[test]
fn what_is_missing_or_of_another_type_is_not_seen() {
    let mut desk = Desk::new(POLICY);
    let (keys, values) = seen(&mut desk, &request("t", r#"{"a": 1}"#), 9).unwrap();
    assert_eq!(keys, ["a"]);
    assert_eq!(values, ["args.a.b:", "args.list[*].n[*] many:", "args.list[0]:"]);
}

#[test]
fn a_malformed_call_shows_nothing() {
    let mut desk = Desk::new(POLICY);
    assert_eq!(seen(&mut desk, &request("t", r#"{"a": 1, "a": 2}"#), 9), None);
    assert_eq!(seen(&mut desk, &request("", "{}"), 9), None);
}

#[test]
fn a_long_list_is_looked_at_within_bounds() {
    let mut desk = Desk::new(POLICY);
    let list = vec!["{}"; 20_000].join(",");
    let args = format!(r#"{{"list": [{list}, {{"n": [7]}}]}}"#);
    let (_, values) = seen(&mut desk, &request("t", &args), 9).unwrap();
    assert_eq!(values[1], "args.list[*].n[*] many:");
}
