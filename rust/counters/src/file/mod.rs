//! Counters in a file: they survive the process, even if it is killed at any moment.
//!
//! The cells are the same words as in memory, mapped from the file, so a decision costs the same and a kill loses
//! nothing: all stores of all threads are in the system's page cache. Once in an interval the pages are written to the
//! disk, so that a power failure loses at most that interval. See `docs/counters.md`.

mod block;
mod clock;
mod error;
mod facts;
mod header;
mod heritage;
mod open;
mod recover;
mod repair;
mod space;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use callgate_mapped::{MappedFile, Owner};

use self::clock::ClockRecord;
use self::header::Header;
pub(crate) use self::header::{RESET_LINES, ResetLine};
use self::space::{BLOCK_BYTES, Extent};
use crate::blocks::BLOCK_WORDS;
use crate::cells::Cells;

pub use clock::ClockReading;
pub use error::StoreError;
pub use facts::Facts;
pub use heritage::{Heritage, InheritedCount, Opener};
pub use repair::Repaired;

pub(crate) use open::{Clocks, Sizes, holder_of, open, open_existing};

/// The file behind a store of counters.
#[derive(Debug)]
pub(crate) struct Durable {
    owner: Owner,
    path: PathBuf,
    file: Arc<MappedFile>,
    extent: Arc<Extent>,
    hash_key: [u8; 16],
    /// Microseconds from the boot clock to the clock of the stamps.
    shift_us: i64,
    /// The engine's time at which the file was opened. A new count admits no call of before.
    opened_us: u64,
    /// The units of shared counts that the last process left, until they are taken.
    heritage: Mutex<Option<Heritage>>,
    /// For the opener alone, who must not wait for a flush.
    header: Header,
    flusher: Mutex<Flusher>,
}

/// The state of the file that only one thread at a time may use.
#[derive(Debug)]
struct Flusher {
    header: Header,
    /// Blocks whose length is known to be on disk.
    synced_blocks: u32,
    /// The last flush failed. The system then regards the pages that it could not write as written, and the next flush
    /// would succeed without them.
    failed: bool,
    closed: bool,
}

impl Durable {
    /// Key of the identities in the file.
    pub(crate) const fn hash_key(&self) -> &[u8; 16] {
        &self.hash_key
    }

    /// Microseconds to add to the boot clock.
    pub(crate) const fn shift_us(&self) -> i64 {
        self.shift_us
    }

    /// The time at which the file was opened, on the clock of the stamps.
    pub(crate) const fn opened_us(&self) -> u64 {
        self.opened_us
    }

    /// Takes what the last process left of counts that it shared.
    pub(crate) fn take_heritage(&self) -> Option<Heritage> {
        let mut heritage = self.heritage.lock().unwrap_or_else(PoisonError::into_inner);
        heritage.take()
    }

    /// Names this process in the file, for the one that opens it next. For one thread at a time.
    pub(crate) fn set_opener(&self, opener: &Opener) {
        if self.is_ours() {
            self.header.set_opener(opener);
        }
    }

    /// Returns true if this process opened the file. A child that it forks must take nothing from the counters and must
    /// take no lock: the lock may be held by a thread that does not exist in the child.
    pub(crate) fn is_ours(&self) -> bool {
        self.owner.is_here()
    }

    /// Returns an error in a forked child.
    pub(crate) fn check_ours(&self) -> Result<(), StoreError> {
        if self.is_ours() {
            return Ok(());
        }
        Err(StoreError::Forked {
            path: self.path.clone(),
            pid: self.owner.pid(),
        })
    }

