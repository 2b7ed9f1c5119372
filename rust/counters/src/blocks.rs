//! Blocks: the memory that holds cells. All are of one size, numbered and never moved; the cells of one block have one
//! layout.
//!
//! One size for every layout keeps a file simple: a block whose counters are gone can serve another layout, and each
//! block is found whole or damaged by itself. In a block the headers of its cells come first, each in a cache line of
//! its own, so that no header straddles a page and a start reads few pages; then come their payloads.

use std::sync::OnceLock;

use crate::atomic::Words;
use crate::cell::{Cell, HEADER_WORDS, Kind, Layout};
use crate::index::CellRef;

/// Words of a block: 64 KiB, in which the largest cell of slots fits 31 times and wastes next to nothing.
pub(crate) const BLOCK_WORDS: usize = 8 * 1024;
/// Words before the cells: a cache line that belongs to the file.
pub(crate) const BLOCK_HEADER_WORDS: usize = 8;

/// Blocks that are made at once when there are as many already: a huge page of 2 MiB on most machines.
const REGION_BLOCKS: u32 = 32;
const REGION_WORDS: usize = REGION_BLOCKS as usize * BLOCK_WORDS;

/// Descriptors in the first chunk of the table; each further one is as large as all before.
const FIRST_CHUNK: u32 = 64;
const CHUNKS: usize = 23;
/// Most blocks of one store: 16 TiB.
pub(crate) const MAX_BLOCKS: u32 = FIRST_CHUNK << (CHUNKS - 1);

/// Cells of a layout in one block.
#[expect(clippy::cast_possible_truncation, reason = "a few hundred")]
pub(crate) const fn cells_per_block(layout: Layout) -> u32 {
    ((BLOCK_WORDS - BLOCK_HEADER_WORDS) / (HEADER_WORDS + layout.payload())) as u32
}

/// The cells of one block.
#[derive(Debug)]
pub(crate) struct Block {
    words: Words,
    kind: Kind,
}

impl Block {
    /// A block of these words, [`BLOCK_WORDS`] many, for cells of this layout.
    pub(crate) fn new(words: Words, layout: Layout) -> Self {
        debug_assert_eq!(words.len(), BLOCK_WORDS, "blocks are of one size");
        Self {
            words,
            kind: Kind::new(layout),
        }
    }

    /// The cell at an index.
    pub(crate) fn cell(&self, index: u32) -> Option<Cell<'_>> {
        let (cells, index) = (self.kind.cells() as usize, index as usize);
        if index >= cells {
            return None;
        }
        let payload = self.kind.payload();
        let headers = BLOCK_HEADER_WORDS;
        let payloads = headers + cells * HEADER_WORDS;
        let header = self.words.get(headers + index * HEADER_WORDS..)?.first_chunk()?;
        let payload = self.words.get(payloads + index * payload..)?.get(..payload)?;
        Some(Cell::new(header, payload, &self.kind))
    }

    /// The words of the block, with the line before the cells.
    #[cfg(not(loom))]
    pub(crate) const fn words(&self) -> &Words {
        &self.words
    }

    /// The layout of its cells.
    pub(crate) const fn kind(&self) -> &Kind {
        &self.kind
    }
}

/// Blocks by number, in a table that grows without moving.
#[derive(Debug)]
pub(crate) struct Blocks {
    chunks: [OnceLock<Box<[OnceLock<Block>]>>; CHUNKS],
}

impl Blocks {
    /// No blocks yet.
    pub(crate) const fn new() -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CHUNKS],
        }
    }

    /// The block of a number.
    pub(crate) fn get(&self, number: u32) -> Option<&Block> {
        let (chunk, offset) = place(number);
        self.chunks.get(chunk)?.get()?.get(offset)?.get()
    }

    /// The cell at a place.
    pub(crate) fn cell(&self, at: CellRef) -> Option<Cell<'_>> {
        self.get(at.block)?.cell(at.cell)
    }

    /// Enters a block; `false` if a block of that number exists already, or the number is beyond [`MAX_BLOCKS`].
    pub(crate) fn put(&self, number: u32, block: Block) -> bool {
        let (chunk, offset) = place(number);
        let Some(chunk) = self.chunks.get(chunk).map(|place| {
            place.get_or_init(|| {
                let blocks = chunk_len(chunk);
                (0..blocks).map(|_| OnceLock::new()).collect()
            })
        }) else {
            return false;
        };
        chunk.get(offset).is_some_and(|place| place.set(block).is_ok())
    }
}

