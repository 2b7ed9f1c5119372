use std::sync::mpsc;

use super::*;
use crate::{Counters, Refusal, Sharing, Window};

pub(super) fn demand() -> Demand {
    let shape = CountShape {
        window: Window::Sliding { window_us: 1_000_000 },
        max: Micros(10 * Micros::ONE.0),
        whole_units: true,
        sharing: Sharing::Leased,
    };
    Demand::new(CountKey(7), shape, Micros::ONE)
}

#[test]
fn a_call_is_told_that_nobody_answers() {
    let shared = Shared::new([1; 16]);
    let (told, answers) = mpsc::channel();
    let ask = || {
        let told = told.clone();
        Ask::Units(UnitsAsk {
            policy: shared.policy("p"),
            owner: "g".into(),
            demands: vec![demand()],
            scopes: CountScopes::default(),
            answer: Box::new(move |counted| told.send(counted.verdict).unwrap()),
        })
    };
    shared.ask(ask());
    assert_eq!(answers.try_recv().ok(), None, "a worker may still take it");
    shared.close();
    assert_eq!(answers.try_recv(), Ok(Verdict::Unavailable));
    shared.ask(ask());
    assert_eq!(answers.try_recv(), Ok(Verdict::Unavailable));
}

#[test]
fn units_that_no_call_used_go_back() {
    let shared = Arc::new(Shared::new([1; 16]));
    let units = Returned {
        policy: 0,
        key: CountKey(7),
        shape: demand().shape,
        amount: Micros::ONE,
        stamp_us: 5,
    };
    TakenUnits::new(&shared, vec![units.clone()]).spend();
    assert!(shared.take_asks().is_empty());
    drop(TakenUnits::new(&shared, vec![units.clone()]));
    let asks = shared.take_asks();
    assert!(
        matches!(&*asks, [Ask::Return(returned)] if *returned == units),
        "{asks:?}"
    );
}

#[test]
fn a_count_that_runs_low_is_told_at_a_pace() {
    let shared = Shared::new([1; 16]);
    let policy = shared.policy("p");
    for at_us in [1, 2, 9_999, 10_001, 10_002] {
        shared.low(&policy, &demand(), "g", Now::from_unix_us(at_us));
    }
    let asks = shared.take_asks();
    let low = asks.iter().filter(|ask| matches!(ask, Ask::Low { .. }));
    assert_eq!(low.count(), 2);
}

#[test]
fn a_policy_keeps_its_number() {
    let shared = Shared::new([1; 16]);
    let (first, second) = (shared.policy("a"), shared.policy("b"));
    let known = shared.take_asks();
    assert!(
        matches!(&*known, [Ask::Known(one), Ask::Known(other)] if one.name == "a" && other.name == "b"),
        "{known:?}"
    );
    assert_eq!((first.number, second.number), (0, 1));
    assert!(Arc::ptr_eq(&first, &shared.policy("a")));
    assert!(Arc::ptr_eq(&second, &shared.policy_numbered(1).unwrap()));
    assert!(shared.policy_numbered(2).is_none());
}

#[test]
fn units_of_a_share_are_taken_ahead_as_long_as_the_store_counts_the_share() {
    let now = Now::from_unix_us;
    let counters = Counters::new(10, 10, &[1; 16]);
    let shared = Shared::new([1; 16]);
    let policy = shared.policy("p");
    counters
        .lend(&demand(), "g", Micros(5 * Micros::ONE.0), now(10))
        .unwrap();
    let take = |at_us, until_us, policy: Option<&SharedPolicy>| {
        counters.take_ahead(&mut [demand()], "g", now(at_us), until_us, policy)
    };
    let refused = Err(Refusal::Unavailable);
    assert_eq!(take(10, 20, Some(&policy)), refused, "there is no lease");
    policy.lease_until_us(100, policy.changes());
    assert_eq!(take(10, 20, Some(&policy)), refused, "the store was not told");
    policy.ahead_until_us(300);
    assert_eq!(take(10, 20, None), refused, "whose lease is not said");
    assert_eq!(take(100, 300, Some(&policy)), Ok(300));
    assert_eq!(
        take(100, 301, Some(&policy)),
        refused,
        "the share may be another's then"
    );
    assert_eq!(take(101, 200, Some(&policy)), refused, "the lease is over");
    // Units that were lent later than the quota ends are given back.
    counters.lend(&demand(), "g", Micros::ONE, now(400)).unwrap();
    assert_eq!(take(90, 200, Some(&policy)), refused);
    let free = counters.leased(demand().key, now(400)).unwrap().free;
    assert_eq!(free, Micros(5 * Micros::ONE.0));
    // A change of the limits ends it all.
    shared.change(&policy);
    assert_eq!((policy.ahead_end_us(now(90)), policy.lease_end_us()), (0, 0));
    assert_eq!(take(90, 200, Some(&policy)), refused);
    let mut strict = demand();
    strict.shape.sharing = Sharing::Strict;
    policy.ahead_until_us(300);
    policy.lease_until_us(100, policy.changes());
    let taken = counters.take_ahead(&mut [strict], "g", now(90), 200, Some(&policy));
    assert_eq!(taken, refused, "units of strict counts are the store's");
}

#[test]
fn units_are_wanted_ahead_unless_the_store_is_known_to_have_too_few() {
    let shared = Shared::new([1; 16]);
    let policy = shared.policy("p");
    let wanted = || -> Vec<u64> {
        let units = |ask| match ask {
            Ask::Low { wanted, .. } => Some(wanted.0 / Micros::ONE.0),
            _ => None,
        };
        shared.take_asks().into_iter().filter_map(units).collect()
    };
    let want = |units: u64, at_us| {
        let units = Micros(units * Micros::ONE.0);
        shared.want_ahead(&policy, &demand(), "g", units, Now::from_unix_us(at_us));
    };
    want(4, 1);
    assert_eq!(wanted(), [4]);
    assert!(policy.is_taken_ahead());
    want(400, 20_000);
    assert_eq!(wanted(), [10], "no more than the limit has");
    shared.note_refused(demand().key, Micros(2 * Micros::ONE.0), 90_000, 95_000);
    want(4, 40_000);
    assert!(wanted().is_empty());
    assert_eq!(
        shared.take_missed(demand().key),
        Micros(4 * Micros::ONE.0),
        "it is asked for with a renewal"
    );
    want(2, 60_000);
    want(4, 100_000);
    assert_eq!(wanted(), [2, 4]);
}
