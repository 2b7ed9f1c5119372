//! Opening a file of counters, or making one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use callgate_mapped::{LockError, MappedFile, Words};

use super::clock::{ClockReading, ClockRecord};
use super::error::StoreError;
use super::header::{Closed, Fixed, Header, Recorded, ResetLine};
use super::heritage::Heritage;
use super::recover::{Restart, Used, fault_of, mend, raise_reached, zero};
use super::space::{BLOCK_BYTES, Extent, FileSpace, LEAST_BLOCKS, offset_of};
use super::{Durable, Flusher, block};
use crate::Now;
use crate::blocks::{BLOCK_WORDS, Block};
use crate::cells::Cells;

/// The number of attempts while other processes create or remove files under the path.
const ATTEMPTS: usize = 16;

/// Sizes of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) capacity: usize,
    pub(crate) per_grant: usize,
}

/// A function that reads the machine's clocks.
pub(crate) type Clocks<'c> = &'c dyn Fn() -> io::Result<ClockReading>;

/// Opens the counters at `path`, with the resets in the file; makes a file with `hash_key` if there is none.
pub(crate) fn open(
    path: &Path,
    sizes: Sizes,
    hash_key: &[u8; 16],
    clocks: Clocks<'_>,
) -> Result<(Cells, Durable, Vec<ResetLine>), StoreError> {
    for _ in 0..ATTEMPTS {
        if let Some(file) = lock(path)? {
            return adopt(path, file, sizes, clocks);
        }
        let reading = clocks().map_err(fault(path, "read the clocks for"))?;
        let fixed = Fixed {
            hash_key: *hash_key,
            created_unix_s: reading.unix_us / 1_000_000,
        };
        // A new boot clock starts at the machine's.
        let clock = ClockRecord {
            engine_us: reading.boot_us,
            reading,
        };
        let new = beside(path, "new");
        // Locked under its new name as well, so that nobody who starts at the same time empties it as a left-over.
        let created = create(&new, path, &fixed, &clock)?;
        if MappedFile::rename_new(&new, path).map_err(fault(path, "create"))? {
            return adopt(path, created, sizes, clocks);
        }
        // Somebody else was first. That this one cannot be removed does no harm.
        let _ = std::fs::remove_file(&new);
    }
    Err(StoreError::InUse {
        path: path.to_owned(),
        pid: None,
    })
}

/// Opens the counters at `path`, which must exist.
pub(crate) fn open_existing(
    path: &Path,
    sizes: Sizes,
    clocks: Clocks<'_>,
) -> Result<(Cells, Durable, Vec<ResetLine>), StoreError> {
    match lock(path)? {
        Some(file) => adopt(path, file, sizes, clocks),
        None => Err(StoreError::Missing {
            path: path.to_owned(),
        }),
    }
}

/// Locks the file at `path`, if there is one.
pub(super) fn lock(path: &Path) -> Result<Option<MappedFile>, StoreError> {
    match MappedFile::open(path) {
        Ok(file) => Ok(file),
        Err(LockError::InUse) => Err(in_use(path)),
        Err(LockError::Io(source)) => Err(fault(path, "open")(source)),
    }
}

fn in_use(path: &Path) -> StoreError {
    StoreError::InUse {
        path: path.to_owned(),
        pid: holder_of(path),
    }
}

/// The process that opened the file last, as far as it can be read.
pub(crate) fn holder_of(path: &Path) -> Option<u32> {
    let header = super::facts::read_header(path).ok()?;
    header.holder()
}

/// Makes a file without counters, complete and on disk, under the path `new`; errors name `path`.
pub(super) fn create(
    new: &Path,
    path: &Path,
    fixed: &Fixed,
    clock: &ClockRecord,
) -> Result<MappedFile, StoreError> {
    let file = match MappedFile::create(new) {
        Ok(file) => file,
        Err(LockError::InUse) => return Err(in_use(path)),
        Err(LockError::Io(source)) => return Err(fault(path, "create")(source)),
    };
    let bytes = offset_of(LEAST_BLOCKS);
    if let Err(source) = file.grow(bytes) {
        // Nothing of use is in it. That it cannot be removed is no reason to say something else.
        let _ = std::fs::remove_file(new);
        return Err(StoreError::NoSpace {
            path: path.to_owned(),
            bytes,
            source,
        });
    }
    let words = file
        .map(0, BLOCK_WORDS * size_of::<u64>())
        .map_err(fault(path, "create"))?;
    Header::new(words).begin(fixed, clock, LEAST_BLOCKS.into());
    file.sync().map_err(fault(path, "create"))?;
    Ok(file)
}

/// The resets of a file; fails if one is damaged, because its counts would come back.
fn resets_of(path: &Path, image: &Image) -> Result<Vec<ResetLine>, StoreError> {
    match image.header.resets() {
        (resets, 0) => Ok(resets),
        (_, damaged) => {
            let fault = format!("{damaged} of its resets do not match their checksum");
            Err(Image::damaged(path, fault))
        }
    }
}

