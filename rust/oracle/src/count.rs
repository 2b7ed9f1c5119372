//! Counts as exact logs of admissions (`docs/policy.md` section 4, `docs/counters.md`).

use std::collections::HashMap;

use crate::call::Call;
use crate::window::{Window, period};

/// Admissions of a window whose units come back within `FINE_LATENESS`, at any cost (`docs/counters.md`).
const FINE_ADMISSIONS: usize = 13;

/// The largest lateness of those, as a fraction of a window.
const FINE_LATENESS: u64 = 5_000_000;

/// The largest lateness of the others, if a count is not exact, as a fraction of a window.
const LATENESS: u64 = 64;

/// The identity of a count, and its required exactness in the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) key: String,
    pub(crate) window: Window,
    pub(crate) max: i128,
    /// Lateness is not allowed.
    pub(crate) is_exact: bool,
}

#[derive(Clone, Copy, Debug)]
struct Admission {
    stamp_us: u64,
    unix_us: u64,
    units: i128,
    /// The units may come back this much late.
    late_us: u64,
}

/// All admissions so far, by count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(HashMap<String, Vec<Admission>>);

/// The state of a count for one call, under one reading of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) used: i128,
    /// The same at the instant of the admission's stamp: a microsecond later if this instant is not a whole
    /// microsecond.
    pub(crate) used_at_stamp: i128,
    /// The time until this call's units are free.
    pub(crate) wait_us: u64,
}

impl Log {
    /// The units taken, exactly and with the largest allowed lateness.
    pub(crate) fn look(&self, count: &Count, cost: i128, call: &Call) -> (Reading, Reading) {
        let admissions = self.0.get(&count.key).map_or(&[][..], Vec::as_slice);
        let length_us = match &count.window {
            Window::Calendar(word) => {
                let look = calendar(admissions, word, count.max - cost, call);
                return (look, look);
            }
            Window::Sliding { length_us } => *length_us,
        };
        let room = count.max - cost;
        (
            sliding(admissions, length_us, false, room, call),
            sliding(admissions, length_us, true, room, call),
        )
    }

    pub(crate) fn take(&mut self, count: &Count, units: i128, call: &Call) {
        let admissions = self.0.entry(count.key.clone()).or_default();
        let stamp_us = call.boot_ns.div_ceil(1_000);
        let late_us = match &count.window {
            Window::Sliding { length_us } if !count.is_exact => {
                let longest_us = length_us + length_us.div_ceil(LATENESS);
                let live = |admission: &&Admission| stamp_us < admission.stamp_us.saturating_add(longest_us);
                let few = admissions.iter().filter(live).count() < FINE_ADMISSIONS;
                length_us.div_ceil(if few { FINE_LATENESS } else { LATENESS })
            }
            _ => 0,
        };
        admissions.push(Admission {
            stamp_us,
            unix_us: unix_stamp_us(call),
            units,
            late_us,
        });
    }
}

/// A sliding window; with `late`, its units come back as late as allowed.
fn sliding(admissions: &[Admission], length_us: u64, late: bool, room: i128, call: &Call) -> Reading {
    let now_us = call.boot_ns / 1_000;
    let free_at = |admission: &Admission| {
        let late_us = if late { admission.late_us } else { 0 };
        admission.stamp_us.saturating_add(length_us + late_us)
    };
    let used_at = |at_us: u64| -> i128 {
        let counts = admissions.iter().filter(|admission| at_us < free_at(admission));
        counts.map(|admission| admission.units).sum()
    };
    let mut ends: Vec<u64> = admissions
        .iter()
        .filter(|admission| admission.units > 0)
        .map(free_at)
        .filter(|end_us| *end_us > now_us)
        .collect();
    ends.sort_unstable();
    let enough_at = std::iter::once(now_us)
        .chain(ends.iter().copied())
        .find(|at_us| used_at(*at_us) <= room);
    Reading {
        used: used_at(now_us),
        used_at_stamp: used_at(call.boot_ns.div_ceil(1_000)),
        wait_us: enough_at.map_or(0, |at_us| at_us - now_us),
    }
}

fn calendar(admissions: &[Admission], word: &str, room: i128, call: &Call) -> Reading {
    let now_us = call.unix_us();
    let stamp_us = unix_stamp_us(call);
    let used_since = |start_us: u64| -> i128 {
        let counts = admissions
            .iter()
            .filter(|admission| admission.unix_us >= start_us);
        counts.map(|admission| admission.units).sum()
    };
    let (start_us, end_us) = period(word, now_us);
    let used = used_since(start_us);
    Reading {
        used,
        used_at_stamp: used_since(period(word, stamp_us).0),
        wait_us: if used > room { end_us - now_us } else { 0 },
    }
}

fn unix_stamp_us(call: &Call) -> u64 {
    call.boot_ns
        .div_ceil(1_000)
        .saturating_add_signed(call.unix_offset_us)
}
