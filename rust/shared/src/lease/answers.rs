//! What the answers of the store change.

use std::collections::HashMap;
use std::sync::Arc;

use callgate_counters::lease::{BringError, Counted, Returned, SharedResetError, TakenUnits, Verdict};
use callgate_counters::{CountKey, Counters, Demand, Micros, Now, Sharing, View};

use super::flight::{Flight, Op};
use super::{Lease, Part, Record, Reply, Times, amount, shrink};
use crate::call::window;

/// The longest time for which a refused count is not asked for again: meanwhile another node may give units back.
const REFUSED_US: u64 = 100_000;
/// The time for which units that were wanted ahead wait for whoever wanted them, who looks once in a second.
const KEPT_US: u64 = 2_000_000;
/// Times that a call is asked for again because a period of the calendar had ended.
const TRIES: u32 = 3;

/// What was learned of the counts in one answer.
#[derive(Default)]
struct Learned {
    /// By call: the answer to its take.
    takes: HashMap<usize, Vec<Part>>,
    /// By count: units that the store has left, and the microseconds until more are free.
    grows: HashMap<CountKey, (u64, u64)>,
    /// Counts of which the store cannot say what is left.
    unknown: Vec<CountKey>,
}

impl Lease {
    /// Performs the answer to a call; `new_node` makes a name that no node has had.
    pub(crate) fn answered(
        &mut self,
        mut flight: Flight,
        reply: Reply,
        counters: &Counters,
        now: Now,
        new_node: impl FnOnce() -> String,
    ) {
        let parts = match reply {
            Reply::Done(parts) => parts,
            Reply::OtherEpoch => {
                self.end_epoch();
                return self.again(flight);
            }
        };
        let mut learned = Learned::default();
        let (mut granted, mut ahead_us) = (None, 0);
        let mut resets = None;
        let done = parts.len();
        for (op, parts) in flight.ops.iter().zip(parts) {
            match op {
                Op::Renew { ahead_us: counted_us } => {
                    if parts.first().and_then(Part::number) != Some(1) {
                        // The lease has ended, or another has our name.
                        self.unsettle(counters, now);
                        self.node = new_node().into();
                        return self.again(flight);
                    }
                    self.is_member = true;
                    self.renewed_us = flight.sent.look_us();
                    granted = Some(flight.sent.look_us().saturating_add(self.times.used_us()));
                    ahead_us = *counted_us;
                    self.learn_time(&parts, now);
                    if amount(&parts, 2).is_some_and(|told_us| told_us > 0) {
                        // So that this node tells it after a loss of data, if the one that takes units ahead is gone by then.
                        self.policy.note_taken_ahead();
                    }
                    self.wanted(&parts, counters, now);
                }
                Op::Settle(key) => self.settled(*key, &parts, &flight.lease, counters, now),
                Op::Grow(key) => self.grown(*key, &parts, &flight.lease, counters, now, &mut learned),
                Op::Take(place) => {
                    self.learn_time(&parts, now);
                    learned.takes.insert(*place, parts);
                }
                Op::Heirs => self.heirs_found(&parts, now),
                Op::Bring => flight
                    .is_brought
                    .push(parts.first().and_then(Part::number) == Some(1)),
                Op::Resets => resets = Some(parts),
                Op::Other => {}
            }
        }
        // Before the lease is used: after it no count may be met by a name of before.
        let is_current = self.learn_resets(resets.as_deref(), &mut flight);
        self.finish_bring(&mut flight);
        if let Some(end_us) = granted {
            self.end_us = end_us;
            self.ahead_us = ahead_us;
        }
        let has_settled = done >= flight.ops.len() && self.settling.is_empty();
        if has_settled && self.is_member && self.end_us > 0 && self.resets.is_known() {
            if self.ahead_us > 0 {
                self.policy
                    .ahead_until_us(self.end_us.saturating_add(self.ahead_us));
            }
            self.policy.lease_until_us(self.end_us, self.changes);
        }
        if flight.pending.is_empty() {
            return;
        }
        self.used_us = now.look_us();
        if !is_current {
            self.return_takes(&flight, &learned.takes);
            return self.again(flight);
        }
        self.answer_calls(flight, &learned, counters, now);
    }

    /// A call of the script was not answered: whether it was performed is not known. Every share that it may have changed is at
    /// the store no less than here.
    pub(crate) fn failed(&mut self, flight: Flight) {
        for op in &flight.ops {
            if let Op::Settle(key) = op {
                self.settling.push_back(*key);
            }
        }
        for pending in flight.pending {
            (pending.ask.answer)(Counted::default());
        }
        for ask in flight.resets {
            ask.answer(Err(SharedResetError::Unanswered));
        }
        if let Some(ask) = flight.bring {
            ask.answer(Err(BringError::Unanswered));
        }
    }

