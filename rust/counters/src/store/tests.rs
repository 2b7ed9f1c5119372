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
    let counters = Counters::new(1_000, 1_000, &[1; 16]);
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
