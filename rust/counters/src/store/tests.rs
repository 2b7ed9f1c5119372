use super::*;
use crate::{CountKey, CountShape, Window};

const WINDOW_US: u64 = 10_000;

/// One unit of a count with this `max`, which no other count of these tests has.
fn demand(max: u64) -> Demand {
    let shape = CountShape {
        window: Window::Sliding { window_us: WINDOW_US },
        max: Micros(max * 1_000_000),
        whole_units: true,
        sharing: crate::Sharing::Local,
    };
    Demand::new(CountKey(max.into()), shape, Micros(1_000_000))
}

#[test]
fn a_block_is_kept_as_long_as_a_call_may_be_reading_it() {
    let counters = Store::new(1_000, 1_000, &[1; 16]);
    let take = |max, us| {
        counters
            .take(&mut [demand(max)], "g", Now::from_unix_us(us))
            .unwrap();
    };
    take(1, 1);
    let call = counters.cells.read();
    counters.sweep(Now::from_unix_us(2 * WINDOW_US), 10);
    assert!(counters.turn(10), "there is room to be had");
    assert_eq!((counters.len(), counters.blocks()), (0, 1));
    for max in 2..20 {
        assert!(!counters.turn(10), "a call may be reading the block");
        take(max, 2 * WINDOW_US);
        assert_eq!(counters.blocks() as u64, max, "no block serves two layouts");
    }
    drop(call);
    let later = counters.cells.read();
    counters.sweep(Now::from_unix_us(4 * WINDOW_US), 100);
    counters.turn(100);
    assert_eq!(counters.blocks(), 18, "the block of before is taken back");
    drop(later);
    while counters.turn(100) {}
    assert_eq!(counters.blocks(), 0);
}

#[test]
fn units_beyond_max_are_taken_and_counted_until_their_window_passes() {
    let counters = Store::new(10, 10, &[1; 16]);
    let now = Now::from_unix_us;
    let mut wanted = demand(5);
    wanted.shape.whole_units = false;
    wanted.cost = Micros(7_000_000);
    let take = |demand: &Demand, at_us| {
        let mut demands = [demand.clone()];
        let taken = counters.take(&mut demands, "g", now(at_us));
        let [demand] = demands;
        (taken.map(|_| ()), demand)
    };
    assert_eq!(take(&wanted, 0).0, Err(Refusal::RateLimited), "no more than max");
    wanted.beyond = true;
    let (taken, demand) = take(&wanted, 0);
    assert_eq!(taken, Ok(()));
    assert_eq!(
        (demand.view.remaining, demand.view.over),
        (Micros(0), Micros(2_000_000))
    );
    let one = Demand {
        cost: Micros::ONE,
        beyond: false,
        ..wanted.clone()
    };
    let (refused, looked) = take(&one, 1);
    assert_eq!(refused, Err(Refusal::RateLimited));
    assert!(looked.view.wait_us <= WINDOW_US + WINDOW_US / 64, "{looked:?}");
    counters.give_back(&demand, now(2));
    assert_eq!(take(&one, 2).0, Ok(()), "a roll-back gives them all back");
    take(&wanted, 3).0.unwrap();
    assert_eq!(take(&one, 2 * WINDOW_US).1.view.over, Micros(0));
}

#[test]
fn a_count_never_overflows() {
    let counters = Store::new(10, 10, &[1; 16]);
    let mut wanted = demand(5);
    wanted.shape.whole_units = false;
    wanted.cost = Micros(u64::MAX / 3);
    wanted.beyond = true;
    let mut take = || counters.take(std::slice::from_mut(&mut wanted), "g", Now::from_unix_us(0));
    for _ in 0..2 {
        take().unwrap();
    }
    assert_eq!(take(), Err(Refusal::RateLimited));
    assert_eq!(take(), Err(Refusal::RateLimited));
}

/// One unit of a count of which this node has shares.
fn leased() -> Demand {
    let mut wanted = demand(10);
    wanted.shape.sharing = crate::Sharing::Leased;
    wanted
}

