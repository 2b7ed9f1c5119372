//! The lease of this node on one policy, and its shares of the policy's counts.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use callgate_counters::lease::{BringAsk, Counted, ResetAsk, Returned, Shared, SharedPolicy, UnitsAsk};
use callgate_counters::{CountKey, Counters, Demand, Micros, Now};

use crate::call::Call;
use crate::keys::{Keys, VERSION};
use crate::record::{Record, unit};
use crate::reply::{Part, Reply, amount};

mod answers;
mod bring;
mod call_numbers;
mod flight;
mod heir;
mod resets;
mod units;

pub(crate) use call_numbers::CallNumbers;
pub(crate) use flight::Flight;
use flight::{Pending, window_us};
pub(crate) use heir::Estate;
use heir::Heir;
use resets::ResetsAtStore;

/// Operations that move or give back shares, in one call.
const MOST_AT_ONCE: usize = 256;
/// Shares that grow in one call without a call that waits for it. More would hold up the calls that wait for the store.
const GROWN_AT_ONCE: usize = 64;
/// Records that are looked at for each renewal.
const TENDED: usize = 256;
/// Renewals within a lease.
const RENEWALS: u64 = 20;
/// A call asks no more often for a count whose share runs low.
const LOW_PAUSE_US: u64 = 20_000;

/// The times of leases, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Length of a lease.
    pub lease_us: u64,
    /// Time of recovery; `None` for one window.
    pub recovery_us: Option<u64>,
}

impl Times {
    /// The time for which a node uses a lease: the rest is for a clock of the store that is set forward, which it does not
    /// notice up to half a lease, and for clocks that do not run alike.
    const fn used_us(self) -> u64 {
        self.lease_us / 2 - self.lease_us / 1_000
    }

    const fn renewal_us(self) -> u64 {
        self.lease_us / RENEWALS
    }
}

/// The lease of this node on one policy, and its shares of the policy's counts.
#[derive(Debug)]
pub struct Lease {
    shared: Arc<Shared>,
    policy: Arc<SharedPolicy>,
    names: Keys,
    times: Times,
    epoch: Option<Arc<str>>,
    /// An epoch in which this node was granted units, for the declaration of the next one.
    known_epoch: Option<Arc<str>>,
    node: Arc<str>,
    /// True while the store knows this node.
    is_member: bool,
    said: CallNumbers,
    records: HashMap<CountKey, Record>,
    /// The records in the order in which they are looked at.
    round: VecDeque<CountKey>,
    /// Records of which the store had too little left.
    refused: VecDeque<CountKey>,
    /// Records that the store does not know under this lease yet. Until then the lease is not used.
    settling: VecDeque<CountKey>,
    /// The end of the lease, once all records are settled.
    end_us: u64,
    /// The time for which the store counts shares after the end of the lease, since units were taken ahead.
    ahead_us: u64,
    wanted_since_us: u64,
    renewed_us: u64,
    used_us: u64,
    /// The longest window of a strict count.
    strict_us: u64,
    /// At least the longest window of a count of which this node has a share, or may get one with the next call.
    longest_us: u64,
    /// The changes of the policy's limits that were seen.
    changes: u64,
    /// The store's Unix time less ours.
    offset_us: i64,
    asks: VecDeque<Pending>,
    lows: VecDeque<Low>,
    returns: Vec<Returned>,
    shrinks: Vec<(CountKey, u64)>,
    /// The heir of a process that has ended, until the store has its units.
    heir: Option<Heir>,
    resets: ResetsAtStore,
    /// Units of before that go to the store.
    brings: VecDeque<BringAsk>,
}

impl Lease {
    /// Nothing is asked yet. `node` is a name that no other node has, and none had before.
    pub fn new(
        shared: Arc<Shared>,
        policy: Arc<SharedPolicy>,
        prefix: &str,
        times: Times,
        node: &str,
    ) -> Self {
        Self {
            names: Keys::new(prefix, &policy.name),
            changes: policy.changes(),
            shared,
            policy,
            times,
            epoch: None,
            known_epoch: None,
            node: node.into(),
            is_member: false,
            said: CallNumbers::default(),
            records: HashMap::new(),
            round: VecDeque::new(),
            refused: VecDeque::new(),
            settling: VecDeque::new(),
            end_us: 0,
            ahead_us: 0,
            wanted_since_us: 0,
            renewed_us: 0,
            used_us: 0,
            strict_us: 0,
            longest_us: 0,
            offset_us: 0,
            asks: VecDeque::new(),
            lows: VecDeque::new(),
            returns: Vec::new(),
            shrinks: Vec::new(),
            heir: None,
            resets: ResetsAtStore::default(),
            brings: VecDeque::new(),
        }
    }

