//! The free cells of every block, by layout.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use crate::blocks::cells_per_block;
use crate::cell::Layout;
use crate::index::CellRef;

/// Words of a bitmap with a bit for every cell of a block, 909 at most.
const MAP_WORDS: usize = 15;

/// The cells of every block that is in use, free or not.
#[derive(Debug, Default)]
pub(crate) struct Spaces {
    by_layout: HashMap<Layout, Space>,
    /// By number; `None` where a block serves no layout.
    blocks: Vec<Option<Room>>,
    /// Blocks all of whose cells are free.
    empty: BTreeSet<u32>,
    /// Cells that are not free.
    used: usize,
    /// Blocks that serve a layout.
    blocks_in_use: usize,
}

/// The blocks of one layout.
#[derive(Debug, Default)]
struct Space {
    /// Blocks with free cells. The first is used first, so that the last become empty.
    open: BTreeSet<u32>,
    /// In all.
    blocks: u32,
    /// For a calendar: the latest period that a reclaimed cell had reached. A clock that is set back finds the budget
    /// of that period, not a new one.
    floor_period: u64,
}

/// The cells of one block.
#[derive(Debug)]
struct Room {
    layout: Layout,
    cells: u32,
    used: u32,
    /// A bit for each free cell.
    free: [u64; MAP_WORDS],
}

/// A place in the round over all cells that are in use.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hand {
    block: usize,
    cell: u32,
}

impl Spaces {
    /// Takes a free cell of this layout, if there is one.
    pub(crate) fn take(&mut self, layout: Layout) -> Option<CellRef> {
        let space = self.by_layout.get_mut(&layout)?;
        let block = *space.open.first()?;
        let room = self.blocks.get_mut(block as usize)?.as_mut()?;
        let cell = room.first_free()?;
        room.set_used(cell);
        if room.used == room.cells {
            space.open.remove(&block);
        }
        self.empty.remove(&block);
        self.used += 1;
        Some(CellRef { block, cell })
    }

    /// Enters a block of free cells.
    pub(crate) fn add(&mut self, block: u32, layout: Layout) {
        let place = block as usize;
        if self.blocks.len() <= place {
            self.blocks.resize_with(place + 1, || None);
        }
        self.blocks[place] = Some(Room::new(layout));
        let space = self.by_layout.entry(layout).or_default();
        space.open.insert(block);
        space.blocks += 1;
        self.empty.insert(block);
        self.blocks_in_use += 1;
    }

    /// Notes that a free cell is in use, as it was found in a file.
    #[cfg(not(loom))]
    pub(crate) fn keep(&mut self, at: CellRef) {
        let Some(room) = room_of(&mut self.blocks, at.block) else {
            return;
        };
        room.set_used(at.cell);
        self.used += 1;
        self.empty.remove(&at.block);
        if room.used == room.cells
            && let Some(space) = self.by_layout.get_mut(&room.layout)
        {
            space.open.remove(&at.block);
        }
    }

    /// Gives a cell back that serves nobody any more.
    pub(crate) fn give_back(&mut self, at: CellRef) {
        let Some(room) = room_of(&mut self.blocks, at.block) else {
            return;
        };
        room.set_free(at.cell);
        self.used -= 1;
        if room.used == 0 {
            self.empty.insert(at.block);
        }
        if let Some(space) = self.by_layout.get_mut(&room.layout) {
            space.open.insert(at.block);
        }
    }

    /// Takes up to `most` blocks without counters out of use: their cells are given to nobody.
    pub(crate) fn take_empty(&mut self, most: usize) -> Vec<u32> {
        // The last first: the blocks that stay are the first, and a file can be cut off behind them.
        let taken: Vec<u32> = self.empty.iter().rev().take(most).copied().collect();
        for block in &taken {
            self.empty.remove(block);
            let Some(room) = self.blocks.get_mut(*block as usize).and_then(Option::take) else {
                continue;
            };
            self.blocks_in_use -= 1;
            let Some(space) = self.by_layout.get_mut(&room.layout) else {
                continue;
            };
            space.open.remove(block);
            space.blocks -= 1;
            // A layout without blocks takes no memory. There are only nine calendar layouts, and the periods that they
            // have reached are kept.
            if space.blocks == 0 && space.floor_period == 0 {
                self.by_layout.remove(&room.layout);
            }
        }
        taken
    }

