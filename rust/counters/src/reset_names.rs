//! The counts that resets name, and the number of the latest reset of a count.

use std::hash::Hasher;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

use crate::SpecDigest;

/// Most resets that are in force at once: of one process, and of one policy whose counts nodes share.
pub(crate) const MOST_RESETS: usize = 1_000;

/// The counts that a reset names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetTarget<'a> {
    /// The part of their identity that is known at load; `None`: any, of the counts of `grant`.
    pub spec: Option<&'a SpecDigest>,
    /// The grant, of counts that are kept by grant; `None`: any.
    pub grant: Option<&'a str>,
    /// The tool, of counts that are kept by tool; `None`: any.
    pub tool: Option<&'a str>,
}

/// [`ResetTarget`] by hashes; 0 stands for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) spec: SpecDigest,
    pub(crate) grant: u64,
    pub(crate) tool: u64,
}

const ANY_SPEC: SpecDigest = [0; 16];

impl Target {
    /// The target with its names hashed by this key.
    pub(crate) fn new(key: &[u8; 16], target: &ResetTarget<'_>) -> Self {
        let named = |name: Option<&str>| name.map_or(0, |name| hash(key, name));
        Self {
            spec: *target.spec.unwrap_or(&ANY_SPEC),
            grant: named(target.grant),
            tool: named(target.tool),
        }
    }

    /// True if every count of `other` is one of these.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        (self.spec == ANY_SPEC || self.spec == other.spec)
            && (self.grant == 0 || self.grant == other.grant)
            && (self.tool == 0 || self.tool == other.tool)
    }
}

/// The resets in force.
#[derive(Debug)]
pub struct Resets {
    key: [u8; 16],
    // Targets come from operators, so a fixed hasher cannot be attacked.
    numbers: HashMap<Target, u64, FixedState>,
}

impl Resets {
    /// These resets; names are hashed with `key`. Of two with one target, the later one counts.
    pub(crate) fn new(key: &[u8; 16], resets: impl IntoIterator<Item = (Target, u64)>) -> Self {
        let mut numbers: HashMap<Target, u64, FixedState> = HashMap::default();
        for (target, number) in resets {
            let known = numbers.entry(target).or_insert(0);
            *known = (*known).max(number);
        }
        Self { key: *key, numbers }
    }

    /// True if there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The resets, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Target, u64)> {
        self.numbers.iter().map(|(target, number)| (*target, *number))
    }

    /// The number of the latest reset of a count, 0 if there is none: its specification, and the grant and the tool by which
    /// it is kept.
    pub fn number(&self, spec: &SpecDigest, grant: Option<&str>, tool: Option<&str>) -> u64 {
        let grant = grant.map_or(0, |name| hash(&self.key, name));
        let tool = tool.map_or(0, |name| hash(&self.key, name));
        let targets = [
            (*spec, 0, 0),
            (*spec, grant, 0),
            (*spec, 0, tool),
            (*spec, grant, tool),
            (ANY_SPEC, grant, 0),
        ];
        let numbers = targets
            .into_iter()
            .filter_map(|(spec, grant, tool)| self.numbers.get(&Target { spec, grant, tool }));
        numbers.copied().max().unwrap_or(0)
    }
}

/// The keyed hash of the name of a grant or a tool: for a grant that of the owners of cells.
pub(crate) fn hash(key: &[u8; 16], name: &str) -> u64 {
    let mut hasher = SipHasher13::new_with_key(key);
    hasher.write(name.as_bytes());
    hasher.finish()
}
