use std::sync::mpsc;

use super::*;
use crate::{Sharing, Window};

fn demand() -> Demand {
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
