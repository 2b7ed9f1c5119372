//! Our own headers on a request that goes on, and on the answer to one that does not.

use callgate_core::Decision;

use crate::proxy::alike;

/// Prefix of callgate's headers. Those of a client never reach the upstream.
const PREFIX: &str = "x-callgate-";

/// The headers that callgate adds to a forwarded request.
pub(crate) const NAMES: [&str; 6] = [
    "x-callgate-outcome",
    "x-callgate-rule",
    "x-callgate-policy",
    "x-callgate-policy-version",
    "x-callgate-remaining",
    "x-callgate-shadow",
];

/// The headers of a decision; a header without a value is left out.
pub(crate) fn fields(decision: &Decision<'_>) -> impl Iterator<Item = (&'static str, String)> {
    let shadow = decision.shadow.as_ref();
    let least = decision.limits.iter().map(|limit| limit.remaining).min();
    let values = [
        Some(decision.outcome.as_str().to_owned()),
        Some(decision.rule.to_string()),
        Some(decision.policy.to_string()),
        Some(decision.policy_version.to_string()),
        least.map(|least| least.to_string()),
        shadow.map(|shadow| format!("{} {}", shadow.outcome, shadow.rule)),
    ];
    NAMES
        .into_iter()
        .zip(values)
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)))
}

/// Returns true if a header of this lower-case name is callgate's, or one that some programs take for it.
pub(crate) fn is_one(name: &str) -> bool {
    name.get(..PREFIX.len())
        .is_some_and(|beginning| alike(beginning, PREFIX))
}
