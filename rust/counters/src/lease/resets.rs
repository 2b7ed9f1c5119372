//! Resets of the counts that nodes share.
//!
//! The number of the latest reset is a part of a count's key, as with the counts of one node. The store keeps the resets of each
//! policy, and every node that asks it for anything has the same ones first: see `rust/shared/src/lease/resets.rs`. Two sets of
//! resets are joined by keeping the greatest number of each target, so it does not matter in which order they arrive.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{Ask, Shared, SharedPolicy};
use crate::reset_names::{MOST_RESETS, Target};
use crate::{CountKey, Demand, ResetTarget, Resets, SpecDigest};

/// The resets of one policy, as far as this node knows them.
#[derive(Debug)]
pub struct SharedResets {
    /// False as long as there is none: then a call reads nothing else here.
    any: AtomicBool,
    current: ArcSwap<Resets>,
    key: [u8; 16],
    /// Held by who changes them.
    change: Mutex<()>,
}

/// Resets that are to be made: their names at the store, and those that they replace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedResets {
    /// The names of the resets.
    pub made: Vec<String>,
    /// The names of earlier ones, of counts that these name as well.
    pub replaced: Vec<String>,
    /// The greatest number that is known.
    pub latest: u64,
}

/// A shared reset that was not made, or may not have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SharedResetError {
    /// The store could not be asked.
    #[error("the store of shared counters cannot be reached, so they were not reset")]
    Away,
    /// The store was asked, and did not answer.
    #[error(
        "the store of shared counters was asked and gave no answer, so it is not known if they were reset; run the command again"
    )]
    Unanswered,
    /// Too many resets are in force.
    #[error(
        "{MOST_RESETS} resets of these shared counters are in force, which is the most; a reset without `--grant` or `--tool` \
         replaces those of the same limits"
    )]
    Full,
}

/// Resets of shared counts of one policy that are asked for.
pub struct ResetAsk {
    /// The policy.
    pub policy: Arc<SharedPolicy>,
    targets: Vec<Target>,
    answer: mpsc::Sender<Result<(), SharedResetError>>,
}

/// By what one count is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeOfCount {
    /// Its specification.
    pub spec: SpecDigest,
    /// True if grants have counts of their own.
    pub is_by_grant: bool,
    /// True if tools have counts of their own.
    pub is_by_tool: bool,
}

/// By what the counts of a call are kept.
#[derive(Clone, Debug, Default)]
pub struct CountScopes {
    /// The tool.
    pub tool: Arc<str>,
    /// The resets whose numbers are in the keys of the call's demands.
    pub resets: Option<Arc<Resets>>,
    /// For each demand, in their order.
    pub counts: Vec<ScopeOfCount>,
}

impl SharedResets {
    /// None is known yet. The key is that of the counts' identities, so that all nodes name targets alike.
    pub(super) fn new(key: &[u8; 16]) -> Self {
        Self {
            any: AtomicBool::new(false),
            current: ArcSwap::from_pointee(Resets::new(key, [])),
            key: *key,
            change: Mutex::default(),
        }
    }

    /// The resets that the keys of counts depend on; `None` if there are none.
    #[inline]
    pub fn current(&self) -> Option<Arc<Resets>> {
        // Acquire: pairs with `merge`, so a call that begins after a reset sees it.
        self.any.load(Ordering::Acquire).then(|| self.current.load_full())
    }

    /// Adds the resets that the store has, each with its name there. False, and nothing is added, if a name cannot be read.
    pub fn merge(&self, lines: &[(String, u64)]) -> bool {
        let read = |(name, number): &(String, u64)| Target::read(name).map(|target| (target, *number));
        let Some(lines) = lines.iter().map(read).collect::<Option<Vec<_>>>() else {
            return false;
        };
        let _change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let every = Resets::new(&self.key, self.current.load().iter().chain(lines));
        let is_replaced = |(target, number): &(Target, u64)| {
            let mut others = every.iter();
            others.any(|(other, later)| later > *number && other != *target && other.covers(target))
        };
        let kept = Resets::new(&self.key, every.iter().filter(|reset| !is_replaced(reset)));
        let is_any = !kept.is_empty();
        self.current.store(Arc::new(kept));
        // Release: pairs with `current`.
        self.any.store(is_any, Ordering::Release);
        true
    }

