//! Which cell holds which count: found without locks, made and reclaimed under one.

use std::hash::Hasher;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use indexmap::IndexSet;
use siphasher::sip::SipHasher13;

use super::atomic::{Ordering, agree};
use super::index::{CellRef, Index, MAX_SLABS, high, low};
use super::slab::{Cell, Count, Layout, MAX_CELLS, Slab};
use super::{CountKey, Demand, Micros};
use crate::Now;

/// All cells of a store.
#[derive(Debug)]
pub(crate) struct Cells {
    index: Index,
    slabs: Box<[OnceLock<Box<Slab>>]>,
    writer: Mutex<Writer>,
    capacity: usize,
    per_grant: usize,
    owner_key: [u8; 16],
}

/// A cell found for a count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located<'c> {
    /// The cell.
    pub(crate) cell: Cell<'c>,
    /// Its generation when it was found: as long as it is the same, the cell is this count's.
    pub(crate) generation: u64,
}

/// A new count would pass a cap.
#[derive(Debug)]
pub(crate) struct NoRoom;

/// What only the holder of the writer lock may touch.
#[derive(Debug, Default)]
struct Writer {
    slabs: HashMap<Layout, u32>,
    spaces: Vec<Space>,
    owners: HashMap<u64, Owned>,
    live: usize,
    hand: Hand,
    /// The latest boot time at which a cell was reclaimed. What was taken there has expired by then, but not for a
    /// thread whose clock is behind: a new cell serves nobody earlier.
    floor_us: u64,
}

/// Room in one slab.
#[derive(Debug, Default)]
struct Space {
    free: Vec<u32>,
    next: u32,
    /// For a calendar: the latest period that a reclaimed cell had reached. A clock that is set back finds the budget
    /// of that period, not a new one.
    floor_period: u64,
}

/// Counters that one grant has made.
#[derive(Debug, Default)]
struct Owned {
    cells: IndexSet<CellRef, FixedState>,
    hand: usize,
}

/// Where the sweep goes on.
#[derive(Debug, Default)]
struct Hand {
    slab: usize,
    cell: u32,
}

/// Cells to look through for an idle one before a new count is refused.
const SEARCH: usize = 64;
/// Cells to look at whenever a counter is made while half of the room is in use, so that idle ones go even where
/// nobody sweeps.
const SWEEP_PER_INSERT: usize = 2;

impl Cells {
    /// No cells yet.
    pub(crate) fn new(capacity: usize, per_grant: usize, hash_key: &[u8; 16]) -> Self {
        Self {
            index: Index::new(),
            slabs: (0..MAX_SLABS).map(|_| OnceLock::new()).collect(),
            writer: Mutex::default(),
            capacity: capacity.min(MAX_CELLS as usize),
            per_grant,
            owner_key: *hash_key,
        }
    }

    /// Counters alive.
    pub(crate) fn len(&self) -> usize {
        self.lock().live
    }

    /// Counters that may be alive.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Lets `use_it` have the cell of a count, if it has one, while no cell changes hands.
    pub(crate) fn with(&self, key: CountKey, use_it: impl FnOnce(Cell<'_>)) {
        let _writer = self.lock();
        if let Some((_, located)) = self.lookup(key) {
            use_it(located.cell);
        }
    }

    /// The cell of a count, if it has one, fit for the demand's shape.
    pub(crate) fn find_fit(&self, demand: &Demand, now: Now) -> Option<Located<'_>> {
        let (_, located) = self.lookup(demand.key)?;
        if located.cell.layout().fits(&demand.shape) {
            return Some(located);
        }
        let mut writer = self.lock();
        let (at, located) = self.lookup(demand.key)?;
        self.refit(&mut writer, demand, at, located, now).ok()
    }

