//! The counters against an exact log: random times, amounts, limits and roll-backs, one thread.

use callgate_counters::{
    Counters, Demand, Micros, Now, Period, Refusal, ReservationId, ReservationLimits, Reservations, Window,
};
use proptest::prelude::*;

use crate::log::{Log, sliding};

const UNIT: u64 = 1_000_000;

fn store() -> Counters {
    Counters::new(1_000, 1_000, &[3; 16])
}

#[derive(Clone, Debug)]
enum Step {
    Take { after_us: u64, cost: u64 },
    RollBack { after_us: u64, which: usize },
    Look { after_us: u64, cost: u64 },
    Sweep,
}

/// Times from the same microsecond to beyond a window, costs up to `max`.
fn steps(window_us: u64, costs: impl Strategy<Value = u64> + Clone) -> impl Strategy<Value = Vec<Step>> {
    let after = move || {
        prop_oneof![
            Just(0),
            0..50_u64,
            0..window_us / 20,
            0..window_us,
            window_us..3 * window_us
        ]
    };
    prop::collection::vec(
        prop_oneof![
            8 => (after(), costs.clone()).prop_map(|(after_us, cost)| Step::Take { after_us, cost }),
            2 => (after(), any::<usize>()).prop_map(|(after_us, which)| Step::RollBack { after_us, which }),
            2 => (after(), costs).prop_map(|(after_us, cost)| Step::Look { after_us, cost }),
            1 => Just(Step::Sweep),
        ],
        1..250,
    )
}

