//! Recovers the counters from the cells of a file, whatever moment the last process ended at.
//!
//! After a kill every store of every thread is in the file, in program order, so a call is found before or after any of
//! its steps. Every admission is written down by then: a slot is stamped before the call is answered, and so is an
//! entry of a ledger. Everything else (gates, hints, lists, owners, the index) is computed anew. After a power failure
//! the pages of the file are of different moments, none before the last flush. If two pages hold units of one count,
//! the count is then the union of both.

use hashbrown::HashSet;

use super::block;
use super::header::Header;
use crate::atomic::{AtomicU64, Ordering};
use crate::blocks::Block;
use crate::calendar::period_index;
use crate::cell::{Cell, Count, Layout, check, check_of, is_fresh};
use crate::cells::{Cells, Writer, assign, is_idle, key_of_cell, reopen};
use crate::index::CellRef;
use crate::ledger::Ledger;
use crate::{Micros, Now, Period};

/// The most that a stamp may lie ahead of the file's clock. Threads read the clock before they take, so no stamp should
/// be ahead. The tolerance is for the second after the last flush, if the wall clock that bridges a reboot was wrong.
const AHEAD_US: u64 = 3_600_000_000;
/// No calendar reaches the year 10000.
const LAST_UNIX_US: u64 = 253_402_300_800_000_000;

/// The time at which a file is taken over, and whether the power failed before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Restart {
    /// The time on the file's clock.
    pub(crate) now: Now,
    /// True if the file was not closed and this may be another boot: its pages may be of different moments.
    pub(crate) power_failed: bool,
}

/// A block that is in use.
pub(crate) struct Used {
    /// The block's number.
    pub(crate) number: u32,
    /// Its cells.
    pub(crate) block: Block,
}

impl Used {
    /// Every cell, with the state of its count.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (Cell<'_>, Serves)> {
        cells_of(&self.block)
    }
}

fn cells_of(block: &Block) -> impl Iterator<Item = (Cell<'_>, Serves)> {
    all_cells(block).map(|cell| (cell, serves(cell)))
}

fn all_cells(block: &Block) -> impl Iterator<Item = Cell<'_>> {
    (0..block.kind().cells()).filter_map(|index| block.cell(index))
}

/// The count that a cell serves, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serves {
    /// No count: the cell was never used, or it was closed and is being given to another count.
    Nobody,
    /// A count.
    Count,
    /// The count that the cell served last, until it was closed.
    Closed,
    /// A count whose identity does not match its check.
    Damaged,
}

/// Reads whether a cell serves a count.
fn serves(cell: Cell<'_>) -> Serves {
    let generation = cell.generation().load(Ordering::SeqCst);
    if is_fresh(generation) {
        return Serves::Nobody;
    }
    let owner = cell.owner().load(Ordering::SeqCst);
    let whole = check(key_of_cell(cell), owner, cell.layout()) == check_of(generation);
    match (generation.is_multiple_of(2), whole) {
        (true, true) => Serves::Count,
        (true, false) => Serves::Damaged,
        (false, true) => Serves::Closed,
        // An identity is written while the cell is closed, after what it held has expired.
        (false, false) => Serves::Nobody,
    }
}

