//! The store: what `declare.lua` and `script.lua` of `callgate-shared` do, each call as one step.

use crate::rules::{Mutation, Rules, Ticks, number};

/// The number of an epoch; 0 for none.
pub type Epoch = u8;

/// The name of a lease: the node, and a number that is new for each name of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The node.
    pub node: u8,
    /// The number.
    pub number: u8,
}

/// One row of the store's hash of nodes, and the share under its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The name.
    pub name: Name,
    /// The end of the lease on the store's clock; `None` if there is no row.
    pub ends: Option<Ticks>,
    /// The share.
    pub share: u8,
}

/// The state of the store. Its times are relative to the present reading of its clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Store {
    /// The identity of the server.
    pub identity: u8,
    /// The identity of the server that declared the epoch.
    pub declared_by: u8,
    /// The epoch.
    pub epoch: Epoch,
    /// Its beginning.
    pub begun: Ticks,
    /// The latest time that a script has noted.
    pub seen: Ticks,
    /// True if units of an earlier epoch may be in use.
    pub is_lost: bool,
    /// Leases and shares, in the order of names.
    pub entries: Vec<Entry>,
    /// Stamps of the units that were taken one by one, in their order.
    pub log: Vec<Ticks>,
}

/// How a request tells of a share that the store counts under another lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Settle {
    /// From another epoch.
    Bring(u8),
    /// From an ended lease of this epoch.
    Move(Name, u8),
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ask {
    /// Nothing.
    Nothing,
    /// One unit more of the share.
    Grow,
    /// One unit, taken at the store.
    Strict,
}

/// One call of the script.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    /// The epoch that the node knows.
    pub epoch: Epoch,
    /// The name of its lease.
    pub name: Name,
    /// The renewal, and true in it if the name is new.
    pub renew: Option<bool>,
    /// The share of another lease.
    pub settle: Option<Settle>,
    /// Units that go back.
    pub shrink: u8,
    /// The rest.
    pub ask: Ask,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply {
    /// The store has another epoch; nothing was done.
    OtherEpoch,
    /// The lease has ended, or the name is another's; nothing was done.
    NoLease,
    /// All was done.
    Done {
        /// The share after the settlement.
        settled: Option<u8>,
        /// The growth: units given (`None` while the store recovers) and the share after it.
        grown: Option<(Option<u8>, u8)>,
        /// True if a unit was taken at the store.
        is_taken: bool,
    },
}

impl Store {
    /// Performs `declare.lua` for a caller that knows this epoch. `new` is an epoch that never was. Returns the epoch.
    pub fn declare(&mut self, known: Epoch, new: Epoch, rules: &Rules) -> Epoch {
        let is_ours = self.declared_by == self.identity || rules.lacks(Mutation::CopyKeepsEpoch);
        let marks = !rules.lacks(Mutation::LossNotMarked);
        if self.epoch != 0 && is_ours {
            if known != 0 && known != self.epoch && marks {
                self.is_lost = true;
            }
            return self.epoch;
        }
        *self = Self {
            identity: self.identity,
            declared_by: self.identity,
            epoch: new,
            // A mark is made at the beginning as well as later.
            is_lost: (self.epoch != 0 || known != 0) && marks,
            ..Self::default()
        };
        self.epoch
    }

    /// Performs `script.lua`. `is_overtaken` is true if a later renewal of the same name was performed before.
    pub fn run(&mut self, request: &Request, is_overtaken: bool, rules: &Rules) -> Reply {
        if request.epoch == 0 || request.epoch != self.epoch {
            return Reply::OtherEpoch;
        }
        let now = self.read_clock(rules);
        if let Some(is_new) = request.renew {
            let ends = self.ends(request.name);
            let is_late = is_overtaken && !(is_new && rules.lacks(Mutation::LateNameNotRefused));
            if !is_new && ends.is_none_or(|ends| ends < now) || is_late {
                return Reply::NoLease;
            }
            let ahead = if rules.lacks(Mutation::EndsForgetQuotas) {
                0
            } else {
                rules.ahead
            };
            let entry = self.entry(request.name);
            entry.ends = entry.ends.max(Some(now + rules.lease + ahead));
        } else if is_overtaken && !rules.lacks(Mutation::LateShrinkNotRefused) {
            return Reply::NoLease;
        }
        self.log.retain(|stamp| stamp + rules.window > now);
        let settled = request
            .settle
            .map(|settle| self.settle(request.name, settle, now, rules));
        let entry = self.entry(request.name);
        entry.share = entry.share.saturating_sub(request.shrink);
        let (mut grown, mut is_taken) = (None, false);
        match request.ask {
            Ask::Nothing => {}
            Ask::Grow => grown = Some(self.grow(request.name, now, rules)),
            Ask::Strict => is_taken = self.take(request.name, now, rules),
        }
        self.tidy();
        Reply::Done {
            settled,
            grown,
            is_taken,
        }
    }