/// Takes over a file that is locked.
fn adopt(
    path: &Path,
    file: MappedFile,
    sizes: Sizes,
    clocks: Clocks<'_>,
) -> Result<(Cells, Durable, Vec<ResetLine>), StoreError> {
    // Not before the lock: a reading from before the last process's own would look like one of another boot.
    let reading = &clocks().map_err(fault(path, "read the clocks for"))?;
    let mut image = Image::map(path, &file)?;
    let fixed = image.header.check(path)?;
    let recorded = image.check_length(path)?;
    // Blocks that were appended since are there as far as anything is in them. The rest may be of any length.
    let data_end = file.data_end().map_err(fault(path, "open"))?;
    let holding = data_end.div_ceil(BLOCK_BYTES).saturating_sub(1);
    image.cut(holding.max(recorded.blocks));
    let clean = match image.header.closed() {
        Closed::Clean => true,
        Closed::Open => false,
        Closed::Damaged => {
            return Err(Image::damaged(
                path,
                "the line that says whether it was closed is neither",
            ));
        }
    };
    let resets = resets_of(path, &image)?;
    // Before the cells are touched: a hole that finds no room, even when it is read, is a signal.
    let bytes = offset_of(image.blocks);
    file.reserve(bytes).map_err(|source| StoreError::NoSpace {
        path: path.to_owned(),
        bytes,
        source,
    })?;
    let engine_us = recorded.clock.resume_us(reading);
    let now = now_of(engine_us, reading);
    let (used, mut free) = image.blocks(path, clean, now)?;
    let restart = Restart {
        now,
        power_failed: image.power_failed(reading),
    };
    // Up to here nothing was written.
    file.keep_others_out().map_err(fault(path, "open"))?;
    image.header.set_open(std::process::id());
    // Before a cell is emptied: a process that is killed meanwhile leaves nothing to inherit. After another boot, pages of the
    // file may be missing or the wall clock wrong.
    let opener = image.header.take_opener();
    let opener = opener.filter(|_| recorded.clock.is_of_boot(reading));
    let heritage = opener.map(|opener| Heritage::of(opener, &used, restart));
    file.sync().map_err(fault(path, "write"))?;

    if restart.power_failed {
        // A page of a block may be older than the one that says that the block is free.
        for (_, words) in &free {
            block::clear(words);
        }
    }
    let (kept, idle, live) = mend_all(used, restart);
    free.extend(freed(path, &file, &image.header, idle)?);
    let blocks = keep_blocks(&kept).min(image.blocks);
    free.retain(|(number, _)| *number < blocks);
    let clock = ClockRecord {
        engine_us,
        reading: *reading,
    };
    image.header.record(&clock, blocks.into());
    // Before anybody uses a block that was made free: its old pages must not come back.
    file.sync().map_err(fault(path, "write"))?;
    file.shrink(offset_of(blocks)).map_err(fault(path, "cut off"))?;

    let file = Arc::new(file);
    let extent = Arc::new(Extent {
        blocks: AtomicU32::new(blocks),
        ..Extent::default()
    });
    let space = FileSpace::new(
        path.to_owned(),
        Arc::clone(&file),
        Arc::clone(&extent),
        image.header.clone(),
        free,
    );
    let cells = Cells::with_source(
        Box::new(space),
        true,
        sizes.capacity,
        sizes.per_grant,
        &fixed.hash_key,
    );
    cells.adopt(kept, &image.header, live, restart);
    let durable = Durable {
        owner: file.owner().clone(),
        path: path.to_owned(),
        file,
        extent,
        hash_key: fixed.hash_key,
        shift_us: engine_us
            .cast_signed()
            .wrapping_sub(reading.boot_us.cast_signed()),
        opened_us: engine_us,
        heritage: Mutex::new(heritage),
        header: image.header.clone(),
        flusher: Mutex::new(Flusher {
            header: image.header,
            synced_blocks: blocks,
            failed: false,
            closed: false,
        }),
    };
    Ok((cells, durable, resets))
}

/// Repairs the cells of blocks. Returns the blocks that hold units, those that hold none, and the number of cells that do.
fn mend_all(used: Vec<Used>, restart: Restart) -> (Vec<Used>, Vec<Used>, usize) {
    let mut live = 0;
    let (kept, idle) = used.into_iter().partition(|used| {
        let count = mend(used, restart);
        live += count;
        count > 0
    });
    (kept, idle, live)
}

/// Zeroes blocks that hold no units; what their calendars have reached is on disk before.
fn freed(
    path: &Path,
    file: &MappedFile,
    header: &Header,
    idle: Vec<Used>,
) -> Result<impl Iterator<Item = (u32, Words)>, StoreError> {
    let calendars = idle.iter().filter(|used| raise_reached(&used.block, header));
    if calendars.count() > 0 {
        file.sync().map_err(fault(path, "write"))?;
    }
    Ok(idle.into_iter().map(|used| {
        zero(&used.block);
        (used.number, used.block.words().clone())
    }))
}

/// The number of blocks to keep when the free ones behind the last block in use are cut off.
fn keep_blocks(used: &[Used]) -> u32 {
    let last = used.iter().map(|used| used.number + 1).max().unwrap_or(0);
    last.next_multiple_of(LEAST_BLOCKS).max(LEAST_BLOCKS)
}

