//! Reservations, compared with a plain list of the open ones.

use proptest::prelude::*;

use super::*;
use crate::{CountKey, CountShape, Micros, Window};

const LIMITS: ReservationLimits = ReservationLimits {
    capacity: 12,
    per_grant: 3,
    per_pep: 5,
};
const TTL_MS: u64 = 1;

fn at(us: u64) -> Now {
    Now::from_unix_us(us)
}

fn reservations(limits: ReservationLimits) -> Reservations {
    Reservations::new(TTL_MS, limits, &[3; 16])
}

/// Id, enforcement point, grant and expiry.
type Open = (u128, u32, u8, u64);

/// The open reservations, oldest first.
#[derive(Default)]
struct Model(Vec<Open>);

impl Model {
    fn open(&mut self, id: u128, pep: u32, grant: u8, now_us: u64) {
        self.0.retain(|open| open.3 > now_us);
        self.make_room(LIMITS.per_grant, |open| open.2 == grant);
        self.make_room(LIMITS.per_pep, |open| open.1 == pep);
        self.make_room(LIMITS.capacity, |_| true);
        self.0.push((id, pep, grant, now_us + 1_000 * TTL_MS));
    }

    fn make_room(&mut self, most: usize, counts: impl Fn(&Open) -> bool) {
        let counted: Vec<usize> = (0..self.0.len())
            .filter(|&place| counts(&self.0[place]))
            .collect();
        if counted.len() >= most {
            self.0.remove(counted[0]);
        }
    }

    fn settle(&mut self, id: u128, pep: u32, now_us: u64) -> bool {
        let found = self
            .0
            .iter()
            .position(|open| open.0 == id && open.1 == pep && open.3 > now_us);
        found.map(|found| self.0.remove(found)).is_some()
    }
}

proptest! {
    #[test]
    fn what_is_open_is_what_a_list_says(
        steps in prop::collection::vec((0_u8..3, 0_u32..4, 0_u8..5, 0_u64..60, any::<prop::sample::Index>()), 1..400),
    ) {
        let (reservations, mut model) = (reservations(LIMITS), Model::default());
        let (mut now_us, mut opened) = (0, Vec::new());
        for (number, (step, pep, grant, after_us, which)) in (1_u128..).zip(steps) {
            now_us += after_us;
            if step < 2 {
                // Everything that has expired: the model forgets at once.
                reservations.sweep(at(now_us), usize::MAX);
                reservations.open(ReservationId::new(number), PepId(pep), &grant.to_string(), &[], at(now_us));
                model.open(number, pep, grant, now_us);
                opened.push((number, pep));
            } else if !opened.is_empty() {
                let (id, owner) = opened[which.index(opened.len())];
                let pep = if grant == 0 { pep } else { owner };
                prop_assert_eq!(reservations.commit(ReservationId::new(id), PepId(pep), at(now_us)), model.settle(id, pep, now_us));
            }
            let inner = reservations.lock();
            let open = |open: &&Open| open.3 > now_us;
            prop_assert!(inner.all.len() >= model.0.iter().filter(open).count());
            prop_assert!(inner.all.len() <= LIMITS.capacity);
            prop_assert_eq!(inner.places.len(), inner.all.len() + inner.free.len());
            prop_assert_eq!(inner.by_id.len(), inner.all.len());
            for (queues, most) in [
                (inner.grants.values().collect::<Vec<_>>(), LIMITS.per_grant),
                (inner.peps.values().collect(), LIMITS.per_pep),
            ] {
                prop_assert!(queues.iter().all(|queue| (1..=most).contains(&queue.len())));
                prop_assert_eq!(queues.iter().map(|queue| queue.len()).sum::<usize>(), inner.all.len());
            }
        }
        for (id, pep) in opened {
            prop_assert_eq!(reservations.commit(ReservationId::new(id), PepId(pep), at(now_us)), model.settle(id, pep, now_us));
        }
    }
}

#[test]
fn a_look_at_a_reservation_is_for_who_may_settle_it() {
    let set = reservations(LIMITS);
    let (id, pep) = (ReservationId::new(5), PepId(1));
    assert!(!set.has(id, pep, at(0)));
    set.open(id, pep, "g", &[], at(0));
    assert!(set.has(id, pep, at(999)));
    assert!(!set.has(id, PepId(2), at(0)));
    assert!(!set.has(ReservationId::new(6), pep, at(0)));
    assert!(!set.has(id, pep, at(1_000)), "it has expired");
    assert!(set.commit(id, pep, at(1)));
    assert!(!set.has(id, pep, at(1)));
}

#[test]
fn a_flood_commits_nobody_else_s() {
    let limits = ReservationLimits {
        capacity: 1_000,
        per_grant: 10,
        per_pep: 100,
    };
    let reservations = reservations(limits);
    let (victim, flood) = (PepId(1), PepId(2));
    reservations.open(ReservationId::new(1), victim, "quiet", &[], at(0));
    reservations.open(ReservationId::new(2), flood, "quiet too", &[], at(0));
    for id in 10..5_010_u128 {
        reservations.open(ReservationId::new(id), flood, "loud", &[], at(1));
    }
    assert_eq!(reservations.len(), 12);
    // Of the grant that floods the latest are open.
    assert!(!reservations.commit(ReservationId::new(4_999), flood, at(2)));
    assert!(reservations.commit(ReservationId::new(5_000), flood, at(2)));
    for id in 10_000..10_500_u128 {
        reservations.open(ReservationId::new(id), flood, &format!("grant {id}"), &[], at(1));
    }
    assert_eq!(reservations.len(), 101);
    assert!(
        !reservations.commit(ReservationId::new(2), flood, at(2)),
        "many grants of one enforcement point push out its oldest"
    );
    assert!(
        reservations.commit(ReservationId::new(1), victim, at(2)),
        "and nothing of another one"
    );
}

#[test]
fn memory_follows_what_is_open() {
    let limits = ReservationLimits {
        capacity: 8,
        per_grant: 4,
        per_pep: 8,
    };
    let reservations = reservations(limits);
    let demand = Demand::new(
        CountKey(1),
        CountShape {
            window: Window::Sliding { window_us: 1 },
            max: Micros::ONE,
            whole_units: true,
            sharing: crate::Sharing::Local,
        },
        Micros::ONE,
    );
    for id in 0..100_000_u128 {
        // Settled at once, as most are, by grants and enforcement points that never come back.
        let pep = PepId(u32::try_from(id).unwrap());
        reservations.open(
            ReservationId::new(id),
            pep,
            &id.to_string(),
            std::slice::from_ref(&demand),
            at(0),
        );
        assert!(id % 2 == 1 || reservations.commit(ReservationId::new(id), pep, at(0)));
    }
    let inner = reservations.lock();
    assert_eq!((inner.places.len(), inner.all.len()), (8, 8));
    assert_eq!(
        (inner.grants.len(), inner.peps.len(), inner.by_id.len()),
        (8, 8, 8)
    );
}
