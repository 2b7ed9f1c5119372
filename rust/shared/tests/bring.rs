//! Units that were counted elsewhere before, with a real Redis.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[expect(dead_code, reason = "each test program uses a part")]
mod support;

use callgate_counters::lease::{BringError, Brought};
use callgate_counters::{Demand, Sharing};
use support::{Fleet, Redis, demand, until};

const ADDED: Brought = Brought { added: 1, known: 0 };
const KNOWN: Brought = Brought { added: 0, known: 1 };

fn admitted(fleet: &Fleet, wanted: &Demand) -> usize {
    (0..10)
        .map(|call| usize::from(fleet.node(call % fleet.len()).call(wanted)))
        .sum()
}

#[test]
fn units_of_a_source_are_added_once() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 2);
    for sharing in [Sharing::Strict, Sharing::Leased] {
        let wanted = demand(31, 60_000, 8, sharing);
        assert_eq!(fleet.node(0).bring("a", &wanted, &[10, 20_000]), Ok(ADDED));
        assert_eq!(fleet.node(1).bring("a", &wanted, &[10, 20_000]), Ok(KNOWN));
        assert_eq!(fleet.node(1).bring("b", &wanted, &[5]), Ok(ADDED));
        assert!(admitted(&fleet, &wanted) <= 5, "{sharing:?}");
        redis.run(&["DEL", &format!("callgate:1:{{p}}:c:{:032x}", wanted.key.0)]);
        redis.run(&["DEL", &format!("callgate:1:{{p}}:l:{:032x}", wanted.key.0)]);
    }
}

#[test]
fn units_end_at_their_age_beside_those_that_are_there() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 1);
    let wanted = demand(32, 2_000, 3, Sharing::Strict);
    assert!(fleet.node(0).call(&wanted));
    // One that has ended, one that ends soon, and one more than there is room for.
    assert_eq!(
        fleet.node(0).bring("a", &wanted, &[2_500, 1_500, 0, 0]),
        Ok(ADDED)
    );
    assert!(!fleet.node(0).call(&wanted));
    assert!(until(|| fleet.node(0).call(&wanted)));
}

#[test]
fn without_a_store_nothing_is_added() {
    let mut redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 1);
    let wanted = demand(33, 60_000, 3, Sharing::Strict);
    redis.kill();
    assert!(until(|| fleet.node(0).fault().is_some()));
    assert_eq!(fleet.node(0).bring("a", &wanted, &[0]), Err(BringError::Away));
    redis.restart();
    assert!(until(|| fleet.node(0).bring("a", &wanted, &[0]).is_ok()));
}
