//! The map from counts to cells: looked up without locks, changed under one lock.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use siphasher::sip::SipHasher13;

use crate::atomic::{AtomicU64, Ordering, agree};
use crate::blocks::{Block, Blocks, Heap, NoBlock, Source, cells_per_block};
use crate::cell::{Cell, Count, Layout, check, check_of, successor};
use crate::epoch::{EndedEpoch, Epochs, Reading};
use crate::index::{CellRef, Index, MAX_COUNTERS, high, low};
use crate::owners::Owners;
use crate::spaces::{Hand, Spaces};
use crate::{CountKey, Demand, Micros, Now, Sharing};

mod room;

/// All cells of a store.
#[derive(Debug)]
pub(crate) struct Cells {
    pub(crate) index: Index,
    pub(crate) blocks: Blocks,
    writer: Mutex<Writer>,
    capacity: usize,
    per_grant: usize,
    owner_key: [u8; 16],
    growth: Growth,
    closed: AtomicBool,
    epochs: Epochs,
}

/// A cell found for a count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located<'c> {
    /// The cell.
    pub(crate) cell: Cell<'c>,
    /// The generation of the cell when it was found: while it is the same, the cell serves this count.
    pub(crate) generation: u64,
}

/// A new count would pass a cap.
#[derive(Debug)]
pub(crate) struct NoRoom;

/// The numbers of cells and blocks that were waiting for a flush at one moment, the oldest ones of their queues.
#[derive(Debug)]
pub(crate) struct Unflushed {
    /// Cells whose counts have moved.
    moved: usize,
    /// Blocks that were taken back.
    blocks: usize,
}

/// Times that there was no block for a new counter.
#[derive(Debug, Default)]
struct Growth {
    failures: AtomicU64,
    last: Mutex<String>,
}

/// The state that only the holder of the writer lock may use.
#[derive(Debug)]
pub(crate) struct Writer {
    source: Box<dyn Source>,
    pub(crate) spaces: Spaces,
    /// Blocks without counters that calls of an ended epoch may be reading.
    left: Vec<u32>,
    /// The ended epoch whose calls may read the blocks of `left`, until all of them are over.
    ended: Option<EndedEpoch>,
    owners: Owners,
    pub(crate) live: usize,
    hand: Hand,
    /// The latest boot time at which a cell was reclaimed. The units of that cell had expired by then, but not for a
    /// thread whose clock is behind: so a new cell admits no call before this time.
    pub(crate) floor_us: u64,
    /// Cells whose counts have moved. They wait here until the new cells are on disk; `None` for counters in memory.
    moved: Option<VecDeque<CellRef>>,
}

/// Blocks to take back during one hold of the lock: each is zeroed, which takes tens of microseconds.
const TAKEN_BACK_AT_ONCE: usize = 8;

impl Writer {
    /// True if no call may be reading blocks that are out of use.
    fn is_settled(&mut self) -> bool {
        if self.ended.as_mut().is_some_and(|ended| !ended.is_over()) {
            return false;
        }
        self.ended = None;
        true
    }
}

impl Cells {
    /// No cells yet, in memory.
    pub(crate) fn new(capacity: usize, per_grant: usize, hash_key: &[u8; 16]) -> Self {
        Self::with_source(Box::new(Heap::default()), false, capacity, per_grant, hash_key)
    }

    /// No cells yet, in blocks of this source.
    pub(crate) fn with_source(
        source: Box<dyn Source>,
        durable: bool,
        capacity: usize,
        per_grant: usize,
        hash_key: &[u8; 16],
    ) -> Self {
        Self {
            index: Index::new(),
            blocks: Blocks::new(),
            writer: Mutex::new(Writer {
                source,
                spaces: Spaces::default(),
                left: Vec::new(),
                ended: None,
                owners: Owners::default(),
                live: 0,
                hand: Hand::default(),
                floor_us: 0,
                moved: durable.then(VecDeque::new),
            }),
            capacity: capacity.min(MAX_COUNTERS),
            per_grant,
            owner_key: *hash_key,
            growth: Growth::default(),
            closed: AtomicBool::new(false),
            epochs: Epochs::new(),
        }
    }

