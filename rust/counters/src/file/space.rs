//! The allocation of a file's blocks: free ones are used first, further ones are appended.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use callgate_mapped::{MappedFile, Words};

use super::block;
use super::error::StoreError;
use super::header::Header;
use super::recover::{raise_reached, zero};
use crate::blocks::{BLOCK_WORDS, Block, MAX_BLOCKS, NoBlock, Source};
use crate::cell::Layout;

/// Bytes of a block, and of the header before the first.
pub(crate) const BLOCK_BYTES: u64 = BLOCK_WORDS as u64 * 8;
/// Blocks of a new file: 1 MiB.
pub(crate) const LEAST_BLOCKS: u32 = 16;
/// Most blocks to append at once: 64 MiB. Each time the file grows is a mapping of its own, and the system allows some
/// ten thousand of them.
const MOST_APPENDED: u32 = 1_024;

/// The state that the cells' writer and the file's flusher share.
#[derive(Debug, Default)]
pub(crate) struct Extent {
    /// Blocks of the file.
    pub(crate) blocks: AtomicU32,
    /// The file was closed, or could not grow since the last flush. No growth is tried until the next flush, because
    /// callers with new counts would wait for each attempt.
    pub(crate) shut: AtomicBool,
}

/// A block that waits until what was written before is on disk.
#[derive(Debug)]
enum Waiting {
    /// A block of calendars, until the header has the period that they have reached: then it is zeroed.
    Raised(u32, Block),
    /// A zeroed block, until the zeros are there: given to another layout earlier, a power failure could leave the new
    /// layout above old cells.
    Zeroed(u32, Words),
}

/// Blocks of a file.
#[derive(Debug)]
pub(crate) struct FileSpace {
    path: PathBuf,
    file: Arc<MappedFile>,
    extent: Arc<Extent>,
    header: Header,
    /// Blocks without cells, zeroed. The first is used first, so that the file can be cut off behind the others.
    free: BTreeMap<u32, Words>,
    /// Blocks that were taken back, oldest first.
    waiting: VecDeque<Waiting>,
    /// The reason why the file could not grow, until growth is tried again.
    fault: String,
}

impl FileSpace {
    /// The blocks of a file; `free` are those without cells.
    pub(crate) fn new(
        path: PathBuf,
        file: Arc<MappedFile>,
        extent: Arc<Extent>,
        header: Header,
        free: Vec<(u32, Words)>,
    ) -> Self {
        Self {
            path,
            file,
            extent,
            header,
            free: free.into_iter().collect(),
            waiting: VecDeque::new(),
            fault: "the file was closed".to_owned(),
        }
    }

    fn append(&mut self) -> Result<(), StoreError> {
        // Changed by the holder of the writer lock alone.
        let blocks = self.extent.blocks.load(Ordering::Relaxed);
        let wanted = blocks.clamp(LEAST_BLOCKS, MOST_APPENDED);
        // Where there is no room for many there may be some for one.
        let appended = match self.try_append(blocks, wanted) {
            Ok(words) => words,
            Err(_) => self.try_append(blocks, 1)?,
        };
        let count = u32::try_from(appended.len() / BLOCK_WORDS).unwrap_or(0);
        for offset in 0..count {
            if let Some(words) = appended.part(offset as usize * BLOCK_WORDS, BLOCK_WORDS) {
                self.free.insert(blocks + offset, words);
            }
        }
        // Release: the flusher that records the number syncs the length with it.
        self.extent.blocks.store(blocks + count, Ordering::Release);
        Ok(())
    }

    fn try_append(&self, blocks: u32, count: u32) -> Result<Words, StoreError> {
        let (first, bytes) = (offset_of(blocks), offset_of(blocks + count));
        self.file.grow(bytes).map_err(|source| StoreError::NoSpace {
            path: self.path.clone(),
            bytes,
            source,
        })?;
        let length = usize::try_from(bytes - first).unwrap_or(usize::MAX);
        self.file.map(first, length).map_err(|source| StoreError::Io {
            path: self.path.clone(),
            doing: "map",
            source,
        })
    }
}

impl Source for FileSpace {
    fn next_block(&mut self, layout: Layout) -> Result<(u32, Words), NoBlock> {
        // SeqCst: set before the writer lock is passed, asked under it.
        if self.extent.shut.load(Ordering::SeqCst) {
            return Err(NoBlock {
                reason: self.fault.clone(),
            });
        }
        if self.free.is_empty() {
            if self.extent.blocks.load(Ordering::Relaxed) >= MAX_BLOCKS - MOST_APPENDED {
                return Err(NoBlock {
                    reason: "the table of blocks is full".to_owned(),
                });
            }
            self.append().map_err(|error| {
                self.extent.shut.store(true, Ordering::SeqCst);
                self.fault = error.to_string();
                NoBlock {
                    reason: self.fault.clone(),
                }
            })?;
        }
        let (number, words) = self.free.pop_first().ok_or_else(|| NoBlock {
            reason: "no block was appended".to_owned(),
        })?;
        // The block was not checked since it was freed, perhaps by another process. Damage in it would count as units
        // that nobody took, perhaps for years.
        block::clear(&words);
        block::publish(&words, layout);
        Ok((number, words))
    }

    fn take_back(&mut self, number: u32, block: &Block) {
        let layout = block.kind().layout();
        self.waiting.push_back(if raise_reached(block, &self.header) {
            Waiting::Raised(number, Block::new(block.words().clone(), layout))
        } else {
            zeroed(number, block)
        });
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn flushed(&mut self) {
        match self.waiting.pop_front() {
            Some(Waiting::Raised(number, block)) => {
                self.waiting.push_back(zeroed(number, &block));
            }
            Some(Waiting::Zeroed(number, words)) => {
                self.free.insert(number, words);
            }
            None => {}
        }
    }
}

fn zeroed(number: u32, block: &Block) -> Waiting {
    zero(block);
    Waiting::Zeroed(number, block.words().clone())
}

/// Returns the offset of a block in the file, in bytes.
pub(crate) const fn offset_of(block: u32) -> u64 {
    (block as u64 + 1) * BLOCK_BYTES
}
