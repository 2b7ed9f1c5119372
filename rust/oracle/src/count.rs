//! Counts as exact logs of admissions (`docs/policy.md` section 4, `docs/counters.md`).

use std::collections::HashMap;

use crate::call::Call;
use crate::window::{Window, period};

/// Live admissions up to which a count is exact whatever its costs (`docs/counters.md`).
const EXACT_ADMISSIONS: usize = 13;

/// A window may be late by this part of itself where a count is not exact.
const LATENESS: u64 = 64;

/// How a count is told from others, and how exact the engine has to be about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) key: String,
    pub(crate) window: Window,
    pub(crate) max: i128,
    /// No lateness is allowed.
    pub(crate) is_exact: bool,
}

#[derive(Clone, Copy, Debug)]
struct Admission {
    stamp_us: u64,
    unix_us: u64,
    units: i128,
}

/// Every admission so far, by count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(HashMap<String, Vec<Admission>>);

/// What a count says of one call, under one reading of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) used: i128,
    /// Until this call's units are free.
    pub(crate) wait_us: u64,
}

impl Log {
    /// What is taken, exactly and at the latest that is allowed.
    pub(crate) fn look(&self, count: &Count, cost: i128, call: &Call) -> (Look, Look) {
        let admissions = self.0.get(&count.key).map_or(&[][..], Vec::as_slice);
        let length_us = match &count.window {
            Window::Calendar(word) => {
                let look = calendar(admissions, word, count.max - cost, call);
                return (look, look);
            }
            Window::Sliding { length_us } => *length_us,
        };
        let now_us = call.boot_ns / 1_000;
        let room = count.max - cost;
        let exact = sliding(admissions, length_us, room, now_us);
        let late_us = length_us + length_us.div_ceil(LATENESS);
        let recent = admissions
            .iter()
            .filter(|admission| now_us < admission.stamp_us.saturating_add(late_us))
            .count();
        if count.is_exact || recent < EXACT_ADMISSIONS {
            return (exact, exact);
        }
        (exact, sliding(admissions, late_us, room, now_us))
    }

    pub(crate) fn take(&mut self, count: &Count, units: i128, call: &Call) {
        self.0.entry(count.key.clone()).or_default().push(Admission {
            stamp_us: call.boot_ns.div_ceil(1_000),
            unix_us: call.unix_us(),
            units,
        });
    }
}

fn sliding(admissions: &[Admission], length_us: u64, room: i128, now_us: u64) -> Look {
    let free_at = |admission: &Admission| admission.stamp_us.saturating_add(length_us);
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
    Look {
        used: used_at(now_us),
        wait_us: enough_at.map_or(0, |at_us| at_us - now_us),
    }
}

fn calendar(admissions: &[Admission], word: &str, room: i128, call: &Call) -> Look {
    let now_us = call.unix_us();
    let (start_us, end_us) = period(word, now_us);
    let used = admissions
        .iter()
        .filter(|admission| admission.unix_us >= start_us)
        .map(|admission| admission.units)
        .sum();
    Look {
        used,
        wait_us: if used > room { end_us - now_us } else { 0 },
    }
}