fn take_at(counters: &Store, wanted: &Demand, us: u64) -> Result<Demand, Refusal> {
    let mut demands = [wanted.clone()];
    let taken = counters.take(&mut demands, "g", Now::from_unix_us(us));
    let [demand] = demands;
    taken.map(|_| demand)
}

const UNIT: u64 = 1_000_000;

#[test]
fn a_leased_count_admits_its_share_and_no_more() {
    let counters = Store::new(10, 10, &[1; 16]);
    let (wanted, now) = (leased(), Now::from_unix_us);
    assert_eq!(take_at(&counters, &wanted, 1).err(), Some(Refusal::RateLimited));
    counters.lend(&wanted, "g", Micros(3 * UNIT), now(2)).unwrap();
    let left: Vec<u64> = (0..3)
        .map(|us| take_at(&counters, &wanted, 3 + us).unwrap().view.remaining.0)
        .collect();
    assert_eq!(left, [2 * UNIT, UNIT, 0]);
    assert_eq!(take_at(&counters, &wanted, 7).err(), Some(Refusal::RateLimited));
    // What is in use cannot be given back, what is free can.
    assert_eq!(
        counters.take_back(wanted.key, Micros(5 * UNIT), now(8)),
        Micros(0)
    );
    let units = counters.leased(wanted.key, now(8)).unwrap();
    assert_eq!(
        units.used.iter().map(|(_, amount)| amount.0).sum::<u64>(),
        3 * UNIT
    );
    let expires = |(left_us, _): &(u64, Micros)| (WINDOW_US - 5..=WINDOW_US + 5).contains(left_us);
    assert!(units.used.iter().all(expires), "{units:?}");
    let later = WINDOW_US + 4;
    assert_eq!(
        counters.take_back(wanted.key, Micros(5 * UNIT), now(later)),
        Micros(2 * UNIT),
        "two of the units have expired"
    );
    assert_eq!(
        take_at(&counters, &wanted, later).err(),
        Some(Refusal::RateLimited)
    );
    assert!(take_at(&counters, &wanted, later + 1).is_ok());
}

#[test]
fn a_share_is_kept_until_it_is_given_back() {
    let counters = Store::new(10, 10, &[1; 16]);
    let (wanted, now) = (leased(), Now::from_unix_us);
    counters.lend(&wanted, "g", Micros(UNIT), now(1)).unwrap();
    counters.sweep(now(9 * WINDOW_US), 10);
    assert_eq!(counters.len(), 1, "its count is not idle");
    take_at(&counters, &wanted, 9 * WINDOW_US).unwrap();
    counters.sweep(now(9 * WINDOW_US), 10);
    assert_eq!(counters.len(), 1, "nor is it when all of its share is in use");
    let later = now(11 * WINDOW_US);
    assert!(!counters.end_share(wanted.key, later), "it has a share");
    let back = counters.take_back(wanted.key, Micros(UNIT), later);
    assert_eq!(back, Micros(UNIT));
    counters.sweep(later, 10);
    assert_eq!(counters.len(), 1, "it may get another one at this moment");
    assert!(counters.end_share(wanted.key, later) && counters.end_share(wanted.key, later));
    counters.sweep(later, 10);
    assert_eq!(counters.len(), 0);
    // The cell serves another count of its kind, with no share.
    let mut other = leased();
    other.key = CountKey(77);
    let last = 12 * WINDOW_US;
    assert!(take_at(&counters, &other, last).is_err());
    counters.lend(&other, "g", Micros(UNIT), now(last)).unwrap();
    assert!(take_at(&counters, &other, last).is_ok());
    assert!(take_at(&counters, &other, last).is_err());
}