    /// Stops all further takes. When it returns, every later admission sees that the store is closed: see
    /// [`Self::is_closed`].
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        drop(self.lock());
    }

    /// True if units that were just taken may be in memory alone. `SeqCst`, and read after the units were taken and
    /// written down: a thread that reads `false` did so before the file was closed, and so the file has its units.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Returns the number of times that there was no block for a new counter, and the reason of the latest failure.
    pub(crate) fn growth_failures(&self) -> (u64, String) {
        let last = self
            .growth
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        // Relaxed: a count that publishes nothing else.
        (self.growth.failures.load(Ordering::Relaxed), last)
    }

    /// Returns the numbers of cells and blocks that wait for a flush now, for [`Self::flushed`] once the flush is done.
    pub(crate) fn unflushed(&self) -> Unflushed {
        let writer = self.lock();
        Unflushed {
            moved: writer.moved.as_ref().map_or(0, VecDeque::len),
            blocks: writer.source.waiting(),
        }
    }

    /// Lets the cells and blocks that waited for a flush be used again.
    pub(crate) fn flushed(&self, unflushed: &Unflushed) {
        for _ in 0..unflushed.moved {
            // One at a time, so that calls with new counts need not wait for all of it.
            let mut writer = self.lock();
            let Some(moved) = &mut writer.moved else { break };
            let Some(at) = moved.pop_front() else { break };
            self.release(&mut writer, at);
        }
        for _ in 0..unflushed.blocks {
            self.lock().source.flushed();
        }
    }

    /// Lets a call read cells that it finds.
    #[inline]
    pub(crate) fn read(&self) -> Reading {
        self.epochs.read()
    }

    /// Takes up to `most` blocks without counters out of use, and takes back about as many of those that were taken out of
    /// use before. Returns true if some were taken out of use: a later call takes them back. Does nothing while a call may be
    /// reading blocks that are out of use.
    pub(crate) fn turn(&self, most: usize) -> bool {
        for _ in (0..=most).step_by(TAKEN_BACK_AT_ONCE) {
            let mut writer = self.lock();
            // A closed file is left as it is.
            if self.is_closed() || !writer.is_settled() {
                return false;
            }
            let kept = writer.left.len().saturating_sub(TAKEN_BACK_AT_ONCE);
            let back = writer.left.split_off(kept);
            for number in &back {
                if let Some(block) = self.blocks.get(*number) {
                    writer.source.take_back(*number, block);
                }
            }
            if writer.left.is_empty() {
                // Where nobody flushes, a block is free once: limits whose counters come and go keep theirs.
                if writer.source.waiting() > 0 {
                    return false;
                }
                writer.left = writer.spaces.take_empty(most);
                if writer.left.is_empty() {
                    return false;
                }
                writer.ended = Some(self.epochs.turn());
                return true;
            }
            // In pieces, so that calls with new counts need not wait for all of it.
            drop(writer);
            thread::yield_now();
        }
        false
    }

    /// Blocks that serve a layout, or that calls of an ended epoch may be reading.
    pub(crate) fn blocks_in_use(&self) -> usize {
        let writer = self.lock();
        writer.spaces.blocks() + writer.left.len()
    }

    /// Counters alive.
    pub(crate) fn len(&self) -> usize {
        self.lock().live
    }

    /// Counters that may be alive.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Calls `use_it` with the cell of a count, if the count has one, while no cell can change hands.
    pub(crate) fn with(&self, key: CountKey, use_it: impl FnOnce(Cell<'_>)) {
        let _writer = self.lock();
        if let Some((_, located)) = self.lookup(key) {
            use_it(located.cell);
        }
    }

    /// Asks the processor for the memory of these counts: see [`crate::Counters::prefetch`].
    ///
    /// Returns no cell: a call may use the cells alone that it finds while it has its share of the epoch (`epoch`).
    #[inline]
    pub(crate) fn prefetch(&self, keys: &[CountKey]) {
        for key in keys {
            self.index.prefetch(*key);
        }
        for key in keys {
            if let Some(cell) = self.index.find(*key, |at| self.blocks.cell(at)) {
                cell.prefetch();
            }
        }
    }

    /// Finds the cell of a count, if it has one that fits the demand's shape.
    pub(crate) fn find_fit<'c>(
        &'c self,
        _reading: &'c Reading,
        demand: &Demand,
        now: Now,
    ) -> Option<Located<'c>> {
        let (_, located) = self.lookup(demand.key)?;
        if located.cell.fits(&demand.shape) {
            return Some(located);
        }
        let mut writer = self.lock();
        let (at, located) = self.lookup(demand.key)?;
        self.refit(&mut writer, demand, at, located, now).ok()
    }

    /// Finds the cell of a count, if it has one that fits the demand's shape as it is.
    #[expect(clippy::inline_always, reason = "as for `find_or_make`")]
    #[inline(always)]
    pub(crate) fn find_as_it_is<'c>(&'c self, _reading: &'c Reading, demand: &Demand) -> Option<Located<'c>> {
        let (_, located) = self.lookup(demand.key)?;
        located.cell.fits(&demand.shape).then_some(located)
    }

    /// Finds the cell of a count that fits the demand's shape; makes a new one, charged to `owner`, if the count has
    /// none.
    #[expect(
        clippy::inline_always,
        reason = "what comes back through memory is waited for: a third of the time of a refusal"
    )]
    #[inline(always)]
    pub(crate) fn find_or_make<'c>(
        &'c self,
        _reading: &'c Reading,
        demand: &Demand,
        owner: &str,
        now: Now,
    ) -> Result<Located<'c>, NoRoom> {
        match self.lookup(demand.key) {
            Some((_, located)) if located.cell.fits(&demand.shape) => Ok(located),
            _ => self.make(demand, owner, now),
        }
    }

    /// Returns the number of counters that the grant with this hash has made and that are alive.
    #[cfg(not(loom))]
    pub(crate) fn count_of(&self, owner: u64) -> usize {
        self.lock().owners.count(owner)
    }

    /// Returns the place of a count's cell, if the count has one.
    #[cfg(not(loom))]
    pub(crate) fn place_of(&self, key: CountKey) -> Option<CellRef> {
        self.lookup(key).map(|(at, _)| at)
    }

    #[expect(clippy::inline_always, reason = "as for `find_or_make`")]
    #[inline(always)]
    fn lookup(&self, key: CountKey) -> Option<(CellRef, Located<'_>)> {
        let found = self.index.find(key, |at| {
            let cell = self.blocks.cell(at)?;
            // Acquire: pairs with `assign`. The identity is read after the generation, so a cell that changes hands in
            // between shows either another identity now or another generation later.
            let generation = cell.generation().load(Ordering::Acquire);
            cell.prefetch_slots();
            holds(cell, key).then_some((at, Located { cell, generation }))
        });
        found.filter(|(_, located)| located.generation.is_multiple_of(2))
    }

    #[cold]
    fn make(&self, demand: &Demand, owner: &str, now: Now) -> Result<Located<'_>, NoRoom> {
        let mut writer = self.lock();
        if let Some((at, located)) = self.lookup(demand.key) {
            return self.refit(&mut writer, demand, at, located, now);
        }
        let owner = self.owner_hash(owner);
        self.make_room(&mut writer, owner, 0, now)?;
        let (at, cell) = self.allocate(&mut writer, Layout::of(&demand.shape))?;
        let generation = assign(cell, demand.key, owner);
        self.enter(&mut writer, demand.key, owner, at);
        Ok(Located { cell, generation })
    }

    /// Notes that a cell serves a count.
    pub(crate) fn enter(&self, writer: &mut Writer, key: CountKey, owner: u64, at: CellRef) {
        self.index.insert(key, at, writer.live, |at| self.key_of(at));
        writer.live += 1;
        writer.owners.insert(owner, at);
    }

    /// Notes that a cell no longer serves a count.
    pub(crate) fn leave(&self, writer: &mut Writer, key: CountKey, at: CellRef) {
        self.index.remove(key, at, |at| self.key_of(at));
        writer.live -= 1;
        let Some(cell) = self.blocks.cell(at) else { return };
        let owner = cell.owner().load(Ordering::Relaxed); // changed by the holder of the lock alone
        writer.owners.remove(owner, at);
    }

    /// Moves a count to another cell if its shape needs one, after a reload that changed `max`; the units taken so far
    /// move with it.
    fn refit<'c>(
        &'c self,
        writer: &mut Writer,
        demand: &Demand,
        at: CellRef,
        located: Located<'c>,
        now: Now,
    ) -> Result<Located<'c>, NoRoom> {
        let old = located.cell;
        if matches!(old.layout(), Layout::Leased { .. }) != (demand.shape.sharing == Sharing::Leased) {
            // One identity stands for one kind: what is lent never becomes what is counted here alone.
            return Err(NoRoom);
        }
        let Count::Slots(slots) = old.count() else {
            return Ok(located);
        };
        if old.layout().fits(&demand.shape) {
            return Ok(located);
        }
        // From here on no thread's hold on the old cell counts: threads see the generation and use the new cell. A hold
        // that was confirmed before is taken along below. SeqCst: the agreement of `free`.
        old.generation().fetch_add(1, Ordering::SeqCst);
        agree();
        // Expired units are not moved, and a thread whose clock is behind must not find room for them.
        writer.floor_us = writer.floor_us.max(now.look_us());
        let mut taken: Vec<u64> = slots.leave(now.look_us()).collect();
        // From the oldest on: a new count knows no other order.
        taken.sort_unstable();
        let layout = match Layout::of(&demand.shape) {
            // More is taken than the new `max`: only a ledger can hold that.
            Layout::Slots { slots, window_us } if taken.len() > slots => Layout::Sliding { window_us },
            layout => layout,
        };
        let Ok((new_at, new)) = self.allocate(writer, layout) else {
            slots.come_back();
            reopen(old);
            return Err(NoRoom);
        };
        match new.count() {
            Count::Slots(slots) => slots.fill(taken.into_iter()),
            Count::Ledger(ledger) => {
                for stamp_us in taken {
                    ledger.take_over(Micros::ONE.0, ledger.quantum_of(now, stamp_us));
                }
            }
        }
        let owner = old.owner().load(Ordering::Relaxed); // changed by the holder of the lock alone
        self.leave(writer, demand.key, at);
        let generation = assign(new, demand.key, owner);
        self.enter(writer, demand.key, owner, new_at);
        match &mut writer.moved {
            // Until the new cell is on disk the old one stays as it is: if the power fails, one of the two is there.
            Some(moved) => moved.push_back(at),
            None => self.release(writer, at),
        }
        Ok(Located {
            cell: new,
            generation,
        })
    }

    /// Empties a closed cell and lets it be used again.
    pub(crate) fn release(&self, writer: &mut Writer, at: CellRef) {
        let Some(cell) = self.blocks.cell(at) else { return };
        match cell.count() {
            Count::Slots(slots) => slots.empty(writer.floor_us),
            Count::Ledger(ledger) => ledger.empty(),
        }
        writer.spaces.give_back(at);
    }

    pub(crate) fn allocate(
        &self,
        writer: &mut Writer,
        layout: Layout,
    ) -> Result<(CellRef, Cell<'_>), NoRoom> {
        let at = match writer.spaces.take(layout) {
            Some(at) => at,
            None => self.grow(writer, layout)?,
        };
        let floor_period = writer.spaces.floor_period(layout);
        let cell = self.blocks.cell(at).ok_or(NoRoom)?;
        match (layout, cell.count()) {
            (Layout::Calendar(_), Count::Ledger(ledger)) => ledger.raise_floor(floor_period),
            (_, Count::Ledger(ledger)) => ledger.raise_floor(writer.floor_us),
            (_, Count::Slots(slots)) => {
                if writer.floor_us > 0 {
                    slots.raise_floor(writer.floor_us);
                }
                slots.forget_full();
            }
        }
        Ok((at, cell))
    }

    /// Takes a cell from a new block.
    fn grow(&self, writer: &mut Writer, layout: Layout) -> Result<CellRef, NoRoom> {
        let (number, words) = writer.source.next_block(layout).map_err(|NoBlock { reason }| {
            // Relaxed: a count that publishes nothing else.
            self.growth.failures.fetch_add(1, Ordering::Relaxed);
            *self.growth.last.lock().unwrap_or_else(PoisonError::into_inner) = reason;
            NoRoom
        })?;
        match self.blocks.get(number) {
            // One that was taken back, so no call can be reading it.
            Some(block) => block.kind().set(layout),
            None => {
                if !self.blocks.put(number, Block::new(words, layout)) {
                    return Err(NoRoom);
                }
            }
        }
        if let Layout::Leased { .. } = layout {
            // No call can be reading the block yet.
            let cells = (0..cells_per_block(layout))
                .filter_map(|cell| self.blocks.cell(CellRef { block: number, cell }));
            for cell in cells {
                if let Count::Ledger(ledger) = cell.count() {
                    ledger.close_gate();
                }
            }
        }
        writer.spaces.add(number, layout);
        writer.spaces.take(layout).ok_or(NoRoom)
    }

    pub(crate) fn key_of(&self, at: CellRef) -> CountKey {
        self.blocks.cell(at).map_or(CountKey(0), key_of_cell)
    }

    pub(crate) fn owner_hash(&self, owner: &str) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.owner_key);
        hasher.write(owner.as_bytes());
        hasher.finish()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Writer> {
        // A panic while it was held leaves at worst a cell that is never used again.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holds(cell: Cell<'_>, key: CountKey) -> bool {
    let (low_half, high_half) = cell.key();
    // Relaxed: ordered by the generation, see `lookup`.
    low_half.load(Ordering::Relaxed) == low(key) && high_half.load(Ordering::Relaxed) == high(key)
}

