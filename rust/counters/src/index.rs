//! The index from identity to cell: an open-addressing table that is read without locks.
//!
//! The index is changed only by the holder of the store's writer lock. A reader that races with a change can miss an
//! entry that is being moved, or find one that is gone; it checks the identity in the cell, and on a miss asks again as
//! a writer.

use std::sync::OnceLock;

use crate::CountKey;
use crate::atomic::{AtomicU64, Ordering, prefetch, zeroed};

/// The place of a cell: its block, and its index there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CellRef {
    /// Number of the block.
    pub(crate) block: u32,
    /// Index of the cell.
    pub(crate) cell: u32,
}

const CELL_BITS: u32 = 10;
const BLOCK_BITS: u32 = 31;
const REF_MASK: u64 = (1 << (CELL_BITS + BLOCK_BITS)) - 1;
/// Most counters of one store: half the slots of the last table.
pub(crate) const MAX_COUNTERS: usize = 1 << 29;
/// Slots of the first table.
const FIRST_TABLE: usize = 256;
const TABLES: usize = 28;

impl CellRef {
    /// An entry: some bits of the identity's high half above, the reference plus one below, so that 0 is empty.
    fn entry(self, key: CountKey) -> u64 {
        let reference = u64::from(self.block) << CELL_BITS | u64::from(self.cell);
        (high(key) & !REF_MASK) | (reference + 1)
    }

    fn of_entry(entry: u64) -> Self {
        let reference = (entry & REF_MASK) - 1;
        let part = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            block: part(reference >> CELL_BITS),
            cell: part(reference & ((1 << CELL_BITS) - 1)),
        }
    }
}

/// Low half of an identity.
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
pub(crate) const fn low(key: CountKey) -> u64 {
    key.0 as u64
}

/// High half of an identity.
pub(crate) const fn high(key: CountKey) -> u64 {
    (key.0 >> 64) as u64
}

/// The table, and the smaller ones that it has outgrown, which readers may still be using.
#[derive(Debug)]
pub(crate) struct Index {
    tables: [OnceLock<Box<[AtomicU64]>>; TABLES],
    current: AtomicU64,
}

impl Index {
    /// An empty table.
    pub(crate) fn new() -> Self {
        let index = Self {
            tables: [const { OnceLock::new() }; TABLES],
            current: AtomicU64::new(0),
        };
        index.tables[0].get_or_init(|| zeroed(FIRST_TABLE));
        index
    }

    /// Makes room for this many identities in an empty table.
    #[cfg(not(loom))]
    pub(crate) fn reserve(&self, identities: usize) {
        let level = (0..TABLES).find(|level| FIRST_TABLE << level >= identities.saturating_mul(2));
        if let Some((level, place)) = level.and_then(|level| Some((level, self.tables.get(level)?))) {
            place.get_or_init(|| zeroed(FIRST_TABLE << level));
            // Release: as in `grow`.
            self.current.store(level as u64, Ordering::Release);
        }
    }

    /// Asks for the cache line in which a search for the identity begins.
    #[inline]
    pub(crate) fn prefetch(&self, key: CountKey) {
        let table = self.table();
        if let Some(slot) = table.get(home(key) & table.len().wrapping_sub(1)) {
            prefetch(slot);
        }
    }