    /// The resets of this node that are not among those of the store: it has lost them.
    pub fn missing_from(&self, lines: &[(String, u64)]) -> Vec<(String, u64)> {
        let read = |(name, number): &(String, u64)| Target::read(name).map(|target| (target, *number));
        let theirs: Vec<(Target, u64)> = lines.iter().filter_map(read).collect();
        let resets = self.current.load();
        let missing = resets.iter().filter(|(target, number)| {
            let is_known = |(other, later): &(Target, u64)| later >= number && other.covers(target);
            !theirs.iter().any(is_known)
        });
        missing
            .map(|(target, number)| (target.to_string(), number))
            .collect()
    }

    /// Plans the resets of an ask.
    pub fn plan(&self, ask: &ResetAsk) -> Result<PlannedResets, SharedResetError> {
        let resets = self.current.load();
        let (replaced, kept): (Vec<_>, Vec<_>) = resets
            .iter()
            .partition(|(target, _)| ask.targets.iter().any(|new| new.covers(target)));
        if kept.len() + ask.targets.len() > MOST_RESETS {
            return Err(SharedResetError::Full);
        }
        let is_other = |(target, _): &(Target, u64)| !ask.targets.contains(target);
        Ok(PlannedResets {
            made: ask.targets.iter().map(ToString::to_string).collect(),
            replaced: replaced
                .into_iter()
                .filter(is_other)
                .map(|(target, _)| target.to_string())
                .collect(),
            latest: resets.iter().map(|(_, number)| number).max().unwrap_or(0),
        })
    }
}

impl ResetAsk {
    /// Says what has become of it.
    pub fn answer(self, outcome: Result<(), SharedResetError>) {
        // Who waits no more knows that it is not known.
        let _ = self.answer.send(outcome);
    }
}

impl Shared {
    /// Lets shared counts of a policy begin anew, at all nodes. Blocks until the store and this node know of it, at most for
    /// this time.
    pub fn reset(
        &self,
        policy: &Arc<SharedPolicy>,
        targets: &[ResetTarget<'_>],
        patience: Duration,
    ) -> Result<(), SharedResetError> {
        let (answer, answered) = mpsc::channel();
        self.ask(Ask::Reset(ResetAsk {
            policy: Arc::clone(policy),
            targets: targets
                .iter()
                .map(|target| Target::new(&self.hash_key, target))
                .collect(),
            answer,
        }));
        match answered.recv_timeout(patience) {
            Ok(outcome) => outcome,
            Err(_) => Err(SharedResetError::Unanswered),
        }
    }
}

impl CountScopes {
    /// Gives the demands the keys that they have after these resets.
    pub fn renew_keys(
        &mut self,
        hash_key: &[u8; 16],
        grant: &str,
        now: Option<Arc<Resets>>,
        demands: &mut [Demand],
    ) {
        let is_same = match (&self.resets, &now) {
            (None, None) => true,
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            _ => false,
        };
        if is_same {
            return;
        }
        for (demand, scope) in demands.iter_mut().zip(&self.counts) {
            let number = |resets: &Option<Arc<Resets>>| {
                let grant = scope.is_by_grant.then_some(grant);
                let tool = scope.is_by_tool.then_some(&*self.tool);
                resets
                    .as_ref()
                    .map_or(0, |resets| resets.number(&scope.spec, grant, tool))
            };
            let (before, after) = (number(&self.resets), number(&now));
            if before != after {
                let plain: CountKey = demand.key.with_reset(hash_key, before);
                demand.key = plain.with_reset(hash_key, after);
            }
        }
        self.resets = now;
    }
}

impl Target {
    /// Reads the name of a target at the store.
    fn read(name: &str) -> Option<Self> {
        let mut parts = name.split(':');
        let (spec, grant, tool) = (parts.next()?, parts.next()?, parts.next()?);
        let spec = u128::from_str_radix(spec, 16).ok()?;
        let word = |text: &str| u64::from_str_radix(text, 16).ok();
        let target = Self {
            spec: spec.to_be_bytes(),
            grant: word(grant)?,
            tool: word(tool)?,
        };
        parts.next().is_none().then_some(target)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = u128::from_be_bytes(self.spec);
        write!(f, "{spec:032x}:{:016x}:{:016x}", self.grant, self.tool)
    }
}

impl fmt::Debug for ResetAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResetAsk")
            .field("policy", &self.policy.name)
            .field("targets", &self.targets)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const GRANT: u64 = 3;