#[test]
fn a_strict_count_takes_nothing_here() {
    let counters = Store::new(10, 10, &[1; 16]);
    let mut wanted = leased();
    wanted.shape.sharing = crate::Sharing::Strict;
    wanted.hold = Hold::Remote {
        stamp_us: 5,
        policy: 0,
    };
    let taken = take_at(&counters, &wanted, 1).unwrap();
    assert!(
        matches!(taken.hold, Hold::Remote { stamp_us: 5, .. }),
        "its units stay its own"
    );
    assert_eq!(counters.len(), 0);
}

/// Units of a count with this `max`: of slots, or of a ledger.
fn wanted(max: u64, units: u64) -> Demand {
    Demand {
        cost: Micros(units * 1_000_000),
        ..demand(max)
    }
}

/// The units that are free at this time.
fn free(counters: &Store, max: u64, at_us: u64) -> u64 {
    let mut demands = [demand(max)];
    assert!(counters.look(&mut demands, Now::from_unix_us(at_us)));
    demands[0].view.remaining.0 / 1_000_000
}

const KINDS: [u64; 2] = [10, 1_000];

#[test]
fn units_taken_ahead_are_counted_from_now_on_and_expire_a_window_after_their_end() {
    let now = Now::from_unix_us;
    for max in KINDS {
        let counters = Store::new(10, 10, &[1; 16]);
        let mut early = [wanted(max, 4)];
        counters.take(&mut early, "g", now(0)).unwrap();
        // Units that expire before the end are not free yet.
        let mut too_many = [wanted(max, max - 3)];
        let end_us = 3 * WINDOW_US;
        assert_eq!(
            counters.take_ahead(&mut too_many, "g", now(1), end_us),
            Err(Refusal::RateLimited)
        );
        assert_eq!(free(&counters, max, 1), max - 4, "a refusal takes nothing");
        let mut ahead = [wanted(max, max - 4)];
        assert_eq!(counters.take_ahead(&mut ahead, "g", now(1), end_us), Ok(end_us));
        assert_eq!(free(&counters, max, 1), 0);
        assert_eq!(free(&counters, max, WINDOW_US), 4);
        let late = WINDOW_US / 64;
        assert_eq!(free(&counters, max, end_us + WINDOW_US - 1), 4);
        assert_eq!(free(&counters, max, end_us + WINDOW_US + late), max);
        counters.sweep(now(end_us + WINDOW_US - 1), 100);
        assert_eq!(counters.len(), 1, "a count with units ahead is not idle");
    }
}

#[test]
fn units_are_counted_without_a_break_under_another_time() {
    let now = Now::from_unix_us;
    for max in KINDS {
        let counters = Store::new(10, 10, &[1; 16]);
        let mut demands = [wanted(max, max)];
        counters.take_ahead(&mut demands, "g", now(0), 50_000).unwrap();
        let [mut left] = demands;
        // A part was used by now.
        let mut used = left.split_off(Micros(4_000_000));
        assert_eq!((used.cost.0, left.cost.0), (4_000_000, (max - 4) * 1_000_000));
        assert!(counters.redate(&mut used, 5_000, now(5_000)));
        assert_eq!(free(&counters, max, 5_000), 0);
        assert_eq!(free(&counters, max, 5_000 + WINDOW_US), 4);
        // A part comes back, and the rest stays for longer.
        counters.give_back(&left.split_off(Micros(2_000_000)), now(5_001));
        assert_eq!(free(&counters, max, 5_001), 2);
        assert!(counters.redate(&mut left, 90_000, now(5_002)));
        assert_eq!(free(&counters, max, 50_000 + 2 * WINDOW_US), 6);
        assert_eq!(free(&counters, max, 90_000 + WINDOW_US + WINDOW_US / 64), max);
        // Afterwards the hold is that of the new time.
        counters.give_back(&left, now(60_000));
        assert_eq!(free(&counters, max, 60_000), max);
        assert!(
            !counters.redate(&mut left, 61_000, now(60_001)),
            "nothing is left to be moved"
        );
        assert_eq!(free(&counters, max, 60_001), max);
    }
}

