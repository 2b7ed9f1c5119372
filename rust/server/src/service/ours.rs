//! Our own headers on a request that goes on, and on the answer to one that does not.

use callgate_core::Decision;

use crate::proxy::alike;

/// What all of our headers begin with. Those of a client never reach the upstream.
const PREFIX: &str = "x-callgate-";

/// What our headers say of a decision, where it says anything.
pub(super) fn fields(decision: &Decision<'_>) -> impl Iterator<Item = (&'static str, String)> {
    let shadow = decision.shadow.as_ref();
    let least = decision.limits.iter().map(|limit| limit.remaining).min();
    [
        ("x-callgate-outcome", Some(decision.outcome.as_str().to_owned())),
        ("x-callgate-rule", Some(decision.rule.to_string())),
        ("x-callgate-policy", Some(decision.policy.to_string())),
        (
            "x-callgate-policy-version",
            Some(decision.policy_version.to_string()),
        ),
        ("x-callgate-remaining", least.map(|least| least.to_string())),
        (
            "x-callgate-shadow",
            shadow.map(|shadow| format!("{} {}", shadow.outcome, shadow.rule)),
        ),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
}

/// Whether a header of this lower-case name is one of ours, or one that some programs take for one of ours.
pub(super) fn is_one(name: &str) -> bool {
    name.get(..PREFIX.len())
        .is_some_and(|beginning| alike(beginning, PREFIX))
}