const fn chunk_len(chunk: usize) -> u32 {
    if chunk == 0 {
        FIRST_CHUNK
    } else {
        FIRST_CHUNK << (chunk - 1)
    }
}

/// Chunk and offset within it: chunks hold 64, 64, 128, 256, ... blocks.
const fn place(number: u32) -> (usize, usize) {
    if number < FIRST_CHUNK {
        return (0, number as usize);
    }
    let chunk = number.ilog2() - FIRST_CHUNK.ilog2() + 1;
    (chunk as usize, (number - (FIRST_CHUNK << (chunk - 1))) as usize)
}

/// The source of blocks; it also takes them back when all their counters are gone.
pub(crate) trait Source: std::fmt::Debug + Send {
    /// A block of zeroed words for cells of this layout, and its number.
    fn next_block(&mut self, layout: Layout) -> Result<(u32, Words), NoBlock>;

    /// Takes back a block that no call can be reading, to be given out again under its number.
    fn take_back(&mut self, number: u32, block: &Block);

    /// Returns the number of blocks that were taken back and wait for a flush.
    fn waiting(&self) -> usize {
        0
    }

    /// Confirms to the block that has waited longest that what was written before it began to wait is on disk.
    fn flushed(&mut self) {}
}

/// There is no further block.
#[derive(Debug)]
pub(crate) struct NoBlock {
    /// The reason, for the log.
    pub(crate) reason: String,
}

/// Blocks of this process's memory: the first few one by one, the others in regions.
///
/// Counters that are read at random are found in less time in huge pages, which regions ask for. A process with few
/// counters needs no 2 MiB for them.
#[derive(Debug, Default)]
pub(crate) struct Heap {
    blocks: u32,
    regions: Vec<Region>,
    /// Blocks that were taken back: zeroed.
    free: Vec<(u32, Words)>,
}

/// The words of as many blocks as fill a huge page.
#[derive(Debug)]
struct Region {
    words: Words,
    /// Blocks of it that are free. Its memory is with the system while all are: of a part of a huge page, what is given
    /// back comes again when the system puts the page together.
    free: u32,
}

impl Heap {
    /// The number of a block's region, and that of the block in it; `None` for the first blocks.
    fn place(number: u32) -> Option<(usize, usize)> {
        let number = number.checked_sub(REGION_BLOCKS)?;
        let (region, block) = (number / REGION_BLOCKS, number % REGION_BLOCKS);
        Some((region as usize, block as usize))
    }

    /// The words of a block that is made now.
    fn words(&mut self, number: u32) -> Words {
        let Some((region, block)) = Self::place(number) else {
            return Words::zeroed(BLOCK_WORDS);
        };
        if region == self.regions.len() {
            self.regions.push(Region {
                words: Words::zeroed_in_huge_pages(REGION_WORDS),
                free: 0,
            });
        }
        let region = self.regions.get(region);
        let words = region.and_then(|region| region.words.part(block * BLOCK_WORDS, BLOCK_WORDS));
        // Blocks are made in the order of their numbers, so there is a region with room.
        words.unwrap_or_else(|| Words::zeroed(BLOCK_WORDS))
    }

    fn region_of(&mut self, number: u32) -> Option<&mut Region> {
        let (region, _) = Self::place(number)?;
        self.regions.get_mut(region)
    }
}

impl Source for Heap {
    fn next_block(&mut self, _layout: Layout) -> Result<(u32, Words), NoBlock> {
        if let Some((number, words)) = self.free.pop() {
            if let Some(region) = self.region_of(number) {
                region.free -= 1;
            }
            return Ok((number, words));
        }
        let number = self.blocks;
        if number >= MAX_BLOCKS {
            return Err(NoBlock {
                reason: "the table of blocks is full".to_owned(),
            });
        }
        self.blocks += 1;
        Ok((number, self.words(number)))
    }