    fn line(spec: u8, grant: u64, number: u64) -> (String, u64) {
        let target = Target {
            spec: [spec; 16],
            grant,
            tool: 0,
        };
        (target.to_string(), number)
    }

    fn known(lines: &[(String, u64)]) -> SharedResets {
        let resets = SharedResets::new(&[7; 16]);
        assert!(resets.merge(lines));
        resets
    }

    fn numbers(resets: &SharedResets) -> Vec<u64> {
        let mut numbers: Vec<u64> = resets.current.load().iter().map(|(_, number)| number).collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn resets_are_joined_in_any_order() {
        let lines = [
            line(1, GRANT, 5),
            line(1, 0, 7),
            line(1, GRANT, 9),
            line(2, 0, 4),
            line(1, 0, 6),
        ];
        for turn in 0..lines.len() {
            let resets = SharedResets::new(&[7; 16]);
            assert!(resets.current().is_none());
            for place in 0..lines.len() {
                assert!(resets.merge(&lines[(place + turn) % lines.len()..][..1]));
            }
            assert_eq!(numbers(&resets), [4, 7, 9], "from line {turn} on");
        }
        // Of counts of which all were reset later.
        assert_eq!(numbers(&known(&[line(1, GRANT, 5), line(1, 0, 7)])), [7]);
    }

    #[test]
    fn a_name_that_cannot_be_read_is_no_reset_of_nothing() {
        let resets = SharedResets::new(&[7; 16]);
        for name in ["", "1:2", "x:0:0", "1:0:0:0"] {
            assert!(!resets.merge(&[line(1, 0, 3), (name.to_owned(), 4)]), "{name}");
        }
        assert!(resets.current().is_none());
    }

    #[test]
    fn what_the_store_has_lost_is_brought() {
        let resets = known(&[line(1, GRANT, 5), line(2, 0, 7)]);
        assert_eq!(resets.missing_from(&[line(1, 0, 6), line(2, 0, 7)]), []);
        assert_eq!(
            resets.missing_from(&[line(1, 0, 4), line(2, 0, 7)]),
            [line(1, GRANT, 5)]
        );
        assert_eq!(resets.missing_from(&[]).len(), 2);
    }

    #[test]
    fn a_wider_reset_replaces_and_makes_room() {
        let shared = Shared::new([7; 16]);
        let policy = shared.policy("p");
        let lines: Vec<_> = (1..=1_000).map(|grant| line(1, grant, grant)).collect();
        assert!(policy.resets.merge(&lines));
        let (spec, (answer, _answered)) = ([1; 16], mpsc::channel());
        let plan = |grant| {
            let target = ResetTarget {
                spec: Some(&spec),
                grant,
                tool: None,
            };
            policy.resets.plan(&ResetAsk {
                policy: Arc::clone(&policy),
                targets: vec![Target::new(&[7; 16], &target)],
                answer: answer.clone(),
            })
        };
        assert_eq!(plan(Some("g")), Err(SharedResetError::Full));
        let planned = plan(None).unwrap();
        assert_eq!((planned.made.len(), planned.replaced.len()), (1, 1_000));
        assert_eq!(planned.latest, 1_000);
    }

    #[test]
    fn a_waiting_call_gets_the_keys_of_now() {
        let key = [7; 16];
        let spec = [1; 16];
        let mut demands = [super::super::tests::demand(), super::super::tests::demand()];
        let plain = demands[0].key;
        let grant = ResetTarget {
            spec: None,
            grant: Some("g"),
            tool: None,
        };
        let by = |is_by_grant| ScopeOfCount {
            spec,
            is_by_grant,
            is_by_tool: false,
        };
        let mut scopes = CountScopes {
            counts: vec![by(true), by(false)],
            ..CountScopes::default()
        };
        let of = |number| known(&[(Target::new(&key, &grant).to_string(), number)]).current();
        let renewed = |scopes: &mut CountScopes, resets, demands: &mut [Demand]| {
            scopes.renew_keys(&key, "g", resets, demands);
            (demands[0].key, demands[1].key)
        };
        assert_eq!(
            renewed(&mut scopes, of(5), &mut demands),
            (plain.with_reset(&key, 5), plain)
        );
        assert_eq!(
            renewed(&mut scopes, of(6), &mut demands),
            (plain.with_reset(&key, 6), plain)
        );
        assert_eq!(renewed(&mut scopes, None, &mut demands), (plain, plain));
    }
}
