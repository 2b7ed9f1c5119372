//! The store of counters: takes from several counts together, or from none.

use std::cmp;

use crate::atomic::{Ordering, agree, fence, stall};
use crate::cell::{Cell, Count};
use crate::cells::{Cells, Located, NoRoom};
use crate::epoch::Reading;
#[cfg(not(loom))]
use crate::file::Durable;
#[cfg(not(loom))]
use crate::resets::ResetTable;
use crate::shape::Hold;
use crate::{CountKey, Demand, MOST_AHEAD_US, Micros, Now, Refusal, View};
use views::{ledger_view, slots_view, stamped, units, view};

pub(crate) use views::window_us;

pub use views::until_period_end_us;

/// Live counters by identity, in this process.
#[derive(Debug)]
pub(crate) struct Store {
    cells: Cells,
    #[cfg(not(loom))]
    resets: ResetTable,
    #[cfg(not(loom))]
    durable: Option<Durable>,
}

/// The number of attempts of a take, if other threads are in its way, before the call is refused.
const ATTEMPTS: usize = 16;

/// The reason why an attempt took nothing.
enum Failed {
    /// A count had too little left.
    TooLittle,
    /// The cell of this demand was given to another count meanwhile.
    Moved { demand: usize },
    /// A new count would pass a cap.
    NoRoom { demand: usize },
    /// The file was closed meanwhile, so the units would be lost.
    Closed,
}

impl Store {
    /// No counters yet; at most `capacity` in all and `per_grant` made by one grant.
    pub(crate) fn new(capacity: usize, per_grant: usize, hash_key: &[u8; 16]) -> Self {
        Self {
            cells: Cells::new(capacity, per_grant, hash_key),
            #[cfg(not(loom))]
            resets: ResetTable::new(hash_key),
            #[cfg(not(loom))]
            durable: None,
        }
    }

    /// Returns the number of times that a new count was refused because there was no room for it in memory or on disk,
    /// and the reason of the latest failure.
    pub(crate) fn growth_failures(&self) -> (u64, String) {
        self.cells.growth_failures()
    }

    /// Asks the processor for the memory of these counts: see [`crate::Counters::prefetch`].
    #[inline]
    pub(crate) fn prefetch(&self, keys: &[CountKey]) {
        self.cells.prefetch(keys);
    }

    /// Looks at the counts, takes nothing: fills in every `view`. Returns false in a forked child, which may not look.
    pub(crate) fn look(&self, demands: &mut [Demand], now: Now) -> bool {
        if self.is_inherited() {
            return false;
        }
        self.look_at(&self.cells.read(), demands, now);
        true
    }

    /// Returns what [`Self::take`] would answer now, and takes nothing: fills in every `view`. It makes no counter.
    pub(crate) fn peek(&self, demands: &mut [Demand], owner: &str, now: Now) -> Result<(), Refusal> {
        if self.is_inherited() || self.cells.is_closed() {
            return Err(Refusal::Unavailable);
        }
        if let Some(demand) = self.cells.first_without_room(demands, owner, now) {
            return Err(Refusal::Capacity { demand });
        }
        self.look(demands, now);
        if demands.iter().any(|demand| demand.view.wait_us > 0) {
            return Err(Refusal::RateLimited);
        }
        Ok(())
    }

    fn look_at(&self, reading: &Reading, demands: &mut [Demand], now: Now) {
        for demand in demands {
            if demand.is_strict() {
                // The view of units that were taken came with them.
                if !matches!(demand.hold, Hold::Remote { .. }) {
                    demand.view = untouched(demand, now);
                }
                continue;
            }
            demand.view = match self.cells.find_fit(reading, demand, now) {
                Some(located) => view(&located.cell.count(), demand, demand.cost, now),
                None => untouched(demand, now),
            };
        }
    }

    /// Takes from all counts or from none: see [`crate::Counters::take`].
    pub(crate) fn take(&self, demands: &mut [Demand], owner: &str, now: Now) -> Result<u64, Refusal> {
        if self.is_inherited() {
            return Err(Refusal::Unavailable);
        }
        let reading = &self.cells.read();
        if let [demand] = &mut *demands
            && let Some(answer) = self.take_alone(reading, demand, now)
        {
            return answer;
        }
        self.take_all(reading, demands, owner, (now, now.stamp_us()))
    }

    /// Takes units that may be used later: see [`crate::Counters::take_ahead`].
    pub(crate) fn take_ahead(
        &self,
        demands: &mut [Demand],
        owner: &str,
        now: Now,
        until_us: u64,
    ) -> Result<u64, Refusal> {
        if self.is_inherited() || until_us > now.stamp_us() + MOST_AHEAD_US {
            return Err(Refusal::Unavailable);
        }
        let until_us = until_us.max(now.stamp_us());
        self.take_all(&self.cells.read(), demands, owner, (now, until_us))
    }

