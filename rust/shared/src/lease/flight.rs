//! A call of the script that is under way, and what its answer is for.

use std::sync::Arc;

use callgate_counters::lease::{BringAsk, BroughtCount, PlannedResets, ResetAsk, Returned, UnitsAsk};
use callgate_counters::{CountKey, CountShape, Demand, LeasedUnits, Micros, Now, Resets, Sharing, Window};

use crate::call::{Call, merge_us};
use crate::keys::Keys;
use crate::record::Record;

/// A call that waits.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) ask: UnitsAsk,
    /// The times that it was asked for in vain, because a period had ended.
    pub(super) tries: u32,
}

impl Pending {
    /// Gives the demands the keys that they have after these resets.
    pub(super) fn renew_keys(&mut self, hash_key: &[u8; 16], resets: Option<Arc<Resets>>) {
        let UnitsAsk {
            owner,
            demands,
            scopes,
            ..
        } = &mut self.ask;
        scopes.renew_keys(hash_key, owner, resets, demands);
    }

    pub(super) fn leased(&self) -> impl Iterator<Item = &Demand> {
        let is_leased = |demand: &&Demand| demand.shape.sharing == Sharing::Leased;
        self.ask.demands.iter().filter(is_leased)
    }

    pub(super) fn strict(&self) -> impl Iterator<Item = &Demand> {
        let is_strict = |demand: &&Demand| demand.shape.sharing == Sharing::Strict;
        self.ask.demands.iter().filter(is_strict)
    }

    pub(super) fn is_leased(&self) -> bool {
        self.leased().next().is_some()
    }

    pub(super) fn longest_us(&self) -> u64 {
        self.leased().map(window_us).max().unwrap_or(0)
    }

    pub(super) fn longest_strict_us(&self) -> u64 {
        self.strict().map(window_us).max().unwrap_or(0)
    }
}

/// Length of a sliding window in microseconds; 0 for others.
pub(super) fn window_us(demand: &Demand) -> u64 {
    match demand.shape.window {
        Window::Sliding { window_us } => window_us,
        Window::Calendar(_) => 0,
    }
}

/// One operation of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Renew {
        /// The time for which shares count longer.
        ahead_us: u64,
    },
    /// Of the pending call with this place.
    Take(usize),
    Grow(CountKey),
    Settle(CountKey),
    Heirs,
    /// The resets that the store has.
    Resets,
    /// Units of before.
    Bring,
    /// Whose answer changes nothing.
    Other,
}

/// A call of the script that is under way.
#[derive(Debug)]
pub(crate) struct Flight {
    call: Call,
    pub(super) lease: (Arc<str>, Arc<str>),
    pub(super) sent: Now,
    pub(super) ops: Vec<Op>,
    pub(super) pending: Vec<Pending>,
    /// Resets that are asked for.
    pub(super) resets: Vec<ResetAsk>,
    /// Units of before that go to the store, some of them with this flight.
    pub(super) bring: Option<BringAsk>,
    /// For each count of them that was answered: true if its units were added.
    pub(super) is_brought: Vec<bool>,
    /// The store's Unix time, as far as it is known.
    unix_us: u64,
}

impl Flight {
    pub(super) fn new(call: Call, lease: (Arc<str>, Arc<str>), sent: Now, offset_us: i64) -> Self {
        Self {
            call,
            lease,
            sent,
            ops: Vec::new(),
            pending: Vec::new(),
            resets: Vec::new(),
            bring: None,
            is_brought: Vec::new(),
            unix_us: sent.unix_us().saturating_add_signed(offset_us),
        }
    }

    /// A call that names no epoch, and so does nothing.
    pub(crate) fn probe(names: &Keys, now: Now) -> Self {
        let lease = (Arc::from(""), Arc::from(""));
        Self::new(Call::new(names, "", "probe", (1, None, 0)), lease, now, 0)
    }

    /// The names of keys.
    pub(crate) fn keys(&self) -> &[String] {
        &self.call.keys
    }

    /// The arguments.
    pub(crate) fn args(&self) -> &[String] {
        &self.call.args
    }

    /// The number of operations.
    pub(crate) fn operations(&self) -> usize {
        self.ops.len()
    }

    fn count(&mut self, key: CountKey, demand: &Demand) {
        self.call.count(key, &demand.shape, self.unix_us);
    }

    /// Renews the lease; its shares count for `ahead_us` longer, as the call has said.
    pub(super) fn renew(&mut self, longest_us: u64, since_us: u64, said: u64, is_new: bool, ahead_us: u64) {
        self.call.word("renew");
        self.call
            .numbers(&[longest_us, since_us, said, u64::from(is_new)]);
        self.ops.push(Op::Renew { ahead_us });
    }

    pub(super) fn clean(&mut self, most: u64) {
        self.call.word("clean");
        self.call.numbers(&[most]);
        self.ops.push(Op::Other);
    }

    /// Tells the store of a share that it counts under another lease, or has lost.
    pub(super) fn settle(&mut self, record: &Record) {
        let is_known = record.lease.0 == self.lease.0;
        self.call.word(if is_known { "move" } else { "bring" });
        self.count(record.key(), &record.demand);
        if is_known {
            let from = Arc::clone(&record.lease.1);
            self.call.word(&from);
        }
        self.call.numbers(&[record.lent]);
        self.ops.push(Op::Settle(record.key()));
    }

