//! Look-up of the limit of a descriptor.

use callgate_counters::{CountKey, KeyHasher};
use smallvec::SmallVec;

use super::request::{CurrentLimit, Descriptor};
use super::tree::{CompiledDomain, CompiledLimit, Quota};

/// The limit that applies to a descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Match<'s> {
    /// No limit applies.
    Nothing,
    /// The descriptor is configured as unlimited.
    Unlimited(&'s CompiledLimit),
    /// This limit applies.
    Limit(Limit<'s>),
}

/// The limit of one descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit<'s> {
    /// The configured limit; `None` for a limit from the request.
    pub(super) configured: Option<&'s CompiledLimit>,
    pub(super) quota: Quota,
    pub(super) key: CountKey,
}

impl<'s> Match<'s> {
    /// The configured limit of the descriptor.
    pub(super) const fn configured(&self) -> Option<&'s CompiledLimit> {
        match self {
            Self::Nothing => None,
            Self::Unlimited(limit) => Some(limit),
            Self::Limit(limit) => limit.configured,
        }
    }
}

impl<'s> Limit<'s> {
    /// Returns whether it refuses nothing.
    pub(super) fn is_shadow(&self) -> bool {
        self.configured.is_some_and(|limit| limit.shadow)
    }

    /// The limit as shown in answers.
    pub(super) fn current(&self) -> CurrentLimit<'s> {
        CurrentLimit {
            name: self.configured.map_or("", |limit| limit.name.as_str()),
            requests_per_unit: self.quota.requests_per_unit,
            unit: self.quota.unit,
        }
    }
}

/// Entries whose values share a count: the entry's index, and the text that stands for its values.
type Shared<'s> = SmallVec<[(usize, &'s str); 2]>;

impl CompiledDomain {
    /// Looks up the limit of a descriptor.
    pub(super) fn find(&self, descriptor: &Descriptor<'_>, hash_key: &[u8; 16]) -> Match<'_> {
        if let Some(limit) = descriptor.limit {
            // Overrides may have any number, so their counts need cells for any number.
            let quota = self.quota(limit.requests_per_unit, limit.unit, self.align, false);
            return Match::Limit(Limit {
                configured: None,
                quota,
                key: key(descriptor, &quota, &[], hash_key),
            });
        }
        let Some((limit, shared)) = self.walk(descriptor) else {
            return Match::Nothing;
        };
        match limit.quota {
            None => Match::Unlimited(limit),
            Some(quota) => Match::Limit(Limit {
                configured: Some(limit),
                quota,
                key: key(descriptor, &quota, &shared, hash_key),
            }),
        }
    }

    /// The limit of the rule to which the entries lead, one level per entry. On each level the best match is taken,
    /// even if it leads to no limit.
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
                // Distinguishes the wildcard from a value with the same text.
                hasher.none();
                hasher.str(text);
            }
        }
    }
    hasher.finish()
}