    /// Counts the units of a demand as taken at another time: see [`crate::Counters::redate`].
    pub(crate) fn redate(&self, demand: &mut Demand, to_us: u64, now: Now) -> bool {
        let Hold::Taken { stamp_us, written } = demand.hold else {
            return demand.cost.0 == 0;
        };
        if self.is_inherited() || to_us > now.stamp_us() + MOST_AHEAD_US {
            return false;
        }
        let mut hold = None;
        // No cell changes hands meanwhile, as in `give_back`; and nobody else redates.
        self.cells.with(demand.key, |cell| match cell.count() {
            Count::Slots(slots) => {
                let wanted = units(demand.cost);
                if slots.redate(wanted, stamp_us, to_us) == wanted {
                    hold = Some((to_us, None));
                }
            }
            Count::Ledger(ledger) => {
                let at = written.or_else(|| {
                    // As in `give_back`.
                    let quantum = ledger.quantum_of(now, stamp_us);
                    Some((quantum, ledger.entry_of(quantum)?))
                });
                if let Some(at) = at {
                    let to_us = to_us.max(ledger.earliest_stamp_us(now));
                    let quantum = ledger.quantum_of(now, to_us);
                    let written = ledger.redate(demand.cost.0, at, quantum, now);
                    hold = written.map(|written| (to_us, Some(written)));
                }
            }
        });
        if let Some((stamp_us, written)) = hold {
            demand.hold = Hold::Taken { stamp_us, written };
        }
        hold.is_some()
    }

    /// Takes the units of the one demand of a call, as [`Self::take_all`] does but for what several need: the commonest
    /// call. `None` where that is not enough.
    #[inline]
    fn take_alone(&self, reading: &Reading, demand: &mut Demand, now: Now) -> Option<Result<u64, Refusal>> {
        if !demand.takes_here() {
            return None;
        }
        let located = self.cells.find_as_it_is(reading, demand)?;
        stall();
        let count = located.cell.count();
        demand.hold = Hold::None;
        let mut stamp_us = now.stamp_us();
        let is_held = match &count {
            Count::Slots(slots) => match slots.take(units(demand.cost), now.look_us(), stamp_us) {
                Ok((taken, seen)) => {
                    demand.hold = Hold::Slots(taken);
                    demand.view = slots_view(slots, seen, demand, now);
                    true
                }
                Err(missing) => {
                    demand.hold = Hold::Missing(missing);
                    missing > 0
                }
            },
            Count::Ledger(ledger) => {
                let is_held = ledger.hold(demand.cost.0, demand.most(), now);
                if is_held {
                    demand.hold = Hold::Gate;
                    stamp_us = stamp_us.max(ledger.earliest_stamp_us(now));
                }
                is_held
            }
        };
        if !is_held {
            demand.hold = Hold::None;
            demand.view = view(&count, demand, demand.cost, now);
            // What was read of the cell comes before what is read of its generation: if that is still the same, the cell was
            // not another count's.
            fence(Ordering::Acquire);
            let is_same = located.cell.generation().load(Ordering::Relaxed) == located.generation;
            // If it need not wait, another call has just released units.
            return (is_same && demand.view.wait_us > 0).then_some(Err(Refusal::RateLimited));
        }
        // As in `hold_all`.
        agree();
        if matches!(demand.hold, Hold::Missing(_))
            || located.cell.generation().load(Ordering::SeqCst) != located.generation
        {
            self.undo(located.cell, demand, stamp_us, now);
            return None;
        }
        stall();
        let mut written = None;
        if let Count::Ledger(ledger) = &count {
            written = Some(ledger.record(demand.cost.0, ledger.quantum_of(now, stamp_us)));
            demand.view = ledger_view(ledger, demand, Micros(0), stamped(stamp_us, now));
        }
        demand.hold = Hold::Taken { stamp_us, written };
        // The last step: as in `try_take`.
        Some(if self.cells.is_closed() {
            Err(Refusal::Unavailable)
        } else {
            Ok(stamp_us)
        })
    }

