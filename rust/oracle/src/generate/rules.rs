//! Rules of an entry. Limits come from a few shapes that the whole policy shares, so that they share counts.

use super::Choices;
use super::condition::{checks, some_checks};
use super::pools::{SCHEMAS, SINGLE_PATHS};

/// A count: all members of a limit except its cost.
#[derive(Debug)]
pub(super) struct Shape(String);

const WINDOWS: [&str; 10] = [
    "\"second\"",
    "\"minute\"",
    "60",
    "\"10ms\"",
    "\"90s\"",
    "1.5",
    "\"hour\"",
    "\"60s\"",
    "0.123",
    "\"1d\"",
];

const CALENDAR: [&str; 5] = ["\"minute\"", "\"hour\"", "\"day\"", "\"week\"", "\"month\""];

const SCOPES: [&str; 9] = [
    "\"grant\"",
    "\"session\"",
    "\"tool\"",
    "\"server\"",
    "\"global\"",
    "\"args.a\"",
    "[\"grant\",\"tool\"]",
    "[\"args.b\",\"session\"]",
    "[\"tool\",\"grant\"]",
];

const MAXES: [&str; 14] = [
    "2", "1", "3", "0", "5", "20", "2.5", "256", "257", "1000", "0.3", "40", "300", "1e3",
];

pub(super) fn shape(choices: &mut Choices<'_>, index: usize) -> Shape {
    // Two names for four shapes, so that one name stands for several counts.
    let counter = ["c", "d/e"][index % 2];
    let calendar = choices.once_in(4);
    let window = choices.pick(if calendar { &CALENDAR } else { &WINDOWS });
    let align = if calendar { "calendar" } else { "sliding" };
    let max = choices.pick(&MAXES);
    let scope = choices.pick(&SCOPES);
    let at_max = if choices.once_in(3) {
        r#","at_max":"require_approval""#
    } else {
        ""
    };
    Shape(format!(
        r#""counter":"{counter}","window":{window},"max":{max},"scope":{scope},"align":"{align}"{at_max}"#
    ))
}

pub(super) fn rules(choices: &mut Choices<'_>, shapes: &[Shape]) -> String {
    let mut fields: Vec<String> = Vec::new();
    let action = choices.below(12);
    if action == 11 {
        fields.push(r#""action":"deny""#.to_owned());
    }
    if action == 9 || action == 10 {
        fields.push(r#""action":"require_approval""#.to_owned());
        if choices.once_in(2) {
            fields.push(format!(r#""approval":{{"when":{}}}"#, some_checks(choices)));
        }
    }
    if choices.once_in(4) {
        fields.push(r#""mode":"shadow""#.to_owned());
    } else if choices.once_in(6) {
        fields.push(r#""mode":"enforce""#.to_owned());
    }
    if choices.once_in(3) {
        fields.push(format!(r#""require":{}"#, checks(choices, 2)));
    }
    if choices.once_in(3) {
        fields.push(format!(r#""deny_if":{}"#, checks(choices, 2)));
    }
    if choices.once_in(8) {
        let schema = if choices.once_in(3) {
            "\"input\""
        } else {
            choices.pick(&SCHEMAS)
        };
        fields.push(format!(r#""schema":{schema}"#));
    }
    if choices.once_in(2) {
        fields.push(format!(
            r#""limits":{}"#,
            choices.list(1, 3, |choices| limit(choices, shapes))
        ));
    }
    if choices.once_in(8) {
        let rate = choices.pick(&[
            "\"5/hour\"",
            "\"2/second\"",
            r#"{"max":3,"window":60}"#,
            r#"{"max":1,"window":"10ms"}"#,
        ]);
        fields.push(format!(r#""rate_limit":{rate}"#));
    }
    format!("{{{}}}", fields.join(","))
}

fn limit(choices: &mut Choices<'_>, shapes: &[Shape]) -> String {
    let shape = shapes
        .get(choices.below(shapes.len()))
        .map_or("", |shape| &shape.0);
    let cost = match choices.below(8) {
        0..=3 => String::new(),
        4 => format!(r#","cost":"{}""#, choices.pick(&SINGLE_PATHS)),
        5 => r#","cost":"args.a""#.to_owned(),
        _ => format!(
            r#","cost":{}"#,
            choices.pick(&["2", "0", "0.5", "1.0", "3", "0.000001", "1e12"])
        ),
    };
    format!("{{{shape}{cost}}}")
}
