//! Files that are not as they were left.

use std::fs;
use std::path::Path;

use callgate_counters::{Counters, Facts, Period, Repaired, StoreError};
use proptest::prelude::*;

use crate::support::{BLOCK_BYTES, Machine, UNIT, WINDOW_US, calendar, ledger, slots};

/// A file with counts of every kind, all used up; closed or as a kill leaves it.
fn filled(machine: &Machine, clean: bool) -> Vec<u8> {
    let counters = machine.open();
    for count in counts() {
        assert!(machine.exhaust(&counters, &count) > 0);
    }
    if !clean {
        return fs::read(machine.path()).unwrap();
    }
    drop(counters);
    fs::read(machine.path()).unwrap()
}

fn counts() -> Vec<callgate_counters::Demand> {
    let mut counts = vec![ledger(100, 300), ledger(101, 7), calendar(102, Period::Day, 20)];
    counts.extend((0..40).map(|key| slots(key, 5)));
    counts
}

fn admitted(machine: &Machine, counters: &Counters) -> u64 {
    counts()
        .iter()
        .map(|count| machine.exhaust(counters, count))
        .sum()
}

fn open(machine: &Machine, bytes: &[u8]) -> Result<Counters, StoreError> {
    // A new file each time: what an earlier case has open stays as it is.
    let _ = fs::remove_file(machine.path());
    fs::write(machine.path(), bytes).unwrap();
    machine.try_open()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn damage_to_a_closed_file_is_refused_or_harmless(
        places in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        in_use in any::<bool>(),
    ) {
        let machine = Machine::new();
        let mut bytes = filled(&machine, true);
        // Half of the time where something is, or most places would be free blocks.
        let end = if in_use { 5 * BLOCK_BYTES } else { bytes.len() };
        for (place, change) in places {
            bytes[place.index(end)] ^= change;
        }
        match open(&machine, &bytes) {
            Ok(counters) => prop_assert_eq!(admitted(&machine, &counters), 0),
            Err(error) => {
                let named = error.to_string().contains(&machine.path().display().to_string());
                prop_assert!(named, "{}", error);
                prop_assert_eq!(fs::read(machine.path()).unwrap(), bytes, "refused files are left alone");
            }
        }
    }

    #[test]
    fn damage_to_an_open_file_is_no_panic_and_resets_nothing(
        places in prop::collection::vec((0..5 * BLOCK_BYTES, 1_u8..), 1..4),
    ) {
        let machine = Machine::new();
        let mut bytes = filled(&machine, false);
        let damaged = places.len();
        for (place, change) in places {
            bytes[place] ^= change;
        }
        if let Ok(counters) = open(&machine, &bytes) {
            // A damaged word is that of one count; without checksums over what changes all the time its units may be
            // gone, but those of no other count.
            let whole = counts().iter().filter(|count| machine.exhaust(&counters, count) == 0).count();
            prop_assert!(whole >= counts().len() - damaged);
        }
    }

    #[test]
    fn a_file_that_was_cut_off_is_refused(length in 0..17 * BLOCK_BYTES, clean in any::<bool>()) {
        let machine = Machine::new();
        let bytes = filled(&machine, clean);
        let error = open(&machine, &bytes[..length]).unwrap_err();
        prop_assert!(matches!(error, StoreError::Damaged { .. }), "{}", error);
    }

    #[test]
    fn a_repair_keeps_what_is_whole(
        places in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
        clean in any::<bool>(),
    ) {
        let machine = Machine::new();
        let mut bytes = filled(&machine, clean);
        for (place, change) in &places {
            let used = bytes.len().min(5 * BLOCK_BYTES);
            bytes[BLOCK_BYTES + place.index(used - BLOCK_BYTES)] ^= change;
        }
        let _ = fs::remove_file(machine.path());
        fs::write(machine.path(), &bytes).unwrap();
        let repaired = Repaired::at(&machine.path(), &machine.reading()).unwrap();
        prop_assert_eq!(fs::read(&repaired.set_aside).unwrap(), bytes);
        prop_assert!(repaired.dropped + repaired.blocks_dropped as usize <= places.len());
        let counters = machine.open();
        prop_assert!(counters.len() <= repaired.kept);
        if repaired.blocks_dropped == 0 {
            prop_assert!(repaired.kept >= counts().len() - places.len());
        }
    }
}