    /// Numbers calls together with other leases of this process.
    pub(crate) fn number_calls(&mut self, said: CallNumbers) {
        self.said = said;
    }

    /// The times of the lease.
    pub(crate) const fn times(&self) -> Times {
        self.times
    }

    /// Keys and arguments of the script that agrees on an epoch: with the server of this identity, by a `word` that is new.
    pub(crate) fn declaration(
        &self,
        identity: &str,
        word: &str,
        fingerprint: &str,
    ) -> (Vec<String>, Vec<String>) {
        let names = &self.names;
        let keys = vec![names.policy(), names.nodes(), names.wanted(), names.version()];
        let known = self.known_epoch.as_deref().unwrap_or_default();
        let (ahead, version) = (self.ahead_us().to_string(), VERSION.to_string());
        let args = [identity, word, known, fingerprint, &ahead, &version].map(str::to_owned);
        (keys, args.to_vec())
    }

    /// The names of its keys.
    pub(crate) const fn names(&self) -> &Keys {
        &self.names
    }

    /// The name of the policy.
    pub(crate) fn name(&self) -> &str {
        &self.policy.name
    }

    /// True while the epoch of the server is known.
    pub(crate) const fn has_epoch(&self) -> bool {
        self.epoch.is_some()
    }

    /// The number of counts of which this node has shares.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Adds a call that waits.
    pub fn ask(&mut self, ask: UnitsAsk) {
        let pending = Pending { ask, tries: 0 };
        self.longest_us = self.longest_us.max(pending.longest_us());
        self.asks.push_back(pending);
    }

    /// Adds a count whose share runs low, or of which units are wanted free.
    pub fn low(&mut self, demand: Demand, owner: Arc<str>, wanted: Micros) {
        self.longest_us = self.longest_us.max(window_us(&demand));
        self.lows.push_back(Low {
            demand,
            owner,
            wanted,
        });
    }

    /// Adds units that go back to the log.
    pub fn give_back(&mut self, returned: Returned) {
        self.returns.push(returned);
    }

    /// Adds resets of shared counts.
    pub fn reset(&mut self, ask: ResetAsk) {
        self.resets.ask(ask);
    }

    /// Gives back what is not in use if the limits of the policy have changed: a share may be more than a `max` allows now.
    pub fn notice_changes(&mut self, counters: &Counters, now: Now) {
        let changes = self.policy.changes();
        if changes == self.changes {
            return;
        }
        self.changes = changes;
        for record in self.records.values_mut() {
            shrink(record, u64::MAX >> 1, &mut self.shrinks, counters, now);
        }
    }

    /// Answers all calls that wait: nothing can be asked.
    pub fn refuse_all(&mut self) {
        for pending in self.asks.drain(..) {
            (pending.ask.answer)(Counted::default());
        }
        self.lows.clear();
        self.resets.refuse_all();
        self.refuse_brings();
    }

    /// Sets the epoch that the server has declared. In another one than before, this node brings its shares.
    pub fn begin_epoch(&mut self, epoch: &str, counters: &Counters, now: Now) {
        if self.known_epoch.as_deref() != Some(epoch) {
            self.unsettle(counters, now);
            self.resets.forget_word();
        }
        self.epoch = Some(epoch.into());
        self.known_epoch.clone_from(&self.epoch);
    }

    /// The connection has ended, or the server knows another epoch: the next call has to wait for one.
    pub fn end_epoch(&mut self) {
        self.epoch = None;
    }

    /// True if there is something to ask the store now.
    pub fn is_due(&self, now: Now) -> bool {
        !self.asks.is_empty()
            || !self.lows.is_empty()
            || !self.returns.is_empty()
            || !self.shrinks.is_empty()
            || !self.settling.is_empty()
            || self.is_heritage_due(now)
            || self.resets.is_due()
            || !self.brings.is_empty()
            || self.is_renewal_due(now)
    }

    fn is_renewal_due(&self, now: Now) -> bool {
        // Who takes units comes again while they count, so that it notices if the store has lost them.
        let used_until_us = self
            .used_us
            .saturating_add(self.times.lease_us.max(self.strict_us));
        let is_used = !self.records.is_empty() || self.used_us > 0 && now.look_us() < used_until_us;
        is_used
            && (!self.is_member || now.look_us() >= self.renewed_us.saturating_add(self.times.renewal_us()))
    }

