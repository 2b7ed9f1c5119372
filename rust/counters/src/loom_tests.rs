//! The atomics of the cells, run through every interleaving that loom finds within its bounds.
//!
//! `make test` runs these with `RUSTFLAGS="--cfg loom"`; loom checks orderings, which no number of plain runs does.

use loom::sync::Arc;
use loom::thread;

use crate::Now;
use crate::atomic::{AtomicU64, Ordering, agree, zeroed};
use crate::epoch::Epochs;
use crate::ledger::{Ledger, payload_words};
use crate::places::{Place, settle};
use crate::quanta::Quanta;
use crate::slots::{Slots, Taken};

const WINDOW_US: u64 = 10_000;

fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

fn at(us: u64) -> Now {
    Now::from_unix_us(us)
}

struct SlotsCell {
    header: Box<[AtomicU64]>,
    stamps: Box<[AtomicU64]>,
}

impl SlotsCell {
    fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self {
            header: zeroed(4),
            stamps: zeroed(slots),
        })
    }

    fn slots(&self) -> Slots<'_> {
        let [given_back, full_until, reset_at, ring] = [0, 1, 2, 3].map(|word| &self.header[word]);
        Slots {
            given_back,
            full_until,
            reset_at,
            ring,
            stamps: &self.stamps,
            window_us: WINDOW_US,
        }
    }

    fn take(&self, units: usize, us: u64) -> Option<Taken> {
        self.slots().take(units, us, us).ok().map(|(taken, _)| taken)
    }
}

struct LedgerCell {
    header: Box<[AtomicU64]>,
    payload: Box<[AtomicU64]>,
}

impl LedgerCell {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            header: zeroed(4),
            payload: zeroed(payload_words(2)),
        })
    }

    fn ledger(&self) -> Ledger<'_> {
        let [used, clock, next_expiry, last] = [0, 1, 2, 3].map(|word| &self.header[word]);
        Ledger {
            used,
            clock,
            next_expiry,
            last,
            payload: &self.payload,
            quanta: Quanta::sliding(WINDOW_US),
            base: 0,
        }
    }

    /// One admission as the store makes it; gives its stamp.
    fn take(&self, amount: u64, max: u64, now: Now) -> Option<u64> {
        let ledger = self.ledger();
        if !ledger.hold(amount, max, now) {
            return None;
        }
        let stamp_us = now.stamp_us().max(ledger.earliest_stamp_us(now));
        ledger.record(amount, ledger.quantum_of(now, stamp_us));
        Some(stamp_us)
    }
}

#[test]
fn one_slot_admits_one_of_two() {
    model(|| {
        let cell = SlotsCell::new(1);
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || other.take(1, 50_000).is_some());
        let mine = cell.take(1, 50_001).is_some();
        assert!(mine ^ thread.join().unwrap(), "one slot, one admission");
    });
}

#[test]
fn an_expired_slot_is_taken_once() {
    model(|| {
        let cell = SlotsCell::new(1);
        assert!(cell.take(1, 1_000).is_some());
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || other.take(1, 1_000 + WINDOW_US).is_some());
        let mine = cell.take(1, 1_500 + WINDOW_US).is_some();
        assert!(mine ^ thread.join().unwrap());
    });
}

#[test]
fn two_units_at_once_are_all_or_none() {
    model(|| {
        let cell = SlotsCell::new(3);
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || other.take(2, 50_000).is_some());
        let mine = cell.take(2, 50_000).is_some();
        let admitted = usize::from(mine) + usize::from(thread.join().unwrap());
        assert!(admitted <= 1);
        assert_eq!(
            cell.slots().look(0, 50_000).free,
            3 - 2 * admitted,
            "a refused call holds nothing"
        );
    });
}

#[test]
fn a_hold_of_too_few_and_a_roll_back_of_its_stamp_leave_nothing_taken() {
    model(|| {
        let cell = SlotsCell::new(2);
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || {
            if other.take(1, 50_000).is_some() {
                other.slots().give_back_stamp(1, 50_000, 50_000);
            }
        });
        let missing = match cell.slots().take(2, 50_000, 50_000) {
            Ok((taken, _)) => cell.slots().give_back(&taken, 50_000, 50_000),
            Err(missing) => missing,
        };
        thread.join().unwrap();
        cell.slots().give_back_stamp(missing, 50_000, 50_000);
        assert!(cell.slots().is_idle(50_000), "{missing} were missing");
    });
}

#[test]
fn nobody_goes_on_believing_that_all_is_taken() {
    model(|| {
        let cell = SlotsCell::new(1);
        let taken = cell.take(1, 50_000).unwrap();
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || other.slots().look(1, 50_001));
        cell.slots().give_back(&taken, 50_000, 50_000);
        thread.join().unwrap();
        assert!(
            cell.take(1, 50_002).is_some(),
            "the unit that was given back is free"
        );
    });
}

