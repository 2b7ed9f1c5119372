//! A file of counters that several stores of this process share, on a clock that is set by hand.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use callgate_counters::{
    ClockReading, CountKey, CountShape, Counters, Demand, Micros, Now, Period, ReadClocks, Refusal,
    StoreError, Window,
};
use tempfile::TempDir;

pub(crate) const WINDOW_US: u64 = 60_000_000;
const START_US: u64 = 3_600_000_000;
/// 2026-11-21 00:00 UTC.
const UNIX_US: u64 = 1_795_219_200_000_000;

pub(crate) struct Machine {
    folder: TempDir,
    boot_us: Arc<AtomicU64>,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            boot_us: Arc::new(AtomicU64::new(START_US)),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("counters")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("counters.sock")
    }

    pub(crate) fn pass(&self, us: u64) {
        self.boot_us.fetch_add(us, Ordering::SeqCst);
    }

    pub(crate) fn reading(&self) -> ClockReading {
        reading_at(self.boot_us.load(Ordering::SeqCst))
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            boot_ns: self.boot_us.load(Ordering::SeqCst) * 1_000,
            unix_offset_us: UNIX_US.cast_signed(),
        }
    }

    pub(crate) fn share(&self) -> Counters {
        self.try_share().unwrap()
    }

    pub(crate) fn try_share(&self) -> Result<Counters, StoreError> {
        let boot_us = Arc::clone(&self.boot_us);
        let clocks = ReadClocks::new(move || Ok(reading_at(boot_us.load(Ordering::SeqCst))));
        Counters::open_shared(&self.path(), 1_000, 100, &[7; 16], clocks)
    }

    /// Opens the file for one process alone.
    pub(crate) fn open(&self) -> Counters {
        Counters::open(&self.path(), 1_000, 100, &[7; 16], || Ok(self.reading())).unwrap()
    }

    pub(crate) fn close(&self, counters: &Counters) {
        counters.close(&self.reading()).unwrap();
    }

    pub(crate) fn take(&self, counters: &Counters, demand: &Demand) -> Result<u64, Refusal> {
        counters.take(&mut [demand.clone()], "g", self.now())
    }

    pub(crate) fn remaining(&self, counters: &Counters, demand: &Demand) -> u64 {
        let mut demands = [demand.clone()];
        assert!(counters.look(&mut demands, self.now()));
        demands[0].view.remaining.0 / Micros::ONE.0
    }
}

fn reading_at(boot_us: u64) -> ClockReading {
    ClockReading {
        boot_id: [1; 16],
        boot_us,
        unix_us: UNIX_US + boot_us,
    }
}

fn demand(key: u128, window: Window, max: u64, whole_units: bool) -> Demand {
    let shape = CountShape {
        window,
        max: Micros(max * Micros::ONE.0),
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

pub(crate) fn calendar(key: u128, max: u64) -> Demand {
    demand(key, Window::Calendar(Period::Minute), max, true)
}
