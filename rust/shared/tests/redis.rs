//! Nodes that share counts through a real Redis: never more than `max` in any interval, whatever happens.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[expect(dead_code, reason = "each test program uses a part")]
mod support;

use std::time::{Duration, Instant};

use callgate_counters::lease::Verdict;
use callgate_counters::{Demand, Micros, Sharing};
use support::{Fleet, Redis, demand, most_in_a_window};

const WINDOW_MS: u64 = 700;

/// Takes as often as it goes from all nodes in turn, and checks every interval afterwards.
fn rush(fleet: &Fleet, sharing: Sharing, max: u64, time: Duration) -> Vec<u64> {
    let wanted = demand(1, WINDOW_MS, max, sharing);
    let end = Instant::now() + time;
    std::thread::scope(|scope| {
        let nodes: Vec<_> = (0..fleet.len())
            .map(|node| {
                let wanted = wanted.clone();
                scope.spawn(move || {
                    let mut admitted = Vec::new();
                    while Instant::now() < end {
                        let before = fleet.now_us();
                        if fleet.node(node).call(&wanted) {
                            admitted.push((before, fleet.now_us()));
                        }
                        std::thread::sleep(Duration::from_micros(300));
                    }
                    admitted
                })
            })
            .collect();
        let mut admitted: Vec<(u64, u64)> = nodes.into_iter().flat_map(|node| node.join().unwrap()).collect();
        admitted.sort_unstable();
        let most = most_in_a_window(&admitted, WINDOW_MS * 1_000);
        assert!(
            u64::try_from(most).unwrap() <= max,
            "{most} admitted within a window, of {max}"
        );
        admitted.into_iter().map(|(_, after)| after).collect()
    })
}

#[test]
fn nodes_together_admit_max_and_no_more() {
    let redis = Redis::start(&[]);
    for (sharing, least) in [(Sharing::Leased, 96), (Sharing::Strict, 128)] {
        let fleet = Fleet::start(&redis, 3);
        let admitted = rush(&fleet, sharing, 40, Duration::from_millis(2_800));
        // Four windows: much of each can be used.
        assert!(
            admitted.len() >= least,
            "{} of {} admitted, {sharing:?}",
            admitted.len(),
            4 * 40
        );
    }
}

#[test]
fn one_busy_node_gets_nearly_all() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 3);
    let wanted = demand(2, 60_000, 64, Sharing::Leased);
    assert!(fleet.node(1).call(&wanted) && fleet.node(2).call(&wanted));
    let admitted = (0..200).filter(|_| fleet.node(0).call(&wanted)).count();
    assert!(admitted >= 55, "{admitted} of 62");
    assert!(admitted <= 62, "{admitted} of 62");
}

#[test]
fn a_count_is_back_when_its_nodes_have_stopped() {
    let redis = Redis::start(&[]);
    let wanted = demand(3, 60_000, 10, Sharing::Leased);
    {
        let fleet = Fleet::start(&redis, 2);
        assert!((0..4).all(|_| fleet.node(0).call(&wanted)));
    }
    let fleet = Fleet::start(&redis, 1);
    let admitted = (0..20).filter(|_| fleet.node(0).call(&wanted)).count();
    assert_eq!(admitted, 6, "four are in the log");
}

/// The longest time of units that are taken ahead in the tests below.
const AHEAD: Duration = Duration::from_secs(2);

/// Takes 6 of 10 units ahead at a node, and returns the time until which they may be used.
fn six_ahead(fleet: &Fleet, wanted: &Demand) -> u64 {
    let mut until_us = 0;
    let is_taken = support::until(|| {
        until_us = fleet.now_us() + 2_000_000;
        fleet.node(0).take_ahead(wanted, 6, until_us)
    });
    assert!(is_taken, "{:?}", fleet.node(0).fault());
    until_us
}

#[test]
fn units_taken_ahead_count_after_their_node_has_stopped() {
    let redis = Redis::start(&[]);
    let began = Instant::now();
    let wanted = demand(20, WINDOW_MS, 10, Sharing::Leased);
    let until_us = six_ahead(&Fleet::lending(&redis, 1, AHEAD, began), &wanted);
    // The node has stopped, and its units are in the log.
    let fleet = Fleet::lending(&redis, 1, AHEAD, began);
    let (mut admitted, mut before_us) = (Vec::new(), 0);
    let is_free = support::until(|| {
        before_us = fleet.now_us();
        if fleet.node(0).call(&wanted) {
            admitted.push((before_us, fleet.now_us()));
        }
        before_us > until_us + 2 * WINDOW_MS * 1_000
    });
    assert!(is_free);
    // All six may have been used at the last moment.
    let early = admitted
        .iter()
        .filter(|(before, after)| *before >= until_us && *after < until_us + WINDOW_MS * 1_000);
    assert!(early.count() <= 4, "{until_us}: {admitted:?}");
    let most = most_in_a_window(&admitted, WINDOW_MS * 1_000);
    assert!((5..=10).contains(&most), "all come back, and no more: {most}");
}

