//! The counts that a call uses, and its cost in each (`docs/policy.md` section 4).

use std::borrow::Cow;
use std::ops::ControlFlow;

use callgate_counters::{CountKey, CountShape, KeyHasher, Micros};
use smallvec::SmallVec;

use super::call::EvaluatedCall;
use super::explain::{StepKind, StepResult};
use super::message;
use super::ruling::{Flow, Shadowing};
use super::stages::Places;
use super::trace::Trace;
use super::walk::{Reached, walk};
use crate::compile::{CompiledLimit, CompiledPolicy};
use crate::json::{Scaled, Value, scaled};
use crate::policy::ast::{Cost, Path, Scope};

/// Most units that one call may cost: 1e12.
const MAX_COST: Micros = Micros(1_000_000_000_000 * Micros::ONE.0);
/// Decimals that a cost may have.
const COST_DECIMALS: u32 = 6;

/// A count that the call uses, with the limit whose rule is reported if it refuses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) key: CountKey,
    /// Index of the limit in the policy that decides.
    pub(super) limit: u32,
    pub(super) shape: CountShape,
    pub(super) cost: Micros,
    /// True if an enforced limit uses the count.
    pub(super) enforced: bool,
    /// The position of `limit` among all limits that apply to the call.
    pub(super) order: usize,
}

/// The counts that a call uses: enforced ones first, then those of shadowed limits alone; document order within each.
pub(super) type Counts = SmallVec<[Counted; 4]>;

/// Resolves every limit: its scope, its cost, its cost against `max`. The first fault denies.
pub(super) fn resolve<'s, T: Trace>(
    call: &EvaluatedCall<'_>,
    hash_key: &[u8; 16],
    policy: &'s CompiledPolicy,
    places: &Places<'s>,
    shadowing: &mut Shadowing<'s>,
    trace: &mut T,
) -> Flow<'s, Counts> {
    let mut counts = Counts::new();
    let limits = places
        .iter()
        .flat_map(|place| policy.limits_of(place).map(move |limit| (place, limit)));
    for (order, (place, (index, limit))) in limits.enumerate() {
        match resolve_one(call, hash_key, limit) {
            Ok((key, cost)) => {
                merge(
                    &mut counts,
                    Counted {
                        key,
                        limit: index,
                        shape: limit.shape,
                        cost,
                        enforced: !place.shadowed,
                        order,
                    },
                );
            }
            Err((rule, fault)) => {
                trace.step(StepKind::Limit, rule, place.shadowed, StepResult::Error);
                shadowing.deny(place.shadowed, rule, || match &limit.on_deny {
                    Some(on_deny) => Cow::Borrowed(on_deny.as_str()),
                    None => Cow::Owned(fault.message(call, limit)),
                })?;
            }
        }
    }
    counts.sort_by_key(|counted| (!counted.enforced, counted.order));
    ControlFlow::Continue(counts)
}

/// The reason why a limit cannot be applied to a call.
#[derive(Debug)]
enum LimitFault<'s> {
    Scope(&'s Path),
    Cost(&'s Path),
    AboveMax,
}

impl LimitFault<'_> {
    fn message(&self, call: &EvaluatedCall<'_>, limit: &CompiledLimit) -> String {
        let tool = call.request.tool;
        match self {
            Self::Scope(path) => match walk(call.args, path, 0) {
                Reached::Wrong(fault) => message::scope_fault(tool, limit, &path.text, Some(&fault)),
                _ => message::scope_fault(tool, limit, &path.text, None),
            },
            Self::Cost(path) => message::cost_fault(tool, limit, &path.text),
            Self::AboveMax => message::cost_above_max(tool, limit),
        }
    }
}

fn resolve_one<'s>(
    call: &EvaluatedCall<'_>,
    hash_key: &[u8; 16],
    limit: &'s CompiledLimit,
) -> Result<(CountKey, Micros), (&'s str, LimitFault<'s>)> {
    let mut hasher = KeyHasher::new(hash_key, &limit.spec);
    for scope in &limit.scope {
        match scope {
            Scope::Grant => hasher.str(call.request.grant),
            // Sessions belong to their grant: one caller's session id means nothing to another.
            Scope::Session => {
                hasher.str(call.request.grant);
                match call.request.session {
                    Some(session) => hasher.str(session),
                    None => hasher.none(),
                }
            }
            Scope::Tool => hasher.str(call.request.tool),
            Scope::Server => hasher.str(call.request.server),
            Scope::Global => {}
            Scope::Args(path) => match walk(call.args, path, 0) {
                Reached::Value(value) => hash_argument(&mut hasher, value),
                _ => return Err((&limit.rule, LimitFault::Scope(path))),
            },
        }
    }
    let cost = match &limit.cost {
        Cost::Fixed(cost) => *cost,
        Cost::Args(path) => {
            let Reached::Value(value) = walk(call.args, path, 0) else {
                return Err((&limit.cost_rule, LimitFault::Cost(path)));
            };
            match value.as_number().map(|text| scaled(text, COST_DECIMALS)) {
                Some(Scaled::Units(units)) if units <= MAX_COST.0 => Micros(units),
                _ => return Err((&limit.cost_rule, LimitFault::Cost(path))),
            }
        }
    };
    if cost > limit.shape.max {
        return Err((&limit.rule, LimitFault::AboveMax));
    }
    Ok((hasher.finish(), cost))
}

/// Adds an argument's value to an identity; values that are `eq` give the same one.
fn hash_argument(hasher: &mut KeyHasher, value: Value<'_>) {
    // Strings are the usual case and equal exactly when their bytes are; everything else goes through the canonical
    // form, in which equal numbers and equal objects are the same text.
    if let Some(text) = value.as_str() {
        hasher.text(text);
    } else {
        let mut canonical = String::new();
        value.write_canonical(&mut canonical);
        hasher.canonical(&canonical);
    }
}

/// Adds a limit to the counts. If one call uses a count twice, it takes the larger cost, once, under the first limit's
/// rule. A count of both enforced and shadowed limits is enforced, under the rule and the cost of the first enforced
/// one alone.
fn merge(counts: &mut Counts, new: Counted) {
    match counts.iter_mut().find(|counted| counted.key == new.key) {
        Some(counted) if counted.enforced == new.enforced => counted.cost = counted.cost.max(new.cost),
        Some(counted) if new.enforced => *counted = new,
        Some(_) => {}
        None => counts.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    fn of_json(text: &str) -> CountKey {
        let mut tape = Tape::new();
        let value = tape.parse(text.as_bytes(), 64).unwrap();
        let mut hasher = KeyHasher::new(&[7; 16], &[1; 16]);
        hash_argument(&mut hasher, value);
        hasher.finish()
    }

    #[test]
    fn values_that_are_eq_share_an_identity() {
        assert_eq!(of_json("100"), of_json("1e2"));
        assert_eq!(of_json("-0"), of_json("0.0"));
        assert_eq!(of_json(r#"{"a":1,"b":[2]}"#), of_json(r#"{"b":[2.0],"a":1}"#));
        assert_eq!(of_json(r#""A""#), of_json(r#""\u0041""#));
    }

    #[test]
    fn values_that_differ_do_not() {
        assert_ne!(of_json("100"), of_json(r#""100""#));
        assert_ne!(of_json("null"), of_json(r#""null""#));
        assert_ne!(of_json("[1,2]"), of_json("[2,1]"));
        assert_ne!(of_json("9007199254740993"), of_json("9007199254740992"));
    }
}
