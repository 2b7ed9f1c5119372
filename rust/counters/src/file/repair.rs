//! The repair of a damaged file: a new file with every counter that is whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use callgate_mapped::MappedFile;
use hashbrown::HashSet;

use super::block;
use super::clock::{ClockReading, ClockRecord};
use super::error::StoreError;
use super::header::{Closed, Fixed, Header};
use super::open::{Image, Sizes, beside, create, fault, lock, now_of, open};
use super::recover::{Restart, Serves, Used, fault_of, mend_ledger};
use crate::atomic::Ordering;
use crate::blocks::Block;
use crate::cell::{Cell, Count, Layout};
use crate::cells::{Cells, assign, key_of_cell};
use crate::index::MAX_COUNTERS;
use crate::{CountKey, Period};

/// The result of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Counters in the new file.
    pub kept: usize,
    /// Counters that were damaged and are not in the new file.
    pub dropped: usize,
    /// Counters that were kept from blocks of a closed file that do not match their checksum: it is unknown which of
    /// their words are damaged, so units of any of them may be lost.
    pub doubtful: usize,
    /// Such blocks, whether or not counters were found there.
    pub blocks_doubtful: u32,
    /// Blocks that were truncated, or whose layout was damaged: it is unknown how many counters they held.
    pub blocks_dropped: u32,
    /// Resets that were damaged: the counts that they named are as they were before them.
    pub resets_dropped: usize,
    /// The new path of the damaged file.
    pub set_aside: PathBuf,
}

impl Repaired {
    /// Repairs the file at `path`, which no process may have in use.
    pub fn at(path: &Path, reading: &ClockReading) -> Result<Self, StoreError> {
        let Some(file) = lock(path)? else {
            return Err(StoreError::Missing {
                path: path.to_owned(),
            });
        };
        let image = Image::map(path, &file).map_err(beyond_repair)?;
        let fixed = match image.header.check(path) {
            Err(StoreError::Damaged { path, fault }) => image
                .header
                .salvage()
                .ok_or(StoreError::BeyondRepair { path, fault })?,
            checked => checked?,
        };
        let new = beside(path, "repaired");
        let mut repaired = Self {
            kept: 0,
            dropped: 0,
            doubtful: 0,
            blocks_doubtful: 0,
            blocks_dropped: image.blocks_missing(),
            resets_dropped: 0,
            set_aside: PathBuf::new(),
        };
        repaired.copy_to(&new, &image, &fixed, reading)?;
        repaired.set_aside = set_aside(path, reading)?;
        std::fs::rename(&new, path).map_err(fault(path, "replace"))?;
        MappedFile::sync_folder_of(path).map_err(fault(path, "replace"))?;
        Ok(repaired)
    }

    fn copy_to(
        &mut self,
        new: &Path,
        image: &Image,
        fixed: &Fixed,
        reading: &ClockReading,
    ) -> Result<(), StoreError> {
        // Without a clock that is whole, the latest stamp is the latest moment that is known to have been.
        let engine_us = match image.header.recorded() {
            Some(recorded) => recorded.clock.resume_us(reading),
            None => latest_stamp_us(image).max(reading.boot_us),
        };
        let clock = ClockRecord {
            engine_us,
            reading: *reading,
        };
        let restart = Restart {
            now: now_of(engine_us, reading),
            power_failed: image.power_failed(reading),
        };
        drop(create(new, new, fixed, &clock)?);
        let sizes = Sizes {
            capacity: MAX_COUNTERS,
            per_grant: MAX_COUNTERS,
        };
        let (cells, durable, _) = open(new, sizes, &fixed.hash_key, &|| Ok(*reading))?;
        {
            let flusher = durable.flusher.lock().unwrap_or_else(PoisonError::into_inner);
            for period in Period::ALL {
                flusher.header.raise_reached(period, image.header.reached(period));
            }
            let (resets, damaged) = image.header.resets();
            for reset in &resets {
                flusher.header.write_reset(reset);
            }
            self.resets_dropped = damaged;
            let mut copy = Copy {
                cells: &cells,
                header: &flusher.header,
                restart,
                reopened: HashSet::new(),
            };
            // Open ones first: where a count has moved, it is whole in the cell that it moved to.
            for wanted in [Serves::Count, Serves::Closed] {
                for number in 0..image.blocks {
                    self.copy_block(&mut copy, image, number, wanted)
                        .map_err(|NoRoom| StoreError::NoSpace {
                            path: new.to_owned(),
                            bytes: u64::from(image.blocks + 1) * super::BLOCK_BYTES,
                            source: io::ErrorKind::StorageFull.into(),
                        })?;
                }
            }
        }
        durable.close(&cells, Some(reading))
    }