    /// The period before which no new counter of a calendar begins.
    pub(crate) fn floor_period(&self, layout: Layout) -> u64 {
        self.by_layout.get(&layout).map_or(0, |space| space.floor_period)
    }

    /// Raises [`Self::floor_period`].
    pub(crate) fn raise_floor_period(&mut self, layout: Layout, period: u64) {
        if period > 0 {
            let space = self.by_layout.entry(layout).or_default();
            space.floor_period = space.floor_period.max(period);
        }
    }

    /// The next cell in use from `hand` on, within one block; `None` at the end of a block and where there is no further
    /// one, from where the round begins again.
    pub(crate) fn next_used(&self, hand: &mut Hand) -> Option<CellRef> {
        let Some(room) = self.blocks.get(hand.block) else {
            *hand = Hand::default();
            return None;
        };
        let used = room.as_ref().and_then(|room| room.first_used(hand.cell));
        let Some(cell) = used else {
            *hand = Hand {
                block: hand.block + 1,
                cell: 0,
            };
            return None;
        };
        hand.cell = cell + 1;
        let block = u32::try_from(hand.block).ok()?;
        Some(CellRef { block, cell })
    }

    /// Steps of [`Self::next_used`] that pass every cell in use once.
    pub(crate) fn round(&self) -> usize {
        self.used + self.blocks.len() + 1
    }

    /// Blocks that serve a layout.
    pub(crate) const fn blocks(&self) -> usize {
        self.blocks_in_use
    }

    /// Layouts that have room, or a period.
    #[cfg(test)]
    pub(crate) fn layouts(&self) -> usize {
        self.by_layout.len()
    }
}

fn room_of(blocks: &mut [Option<Room>], block: u32) -> Option<&mut Room> {
    blocks.get_mut(block as usize)?.as_mut()
}

impl Room {
    fn new(layout: Layout) -> Self {
        let cells = cells_per_block(layout);
        let mut free = [0; MAP_WORDS];
        for cell in 0..cells {
            let (word, bit) = place(cell);
            free[word] |= bit;
        }
        Self {
            layout,
            cells,
            used: 0,
            free,
        }
    }

    fn first_free(&self) -> Option<u32> {
        first_one(self.free.iter().copied().enumerate())
    }

    /// The first cell in use from this one on.
    fn first_used(&self, from: u32) -> Option<u32> {
        let (first, bit) = place(from.min(self.cells));
        let words = self.free.iter().map(|free| !free).enumerate().skip(first);
        // Of the first word the bits from `from` on.
        let words = words.map(|(word, used)| (word, if word == first { used & !(bit - 1) } else { used }));
        first_one(words).filter(|cell| *cell < self.cells)
    }

    fn set_used(&mut self, cell: u32) {
        let (word, bit) = place(cell);
        debug_assert!(self.free[word] & bit != 0, "a free cell");
        self.free[word] &= !bit;
        self.used += 1;
    }

    fn set_free(&mut self, cell: u32) {
        let (word, bit) = place(cell);
        debug_assert!(self.free[word] & bit == 0, "a cell in use");
        self.free[word] |= bit;
        self.used -= 1;
    }
}

const fn place(cell: u32) -> (usize, u64) {
    ((cell / 64) as usize, 1 << (cell % 64))
}

fn first_one(mut words: impl Iterator<Item = (usize, u64)>) -> Option<u32> {
    let (word, bits) = words.find(|(_, bits)| *bits != 0)?;
    Some(u32::try_from(word).ok()? * 64 + bits.trailing_zeros())
}

#[cfg(test)]
mod tests;
