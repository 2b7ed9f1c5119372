//! The counts that a call uses, and its cost in each (`docs/policy.md` section 4).

use std::borrow::Cow;
use std::ops::ControlFlow;

use callgate_counters::{CountKey, CountShape, Demand, KeyHasher, Micros, Resets, Sharing};
use smallvec::SmallVec;

use super::admission::AdmittedRequest;
use super::call::EvaluatedCall;
use super::explain::{StepKind, StepResult};
use super::message;
use super::ruling::{Flow, Shadowing};
use super::stages::Places;
use super::trace::Trace;
use super::walk::{Reached, walk};
use crate::compile::{CompiledLimit, CompiledPolicy, Place};
use crate::json::{Scaled, Value, scaled};
use crate::policy::ast::{Cost, Path, Scope};

/// Most units that one call may cost: 1e12.
pub(super) const MAX_COST: Micros = Micros(1_000_000_000_000 * Micros::ONE.0);
/// Most counts of a call whose memory is asked for early. One more is found as well, a little later.
const EARLY: usize = 4;
/// Decimals that a cost may have.
pub(super) const COST_DECIMALS: u32 = 6;

/// The parts of every count's identity that no policy and no call knows, and the identities that are known already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys<'k> {
    pub(super) hash_key: &'k [u8; 16],
    /// The key of the identities that nodes share; `None` where there is no shared store.
    pub(super) shared_key: Option<&'k [u8; 16]>,
    pub(super) resets: Option<&'k Resets>,
    /// The resets of the counts that nodes share.
    pub(super) shared_resets: Option<&'k Resets>,
    /// The counts of the first limits of the call: see [`early_keys`].
    pub(super) early: &'k [CountKey],
}

impl Keys<'_> {
    /// The keys for the limits of one entry. No call waits for what cannot refuse it: what is in shadow is counted by each
    /// node alone.
    pub(super) fn of(self, place: &Place) -> Self {
        Self {
            shared_key: self.shared_key.filter(|_| !place.shadowed),
            ..self
        }
    }
}

/// The use of one count by the call: the limit whose rule is reported if the count refuses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    /// Index of the limit in the policy that decides.
    pub(super) limit: u32,
    /// The position of `limit` among all limits that apply to the call.
    pub(super) order: u32,
    /// True if an enforced limit uses the count.
    pub(super) enforced: bool,
    /// True if a person may allow units above `max`.
    pub(super) asks: bool,
}

impl Use {
    /// Enforced uses first, then those of shadowed limits alone; document order within each.
    const fn rank(self) -> (bool, u32) {
        (!self.enforced, self.order)
    }
}

/// The units that a call wants, one demand for each of its counts.
pub(super) type Demands = SmallVec<[Demand; 4]>;

/// The counts that a call uses, by rank, and what it wants from each.
#[derive(Debug, Default)]
pub(super) struct Counts {
    uses: SmallVec<[Use; 4]>,
    pub(super) demands: Demands,
}

impl Counts {
    pub(super) fn iter(&self) -> impl Iterator<Item = (Use, &Demand)> {
        self.uses.iter().copied().zip(&self.demands)
    }

    /// The use of the count with this index.
    pub(super) fn use_of(&self, index: usize) -> Option<Use> {
        self.uses.get(index).copied()
    }

    /// Returns the number of counts that are enforced; they stand before the others.
    pub(super) fn enforced(&self) -> usize {
        self.uses.iter().filter(|one| one.enforced).count()
    }

    /// True if a person may allow units above the `max` of one of the enforced counts.
    pub(super) fn can_ask(&self) -> bool {
        self.uses.iter().any(|one| one.asks && one.enforced)
    }

    /// The enforced counts that other nodes share, and that the call takes units from.
    pub(super) fn shared(&self) -> impl Iterator<Item = (Use, &Demand)> {
        self.iter()
            .filter(|(one, demand)| one.enforced && is_asked_for(demand))
    }

    /// The counts that have too little left, with the numbers of their demands.
    pub(super) fn short(&self) -> impl Iterator<Item = (Use, usize)> {
        let short =
            |(index, (one, demand)): (usize, (Use, &Demand))| is_short(demand).then_some((one, index));
        self.iter().enumerate().filter_map(short)
    }

    /// Returns the index of the first of the first `among` counts in which the call has to wait.
    pub(super) fn first_waiting(&self, among: usize) -> Option<usize> {
        first_waiting(&self.demands, among)
    }