    /// Turns a share into units of the log, by their ages.
    pub fn leave(&mut self, name: Name, ages: &[Ticks], rules: &Rules) {
        let now = self.read_clock(rules);
        if !rules.lacks(Mutation::LeaveForgetsUse) {
            self.log.extend(ages.iter().map(|age| now - age));
        }
        self.log.retain(|stamp| stamp + rules.window > now);
        self.log.sort_unstable();
        self.entry(name).share = 0;
        self.tidy();
    }

    /// Ends a lease.
    pub fn stop(&mut self, name: Name, rules: &Rules) {
        self.read_clock(rules);
        let drops = rules.lacks(Mutation::StopForgetsShare);
        let entry = self.entry(name);
        if entry.share == 0 || drops {
            entry.ends = None;
        }
        self.tidy();
    }

    /// The script's time, after it has noted that the clock was set.
    pub(crate) fn read_clock(&mut self, rules: &Rules) -> Ticks {
        if self.seen > 0 && !rules.lacks(Mutation::StepBackNotNoticed) {
            return self.seen;
        }
        if -self.seen > rules.lease / 2 && !rules.lacks(Mutation::StepForwardNotNoticed) {
            let seen = self.seen;
            if self.is_recovering(seen, rules) && !rules.lacks(Mutation::StepShortensRecovery) {
                self.begun -= seen;
            }
            for ends in self.entries.iter_mut().filter_map(|entry| entry.ends.as_mut()) {
                if *ends >= seen && rules.lacks(Mutation::StepForgetsQuotas) {
                    *ends = rules.lease;
                } else if *ends >= seen {
                    *ends = rules.lease.max(*ends - seen);
                } else if !rules.lacks(Mutation::StepForgetsEndedLeases) {
                    *ends -= seen;
                }
            }
        }
        self.seen = 0;
        0
    }

    fn ends(&self, name: Name) -> Option<Ticks> {
        self.entries.iter().find(|entry| entry.name == name)?.ends
    }

    fn entry(&mut self, name: Name) -> &mut Entry {
        let place = self.entries.partition_point(|entry| entry.name < name);
        if self.entries.get(place).is_none_or(|entry| entry.name != name) {
            self.entries.insert(
                place,
                Entry {
                    name,
                    ends: None,
                    share: 0,
                },
            );
        }
        &mut self.entries[place]
    }

    /// Removes rows that make no difference: a lease that had ended when time was last seen never goes on.
    pub(crate) fn tidy(&mut self) {
        let seen = self.seen;
        self.entries
            .retain(|entry| entry.share > 0 || entry.ends.is_some_and(|ends| ends >= seen));
    }

    /// Exchanges the names of two nodes.
    pub fn mirror(&mut self) {
        for entry in &mut self.entries {
            entry.name.node = 1 - entry.name.node;
        }
        self.entries.sort_unstable();
    }

    /// True once no unit of a share can be in a window any more.
    fn is_over(ends: Option<Ticks>, now: Ticks, rules: &Rules) -> bool {
        let window = if rules.lacks(Mutation::ShareDroppedAtLeaseEnd) {
            0
        } else {
            rules.window
        };
        ends.is_none_or(|ends| ends + window <= now)
    }

