//! Single bits that were flipped, one file each: no unit is admitted again unless somebody was told that it may be.

use std::fs;

use callgate_counters::{Counters, Period, Repaired};

use crate::support::{BLOCK_BYTES, Machine, calendar, ledger, slots};

const FLIPS: u64 = 1_000;
/// The words of a cell's header that say whose it is: identity, generation, owner.
const IDENTITY_BYTES: usize = 4 * 8;

fn counts() -> Vec<callgate_counters::Demand> {
    let mut counts = vec![ledger(100, 300), ledger(101, 7), calendar(102, Period::Day, 20)];
    counts.extend((0..40).map(|key| slots(key, 5)));
    counts
}

/// A file with counts of every kind, all used up.
fn filled(machine: &Machine, clean: bool) -> Vec<u8> {
    let counters = machine.open();
    for count in counts() {
        assert!(machine.exhaust(&counters, &count) > 0);
    }
    if clean {
        drop(counters);
    }
    fs::read(machine.path()).unwrap()
}

fn admitted(machine: &Machine, counters: &Counters) -> u64 {
    counts()
        .iter()
        .map(|count| machine.exhaust(counters, count))
        .sum()
}

fn put(machine: &Machine, bytes: &[u8]) {
    // A new file each time: what an earlier case has open stays as it is.
    let _ = fs::remove_file(machine.path());
    fs::write(machine.path(), bytes).unwrap();
}

/// Opens the file with one bit flipped, and repairs it where that is refused. Gives the units that are admitted again
/// though nobody was told.
fn untold(machine: &Machine, bytes: &mut [u8], bit: usize) -> u64 {
    bytes[bit / 8] ^= 1 << (bit % 8);
    put(machine, bytes);
    let mut lost = match machine.try_open() {
        Ok(counters) => admitted(machine, &counters),
        Err(_) => 0,
    };
    put(machine, bytes);
    if let Ok(repaired) = Repaired::at(&machine.path(), &machine.reading()) {
        let told = repaired.dropped + repaired.blocks_dropped as usize + repaired.doubtful;
        let again = admitted(machine, &machine.open());
        lost += if told == 0 { again } else { 0 };
        fs::remove_file(repaired.set_aside).unwrap();
    }
    bytes[bit / 8] ^= 1 << (bit % 8);
    lost
}

/// Numbers below `end`, the same in each run.
fn seeded(end: usize) -> impl Iterator<Item = usize> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % end as u64).unwrap()
    })
}

#[test]
fn no_flip_in_a_closed_file_admits_a_unit_again_untold() {
    let machine = Machine::new();
    let mut bytes = filled(&machine, true);
    let used = 5 * BLOCK_BYTES * 8;
    for bit in seeded(used).take(usize::try_from(FLIPS).unwrap()) {
        assert_eq!(untold(&machine, &mut bytes, bit), 0, "bit {bit}");
    }
}

/// The cells of the file that are in use: where the line of their identity begins.
fn identities(bytes: &[u8]) -> Vec<usize> {
    let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    let blocks = (1..bytes.len() / BLOCK_BYTES).map(|block| block * BLOCK_BYTES);
    let headers = blocks.filter(|block| word(*block) != 0).flat_map(|block| {
        let first = block + 64;
        (0..64).map(move |cell| first + cell * 64)
    });
    // Key and generation are there, and the generation is a small even number below a check.
    headers
        .filter(|&at| word(at) != 0 && word(at + 16) & u64::from(u32::MAX) == 2)
        .collect()
}

#[test]
fn no_flip_in_the_identity_of_a_killed_file_s_counter_admits_a_unit_again_untold() {
    let machine = Machine::new();
    let mut bytes = filled(&machine, false);
    let identities = identities(&bytes);
    assert_eq!(identities.len(), counts().len());
    // Every bit of one generation, then seeded ones of all.
    let generation = (identities[0] + 16) * 8;
    let seeded = seeded(identities.len() * IDENTITY_BYTES * 8).map(|bit| {
        let (cell, bit) = (bit / (IDENTITY_BYTES * 8), bit % (IDENTITY_BYTES * 8));
        identities[cell] * 8 + bit
    });
    let bits: Vec<usize> = (generation..generation + 64)
        .chain(seeded)
        .take(usize::try_from(FLIPS).unwrap())
        .collect();
    for bit in bits {
        assert_eq!(untold(&machine, &mut bytes, bit), 0, "bit {bit}");
    }
}

#[test]
fn a_damaged_free_block_freezes_no_new_counter() {
    let machine = Machine::new();
    let mut bytes = filled(&machine, true);
    let free = (1..bytes.len() / BLOCK_BYTES)
        .find(|block| bytes[block * BLOCK_BYTES..][..8] == [0; 8])
        .unwrap();
    // Behind the line of the block: headers and stamps of cells that nobody uses.
    bytes[free * BLOCK_BYTES + 64..(free + 1) * BLOCK_BYTES].fill(0x7E);
    put(&machine, &bytes);
    let counters = machine.open();
    for key in 500..510 {
        assert_eq!(machine.exhaust(&counters, &slots(key, 7)), 7, "a new counter");
    }
}
