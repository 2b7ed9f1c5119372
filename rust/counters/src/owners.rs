//! The counters of each grant.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use indexmap::IndexSet;

use crate::index::CellRef;

/// The cells of every grant that has any, by the hash of its name.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    owned: HashMap<u64, Owned>,
}

/// The cells of one grant, at least one.
///
/// Small if the grant has one cell: a million grants with a counter each are the most that a store is made for, and a
/// restart rebuilds this map.
#[derive(Debug)]
enum Owned {
    One(CellRef),
    Many(Box<Many>),
}

#[derive(Debug)]
struct Many {
    cells: IndexSet<CellRef, FixedState>,
    /// The position at which [`Owners::next`] continues.
    hand: usize,
}

impl Owners {
    /// Returns the number of a grant's cells.
    pub(crate) fn count(&self, owner: u64) -> usize {
        match self.owned.get(&owner) {
            None => 0,
            Some(Owned::One(_)) => 1,
            Some(Owned::Many(many)) => many.cells.len(),
        }
    }

    /// Adds a cell to those of a grant.
    pub(crate) fn insert(&mut self, owner: u64, at: CellRef) {
        match self.owned.entry(owner) {
            Entry::Vacant(place) => {
                place.insert(Owned::One(at));
            }
            Entry::Occupied(mut place) => match place.get_mut() {
                Owned::One(first) => {
                    let cells = [*first, at].into_iter().collect();
                    place.insert(Owned::Many(Box::new(Many { cells, hand: 0 })));
                }
                Owned::Many(many) => {
                    many.cells.insert(at);
                }
            },
        }
    }

    /// Removes a cell from those of a grant.
    pub(crate) fn remove(&mut self, owner: u64, at: CellRef) {
        let is_last = match self.owned.get_mut(&owner) {
            None => return,
            Some(Owned::One(cell)) => *cell == at,
            Some(Owned::Many(many)) => {
                many.cells.swap_remove(&at);
                many.cells.is_empty()
            }
        };
        if is_last {
            self.owned.remove(&owner);
        }
    }

    /// Returns a cell of a grant, each in its turn.
    pub(crate) fn next(&mut self, owner: u64) -> Option<CellRef> {
        match self.owned.get_mut(&owner)? {
            Owned::One(cell) => Some(*cell),
            Owned::Many(many) => {
                many.hand = (many.hand + 1) % many.cells.len().max(1);
                many.cells.get_index(many.hand).copied()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const fn at(cell: u32) -> CellRef {
        CellRef { block: 7, cell }
    }

    #[test]
    fn grants_have_what_was_given_and_not_taken() {
        let mut owners = Owners::default();
        assert_eq!((owners.count(1), owners.next(1)), (0, None));
        for cell in 0..5 {
            owners.insert(1, at(cell));
            owners.insert(1, at(cell));
            assert_eq!(owners.count(1), cell as usize + 1);
        }
        owners.insert(2, at(9));
        owners.remove(2, at(1));
        assert_eq!((owners.count(2), owners.next(2)), (1, Some(at(9))));
        owners.remove(1, at(3));
        let turns: BTreeSet<u32> = (0..4).filter_map(|_| owners.next(1)).map(|at| at.cell).collect();
        assert_eq!(turns, BTreeSet::from([0, 1, 2, 4]));
        for cell in [0, 1, 2, 4] {
            owners.remove(1, at(cell));
        }
        owners.remove(2, at(9));
        owners.remove(2, at(9));
        assert!(owners.owned.is_empty());
    }

    #[test]
    fn a_grant_with_one_cell_takes_little_room() {
        assert!(size_of::<(u64, Owned)>() <= 24);
    }
}