    pub(super) fn give(&mut self, returned: &Returned) {
        self.call.word("give");
        // The period of the stamp, for a calendar window.
        self.call.count(returned.key, &returned.shape, returned.stamp_us);
        let merge_us = merge_us(&returned.shape);
        self.call
            .numbers(&[returned.stamp_us, returned.amount.0, merge_us]);
        self.ops.push(Op::Other);
    }

    pub(super) fn shrink(&mut self, demand: &Demand, amount: u64) {
        self.call.word("shrink");
        self.count(demand.key, demand);
        self.call.numbers(&[amount]);
        self.ops.push(Op::Other);
    }

    /// Takes the strict counts of a call that will be the next of `pending`.
    pub(super) fn take(&mut self, pending: &Pending) {
        let all = pending.strict().count() as u64;
        if all == 0 {
            return;
        }
        self.call.word("take");
        self.call.numbers(&[all]);
        for demand in pending.strict() {
            self.count(demand.key, demand);
            let merge_us = merge_us(&demand.shape);
            self.call.numbers(&[demand.shape.max.0, demand.cost.0, merge_us]);
        }
        self.ops.push(Op::Take(self.pending.len()));
    }

    pub(super) fn grow(&mut self, demand: &Demand, least: u64, need: u64, like: u64, unit: u64) {
        self.call.word("grow");
        self.count(demand.key, demand);
        self.call.numbers(&[demand.shape.max.0, least, need, like, unit]);
        self.ops.push(Op::Grow(demand.key));
    }

    pub(super) fn leave(&mut self, record: &Record, units: &LeasedUnits) {
        self.call.word("leave");
        self.count(record.key(), &record.demand);
        let mut entries = units.used.clone();
        // What is in use and not written down was taken this moment.
        let written: u64 = entries.iter().map(|(_, amount)| amount.0).sum();
        let used = record.lent.saturating_sub(units.free.0);
        if used > written {
            entries.push((record.window_us(), Micros(used - written)));
        }
        self.call.numbers(&[merge_us(&record.demand.shape)]);
        self.units(&entries);
        self.ops.push(Op::Other);
    }

    /// Units in use: microseconds until they expire, and their number.
    fn units(&mut self, units: &[(u64, Micros)]) {
        self.call.numbers(&[units.len() as u64]);
        for (left_us, amount) in units {
            self.call.numbers(&[*left_us, amount.0]);
        }
    }

    /// Asks for shares of nodes whose names begin so, and that have said nothing since this number.
    pub(super) fn heirs(&mut self, prefix: &str, said: u64, most: u64) {
        self.call.word("heirs");
        self.call.word(prefix);
        self.call.numbers(&[said, most]);
        self.ops.push(Op::Heirs);
    }

    /// Turns the share of a node that has ended into units of the log.
    pub(super) fn bury(&mut self, key: CountKey, shape: &CountShape, node: &str, units: &[(u64, Micros)]) {
        self.call.word("bury");
        self.call.count(key, shape, self.unix_us);
        self.call.word(node);
        self.units(units);
        self.ops.push(Op::Other);
    }

    /// Removes the shares of a node that has ended of counts of which it had nothing in use.
    pub(super) fn drop(&mut self, node: &str, keys: &[CountKey]) {
        self.call.word("drop");
        self.call.word(node);
        self.call.numbers(&[keys.len() as u64]);
        for key in keys {
            let place = self.call.place(*key);
            self.call.numbers(&[place]);
        }
        self.ops.push(Op::Other);
    }

    /// Makes resets; `word` is new.
    pub(super) fn reset(&mut self, planned: &PlannedResets, word: &str) {
        let made = planned.made.iter().map(|name| (name.as_str(), 0));
        let made: Vec<(&str, u64)> = made.collect();
        self.bring_resets(&made, &planned.replaced, planned.latest, word);
    }

    /// Adds resets that the store has lost; `word` is new.
    pub(super) fn bring_resets(
        &mut self,
        resets: &[(&str, u64)],
        replaced: &[String],
        latest: u64,
        word: &str,
    ) {
        self.call.word("reset");
        self.call.word(word);
        self.call.numbers(&[latest, replaced.len() as u64]);
        for name in replaced {
            self.call.word(name);
        }
        self.call.numbers(&[resets.len() as u64]);
        for (name, number) in resets {
            self.call.word(name);
            self.call.numbers(&[*number]);
        }
        self.ops.push(Op::Other);
    }

    /// Adds units that were counted elsewhere before, once for each source.
    pub(super) fn bring(&mut self, source: &str, count: &BroughtCount) {
        self.call.word("add");
        self.call.count(count.key, &count.shape, self.unix_us);
        self.call.word(source);
        self.call.numbers(&[merge_us(&count.shape)]);
        self.units(&count.units);
        self.ops.push(Op::Bring);
    }

    /// Asks for the resets if they are not those of this word.
    pub(super) fn resets(&mut self, word: &str) {
        self.call.word("resets");
        self.call.word(word);
        self.ops.push(Op::Resets);
    }

    pub(super) fn stop(&mut self) {
        self.call.word("stop");
        self.ops.push(Op::Other);
    }
}