    /// Asks for everything again that nothing was done for.
    fn again(&mut self, flight: Flight) {
        for pending in flight.pending.into_iter().rev() {
            self.asks.push_front(pending);
        }
        for ask in flight.resets {
            self.resets.ask(ask);
        }
        self.brings.extend(flight.bring);
    }

    fn learn_time(&mut self, parts: &[Part], now: Now) {
        if let Some(store_us) = amount(parts, 1) {
            self.offset_us = store_us.cast_signed() - now.unix_us().cast_signed();
        }
    }

    /// Gives back what others want and nobody uses here.
    fn wanted(&mut self, parts: &[Part], counters: &Counters, now: Now) {
        self.wanted_since_us = amount(parts, 1).unwrap_or(self.wanted_since_us);
        for part in parts.iter().skip(3) {
            let Part::Text(name) = part else { continue };
            let record = self
                .names
                .parse_count(name)
                .and_then(|key| self.records.get_mut(&key));
            let Some(record) = record else { continue };
            self.shared.note_wanted(record.key(), now);
            if record.is_kept(now) {
                // The other node asks again.
                continue;
            }
            let free = counters.leased(record.key(), now).map_or(0, |units| units.free.0);
            // A little stays with a node that uses the count, so that each of its calls need not ask.
            let keep = record.lent.saturating_sub(free) / 16;
            let step = crate::record::unit(record.shape());
            let spare = free.saturating_sub(keep).div_ceil(step) * step;
            shrink(record, spare.min(free), &mut self.shrinks, counters, now);
        }
    }

    fn settled(
        &mut self,
        key: CountKey,
        parts: &[Part],
        lease: &(Arc<str>, Arc<str>),
        counters: &Counters,
        now: Now,
    ) {
        let Some(record) = self.records.get_mut(&key) else {
            return;
        };
        let known = amount(parts, 0).unwrap_or(0);
        record.lease.clone_from(lease);
        // What was taken back since is part of the difference below.
        self.shrinks.retain(|(shrunk, _)| *shrunk != key);
        if known < record.lent {
            // The store counts less as ours: the rest is not used any more.
            record.owed = record.owed.saturating_add(record.lent - known);
            record.lent = known;
            let back = counters.take_back(key, Micros(record.owed), now).0;
            record.owed -= back;
        } else if known > record.lent {
            self.shrinks.push((key, known - record.lent));
        }
    }

    fn grown(
        &mut self,
        key: CountKey,
        parts: &[Part],
        lease: &(Arc<str>, Arc<str>),
        counters: &Counters,
        now: Now,
        learned: &mut Learned,
    ) {
        let Some(record) = self.records.get_mut(&key) else {
            return;
        };
        let (Some(given), Some(left), Some(wait_us), Some(known)) = (
            parts.first().and_then(Part::number),
            amount(parts, 1),
            amount(parts, 2),
            amount(parts, 3),
        ) else {
            learned.unknown.push(key);
            return;
        };
        let Ok(given) = u64::try_from(given) else {
            // Until then each node would ask for each of its counts again and again.
            let pause_us = wait_us.min(self.times.used_us());
            record.unknown_until_us = now.look_us().saturating_add(pause_us);
            learned.unknown.push(key);
            return;
        };
        record.lease.clone_from(lease);
        // Units that it gives and that leave it none are a refusal of the next call.
        record.refusals = if left < crate::record::unit(record.shape()) {
            record.refusals.saturating_add(1)
        } else {
            0
        };
        if record.refusals > 0 && !record.is_refused {
            record.is_refused = true;
            self.refused.push_back(key);
        }
        if record.is_asked_with_renewals() {
            // No call waits for the answer to a renewal.
            let now_us = now.look_us();
            let until_us = now_us.saturating_add(refusal_pause_us(Some(record), wait_us, self.times));
            let free_at_us = now_us.saturating_add(wait_us.max(REFUSED_US));
            self.shared.note_refused(key, Micros(left), until_us, free_at_us);
        } else {
            self.shared.note_left(key, Micros(left));
        }
        if given > 0 {
            let outcome = counters.lend(&record.demand, &record.owner, Micros(given), now);
            if outcome.is_ok() {
                record.lent += given;
            }
            record.was_idle = false;
            record.given_us = now.look_us();
            if record.is_ahead {
                record.kept_until_us = now.look_us().saturating_add(KEPT_US);
            }
        }
        // Granted and not lent, now or in a call whose answer was lost.
        if known > record.lent {
            let pending: u64 = self
                .shrinks
                .iter()
                .filter(|(shrunk, _)| *shrunk == key)
                .map(|(_, amount)| amount)
                .sum();
            let lost = known.saturating_sub(record.lent).saturating_sub(pending);
            if lost > 0 {
                self.shrinks.push((key, lost));
            }
        }
        learned.grows.insert(key, (left, wait_us));
    }

