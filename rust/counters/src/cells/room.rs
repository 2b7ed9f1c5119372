//! Room for new counts: the caps, and reclaiming of idle counters.

use super::{Cells, NoRoom, Writer, is_idle, reopen};
use crate::atomic::{Ordering, agree};
use crate::cell::{Count, Layout, is_fresh};
use crate::index::CellRef;
use crate::{Demand, Now};

/// Cells to look through for an idle one before a new count is refused.
const SEARCH: usize = 64;
/// Cells to look at whenever a counter is made while half of the capacity is in use, so that idle counters are
/// reclaimed even if nobody calls [`Cells::sweep`].
const SWEEP_PER_INSERT: usize = 2;

impl Cells {
    /// Returns the index of the first demand whose count would be a new one beyond a cap. Makes no counter, but reclaims idle
    /// ones as for a new one.
    pub(crate) fn first_without_room(&self, demands: &[Demand], owner: &str, now: Now) -> Option<usize> {
        let owner = self.owner_hash(owner);
        // What is looked up serves no other count meanwhile.
        let _reading = self.read();
        let mut new = 0;
        demands.iter().position(|demand| {
            if !demand.takes_here() || self.lookup(demand.key).is_some() {
                return false;
            }
            let has_room = self.make_room(&mut self.lock(), owner, new, now).is_ok();
            new += 1;
            !has_room
        })
    }

    /// Reclaims idle counters where one more of this owner, beside `others` that are to be made before it, would pass a cap.
    pub(super) fn make_room(
        &self,
        writer: &mut Writer,
        owner: u64,
        others: usize,
        now: Now,
    ) -> Result<(), NoRoom> {
        if writer.live + others >= self.capacity / 2 {
            self.sweep_locked(writer, now, SWEEP_PER_INSERT);
        }
        if writer.live + others >= self.capacity {
            self.sweep_locked(writer, now, SEARCH);
            if writer.live + others >= self.capacity {
                return Err(NoRoom);
            }
        }
        if writer.owners.count(owner) + others >= self.per_grant {
            self.sweep_owner(writer, owner, now);
            if writer.owners.count(owner) + others >= self.per_grant {
                return Err(NoRoom);
            }
        }
        Ok(())
    }

    /// Reclaims idle counters among the next `budget` cells.
    pub(crate) fn sweep(&self, now: Now, budget: usize) {
        // In pieces, so that calls with new counts need not wait for all of it.
        for begun in (0..budget).step_by(SEARCH) {
            self.sweep_locked(&mut self.lock(), now, SEARCH.min(budget - begun));
        }
    }

    fn sweep_locked(&self, writer: &mut Writer, now: Now, budget: usize) {
        // Once around at most.
        for _ in 0..budget.min(writer.spaces.round()) {
            let mut hand = writer.hand;
            let at = writer.spaces.next_used(&mut hand);
            writer.hand = hand;
            if let Some(at) = at {
                self.free(writer, at, now);
            }
        }
    }

    fn sweep_owner(&self, writer: &mut Writer, owner: u64, now: Now) {
        for _ in 0..SEARCH {
            let Some(at) = writer.owners.next(owner) else {
                return;
            };
            if self.free(writer, at, now) {
                return;
            }
        }
    }

    /// Reclaims a cell if no units are taken from it.
    fn free(&self, writer: &mut Writer, at: CellRef, now: Now) -> bool {
        let Some(cell) = self.blocks.cell(at) else {
            return false;
        };
        let generation = cell.generation().load(Ordering::Relaxed); // changed by the holder of the lock alone
        if !generation.is_multiple_of(2) || is_fresh(generation) || !is_idle(cell, now) {
            return false;
        }
        // Close, then look; takers hold, then look whether the cell is closed. All SeqCst, so at least one of the
        // two sees the other: a cell with a hold that stands is not reclaimed.
        cell.generation().store(generation | 1, Ordering::SeqCst);
        agree();
        if !is_idle(cell, now) {
            reopen(cell);
            return false;
        }
        self.leave(writer, self.key_of(at), at);
        // What a ledger held had expired by its clock, which another thread may have pushed beyond `now`.
        let reached = match cell.count() {
            Count::Ledger(ledger) => ledger.clock.load(Ordering::Acquire),
            Count::Slots(_) => 0,
        };
        let calendar = matches!(cell.layout(), Layout::Calendar(_));
        if !calendar {
            writer.floor_us = writer.floor_us.max(now.look_us()).max(reached);
        }
        if calendar {
            writer.spaces.raise_floor_period(cell.layout(), reached);
        }
        writer.spaces.give_back(at);
        true
    }
}
