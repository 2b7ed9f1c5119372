//! Steps 2 to 4 of `docs/policy.md` section 2: all rules that need no counter.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::call::EvaluatedCall;
use super::condition::{Quantifier, Verdict, check};
use super::explain::{StepKind, StepResult};
use super::need::Needs;
use super::ruling::{Flow, RuleRefusal, Shadowing};
use super::trace::Trace;
use super::truth::Truth;
use super::{message, schema};
use crate::Outcome;
use crate::compile::{
    CategoryPlace, Check, CompiledPolicy, CompiledSchema, NameFacts, Need, Place, ToolFactsCompiled,
};

/// The rule of a denial because the arguments that the rules need are not known.
pub(super) const UNSEEN: &str = "(invalid request)";

/// The rule of a tool that is not as it was accepted.
const TOOL_CHANGED: &str = "(tool changed)";

/// The places whose rules apply: the tool's entry, its category, `all_tools`, in this order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places<'s> {
    rules: [Option<&'s Place>; 3],
    /// The tool is hidden, by its name or by its category.
    is_hidden: bool,
    /// The policy has an entry for the tool or for its category.
    is_named: bool,
}

impl<'s> Places<'s> {
    /// Finds the places for a tool: `facts` are those of the catalogue, `found` those of the policy about its name.
    pub(super) fn find(
        policy: &'s CompiledPolicy,
        facts: Option<&ToolFactsCompiled>,
        found: NameFacts,
    ) -> Self {
        let entry = found.entry.and_then(|entry| policy.tool(entry));
        let category = facts.and_then(|facts| facts.category);
        let category = category.map_or(&CategoryPlace::Absent, |name| policy.category(name));
        let category_rules = match category {
            CategoryPlace::Rules(place) => Some(&**place),
            CategoryPlace::Absent | CategoryPlace::Hide => None,
        };
        Self {
            rules: [entry, category_rules, policy.all_tools()],
            is_hidden: found.hidden || matches!(category, CategoryPlace::Hide),
            is_named: entry.is_some() || !matches!(category, CategoryPlace::Absent),
        }
    }

    /// True if the tool is hidden, by its name or by its category.
    pub(super) const fn is_hidden(&self) -> bool {
        self.is_hidden
    }

    /// True if the policy has an entry for the tool or for its category.
    pub(super) const fn is_named(&self) -> bool {
        self.is_named
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'s Place> {
        self.rules.iter().copied().flatten()
    }
}

/// Evaluates hidden tools, pinned tools, the default, the action, `require`, `deny_if` and `schema`: the first denial wins.
pub(super) fn before_limits<'s, T: Trace>(
    call: &EvaluatedCall<'_>,
    policy: &'s CompiledPolicy,
    places: &Places<'s>,
    shadowing: &mut Shadowing<'s>,
    trace: &mut T,
) -> Flow<'s> {
    admit(call, policy, places, shadowing, trace)?;
    for place in places.iter() {
        if let Some(deny) = &place.deny {
            trace.step(StepKind::Action, &deny.rule, place.shadowed, StepResult::Stopped);
            shadowing.deny(place.shadowed, &deny.rule, || match &deny.reason {
                Some(reason) => Cow::Borrowed(reason.as_str()),
                None => Cow::Owned(message::not_allowed(call.request.tool)),
            })?;
        }
    }
    unseen(call, places, shadowing)?;
    for (kind, quantifier) in [
        (StepKind::Require, Quantifier::Every),
        (StepKind::DenyIf, Quantifier::Some),
    ] {
        for place in places.iter() {
            let list = if kind == StepKind::Require {
                &place.require
            } else {
                &place.deny_if
            };
            for one in list {
                ask(call, one, kind, quantifier, place.shadowed, shadowing, trace)?;
            }
        }
    }
    schemas(call, places, shadowing, trace)
}

/// Evaluates hidden tools, pinned tools and the default.
fn admit<'s, T: Trace>(
    call: &EvaluatedCall<'_>,
    policy: &'s CompiledPolicy,
    places: &Places<'s>,
    shadowing: &mut Shadowing<'s>,
    trace: &mut T,
) -> Flow<'s> {
    let tool = call.request.tool;
    let hidden = places.is_hidden;
    trace.step(
        StepKind::Hidden,
        "(hidden)",
        policy.shadowed,
        StepResult::stopped(hidden),
    );
    if hidden {
        shadowing.deny(policy.shadowed, "(hidden)", || {
            Cow::Owned(message::not_allowed(tool))
        })?;
    }
    changed(call)?;
    let refused = !places.is_named && policy.default_deny;
    trace.step(
        StepKind::Default,
        "(default deny)",
        policy.shadowed,
        StepResult::stopped(refused),
    );
    if refused {
        shadowing.deny(policy.shadowed, "(default deny)", || {
            Cow::Owned(message::not_allowed(tool))
        })?;
    }
    ControlFlow::Continue(())
}

/// Denies a tool that is not as a person accepted it. Never in shadow: the policy was written for another tool.
fn changed<'s>(call: &EvaluatedCall<'_>) -> Flow<'s> {
    let refusal = call.request.pins.and_then(|pins| pins.refusal(call.request.tool));
    refusal.map_or(ControlFlow::Continue(()), |message| {
        ControlFlow::Break(RuleRefusal {
            outcome: Outcome::Deny,
            rule: Cow::Borrowed(TOOL_CHANGED),
            message: Cow::Owned(message),
        })
    })
}