    /// Returns the first of the first `among` counts in which the call has to wait: one that refuses, else one that asks.
    pub(super) fn first_refusing(&self, among: usize) -> Option<Use> {
        let waiting = self
            .iter()
            .take(among)
            .filter(|(_, demand)| demand.view.wait_us > 0);
        let mut waiting: SmallVec<[Use; 4]> = waiting.map(|(one, _)| one).collect();
        // Stable: the order within both stays.
        waiting.sort_by_key(|one| one.asks);
        waiting.first().copied()
    }

    /// Gives the counts that [`Self::shared`] returns these keys.
    pub(super) fn rename_shared(&mut self, keys: &[CountKey]) {
        let all = self.uses.iter().zip(&mut self.demands);
        let shared = all.filter(|(one, demand)| one.enforced && is_asked_for(demand));
        for ((_, demand), key) in shared.zip(keys) {
            demand.key = *key;
        }
    }

    /// The same counts in the order of their limits.
    pub(super) fn in_order(&self) -> (SmallVec<[Use; 4]>, Demands) {
        let mut both: SmallVec<[(Use, &Demand); 4]> = self.iter().collect();
        both.sort_by_key(|(one, _)| one.order);
        both.into_iter()
            .map(|(one, demand)| (one, demand.clone()))
            .unzip()
    }

    /// Adds a limit. If one call uses a count twice, it takes the larger cost, once, under the first limit's rule. A
    /// count of both enforced and shadowed limits is enforced, under the rule and the cost of the first enforced one
    /// alone.
    fn add(&mut self, new: Use, key: CountKey, shape: CountShape, cost: Micros) {
        let known = self.demands.iter().position(|demand| demand.key == key);
        let known = known.and_then(|index| Some((self.uses.get_mut(index)?, self.demands.get_mut(index)?)));
        match known {
            Some((one, demand)) if one.enforced == new.enforced => demand.cost = demand.cost.max(cost),
            Some((one, demand)) if new.enforced => (*one, *demand) = (new, Demand::new(key, shape, cost)),
            Some(_) => {}
            None => {
                self.uses.push(new);
                self.demands.push(Demand::new(key, shape, cost));
            }
        }
    }

    fn sort(&mut self) {
        // Nearly always so: only limits in shadow, or one count of several limits, can be out of rank.
        if self.uses.is_sorted_by_key(|one| one.rank()) {
            return;
        }
        let mut both: SmallVec<[(Use, Demand); 4]> =
            self.uses.drain(..).zip(self.demands.drain(..)).collect();
        both.sort_by_key(|(one, _)| one.rank());
        (self.uses, self.demands) = both.into_iter().unzip();
    }
}

/// True if units of the demand are asked for at the store.
fn is_asked_for(demand: &Demand) -> bool {
    demand.shape.sharing != Sharing::Local && demand.cost.0 > 0
}

/// True if the count has too little left. Units above `max` are wanted only where a person may allow them.
pub(super) fn is_short(demand: &Demand) -> bool {
    demand.view.wait_us > 0 || demand.cost > demand.shape.max
}

/// Returns the index of the first of the first `among` demands that has to wait.
pub(super) fn first_waiting(demands: &[Demand], among: usize) -> Option<usize> {
    demands
        .iter()
        .take(among)
        .position(|demand| demand.view.wait_us > 0)
}

/// The counts of the limits that need no argument to be known, in the order of the limits, up to the first that does.
pub(super) fn early_keys(
    request: &AdmittedRequest<'_>,
    keys: Keys<'_>,
    policy: &CompiledPolicy,
    places: &Places<'_>,
) -> SmallVec<[CountKey; EARLY]> {
    let limits = places.iter().flat_map(|place| {
        let of_place = policy.limits_of(place);
        of_place.map(move |(_, limit)| (keys.of(place), limit))
    });
    let keys = limits.map_while(|(keys, limit)| key(request, None, keys, limit).ok());
    keys.take(EARLY).collect()
}