    fn take_all(
        &self,
        reading: &Reading,
        demands: &mut [Demand],
        owner: &str,
        (now, until_us): (Now, u64),
    ) -> Result<u64, Refusal> {
        let mut moved = None;
        for _ in 0..ATTEMPTS {
            moved = None;
            match self.try_take(reading, demands, owner, (now, until_us)) {
                Ok(stamp_us) => return Ok(stamp_us),
                Err(Failed::NoRoom { demand }) => return Err(Refusal::Capacity { demand }),
                Err(Failed::Moved { demand }) => moved = Some(demand),
                Err(Failed::Closed) => return Err(Refusal::Unavailable),
                Err(Failed::TooLittle) => {
                    self.look_at(reading, demands, now);
                    if demands.iter().any(|demand| demand.view.wait_us > 0) {
                        return Err(Refusal::RateLimited);
                    }
                    // The units were held by another call that has released them: try again.
                }
            }
        }
        if let Some(demand) = moved {
            // In every attempt, one new counter of this call was reclaimed to make room for another.
            return Err(Refusal::Capacity { demand });
        }
        // Other threads' holds were in the way each time. Refusing early under contention is allowed; asking again
        // at once is the right advice.
        if let Some(demand) = demands.iter_mut().find(|demand| demand.cost.0 > 0) {
            demand.view.wait_us = cmp::max(demand.view.wait_us, 1);
        }
        Err(Refusal::RateLimited)
    }

    /// Gives back the units that [`Self::take`] took for one demand and that have not expired.
    pub(crate) fn give_back(&self, demand: &Demand, now: Now) {
        let Hold::Taken { stamp_us, written } = demand.hold else {
            return;
        };
        if self.is_inherited() {
            return;
        }
        // No cell changes hands meanwhile: so a moved count is found in its new cell, and units of another count are
        // never given back.
        self.cells.with(demand.key, |cell| match cell.count() {
            Count::Slots(slots) => {
                slots.give_back_stamp(units(demand.cost), stamp_us, now.look_us());
            }
            Count::Ledger(ledger) => {
                let at = written.or_else(|| {
                    // Taken in slots, moved here by a reload since.
                    let quantum = ledger.quantum_of(now, stamp_us);
                    Some((quantum, ledger.entry_of(quantum)?))
                });
                if let Some((quantum, entry)) = at {
                    ledger.give_back(demand.cost.0, quantum, entry, now);
                }
            }
        });
    }

    /// See [`crate::Counters::in_use`].
    #[cfg(not(loom))]
    pub(crate) fn in_use(&self, now: Now) -> Vec<CountKey> {
        self.cells.in_use(now)
    }

    /// See [`crate::Counters::units_in_use`].
    #[cfg(not(loom))]
    pub(crate) fn units_in_use(&self, key: CountKey, now: Now) -> Vec<(u64, Micros)> {
        self.cells.units_in_use(key, now)
    }

    /// Reclaims idle counters among the next `budget` cells.
    pub(crate) fn sweep(&self, now: Now, budget: usize) {
        self.cells.sweep(now, budget);
    }

    /// Takes up to `blocks` blocks without counters out of use: see [`crate::Counters::turn`].
    pub(crate) fn turn(&self, blocks: usize) -> bool {
        !self.is_inherited() && self.cells.turn(blocks)
    }

    /// Returns the number of blocks of 64 KiB that counters use, or that calls may still be reading after their last
    /// counter went.
    pub(crate) fn blocks(&self) -> usize {
        self.cells.blocks_in_use()
    }

    /// Returns the number of live counters.
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// Returns the greatest number of live counters.
    pub(crate) fn capacity(&self) -> usize {
        self.cells.capacity()
    }

    /// True if the file was closed, so that what was seen since may be empty.
    #[cfg(not(loom))]
    pub(crate) fn is_closed(&self) -> bool {
        self.cells.is_closed()
    }

    /// Returns true if the counters belong to the process that this one was forked from. They are in a file that both
    /// have mapped, and each process would admit as if the other did not exist.
    #[inline]
    pub(crate) fn is_inherited(&self) -> bool {
        #[cfg(not(loom))]
        return self.durable.as_ref().is_some_and(|durable| !durable.is_ours());
        #[cfg(loom)]
        false
    }