    /// Ends the lease: nothing is taken from shares until the store knows all of them again. Shares that a lease covers at this
    /// moment are kept whole, of others only what is in use.
    fn unsettle(&mut self, counters: &Counters, now: Now) {
        let is_leased = self.policy.is_leased(now);
        self.policy.end_lease();
        self.is_member = false;
        self.end_us = 0;
        self.shrinks.clear();
        self.settling = self.records.keys().copied().collect();
        for record in self.records.values_mut() {
            record.unknown_until_us = 0;
        }
        if !is_leased {
            for record in self.records.values_mut() {
                let free = counters.take_back(record.key(), Micros(u64::MAX >> 1), now).0;
                record.lent = record.lent.saturating_sub(free);
            }
        }
    }

    /// The next call, if there is something to ask. One is under way at a time: the answer comes to [`Self::answered`], or none
    /// to [`Self::failed`].
    pub(crate) fn plan(&mut self, counters: &Counters, now: Now) -> Option<Flight> {
        let epoch = self.epoch.clone()?;
        if self.is_heritage_due(now) {
            return self.plan_heritage(&epoch, now);
        }
        self.refuse_unknown(now);
        self.forget_full_shares(counters, now);
        if !self.is_due(now) {
            return None;
        }
        let lease = (epoch, Arc::clone(&self.node));
        let times = self.script_times();
        let (_, _, ahead_us) = times;
        let call = Call::new(&self.names, &lease.0, &lease.1, times);
        let mut flight = Flight::new(call, lease, now, self.offset_us);
        // First of all: by the resets counts have their names.
        if self.resets.is_due() {
            self.resets.plan(&self.policy.resets, &mut flight);
            return Some(flight);
        }
        self.plan_bring(&mut flight);
        let is_renewal = self.is_renewal_due(now);
        if is_renewal {
            self.tend(counters, now);
            self.longest_us = self.longest_window_us();
        }
        let has_units = self.asks.iter().any(Pending::is_leased) || !self.lows.is_empty();
        let is_new = !self.is_member && !self.asks.is_empty();
        // A call that comes late, over a connection that was given up, changes no share: see the script's `renew`.
        let changes_shares = has_units || !self.shrinks.is_empty();
        if changes_shares || is_new || is_renewal || !self.settling.is_empty() {
            let said = self.said.next(counters);
            let since_us = self.wanted_since_us;
            flight.renew(self.longest_us, since_us, said, !self.is_member, ahead_us);
            if self.is_member {
                flight.clean(MOST_AT_ONCE as u64);
            }
        }
        for _ in 0..MOST_AT_ONCE {
            let Some(key) = self.settling.pop_front() else {
                break;
            };
            if let Some(record) = self.records.get(&key) {
                flight.settle(record);
                // Its answer says what the store counts: what was taken back before is not told apart.
                self.shrinks.retain(|(shrunk, _)| *shrunk != key);
            }
        }
        for returned in drain_some(&mut self.returns) {
            flight.give(&returned);
        }
        for (key, amount) in drain_some(&mut self.shrinks) {
            if let Some(record) = self.records.get(&key) {
                flight.shrink(&record.demand, amount);
            }
        }
        if self.settling.is_empty() {
            self.plan_units(&mut flight, is_renewal, counters, now);
        }
        self.resets.compare(&mut flight);
        Some(flight)
    }

    /// The times that the script is told.
    fn script_times(&self) -> (u64, Option<u64>, u64) {
        let Times {
            lease_us,
            recovery_us,
        } = self.times;
        (lease_us, recovery_us, self.ahead_us())
    }

    /// The time for which units may be in use after a lease; 0 if none of the policy are known to be taken ahead.
    fn ahead_us(&self) -> u64 {
        if self.policy.is_taken_ahead() {
            self.shared.longest_ahead_us()
        } else {
            0
        }
    }

    /// The longest window of a count of which this node has a share, or may get one with the next call.
    fn longest_window_us(&self) -> u64 {
        let shares = self.records.values().map(Record::window_us);
        let asks = self.asks.iter().map(Pending::longest_us);
        let lows = self.lows.iter().map(|low| window_us(&low.demand));
        shares.chain(asks).chain(lows).max().unwrap_or(0)
    }

