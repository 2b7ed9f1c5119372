//! Data and faults of all entries of a policy.

use super::conflict::Entry;
use super::limit::PlacedLimit;
use super::read::{DocumentError, Read};
use super::warnings::Warnings;

/// The highest number of faults that are kept; more would not be read.
const MOST: usize = 100;

/// Data of all entries, for checks that need all of them, and every fault: reading goes on behind a fault, so that one does
/// not hide another.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) warnings: Warnings,
    pub(super) limits: Vec<(Entry, PlacedLimit)>,
    faults: Vec<DocumentError>,
}

impl Collected {
    /// The value; `None` if it has a fault, which is kept.
    pub(super) fn read<T>(&mut self, read: Read<T>) -> Option<T> {
        read.map_err(|fault| self.fault(fault)).ok()
    }

    /// Keeps a fault.
    pub(super) fn fault(&mut self, fault: DocumentError) {
        if self.faults.len() < MOST {
            self.faults.push(fault);
        }
    }

    /// The faults, in the order in which they were found.
    pub(super) fn into_faults(self) -> Vec<DocumentError> {
        self.faults
    }

    /// True if no fault was found.
    pub(super) fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }
}
