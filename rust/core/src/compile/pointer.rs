//! Rule pointers (`docs/policy.md` section 5); their form is defined only here.

use crate::policy::ast::{Check, Condition};

/// A pointer to these steps, each escaped as in RFC 6901.
pub(super) fn pointer(steps: &[&str]) -> String {
    let mut out = String::new();
    for step in steps {
        push_step(&mut out, step);
    }
    out
}

/// Appends one step.
pub(super) fn push_step(out: &mut String, step: &str) {
    out.push('/');
    for character in step.chars() {
        match character {
            '~' => out.push_str("~0"),
            '/' => out.push_str("~1"),
            other => out.push(other),
        }
    }
}

/// The name of a check in pointers: its `name`, or else `<path>-<op>` of its first condition, or else its index.
pub(super) fn check_name(check: &Check, index: usize) -> String {
    match (&check.name, check.conditions.first()) {
        (Some(name), _) => name.clone(),
        (None, Some(Condition::Test { path, op })) => format!("{}-{}", path.text, op.name()),
        (None, _) => index.to_string(),
    }
}