    fn answer_calls(&mut self, flight: Flight, learned: &Learned, counters: &Counters, now: Now) {
        let mut free: HashMap<CountKey, u64> = HashMap::new();
        let mut again = Vec::new();
        for (place, mut pending) in flight.pending.into_iter().enumerate() {
            let take = learned.takes.get(&place).map(Vec::as_slice);
            let status = match take {
                Some(parts) => parts.first().and_then(Part::number),
                None if pending.strict().next().is_some() => None,
                None => Some(1),
            };
            if status == Some(-2) && pending.tries < TRIES {
                pending.tries += 1;
                again.push(pending);
                continue;
            }
            let mut counted = Counted {
                verdict: match status {
                    Some(1) => Verdict::Granted,
                    Some(0) => Verdict::Refused,
                    _ => Verdict::Unavailable,
                },
                ..Counted::default()
            };
            let mut strict = 0;
            let mut taken = Vec::new();
            for demand in &pending.ask.demands {
                let view = if demand.shape.sharing == Sharing::Strict {
                    let view = self.strict_view(demand, take.unwrap_or_default(), strict, now);
                    if let (Some(1), Some(stamp_us)) =
                        (status, amount(take.unwrap_or_default(), 2 + 4 * strict + 3))
                    {
                        taken.push(Returned {
                            policy: self.policy.number,
                            key: demand.key,
                            shape: demand.shape,
                            amount: demand.cost,
                            stamp_us,
                        });
                    }
                    strict += 1;
                    view
                } else {
                    self.leased_view(demand, learned, &mut free, counters, now)
                };
                if learned.unknown.contains(&demand.key) {
                    counted.verdict = Verdict::Unavailable;
                } else if view.wait_us > 0 && counted.verdict == Verdict::Granted {
                    counted.verdict = Verdict::Refused;
                }
                counted.views.push(view);
            }
            if !self.policy.is_leased(now) && pending.is_leased() {
                counted.verdict = Verdict::Unavailable;
            }
            if counted.verdict == Verdict::Unavailable {
                counted.views.clear();
            }
            counted.taken = TakenUnits::new(&self.shared, taken);
            counted.keys = pending.ask.demands.iter().map(|demand| demand.key).collect();
            (pending.ask.answer)(counted);
        }
        for pending in again.into_iter().rev() {
            self.asks.push_front(pending);
        }
    }

    fn strict_view(&self, demand: &Demand, parts: &[Part], index: usize, now: Now) -> View {
        let number = |place: usize| amount(parts, 2 + 4 * index + place).unwrap_or(0);
        if !parts.is_empty() {
            self.shared.note_left(demand.key, Micros(number(0)));
        }
        let unix_us = now.unix_us().saturating_add_signed(self.offset_us);
        View {
            wait_us: number(1),
            remaining: Micros(number(0)),
            over: Micros(0),
            reset_after_us: number(2),
            window_us: window(&demand.shape, unix_us).0,
        }
    }

    /// The state of a leased count for a call that wants some of it; `free` is what calls before it have left.
    fn leased_view(
        &self,
        demand: &Demand,
        learned: &Learned,
        free: &mut HashMap<CountKey, u64>,
        counters: &Counters,
        now: Now,
    ) -> View {
        let free = free
            .entry(demand.key)
            .or_insert_with(|| counters.leased(demand.key, now).map_or(0, |units| units.free.0));
        let mut view = View {
            window_us: window(&demand.shape, now.unix_us()).0,
            remaining: Micros((*free).min(demand.shape.max.0)),
            ..View::default()
        };
        if *free >= demand.cost.0 {
            *free -= demand.cost.0;
            return view;
        }
        let (left, wait_us) = learned.grows.get(&demand.key).copied().unwrap_or_default();
        view.wait_us = wait_us.max(1);
        let now_us = now.look_us();
        let pause_us = refusal_pause_us(self.records.get(&demand.key), view.wait_us, self.times);
        self.shared.note_refused(
            demand.key,
            Micros(left),
            now_us.saturating_add(pause_us),
            now_us.saturating_add(view.wait_us),
        );
        view
    }
}

/// The time for which calls do not ask again for a count that was refused.
fn refusal_pause_us(record: Option<&Record>, wait_us: u64, times: Times) -> u64 {
    if record.is_some_and(Record::is_asked_with_renewals) {
        // Until the next renewal but one, so that calls do not ask between two of them.
        2 * times.renewal_us()
    } else {
        REFUSED_US.min(wait_us)
    }
}
