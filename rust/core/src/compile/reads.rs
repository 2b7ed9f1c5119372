//! The parts of a call that rules read.

use crate::policy::ast::{Action, Check, Condition, Cost, Root, Rules, Scope};

/// Returns whether the result of the rules depends on a call's arguments. An approval is for the arguments that a
/// person saw.
pub(super) fn reads_args(rules: &Rules) -> bool {
    rules.schema.is_some()
        || rules.action == Action::RequireApproval
        || rules.require.iter().chain(&rules.deny_if).any(check)
        || rules.limits.iter().any(|limit| {
            limit.asks_at_max
                || matches!(limit.cost, Cost::Args(_))
                || limit.scope.iter().any(|part| matches!(part, Scope::Args(_)))
        })
}

fn check(check: &Check) -> bool {
    any_root(&check.conditions, &|root| *root == Root::Args)
}

/// Returns whether one of the conditions reads a path with a root of this kind.
pub(super) fn any_root(conditions: &[Condition], is_wanted: &impl Fn(&Root) -> bool) -> bool {
    conditions.iter().any(|condition| match condition {
        Condition::Test { path, .. } => is_wanted(&path.root),
        Condition::Any(inner) | Condition::All(inner) => any_root(inner, is_wanted),
        Condition::Not(inner) => any_root(std::slice::from_ref(&**inner), is_wanted),
    })
}