/// Returns the fault of a cell that serves a count, if there is one.
pub(crate) fn fault_of(cell: Cell<'_>, serves: Serves, now: Now) -> Option<&'static str> {
    let ceiling_us = now.look_us().saturating_add(AHEAD_US);
    if serves == Serves::Damaged {
        return Some("its identity does not match its check");
    }
    let plausible = match cell.count() {
        Count::Slots(slots) => serves == Serves::Nobody || slots.are_before(ceiling_us),
        Count::Ledger(ledger) => match cell.layout() {
            Layout::Calendar(period) => ledger.is_before(period_index(period, LAST_UNIX_US)),
            _ => serves == Serves::Nobody || ledger.is_before(ceiling_us),
        },
    };
    if !plausible {
        return Some("it holds a stamp that lies far ahead of the file's clock");
    }
    match cell.count() {
        Count::Ledger(ledger) if serves != Serves::Nobody && ledger.written_down().is_none() => {
            Some("its amounts are more than any limit allows")
        }
        _ => None,
    }
}

/// Repairs the cells of a block after an interruption; returns the number of cells that hold units.
pub(crate) fn mend(used: &Used, restart: Restart) -> usize {
    let now = restart.now;
    let mut live = 0;
    for (cell, serves) in used.cells() {
        match (serves, cell.count()) {
            (Serves::Nobody | Serves::Damaged, Count::Slots(slots)) => {
                // Units that an interrupted call or move left here belong to no count.
                if !slots.is_idle(now.look_us()) {
                    slots.empty(now.look_us());
                }
            }
            (Serves::Nobody | Serves::Damaged, Count::Ledger(ledger)) => ledger.empty(),
            (_, Count::Slots(slots)) => slots.mend(now.look_us()),
            (_, Count::Ledger(ledger)) => mend_ledger(ledger, restart),
        }
        if matches!(serves, Serves::Count | Serves::Closed) && !is_idle(cell, now) {
            live += 1;
        }
    }
    live
}

/// Repairs a ledger after an interruption.
pub(crate) fn mend_ledger(ledger: Ledger<'_>, restart: Restart) {
    if ledger.base > 0 {
        // Of a share that the last process had: the store counts it as used.
        ledger.empty();
        return;
    }
    if restart.power_failed {
        ledger.raise_last(restart.now, AHEAD_US);
    }
    ledger.mend();
}

/// Records in the header the latest period that the calendars of a block have reached. Returns false for a block of no
/// calendars. Must be on disk before the block is zeroed, or a clock that is set back could open that period again.
pub(crate) fn raise_reached(block: &Block, header: &Header) -> bool {
    let Layout::Calendar(period) = block.kind().layout() else {
        return false;
    };
    header.raise_reached(period, reached(block));
    true
}

/// Zeroes a block that serves no count any more.
pub(crate) fn zero(block: &Block) {
    block::zero(zeroing(block));
}

/// Returns the words of a block in the order in which they are zeroed.
fn zeroing(block: &Block) -> impl Iterator<Item = &AtomicU64> {
    // Generations first: a cell with some words zeroed and its generation still in place would count as damaged.
    let generations = all_cells(block).map(Cell::generation);
    generations.chain(block::clearing(block.words()))
}

fn reached(block: &Block) -> u64 {
    let clock = |cell: Cell<'_>| match cell.count() {
        Count::Ledger(ledger) => ledger.clock.load(Ordering::SeqCst),
        Count::Slots(_) => 0,
    };
    all_cells(block).map(clock).max().unwrap_or(0)
}

impl Cells {
    /// Takes over the cells of these blocks; `live` of the cells hold units.
    pub(crate) fn adopt(&self, blocks: Vec<Used>, header: &Header, live: usize, restart: Restart) {
        let Restart { now, power_failed } = restart;
        let mut writer = self.lock();
        let writer = &mut *writer;
        // No thread's clock is behind this one's start.
        writer.floor_us = now.look_us();
        for period in Period::ALL {
            writer
                .spaces
                .raise_floor_period(Layout::Calendar(period), header.reached(period));
        }
        self.index.reserve(live);
        let mut closed = Vec::new();
        let mut doubles = Vec::new();
        for used in blocks {
            self.adopt_block(writer, used, now, &mut closed, &mut doubles);
        }
        let mut reopened = HashSet::new();
        for at in closed {
            let Some(cell) = self.blocks.cell(at) else {
                continue;
            };
            let key = key_of_cell(cell);
            if self.place_of(key).is_none() {
                reopen(cell);
                reopened.insert(key);
                self.enter(writer, key, cell.owner().load(Ordering::Relaxed), at);
            } else if power_failed || reopened.contains(&key) {
                // A count that moved more than once has a cell for each move, and no record tells which is the last.
                doubles.push(at);
            } else {
                // The count moved, and its new cell has everything.
                self.release(writer, at);
            }
        }
        for at in doubles {
            self.join(writer, at, now);
        }
    }