    fn take_back(&mut self, number: u32, block: &Block) {
        if let Some(region) = self.region_of(number) {
            block.words.clear();
            region.free += 1;
            if region.free == REGION_BLOCKS {
                region.words.release_pages();
            }
        } else {
            block.words.release_pages();
        }
        self.free.push((number, block.words.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn numbers_fill_chunk_after_chunk() {
        let mut expected = (0, 0);
        for number in 0..5_000 {
            assert_eq!(place(number), expected);
            expected.1 += 1;
            if expected.1 == chunk_len(expected.0) as usize {
                expected = (expected.0 + 1, 0);
            }
        }
        assert_eq!(place(MAX_BLOCKS - 1).0, CHUNKS - 1);
        assert_eq!(place(MAX_BLOCKS).0, CHUNKS);
    }

    #[test]
    fn cells_share_no_word_and_headers_are_cache_lines() {
        for layout in [
            Layout::Slots {
                window_us: 1,
                slots: 1,
            },
            Layout::Slots {
                window_us: 1,
                slots: 30,
            },
            Layout::Slots {
                window_us: 1,
                slots: 256,
            },
            Layout::Sliding { window_us: 1 },
        ] {
            let words = Words::zeroed(BLOCK_WORDS);
            let block = Block::new(words.clone(), layout);
            let cells = cells_per_block(layout);
            for index in 0..cells {
                let cell = block.cell(index).unwrap();
                let header = std::ptr::from_ref(cell.key().0) as usize;
                assert_eq!(header % 64, 0);
                cell.words().for_each(|word| {
                    word.fetch_add(1, Ordering::Relaxed);
                });
            }
            assert!(block.cell(cells).is_none());
            let used = words
                .iter()
                .filter(|word| word.load(Ordering::Relaxed) == 1)
                .count();
            assert_eq!(used, cells as usize * (HEADER_WORDS + layout.payload()));
            assert!(words.iter().all(|word| word.load(Ordering::Relaxed) <= 1));
            assert!(BLOCK_WORDS - used < BLOCK_WORDS / 30, "little is wasted");
        }
    }

    #[test]
    fn blocks_of_a_region_share_no_word_and_go_back_together() {
        let layout = Layout::Sliding { window_us: 1 };
        let mut heap = Heap::default();
        let made: Vec<(u32, Words)> = (0..3 * REGION_BLOCKS)
            .map(|_| heap.next_block(layout).unwrap())
            .collect();
        for ((number, words), expected) in made.iter().zip(0_u32..) {
            assert_eq!((*number, words.len()), (expected, BLOCK_WORDS));
            assert_eq!(words.as_ptr() as usize % 64, 0);
            words.iter().for_each(|word| {
                word.fetch_add(1, Ordering::Relaxed);
            });
        }
        for (number, words) in &made {
            assert!(words.iter().all(|word| word.load(Ordering::Relaxed) == 1));
            // Whoever gets a block back finds it empty, and no other block is.
            heap.take_back(*number, &Block::new(words.clone(), layout));
            assert!(words.iter().all(|word| word.load(Ordering::Relaxed) == 0));
        }
        let free = |heap: &Heap| {
            heap.regions
                .iter()
                .map(|region| region.free)
                .collect::<Vec<u32>>()
        };
        assert_eq!(free(&heap), [REGION_BLOCKS; 2]);
        // Used again before any other is made.
        let mut again: Vec<u32> = (0..3 * REGION_BLOCKS)
            .map(|_| heap.next_block(layout).unwrap().0)
            .collect();
        again.sort_unstable();
        assert!(again.into_iter().eq(0..3 * REGION_BLOCKS));
        assert_eq!(free(&heap), [0; 2]);
        assert_eq!(heap.next_block(layout).unwrap().0, 3 * REGION_BLOCKS);
    }

    #[test]
    fn a_number_is_given_once() {
        let blocks = Blocks::new();
        let block = || Block::new(Words::zeroed(BLOCK_WORDS), Layout::Sliding { window_us: 1 });
        assert!(blocks.put(70, block()));
        assert!(!blocks.put(70, block()));
        assert!(!blocks.put(MAX_BLOCKS, block()));
        assert!(blocks.get(70).is_some() && blocks.get(69).is_none());
    }
}
