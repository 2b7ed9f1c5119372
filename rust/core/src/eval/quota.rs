//! Quotas: the counts of a tool whose calls an enforcement point admits by itself (`docs/quotas.md`).
//!
//! A quota stands for calls that nobody asks about one by one. So it is judged only where every such call has the same
//! verdict: by rules that look at the grant, the server and the tool alone, and by limits that count by nothing else.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use callgate_counters::lease::SharedPolicy;
use callgate_counters::{Counters, Demand, Sharing, Window};

use super::stages::Places;
use super::trace::Silent;
use super::weigh::Weighed;
use super::{Evaluation, INVALID};
use crate::compile::{Check, CompiledPolicy, Place};
use crate::json::Tape;
use crate::policy::ast::{Condition, Root, Scope};

/// The rule where counters cannot be lent at all.
const UNAVAILABLE: &str = "(counter store unavailable)";

/// The counts that every call of a quota takes units from.
#[derive(Clone, Debug, Default)]
pub struct QuotaCounts {
    /// The units that one call takes from each; none if nothing limits the calls.
    pub demands: Vec<Demand>,
    /// The policy of those that nodes share; `None` if none are.
    pub policy: Option<Arc<SharedPolicy>>,
}

/// The reason why a quota is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaDenial<'s> {
    /// The rule that denies the calls, or that cannot be judged without a call.
    pub rule: Cow<'s, str>,
    /// A sentence for the operator.
    pub message: Cow<'s, str>,
}

impl QuotaDenial<'_> {
    /// The same denial with owned data.
    #[must_use]
    pub fn into_owned(self) -> QuotaDenial<'static> {
        QuotaDenial {
            rule: Cow::Owned(self.rule.into_owned()),
            message: Cow::Owned(self.message.into_owned()),
        }
    }
}

impl<'s> Evaluation<'_, 's, '_> {
    /// The counts that every call of the request takes units from. The request has no session, and arguments that nobody has
    /// seen.
    pub(crate) fn quota(&self, counters: &Counters, tape: &mut Tape) -> Result<QuotaCounts, QuotaDenial<'s>> {
        let mut weighed = Weighed::default();
        if let ControlFlow::Break(decision) = self.weigh(counters, &mut weighed, tape, &mut Silent, |_| ()) {
            return Err(QuotaDenial {
                rule: decision.rule,
                message: decision.message,
            });
        }
        // A call without arguments that asks nobody: rules about a person's approval have denied it already. This one is for
        // callers of this function who send arguments.
        if !weighed.needs_nobody() || weighed.counts.can_ask() {
            return Err(denial(INVALID, "a person may have to agree to a call"));
        }
        let Some(policy) = self.state.compiled(weighed.indexes.policy) else {
            return Err(denial(INVALID, "no policy decides about this call"));
        };
        let facts = self.state.facts().of(&weighed.server, &weighed.tool);
        let places = Places::find(policy, facts, policy.names.find(&weighed.tool));
        for place in places.iter().filter(|place| !place.shadowed) {
            unjudged_check(place, weighed.indexes.has_grant())?;
            unjudged_limit(policy, place, counters.shared().is_some())?;
        }
        let enforced = weighed.counts.iter().filter(|(one, _)| one.enforced);
        let demands: Vec<Demand> = enforced
            .map(|(_, demand)| demand.clone())
            .filter(|demand| demand.cost.0 > 0)
            .collect();
        if !demands.is_empty() && !counters.can_lend() {
            let message =
                "the counters are shared with other processes of this machine, which lend nothing ahead";
            return Err(denial(UNAVAILABLE, message));
        }
        let is_shared = |demand: &Demand| demand.shape.sharing != Sharing::Local;
        let shared = counters.shared().filter(|_| demands.iter().any(is_shared));
        let policy =
            shared.map(|shared| Arc::clone(policy.shared.get_or_init(|| shared.policy(&policy.name))));
        Ok(QuotaCounts { demands, policy })
    }
}

fn denial<'s>(rule: &'s str, message: &'s str) -> QuotaDenial<'s> {
    QuotaDenial {
        rule: Cow::Borrowed(rule),
        message: Cow::Borrowed(message),
    }
}

/// Refuses a place with a check whose result may differ from call to call.
fn unjudged_check(place: &Place, has_grant: bool) -> Result<(), QuotaDenial<'_>> {
    let checks = place.require.iter().chain(&place.deny_if);
    let unjudged = |check: &&Check| check.conditions.iter().any(|one| varies(one, has_grant));
    match checks.into_iter().find(unjudged) {
        Some(check) => Err(denial(
            &check.rule,
            "the rule looks at a session, a time or labels of a call, which a quota does not have",
        )),
        None => Ok(()),
    }
}

/// True if the condition may hold for one call of a grant and a tool and not for another. Labels of a configured grant are
/// facts of the grant.
fn varies(condition: &Condition, has_grant: bool) -> bool {
    match condition {
        Condition::Test { path, .. } => match path.root {
            Root::Args | Root::Session | Root::Hour | Root::Weekday => true,
            Root::GrantLabel(_) => !has_grant,
            Root::Tool | Root::Server | Root::GrantId | Root::Category | Root::Risk => false,
        },
        Condition::Any(inner) | Condition::All(inner) => inner.iter().any(|one| varies(one, has_grant)),
        Condition::Not(inner) => varies(inner, has_grant),
    }
}

/// Refuses a place with a limit of which no units can be taken ahead.
fn unjudged_limit<'s>(
    policy: &'s CompiledPolicy,
    place: &'s Place,
    has_store: bool,
) -> Result<(), QuotaDenial<'s>> {
    for (_, limit) in policy.limits_of(place) {
        let fault = if limit.scope.iter().any(|part| matches!(part, Scope::Session)) {
            "the limit counts by session, which a quota does not have"
        } else if let Window::Calendar(_) = limit.shape.window {
            "the limit has a calendar window, which may end before its units are used"
        } else if limit.shape(has_store).sharing == Sharing::Strict {
            "the limit is `shared: strict`: the store is asked for the units of each call, and lends none"
        } else {
            continue;
        };
        return Err(denial(&limit.rule, fault));
    }
    Ok(())
}