    /// Returns once everything that was taken before the call is on disk, so that the next start finds it.
    pub(crate) fn flush(&self, cells: &Cells, reading: &ClockReading) -> Result<(), StoreError> {
        self.check_ours()?;
        let mut flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner);
        if flusher.closed {
            return Ok(());
        }
        let unflushed = cells.unflushed();
        // Acquire: pairs with the writer that appended them.
        let blocks = self.extent.blocks.load(Ordering::Acquire);
        let clock = self.record_of(reading);
        flusher.header.record(&clock, flusher.synced_blocks.into());
        if flusher.failed {
            flusher.header.touch();
            for block in (0..blocks).filter_map(|number| cells.blocks.get(number)) {
                block.words().touch();
            }
        }
        let synced = self.file.sync();
        flusher.failed = synced.is_err();
        synced.map_err(self.fault("write"))?;
        if blocks != flusher.synced_blocks {
            // Now the length is on disk. Told before, it might be of a file that turned out shorter.
            flusher.synced_blocks = blocks;
            flusher.header.record(&clock, blocks.into());
        }
        cells.flushed(&unflushed);
        // SeqCst: see `FileSpace`. There may be room again.
        self.extent.shut.store(false, Ordering::SeqCst);
        self.check_place()
    }

    /// Writes resets into free lines of the header; they are on disk when it returns, or an error says that they are not.
    pub(crate) fn write_resets(&self, resets: &[ResetLine]) -> Result<(), StoreError> {
        self.check_ours()?;
        let mut flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner);
        if flusher.closed {
            return Err(self.fault("write")(io::ErrorKind::BrokenPipe.into()));
        }
        for reset in resets {
            flusher.header.write_reset(reset);
        }
        if let Err(error) = self.file.sync() {
            flusher.failed = true;
            for reset in resets {
                flusher.header.clear_reset(reset.line);
            }
            return Err(self.fault("write")(error));
        }
        Ok(())
    }

    /// Makes lines of resets free. They may come back after a power failure.
    pub(crate) fn clear_resets(&self, lines: impl Iterator<Item = usize>) {
        let flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner);
        if !flusher.closed && self.is_ours() {
            lines.for_each(|line| flusher.header.clear_reset(line));
        }
    }

    /// Returns an error if the path leads to another file by now, or to none.
    fn check_place(&self) -> Result<(), StoreError> {
        // A path that cannot be checked now is checked again by the next flush or start.
        if self.file.is_at(&self.path).unwrap_or(true) {
            Ok(())
        } else {
            Err(StoreError::Replaced {
                path: self.path.clone(),
            })
        }
    }

    /// Ends the use of the file by the counters, and marks it as whole; afterwards the counters refuse every take. To
    /// be called once. An error about the file's path is returned after all of that: the next start will not find this
    /// file.
    ///
    /// Without a reading the clock continues from the last flush. That loses nothing, as both of its sides are
    /// recorded.
    pub(crate) fn close(&self, cells: &Cells, reading: Option<&ClockReading>) -> Result<(), StoreError> {
        self.check_ours()?;
        let mut flusher = self.flusher.lock().unwrap_or_else(PoisonError::into_inner);
        if flusher.closed {
            return Ok(());
        }
        flusher.closed = true;
        // SeqCst: before the writer lock, which `close` passes. From then on the file does not grow.
        self.extent.shut.store(true, Ordering::SeqCst);
        cells.close();
        // A thread that is still at work goes on in memory of its own, and finds at its end that it is closed.
        self.file.detach().map_err(self.fault("close"))?;
        let blocks = self.extent.blocks.load(Ordering::Acquire);
        let bytes = (u64::from(blocks) + 1) * BLOCK_BYTES;
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        let all = self.file.map(0, length).map_err(self.fault("close"))?;
        let Some(first) = all.part(0, BLOCK_WORDS) else {
            return Ok(());
        };
        for number in 1..=blocks as usize {
            if let Some(words) = all.part(number * BLOCK_WORDS, BLOCK_WORDS)
                && !matches!(block::layout_of(&words), Ok(None))
            {
                block::seal(&words);
            }
        }
        let header = Header::new(first);
        if let Some(reading) = reading {
            header.record(&self.record_of(reading), blocks.into());
        }
        if flusher.failed {
            all.touch();
        }
        // The checksums first: the mark says that they are there.
        let marked = self.file.sync().and_then(|()| {
            header.set_clean();
            self.file.sync()
        });
        let place = self.check_place();
        // Also after a failure, or the next process could not even check the file.
        self.file.unlock().map_err(self.fault("close"))?;
        marked.map_err(self.fault("write"))?;
        place
    }

    fn record_of(&self, reading: &ClockReading) -> ClockRecord {
        ClockRecord {
            engine_us: reading.boot_us.saturating_add_signed(self.shift_us),
            reading: *reading,
        }
    }

    fn fault(&self, doing: &'static str) -> impl Fn(io::Error) -> StoreError {
        let path = self.path.clone();
        move |source| StoreError::Io {
            path: path.clone(),
            doing,
            source,
        }
    }
}