#[test]
fn units_of_a_resized_count_are_found_under_another_time() {
    let now = Now::from_unix_us;
    let counters = Store::new(10, 10, &[1; 16]);
    let mut demands = [wanted(10, 6)];
    counters.take_ahead(&mut demands, "g", now(0), 50_000).unwrap();
    let [mut held] = demands;
    let mut resized = [Demand {
        shape: CountShape {
            max: Micros(400_000_000),
            ..held.shape
        },
        ..wanted(10, 1)
    }];
    counters.take(&mut resized, "g", now(1)).unwrap();
    assert!(counters.redate(&mut held, 2, now(2)));
    let mut looked = resized;
    counters.look(&mut looked, now(2 + WINDOW_US + WINDOW_US / 64));
    assert_eq!(looked[0].view.remaining, Micros(400_000_000));
}

#[test]
fn units_are_not_taken_further_ahead_than_stamps_can_be_told_apart() {
    let counters = Store::new(10, 10, &[1; 16]);
    let now = Now::from_unix_us(7);
    let end_us = 7 + MOST_AHEAD_US;
    let taken = counters.take_ahead(&mut [wanted(10, 1)], "g", now, end_us + 1);
    assert_eq!(taken, Err(Refusal::Unavailable));
    let mut demands = [wanted(10, 1)];
    assert_eq!(counters.take_ahead(&mut demands, "g", now, end_us), Ok(end_us));
    assert!(!counters.redate(&mut demands[0], end_us + 1, now));
}

#[test]
fn units_of_a_share_are_taken_ahead_and_expire_later() {
    let counters = Store::new(10, 10, &[1; 16]);
    let (wanted, now) = (leased(), Now::from_unix_us);
    counters.lend(&wanted, "g", Micros(3 * UNIT), now(2)).unwrap();
    take_at(&counters, &wanted, 3).unwrap();
    let mut demands = [wanted.clone()];
    assert_eq!(counters.take_ahead(&mut demands, "g", now(5), 50_000), Ok(50_000));
    let mut used = counters.leased(wanted.key, now(10)).unwrap().used;
    used.sort_unstable();
    assert_eq!(used.len(), 2);
    let around = |us: u64| WINDOW_US + us - WINDOW_US / 64..=WINDOW_US + us + WINDOW_US / 64;
    assert!(around(0).contains(&used[0].0), "{used:?}");
    assert!(around(50_000).contains(&used[1].0), "{used:?}");
    // They stay in the share until a window after their end.
    let end_us = 50_000 + WINDOW_US;
    assert_eq!(
        counters.take_back(wanted.key, Micros(3 * UNIT), now(end_us - 1)),
        Micros(2 * UNIT)
    );
    let late_us = end_us + WINDOW_US / 64;
    assert_eq!(
        counters.take_back(wanted.key, Micros(3 * UNIT), now(late_us)),
        Micros(UNIT)
    );
}

#[test]
fn calls_and_units_ahead_never_pass_max_together() {
    let now = Now::from_unix_us;
    for max in KINDS {
        let counters = Store::new(10, 10, &[1; 16]);
        let threads = 4;
        let taken: u64 = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|worker| {
                    let counters = &counters;
                    scope.spawn(move || {
                        let mut kept = 0;
                        for round in 0..2_000 {
                            let mut demands = [wanted(max, 1 + round % 2)];
                            let at = now(100);
                            let taken = if worker % 2 == 0 {
                                counters.take_ahead(&mut demands, "g", at, 5_000 + round)
                            } else {
                                counters.take(&mut demands, "g", at)
                            };
                            if taken.is_ok() {
                                let [mut demand] = demands;
                                counters.redate(&mut demand, 3_000, at);
                                if round % 3 == 0 {
                                    counters.give_back(&demand, at);
                                } else {
                                    kept += demand.cost.0 / 1_000_000;
                                }
                            }
                        }
                        kept
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert!(taken <= max && taken + 8 >= max, "{taken} of {max}");
        assert_eq!(free(&counters, max, 200), max - taken);
        assert_eq!(free(&counters, max, 10_000 + WINDOW_US), max);
    }
}
