//! Units that calls need, and shares that run low.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use callgate_counters::lease::Counted;
use callgate_counters::{CountKey, Counters, Demand, Now};

use super::flight::{Flight, Pending};
use super::{GROWN_AT_ONCE, Lease, Low, MOST_AT_ONCE, free_units, runs_low};
use crate::record::{Record, unit};

impl Lease {
    /// Forgets shares that were said to run low, and do not, up to the first that does.
    pub(super) fn forget_full_shares(&mut self, counters: &Counters, now: Now) {
        while let Some(low) = self.lows.front()
            && !self.is_low(low, counters, now)
        {
            self.lows.pop_front();
        }
    }

    /// Answers calls that want units of a count of which the store has just said that it cannot say what is left.
    pub(super) fn refuse_unknown(&mut self, now: Now) {
        let records = &self.records;
        let is_unknown = |demand: &Demand| {
            records
                .get(&demand.key)
                .is_some_and(|record| record.is_unknown(now))
        };
        let is_refused = |pending: &Pending| pending.leased().any(is_unknown);
        if !self.asks.iter().any(is_refused) {
            return;
        }
        for pending in std::mem::take(&mut self.asks) {
            if is_refused(&pending) {
                (pending.ask.answer)(Counted::default());
            } else {
                self.asks.push_back(pending);
            }
        }
    }

    /// True if a share has to grow. Calls only know that it is small beside `max`, as each is where many nodes have one.
    fn is_low(&self, low: &Low, counters: &Counters, now: Now) -> bool {
        let free = free_units(counters, low.demand.key, now);
        let record = self.records.get(&low.demand.key);
        if record.is_some_and(|record| record.is_unknown(now)) {
            return false;
        }
        free < low.wanted.0 || record.is_some_and(|record| runs_low(record, free, self.times, now))
    }

    /// Adds the counts of which the store had too little left, if calls were refused since: others may have given some back.
    fn plan_missed(&mut self, grows: &mut Grows) {
        for _ in 0..MOST_AT_ONCE.min(self.refused.len()) {
            let Some(key) = self.refused.pop_front() else {
                break;
            };
            let Some(record) = self.records.get_mut(&key) else {
                continue;
            };
            let missed = self.shared.take_missed(key).0;
            if record.refusals == 0 || missed == 0 {
                record.refusals = 0;
                record.is_refused = false;
                continue;
            }
            self.refused.push_back(key);
            if record.is_asked_with_renewals() && !grows.has(key) {
                grows.of(&record.demand, &record.owner).missed = missed;
            }
        }
    }

    /// Adds what calls wait for, and shares that run low.
    pub(super) fn plan_units(
        &mut self,
        flight: &mut Flight,
        is_renewal: bool,
        counters: &Counters,
        now: Now,
    ) {
        let mut grows = Grows::default();
        let resets = self.policy.resets.current();
        for mut pending in self.asks.drain(..) {
            pending.renew_keys(self.shared.hash_key(), resets.clone());
            self.strict_us = self.strict_us.max(pending.longest_strict_us());
            flight.take(&pending);
            for demand in pending.leased() {
                let grow = grows.of(demand, &pending.ask.owner);
                grow.need = grow.need.saturating_add(demand.cost.0);
                grow.least = match grow.least {
                    0 => demand.cost.0,
                    least => least.min(demand.cost.0),
                };
            }
            flight.pending.push(pending);
        }
        let most = grows.len() + GROWN_AT_ONCE;
        while grows.len() < most
            && let Some(low) = self.lows.pop_front()
        {
            if !self.is_low(&low, counters, now) {
                continue;
            }
            let free = free_units(counters, low.demand.key, now);
            let grow = grows.of(&low.demand, &low.owner);
            grow.missed = grow.missed.max(low.wanted.0.saturating_sub(free));
            grow.is_ahead |= low.wanted.0 > 0;
        }
        if is_renewal {
            self.plan_missed(&mut grows);
        }
        for grow in grows.list {
            let free = free_units(counters, grow.demand.key, now);
            let record = self.records.entry(grow.demand.key).or_insert_with(|| {
                self.round.push_back(grow.demand.key);
                Record::new(grow.demand.clone(), Arc::clone(&grow.owner), flight.lease.clone())
            });
            // What a reload has changed.
            record.demand.shape = grow.demand.shape;
            record.is_ahead |= grow.is_ahead;
            let step = unit(record.shape());
            let need = grow.need.saturating_sub(free);
            if need == 0 && grow.missed == 0 && !runs_low(record, free, self.times, now) {
                continue;
            }
            record.asked_us = now.look_us();
            let least = grow.least.saturating_sub(free).max(step);
            // A share that is too small by far does not have to double again and again.
            let like = record.lent.max(grow.missed).max(step);
            flight.grow(&record.demand, least, need, like, step);
        }
    }
}

/// The counts that need units, in the order in which they were named.
#[derive(Default)]
struct Grows {
    list: Vec<Grow>,
    places: HashMap<CountKey, usize>,
}

impl Grows {
    fn len(&self) -> usize {
        self.list.len()
    }

    fn has(&self, key: CountKey) -> bool {
        self.places.contains_key(&key)
    }

    /// The needs of a count, none so far if it is new.
    fn of(&mut self, demand: &Demand, owner: &Arc<str>) -> &mut Grow {
        let place = match self.places.entry(demand.key) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(place) => {
                self.list.push(Grow {
                    demand: demand.clone(),
                    owner: Arc::clone(owner),
                    need: 0,
                    least: 0,
                    missed: 0,
                    is_ahead: false,
                });
                *place.insert(self.list.len() - 1)
            }
        };
        &mut self.list[place]
    }
}

/// Units that a count needs.
struct Grow {
    demand: Demand,
    owner: Arc<str>,
    need: u64,
    least: u64,
    /// Units of calls that do not wait: they were refused since the store had too little left. Or units that are wanted ahead.
    missed: u64,
    /// True if they are wanted ahead.
    is_ahead: bool,
}
