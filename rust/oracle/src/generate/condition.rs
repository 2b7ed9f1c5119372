//! Checks, conditions, and arguments with values for them.

use super::Choices;
use super::pools::{
    ADDRESSES, FILES, HOSTS, KEYS, MANY_PATHS, NETWORKS, NUMBERS, REGEXES, SINGLE_PATHS, TEXT_PATHS, TEXTS,
    URLS,
};
use crate::json::quoted;

/// The deepest nesting of `any`, `all` and `not`.
const MAX_DEPTH: usize = 3;

pub(super) fn checks(choices: &mut Choices<'_>, most: usize) -> String {
    choices.list(0, most, check)
}

/// At least one check, as `when` requires.
pub(super) fn some_checks(choices: &mut Choices<'_>) -> String {
    choices.list(1, 2, check)
}

fn check(choices: &mut Choices<'_>) -> String {
    let name = if choices.once_in(6) {
        r#""name":"n/1","#
    } else {
        ""
    };
    let least = usize::from(!choices.once_in(12));
    let conditions = choices.list(least, 2, |choices| condition(choices, 0));
    format!("{{{name}\"conditions\":{conditions}}}")
}

fn condition(choices: &mut Choices<'_>, depth: usize) -> String {
    let kind = if depth == MAX_DEPTH { 0 } else { choices.below(8) };
    match kind {
        5 => format!(
            r#"{{"any":{}}}"#,
            choices.list(1, 3, |choices| condition(choices, depth + 1))
        ),
        6 => format!(
            r#"{{"all":{}}}"#,
            choices.list(1, 3, |choices| condition(choices, depth + 1))
        ),
        7 => format!(r#"{{"not":{}}}"#, condition(choices, depth + 1)),
        4 => fixed(choices),
        _ => argument(choices),
    }
}

/// A condition on an argument: any operator, with a value that fits the operator.
fn argument(choices: &mut Choices<'_>) -> String {
    let path = match choices.below(4) {
        3 => choices.pick(&MANY_PATHS),
        2 if choices.once_in(4) => "args",
        _ => choices.pick(&SINGLE_PATHS),
    };
    let (op, operand) = match choices.below(16) {
        0 | 1 => (choices.pick(&["eq", "neq"]), value(choices, 0)),
        2 | 3 => (
            choices.pick(&["lt", "lte", "gt", "gte"]),
            choices.pick(&NUMBERS).to_owned(),
        ),
        4 | 5 => (
            choices.pick(&["in", "not_in"]),
            choices.list(1, 3, |choices| value(choices, 1)),
        ),
        6 => (
            choices.pick(&["regex", "not_regex"]),
            choices.pick(&REGEXES).to_owned(),
        ),
        7 => (choices.pick(&["contains", "not_contains"]), value(choices, 1)),
        8 => (
            choices.pick(&["starts_with", "ends_with"]),
            choices.pick(&TEXTS).to_owned(),
        ),
        9 | 10 => (
            choices.pick(&["len_lt", "len_lte", "len_gt", "len_gte"]),
            choices.pick(&["1", "0", "2", "3"]).to_owned(),
        ),
        11 => (
            "path_within",
            choices.list(1, 2, |choices| {
                choices
                    .pick(&["\"/w\"", "\"/\"", "\"/w/x/\"", "\"/x/../w\""])
                    .to_owned()
            }),
        ),
        12 => (
            "host_in",
            choices.list(1, 2, |choices| choices.pick(&HOSTS).to_owned()),
        ),
        13 => (
            "cidr_in",
            choices.list(1, 2, |choices| choices.pick(&NETWORKS).to_owned()),
        ),
        _ => return exists(choices, path),
    };
    format!(r#"{{"path":"{path}","op":"{op}","value":{operand}}}"#)
}

fn exists(choices: &mut Choices<'_>, path: &str) -> String {
    // All of `args` is always present, so such a condition is a load error.
    let path = if path == "args" { "args.a" } else { path };
    let asked = choices.pick(&["true", "false"]);
    format!(r#"{{"path":"{path}","op":"exists","value":{asked}}}"#)
}

/// A condition on a value other than an argument.
fn fixed(choices: &mut Choices<'_>) -> String {
    if choices.once_in(3) {
        let path = choices.pick(&["time.hour", "time.weekday"]);
        let op = choices.pick(&["eq", "neq", "lt", "lte", "gt", "gte"]);
        let bound = choices.pick(&["1", "4", "12", "7", "5", "22.0"]);
        return format!(r#"{{"path":"{path}","op":"{op}","value":{bound}}}"#);
    }
    let path = choices.pick(&TEXT_PATHS);
    let text = choices.pick(&TEXTS);
    match choices.below(4) {
        0 => format!(r#"{{"path":"{path}","op":"eq","value":{text}}}"#),
        1 => format!(r#"{{"path":"{path}","op":"neq","value":{text}}}"#),
        2 => format!(r#"{{"path":"{path}","op":"not_in","value":[{text}]}}"#),
        _ => format!(r#"{{"path":"{path}","op":"ends_with","value":{text}}}"#),
    }
}

/// Any JSON value.
pub(super) fn value(choices: &mut Choices<'_>, depth: usize) -> String {
    let kinds = if depth >= 3 { 8 } else { 11 };
    match choices.below(kinds) {
        0 | 1 => choices.pick(&NUMBERS).to_owned(),
        2 | 3 => choices.pick(&TEXTS).to_owned(),
        4 => choices.pick(&["null", "true", "false"]).to_owned(),
        5 => choices.pick(&FILES).to_owned(),
        6 => choices.pick(&URLS).to_owned(),
        7 => choices.pick(&ADDRESSES).to_owned(),
        8 | 9 => choices.list(0, 3, |choices| value(choices, depth + 1)),
        _ => object(choices, depth),
    }
}

/// An object whose keys occur in the paths.
pub(super) fn object(choices: &mut Choices<'_>, depth: usize) -> String {
    let mut members: Vec<String> = Vec::new();
    let mut left: Vec<&str> = KEYS.to_vec();
    for _ in 0..choices.below(4) {
        let key = left.remove(choices.below(left.len()));
        let member = match key {
            "list" => choices.list(0, 3, |choices| value(choices, depth + 1)),
            "obj" if depth < 3 && !choices.once_in(4) => object(choices, depth + 1),
            _ => value(choices, depth + 1),
        };
        members.push(format!("{}:{member}", quoted(key)));
    }
    format!("{{{}}}", members.join(","))
}
