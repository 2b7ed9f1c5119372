//! Clocks that step, and boots that end.

use callgate_counters::Period;

use crate::support::{HOUR_US, Machine, UNIX_US, WINDOW_US, calendar, ledger, slots};

/// Runs a restart between two exhausted counts and says how much is free after it.
fn free_after(change: impl Fn(&mut Machine)) -> [u64; 2] {
    let mut machine = Machine::new();
    let counters = machine.open();
    let counts = [slots(1, 10), ledger(2, 10)];
    for count in &counts {
        assert_eq!(machine.exhaust(&counters, count), 10);
    }
    counters.flush(&machine.reading()).unwrap();
    drop(counters);
    change(&mut machine);
    let counters = machine.open();
    counts.map(|count| machine.exhaust(&counters, &count))
}

#[test]
fn a_step_of_the_wall_clock_while_down_refills_nothing() {
    assert_eq!(free_after(|machine| machine.unix_us += 24 * HOUR_US), [0, 0]);
    assert_eq!(free_after(|machine| machine.unix_us -= 24 * HOUR_US), [0, 0]);
    let step_and_pass = |machine: &mut Machine| {
        machine.unix_us -= 24 * HOUR_US;
        machine.pass(WINDOW_US);
    };
    assert_eq!(free_after(step_and_pass), [10, 10], "and freezes nothing");
}

#[test]
fn a_reboot_continues_the_windows() {
    let reboot = |down_us: u64, up_us: u64| {
        move |machine: &mut Machine| {
            machine.pass(down_us);
            (machine.boot, machine.boot_us) = (machine.boot + 1, up_us);
        }
    };
    assert_eq!(free_after(reboot(WINDOW_US / 2, 1_000_000)), [0, 0]);
    assert_eq!(free_after(reboot(WINDOW_US, 1_000_000)), [10, 10]);
    // The wall clock lost its battery: nobody knows how long the machine was down.
    let no_battery = |machine: &mut Machine| {
        (machine.boot, machine.boot_us, machine.unix_us) = (2, WINDOW_US, 0);
    };
    assert_eq!(free_after(no_battery), [0, 0]);
}

#[test]
fn a_container_that_starts_anew_refills_nothing() {
    // Its runtime gives it another id each time, while the boot clock is the host's and long past every window.
    let start = |down_us: u64| {
        move |machine: &mut Machine| {
            machine.pass(down_us);
            machine.boot += 1;
        }
    };
    assert_eq!(free_after(start(WINDOW_US / 2)), [0, 0]);
    assert_eq!(free_after(start(WINDOW_US)), [10, 10]);
    // On another host, whose uptime says nothing.
    let elsewhere = |boot_us: u64| {
        move |machine: &mut Machine| {
            machine.pass(WINDOW_US / 2);
            (machine.boot, machine.boot_us) = (2, boot_us);
        }
    };
    assert_eq!(free_after(elsewhere(HOUR_US / 2)), [0, 0]);
    assert_eq!(free_after(elsewhere(100 * HOUR_US)), [0, 0]);
}

#[test]
fn the_engines_clock_never_goes_back() {
    let mut machine = Machine::new();
    let mut before = 0;
    for (boot, boot_us, unix_us) in [
        (1, HOUR_US, UNIX_US),
        (1, 2 * HOUR_US, 0),
        (2, 5, 0),
        (2, 3, UNIX_US),
        (3, 0, 0),
        (3, HOUR_US, 9 * UNIX_US / 10),
    ] {
        (machine.boot, machine.boot_us, machine.unix_us) = (boot, boot_us, unix_us);
        let counters = machine.open();
        let now = machine.now(&counters).look_us();
        assert!(now >= before, "{now} after {before}");
        before = now;
        counters.close(&machine.reading()).unwrap();
    }
}

#[test]
fn a_wall_clock_set_back_reopens_no_budget_across_restarts() {
    for idle in [false, true] {
        let mut machine = Machine::new();
        let (count, other) = (calendar(1, Period::Day, 5), calendar(2, Period::Day, 5));
        let counters = machine.open();
        machine.pass(30 * HOUR_US);
        assert_eq!(machine.exhaust(&counters, &count), 5);
        machine.pass(24 * HOUR_US);
        // The next day the budget is new, and used up as well, or its cell was given up.
        if idle {
            machine.pass(24 * HOUR_US);
            counters.sweep(machine.now(&counters), 100_000);
            assert!(counters.is_empty());
        } else {
            assert_eq!(machine.exhaust(&counters, &count), 5);
        }
        drop(counters);
        // Back to the day of the first calls, twice over restarts.
        machine.unix_us = UNIX_US + 30 * HOUR_US;
        for restart in 0..3 {
            let counters = machine.open();
            let free = machine.exhaust(&counters, &count);
            // Nothing was taken in the latest period that was reached; what is taken now counts for that one.
            assert_eq!(free, if idle && restart == 0 { 5 } else { 0 });
            if !idle {
                assert_eq!(
                    machine.exhaust(&counters, &other),
                    if restart == 0 { 5 } else { 0 }
                );
            }
        }
    }
}
