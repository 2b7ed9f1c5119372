//! Counts as a call sees them.

use crate::calendar::{period_index, period_start_us};
use crate::cell::Count;
use crate::ledger::Ledger;
use crate::slots::{Slots, SlotsView};
use crate::{Demand, Micros, Now, Period, View, Window};

/// The instant at which units are counted that are left after a take: that of the stamp, since between two microseconds a
/// look at `now` is a little earlier.
pub(super) fn stamped(stamp_us: u64, now: Now) -> Now {
    Now {
        boot_ns: stamp_us.saturating_mul(1_000),
        ..now
    }
}

#[expect(
    clippy::inline_always,
    reason = "for every limit of every call; through memory its answer costs more than it does"
)]
#[inline(always)]
pub(super) fn view(count: &Count<'_>, demand: &Demand, cost: Micros, now: Now) -> View {
    match count {
        Count::Slots(slots) => {
            let seen = slots.look(units(cost), now.look_us());
            slots_view(slots, seen, demand, now)
        }
        Count::Ledger(ledger) => ledger_view(ledger, demand, cost, now),
    }
}

#[expect(clippy::inline_always, reason = "as for `view`")]
#[inline(always)]
pub(super) fn slots_view(slots: &Slots<'_>, seen: SlotsView, demand: &Demand, now: Now) -> View {
    let max = demand.shape.max.0;
    let live = (slots.stamps.len() - seen.free) as u64 * Micros::ONE.0;
    View {
        wait_us: seen.wait_us,
        remaining: Micros(max.saturating_sub(live)),
        over: Micros(live.saturating_sub(max)),
        reset_after_us: seen.reset_after_us,
        window_us: window_us(demand.shape.window, now),
    }
}

pub(super) fn ledger_view(ledger: &Ledger<'_>, demand: &Demand, cost: Micros, now: Now) -> View {
    // What the gate of a leased count has in use without a share: see `Layout::Leased`.
    let max = if ledger.base > 0 {
        ledger.base
    } else {
        demand.shape.max.0
    };
    let seen = ledger.look(cost.0, max, now);
    let used = max.saturating_sub(seen.free).saturating_add(seen.over);
    // More than 64 bits of millionths cannot be counted, whoever allows them.
    let has_room = demand.beyond && used.saturating_add(cost.0) <= demand.most();
    View {
        wait_us: if has_room { 0 } else { seen.wait_us },
        remaining: Micros(seen.free.min(demand.shape.max.0)),
        over: Micros(if ledger.base > 0 { 0 } else { seen.over }),
        reset_after_us: seen.reset_after_us,
        window_us: window_us(demand.shape.window, now),
    }
}

/// The number of slots for a cost; counts kept in slots have costs of whole units.
pub(super) fn units(cost: Micros) -> usize {
    usize::try_from(cost.0.div_ceil(Micros::ONE.0)).unwrap_or(usize::MAX)
}

pub(crate) fn window_us(window: Window, now: Now) -> u64 {
    match window {
        Window::Sliding { window_us } => window_us,
        Window::Calendar(period) => period_us(period, now),
    }
}

/// Returns the microseconds until the current period of a calendar ends.
pub fn until_period_end_us(period: Period, now: Now) -> u64 {
    let unix_us = now.unix_us();
    period_start_us(period, period_index(period, unix_us) + 1) - unix_us
}

#[inline(never)]
fn period_us(period: Period, now: Now) -> u64 {
    let index = period_index(period, now.unix_us());
    period_start_us(period, index + 1) - period_start_us(period, index)
}