    fn copy_block(
        &mut self,
        copy: &mut Copy<'_>,
        image: &Image,
        number: u32,
        wanted: Serves,
    ) -> Result<(), NoRoom> {
        let Some(words) = image.words(number) else {
            return Ok(());
        };
        let layout = match block::layout_of(&words) {
            Ok(Some(layout)) => layout,
            Ok(None) => return Ok(()),
            Err(_) => {
                self.blocks_dropped += u32::from(wanted == Serves::Count);
                return Ok(());
            }
        };
        // Only a file that was in use when its process ended has no checksums.
        let is_doubtful = image.header.closed() != Closed::Open && !block::is_sealed(&words);
        self.blocks_doubtful += u32::from(is_doubtful && wanted == Serves::Count);
        let block = Block::new(words, layout);
        for (cell, serves) in (Used { number, block }).cells() {
            let fault = fault_of(cell, serves, copy.restart.now);
            if let (Layout::Calendar(period), Count::Ledger(ledger), None) = (layout, cell.count(), fault) {
                copy.header
                    .raise_reached(period, ledger.clock.load(Ordering::SeqCst));
            }
            match (fault, serves) {
                // Told once, in the first round.
                (Some(_), Serves::Count | Serves::Damaged) => {
                    self.dropped += usize::from(wanted == Serves::Count);
                }
                (None, serves) if serves == wanted => {
                    let is_new = copy.cell(cell, serves)?;
                    self.kept += usize::from(is_new);
                    self.doubtful += usize::from(is_new && is_doubtful);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Renames the damaged file to a new name in the same folder that no file has: the file of an earlier repair may be
/// evidence.
fn set_aside(path: &Path, reading: &ClockReading) -> Result<PathBuf, StoreError> {
    let first = format!("damaged-{}", reading.unix_us / 1_000_000);
    let further = (2..100).map(|number| format!("{first}-{number}"));
    let mut refused = io::ErrorKind::AlreadyExists.into();
    for suffix in std::iter::once(first.clone()).chain(further) {
        let aside = beside(path, &suffix);
        // Under both names for a moment, so that there is a file under `path` all the time; where the file system has
        // no such links there is none for a moment.
        let set = match std::fs::hard_link(path, &aside) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(_) => MappedFile::rename_new(path, &aside),
        };
        match set {
            Ok(true) => return Ok(aside),
            Ok(false) => {}
            Err(error) => {
                refused = error;
                break;
            }
        }
    }
    Err(fault(&beside(path, &first), "set aside")(refused))
}

/// There is no room in the new file.
struct NoRoom;

/// The new file.
struct Copy<'c> {
    cells: &'c Cells,
    header: &'c Header,
    restart: Restart,
    /// Counts that were copied from a closed cell.
    reopened: HashSet<CountKey>,
}

impl Copy<'_> {
    /// Copies a cell; returns true if its count is new in the file. A count that is there already is whole there, or it
    /// is united with the units of this cell, as at the opening of a file: see [`Cells::adopt`] and [`Cells::join`].
    fn cell(&mut self, cell: Cell<'_>, serves: Serves) -> Result<bool, NoRoom> {
        let mut writer = self.cells.lock();
        let key = key_of_cell(cell);
        let is_there = self.cells.place_of(key).is_some();
        if is_there && !self.restart.power_failed && !self.reopened.contains(&key) {
            return Ok(false);
        }
        let (at, new) = self
            .cells
            .allocate(&mut writer, cell.layout())
            .map_err(|_| NoRoom)?;
        // Not the identity and the generation, which `assign` writes last.
        for (to, from) in new.words().zip(cell.words()).skip(4) {
            to.store(from.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        match new.count() {
            Count::Slots(slots) => slots.come_back(),
            Count::Ledger(ledger) => mend_ledger(ledger, self.restart),
        }
        let owner = cell.owner().load(Ordering::SeqCst);
        assign(new, key, owner);
        if is_there {
            self.cells.join(&mut writer, at, self.restart.now);
            return Ok(false);
        }
        self.cells.enter(&mut writer, key, owner, at);
        if serves == Serves::Closed {
            self.reopened.insert(key);
        }
        Ok(true)
    }
}

fn latest_stamp_us(image: &Image) -> u64 {
    let mut latest_us = 0;
    for number in 0..image.blocks {
        let Some(words) = image.words(number) else { break };
        let Ok(Some(layout)) = block::layout_of(&words) else {
            continue;
        };
        let block = Block::new(words, layout);
        for (cell, serves) in (Used { number, block }).cells() {
            if let (Serves::Count, Count::Slots(slots)) = (serves, cell.count()) {
                latest_us = slots.live_stamps(0).fold(latest_us, u64::max);
            }
        }
    }
    latest_us
}

fn beyond_repair(error: StoreError) -> StoreError {
    match error {
        StoreError::Damaged { path, fault } => StoreError::BeyondRepair { path, fault },
        other => other,
    }
}