/// Converts the engine's time and the wall clock's reading to a [`Now`].
pub(super) fn now_of(engine_us: u64, reading: &ClockReading) -> Now {
    Now {
        boot_ns: engine_us.saturating_mul(1_000),
        unix_offset_us: reading
            .unix_us
            .cast_signed()
            .wrapping_sub(engine_us.cast_signed()),
    }
}

/// Makes a path for a temporary file in the same folder.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

pub(super) fn fault(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { path, doing, source }
}

/// The contents of a file, mapped before they are checked.
pub(super) struct Image {
    pub(super) header: Header,
    pub(super) blocks: u32,
    all: Words,
    /// Bytes behind the last whole block.
    odd_bytes: u64,
}

impl Image {
    /// Maps all of a file.
    pub(super) fn map(path: &Path, file: &MappedFile) -> Result<Self, StoreError> {
        let bytes = file.len().map_err(fault(path, "open"))?;
        let whole = bytes / BLOCK_BYTES;
        if whole == 0 {
            return Err(super::facts::too_short(path, bytes));
        }
        let length = usize::try_from(whole * BLOCK_BYTES).unwrap_or(usize::MAX);
        let all = file.map(0, length).map_err(fault(path, "map"))?;
        Ok(Self::of(all, bytes % BLOCK_BYTES))
    }

    /// Makes an image of words that hold a file's whole blocks, at least one.
    pub(super) fn of(all: Words, odd_bytes: u64) -> Self {
        let first = all
            .part(0, BLOCK_WORDS)
            .unwrap_or_else(|| Words::zeroed(BLOCK_WORDS));
        Self {
            header: Header::new(first),
            blocks: u32::try_from(all.len() / BLOCK_WORDS - 1).unwrap_or(u32::MAX),
            all,
            odd_bytes,
        }
    }

    /// Ignores everything behind the first `blocks` blocks.
    fn cut(&mut self, blocks: u64) {
        self.blocks = self.blocks.min(u32::try_from(blocks).unwrap_or(u32::MAX));
    }

    /// The words of a block.
    pub(super) fn words(&self, number: u32) -> Option<Words> {
        self.all.part((number as usize + 1) * BLOCK_WORDS, BLOCK_WORDS)
    }

    /// True if the file was not closed, and the machine may have stopped since it was written.
    pub(super) fn power_failed(&self, reading: &ClockReading) -> bool {
        let of_boot = |recorded: Recorded| recorded.clock.is_of_boot(reading);
        self.header.closed() != Closed::Clean && !self.header.recorded().is_some_and(of_boot)
    }

    /// Blocks that were recorded and lie beyond the end of the file.
    pub(super) fn blocks_missing(&self) -> u32 {
        let recorded = self.header.recorded().map_or(0, |recorded| recorded.blocks);
        u32::try_from(recorded.saturating_sub(self.blocks.into())).unwrap_or(u32::MAX)
    }

    fn damaged(path: &Path, fault: impl Into<String>) -> StoreError {
        StoreError::Damaged {
            path: path.to_owned(),
            fault: fault.into(),
        }
    }

    fn check_length(&self, path: &Path) -> Result<Recorded, StoreError> {
        let Some(recorded) = self.header.recorded() else {
            return Err(Self::damaged(
                path,
                "neither record of its clock matches its checksum",
            ));
        };
        if self.blocks_missing() > 0 {
            let fault = format!("it was cut off: {} blocks of {}", self.blocks, recorded.blocks);
            return Err(Self::damaged(path, fault));
        }
        if self.odd_bytes != 0 && self.header.closed() == Closed::Clean {
            return Err(Self::damaged(
                path,
                format!("{} bytes follow its last block", self.odd_bytes),
            ));
        }
        Ok(recorded)
    }

    /// The blocks in use and the free ones, when all of them are whole.
    #[expect(clippy::type_complexity, reason = "two lists, taken apart at once")]
    fn blocks(
        &self,
        path: &Path,
        clean: bool,
        now: Now,
    ) -> Result<(Vec<Used>, Vec<(u32, Words)>), StoreError> {
        let (mut used, mut free) = (Vec::new(), Vec::new());
        for number in 0..self.blocks {
            let Some(words) = self.words(number) else { break };
            let layout = match block::layout_of(&words) {
                Ok(Some(layout)) => layout,
                Ok(None) => {
                    free.push((number, words));
                    continue;
                }
                Err(_) => {
                    let fault = format!("the first words of block {number} do not match their checksum");
                    return Err(Self::damaged(path, fault));
                }
            };
            if clean && !block::is_sealed(&words) {
                return Err(Self::damaged(
                    path,
                    format!("block {number} does not match its checksum"),
                ));
            }
            let block = Used {
                number,
                block: Block::new(words, layout),
            };
            if !clean {
                for (index, (cell, serves)) in block.cells().enumerate() {
                    if let Some(fault) = fault_of(cell, serves, now) {
                        return Err(Self::damaged(
                            path,
                            format!("cell {index} of block {number}: {fault}"),
                        ));
                    }
                }
            }
            used.push(block);
        }
        Ok((used, free))
    }
}
