//! The limit of a descriptor.

use smallvec::SmallVec;

use super::request::{CurrentLimit, Descriptor};
use super::tree::{CompiledDomain, CompiledLimit, Quota};
use crate::limit::{CountKey, KeyHasher};

/// The limit that applies to a descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'s> {
    /// None does.
    Nothing,
    /// The descriptor is known to be unlimited.
    Unlimited(&'s CompiledLimit),
    /// This one.
    Limit(Limit<'s>),
}

/// One limit, for one descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit<'s> {
    /// What is configured; `None` for a limit that the request brought along.
    pub(super) configured: Option<&'s CompiledLimit>,
    pub(super) quota: Quota,
    pub(super) key: CountKey,
}

impl<'s> Found<'s> {
    /// What is configured for the descriptor.
    pub(super) const fn configured(&self) -> Option<&'s CompiledLimit> {
        match self {
            Self::Nothing => None,
            Self::Unlimited(limit) => Some(limit),
            Self::Limit(limit) => limit.configured,
        }
    }
}

impl<'s> Limit<'s> {
    /// It stops nothing.
    pub(super) fn is_shadow(&self) -> bool {
        self.configured.is_some_and(|limit| limit.shadow)
    }

    /// As answers show it.
    pub(super) fn current(&self) -> CurrentLimit<'s> {
        CurrentLimit {
            name: self.configured.map_or("", |limit| limit.name.as_str()),
            requests_per_unit: self.quota.requests_per_unit,
            unit: self.quota.unit,
        }
    }
}

/// Values of entries that have one count together: the entry's place, and what stands for its values.
type Shared<'s> = SmallVec<[(usize, &'s str); 2]>;

impl CompiledDomain {
    /// Looks a descriptor up.
    pub(super) fn find(&self, descriptor: &Descriptor<'_>, hash_key: &[u8; 16]) -> Found<'_> {
        if let Some(limit) = descriptor.limit {
            // Any number may come, so its counts must be kept in cells that serve any.
            let quota = self.quota(limit.requests_per_unit, limit.unit, self.align, false);
            return Found::Limit(Limit {
                configured: None,
                quota,
                key: key(descriptor, &quota, &[], hash_key),
            });
        }
        let Some((limit, shared)) = self.walk(descriptor) else {
            return Found::Nothing;
        };
        match limit.quota {
            None => Found::Unlimited(limit),
            Some(quota) => Found::Limit(Limit {
                configured: Some(limit),
                quota,
                key: key(descriptor, &quota, &shared, hash_key),
            }),
        }
    }

    /// The limit of the rule to which all entries lead, each one level further down. The rule that matches best on a level
    /// is the one that is taken, also where it leads nowhere.
    fn walk(&self, descriptor: &Descriptor<'_>) -> Option<(&CompiledLimit, Shared<'_>)> {
        let mut shared = Shared::new();
        let (mut level, mut limit) = (&self.root, None);
        for (place, (key, value)) in descriptor.entries.iter().enumerate() {
            let node = level.get(key, value)?;
            if let Some(text) = &node.shared {
                shared.push((place, text));
            }
            (level, limit) = (&node.below, node.limit.as_ref());
        }
        limit.map(|limit| (limit, shared))
    }
}

fn key(
    descriptor: &Descriptor<'_>,
    quota: &Quota,
    shared: &[(usize, &str)],
    hash_key: &[u8; 16],
) -> CountKey {
    let mut hasher = KeyHasher::new(hash_key, &quota.spec);
    for (place, (key, value)) in descriptor.entries.iter().enumerate() {
        hasher.str(key);
        match shared.iter().find(|(at, _)| *at == place) {
            None => hasher.str(value),
            Some((_, text)) => {
                // Told apart from a value that is written like the wildcard.
                hasher.none();
                hasher.str(text);
            }
        }
    }
    hasher.finish()
}
