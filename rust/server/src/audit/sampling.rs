//! The choice of plain allows that a signed log keeps.

use std::fmt;

use super::config::EVERY_ALLOW;
use super::record::Record;

/// Random numbers that are taken from the system at once.
const STOCK: usize = 256;

/// Keeps a share of the plain allows, by chance.
///
/// Chance, because a caller who could tell the next kept line would choose its call.
pub(super) struct Sampler {
    logged_of_million: u32,
    numbers: Vec<u32>,
    skipped: u64,
}

impl Sampler {
    /// A sampler for this share; `None` if every line is kept.
    pub(super) fn new(logged_of_million: u32) -> Option<Self> {
        (logged_of_million < EVERY_ALLOW).then(|| Self {
            logged_of_million,
            numbers: Vec::with_capacity(STOCK),
            skipped: 0,
        })
    }

    /// Returns true, and counts it, if the record is left out.
    pub(super) fn skips(&mut self, record: &Record<'_>) -> bool {
        let is_skipped = is_plain_allow(record) && !self.keeps_next();
        self.skipped += u64::from(is_skipped);
        is_skipped
    }

    /// The records that were left out so far.
    pub(super) const fn skipped(&self) -> u64 {
        self.skipped
    }

    fn keeps_next(&mut self) -> bool {
        if self.numbers.is_empty() {
            let mut bytes = [0; 4 * STOCK];
            // Without chance every line is kept.
            if getrandom::fill(&mut bytes).is_err() {
                return true;
            }
            let fours = bytes.as_chunks::<4>().0;
            self.numbers
                .extend(fours.iter().map(|four| u32::from_ne_bytes(*four)));
        }
        let number = self.numbers.pop().unwrap_or_default();
        // Scaled, so that every share is met but for one in four thousand million.
        (u64::from(number) * u64::from(EVERY_ALLOW)) >> 32 < u64::from(self.logged_of_million)
    }
}

/// Returns true for an allow that nothing distinguishes: no person, no shadowed refusal, no units above a limit.
fn is_plain_allow(record: &Record<'_>) -> bool {
    record.outcome == "allow"
        && record.shadow.is_none()
        && record.approval.is_empty()
        && record.limits.iter().all(|limit| limit.over_micros == 0)
}

// Without the numbers.
impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler")
            .field("logged_of_million", &self.logged_of_million)
            .field("skipped", &self.skipped)
            .finish_non_exhaustive()
    }
}