/// The microseconds that leases of the policy have left at the store.
fn left_us(redis: &Redis) -> Vec<i64> {
    let number = |text: &str| text.parse::<i64>().unwrap();
    let time = redis.run(&["TIME"]);
    let time: Vec<i64> = time.lines().map(number).collect();
    let rows = redis.run(&["HVALS", "callgate:1:{p}:nodes"]);
    rows.lines()
        .map(|row| number(row.split(' ').next().unwrap()) - time[0] * 1_000_000 - time[1])
        .collect()
}

#[test]
fn leases_of_a_policy_whose_units_are_taken_ahead_end_later() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::lending(&redis, 2, AHEAD, Instant::now());
    let wanted = demand(21, 60_000, 10, Sharing::Leased);
    assert!(support::until(|| fleet.node(1).call(&wanted)));
    assert!(left_us(&redis).iter().all(|left_us| *left_us <= 1_000_000));
    six_ahead(&fleet, &wanted);
    // Half of a lease is used, and what was taken ahead ends by then. The other node hears of it.
    let ends_later = || {
        left_us(&redis)
            .iter()
            .filter(|left_us| **left_us > 2_500_000)
            .count()
            == 2
    };
    assert!(support::until(ends_later), "{:?}", left_us(&redis));
    // No further than the store counts the share.
    assert!(!fleet.node(0).take_ahead(&wanted, 1, fleet.now_us() + 4_000_000));
    // After a loss of data each of them tells it.
    redis.run(&["FLUSHALL"]);
    let is_told = || redis.run(&["HGET", "callgate:1:{p}", "ahead"]).trim() == "2000000";
    assert!(support::until(is_told), "{}", redis.run(&["KEYS", "*"]));
}

#[test]
fn units_are_given_back_by_a_roll_back() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 2);
    for (key, sharing) in [(5, Sharing::Leased), (6, Sharing::Strict)] {
        let wanted = demand(key, 60_000, 1, sharing);
        let taken = fleet.node(0).take(&wanted).expect("the first unit");
        assert!(!fleet.node(0).call(&wanted));
        fleet.node(0).give_back(&taken);
        let again = support::until(|| fleet.node(0).call(&wanted));
        assert!(again, "{sharing:?}");
    }
}

#[test]
fn a_late_roll_back_gives_nothing_of_others_back() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 1);
    for (key, max) in [(14, 2), (15, 300)] {
        let wanted = demand(key, 400, max, Sharing::Strict);
        let old = fleet.node(0).take(&wanted).expect("a unit");
        std::thread::sleep(Duration::from_millis(450));
        for _ in 0..max {
            assert!(fleet.node(0).call(&wanted), "{max}");
        }
        fleet.node(0).give_back(&old);
        // The unit would go back before this is asked.
        assert!(!fleet.node(0).call(&wanted), "{max}");
    }
    // In time, all of it goes back.
    let wanted = demand(16, 60_000, 5, Sharing::Strict);
    let taken = fleet.node(0).take(&wanted).expect("a unit");
    fleet.node(0).give_back(&taken);
    let name = format!("callgate:1:{{p}}:c:{:032x}", wanted.key.0);
    assert!(support::until(|| redis.run(&["EXISTS", &name]).contains('0')));
}

#[test]
fn strict_counts_of_a_call_are_taken_together_or_not_at_all() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 1);
    let (full, other) = (
        demand(7, 60_000, 1, Sharing::Strict),
        demand(8, 60_000, 5, Sharing::Strict),
    );
    assert!(fleet.node(0).call(&full));
    let counted = fleet.node(0).ask(&[full.clone(), other.clone()]);
    assert_eq!(counted.verdict, Verdict::Refused);
    assert!(counted.views[0].wait_us > 50_000_000, "{counted:?}");
    assert_eq!(
        counted.views[1].remaining,
        Micros(5 * Micros::ONE.0),
        "nothing was taken"
    );
    assert_eq!(counted.views[1].wait_us, 0);
}

#[test]
fn calls_of_one_moment_take_max_and_no_more() {
    const CALLS: usize = 48;
    // They go to the store in few calls of the script, which reads and writes a count once in each.
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 1);
    let node = fleet.node(0);
    // Above 256 units of a part of the window are one entry of the log.
    for (key, max) in [(10, 40), (11, 120), (12, 400)] {
        let wanted = demand(key, 60_000, max, Sharing::Strict);
        let mut left = usize::try_from(max).unwrap();
        while left > 0 {
            let granted = std::thread::scope(|scope| {
                let calls: Vec<_> = (0..CALLS).map(|_| scope.spawn(|| node.call(&wanted))).collect();
                let granted = calls.into_iter().map(|call| call.join().unwrap());
                granted.filter(|is_granted| *is_granted).count()
            });
            assert_eq!(granted, left.min(CALLS), "of max {max}");
            left -= granted;
        }
        assert!(!node.call(&wanted));
    }
}

#[test]
fn an_answer_that_nobody_waits_for_takes_nothing() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 1);
    let wanted = demand(9, 60_000, 1, Sharing::Strict);
    let counted = fleet.node(0).ask(std::slice::from_ref(&wanted));
    assert_eq!(counted.verdict, Verdict::Granted);
    drop(counted);
    assert!(support::until(|| fleet.node(0).call(&wanted)));
}