/// The identity of the count that a cell serves, or served last.
pub(crate) fn key_of_cell(cell: Cell<'_>) -> CountKey {
    let (low, high) = cell.key();
    // Relaxed: written by the holder of the lock, who is the one to ask.
    CountKey(u128::from(high.load(Ordering::Relaxed)) << 64 | u128::from(low.load(Ordering::Relaxed)))
}

/// Opens a closed or fresh cell for a count; gives its generation, even and new.
pub(crate) fn assign(cell: Cell<'_>, key: CountKey, owner: u64) -> u64 {
    cell.key().0.store(low(key), Ordering::Relaxed);
    cell.key().1.store(high(key), Ordering::Relaxed);
    cell.owner().store(owner, Ordering::Relaxed);
    let before = cell.generation().load(Ordering::Relaxed); // changed by the holder of the lock alone
    let generation = successor(before, check(key, owner, cell.layout()));
    // Release: whoever reads the generation sees the identity.
    cell.generation().store(generation, Ordering::Release);
    generation
}

/// Opens a cell again for the count that it was closed to.
pub(crate) fn reopen(cell: Cell<'_>) {
    let closed = cell.generation().load(Ordering::Relaxed); // as in `assign`
    cell.generation()
        .store(successor(closed, check_of(closed)), Ordering::SeqCst);
}

/// True if no units are taken or held.
pub(crate) fn is_idle(cell: Cell<'_>, now: Now) -> bool {
    match cell.count() {
        Count::Slots(slots) => slots.is_idle(now.look_us()),
        Count::Ledger(ledger) => ledger.is_idle(now),
    }
}