    /// Calls `open` with each cell that may hold the identity, and returns its first result.
    #[expect(
        clippy::inline_always,
        reason = "into the one caller on the way of every call, so that the answer stays in registers"
    )]
    #[inline(always)]
    pub(crate) fn find<T>(&self, key: CountKey, open: impl Fn(CellRef) -> Option<T>) -> Option<T> {
        let table = self.table();
        let mask = table.len() - 1;
        for step in 0..table.len() {
            // Acquire: pairs with `insert`, so the cell's identity is seen.
            let entry = table[home(key).wrapping_add(step) & mask].load(Ordering::Acquire);
            if entry == 0 {
                return None;
            }
            if entry & !REF_MASK == high(key) & !REF_MASK
                && let Some(found) = open(CellRef::of_entry(entry))
            {
                return Some(found);
            }
        }
        None
    }

    /// Adds an identity that is not in the table. `used` is the number of identities in it; `key_of` reads an identity
    /// from its cell. For the holder of the writer lock.
    pub(crate) fn insert(
        &self,
        key: CountKey,
        cell: CellRef,
        used: usize,
        key_of: impl Fn(CellRef) -> CountKey,
    ) {
        if (used + 1) * 2 > self.table().len() {
            self.grow(&key_of);
        }
        put(self.table(), key, cell);
    }

    /// Removes an identity, and closes the gap that it leaves. For the holder of the writer lock.
    pub(crate) fn remove(&self, key: CountKey, cell: CellRef, key_of: impl Fn(CellRef) -> CountKey) {
        let table = self.table();
        let mask = table.len() - 1;
        let wanted = cell.entry(key);
        let mut gap = home(key) & mask;
        while table[gap].load(Ordering::Relaxed) != wanted {
            if table[gap].load(Ordering::Relaxed) == 0 {
                return;
            }
            gap = (gap + 1) & mask;
        }
        let mut next = gap;
        loop {
            next = (next + 1) & mask;
            let entry = table[next].load(Ordering::Relaxed); // writers see their own stores
            if entry == 0 {
                break;
            }
            let start = home(key_of(CellRef::of_entry(entry))) & mask;
            // The entry may move back unless its home lies between the gap and itself.
            if (next.wrapping_sub(start) & mask) >= (next.wrapping_sub(gap) & mask) {
                table[gap].store(entry, Ordering::Release);
                gap = next;
            }
        }
        table[gap].store(0, Ordering::Release);
    }

    fn grow(&self, key_of: impl Fn(CellRef) -> CountKey) {
        let level = usize::try_from(self.current.load(Ordering::Relaxed)).unwrap_or(0);
        let old = self.table();
        let Some(place) = self.tables.get(level + 1) else {
            return;
        };
        let new = zeroed(old.len() * 2);
        for entry in old
            .iter()
            .map(|entry| entry.load(Ordering::Relaxed))
            .filter(|&entry| entry != 0)
        {
            let cell = CellRef::of_entry(entry);
            put(&new, key_of(cell), cell);
        }
        place.get_or_init(|| new);
        // Release: readers that see the number see the table.
        self.current.store(level as u64 + 1, Ordering::Release);
    }

    fn table(&self) -> &[AtomicU64] {
        // Acquire: pairs with `grow`.
        let level = usize::try_from(self.current.load(Ordering::Acquire)).unwrap_or(0);
        self.tables
            .get(level)
            .and_then(OnceLock::get)
            .map_or(&[], |table| table)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "any bits of the identity will do")]
const fn home(key: CountKey) -> usize {
    low(key) as usize
}

fn put(table: &[AtomicU64], key: CountKey, cell: CellRef) {
    let mask = table.len() - 1;
    let mut slot = home(key) & mask;
    while table[slot].load(Ordering::Relaxed) != 0 {
        slot = (slot + 1) & mask;
    }
    // Release: the cell's identity was written before.
    table[slot].store(cell.entry(key), Ordering::Release);
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Identities that share homes and fingerprints, so that probing is exercised.
    fn crowded(number: u32) -> CountKey {
        CountKey(u128::from(number % 7) | u128::from(number) << 20)
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(operations in prop::collection::vec((any::<bool>(), 0_u32..400), 1..2_000)) {
            let index = Index::new();
            let cells: RefCell<HashMap<u32, CountKey>> = RefCell::default();
            let key_of = |cell: CellRef| cells.borrow()[&cell.block];
            let mut model: HashMap<u32, CellRef> = HashMap::new();
            for (add, number) in operations {
                let key = crowded(number);
                let cell = CellRef { block: number, cell: number % 5 };
                cells.borrow_mut().insert(number, key);
                if add {
                    if !model.contains_key(&number) {
                        index.insert(key, cell, model.len(), key_of);
                        model.insert(number, cell);
                    }
                } else {
                    index.remove(key, cell, key_of);
                    model.remove(&number);
                }
                prop_assert_eq!(index.find(key, |found| (key_of(found) == key).then_some(found)), model.get(&number).copied());
            }
            for number in 0..400 {
                let key = crowded(number);
                let is_it = |found: CellRef| (cells.borrow().get(&found.block) == Some(&key)).then_some(found);
                prop_assert_eq!(index.find(key, is_it), model.get(&number).copied());
            }
        }
    }
}
