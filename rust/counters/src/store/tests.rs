use super::*;
use crate::{CountKey, CountShape, Window};

const WINDOW_US: u64 = 10_000;

/// One unit of a count with this `max`, which no other count of these tests has.
fn demand(max: u64) -> Demand {
    let shape = CountShape {
        window: Window::Sliding { window_us: WINDOW_US },
        max: Micros(max * 1_000_000),
        whole_units: true,
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
