//! The shared counts that a process leaves to the next one that opens its file.

use callgate_counters::{Counters, Demand, Heritage, Micros, Opener, Sharing};

use crate::support::{Machine, UNIT, WINDOW_US, ledger, slots};

const OPENER: Opener = Opener {
    name: u128::MAX / 3,
    said: 7,
};

fn leased(key: u128) -> Demand {
    let mut demand = ledger(key, 100);
    demand.shape.sharing = Sharing::Leased;
    demand
}

/// Lends units, and takes some of them.
fn lend(machine: &Machine, counters: &Counters, demand: &Demand, lent: u64, taken: u64) {
    let now = machine.now(counters);
    counters.lend(demand, "g", Micros(lent * UNIT), now).unwrap();
    for _ in 0..taken {
        machine.take(counters, demand).unwrap();
    }
}

/// Ends the process, by a kill or not, and opens its file again.
fn reopen(machine: &Machine, counters: Counters, is_killed: bool) -> (Counters, Option<Heritage>) {
    let path = if is_killed {
        machine.copy("killed")
    } else {
        machine.path()
    };
    drop(counters);
    let counters = machine.open_at(&path).unwrap();
    let heritage = counters.take_heritage();
    (counters, heritage)
}

#[test]
fn units_of_shared_counts_are_left_to_the_next_process() {
    for is_killed in [false, true] {
        let mut machine = Machine::new();
        let counters = machine.open();
        assert_eq!(counters.take_heritage(), None, "a new file");
        counters.set_opener(&OPENER);
        let (used, unused, local) = (leased(1), leased(2), slots(3, 10));
        let began_us = machine.now(&counters).look_us();
        lend(&machine, &counters, &used, 10, 3);
        lend(&machine, &counters, &unused, 10, 0);
        machine.take(&counters, &local).unwrap();
        machine.pass(WINDOW_US / 2);
        lend(&machine, &counters, &used, 0, 4);

        let (counters, heritage) = reopen(&machine, counters, is_killed);
        let heritage = heritage.unwrap();
        assert_eq!(heritage.opener, OPENER);
        let [count] = &*heritage.counts else {
            panic!("{heritage:?}")
        };
        assert_eq!((count.key, count.window_us), (used.key, WINDOW_US));
        // Late by a part of a window at most, never early.
        let of = |age_us: u64| began_us + age_us..=began_us + age_us + WINDOW_US / 32 + 1;
        let units = |age_us: u64| {
            let found = count
                .units
                .iter()
                .filter(|(until_us, _)| of(age_us).contains(until_us));
            found.map(|(_, amount)| amount.0).sum::<u64>()
        };
        assert_eq!(
            (units(WINDOW_US), units(WINDOW_US + WINDOW_US / 2)),
            (3 * UNIT, 4 * UNIT),
            "{count:?}"
        );
        // They are nobody's here any more.
        let left = counters
            .leased(used.key, machine.now(&counters))
            .unwrap_or_default();
        assert!(left.used.is_empty() && left.free.0 == 0, "{left:?}");
        assert_eq!(machine.remaining(&counters, &local), 9);
        assert_eq!(counters.take_heritage(), None, "it is taken once");
    }
}

#[test]
fn units_that_have_expired_are_not_left() {
    let mut machine = Machine::new();
    let counters = machine.open();
    counters.set_opener(&OPENER);
    lend(&machine, &counters, &leased(1), 10, 3);
    machine.pass(WINDOW_US + WINDOW_US / 16);
    let (_, heritage) = reopen(&machine, counters, true);
    assert_eq!(heritage.unwrap().counts, []);
}

#[test]
fn nothing_is_left_that_may_be_incomplete() {
    let mut machine = Machine::new();
    let counters = machine.open();
    lend(&machine, &counters, &leased(1), 10, 3);
    let (counters, heritage) = reopen(&machine, counters, false);
    assert_eq!(heritage, None, "a process that shared nothing");

    // The process before the last one: its cells were emptied by the last one.
    counters.set_opener(&OPENER);
    lend(&machine, &counters, &leased(1), 10, 3);
    drop(counters);
    drop(machine.open());
    assert_eq!(machine.open().take_heritage(), None);

    // Of another boot.
    let counters = machine.open();
    counters.set_opener(&OPENER);
    lend(&machine, &counters, &leased(1), 10, 3);
    machine.boot += 1;
    let (_, heritage) = reopen(&machine, counters, false);
    assert_eq!(heritage, None);
}

#[test]
fn the_latest_number_is_left() {
    let machine = Machine::new();
    let counters = machine.open();
    for said in [0, 8, 9] {
        counters.set_opener(&Opener { said, ..OPENER });
    }
    let (_, heritage) = reopen(&machine, counters, true);
    assert_eq!(heritage.unwrap().opener.said, 9);
}