    /// Gives back what nobody uses here.
    fn tend(&mut self, counters: &Counters, now: Now) {
        for _ in 0..TENDED.min(self.round.len()) {
            let Some(key) = self.round.pop_front() else { break };
            let Some(record) = self.records.get_mut(&key) else {
                continue;
            };
            let units = counters.leased(key, now).unwrap_or_default();
            if record.owed > 0 {
                let back = counters.take_back(key, Micros(record.owed), now).0;
                record.owed -= back;
            }
            if record.is_kept(now) {
                self.round.push_back(key);
                continue;
            }
            let is_idle = units.used.is_empty() && units.free.0 >= record.lent;
            let was_just_given = now.look_us() < record.given_us.saturating_add(self.times.renewal_us());
            if is_idle && was_just_given {
                // Answers that take longer than calls wait would bring nothing for ever, if what they bring went back at once.
                self.round.push_back(key);
                continue;
            }
            let is_over =
                record.lent == 0 && record.owed == 0 && is_idle && record.was_idle && !record.is_refused;
            if is_over && counters.end_share(key, now) {
                self.records.remove(&key);
                continue;
            }
            let keep = if is_idle && record.was_idle {
                0
            } else {
                // More than the units in use again is more than this node needs soon.
                record.lent.saturating_sub(units.free.0).saturating_mul(2)
            };
            if units.free.0 > keep && (is_idle || record.lent > 8 * unit(record.shape())) {
                let spare = (units.free.0 - keep) / unit(record.shape()) * unit(record.shape());
                shrink(record, spare, &mut self.shrinks, counters, now);
            }
            record.was_idle = is_idle;
            self.round.push_back(key);
        }
    }

    /// Calls that turn all shares into units of the log, and end the lease. No unit may be taken any more.
    pub(crate) fn leave(&mut self, counters: &Counters, now: Now) -> Vec<Flight> {
        self.policy.end_lease();
        let Some(epoch) = self.epoch.clone() else {
            return Vec::new();
        };
        let lease = (epoch, Arc::clone(&self.node));
        let (times, offset_us) = (self.script_times(), self.offset_us);
        let new = |names: &Keys| {
            let call = Call::new(names, &lease.0, &lease.1, times);
            Flight::new(call, lease.clone(), now, offset_us)
        };
        let records: Vec<Record> = self.records.drain().map(|(_, record)| record).collect();
        let mut flights = Vec::new();
        for records in records.chunks(MOST_AT_ONCE) {
            let mut flight = new(&self.names);
            for record in records.iter().filter(|record| record.lease == lease) {
                let units = counters.leased(record.key(), now).unwrap_or_default();
                flight.leave(record, &units);
            }
            flights.push(flight);
        }
        if self.is_member || !self.returns.is_empty() {
            let mut flight = new(&self.names);
            for returned in self.returns.drain(..) {
                flight.give(&returned);
            }
            flight.stop();
            flights.push(flight);
        }
        self.is_member = false;
        flights
    }
}

/// Takes out the first items, as many as go in one call.
fn drain_some<T>(items: &mut Vec<T>) -> impl Iterator<Item = T> {
    items.drain(..items.len().min(MOST_AT_ONCE))
}

/// A count whose share is too small, for nobody who waits.
#[derive(Debug)]
struct Low {
    demand: Demand,
    owner: Arc<str>,
    /// Units that are wanted free.
    wanted: Micros,
}

/// The units of a leased count that are free here.
fn free_units(counters: &Counters, key: CountKey, now: Now) -> u64 {
    counters.leased(key, now).map_or(0, |units| units.free.0)
}

/// True if a share should grow before a call has to wait for it. A store that had too little left a moment ago is not asked for more
/// than calls need.
fn runs_low(record: &Record, free: u64, times: Times, now: Now) -> bool {
    let pause_us = if record.refusals > 0 {
        times.renewal_us()
    } else {
        LOW_PAUSE_US
    };
    free < record.lent / 4
        && !record.is_asked_with_renewals()
        && now.look_us() >= record.asked_us.saturating_add(pause_us)
}

/// Takes free units out of a share, and notes that the store has to be told.
fn shrink(record: &mut Record, most: u64, shrinks: &mut Vec<(CountKey, u64)>, counters: &Counters, now: Now) {
    let back = counters.take_back(record.key(), Micros(most), now).0;
    record.lent = record.lent.saturating_sub(back);
    if back > 0 {
        shrinks.push((record.key(), back));
    }
}