    fn try_take(
        &self,
        reading: &Reading,
        demands: &mut [Demand],
        owner: &str,
        (now, until_us): (Now, u64),
    ) -> Result<u64, Failed> {
        let mut located: smallvec::SmallVec<[Option<Located<'_>>; 4]> = smallvec::SmallVec::new();
        for (demand, wanted) in demands.iter_mut().enumerate() {
            if !wanted.is_strict() {
                wanted.hold = Hold::None;
            }
            located.push(if wanted.takes_here() {
                Some(
                    self.cells
                        .find_or_make(reading, wanted, owner, now)
                        .map_err(|NoRoom| Failed::NoRoom { demand })?,
                )
            } else {
                None
            });
        }
        stall();
        let held = hold_all(demands, &located, (now, until_us));
        match held {
            Ok(stamp_us) => {
                // Of units that are taken ahead, what is left now: until their stamp, others expire.
                let stamped = if until_us > now.stamp_us() {
                    now
                } else {
                    stamped(stamp_us, now)
                };
                for (demand, located) in demands.iter_mut().zip(&located) {
                    let Some(located) = located else {
                        demand.view = self.look_one(reading, demand, now);
                        continue;
                    };
                    // Slots had their view when they were taken.
                    let mut written = None;
                    if let Count::Ledger(ledger) = located.cell.count() {
                        written = Some(ledger.record(demand.cost.0, ledger.quantum_of(now, stamp_us)));
                        demand.view = ledger_view(&ledger, demand, Micros(0), stamped);
                    }
                    demand.hold = Hold::Taken { stamp_us, written };
                }
                // The last step: see `Cells::is_closed`. Units of this call that are in the file stay taken.
                if self.cells.is_closed() {
                    return Err(Failed::Closed);
                }
                Ok(stamp_us)
            }
            Err((failed, stamp_us)) => {
                for (demand, located) in demands.iter_mut().zip(&located) {
                    if let Some(located) = located {
                        self.undo(located.cell, demand, stamp_us, now);
                    }
                }
                Err(failed)
            }
        }
    }

    #[cold]
    fn undo(&self, cell: Cell<'_>, demand: &mut Demand, stamp_us: u64, now: Now) {
        let missing = match (cell.count(), demand.hold) {
            (Count::Ledger(ledger), Hold::Gate) => {
                ledger.let_go(demand.cost.0);
                0
            }
            (Count::Slots(slots), Hold::Slots(taken)) => slots.give_back(&taken, now.look_us(), stamp_us),
            (_, Hold::Missing(missing)) => missing,
            _ => 0,
        };
        demand.hold = Hold::None;
        if missing > 0 {
            // A roll-back of the same stamp gave our slots back, and left its own to us; or the slots moved with the
            // count. Units of one stamp are alike, so these go back like a roll-back's.
            let cost = Micros(missing as u64 * Micros::ONE.0);
            let hold = Hold::Taken {
                stamp_us,
                written: None,
            };
            self.give_back(
                &Demand {
                    cost,
                    hold,
                    ..demand.clone()
                },
                now,
            );
        }
    }

    fn look_one(&self, reading: &Reading, demand: &mut Demand, now: Now) -> View {
        self.look_at(reading, std::slice::from_mut(demand), now);
        demand.view
    }
}

#[cfg(not(loom))]
impl Drop for Store {
    fn drop(&mut self) {
        // There is no caller for an error. If the file is not marked as whole, the next start only checks it more closely.
        let _ = self.close(None);
    }
}

/// The view of a count of which nothing is known here.
fn untouched(demand: &Demand, now: Now) -> View {
    View {
        window_us: window_us(demand.shape.window, now),
        remaining: demand.shape.max,
        ..View::default()
    }
}

/// Holds every cost, ledgers first: their clocks decide the stamp, which slots carry from the start. Returns the stamp, which
/// is not before `until_us`.
fn hold_all(
    demands: &mut [Demand],
    located: &[Option<Located<'_>>],
    (now, until_us): (Now, u64),
) -> Result<u64, (Failed, u64)> {
    let mut stamp_us = until_us;
    for (demand, located) in demands.iter_mut().zip(located) {
        if let Some(Count::Ledger(ledger)) = located.map(|located| located.cell.count()) {
            if !ledger.hold(demand.cost.0, demand.most(), now) {
                return Err((Failed::TooLittle, stamp_us));
            }
            demand.hold = Hold::Gate;
            stamp_us = cmp::max(stamp_us, ledger.earliest_stamp_us(now));
        }
    }
    for (demand, located) in demands.iter_mut().zip(located) {
        if let Some(Count::Slots(slots)) = located.map(|located| located.cell.count()) {
            let taken = if until_us > now.stamp_us() {
                slots.take_ahead(units(demand.cost), now.look_us(), stamp_us)
            } else {
                slots.take(units(demand.cost), now.look_us(), stamp_us)
            };
            match taken {
                Ok((taken, seen)) => {
                    demand.hold = Hold::Slots(taken);
                    demand.view = slots_view(&slots, seen, demand, now);
                }
                Err(missing) => {
                    demand.hold = Hold::Missing(missing);
                    return Err((Failed::TooLittle, stamp_us));
                }
            }
        }
    }
    // All holds are made. A cell that has changed hands since it was found serves another count: SeqCst, see
    // `Cells::free`.
    agree();
    let moved = |located: &Option<Located<'_>>| {
        located.is_some_and(|located| located.cell.generation().load(Ordering::SeqCst) != located.generation)
    };
    if let Some(demand) = located.iter().position(moved) {
        return Err((Failed::Moved { demand }, stamp_us));
    }
    Ok(stamp_us)
}

#[cfg(not(loom))]
mod durable;
mod shares;
#[cfg(all(test, not(loom)))]
mod tests;
mod views;
