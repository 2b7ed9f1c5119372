//! Our own headers on a request that goes on, and on the answer to one that does not.

use callgate_core::Decision;

use crate::proxy::alike;

/// What all of our headers begin with. Those of a client never reach the upstream.
const PREFIX: &str = "x-callgate-";

/// Every header that [`fields`] may set.
pub(super) const NAMES: [&str; 6] = [OUTCOME, RULE, POLICY, POLICY_VERSION, REMAINING, SHADOW];

const OUTCOME: &str = "x-callgate-outcome";
const RULE: &str = "x-callgate-rule";
const POLICY: &str = "x-callgate-policy";
const POLICY_VERSION: &str = "x-callgate-policy-version";
const REMAINING: &str = "x-callgate-remaining";
const SHADOW: &str = "x-callgate-shadow";

/// What our headers say of a decision, where it says anything.
pub(super) fn fields(decision: &Decision<'_>) -> impl Iterator<Item = (&'static str, String)> {
    let shadow = decision.shadow.as_ref();
    let least = decision.limits.iter().map(|limit| limit.remaining).min();
    [
        (OUTCOME, Some(decision.outcome.as_str().to_owned())),
        (RULE, Some(decision.rule.to_string())),
        (POLICY, Some(decision.policy.to_string())),
        (POLICY_VERSION, Some(decision.policy_version.to_string())),
        (REMAINING, least.map(|least| least.to_string())),
        (
            SHADOW,
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
