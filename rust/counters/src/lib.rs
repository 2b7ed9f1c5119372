//! callgate's counters: windows, counts, their keys, and reservations (`docs/policy.md` section 4).
//!
//! The crate knows no policy and no network, and time is an argument. Only `shared`, with which several processes count
//! in one file, waits for others, for a bounded time. Units of counts and of time come first (`units`, `time`, `date`,
//! `calendar`).
//!
//! The guarantees: never more than `max` units in any interval of one window, whatever the threads do; all limits of a
//! call or none; nothing consumed by a refusal; and no lock if a counter exists already. The construction: a count
//! lives in a cell, which is either exact (`slots`) or a gate with stamped amounts (`ledger`); cells live in blocks
//! (`cell`, `blocks`), in memory or in a file, and are found by a keyed hash (`key`, `index`); `store` takes from
//! several at once. A block without counters serves another layout (`spaces`) when no call can be reading it (`epoch`, `places`).
//! A reset (`resets`) gives counts another identity.

mod atomic;
mod blocks;
mod calendar;
mod cell;
#[cfg_attr(loom, expect(dead_code, reason = "what files need is not modelled"))]
mod cells;
mod counters;
mod date;
mod epoch;
#[cfg(not(loom))]
mod file;
#[cfg(not(loom))]
mod in_use;
mod index;
mod key;
pub mod lease;
#[cfg_attr(loom, expect(dead_code, reason = "what files need is not modelled"))]
mod ledger;
#[cfg(all(test, loom))]
mod loom_tests;
mod owners;
mod places;
mod quanta;
mod queue;
mod reservation;
mod reset_names;
#[cfg(not(loom))]
mod resets;
mod shape;
#[cfg(not(loom))]
mod shared;
#[cfg_attr(loom, expect(dead_code, reason = "what files need is not modelled"))]
mod slots;
mod spaces;
#[cfg(all(test, not(loom)))]
mod stall_tests;
mod store;
mod time;
mod units;

pub use calendar::period_bounds_us;
pub use counters::{Counters, MOST_AHEAD_US};
pub use date::CivilDate;
#[cfg(not(loom))]
pub use file::{ClockReading, Facts, Heritage, InheritedCount, Opener, Repaired, StoreError};
pub use key::{CountKey, KeyHasher, SpecDigest};
pub use reservation::{PepId, ReservationId, ReservationIdError, ReservationLimits, Reservations};
pub use reset_names::{ResetTarget, Resets};
#[cfg(not(loom))]
pub use resets::ResetError;
pub use shape::{CountShape, Demand, LeasedUnits, Refusal, Sharing, View};
#[cfg(not(loom))]
pub use shared::ReadClocks;
pub use store::until_period_end_us;
pub use time::Now;
pub use units::{Micros, Period, Window};