/// Runs steps on one count; `slack_us` is how late capacity may come back.
fn hold_against_log(
    steps: Vec<Step>,
    window_us: u64,
    max: u64,
    whole_units: bool,
    slack_us: u64,
) -> Result<(), TestCaseError> {
    let counters = store();
    let reservations = Reservations::new(u64::MAX / 1_000, ReservationLimits::in_all(10_000), &[1; 16]);
    let (mut log, mut reserved, mut now_us) = (Log::default(), Vec::new(), 0_u64);
    let demand = |cost| [sliding(1, window_us, max, cost, whole_units)];
    for (id, step) in steps.into_iter().enumerate() {
        match step {
            Step::Take { after_us, cost } => {
                now_us += after_us;
                let now = Now::from_unix_us(now_us);
                let mut demands = demand(cost);
                let exact_fits = log.live(now_us, window_us) + cost <= max;
                let late_fits = log.live(now_us, window_us + slack_us) + cost <= max;
                match counters.take(&mut demands, "g", now) {
                    Ok(stamp_us) => {
                        prop_assert!(exact_fits, "admitted too much at {now_us}");
                        prop_assert_eq!(stamp_us, now_us);
                        if cost > 0 {
                            log.entries.push((stamp_us, cost));
                            reservations.open(ReservationId::new(id as u128), crate::PEP, "g", &demands, now);
                            reserved.push((id as u128, (stamp_us, cost)));
                        }
                        let remaining = demands[0].view.remaining.0;
                        prop_assert!(remaining <= max - log.live(now_us, window_us));
                        prop_assert!(remaining >= max.saturating_sub(log.live(now_us, window_us + slack_us)));
                    }
                    Err(refusal) => {
                        prop_assert_eq!(refusal, Refusal::RateLimited);
                        prop_assert!(!late_fits, "refused {cost} of {max} at {now_us} though it fits");
                        let wait = log.wait_us(cost, max, now_us, window_us);
                        let told = demands[0].view.wait_us;
                        prop_assert!(
                            told >= wait && told <= wait + slack_us,
                            "told {told}, exact {wait}"
                        );
                    }
                }
            }
            Step::Look { after_us, cost } => {
                now_us += after_us;
                let mut demands = demand(cost);
                counters.look(&mut demands, Now::from_unix_us(now_us));
                let wait = log.wait_us(cost, max, now_us, window_us);
                let told = demands[0].view.wait_us;
                prop_assert!(
                    told >= wait && told <= wait + slack_us,
                    "look: told {told}, exact {wait}"
                );
            }
            Step::RollBack { after_us, which } => {
                now_us += after_us;
                if !reserved.is_empty() {
                    let (id, entry) = reserved.swap_remove(which % reserved.len());
                    let now = Now::from_unix_us(now_us);
                    prop_assert!(reservations.roll_back(ReservationId::new(id), crate::PEP, &counters, now));
                    prop_assert!(
                        !reservations.roll_back(ReservationId::new(id), crate::PEP, &counters, now),
                        "rolled back twice"
                    );
                    let place = log
                        .entries
                        .iter()
                        .position(|admitted| *admitted == entry)
                        .unwrap();
                    log.entries.remove(place);
                }
            }
            Step::Sweep => counters.sweep(Now::from_unix_us(now_us), 10),
        }
    }
    prop_assert!(log.worst_interval(window_us) <= max);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn up_to_256_whole_units_the_answer_is_that_of_an_exact_log(
        (max, steps) in prop_oneof![1..8_u64, 1..=256_u64].prop_flat_map(|max| {
            (Just(max), steps(60_000_000, (0..=max).prop_map(|units| units * UNIT)))
        })
    ) {
        hold_against_log(steps, 60_000_000, max * UNIT, true, 0)?;
    }

    #[test]
    fn the_shortest_window_is_exact_too(steps in steps(10_000, Just(UNIT))) {
        hold_against_log(steps, 10_000, 5 * UNIT, true, 0)?;
    }

    #[test]
    fn spending_is_late_by_at_most_a_sixty_fourth(
        (window_us, max, steps) in prop_oneof![
            Just(10_000_u64), Just(60_000_000), Just(86_400_000_000), Just(366 * 86_400_000_000)
        ].prop_flat_map(|window_us| (Just(window_us), 1..10_000_000_000_u64)).prop_flat_map(|(window_us, max)| {
            (Just(window_us), Just(max), steps(window_us, prop_oneof![0..=max, 0..=max / 100]))
        })
    ) {
        hold_against_log(steps, window_us, max, false, window_us / 64)?;
    }

    #[test]
    fn a_dense_load_above_256_is_late_by_at_most_a_sixty_fourth(
        gaps in prop::collection::vec(0..40_000_u64, 1_000..2_500),
    ) {
        let steps = gaps.into_iter().map(|after_us| Step::Take { after_us, cost: UNIT }).collect();
        hold_against_log(steps, 10_000_000, 400 * UNIT, true, 10_000_000 / 64)?;
    }

    #[test]
    fn several_counts_give_all_or_none(
        calls in prop::collection::vec((0..20_000_000_u64, 0..3_usize), 1..200),
    ) {
        // Three limits of different make; a call meets the first n + 1 of them.
        let counters = store();
        let limits = [(60_000_000, 7 * UNIT, true), (45_000_000, 3 * UNIT, true), (600_000_000, 1_000 * UNIT, true)];
        let costs = [UNIT, UNIT, 150 * UNIT];
        let mut logs = [Log::default(), Log::default(), Log::default()];
        let mut now_us = 0;
        for (after_us, last) in calls {
            now_us += after_us;
            let mut demands: Vec<Demand> = (0..=last)
                .map(|n| sliding(n as u128, limits[n].0, limits[n].1, costs[n], limits[n].2))
                .collect();
            let fits = |n: usize| logs[n].live(now_us, limits[n].0) + costs[n] <= limits[n].1;
            if let Ok(stamp_us) = counters.take(&mut demands, "g", Now::from_unix_us(now_us)) {
                prop_assert!((0..=last).all(fits));
                for n in 0..=last {
                    logs[n].entries.push((stamp_us, costs[n]));
                }
            } else {
                // The third is a ledger: it may be late.
                let late = logs[2].live(now_us, limits[2].0 + limits[2].0 / 64) + costs[2] > limits[2].1;
                prop_assert!(!(0..=last).all(fits) || last == 2 && late);
            }
        }
    }

    #[test]
    fn a_calendar_period_never_holds_more_and_refuses_nothing_else(
        calls in prop::collection::vec((0..40_000_000_u64, 0..400_u64), 1..200),
        period in prop_oneof![Just((Period::Minute, 60_000_000_u64)), Just((Period::Hour, 3_600_000_000))],
    ) {
        let counters = store();
        let (mut now_us, mut used, mut current) = (1_000_000_000_000_u64, 0, 0);
        for (after_us, cost) in calls {
            now_us += after_us;
            if now_us / period.1 != current {
                (used, current) = (0, now_us / period.1);
            }
            let mut demands = [sliding(1, 1, 1_000, cost, false)];
            demands[0].shape.window = Window::Calendar(period.0);
            let taken = counters.take(&mut demands, "g", Now::from_unix_us(now_us)).is_ok();
            prop_assert_eq!(taken, used + cost <= 1_000);
            if taken {
                used += cost;
                prop_assert_eq!(demands[0].view.remaining, Micros(1_000 - used));
            } else {
                prop_assert_eq!(demands[0].view.wait_us, period.1 - now_us % period.1);
            }
        }
    }
}

#[test]
fn the_first_call_on_several_new_counts_is_admitted_between_microseconds_too() {
    // Between two whole microseconds a look is rounded down and a stamp up: a call that has to start again at the
    // same instant must find what it has just let go.
    for (capacity, calls) in [(2, 1), (64, 20)] {
        let counters = Counters::new(capacity, capacity, &[3; 16]);
        for call in 0..calls {
            let key = u128::from(call) * 8;
            let now = Now {
                boot_ns: 5_000_000_500 + call * 1_000,
                unix_offset_us: 0,
            };
            let mut demands = [
                sliding(key, 60_000_000, UNIT, UNIT, true),
                sliding(key + 1, 60_000_000, 300 * UNIT, UNIT, true),
            ];
            assert_eq!(
                counters.take(&mut demands, "g", now),
                Ok(5_000_001 + call),
                "call {call} of {capacity}"
            );
            assert_eq!(demands[1].view.remaining, Micros(299 * UNIT));
        }
    }
}
