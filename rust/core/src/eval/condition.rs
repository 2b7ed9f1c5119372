//! Conditions and checks (`docs/policy.md` section 3).

use super::call::{EvaluatedCall, Fact};
use super::operand::Operand;
use super::operators::{on_missing, on_value};
use super::trace::Trace;
use super::truth::{Combination, Truth};
use super::walk::{EvaluationError, Reached, visit_all, walk};
use crate::compile::Check;
use crate::policy::ast::{Condition, Op, Path, Root, Step};

/// A truth value, or the fault that prevents one.
pub(super) type Verdict<'p> = Result<Truth, EvaluationError<'p>>;

/// The rule by which a condition combines the values of a `[*]`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Quantifier {
    /// Under `require`: the condition holds if it holds for every value.
    Every,
    /// Under `deny_if` and `when`: the condition holds if it holds for at least one value.
    Some,
}

impl Quantifier {
    /// Swaps the two rules, as each `not` does.
    const fn swapped(self) -> Self {
        match self {
            Self::Every => Self::Some,
            Self::Some => Self::Every,
        }
    }
}

/// Evaluates a check: it holds if all its conditions hold.
pub(super) fn check<'p, T: Trace>(
    check: &'p Check,
    quantifier: Quantifier,
    call: &EvaluatedCall<'_>,
    trace: &mut T,
) -> Verdict<'p> {
    combined(Combination::all(), &check.conditions, quantifier, call, trace)
}

fn combined<'p, T: Trace>(
    mut combination: Combination<EvaluationError<'p>>,
    conditions: &'p [Condition],
    quantifier: Quantifier,
    call: &EvaluatedCall<'_>,
    trace: &mut T,
) -> Verdict<'p> {
    // Of one condition, as most checks have, each combination is the condition itself.
    if let [one] = conditions {
        return condition(one, quantifier, call, trace);
    }
    for one in conditions {
        combination.add(condition(one, quantifier, call, trace));
        // Someone who asks for every step gets every condition; the result is the same.
        if !T::ON && combination.is_decided() {
            break;
        }
    }
    combination.finish()
}

fn condition<'p, T: Trace>(
    condition: &'p Condition,
    quantifier: Quantifier,
    call: &EvaluatedCall<'_>,
    trace: &mut T,
) -> Verdict<'p> {
    match condition {
        Condition::Test { path, op } => {
            let verdict = test(path, op, quantifier, call, trace);
            trace.condition(path, op, verdict.as_ref().map(|truth| *truth).map_err(|_| ()));
            verdict
        }
        Condition::Any(list) => combined(Combination::any(), list, quantifier, call, trace),
        Condition::All(list) => combined(Combination::all(), list, quantifier, call, trace),
        // Nesting is bounded by the depth of the policy document.
        Condition::Not(inner) => {
            self::condition(inner, quantifier.swapped(), call, trace).map(Truth::mirrored)
        }
    }
}

fn test<'p, T: Trace>(
    path: &'p Path,
    op: &'p Op,
    quantifier: Quantifier,
    call: &EvaluatedCall<'_>,
    trace: &mut T,
) -> Verdict<'p> {
    if path.root != Root::Args {
        return match call.fact(&path.root) {
            Fact::Missing => judge(path, op, Reached::Missing, trace),
            Fact::Text(text) => judge_operand(path, op, Operand::Text(text), trace),
            Fact::Number(number) => judge_operand(path, op, Operand::Number(number), trace),
        };
    }
    match walk(call.args, path, 0) {
        Reached::Star(..) => {}
        reached => return judge(path, op, reached, trace),
    }
    debug_assert!(path.steps.contains(&Step::Every));
    let mut combination = match quantifier {
        Quantifier::Every => Combination::all(),
        Quantifier::Some => Combination::any(),
    };
    // Every element is counted, but once one has decided the rest need not be judged.
    visit_all(call.args, path, &mut |reached| {
        if T::ON || !combination.is_decided() {
            combination.add(judge(path, op, reached, trace));
        }
    })?;
    combination.finish()
}

fn judge<'p, T: Trace>(path: &'p Path, op: &Op, reached: Reached<'_, 'p>, trace: &mut T) -> Verdict<'p> {
    match reached {
        Reached::Value(value) => judge_operand(path, op, Operand::of(value), trace),
        // A star is visited, never judged; were one to come here, it would lead to no value.
        Reached::Missing | Reached::Star(..) => {
            trace.met("missing");
            Ok(on_missing(op))
        }
        Reached::Wrong(fault) => {
            trace.met(fault.got());
            Err(fault)
        }
    }
}

fn judge_operand<'p, T: Trace>(path: &'p Path, op: &Op, operand: Operand<'_>, trace: &mut T) -> Verdict<'p> {
    trace.met(operand.words());
    match on_value(op, operand) {
        Ok(holds) => Ok(Truth::known(holds)),
        Err(mismatch) => Err(EvaluationError::at_end(path, mismatch.expected, mismatch.got)),
    }
}