    /// The cell of a count, fit for the demand's shape; a new one, charged to `owner`, if it has none.
    pub(crate) fn find_or_make(&self, demand: &Demand, owner: &str, now: Now) -> Result<Located<'_>, NoRoom> {
        match self.lookup(demand.key) {
            Some((_, located)) if located.cell.layout().fits(&demand.shape) => Ok(located),
            _ => self.make(demand, owner, now),
        }
    }

    /// Reclaims idle counters among the next `budget` cells.
    pub(crate) fn sweep(&self, now: Now, budget: usize) {
        // In pieces, so that calls with new counts need not wait for all of it.
        for begun in (0..budget).step_by(SEARCH) {
            self.sweep_locked(&mut self.lock(), now, SEARCH.min(budget - begun));
        }
    }

    fn lookup(&self, key: CountKey) -> Option<(CellRef, Located<'_>)> {
        let at = self
            .index
            .find(key, |at| self.cell(at).is_some_and(|cell| holds(cell, key)))?;
        let cell = self.cell(at)?;
        // Acquire: pairs with `assign`. The identity is read after the generation, so a cell that changes hands in
        // between shows either another identity now or another generation later.
        let generation = cell.generation().load(Ordering::Acquire);
        (generation.is_multiple_of(2) && holds(cell, key)).then_some((at, Located { cell, generation }))
    }

    #[cold]
    fn make(&self, demand: &Demand, owner: &str, now: Now) -> Result<Located<'_>, NoRoom> {
        let mut writer = self.lock();
        if let Some((at, located)) = self.lookup(demand.key) {
            return self.refit(&mut writer, demand, at, located, now);
        }
        if writer.live >= self.capacity / 2 {
            self.sweep_locked(&mut writer, now, SWEEP_PER_INSERT);
        }
        if writer.live >= self.capacity {
            self.sweep_locked(&mut writer, now, SEARCH);
            if writer.live >= self.capacity {
                return Err(NoRoom);
            }
        }
        let owner = self.owner_hash(owner);
        if writer
            .owners
            .get(&owner)
            .is_some_and(|owned| owned.cells.len() >= self.per_grant)
        {
            self.sweep_owner(&mut writer, owner, now);
            if writer
                .owners
                .get(&owner)
                .is_some_and(|owned| owned.cells.len() >= self.per_grant)
            {
                return Err(NoRoom);
            }
        }
        let (at, cell) = self.allocate(&mut writer, Layout::of(&demand.shape))?;
        let generation = assign(cell, demand.key, owner);
        self.index
            .insert(demand.key, at, writer.live, |at| self.key_of(at));
        writer.live += 1;
        writer.owners.entry(owner).or_default().cells.insert(at);
        Ok(Located { cell, generation })
    }

    /// Moves a count to another cell where its shape needs one, after a reload that changed `max`; keeps what was taken.
    fn refit<'c>(
        &'c self,
        writer: &mut Writer,
        demand: &Demand,
        at: CellRef,
        located: Located<'c>,
        now: Now,
    ) -> Result<Located<'c>, NoRoom> {
        let old = located.cell;
        let Count::Slots(slots) = old.count() else {
            return Ok(located);
        };
        if old.layout().fits(&demand.shape) {
            return Ok(located);
        }
        // From here on nobody's hold on the old cell stands: they see the generation and go to the new one. A hold
        // that was confirmed before is drained below. SeqCst: the agreement of `free`.
        old.generation().fetch_add(1, Ordering::SeqCst);
        agree();
        // What has expired is left behind, and a thread whose clock is behind must not find room for it.
        writer.floor_us = writer.floor_us.max(now.look_us());
        let taken: Vec<u64> = slots.drain(now.look_us()).collect();
        let layout = match Layout::of(&demand.shape) {
            // More is taken than the new `max`: only a ledger can hold that.
            Layout::Slots { slots, window_us } if taken.len() > slots => Layout::Sliding { window_us },
            layout => layout,
        };
        let Ok((new_at, new)) = self.allocate(writer, layout) else {
            slots.fill(taken.into_iter());
            old.generation().fetch_add(1, Ordering::SeqCst);
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
        self.index.remove(demand.key, at, |at| self.key_of(at));
        let generation = assign(new, demand.key, owner);
        self.index
            .insert(demand.key, new_at, writer.live, |at| self.key_of(at));
        if let Some(owned) = writer.owners.get_mut(&owner) {
            owned.cells.swap_remove(&at);
            owned.cells.insert(new_at);
        }
        if let Some(space) = writer.spaces.get_mut(at.slab as usize) {
            space.free.push(at.cell);
        }
        Ok(Located {
            cell: new,
            generation,
        })
    }

    fn allocate(&self, writer: &mut Writer, layout: Layout) -> Result<(CellRef, Cell<'_>), NoRoom> {
        let slab = if let Some(&slab) = writer.slabs.get(&layout) {
            slab
        } else {
            let slab = u32::try_from(writer.spaces.len()).map_err(|_| NoRoom)?;
            let place = self.slabs.get(slab as usize).ok_or(NoRoom)?;
            place.get_or_init(|| Box::new(Slab::new(layout)));
            writer.spaces.push(Space::default());
            writer.slabs.insert(layout, slab);
            slab
        };
        let space = writer.spaces.get_mut(slab as usize).ok_or(NoRoom)?;
        let cell = match space.free.pop() {
            Some(cell) => cell,
            None if space.next < MAX_CELLS => {
                space.next += 1;
                space.next - 1
            }
            None => return Err(NoRoom),
        };
        let floor_period = space.floor_period;
        let memory = self
            .slabs
            .get(slab as usize)
            .and_then(OnceLock::get)
            .ok_or(NoRoom)?;
        let at = CellRef { slab, cell };
        let cell = memory.cell_or_allocate(cell);
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

    /// Reclaims a cell if nothing is taken from it.
    fn free(&self, writer: &mut Writer, at: CellRef, now: Now) -> bool {
        let Some(cell) = self.cell(at) else { return false };
        let generation = cell.generation().load(Ordering::Relaxed); // changed by the holder of the lock alone
        if !generation.is_multiple_of(2) || generation == 0 || !is_idle(cell, now) {
            return false;
        }
        // Close, then look; takers hold, then look whether the cell is closed. All SeqCst, so at least one of the
        // two sees the other: a cell with a hold that stands is not reclaimed.
        cell.generation().store(generation + 1, Ordering::SeqCst);
        agree();
        if !is_idle(cell, now) {
            cell.generation().store(generation + 2, Ordering::SeqCst);
            return false;
        }
        self.index.remove(self.key_of(at), at, |at| self.key_of(at));
        writer.live -= 1;
        let owner = cell.owner().load(Ordering::Relaxed);
        if let Some(owned) = writer.owners.get_mut(&owner) {
            owned.cells.swap_remove(&at);
            if owned.cells.is_empty() {
                writer.owners.remove(&owner);
            }
        }
        // What a ledger held had expired by its clock, which another thread may have pushed beyond `now`.
        let reached = match cell.count() {
            Count::Ledger(ledger) => ledger.clock.load(Ordering::Acquire),
            Count::Slots(_) => 0,
        };
        let calendar = matches!(cell.layout(), Layout::Calendar(_));
        if !calendar {
            writer.floor_us = writer.floor_us.max(now.look_us()).max(reached);
        }
        if let Some(space) = writer.spaces.get_mut(at.slab as usize) {
            if calendar {
                space.floor_period = space.floor_period.max(reached);
            }
            space.free.push(at.cell);
        }
        true
    }

    fn sweep_locked(&self, writer: &mut Writer, now: Now, budget: usize) {
        // Once around at most: a step for each cell, and one to leave each slab and to start again.
        let around: usize = writer.spaces.iter().map(|space| space.next as usize + 1).sum();
        for _ in 0..budget.min(around + 1) {
            let Some(space) = writer.spaces.get(writer.hand.slab) else {
                writer.hand = Hand::default();
                continue;
            };
            if writer.hand.cell >= space.next {
                writer.hand = Hand {
                    slab: writer.hand.slab + 1,
                    cell: 0,
                };
                continue;
            }
            let slab = u32::try_from(writer.hand.slab).unwrap_or(0);
            let at = CellRef {
                slab,
                cell: writer.hand.cell,
            };
            writer.hand.cell += 1;
            self.free(writer, at, now);
        }
    }

    fn sweep_owner(&self, writer: &mut Writer, owner: u64, now: Now) {
        for _ in 0..SEARCH {
            let Some(Owned { cells, hand }) = writer.owners.get_mut(&owner) else {
                return;
            };
            if cells.is_empty() {
                return;
            }
            *hand = (*hand + 1) % cells.len();
            let at = cells[*hand];
            if self.free(writer, at, now) {
                return;
            }
        }
    }

    fn cell(&self, at: CellRef) -> Option<Cell<'_>> {
        self.slabs.get(at.slab as usize)?.get()?.cell(at.cell)
    }

    fn key_of(&self, at: CellRef) -> CountKey {
        self.cell(at).map_or(CountKey(0), |cell| {
            let (low, high) = cell.key();
            // Relaxed: written by the holder of the lock, who is the one to ask.
            CountKey(u128::from(high.load(Ordering::Relaxed)) << 64 | u128::from(low.load(Ordering::Relaxed)))
        })
    }

    fn owner_hash(&self, owner: &str) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.owner_key);
        hasher.write(owner.as_bytes());
        hasher.finish()
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        // A panic while it was held leaves at worst a cell that is never used again.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holds(cell: Cell<'_>, key: CountKey) -> bool {
    let (low_half, high_half) = cell.key();
    // Relaxed: ordered by the generation, see `lookup`.
    low_half.load(Ordering::Relaxed) == low(key) && high_half.load(Ordering::Relaxed) == high(key)
}

/// Opens a closed or fresh cell for a count; gives its generation, even and new.
fn assign(cell: Cell<'_>, key: CountKey, owner: u64) -> u64 {
    cell.key().0.store(low(key), Ordering::Relaxed);
    cell.key().1.store(high(key), Ordering::Relaxed);
    cell.owner().store(owner, Ordering::Relaxed);
    let generation = (cell.generation().load(Ordering::Relaxed) | 1) + 1;
    // Release: whoever reads the generation sees the identity.
    cell.generation().store(generation, Ordering::Release);
    generation
}

/// True when nothing is taken or held.
fn is_idle(cell: Cell<'_>, now: Now) -> bool {
    match cell.count() {
        Count::Slots(slots) => slots.is_idle(now.look_us()),
        Count::Ledger(ledger) => ledger.is_idle(now),
    }
}