#[test]
fn nothing_is_admitted_while_the_store_is_away_and_all_of_it_goes_on_after_it() {
    let mut redis = Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let fleet = Fleet::start(&redis, 2);
    let wanted = demand(10, 60_000, 4, Sharing::Strict);
    assert!(fleet.node(0).call(&wanted));
    redis.kill();
    let begun = Instant::now();
    assert!(!fleet.node(0).call(&wanted));
    assert!(!fleet.node(1).call(&wanted));
    assert!(begun.elapsed() < Duration::from_secs(2));
    redis.restart();
    // Another run of the server may have lost what was asked last: nothing is granted for a window.
    let admitted = (0..10).filter(|_| fleet.node(1).call(&wanted)).count();
    assert_eq!(admitted, 0);
}

#[test]
fn shares_outlive_the_loss_of_all_data() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 2);
    let wanted = demand(11, 3_000, 40, Sharing::Leased);
    let before = (0..30).filter(|_| fleet.node(0).call(&wanted)).count();
    assert_eq!(before, 30);
    redis.run(&["FLUSHALL"]);
    // The other node would find an empty store.
    let end = Instant::now() + Duration::from_millis(1_500);
    let mut others = 0;
    while Instant::now() < end {
        others += usize::from(fleet.node(1).call(&wanted));
        others += usize::from(fleet.node(0).call(&wanted));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(before + others <= 40, "{others} more");
    assert!(
        support::until(|| fleet.node(1).call(&wanted)),
        "it goes on after the window"
    );
}

#[test]
fn a_server_that_must_not_be_used_is_told() {
    let redis = Redis::start(&["--maxmemory-policy", "allkeys-lru"]);
    let fleet = Fleet::unready(&redis, 1);
    assert!(support::until(|| fleet
        .node(0)
        .fault()
        .is_some_and(|fault| fault.contains("noeviction"))));
    assert!(!fleet.node(0).call(&demand(1, 1_000, 5, Sharing::Leased)));
}

#[test]
fn nodes_with_another_key_do_not_share() {
    let redis = Redis::start(&[]);
    let fleet = Fleet::start(&redis, 1);
    let wanted = demand(12, 60_000, 5, Sharing::Strict);
    assert!(fleet.node(0).call(&wanted));
    let other = Fleet::with_key(&redis, [9; 16]);
    assert!(!other.node(0).call(&wanted));
    assert!(support::until(|| other
        .node(0)
        .fault()
        .is_some_and(|fault| fault.contains("grant_key_file"))));
}

#[test]
fn foreign_keys_are_left_alone() {
    let redis = Redis::start(&[]);
    redis.run(&["SET", "somebody:else", "1"]);
    {
        let fleet = Fleet::start(&redis, 2);
        for sharing in [Sharing::Leased, Sharing::Strict] {
            assert!(fleet.node(0).call(&demand(13, 60_000, 5, sharing)));
        }
    }
    assert!(redis.run(&["GET", "somebody:else"]).contains('1'));
    let names = redis.run(&["KEYS", "*"]);
    let known = ["", "somebody:else", "callgate:{p}:version"];
    let is_ours = |name: &str| known.contains(&name) || name.starts_with("callgate:1:{p}");
    assert!(names.lines().all(is_ours), "{names}");
}

/// The most arguments of a script call that the server remembers.
fn most_arguments(redis: &Redis) -> usize {
    let log = redis.run(&["SLOWLOG", "GET", "-1"]);
    let more = log.split("... (").skip(1);
    let numbers = more.filter_map(|rest| rest.split(' ').next()?.parse().ok());
    numbers.max().unwrap_or(0)
}

#[test]
fn shares_that_grow_ahead_do_not_hold_up_calls_with_one_long_script() {
    const COUNTS: u128 = 400;
    let redis = Redis::start(&["--slowlog-log-slower-than", "0", "--slowlog-max-len", "10000"]);
    let fleet = Fleet::lending(&redis, 1, Duration::from_secs(1), Instant::now());
    let node = fleet.node(0);
    let probe = demand(999, 1_000, 1_000, Sharing::Strict);
    assert!(support::until(|| node.call(&probe)), "{:?}", node.fault());
    let counts: Vec<Demand> = (1..=COUNTS)
        .map(|key| demand(key << 64 | key, 60_000, 1_000, Sharing::Leased))
        .collect();
    redis.run(&["SLOWLOG", "RESET"]);
    // So that all of them are wanted before the next call of the script.
    redis.run(&["CLIENT", "PAUSE", "300"]);
    let until_us = fleet.now_us() + 500_000;
    for wanted in &counts {
        assert!(!node.take_ahead(wanted, 4, until_us));
    }
    for wanted in &counts {
        let has_units = || node.take_ahead(wanted, 4, fleet.now_us() + 500_000);
        assert!(support::until(has_units), "{:?}", wanted.key);
    }
    let most = most_arguments(&redis);
    assert!((100..2_000).contains(&most), "{most}");
}
