//! Data and faults of all entries of a policy.

use super::conflict::Entry;
use super::limit::PlacedLimit;
use super::read::{Content, DocumentError, Member, Position, Read};
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
    /// Places of misspelt fields and of their plain values, whose one fault is the name.
    misspelt: Vec<Position>,
}

impl Collected {
    /// The value; `None` if it has a fault, which is kept.
    pub(super) fn read<T>(&mut self, read: Read<T>) -> Option<T> {
        read.map_err(|fault| self.fault(fault)).ok()
    }

    /// Keeps a fault.
    pub(super) fn fault(&mut self, fault: DocumentError) {
        if self.faults.len() < MOST && !self.misspelt.contains(&fault.at) {
            self.faults.push(fault);
        }
    }

    /// From now on keeps no fault of a misspelt field itself; those of its elements and members are faults of their own.
    pub(super) fn misspelt(&mut self, member: &Member) {
        self.misspelt.push(member.key_at);
        if !matches!(member.value.content, Content::List(_) | Content::Object(_)) {
            self.misspelt.push(member.value.at);
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