#[test]
fn a_closed_cell_with_a_hold_is_not_idle() {
    // The agreement of the store: take, then look whether the cell is closed; close, then look whether it is idle.
    model(|| {
        let cell = SlotsCell::new(1);
        let generation = Arc::new(AtomicU64::new(0));
        let (other, others_generation) = (Arc::clone(&cell), Arc::clone(&generation));
        let thread = thread::spawn(move || {
            let taken = other.take(1, 50_000).is_some();
            agree();
            taken && others_generation.load(Ordering::SeqCst) == 0
        });
        generation.store(1, Ordering::SeqCst);
        agree();
        let reclaimed = cell.slots().is_idle(50_000);
        let stands = thread.join().unwrap();
        assert!(!(reclaimed && stands), "a hold that stands is lost");
    });
}

#[test]
fn a_block_serves_another_layout_when_no_call_reads_it() {
    // A call finds a cell and takes from it, while the cell is reclaimed and its words become another layout's. What the
    // call undoes must not reach the new owner.
    model(|| {
        let cell = SlotsCell::new(1);
        let (found, generation) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)));
        let epochs = Epochs::new();
        let call = epochs.read();
        let (other, others_found, others_generation) =
            (Arc::clone(&cell), Arc::clone(&found), Arc::clone(&generation));
        let thread = thread::spawn(move || {
            if others_found.load(Ordering::Acquire) == 0 {
                return;
            }
            if let Some(taken) = other.take(1, 50_000) {
                agree();
                if others_generation.load(Ordering::SeqCst) != 0 {
                    other.slots().give_back(&taken, 50_000, 50_000);
                }
            }
            drop(call);
        });
        generation.store(1, Ordering::SeqCst);
        agree();
        let mut owned = false;
        if cell.slots().is_idle(50_000) {
            found.store(0, Ordering::Release);
            owned = epochs.turn().is_over();
            if owned {
                cell.stamps[0].store(77, Ordering::Relaxed);
            }
        }
        thread.join().unwrap();
        assert!(!owned || cell.stamps[0].load(Ordering::Relaxed) == 77);
    });
}

#[test]
fn who_has_no_note_finds_nothing_that_was_removed() {
    // The agreement of places: a call notes that it reads, then finds; the one who frees removes, then looks for notes.
    model(|| {
        let place = Arc::new(Place::new());
        let (found, data) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(7)));
        let (others_place, others_found, others_data) =
            (Arc::clone(&place), Arc::clone(&found), Arc::clone(&data));
        let thread = thread::spawn(move || {
            for note in [1, 2] {
                assert!(others_place.enter(note));
                if others_found.load(Ordering::Acquire) != 0 {
                    assert_eq!(
                        others_data.load(Ordering::Relaxed),
                        7,
                        "it was freed under a call"
                    );
                }
                others_place.leave();
            }
        });
        found.store(0, Ordering::Release);
        assert!(settle());
        if place.note() == 0 {
            data.store(8, Ordering::Relaxed);
        }
        thread.join().unwrap();
    });
}

#[test]
fn a_gate_never_holds_more_than_max() {
    model(|| {
        let cell = LedgerCell::new();
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || other.take(3, 5, at(50_000)).is_some());
        let mine = cell.take(3, 5, at(50_000)).is_some();
        assert!(mine ^ thread.join().unwrap());
        assert_eq!(cell.ledger().look(0, 5, at(50_000)).free, 2);
    });
}

#[test]
fn who_gets_expired_units_is_stamped_a_window_later() {
    // One thread's clock has reached the expiry, the other's has not: whoever gets the unit may not be stamped within
    // a window of the first admission.
    model(|| {
        let cell = LedgerCell::new();
        let first = cell.take(1, 1, at(1_000)).unwrap();
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || other.take(1, 1, at(1_000 + WINDOW_US)));
        let mine = cell.take(1, 1, at(999 + WINDOW_US));
        for stamp_us in [mine, thread.join().unwrap()].into_iter().flatten() {
            assert!(stamp_us >= first + WINDOW_US, "{stamp_us}");
        }
    });
}

#[test]
fn expired_units_leave_the_gate_once() {
    model(|| {
        let cell = LedgerCell::new();
        cell.take(2, 4, at(1_000)).unwrap();
        let later = at(1_000 + WINDOW_US);
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || other.take(3, 4, later).is_some());
        let mine = cell.take(3, 4, later).is_some();
        let admitted = u64::from(mine) + u64::from(thread.join().unwrap());
        assert!(admitted <= 1);
        assert_eq!(cell.ledger().look(0, 4, later).free, 4 - 3 * admitted);
        // Nothing is stuck: a window on, everything is free.
        assert_eq!(cell.ledger().look(0, 4, at(1_001 + 2 * WINDOW_US)).free, 4);
    });
}

#[test]
fn what_is_given_back_while_others_take_is_exact() {
    model(|| {
        let cell = LedgerCell::new();
        let now = at(50_000);
        assert!(cell.ledger().hold(2, 5, now));
        let quantum = cell.ledger().quantum_of(now, 50_000);
        let (_, entry) = cell.ledger().record(2, quantum);
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || other.take(3, 5, now).is_some());
        cell.ledger().give_back(2, quantum, entry, now);
        assert!(thread.join().unwrap(), "it fits with and without");
        assert_eq!(cell.ledger().look(0, 5, now).free, 2);
        assert_eq!(
            cell.ledger().look(0, 5, at(50_001 + WINDOW_US)).free,
            5,
            "and comes back once"
        );
    });
}
