//! The units that a process leaves in its file of counters, for the one that opens the file next.

use crate::node::Node;
use crate::rules::{Mutation, Rules, Ticks};
use crate::store::{Name, Store};

/// The units in use of a process, and the names under which the store may count shares of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Estate {
    /// Its names, in their order.
    pub names: Vec<Name>,
    /// Stamps of the units in use, relative to the present.
    pub used: Vec<Ticks>,
    /// True if the process has said something since: this is a copy of its file.
    pub is_stale: bool,
}

impl Estate {
    /// The file of a node, now.
    pub fn of(node: &Node, store: &Store) -> Self {
        let rows = store.entries.iter().map(|entry| entry.name);
        let mut names: Vec<_> = rows.filter(|name| name.node == node.name.node).collect();
        names.extend([node.name, node.lease.1]);
        names.sort_unstable();
        names.dedup();
        Self {
            names,
            used: node.used.clone(),
            is_stale: false,
        }
    }

    /// Lets a tick pass.
    pub fn tick(&mut self, rules: &Rules) {
        for stamp in &mut self.used {
            *stamp -= 1;
        }
        self.used.retain(|stamp| stamp + rules.window > 0);
    }

    /// Notes a request that one of its names has sent.
    pub fn hear(&mut self, name: Name) {
        self.is_stale |= self.names.contains(&name);
    }

    /// This estate, without names that the store does not know; `None` if nothing is left to take over. A row that a late request
    /// makes is nobody's to use.
    #[must_use]
    pub fn or_none(mut self, store: &Store, drops_stale: bool) -> Option<Self> {
        self.names
            .retain(|name| store.entries.iter().any(|entry| entry.name == *name));
        let is_over = self.names.is_empty() || self.is_stale && drops_stale;
        (!is_over).then_some(self)
    }

    /// Exchanges the names of two nodes.
    pub fn mirror(&mut self) {
        for name in &mut self.names {
            name.node = 1 - name.node;
        }
        self.names.sort_unstable();
    }
}

impl Store {
    /// Turns the shares of a process that has ended into units of the log: `heirs` and `bury`. Returns false if the caller has to
    /// try again, since a lease lasts.
    pub fn bury(&mut self, estate: &Estate, rules: &Rules) -> bool {
        let now = self.read_clock(rules);
        if estate.is_stale && !rules.lacks(Mutation::StaleFileTakenOver) {
            return true;
        }
        let waits = !rules.lacks(Mutation::TakeoverDuringLease);
        let (mut is_done, mut has_had) = (true, false);
        for entry in &mut self.entries {
            if !estate.names.contains(&entry.name) {
                continue;
            }
            if waits && entry.ends.is_some_and(|ends| ends >= now) {
                is_done = false;
                continue;
            }
            has_had |= entry.share > 0;
            (entry.share, entry.ends) = (0, None);
        }
        if has_had && !rules.lacks(Mutation::TakeoverForgetsUse) {
            self.log.extend(estate.used.iter().map(|stamp| now + stamp));
            self.log.retain(|stamp| stamp + rules.window > now);
            self.log.sort_unstable();
        }
        self.tidy();
        is_done
    }
}
