//! A file of counters in a folder of its own, and the operations of the tests on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use callgate_counters::{
    ClockReading, CountKey, CountShape, Counters, Demand, Micros, Now, Period, Refusal, StoreError, Window,
};
use tempfile::TempDir;

pub(crate) const UNIT: u64 = Micros::ONE.0;
pub(crate) const WINDOW_US: u64 = 60_000_000;
pub(crate) const HOUR_US: u64 = 3_600_000_000;
/// 2026-11-21 00:00 UTC.
pub(crate) const UNIX_US: u64 = 1_795_219_200_000_000;
pub(crate) const BLOCK_BYTES: usize = 64 * 1024;

/// The machine: its clocks, set by hand, and a disk.
pub(crate) struct Machine {
    folder: TempDir,
    pub(crate) boot: u8,
    pub(crate) boot_us: u64,
    pub(crate) unix_us: u64,
    /// Held during a copy or a flush.
    copying: Mutex<()>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            folder: folder(),
            boot: 1,
            boot_us: HOUR_US,
            unix_us: UNIX_US,
            copying: Mutex::new(()),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("counters")
    }

    pub(crate) fn reading(&self) -> ClockReading {
        ClockReading {
            boot_id: [self.boot; 16],
            boot_us: self.boot_us,
            unix_us: self.unix_us,
        }
    }

    /// Advances both clocks.
    pub(crate) fn pass(&mut self, us: u64) {
        self.boot_us += us;
        self.unix_us += us;
    }

    pub(crate) fn try_open(&self) -> Result<Counters, StoreError> {
        self.open_at(&self.path())
    }

    pub(crate) fn open(&self) -> Counters {
        self.try_open().unwrap()
    }

    pub(crate) fn open_at(&self, path: &Path) -> Result<Counters, StoreError> {
        Counters::open(path, 100_000, 100_000, &[7; 16], || Ok(self.reading()))
    }

    /// Returns the time of a decision on these counters.
    pub(crate) fn now(&self, counters: &Counters) -> Now {
        let engine_us = self.boot_us.saturating_add_signed(counters.clock_shift_us());
        Now {
            boot_ns: engine_us * 1_000,
            unix_offset_us: self.unix_us.cast_signed() - engine_us.cast_signed(),
        }
    }

    pub(crate) fn take(&self, counters: &Counters, demand: &Demand) -> Result<u64, Refusal> {
        counters.take(&mut [demand.clone()], "g", self.now(counters))
    }

    /// Takes until a take is refused; returns the number of admitted takes.
    pub(crate) fn exhaust(&self, counters: &Counters, demand: &Demand) -> u64 {
        (0..10_000)
            .take_while(|_| self.take(counters, demand).is_ok())
            .count() as u64
    }

    pub(crate) fn remaining(&self, counters: &Counters, demand: &Demand) -> u64 {
        let mut demands = [demand.clone()];
        counters.look(&mut demands, self.now(counters));
        demands[0].view.remaining.0 / UNIT
    }

    /// Writes the file to disk.
    ///
    /// Never while it is copied: a kill leaves the whole file of one moment, and a copy takes a while. The words that a
    /// count has left are used again only after a flush, so without a flush in between the difference does not show.
    pub(crate) fn flush(&self, counters: &Counters) {
        let _copying = self.copying.lock().unwrap();
        counters.flush(&self.reading()).unwrap();
    }

    /// Makes a copy of the file as a kill at this moment would leave it, under a name of its own.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        let _copying = self.copying.lock().unwrap();
        let copy = self.folder.path().join(name);
        fs::copy(self.path(), &copy).unwrap();
        copy
    }
}

/// Makes a folder, in memory if the system has one there: these tests examine the contents of the file, not the speed
/// of a disk.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

fn demand(key: u128, window: Window, max: u64, whole_units: bool) -> Demand {
    let shape = CountShape {
        window,
        max: Micros(max * UNIT),
        whole_units,
        sharing: callgate_counters::Sharing::Local,
    };
    // Well-mixed identities, as hashing gives them.
    let key = (key + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    Demand::new(CountKey(key), shape, Micros::ONE)
}

pub(crate) fn slots(key: u128, max: u64) -> Demand {
    demand(key, Window::Sliding { window_us: WINDOW_US }, max, true)
}

pub(crate) fn ledger(key: u128, max: u64) -> Demand {
    demand(key, Window::Sliding { window_us: WINDOW_US }, max, false)
}

pub(crate) fn calendar(key: u128, period: Period, max: u64) -> Demand {
    demand(key, Window::Calendar(period), max, true)
}
