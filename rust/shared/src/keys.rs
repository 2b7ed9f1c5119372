//! The names of keys. Those of a policy have one hash tag, so that they are on one shard of a cluster.

use callgate_counters::CountKey;

/// The version of what stands in the keys. Nodes of another version would count apart, in other keys: so the version in force
/// stands in a key of its own, whose name is the same for all versions.
pub(crate) const VERSION: u32 = 1;

/// The names of the keys of one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    base: String,
    version: String,
}

impl Keys {
    /// The keys of the policy with this name.
    pub(crate) fn new(prefix: &str, policy: &str) -> Self {
        Self {
            base: format!("{prefix}:{VERSION}:{{{policy}}}"),
            version: format!("{prefix}:{{{policy}}}:version"),
        }
    }

    /// The policy itself: the epoch.
    pub(crate) fn policy(&self) -> String {
        self.base.clone()
    }

    /// The version in force. The name never changes.
    pub(crate) fn version(&self) -> String {
        self.version.clone()
    }

    /// The nodes and the ends of their leases.
    pub(crate) fn nodes(&self) -> String {
        format!("{}:nodes", self.base)
    }

    /// The counts of which a node wanted more than was free.
    pub(crate) fn wanted(&self) -> String {
        format!("{}:wanted", self.base)
    }

    /// The counts of which a node has shares.
    pub(crate) fn held(&self, node: &str) -> String {
        format!("{}:held:{node}", self.base)
    }

    /// A count.
    pub(crate) fn count(&self, key: CountKey) -> String {
        format!("{}:c:{:032x}", self.base, key.0)
    }

    /// The log of a count.
    pub(crate) fn log(&self, key: CountKey) -> String {
        format!("{}:l:{:032x}", self.base, key.0)
    }

    /// Letters about reservations.
    pub(crate) fn settlements(&self) -> String {
        format!("{}:settlements", self.base)
    }

    /// The result of the letter with this name.
    pub(crate) fn settlement(&self, letter: &str) -> String {
        format!("{}:settlement:{letter}", self.base)
    }

    /// The count with this name.
    pub(crate) fn parse_count(&self, name: &str) -> Option<CountKey> {
        let digits = name.strip_prefix(&self.base)?.strip_prefix(":c:")?;
        u128::from_str_radix(digits, 16).ok().map(CountKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_policy_have_its_hash_tag() {
        let keys = Keys::new("callgate", "team-a");
        assert_eq!(keys.policy(), "callgate:1:{team-a}");
        assert_eq!(keys.version(), "callgate:{team-a}:version", "for all versions");
        for name in [
            keys.nodes(),
            keys.wanted(),
            keys.held("n"),
            keys.count(CountKey(5)),
            keys.log(CountKey(5)),
        ] {
            assert!(name.starts_with("callgate:1:{team-a}:"), "{name}");
        }
    }

    #[test]
    fn a_count_is_found_by_its_name() {
        let keys = Keys::new("callgate", "team-a");
        let key = CountKey(u128::MAX - 7);
        assert_eq!(keys.parse_count(&keys.count(key)), Some(key));
        assert_eq!(keys.parse_count("callgate:1:{team-b}:c:05"), None);
        assert_eq!(keys.parse_count("callgate:1:{team-a}:c:x"), None);
    }
}
