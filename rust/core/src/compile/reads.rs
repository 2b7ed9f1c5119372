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
    check.conditions.iter().any(condition)
}

fn condition(of: &Condition) -> bool {
    match of {
        Condition::Test { path, .. } => path.root == Root::Args,
        Condition::Any(inner) | Condition::All(inner) => inner.iter().any(condition),
        Condition::Not(inner) => condition(inner),
    }
}