#[test]
fn one_damaged_cell_is_named_and_a_repair_drops_it_alone() {
    let mut machine = Machine::new();
    let mut bytes = filled(&machine, false);
    // The first cells of the first block in use: forty counts of five slots are in one, 104 bytes each.
    let block = (1..5)
        .find(|block| bytes[block * BLOCK_BYTES + 8] == 1 && bytes[block * BLOCK_BYTES] != 0)
        .unwrap();
    bytes[block * BLOCK_BYTES + 64 + 3 * 64] ^= 1;
    let error = open(&machine, &bytes).unwrap_err().to_string();
    assert!(
        error.contains(&format!("cell 3 of block {}", block - 1)),
        "{error}"
    );
    assert!(error.contains("callgate counters repair"), "{error}");
    machine.pass(1_000_000);
    let repaired = Repaired::at(&machine.path(), &machine.reading()).unwrap();
    assert_eq!((repaired.kept, repaired.dropped), (counts().len() - 1, 1));
    assert_eq!(fs::read(&repaired.set_aside).unwrap(), bytes);
    let counters = machine.open();
    assert_eq!(
        admitted(&machine, &counters),
        5,
        "the units of the one that is gone"
    );
    drop(counters);
    machine.pass(WINDOW_US);
    let sum: u64 = counts().iter().map(|count| count.shape.max.0 / UNIT).sum();
    assert_eq!(
        admitted(&machine, &machine.open()),
        sum - 20,
        "the clock goes on; the day does not turn"
    );
}

#[test]
fn a_file_in_use_is_not_repaired() {
    let machine = Machine::new();
    let counters = machine.open();
    let repair = Repaired::at(&machine.path(), &machine.reading());
    assert!(matches!(repair, Err(StoreError::InUse { .. })), "{repair:?}");
    drop(counters);
    let missing = Repaired::at(Path::new("/nowhere/counters"), &machine.reading());
    assert!(matches!(missing, Err(StoreError::Missing { .. })), "{missing:?}");
}

#[test]
fn a_header_is_repaired_from_its_copy_or_not_at_all() {
    let machine = Machine::new();
    let whole = filled(&machine, true);
    let mut bytes = whole.clone();
    bytes[33] ^= 0x10; // the hash key
    assert!(matches!(open(&machine, &bytes), Err(StoreError::Damaged { .. })));
    let repaired = Repaired::at(&machine.path(), &machine.reading()).unwrap();
    assert_eq!((repaired.kept, repaired.dropped), (counts().len(), 0));
    assert_eq!(admitted(&machine, &machine.open()), 0);

    bytes[BLOCK_BYTES - 33] ^= 0x10;
    assert!(open(&machine, &bytes).is_err());
    let repair = Repaired::at(&machine.path(), &machine.reading());
    assert!(
        matches!(repair, Err(StoreError::BeyondRepair { .. })),
        "{repair:?}"
    );
    assert_eq!(fs::read(machine.path()).unwrap(), bytes);
}

#[test]
fn blocks_that_were_cut_off_are_counted() {
    for clean in [false, true] {
        let machine = Machine::new();
        let bytes = filled(&machine, clean);
        let _ = fs::remove_file(machine.path());
        fs::write(machine.path(), &bytes[..2 * BLOCK_BYTES + 100]).unwrap();
        let facts = Facts::read(&machine.path()).unwrap();
        assert_eq!((facts.blocks, facts.blocks_missing), (1, 15));
        let repaired = Repaired::at(&machine.path(), &machine.reading()).unwrap();
        assert_eq!(repaired.blocks_dropped, 15);
        let facts = Facts::read(&machine.path()).unwrap();
        assert_eq!(facts.blocks_missing, 0);
    }
}

#[test]
fn a_damaged_hint_that_a_count_is_full_refuses_for_no_longer_than_it_is() {
    let mut machine = Machine::new();
    let (counters, count) = (machine.open(), slots(1, 5));
    assert_eq!(machine.exhaust(&counters, &count), 5);
    let mut bytes = fs::read(machine.path()).unwrap();
    drop(counters);
    // The sixth word of the first cell: until when nothing is free.
    let word = BLOCK_BYTES + 64 + 5 * 8;
    assert!(bytes[word..word + 8].iter().any(|byte| *byte != 0));
    bytes[word..word + 8].fill(0xFF);
    let counters = open(&machine, &bytes).unwrap();
    assert_eq!(machine.exhaust(&counters, &count), 0);
    machine.pass(WINDOW_US);
    assert_eq!(machine.exhaust(&counters, &count), 5);
}

#[test]
fn a_second_repair_keeps_what_the_first_set_aside() {
    let machine = Machine::new();
    let first = filled(&machine, true);
    let mut aside = Vec::new();
    for _ in 0..3 {
        // All within one second.
        aside.push(
            Repaired::at(&machine.path(), &machine.reading())
                .unwrap()
                .set_aside,
        );
    }
    assert_eq!(fs::read(&aside[0]).unwrap(), first);
    aside.dedup();
    assert_eq!(aside.len(), 3);
    assert!(aside.iter().all(|path| path.exists()), "{aside:?}");
}
