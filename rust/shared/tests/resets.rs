//! Counts that are reset over all nodes, with a real Redis.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[expect(dead_code, reason = "each test program uses a part")]
mod support;

use callgate_counters::lease::{SharedResetError, Verdict};
use callgate_counters::{Demand, Sharing};
use support::{Fleet, One, Redis, demand, until};

const SPEC: [u8; 16] = [5; 16];
const OTHER: [u8; 16] = [6; 16];
const MAX: u64 = 4;

/// The calls that a node gets through, which begins with a name from before all resets. Asked again where the store did not
/// answer in time.
fn taken(node: &One, wanted: &Demand, calls: usize) -> usize {
    let mut taken = 0;
    for _ in 0..calls {
        let mut counted = node.ask_named(wanted, SPEC);
        until(|| {
            if counted.verdict == Verdict::Unavailable {
                counted = node.ask_named(wanted, SPEC);
            }
            counted.verdict != Verdict::Unavailable
        });
        if counted.verdict == Verdict::Granted {
            taken += 1;
            counted.taken.spend();
        }
    }
    taken
}

fn count() -> Demand {
    demand(21, 60_000, MAX, Sharing::Strict)
}

#[test]
fn a_reset_is_for_all_nodes_and_for_later_ones() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 2);
    let wanted = count();
    assert_eq!(taken(fleet.node(0), &wanted, 6), 4);
    fleet.node(0).reset(OTHER).unwrap();
    assert_eq!(taken(fleet.node(1), &wanted, 1), 0, "the count of another limit");
    for _ in 0..2 {
        fleet.node(0).reset(SPEC).unwrap();
        // The other node does not know of it.
        assert_eq!(taken(fleet.node(1), &wanted, 3), 3);
        assert_eq!(taken(fleet.node(0), &wanted, 3), 1);
        let late = Fleet::start(&redis, 1);
        assert_eq!(
            taken(late.node(0), &wanted, 2),
            0,
            "it asks which resets there are"
        );
    }
}

#[test]
fn a_share_of_before_is_not_one_of_after() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 2);
    let wanted = demand(22, 60_000, 40, Sharing::Leased);
    assert!(fleet.node(0).call(&wanted) && fleet.node(1).call(&wanted));
    fleet.node(0).reset(SPEC).unwrap();
    for node in 0..2 {
        // The node that did not make the reset learns of it with its next renewal, without a call.
        let knows = || fleet.node(node).knows_resets();
        assert!(until(knows), "node {node}");
    }
    let counted = fleet.node(1).ask_named(&wanted, SPEC);
    assert_eq!(counted.verdict, Verdict::Granted);
    assert_ne!(counted.keys, [wanted.key]);
}

#[test]
fn resets_are_brought_to_a_store_that_has_lost_them() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 2);
    let wanted = count();
    fleet.node(0).reset(SPEC).unwrap();
    assert_eq!(taken(fleet.node(1), &wanted, 1), 1);
    let lines = || {
        let fields = redis.run(&["HKEYS", "callgate:1:{p}"]);
        fields.lines().filter(|line| line.starts_with("r:")).count()
    };
    assert_eq!(lines(), 1);
    redis.run(&["FLUSHALL"]);
    // Whoever asks first brings them, before anything is taken.
    assert!(until(|| fleet.node(0).ask_named(&wanted, SPEC).verdict
        != Verdict::Unavailable
        || lines() == 1));
    assert!(until(|| lines() == 1));
    let late = Fleet::unready(&redis, 1);
    assert!(until(|| late.node(0).knows_resets()));
}

#[test]
fn a_reset_without_a_store_is_an_error() {
    let mut redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 1);
    redis.kill();
    assert!(until(|| fleet.node(0).fault().is_some()));
    assert_eq!(fleet.node(0).reset(SPEC), Err(SharedResetError::Away));
    assert!(!fleet.node(0).knows_resets());
    redis.restart();
    assert!(until(|| fleet.node(0).reset(SPEC).is_ok()));
}

#[test]
fn what_cannot_be_read_is_a_fault_and_admits_nothing() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 1);
    redis.run(&["HSET", "callgate:1:{p}", "resets", "x", "r:no", "5"]);
    let wanted = count();
    assert!(until(|| {
        let verdict = fleet.node(0).ask_named(&wanted, SPEC).verdict;
        assert_ne!(verdict, Verdict::Granted);
        fleet
            .node(0)
            .fault()
            .is_some_and(|fault| fault.contains("cannot be read"))
    }));
    redis.run(&["HDEL", "callgate:1:{p}", "r:no"]);
    assert!(until(|| fleet.node(0).call(&wanted)));
}
