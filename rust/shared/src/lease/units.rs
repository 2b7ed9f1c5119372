//! Units that calls need, and shares that run low.

use std::sync::Arc;

use callgate_counters::{Counters, Demand, Now};

use super::flight::Flight;
use super::{Lease, MOST_AT_ONCE, free_units, runs_low};
use crate::record::{Record, unit};

impl Lease {
    /// Forgets the shares that were said to run low, and do not: calls only know that a share is small beside `max`, which each
    /// is where many nodes have one.
    pub(super) fn forget_full_shares(&mut self, counters: &Counters, now: Now) {
        let (records, times) = (&self.records, self.times);
        self.lows.retain(|low| {
            let free = free_units(counters, low.demand.key, now);
            let record = records.get(&low.demand.key);
            free < low.wanted.0 || record.is_some_and(|record| runs_low(record, free, times, now))
        });
    }

    /// Adds the counts of which the store had too little left, if calls were refused since: others may have given some back.
    fn plan_missed(&mut self, grows: &mut Vec<Grow>) {
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
            if record.is_asked_with_renewals() && !grows.iter().any(|grow| grow.demand.key == key) {
                grows.push(Grow {
                    demand: record.demand.clone(),
                    owner: Arc::clone(&record.owner),
                    need: 0,
                    least: 0,
                    missed,
                    is_ahead: false,
                });
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
        let mut grows: Vec<Grow> = Vec::new();
        let resets = self.policy.resets.current();
        for mut pending in self.asks.drain(..) {
            pending.renew_keys(self.shared.hash_key(), resets.clone());
            self.strict_us = self.strict_us.max(pending.longest_strict_us());
            flight.take(&pending);
            for demand in pending.leased() {
                let known = grows.iter_mut().find(|grow| grow.demand.key == demand.key);
                match known {
                    Some(grow) => {
                        grow.need = grow.need.saturating_add(demand.cost.0);
                        grow.least = grow.least.min(demand.cost.0);
                    }
                    None => grows.push(Grow {
                        demand: demand.clone(),
                        owner: Arc::clone(&pending.ask.owner),
                        need: demand.cost.0,
                        least: demand.cost.0,
                        missed: 0,
                        is_ahead: false,
                    }),
                }
            }
            flight.pending.push(pending);
        }
        for low in self.lows.drain(..) {
            let missed = low
                .wanted
                .0
                .saturating_sub(free_units(counters, low.demand.key, now));
            let is_ahead = low.wanted.0 > 0;
            match grows.iter_mut().find(|grow| grow.demand.key == low.demand.key) {
                Some(grow) => {
                    grow.missed = grow.missed.max(missed);
                    grow.is_ahead |= is_ahead;
                }
                None => grows.push(Grow {
                    demand: low.demand,
                    owner: low.owner,
                    need: 0,
                    least: 0,
                    missed,
                    is_ahead,
                }),
            }
        }
        if is_renewal {
            self.plan_missed(&mut grows);
        }
        for grow in grows {
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
