//! Resets: what is left of them after a restart, a kill, damage.

use std::fs;

use callgate_counters::{
    Counters, Demand, Facts, KeyHasher, Micros, PepId, Repaired, ReservationId, ReservationLimits,
    Reservations, ResetTarget, SpecDigest, StoreError,
};

use crate::support::{Machine, WINDOW_US, slots};

const SPEC: SpecDigest = [9; 16];

/// The count of a grant under the resets in force.
fn count(counters: &Counters, grant: &str) -> Demand {
    let mut hasher = KeyHasher::new(counters.hash_key().unwrap(), &SPEC);
    hasher.str(grant);
    if let Some(resets) = counters.resets() {
        hasher.reset(resets.number(&SPEC, Some(grant), None));
    }
    Demand::new(hasher.finish(), slots(0, 3).shape, Micros::ONE)
}

fn exhaust(machine: &Machine, counters: &Counters, grant: &str) -> u64 {
    let count = count(counters, grant);
    (0..10)
        .take_while(|_| {
            counters
                .take(&mut [count.clone()], grant, machine.now(counters))
                .is_ok()
        })
        .count() as u64
}

fn reset(machine: &Machine, counters: &Counters, grant: Option<&str>) {
    let target = ResetTarget {
        spec: Some(&SPEC),
        grant,
        tool: None,
    };
    counters.reset(&[target], machine.now(counters)).unwrap();
}

#[test]
fn a_reset_holds_after_a_restart_and_after_a_kill() {
    let mut machine = Machine::new();
    let counters = machine.open();
    for grant in ["g", "h"] {
        assert_eq!(exhaust(&machine, &counters, grant), 3);
    }
    machine.pass(1_000);
    reset(&machine, &counters, Some("g"));
    assert_eq!(exhaust(&machine, &counters, "g"), 3);
    assert_eq!(exhaust(&machine, &counters, "h"), 0, "not named");
    let killed = machine.copy("killed");
    drop(counters);
    for path in [machine.path(), killed] {
        let counters = machine.open_at(&path).unwrap();
        assert_eq!(counters.resets_len(), 1);
        for grant in ["g", "h"] {
            assert_eq!(exhaust(&machine, &counters, grant), 0, "{grant}");
        }
        reset(&machine, &counters, None);
        assert_eq!(counters.resets_len(), 1, "the wider one replaces the other");
        for grant in ["g", "h"] {
            assert_eq!(exhaust(&machine, &counters, grant), 3, "{grant}");
        }
    }
}

#[test]
fn a_start_forgets_resets_of_grants_without_units() {
    let mut machine = Machine::new();
    let counters = machine.open();
    for grant in ["g", "h"] {
        assert_eq!(exhaust(&machine, &counters, grant), 3);
        reset(&machine, &counters, Some(grant));
    }
    machine.pass(WINDOW_US);
    assert_eq!(exhaust(&machine, &counters, "h"), 3);
    drop(counters);
    let counters = machine.open();
    assert_eq!(counters.resets_len(), 1);
    assert_eq!(exhaust(&machine, &counters, "h"), 0);
    assert_eq!(exhaust(&machine, &counters, "g"), 3);
    drop(counters);
    assert_eq!(machine.open().resets_len(), 1, "the other one is gone for good");
}

#[test]
fn a_roll_back_gives_nothing_to_the_new_count() {
    let mut machine = Machine::new();
    let counters = machine.open();
    let reservations = Reservations::new(30_000, ReservationLimits::in_all(8), &[1; 16]);
    let (id, pep) = (ReservationId::new(5), PepId(0));
    let mut reserved = [count(&counters, "g")];
    counters.take(&mut reserved, "g", machine.now(&counters)).unwrap();
    reservations.open(id, pep, "g", &reserved, machine.now(&counters));
    reset(&machine, &counters, Some("g"));
    assert_eq!(exhaust(&machine, &counters, "g"), 3);
    machine.pass(1_000);
    assert!(reservations.roll_back(id, pep, &counters, machine.now(&counters)));
    assert_eq!(exhaust(&machine, &counters, "g"), 0);
}

#[test]
fn damaged_resets_are_refused_and_a_repair_tells_of_them() {
    let machine = Machine::new();
    let counters = machine.open();
    assert_eq!(exhaust(&machine, &counters, "g"), 3);
    reset(&machine, &counters, Some("g"));
    assert_eq!(exhaust(&machine, &counters, "g"), 3);
    reset(&machine, &counters, Some("h"));
    assert_eq!(exhaust(&machine, &counters, "h"), 3);
    drop(counters);
    let whole = fs::read(machine.path()).unwrap();
    // The first word of the first line of resets.
    let first = 40 * 8;
    assert_ne!(whole[first..first + 8], [0; 8]);
    let facts = Facts::read(&machine.path()).unwrap();
    assert_eq!((facts.resets, facts.resets_damaged), (2, 0));
    let mut bytes = whole.clone();
    bytes[first] ^= 1;
    fs::write(machine.path(), bytes).unwrap();
    let facts = Facts::read(&machine.path()).unwrap();
    assert_eq!((facts.resets, facts.resets_damaged), (1, 1));
    let error = machine.try_open().unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("1 of its resets"), "{error}");
    let repaired = Repaired::at(&machine.path(), &machine.reading()).unwrap();
    assert_eq!((repaired.resets_dropped, repaired.dropped), (1, 0));
    let counters = machine.open();
    assert_eq!(counters.resets_len(), 1);
    assert_eq!(exhaust(&machine, &counters, "h"), 0, "its reset was kept");
}

#[test]
fn a_line_without_a_checksum_is_free() {
    let machine = Machine::new();
    let counters = machine.open();
    assert_eq!(exhaust(&machine, &counters, "g"), 3);
    reset(&machine, &counters, Some("g"));
    let killed = machine.copy("killed");
    // As a kill leaves it before the last word is written.
    let mut bytes = fs::read(&killed).unwrap();
    bytes[47 * 8..48 * 8].fill(0);
    fs::write(&killed, bytes).unwrap();
    let counters = machine.open_at(&killed).unwrap();
    assert_eq!(counters.resets_len(), 0);
    assert_eq!(exhaust(&machine, &counters, "g"), 0);
    reset(&machine, &counters, Some("g"));
    drop(counters);
    assert_eq!(machine.open_at(&killed).unwrap().resets_len(), 1);
}
