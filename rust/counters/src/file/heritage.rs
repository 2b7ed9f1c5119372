//! The shared counts that a process leaves in its file, for the process that opens the file next.

use super::recover::{Restart, Serves, Used};
use crate::cell::{Cell, Count, Layout};
use crate::cells::key_of_cell;
use crate::{CountKey, Micros};

/// A process that has a file open, and shares counts with other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opener {
    /// Its name, which no other process had.
    pub name: u128,
    /// The number of its last call of the store that can change a share. By it a copy of a file is told from the file.
    pub said: u64,
}

/// The units of shared counts that the process before this one has left in its file.
///
/// Complete: it has every unit that the process admitted and that may still be in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heritage {
    /// That process.
    pub opener: Opener,
    /// The counts of which it had shares, with units in use.
    pub counts: Vec<InheritedCount>,
}

/// The units of one count that are in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InheritedCount {
    /// The count.
    pub key: CountKey,
    /// Length of its window in microseconds.
    pub window_us: u64,
    /// The times at which units expire, in microseconds of the counters' clock, and their number.
    pub units: Vec<(u64, Micros)>,
}

impl Heritage {
    /// Reads what a process has left in these blocks, whose cells are to be emptied after that.
    pub(super) fn of(opener: Opener, used: &[Used], restart: Restart) -> Self {
        let cells = used.iter().flat_map(Used::cells);
        let serving = cells.filter(|(_, serves)| matches!(serves, Serves::Count | Serves::Closed));
        let counts = serving.filter_map(|(cell, _)| InheritedCount::of(cell, restart));
        Self {
            opener,
            counts: counts.collect(),
        }
    }
}

impl InheritedCount {
    /// The units in use of a cell, if other nodes share its count.
    fn of(cell: Cell<'_>, restart: Restart) -> Option<Self> {
        let (Count::Ledger(ledger), Layout::Leased { window_us }) = (cell.count(), cell.layout()) else {
            return None;
        };
        ledger.mend();
        let look_us = restart.now.look_us();
        let left = ledger.times_left(restart.now).into_iter();
        let units: Vec<_> = left
            .map(|(left_us, amount)| (look_us.saturating_add(left_us), amount))
            .collect();
        (!units.is_empty()).then(|| Self {
            key: key_of_cell(cell),
            window_us,
            units,
        })
    }
}
