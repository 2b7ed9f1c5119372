//! The shares of a process that has ended and whose counters this one has taken over: its units in use become units of the log,
//! and the rest is free at once. Without this they count as used until a window after the end of its lease.

use std::collections::HashMap;
use std::sync::Arc;

use callgate_counters::{CountKey, CountShape, Heritage, InheritedCount, Micros, Now, Sharing, Window};

use super::flight::Flight;
use super::{Lease, Part, amount};
use crate::call::Call;

/// Counts that are looked for at once. Each may have a hundred entries.
const MOST_AT_ONCE: u64 = 64;

/// The units and the names of a process that has ended.
#[derive(Debug)]
pub(crate) struct Estate {
    /// The beginning of the names of its nodes.
    prefix: String,
    /// The number of its last call of the store.
    said: u64,
    counts: HashMap<CountKey, InheritedCount>,
    /// The time at which the last of its units expires; 0 if it had none.
    until_us: u64,
}

impl Estate {
    /// The counts of which the process had units in use, and the beginning of its nodes' names.
    pub(crate) fn new(heritage: Heritage, prefix: String) -> Self {
        let units = heritage.counts.iter().flat_map(|count| &count.units);
        let until_us = units.map(|(until_us, _)| *until_us).max().unwrap_or(0);
        let counts = heritage.counts.into_iter();
        Self {
            prefix,
            said: heritage.opener.said,
            counts: counts.map(|count| (count.key, count)).collect(),
            until_us,
        }
    }

    /// True if it had units, and none is in a window any more.
    pub(crate) const fn is_over(&self, now: Now) -> bool {
        0 < self.until_us && self.until_us <= now.look_us()
    }
}

/// The heir of one policy's shares.
#[derive(Debug)]
pub(super) struct Heir {
    estate: Arc<Estate>,
    /// A node of the process, and counts of which the store has shares of it.
    found: Option<(String, Vec<CountKey>)>,
    /// The boot time before which the store is not asked again: leases of the process have not ended yet.
    again_us: u64,
}

impl Lease {
    /// Turns the shares of a process that has ended into units of the log, before anything else is asked.
    pub(crate) fn inherit(&mut self, estate: Arc<Estate>) {
        self.heir = Some(Heir {
            estate,
            found: None,
            again_us: 0,
        });
    }

    /// True if the store is to be asked or told of what was inherited.
    pub(super) fn is_heritage_due(&self, now: Now) -> bool {
        self.heir
            .as_ref()
            .is_some_and(|heir| heir.again_us <= now.look_us())
    }

    /// The next call for what was inherited, if anything is left.
    pub(super) fn plan_heritage(&mut self, epoch: &Arc<str>, now: Now) -> Option<Flight> {
        let call = Call::new(&self.names, epoch, &self.node, self.script_times());
        let heir = self.heir.as_mut()?;
        let lease = (Arc::clone(epoch), Arc::clone(&self.node));
        let mut flight = Flight::new(call, lease, now, self.offset_us);
        // If the answer is lost, the store is asked again for what is left.
        let Some((node, keys)) = heir.found.take() else {
            flight.heirs(&heir.estate.prefix, heir.estate.said, MOST_AT_ONCE);
            return Some(flight);
        };
        let mut unused = Vec::new();
        for key in keys {
            let Some(count) = heir.estate.counts.get(&key) else {
                unused.push(key);
                continue;
            };
            let shape = CountShape {
                window: Window::Sliding {
                    window_us: count.window_us,
                },
                max: Micros(0),
                whole_units: true,
                sharing: Sharing::Leased,
            };
            let left = |(until_us, amount): &(u64, Micros)| (until_us.saturating_sub(now.look_us()), *amount);
            let units: Vec<_> = count.units.iter().map(left).collect();
            flight.bury(key, &shape, &node, &units);
        }
        if !unused.is_empty() {
            flight.drop(&node, &unused);
        }
        Some(flight)
    }

    /// Learns which shares are left.
    pub(super) fn heirs_found(&mut self, parts: &[Part], now: Now) {
        let Some(heir) = &mut self.heir else { return };
        if let Some(wait_us) = amount(parts, 0) {
            heir.again_us = now.look_us().saturating_add(wait_us);
            return;
        }
        let mut words = parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text),
            Part::Number(_) => None,
        });
        let Some(node) = words.next() else {
            self.heir = None;
            return;
        };
        let names = &self.names;
        let keys: Vec<_> = words.filter_map(|name| names.parse_count(name)).collect();
        // Names of counts that cannot be read would be found again and again.
        if keys.is_empty() {
            self.heir = None;
            return;
        }
        heir.found = Some((node.clone(), keys));
    }
}
