//! The units of counts that a call demands (`docs/policy.md` sections 1, 2 and 4).

use crate::call::{Call, Facts};
use crate::count::Count;
use crate::json::Json;
use crate::path::{Path, PathEnd};
use crate::policy::{Cost, Limit, Policy, Scope, step};

/// The greatest cost, in millionths.
const MAX_COST: i128 = 1_000_000_000_000 * 1_000_000;

/// Units of one count.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pub(crate) count: Count,
    pub(crate) cost: i128,
    pub(crate) rule: String,
    pub(crate) shadowed: bool,
    /// A person may allow units above `max`.
    pub(crate) asks: bool,
}

/// The demand of one limit, or the rule pointer that denies.
pub(crate) fn resolve(
    policy: &Policy,
    limit: &Limit,
    shadowed: bool,
    call: &Call,
    args: &Json,
    facts: &Facts,
) -> Result<Demand, String> {
    let one = |path: &Path| match call.values(args, facts, path).pop() {
        Some(PathEnd::Value(value)) => Some(value),
        _ => None,
    };
    let mut scope: Vec<String> = Vec::new();
    for part in &limit.scope {
        let value = match part {
            Scope::Argument(path) => one(path).ok_or_else(|| limit.pointer.clone())?.key(),
            Scope::Word(word) => match word.as_str() {
                "grant" => step(&call.grant),
                "session" => format!("{}/{}", step(&call.grant), step(&call.session)),
                "tool" => step(&call.tool),
                "server" => step(&call.server),
                _ => String::new(),
            },
        };
        scope.push(format!("{}={value}", part.kind()));
    }
    scope.sort();
    scope.dedup();
    let cost = match &limit.cost {
        Cost::Fixed(cost) => Some(*cost),
        Cost::Argument(path) => one(path).and_then(|value| value.number()?.millionths()),
    };
    let unusable = || format!("{}/cost", limit.pointer);
    let cost = cost
        .filter(|cost| (0..=MAX_COST).contains(cost))
        .ok_or_else(unusable)?;
    if cost > limit.max && !limit.asks {
        return Err(limit.pointer.clone());
    }
    Ok(Demand {
        count: Count {
            key: format!("{:?} {} {scope:?}", limit.counter, limit.window.key()),
            window: limit.window.clone(),
            max: limit.max,
            is_exact: is_exact(policy, limit),
        },
        cost,
        rule: limit.pointer.clone(),
        shadowed,
        asks: limit.asks,
    })
}

/// Up to 256 units and fixed whole-unit costs, in every limit with this count, and nothing above `max`.
fn is_exact(policy: &Policy, limit: &Limit) -> bool {
    const UNIT: i128 = 1_000_000;
    let kinds = |limit: &Limit| {
        let mut kinds: Vec<String> = limit.scope.iter().map(Scope::kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    };
    let same = |other: &&Limit| {
        other.counter == limit.counter && other.window == limit.window && kinds(other) == kinds(limit)
    };
    !limit.asks
        && limit.max <= 256 * UNIT
        && policy
            .rules()
            .flat_map(|rules| &rules.limits)
            .filter(same)
            .all(|limit| matches!(limit.cost, Cost::Fixed(cost) if cost % UNIT == 0))
}

/// Merges several demands on one count: enforced if one of them is, under the rule of the first (enforced) one, at the
/// largest (enforced) cost.
pub(crate) fn merge(demands: &[Demand]) -> Vec<Demand> {
    let mut merged: Vec<Demand> = Vec::new();
    for demand in demands {
        let on_same = || demands.iter().filter(|other| other.count.key == demand.count.key);
        let enforced = on_same().any(|other| !other.shadowed);
        if demand.shadowed == enforced || merged.iter().any(|other| other.count.key == demand.count.key) {
            continue;
        }
        let cost = on_same()
            .filter(|other| other.shadowed != enforced)
            .map(|other| other.cost)
            .max();
        merged.push(Demand {
            cost: cost.unwrap_or_default(),
            ..demand.clone()
        });
    }
    merged
}
