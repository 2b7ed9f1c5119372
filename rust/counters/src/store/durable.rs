//! A store in a file.

use std::path::Path;
use std::sync::Arc;

use super::Store;
use crate::Now;
use crate::cells::Cells;
use crate::file::{self, ClockReading, Clocks, Durable, Heritage, Opener, ResetLine, Sizes, StoreError};
use crate::reset_names::{ResetTarget, Resets};
use crate::resets::{ResetError, ResetTable};

impl Store {
    /// Opens the counters in the file at `path`; makes a new file with `hash_key` if there is none.
    pub(crate) fn open(
        path: &Path,
        sizes: Sizes,
        hash_key: &[u8; 16],
        clocks: Clocks<'_>,
    ) -> Result<Self, StoreError> {
        let (store, durable) = Self::opened(file::open(path, sizes, hash_key, clocks)?);
        // No call uses the counters yet. A grant without live counters has nothing that its resets could have left behind.
        store
            .resets
            .forget(&durable, |grant| store.cells.count_of(grant) > 0);
        Ok(store.with(durable))
    }

    /// Like [`Self::open`], for a file that other processes use in turn: it keeps every reset that is in force, so that the
    /// identities which those processes know stay the same. Without a `hash_key` a missing file is an error.
    pub(crate) fn open_to_share(
        path: &Path,
        sizes: Sizes,
        hash_key: Option<&[u8; 16]>,
        clocks: Clocks<'_>,
    ) -> Result<Self, StoreError> {
        let (store, durable) = Self::opened(match hash_key {
            Some(hash_key) => file::open(path, sizes, hash_key, clocks)?,
            None => file::open_existing(path, sizes, clocks)?,
        });
        store.resets.forget(&durable, |_| true);
        Ok(store.with(durable))
    }

    fn opened((cells, durable, lines): (Cells, Durable, Vec<ResetLine>)) -> (Self, Durable) {
        let resets = ResetTable::with_lines(durable.hash_key(), &lines);
        let store = Self {
            cells,
            resets,
            durable: None,
        };
        (store, durable)
    }

    fn with(mut self, durable: Durable) -> Self {
        self.durable = Some(durable);
        self
    }

    /// Returns an error in a child that was forked after the file was opened.
    pub(crate) fn check_ours(&self) -> Result<(), StoreError> {
        self.durable.as_ref().map_or(Ok(()), Durable::check_ours)
    }

    /// Takes what the last process left: see [`crate::Counters::take_heritage`].
    pub(crate) fn take_heritage(&self) -> Option<Heritage> {
        self.durable.as_ref().and_then(Durable::take_heritage)
    }

    /// Names this process in the file: see [`crate::Counters::set_opener`].
    pub(crate) fn set_opener(&self, opener: &Opener) {
        if let Some(durable) = &self.durable {
            durable.set_opener(opener);
        }
    }

    /// Returns the key of the identities in the file; `None` for counters in memory.
    pub(crate) fn hash_key(&self) -> Option<&[u8; 16]> {
        self.durable.as_ref().map(Durable::hash_key)
    }

    /// Returns the microseconds from the boot clock to the clock of the stamps; 0 for counters in memory.
    pub(crate) fn clock_shift_us(&self) -> i64 {
        self.durable.as_ref().map_or(0, Durable::shift_us)
    }

    /// The resets in force, as lines of the file.
    pub(crate) fn reset_lines(&self) -> Vec<ResetLine> {
        self.resets.lines()
    }

    /// The resets that the keys of counts depend on; `None` if there are none.
    #[inline]
    pub(crate) fn resets(&self) -> Option<Arc<Resets>> {
        self.resets.current()
    }

    /// Returns the number of resets in force.
    pub(crate) fn resets_len(&self) -> usize {
        self.resets.len()
    }

    /// Lets the counts that these targets name begin anew: see [`crate::Counters::reset`].
    pub(crate) fn reset(&self, targets: &[ResetTarget<'_>], now: Now) -> Result<(), ResetError> {
        self.resets.reset(targets, self.durable.as_ref(), now)
    }

    /// The time of a call that may have begun before this process opened the file: not before it was opened, since until
    /// then a new count admits nothing.
    pub(crate) fn since_opening(&self, now: Now) -> Now {
        self.durable
            .as_ref()
            .map_or(now, |durable| now.not_before_us(durable.opened_us()))
    }

    /// Returns the number of live counters that a grant has made.
    pub(crate) fn len_of(&self, grant: &str) -> usize {
        self.cells.count_of(self.cells.owner_hash(grant))
    }

    /// Returns once everything that was taken before is on disk. Blocks as long as the disk takes.
    pub(crate) fn flush(&self, reading: &ClockReading) -> Result<(), StoreError> {
        self.durable
            .as_ref()
            .map_or(Ok(()), |durable| durable.flush(&self.cells, reading))
    }

    /// Stops all takes, and marks the file as whole: see [`crate::Counters::close`].
    pub(crate) fn close(&self, reading: Option<&ClockReading>) -> Result<(), StoreError> {
        self.durable
            .as_ref()
            .map_or(Ok(()), |durable| durable.close(&self.cells, reading))
    }
}
