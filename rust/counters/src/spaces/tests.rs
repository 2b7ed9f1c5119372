use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::Period;

fn layouts() -> [Layout; 4] {
    [
        // The most cells of a block, the fewest, and a calendar.
        Layout::Slots {
            window_us: 5,
            slots: 1,
        },
        Layout::Slots {
            window_us: 5,
            slots: 256,
        },
        Layout::Sliding { window_us: 7 },
        Layout::Calendar(Period::Day),
    ]
}

#[test]
fn the_map_has_a_bit_for_every_cell() {
    let most = layouts().into_iter().map(cells_per_block).max();
    assert_eq!(most, Some(909));
    // One beyond the last as well: a round over a block ends there.
    assert!(most.is_some_and(|most| (most as usize) < MAP_WORDS * 64));
}

#[test]
fn a_calendar_is_remembered_without_blocks() {
    let (mut spaces, day) = (Spaces::default(), Layout::Calendar(Period::Day));
    spaces.add(0, day);
    spaces.add(1, Layout::Sliding { window_us: 7 });
    spaces.raise_floor_period(day, 9);
    assert_eq!(spaces.take_empty(9), [1, 0]);
    assert_eq!(
        (spaces.floor_period(day), spaces.layouts(), spaces.blocks()),
        (9, 1, 0)
    );
}

#[derive(Clone, Debug)]
enum Step {
    Take(usize),
    GiveBack(usize),
    Add(usize),
    TakeEmpty(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..4_usize).prop_map(Step::Take),
        6 => any::<usize>().prop_map(Step::GiveBack),
        2 => (0..4_usize).prop_map(Step::Add),
        1 => (1..4_usize).prop_map(Step::TakeEmpty),
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    #[test]
    fn every_cell_is_free_or_in_use(steps in steps()) {
        let mut spaces = Spaces::default();
        // By block: its layout, and the cells in use.
        let mut model: BTreeMap<u32, (Layout, BTreeSet<u32>)> = BTreeMap::new();
        let mut next_block = 0;
        for step in steps {
            match step {
                Step::Add(which) => {
                    model.insert(next_block, (layouts()[which], BTreeSet::new()));
                    spaces.add(next_block, layouts()[which]);
                    next_block += 1;
                }
                Step::Take(which) => {
                    let layout = layouts()[which];
                    let room = model.iter_mut().find(|(_, (of, used))| {
                        *of == layout && used.len() < cells_per_block(layout) as usize
                    });
                    let expected = room.map(|(&block, (_, used))| {
                        let cell = (0..cells_per_block(layout)).find(|cell| !used.contains(cell)).unwrap();
                        used.insert(cell);
                        CellRef { block, cell }
                    });
                    prop_assert_eq!(spaces.take(layout), expected);
                }
                Step::GiveBack(which) => {
                    let used: Vec<_> = in_use(&model).collect();
                    if !used.is_empty() {
                        let at = used[which % used.len()];
                        model.get_mut(&at.block).unwrap().1.remove(&at.cell);
                        spaces.give_back(at);
                    }
                }
                Step::TakeEmpty(most) => {
                    let empty = model.iter().rev().filter(|(_, (_, used))| used.is_empty());
                    let expected: Vec<u32> = empty.map(|(block, _)| *block).take(most).collect();
                    for block in &expected {
                        model.remove(block);
                    }
                    prop_assert_eq!(spaces.take_empty(most), expected);
                }
            }
            let (mut hand, mut found) = (Hand::default(), Vec::new());
            for _ in 0..spaces.round() {
                found.extend(spaces.next_used(&mut hand));
            }
            prop_assert!(found.into_iter().eq(in_use(&model)), "a round passes each once");
            let layouts: BTreeSet<[u64; 3]> = model.values().map(|(layout, _)| layout.to_words()).collect();
            prop_assert_eq!((spaces.layouts(), spaces.blocks()), (layouts.len(), model.len()));
        }
    }
}

fn in_use(model: &BTreeMap<u32, (Layout, BTreeSet<u32>)>) -> impl Iterator<Item = CellRef> {
    let cells = |(&block, (_, used)): (&u32, &(Layout, BTreeSet<u32>))| {
        used.iter()
            .map(move |&cell| CellRef { block, cell })
            .collect::<Vec<_>>()
    };
    model.iter().flat_map(cells)
}