/// Resolves every limit into `counts`: its scope, its cost, its cost against `max` unless a person may allow more. The first
/// fault denies.
pub(super) fn resolve<'s, T: Trace>(
    call: &EvaluatedCall<'_>,
    keys: Keys<'_>,
    policy: &'s CompiledPolicy,
    places: &Places<'s>,
    shadowing: &mut Shadowing<'s>,
    counts: &mut Counts,
    trace: &mut T,
) -> Flow<'s> {
    let mut order = 0;
    let mut early = keys.early.iter();
    for place in places.iter() {
        for (index, limit) in policy.limits_of(place) {
            match resolve_one(call, keys.of(place), early.next(), limit) {
                Ok((key, cost)) => {
                    let one = Use {
                        limit: index,
                        order,
                        enforced: !place.shadowed,
                        asks: limit.at_max.is_some(),
                    };
                    let shape = limit.shape(keys.shared_key.is_some() && !place.shadowed);
                    counts.add(one, key, shape, cost);
                }
                Err((rule, fault)) => {
                    trace.step(StepKind::Limit, rule, place.shadowed, StepResult::Error);
                    shadowing.deny(place.shadowed, rule, || match &limit.on_deny {
                        Some(on_deny) => Cow::Borrowed(on_deny.as_str()),
                        None => Cow::Owned(fault.message(call, limit)),
                    })?;
                }
            }
            order += 1;
        }
    }
    counts.sort();
    ControlFlow::Continue(())
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
    keys: Keys<'_>,
    early: Option<&CountKey>,
    limit: &'s CompiledLimit,
) -> Result<(CountKey, Micros), (&'s str, LimitFault<'s>)> {
    let key = match early {
        Some(key) => *key,
        None => key(call.request, Some(call.args), keys, limit)
            .map_err(|path| (&*limit.rule, LimitFault::Scope(path)))?,
    };
    let cost = cost(call, limit).map_err(|path| (&*limit.cost_rule, LimitFault::Cost(path)))?;
    if cost > limit.shape.max && limit.at_max.is_none() {
        return Err((&limit.rule, LimitFault::AboveMax));
    }
    Ok((key, cost))
}

/// The count that a limit keeps for a call, or the path of its scope at which the call has no value; without `args`, the
/// first path of its scope.
pub(super) fn key<'s>(
    request: &AdmittedRequest<'_>,
    args: Option<Value<'_>>,
    Keys {
        hash_key,
        shared_key,
        resets,
        shared_resets,
        ..
    }: Keys<'_>,
    limit: &'s CompiledLimit,
) -> Result<CountKey, &'s Path> {
    let shared_key = shared_key.filter(|_| limit.shape.sharing != Sharing::Local);
    let hash_key = shared_key.unwrap_or(hash_key);
    let mut hasher = KeyHasher::new(hash_key, &limit.spec);
    for scope in &limit.scope {
        match scope {
            Scope::Grant => hasher.str(request.grant),
            // Sessions belong to their grant: one caller's session id means nothing to another.
            Scope::Session => {
                hasher.str(request.grant);
                match request.session {
                    Some(session) => hasher.str(session),
                    None => hasher.none(),
                }
            }
            Scope::Tool => hasher.str(request.tool),
            Scope::Server => hasher.str(request.server),
            Scope::Global => {}
            Scope::Args(path) => match args.map(|args| walk(args, path, 0)) {
                Some(Reached::Value(value)) => hash_argument(&mut hasher, value),
                _ => return Err(path),
            },
        }
    }
    let number = |resets: &Resets| {
        let grant = limit.counts_by_grant().then_some(request.grant);
        let tool = limit.counts_by_tool().then_some(request.tool);
        resets.number(&limit.spec, grant, tool)
    };
    if shared_key.is_some() {
        // A call that waits may have to be given the number of a later reset: see `CountKey::with_reset`.
        let key = hasher.finish();
        return Ok(shared_resets.map_or(key, |resets| key.with_reset(hash_key, number(resets))));
    }
    if let Some(resets) = resets {
        hasher.reset(number(resets));
    }
    Ok(hasher.finish())
}

/// The units that a call costs, or the path of the cost at which the call has no usable number.
pub(super) fn cost<'s>(call: &EvaluatedCall<'_>, limit: &'s CompiledLimit) -> Result<Micros, &'s Path> {
    match &limit.cost {
        Cost::Fixed(cost) => Ok(*cost),
        Cost::Args(path) => {
            let Reached::Value(value) = walk(call.args, path, 0) else {
                return Err(path);
            };
            match value.as_number().map(|text| scaled(text, COST_DECIMALS)) {
                Some(Scaled::Units(units)) if units <= MAX_COST.0 => Ok(Micros(units)),
                _ => Err(path),
            }
        }
    }
}

/// Adds an argument's value to an identity; values that are `eq` give the same one.
pub(super) fn hash_argument(hasher: &mut KeyHasher, value: Value<'_>) {
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
