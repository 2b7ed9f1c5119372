//! A store that is asked over the socket answers like one in the same process.

use callgate_counters::{
    Counters, Demand, Micros, PepId, Refusal, ReservationId, ReservationLimits, Reservations, View,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Machine, calendar, ledger, slots};

const PEP: PepId = PepId(0);

#[derive(Clone, Debug)]
enum Step {
    Take(Vec<(u8, u64)>, bool),
    Look(Vec<(u8, u64)>),
    Peek(Vec<(u8, u64)>),
    RollBack(usize),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Millionths, also none and parts of a unit.
    let cost = prop_oneof![Just(0), Just(1_000_000), Just(2_000_000), 1..3_000_000_u64];
    let wanted = vec((0..6_u8, cost), 0..4);
    let step = prop_oneof![
        4 => (wanted.clone(), any::<bool>()).prop_map(|(wanted, reserve)| Step::Take(wanted, reserve)),
        1 => wanted.clone().prop_map(Step::Look),
        1 => wanted.prop_map(Step::Peek),
        1 => (0..20_usize).prop_map(Step::RollBack),
        2 => (1..40_000_000_u64).prop_map(Step::Pass),
    ];
    vec(step, 1..60)
}

fn demands(wanted: &[(u8, u64)]) -> Vec<Demand> {
    let mut demands: Vec<Demand> = Vec::new();
    for &(which, cost) in wanted {
        let mut demand = match which {
            0 => slots(0, 1),
            1 => slots(1, 5),
            2 => ledger(2, 4),
            3 => ledger(3, 1_000),
            4 => calendar(4, 3),
            _ => slots(5, 4),
        };
        let is_whole = demand.shape.whole_units;
        let cost = if is_whole {
            cost / 1_000_000 * 1_000_000
        } else {
            cost
        };
        demand.cost = Micros(cost.min(demand.shape.max.0));
        // As if a person had allowed it.
        demand.beyond = which == 3 && cost.is_multiple_of(3);
        if demands.iter().all(|other| other.key != demand.key) {
            demands.push(demand);
        }
    }
    demands
}

/// One store with its reservations.
struct Side {
    machine: Machine,
    counters: Counters,
    reservations: Reservations,
    _holder: Option<Counters>,
}

impl Side {
    fn new(is_follower: bool) -> Self {
        let machine = Machine::new();
        let (counters, holder) = if is_follower {
            let holder = machine.share();
            (machine.share(), Some(holder))
        } else {
            (machine.open(), None)
        };
        assert_eq!(counters.is_follower(), is_follower);
        Self {
            machine,
            counters,
            reservations: Reservations::new(30_000, ReservationLimits::in_all(100), &[7; 16]),
            _holder: holder,
        }
    }

    fn step(&self, number: usize, step: &Step) -> (Option<Result<u64, Refusal>>, Vec<View>, bool) {
        let now = self.machine.now();
        let seen = |demands: Vec<Demand>| demands.iter().map(|demand| demand.view).collect();
        match step {
            Step::Take(wanted, reserve) => {
                let mut demands = demands(wanted);
                let taken = self.counters.take(&mut demands, "g", now);
                if taken.is_ok() && *reserve {
                    let id = ReservationId::new(number as u128);
                    self.reservations.open(id, PEP, "g", &demands, now);
                }
                (Some(taken), seen(demands), true)
            }
            Step::Look(wanted) => {
                let mut demands = demands(wanted);
                let reached = self.counters.look(&mut demands, now);
                (None, seen(demands), reached)
            }
            Step::Peek(wanted) => {
                let mut demands = demands(wanted);
                let peeked = self.counters.peek(&mut demands, "g", now);
                (Some(peeked.map(|()| 0)), seen(demands), true)
            }
            Step::RollBack(back) => {
                let id = ReservationId::new(number.saturating_sub(*back) as u128);
                let given = self.reservations.roll_back(id, PEP, &self.counters, now);
                (None, Vec::new(), given)
            }
            Step::Pass(us) => {
                self.machine.pass(*us);
                (None, Vec::new(), true)
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_follower_gets_the_answers_of_the_store_itself(steps in steps()) {
        let (direct, follower) = (Side::new(false), Side::new(true));
        for (number, step) in steps.iter().enumerate() {
            prop_assert_eq!(direct.step(number, step), follower.step(number, step), "step {} {:?}", number, step);
            prop_assert_eq!(direct.counters.len(), follower.counters.len());
        }
        prop_assert_eq!(direct.counters.len_of("g"), follower.counters.len_of("g"));
    }
}