/// Denies by rules that read arguments which nobody has seen: nothing is allowed without reading them.
fn unseen<'s>(call: &EvaluatedCall<'_>, places: &Places<'s>, shadowing: &mut Shadowing<'s>) -> Flow<'s> {
    if call.args_are_seen {
        return ControlFlow::Continue(());
    }
    for place in places.iter().filter(|place| place.reads_args) {
        shadowing.deny(place.shadowed, UNSEEN, || {
            Cow::Owned(message::args_unseen(call.request.tool))
        })?;
    }
    ControlFlow::Continue(())
}

/// Evaluates one check of `require` or `deny_if`.
fn ask<'s, T: Trace>(
    call: &EvaluatedCall<'_>,
    one: &'s Check,
    kind: StepKind,
    quantifier: Quantifier,
    shadowed: bool,
    shadowing: &mut Shadowing<'s>,
    trace: &mut T,
) -> Flow<'s> {
    if shadowed && shadowing.has_answer() && !T::ON {
        return ControlFlow::Continue(());
    }
    let verdict = check(one, quantifier, call, trace);
    trace.step(kind, &one.rule, shadowed, result(&verdict));
    let refuses = match verdict {
        Err(_) => true,
        Ok(truth) if kind == StepKind::Require => truth != Truth::True,
        Ok(truth) => fires(truth),
    };
    if !refuses {
        return ControlFlow::Continue(());
    }
    shadowing.deny(shadowed, &one.rule, || match (&verdict, &one.on_deny) {
        // The fault of the types helps the caller more than the check's own message.
        (Err(fault), _) => Cow::Owned(message::check_fault(call.request.tool, fault)),
        (Ok(_), Some(on_deny)) => Cow::Borrowed(on_deny.as_str()),
        (Ok(_), None) => Cow::Owned(message::check_refused(call.request.tool, one)),
    })
}

/// Returns true if a check under `deny_if` or `when` applies: also if it is presumed true because an argument is
/// missing.
const fn fires(truth: Truth) -> bool {
    matches!(truth, Truth::True | Truth::PresumedTrue)
}

fn result(verdict: &Verdict<'_>) -> StepResult {
    StepResult::of(verdict.as_ref().map(|truth| *truth).map_err(|_| ()))
}

fn schemas<'s, T: Trace>(
    call: &EvaluatedCall<'_>,
    places: &Places<'s>,
    shadowing: &mut Shadowing<'s>,
    trace: &mut T,
) -> Flow<'s> {
    // Built for the first schema that asks, and once for all.
    let mut owned = None;
    let tool = call.request.tool;
    for place in places.iter() {
        let Some(rule) = &place.schema else { continue };
        if place.shadowed && shadowing.has_answer() && !T::ON {
            continue;
        }
        let schema = match &rule.schema {
            CompiledSchema::Inline(schema) => Some(&**schema),
            CompiledSchema::Input => call.facts.and_then(|facts| facts.input_schema.as_ref()),
        };
        let refusal = match schema {
            None => Some(message::schema_unknown(tool)),
            Some(schema) if !schema.budget.allows(call.args) => {
                let fault = "the arguments hold too many values, or too large numbers, for this schema";
                Some(message::schema_refused(tool, fault))
            }
            Some(schema) => schema::fault(
                &schema.validator,
                owned.get_or_insert_with(|| schema::owned(call.args)),
            )
            .map(|fault| message::schema_refused(tool, &fault)),
        };
        trace.step(
            StepKind::Schema,
            &rule.rule,
            place.shadowed,
            StepResult::stopped(refusal.is_some()),
        );
        if let Some(message) = refusal {
            shadowing.deny(place.shadowed, &rule.rule, || Cow::Owned(message))?;
        }
    }
    ControlFlow::Continue(())
}

/// Finds the approvals that the call needs: all enforced ones, and the first one in shadow.
pub(super) fn needs<'s, T: Trace>(
    call: &EvaluatedCall<'_>,
    places: &Places<'s>,
    trace: &mut T,
) -> (Needs<'s>, Option<&'s Need>) {
    let (mut enforced, mut shadowed) = (Needs::new(), None);
    for place in places.iter() {
        let Some(approval) = &place.approval else { continue };
        let needed = approval.when.is_empty() || any_fires(call, &approval.when, place.shadowed, trace);
        trace.step(
            StepKind::Approval,
            &approval.need.rule,
            place.shadowed,
            StepResult::stopped(needed),
        );
        if !needed {
            continue;
        }
        if place.shadowed {
            shadowed.get_or_insert(&*approval.need);
        } else {
            enforced.push(Cow::Borrowed(&approval.need));
        }
    }
    (enforced, shadowed)
}

fn any_fires<T: Trace>(call: &EvaluatedCall<'_>, when: &[Check], shadowed: bool, trace: &mut T) -> bool {
    let mut any = false;
    for one in when {
        let verdict = check(one, Quantifier::Some, call, trace);
        trace.step(StepKind::ApprovalWhen, &one.rule, shadowed, result(&verdict));
        // A check that cannot be evaluated asks for the approval.
        any |= verdict.map_or(true, fires);
        if any && !T::ON {
            break;
        }
    }
    any
}