    fn settle(&mut self, name: Name, settle: Settle, now: Ticks, rules: &Rules) -> u8 {
        match settle {
            Settle::Bring(share) => {
                if rules.lacks(Mutation::BroughtSharesForgotten) {
                    return share;
                }
                // What was in use before has left every window after the recovery, and what was free may be another's.
                if self.is_recovering(now, rules) || rules.lacks(Mutation::BroughtAfterRecovery) {
                    self.entry(name).share = share;
                }
            }
            Settle::Move(from, amount) => {
                let old = *self.entry(from);
                let is_ended =
                    Self::is_over(old.ends, now, rules) && !rules.lacks(Mutation::MoveGivesOverShare);
                let given = if is_ended { 0 } else { old.share.min(amount) };
                if !rules.lacks(Mutation::MoveKeepsOldShare) {
                    self.entry(from).share = 0;
                }
                let share = &mut self.entry(name).share;
                if rules.lacks(Mutation::MoveGivesUnknownShare) {
                    *share = amount;
                } else {
                    *share += given;
                }
            }
        }
        self.entry(name).share
    }

    fn is_recovering(&self, now: Ticks, rules: &Rules) -> bool {
        let ready = if self.is_lost {
            if rules.lacks(Mutation::EpochGrantsAtOnce) {
                return false;
            }
            let ahead = if rules.lacks(Mutation::RecoveryForgetsQuotas) {
                0
            } else {
                rules.ahead
            };
            self.begun + rules.lease + rules.window + ahead
        } else {
            if rules.lacks(Mutation::FirstEpochGrantsAtOnce) {
                return false;
            }
            self.begun + rules.lease / 2
        };
        ready > now
    }

    /// Units that are free, once shares of ended leases were dropped if they are in the way.
    fn free(&mut self, name: Name, now: Ticks, rules: &Rules, counts: (bool, bool)) -> u8 {
        let (counts_log, counts_shares) = counts;
        let used = |store: &Self| {
            let shares: u8 = store.entries.iter().map(|entry| entry.share).sum();
            (if counts_log { number(store.log.len()) } else { 0 }) + if counts_shares { shares } else { 0 }
        };
        if used(self) >= rules.max {
            for entry in self.entries.iter_mut().filter(|entry| entry.name != name) {
                if Self::is_over(entry.ends, now, rules) {
                    entry.share = 0;
                }
            }
        }
        rules.max.saturating_sub(used(self))
    }

    fn grow(&mut self, name: Name, now: Ticks, rules: &Rules) -> (Option<u8>, u8) {
        let share = self.entry(name).share;
        if self.is_recovering(now, rules) {
            return (None, share);
        }
        let counts_log = !rules.lacks(Mutation::GrowthIgnoresLog);
        let given = self.free(name, now, rules, (counts_log, true)).min(1);
        self.entry(name).share += given;
        (Some(given), share + given)
    }

    fn take(&mut self, name: Name, now: Ticks, rules: &Rules) -> bool {
        let counts_shares = !rules.lacks(Mutation::StrictIgnoresShares);
        let is_taken =
            !self.is_recovering(now, rules) && self.free(name, now, rules, (true, counts_shares)) > 0;
        if is_taken {
            self.log.push(now);
        }
        is_taken
    }

    /// Moves all times by this many ticks: back as time goes on, or as the clock is set.
    pub fn shift(&mut self, ticks: Ticks, rules: &Rules) {
        // What is older than this makes no difference any more, except for the order of `seen` and the ends.
        let oldest = -rules.memory();
        let seen = self.seen;
        self.seen = (seen + ticks).max(oldest);
        self.begun = (self.begun + ticks).max(rules.oldest_beginning());
        for stamp in &mut self.log {
            *stamp += ticks;
        }
        self.log.retain(|stamp| *stamp > oldest);
        for entry in &mut self.entries {
            let Some(ends) = &mut entry.ends else { continue };
            let floor = if *ends >= seen { oldest } else { oldest - 1 };
            *ends = (*ends + ticks).max(floor);
            if *ends < oldest {
                // Over for ever: `clean`.
                (entry.ends, entry.share) = (None, 0);
            }
        }
        self.tidy();
    }
}
