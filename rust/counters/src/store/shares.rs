//! Shares of counts that nodes share.

use super::{ATTEMPTS, Store};
use crate::cell::{Count, Layout};
use crate::cells::NoRoom;
use crate::{CountKey, Demand, LeasedUnits, Micros, Now, Refusal};

impl Store {
    /// Adds to the share that this node has of a leased count, and makes the count if there is none.
    pub(crate) fn lend(&self, demand: &Demand, owner: &str, amount: Micros, now: Now) -> Result<(), Refusal> {
        if self.is_inherited() || self.cells.is_closed() {
            return Err(Refusal::Unavailable);
        }
        let reading = &self.cells.read();
        let mut is_lent = false;
        for _ in 0..ATTEMPTS {
            self.cells
                .find_or_make(reading, demand, owner, now)
                .map_err(|NoRoom| Refusal::Capacity { demand: 0 })?;
            // Nothing is reclaimed meanwhile.
            self.cells.with(demand.key, |cell| {
                if let (Count::Ledger(ledger), Layout::Leased { .. }) = (cell.count(), cell.layout()) {
                    ledger.lend(amount.0, now);
                    is_lent = true;
                }
            });
            if is_lent {
                return Ok(());
            }
        }
        Err(Refusal::Capacity { demand: 0 })
    }

    /// Takes units that are free out of the share of this node, at most this many. Returns their number.
    pub(crate) fn take_back(&self, key: CountKey, most: Micros, now: Now) -> Micros {
        let mut taken = 0;
        if !self.is_inherited() {
            self.cells.with(key, |cell| {
                if let (Count::Ledger(ledger), Layout::Leased { .. }) = (cell.count(), cell.layout()) {
                    taken = ledger.take_back(most.0, now);
                }
            });
        }
        Micros(taken)
    }

    /// Notes that this node has no share of a count any more: all that it was lent was taken back. False while that is not so.
    pub(crate) fn end_share(&self, key: CountKey, now: Now) -> bool {
        let mut has_ended = true;
        if !self.is_inherited() {
            self.cells.with(key, |cell| {
                if let (Count::Ledger(ledger), Layout::Leased { .. }) = (cell.count(), cell.layout()) {
                    has_ended = ledger.end_share(now);
                }
            });
        }
        has_ended
    }

    /// Returns the units of a leased count that are free here, and the admitted ones with the microseconds until they expire.
    pub(crate) fn leased(&self, key: CountKey, now: Now) -> Option<LeasedUnits> {
        let mut found = None;
        self.cells.with(key, |cell| {
            if let (Count::Ledger(ledger), Layout::Leased { .. }) = (cell.count(), cell.layout()) {
                found = Some(LeasedUnits {
                    free: Micros(ledger.look(0, ledger.base, now).free),
                    used: ledger.times_left(now),
                });
            }
        });
        found
    }
}