    fn adopt_block(
        &self,
        writer: &mut Writer,
        used: Used,
        now: Now,
        closed: &mut Vec<CellRef>,
        doubles: &mut Vec<CellRef>,
    ) {
        let layout = used.block.kind().layout();
        if matches!(layout, Layout::Calendar(_)) {
            writer.spaces.raise_floor_period(layout, reached(&used.block));
        }
        let (number, cells) = (used.number, used.block.kind().cells());
        if !self.blocks.put(number, used.block) {
            return;
        }
        writer.spaces.add(number, layout);
        for index in 0..cells {
            let at = CellRef {
                block: number,
                cell: index,
            };
            let Some(cell) = self.blocks.cell(at) else {
                continue;
            };
            let generation = cell.generation().load(Ordering::Relaxed);
            if is_fresh(generation) {
                continue;
            }
            let serves = serves(cell);
            if !matches!(serves, Serves::Count | Serves::Closed) || is_idle(cell, now) {
                cell.generation().store(generation | 1, Ordering::SeqCst);
                continue;
            }
            writer.spaces.keep(at);
            let key = key_of_cell(cell);
            if serves == Serves::Closed {
                closed.push(at);
            } else if self.place_of(key).is_some() {
                doubles.push(at);
            } else {
                self.enter(writer, key, cell.owner().load(Ordering::Relaxed), at);
            }
        }
    }

    /// Makes one count of two cells that serve it: after a power failure a count that was moving is found in both.
    pub(super) fn join(&self, writer: &mut Writer, at: CellRef, now: Now) {
        let Some(cell) = self.blocks.cell(at) else { return };
        let key = key_of_cell(cell);
        let Some((other_at, other)) = self
            .place_of(key)
            .and_then(|at| Some((at, self.blocks.cell(at)?)))
        else {
            return;
        };
        let owner = other.owner().load(Ordering::Relaxed);
        // The cell that keeps the count, and the cell that is freed.
        let (into_at, gone_at) = match (other.count(), cell.count()) {
            (Count::Ledger(into), Count::Ledger(from)) => {
                for (quantum, amount) in from.live_entries(now) {
                    into.take_over(amount, quantum);
                }
                (other_at, vec![at])
            }
            (Count::Ledger(into), Count::Slots(from)) => {
                for stamp_us in from.live_stamps(now.look_us()) {
                    into.take_over(Micros::ONE.0, into.quantum_of(now, stamp_us));
                }
                (other_at, vec![at])
            }
            (Count::Slots(from), Count::Ledger(into)) => {
                for stamp_us in from.live_stamps(now.look_us()) {
                    into.take_over(Micros::ONE.0, into.quantum_of(now, stamp_us));
                }
                (at, vec![other_at])
            }
            (Count::Slots(left), Count::Slots(right)) => {
                let stamps = union(
                    left.live_stamps(now.look_us()).collect(),
                    right.live_stamps(now.look_us()).collect(),
                );
                if stamps.len() <= left.stamps.len() {
                    left.empty(now.look_us());
                    left.fill(stamps.into_iter());
                    (other_at, vec![at])
                } else {
                    let layout = Layout::Sliding {
                        window_us: left.window_us,
                    };
                    let Ok((ledger_at, ledger)) = self.allocate(writer, layout) else {
                        // There is no room for a ledger: one of the two cells keeps as many of the latest stamps as
                        // fit.
                        right.fill(stamps.into_iter().rev());
                        return self.keep(writer, key, owner, at, &[other_at]);
                    };
                    if let Count::Ledger(into) = ledger.count() {
                        for stamp_us in stamps {
                            into.take_over(Micros::ONE.0, into.quantum_of(now, stamp_us));
                        }
                    }
                    (ledger_at, vec![other_at, at])
                }
            }
        };
        self.keep(writer, key, owner, into_at, &gone_at);
    }

