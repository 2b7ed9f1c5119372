//! The change that another policy makes to one decision.

use hashbrown::HashMap;

use super::line::LoggedCall;
use super::stages::{Answers, Unknown};
use crate::Outcome;

/// The direction of a change. `allow` admits more than `approval_required`, and that more than `deny` and `rate_limited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The outcome stays.
    Same,
    /// The new outcome admits more.
    Permissive,
    /// The new outcome admits less.
    Stricter,
    /// A refusal of another kind: `deny` for `rate_limited`, or the other way.
    Other,
}

impl Change {
    /// The word in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Permissive => "permissive",
            Self::Stricter => "stricter",
            Self::Other => "other",
        }
    }

    fn between(old: Outcome, new: Outcome) -> Self {
        let rank = |outcome| match outcome {
            Outcome::Allow => 2,
            Outcome::ApprovalRequired => 1,
            Outcome::Deny | Outcome::RateLimited => 0,
        };
        match (old, new) {
            _ if rank(new) > rank(old) => Self::Permissive,
            _ if rank(new) < rank(old) => Self::Stricter,
            (Outcome::Deny, Outcome::RateLimited) | (Outcome::RateLimited, Outcome::Deny) => Self::Other,
            _ => Self::Same,
        }
    }
}

/// The judgement of one decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The change, if all possible answers agree on it.
    pub change: Option<Change>,
    /// The time of the decision, in Unix microseconds.
    pub decided_at_us: u64,
    /// Names of the call.
    pub server: String,
    /// Id of the grant.
    pub grant: String,
    /// Name of the tool.
    pub tool: String,
    /// Name of the policy that decided.
    pub policy: String,
    /// The outcome in the log, and its rule.
    pub old: (Outcome, String),
    /// True if a person had approved the call.
    pub was_approved: bool,
    /// Every possible answer of the new policy, with its rule.
    pub new: Vec<(Outcome, String)>,
    /// The reasons for which several are possible.
    pub reasons: Vec<Unknown>,
    /// True if the log has the new answer as that of full enforcement, because the rule was in shadow.
    pub was_announced: bool,
}

/// The result of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// A decision that was judged, or that cannot be.
    Decided(Judgement),
    /// A line that no policy decides, and its kind.
    Skipped(String),
    /// A line that is none of a decision log, and the reason.
    Malformed(String),
}

/// A judgement, and whether the call takes units.
pub(super) struct Judged {
    pub(super) judgement: Judgement,
    pub(super) is_allowed: bool,
    pub(super) may_be_allowed: bool,
}

/// Compares the possible answers with the one in the log. `may_be_earlier` says of a call that a limit refused that
/// units from before the log may have been in use.
pub(super) fn of(
    call: &LoggedCall<'_>,
    answers: &Answers<'_>,
    approvals: &HashMap<String, String>,
    may_be_earlier: impl Fn() -> bool,
) -> Judged {
    let was_approved = call.was_approved();
    let mut reasons = answers.reasons.clone();
    // What a person has answered, the person would answer again where the same rule asks.
    let asked_for = approvals.get(call.approval).map(String::as_str);
    let is_asked_alike = asked_for.is_none_or(|rule| {
        let mut asking = answers.asking.iter();
        asking.any(|asking| entry(asking) == entry(rule))
    });
    let change_to = |outcome: Outcome| match outcome {
        Outcome::ApprovalRequired if was_approved && is_asked_alike => Some(Change::Same),
        Outcome::ApprovalRequired if was_approved => None,
        Outcome::ApprovalRequired if is_denied_by_person(call) => Some(Change::Same),
        Outcome::Allow if was_approved => Some(Change::Permissive),
        outcome => Some(Change::between(call.outcome, outcome)),
    };
    let mut changes = answers.list.iter().map(|(outcome, _)| change_to(*outcome));
    let first = changes.next().flatten();
    let mut change = first.filter(|first| changes.all(|change| change == Some(*first)));
    if was_approved
        && !is_asked_alike
        && answers
            .list
            .iter()
            .any(|(one, _)| *one == Outcome::ApprovalRequired)
    {
        reasons.push(Unknown::Approval(asked_for.unwrap_or_default().to_owned()));
    }
    if answers.is_anybody {
        change = None;
    }
    let only = |outcome: Outcome| answers.list.iter().all(|(one, _)| *one == outcome);
    let is_approved_alike = was_approved && is_asked_alike && only(Outcome::ApprovalRequired);
    let mut is_allowed = only(Outcome::Allow) || is_approved_alike;
    let may_be_allowed = answers
        .list
        .iter()
        .any(|(one, _)| *one == Outcome::Allow || (was_approved && *one == Outcome::ApprovalRequired));
    // Counts begin empty here, and were not empty there.
    if is_allowed && call.outcome == Outcome::RateLimited && may_be_earlier() {
        (change, is_allowed) = (None, false);
        reasons.push(Unknown::Earlier(call.rule.to_owned()));
    }
    let new: Vec<(Outcome, String)> = answers
        .list
        .iter()
        .map(|(outcome, rule)| (*outcome, rule.to_string()))
        .collect();
    let was_announced = match (new.as_slice(), call.shadow) {
        ([(outcome, rule)], Some((shadow, shadow_rule))) => outcome.as_str() == shadow && rule == shadow_rule,
        _ => false,
    };
    Judged {
        judgement: Judgement {
            reasons: if change.is_some() { Vec::new() } else { reasons },
            change,
            decided_at_us: call.decided_at_us,
            server: call.server.text.to_owned(),
            grant: call.grant.text.to_owned(),
            tool: call.tool.text.to_owned(),
            policy: call.policy.to_owned(),
            old: (call.outcome, call.rule.to_owned()),
            was_approved,
            new,
            was_announced,
        },
        is_allowed,
        may_be_allowed,
    }
}

/// True if a person has denied the call.
fn is_denied_by_person(call: &LoggedCall<'_>) -> bool {
    call.outcome == Outcome::Deny && !call.approval.is_empty()
}

/// The entry of the policy in which a rule stands.
fn entry(rule: &str) -> &str {
    let steps = if rule.starts_with("/all_tools/") { 2 } else { 3 };
    let end = rule.match_indices('/').nth(steps - 1).map(|(end, _)| end);
    end.and_then(|end| rule.get(..end)).unwrap_or(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_of_a_rule() {
        assert_eq!(entry("/tools/limits/approval"), "/tools/limits");
        assert_eq!(entry("/tools/a~1b/limits/approval"), "/tools/a~1b");
        assert_eq!(entry("/categories/Write/limits/c"), "/categories/Write");
        assert_eq!(entry("/all_tools/limits/c"), "/all_tools");
        assert_eq!(entry("(hidden)"), "(hidden)");
    }
}