    /// Leaves a count in the cell `into`, and frees the cells `gone`, which held the count as well.
    fn keep(&self, writer: &mut Writer, key: crate::CountKey, owner: u64, into: CellRef, gone: &[CellRef]) {
        if let Some(at) = self.place_of(key)
            && at != into
        {
            self.leave(writer, key, at);
            if let Some(cell) = self.blocks.cell(into) {
                assign(cell, key, owner);
                self.enter(writer, key, owner, into);
            }
        }
        for at in gone {
            if let Some(cell) = self.blocks.cell(*at) {
                let generation = cell.generation().load(Ordering::Relaxed);
                cell.generation().store(generation | 1, Ordering::SeqCst);
                self.release(writer, *at);
            }
        }
    }
}

/// The union of two lists of one count's stamps, one of which began as a copy of the other: every stamp as often as in
/// the list that has it more often.
fn union(mut left: Vec<u64>, mut right: Vec<u64>) -> Vec<u64> {
    left.sort_unstable();
    right.sort_unstable();
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    let mut all = Vec::new();
    loop {
        match (left.peek().copied(), right.peek().copied()) {
            (None, None) => return all,
            (Some(a), Some(b)) if a == b => {
                all.push(a);
                left.next();
                right.next();
            }
            (Some(a), b) if b.is_none_or(|b| a < b) => all.extend(left.next()),
            _ => all.extend(right.next()),
        }
    }
}

#[cfg(test)]
mod tests {
    use callgate_mapped::Words;

    use super::block::BadLine;
    use super::*;
    use crate::CountKey;
    use crate::blocks::BLOCK_WORDS;

    #[test]
    fn a_block_that_is_given_up_is_whole_at_every_step() {
        let layouts = [
            Layout::Slots {
                window_us: 60_000_000,
                slots: 5,
            },
            Layout::Sliding {
                window_us: 60_000_000,
            },
            Layout::Calendar(Period::Day),
        ];
        let now = Now::from_unix_us(3_600_000_000);
        for layout in layouts {
            let words = Words::zeroed(BLOCK_WORDS);
            block::publish(&words, layout);
            let used = Used {
                number: 0,
                block: Block::new(words.clone(), layout),
            };
            for (index, (cell, _)) in (0..).zip(used.cells()) {
                assign(cell, CountKey((index + 7) << 64 | (index + 5)), 9);
                match cell.count() {
                    Count::Slots(slots) => slots.fill([7].into_iter()),
                    Count::Ledger(ledger) => ledger.take_over(Micros::ONE.0, ledger.quantum_of(now, 7)),
                }
            }
            block::seal(&words);
            let taken = zeroing(&used.block).filter(|word| word.load(Ordering::SeqCst) != 0);
            for word in taken {
                word.store(0, Ordering::SeqCst);
                match block::layout_of(&words) {
                    Ok(None) => assert!(used.cells().all(|(_, serves)| serves == Serves::Nobody)),
                    Ok(Some(found)) => {
                        assert_eq!(found, layout);
                        let faults = used
                            .cells()
                            .filter_map(|(cell, serves)| fault_of(cell, serves, now));
                        assert_eq!(faults.collect::<Vec<_>>(), Vec::<&str>::new());
                    }
                    Err(BadLine) => panic!("the line of the block is bad"),
                }
            }
            assert!(words.iter().all(|word| word.load(Ordering::SeqCst) == 0));
        }
    }

    #[test]
    fn a_union_counts_equal_stamps_as_often_as_the_longer_run() {
        assert_eq!(union(vec![5, 1, 5], vec![5, 7]), [1, 5, 5, 7]);
        assert_eq!(union(vec![], vec![2, 1]), [1, 2]);
        assert_eq!(union(vec![3], vec![]), [3]);
    }
}
