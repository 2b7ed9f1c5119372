//! The ledger cell: amounts with stamps, exact while they are few, coarser where they are many.
//!
//! A gate, `used`, holds every unit that is taken: a call adds its cost there first, by one compare-and-swap that never
//! passes `max` (unless a person approved of units beyond it). The units are then written down in an entry (a stamp and an amount), so that they can be taken out of
//! the gate again when a window has passed. The first entries hold one stamp each and are exact. When they are in use,
//! admissions in the same sixty-fourth of a window are merged under the latest of their stamps. So the other entries
//! hold a window of any load, and no unit comes back later than that.
//!
//! Proof that no interval holds more than `max`: a thread that takes expired units out of the gate first raises `clock`
//! to the time by which they had expired; a thread that passes the gate then reads `clock` and is stamped no earlier.
//! Take the last call of an interval to pass the gate: the units of the other calls were in the gate then, or were
//! taken out before. In the second case the last call's stamp would lie a whole window after theirs.
//!
//! Entries are owned by claiming: a thread that wants to change one swaps its tag to `CLAIMED`, has it for itself, and
//! publishes a tag again. A thread that finds a claimed entry uses another one, so nobody waits.

use crate::atomic::{AtomicU64, Ordering, agree, spin_loop, stall, yield_now};
use crate::calendar::period_start_us;
use crate::quanta::{CLAIMED, FREE, Quanta};
use crate::{Micros, Now};
use entries::half;

mod entries;
mod recover;
mod shares;

/// Entries of a sliding ledger: a sixth of them exact, the others a ring in which 66 parts of a window can be live.
pub(crate) const SLIDING_ENTRIES: usize = 80;
/// Entries of a calendar ledger: one period is live at a time, the others are for threads that write at the same
/// moment.
pub(crate) const CALENDAR_ENTRIES: usize = 4;

/// Words of payload for this many entries: one for each amount, a half for each tag.
pub(crate) const fn payload_words(entries: usize) -> usize {
    entries + entries.div_ceil(2)
}

/// The largest lag of a thread's clock behind a period that another thread has reached at which both times still count
/// as one moment.
const LAG_US: u64 = 100_000;
/// The number of further looks at an entry that another thread holds for an instant, before another entry is used.
const CLAIM_SPINS: usize = if cfg!(loom) { 0 } else { 64 };

/// The pause of a thread that met another one at the gate: about the time of some dozen calls.
const YIELD_SPINS: usize = if cfg!(loom) { 0 } else { 64 };

/// One ledger: borrowed words of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ledger<'c> {
    /// The gate: millionths of units taken, and those that a call holds for the moment of its decision.
    pub(crate) used: &'c AtomicU64,
    /// No unit that expired later than this has been taken out of the gate: boot microseconds, or the period.
    pub(crate) clock: &'c AtomicU64,
    /// No entry expires before this quantum.
    pub(crate) next_expiry: &'c AtomicU64,
    /// The latest quantum in which units were taken.
    pub(crate) last: &'c AtomicU64,
    /// Amounts, then tags, two to a word.
    pub(crate) payload: &'c [AtomicU64],
    /// The unit of time of the ledger.
    pub(crate) quanta: Quanta,
    /// The most that the gate of a leased count may have in use: see `Layout::Leased`; 0 for other counts.
    pub(crate) base: u64,
}

/// The result of a look at a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LedgerView {
    /// Millionths of units free.
    pub(crate) free: u64,
    /// Millionths of units taken above `max`.
    pub(crate) over: u64,
    /// Microseconds until the requested amount is free; 0 if it is free now.
    pub(crate) wait_us: u64,
    /// Microseconds until everything is free.
    pub(crate) reset_after_us: u64,
}

impl Ledger<'_> {
    /// Takes expired units out of the gate, then holds `amount` there if it fits below `max`.
    pub(crate) fn hold(&self, amount: u64, max: u64, now: Now) -> bool {
        self.refresh(now);
        // Relaxed: the compare-and-swap below is what counts.
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            if used.saturating_add(amount) > max {
                return false;
            }
            stall();
            // Acquire: what was taken out of the gate before is seen with the clock by which it had expired.
            // SeqCst on success: the agreement with the reclaimer of idle cells, as in `slots`.
            let taken =
                self.used
                    .compare_exchange_weak(used, used + amount, Ordering::SeqCst, Ordering::Relaxed);
            if taken.is_ok() {
                return true;
            }
            // Another thread takes at this moment. Let it take more than one unit while it has the lines: they cost more
            // to pass to and fro than the units do. A bounded time, so nobody waits for anybody.
            for _ in 0..YIELD_SPINS {
                spin_loop();
            }
            used = self.used.load(Ordering::Relaxed);
        }
    }

    /// Releases a hold that was not written down.
    pub(crate) fn let_go(&self, amount: u64) {
        // Release: nothing is published by it but the units themselves.
        self.used.fetch_sub(amount, Ordering::Release);
    }

    /// Returns the earliest stamp for units that were just held, in boot microseconds.
    pub(crate) fn earliest_stamp_us(&self, now: Now) -> u64 {
        // Acquire, after the gate: see the proof above.
        let clock = self.clock.load(Ordering::Acquire);
        match self.quanta {
            Quanta::Sliding { .. } => clock,
            Quanta::Calendar(period) => {
                // A thread that read its clock just before the period turned belongs to the new period, and so does
                // its stamp. A wall clock that was set back by more than an instant keeps its own time.
                let behind_us = period_start_us(period, clock).saturating_sub(now.unix_us());
                if behind_us > 0 && behind_us <= LAG_US {
                    now.look_us() + behind_us
                } else {
                    0
                }
            }
        }
    }

    /// Writes down a hold; `quantum` is the [`Self::quantum_of`] of its stamp. Returns the quantum and the entry of the
    /// record.
    pub(crate) fn record(&self, amount: u64, quantum: u64) -> (u64, usize) {
        // Before the entry: whoever finds an entry finds this too, see `has_expired`. A load first, here and in `expires`:
        // a line that is not written stays with every thread that reads it.
        if self.last.load(Ordering::Acquire) < quantum {
            self.last.fetch_max(quantum, Ordering::AcqRel);
        }
        let (exact, entries) = (self.exact_entries(), self.entries());
        // Most are other stamps' if any is, and that is seen without a claim.
        let own_tag = Quanta::tag(quantum);
        let may_be_ours = |tag| tag == FREE || tag == own_tag || tag == CLAIMED;
        let own = self.find_tag(exact, may_be_ours, |entry| {
            self.record_in(entry, amount, quantum, |held| held == quantum)
                .is_some()
        });
        if let Some(entry) = own {
            return (quantum, entry);
        }
        let (epoch, part) = (self.quanta.epoch(quantum), self.part(quantum));
        let same_part = |held| self.quanta.epoch(held) == epoch;
        let mut of_part = (part..entries)
            .chain(exact..part)
            .filter(|&entry| self.record_in(entry, amount, quantum, same_part).is_some());
        if let Some(entry) = of_part.next() {
            return (quantum, entry);
        }
        // Every entry is another part's, or claimed: so many threads met here that parts are in pieces. Join the
        // first entry that can be had; its older units come back with ours, late but never early.
        loop {
            let joined = |entry| Some((self.record_in(entry, amount, quantum, |_| true)?, entry));
            if let Some(place) = (exact..entries).find_map(joined) {
                return place;
            }
            yield_now();
        }
    }

    /// Writes into the entry if it is free or if `joins` accepts its quantum; `None` if neither is true, or the entry
    /// stays claimed.
    fn record_in(&self, entry: usize, amount: u64, quantum: u64, joins: impl Fn(u64) -> bool) -> Option<u64> {
        for _ in 0..=CLAIM_SPINS {
            let tag = self.tag(entry);
            if tag == CLAIMED {
                spin_loop();
                continue;
            }
            let held = if tag == FREE {
                quantum
            } else {
                Quanta::quantum_near(tag, quantum)
            };
            if tag != FREE && !joins(held) {
                return None;
            }
            if self.swap_tag(entry, tag, CLAIMED) {
                let before = self.payload[entry].load(Ordering::Relaxed); // ours alone while claimed
                stall();
                self.payload[entry].store(before + amount, Ordering::Relaxed);
                let quantum = held.max(quantum);
                self.publish(entry, Quanta::tag(quantum));
                self.expires(quantum + self.quanta.window());
                return Some(quantum);
            }
        }
        None
    }

    /// Notes that an entry expires, after it was published.
    fn expires(&self, quantum: u64) {
        // SeqCst: a thread that searches takes the note away, then looks at the entries. Either it sees this one, or the
        // note is seen to be gone here: see `refresh`.
        agree();
        if self.next_expiry.load(Ordering::SeqCst) > quantum {
            self.next_expiry.fetch_min(quantum, Ordering::SeqCst);
        }
    }

    /// Returns the quantum under which an admission stamped `stamp_us` is written down.
    pub(crate) fn quantum_of(&self, now: Now, stamp_us: u64) -> u64 {
        let quantum = self.quanta.stamped(now, stamp_us);
        match self.quanta {
            Quanta::Sliding { .. } => quantum,
            // A step back of the wall clock stays in the period that was reached. Acquire: as in `earliest_stamp_us`.
            Quanta::Calendar(_) => quantum.max(self.clock.load(Ordering::Acquire)),
        }
    }

    /// Gives back `amount` that was written down in `entry` under `quantum`, unless it has expired.
    ///
    /// An entry lives as long as its latest unit, so until then the amount is still in it.
    pub(crate) fn give_back(&self, amount: u64, quantum: u64, entry: usize, now: Now) {
        let given = self.withdraw(amount, quantum, entry, now, |_| ());
        if given > 0 {
            self.let_go(given);
        }
    }

    /// Writes `amount`, which was written down in `entry` under `quantum`, down again under `to_quantum`; the units stay in
    /// the gate. Returns the quantum and the entry of the new record; `None` if they have expired, or not all were there.
    ///
    /// For one thread at a time: it holds one entry while it looks for another.
    pub(crate) fn redate(
        &self,
        amount: u64,
        (quantum, entry): (u64, usize),
        to_quantum: u64,
        now: Now,
    ) -> Option<(u64, usize)> {
        let mut written = None;
        // Written before the old record goes: a process that is killed in between has counted the units twice, and not lost
        // them. Nobody else sees the old record meanwhile, so it cannot expire a second time.
        let moved = self.withdraw(amount, quantum, entry, now, |given| {
            if given > 0 {
                written = Some(self.record(given, to_quantum));
            }
        });
        written.filter(|_| moved == amount)
    }

    /// Takes up to `amount` out of a record, unless it has expired, and returns how much. `meanwhile` is told the amount
    /// while the entry is claimed. The units stay in the gate.
    fn withdraw(
        &self,
        amount: u64,
        quantum: u64,
        entry: usize,
        now: Now,
        mut meanwhile: impl FnMut(u64),
    ) -> u64 {
        // Another process may name any entry.
        if entry >= self.entries() {
            return 0;
        }
        while self.look_quantum(now) < quantum + self.quanta.window() {
            let tag = self.tag(entry);
            // Another thread's clock may be ahead of `now`: then the units may have expired there, and the entry may
            // hold what another call took since, at least a window later.
            let other = |held| self.quanta.epoch(held) != self.quanta.epoch(quantum);
            if tag == FREE || tag != CLAIMED && other(Quanta::quantum_near(tag, quantum)) {
                return 0;
            }
            if tag == CLAIMED || !self.swap_tag(entry, tag, CLAIMED) {
                // Held for a few instructions; to pass it by would lose the units that are to go back.
                yield_now();
                continue;
            }
            let held = self.payload[entry].load(Ordering::Relaxed); // ours alone while claimed
            let given = held.min(amount);
            meanwhile(given);
            self.payload[entry].store(held - given, Ordering::Relaxed);
            if held == given {
                self.publish(entry, FREE);
            } else {
                self.publish(entry, tag);
                // A thread that searched meanwhile has skipped this entry: see `refresh`.
                self.expires(Quanta::quantum_near(tag, quantum) + self.quanta.window());
            }
            return given;
        }
        0
    }

    /// Finds an entry that holds units of this quantum, for a caller that does not know the entry: one with this
    /// quantum, else one of the same part of the window.
    pub(crate) fn entry_of(&self, quantum: u64) -> Option<usize> {
        let held = |entry| match self.tag(entry) {
            FREE | CLAIMED => None,
            tag => Some(Quanta::quantum_near(tag, quantum)),
        };
        let mut all = 0..self.entries();
        let mut ring = self.exact_entries()..self.entries();
        let merged = |held| held >= quantum && self.quanta.epoch(held) == self.quanta.epoch(quantum);
        all.find(|&entry| held(entry) == Some(quantum))
            .or_else(|| ring.find(|&entry| held(entry).is_some_and(merged)))
    }

    /// Looks at the free units, for a call that wants `amount`. Changes nothing: a look may be at another time than
    /// now.
    pub(crate) fn look(&self, amount: u64, max: u64, now: Now) -> LedgerView {
        let look = self.quantum_reached(now);
        // Acquire: as in `refresh`. Nothing is due in the usual case, right after a take.
        let expired = if look < self.next_expiry.load(Ordering::Acquire) {
            0
        } else {
            self.expired(look)
        };
        let used = self.used.load(Ordering::Relaxed).saturating_sub(expired); // a snapshot, as good as any
        let is_untouched = self.base > 0 && self.last.load(Ordering::Relaxed) == 0;
        let reset_after_us = if used == 0 || is_untouched {
            0
        } else {
            let last = match self.last.load(Ordering::Relaxed) {
                // The first hold is not written down yet.
                0 => look,
                last => last,
            };
            self.quanta.until(now, last + self.quanta.window())
        };
        // A call that takes nothing waits for nothing, even while more is taken than a lowered `max`.
        let missing = if amount == 0 {
            0
        } else {
            used.saturating_add(amount).saturating_sub(max)
        };
        let wait_us = if missing == 0 {
            0
        } else {
            self.wait_us(missing, look, now)
        };
        LedgerView {
            free: max.saturating_sub(used),
            over: used.saturating_sub(max),
            wait_us,
            reset_after_us,
        }
    }

    /// Adds up the written amounts that have expired.
    fn expired(&self, look: u64) -> u64 {
        let expired = |entry: &usize| {
            let tag = self.tag(*entry);
            tag != FREE && tag != CLAIMED && self.has_expired(tag, look)
        };
        // Relaxed: the tag was read before, and orders it.
        (0..self.entries())
            .filter(expired)
            .map(|entry| self.payload[entry].load(Ordering::Relaxed))
            .sum()
    }

    /// True if no units are taken or held.
    pub(crate) fn is_idle(&self, now: Now) -> bool {
        self.refresh(now);
        self.used.load(Ordering::SeqCst) == self.closed() // the agreement with `hold`
    }

    /// Stamps nothing earlier than `floor` from now on: boot microseconds, or the period.
    pub(crate) fn raise_floor(&self, floor: u64) {
        self.clock.fetch_max(floor, Ordering::AcqRel);
    }

    /// Adds units that were taken in another cell, even beyond the present `max`.
    pub(crate) fn take_over(&self, amount: u64, quantum: u64) {
        self.used.fetch_add(amount, Ordering::SeqCst); // as in `hold`
        self.record(amount, quantum);
    }

    /// Clears everything except the clock. For a closed cell.
    pub(crate) fn empty(&self) {
        // A write makes a page of a file dirty, so only where there is something.
        for word in self.payload.iter().chain([self.next_expiry, self.last]) {
            if word.load(Ordering::SeqCst) != 0 {
                word.store(0, Ordering::SeqCst);
            }
        }
        self.close_gate();
    }

    /// Puts the gate where it stands without units and without a share. For a cell that nobody reads.
    pub(crate) fn close_gate(&self) {
        let closed = self.closed();
        if self.used.load(Ordering::SeqCst) != closed {
            self.used.store(closed, Ordering::SeqCst);
        }
    }

    /// The gate without units and without a share. A share of which all units are in use looks otherwise, so that its cell is
    /// never regarded as idle.
    const fn closed(&self) -> u64 {
        if self.base == 0 { 0 } else { self.base + 1 }
    }

    /// Takes expired entries out of the gate, if any can have expired.
    fn refresh(&self, now: Now) {
        let look = self.look_quantum(now);
        // Acquire: pairs with the writers of `next_expiry`, who publish their entry first.
        if look < self.next_expiry.load(Ordering::Acquire) {
            return;
        }
        // From here on writers lower it themselves; whoever found it low enough before is seen by the search below:
        // SeqCst, see `expires`.
        if self.next_expiry.swap(u64::MAX, Ordering::SeqCst) == u64::MAX {
            // Another thread is searching, or nothing is written down.
            return;
        }
        agree();
        let window = self.quanta.window();
        let mut next_expiry = u64::MAX;
        for entry in 0..self.entries() {
            loop {
                let tag = self.tag(entry);
                if tag == FREE || tag == CLAIMED {
                    // The owner of a claimed entry lowers `next_expiry` after it has published.
                    break;
                }
                if !self.has_expired(tag, look) {
                    next_expiry = next_expiry.min(Quanta::quantum_near(tag, look) + window);
                    break;
                }
                if self.swap_tag(entry, tag, CLAIMED) {
                    if !self.has_expired(tag, look) {
                        self.publish(entry, tag);
                        continue; // which lowers `next_expiry` for it
                    }
                    let amount = self.payload[entry].load(Ordering::Relaxed); // ours alone while claimed
                    stall();
                    self.payload[entry].store(0, Ordering::Relaxed);
                    self.publish(entry, FREE);
                    if let Quanta::Sliding { .. } = self.quanta {
                        // Before the units leave the gate: see the proof above.
                        self.clock.fetch_max(now.look_us(), Ordering::AcqRel);
                    }
                    stall();
                    // Release: whoever passes the gate with these units sees the clock. SeqCst orders it for
                    // `is_idle` as well.
                    self.used.fetch_sub(amount, Ordering::SeqCst);
                    break;
                }
            }
        }
        self.next_expiry.fetch_min(next_expiry, Ordering::SeqCst);
    }

    /// True if an entry is a window old.
    ///
    /// Tags wrap, so an entry that nobody has looked at for several windows may seem younger than it is: younger than
    /// the last, or alive though nothing was taken within the last window. That is checked again once the entry is
    /// claimed, as `last` is raised before an entry is published.
    fn has_expired(&self, tag: u32, look: u64) -> bool {
        let (quantum, window) = (Quanta::quantum_near(tag, look), self.quanta.window());
        let last = self.last.load(Ordering::Acquire); // pairs with `record`
        look >= quantum + window || look >= last + window || quantum > last
    }

    /// Returns the quantum of a look now; for a calendar never an earlier period than was reached before.
    fn look_quantum(&self, now: Now) -> u64 {
        let reached = self.quantum_reached(now);
        if matches!(self.quanta, Quanta::Calendar(_)) && reached > self.clock.load(Ordering::Relaxed) {
            // Settled by the read-modify-write: `clock` only grows.
            return self.clock.fetch_max(reached, Ordering::AcqRel).max(reached);
        }
        reached
    }

    /// Returns the quantum of a look now, without recording that it was reached.
    fn quantum_reached(&self, now: Now) -> u64 {
        let look = self.quanta.looked(now);
        match self.quanta {
            Quanta::Sliding { .. } => look,
            Quanta::Calendar(_) => look.max(self.clock.load(Ordering::Relaxed)), // it only grows
        }
    }

    fn wait_us(&self, missing: u64, look: u64, now: Now) -> u64 {
        let (mut first, mut freed) = (u64::MAX, 0_u64);
        for (quantum, amount) in self.live_since(look) {
            if quantum < first {
                (first, freed) = (quantum, 0);
            }
            freed += if quantum == first { amount } else { 0 };
        }
        if freed >= missing {
            return self.quanta.until(now, first + self.quanta.window()).max(1);
        }
        self.wait_for_several_us(missing, look, now)
    }

    /// As [`Self::wait_us`], where the units that expire first are too few.
    #[inline(never)]
    fn wait_for_several_us(&self, missing: u64, look: u64, now: Now) -> u64 {
        let mut live = [(u64::MAX, 0); SLIDING_ENTRIES];
        let mut count = 0;
        for (place, entry) in live.iter_mut().zip(self.live_since(look)) {
            *place = entry;
            count += 1;
        }
        let live = &mut live[..count];
        live.sort_unstable();
        let mut freed = 0;
        for &(quantum, amount) in &*live {
            freed += amount;
            if freed >= missing {
                return self.quanta.until(now, quantum + self.quanta.window()).max(1);
            }
        }
        // The rest is held by calls that are being decided at this moment: worth another try at once.
        1
    }

    /// Microseconds until the written entries that have not expired do, rounded up, and their amounts.
    pub(crate) fn times_left(&self, now: Now) -> Vec<(u64, Micros)> {
        let left_us = |quantum| self.quanta.until(now, quantum + self.quanta.window());
        self.live_entries(now)
            .map(|(quantum, amount)| (left_us(quantum), Micros(amount)))
            .collect()
    }

    /// Quanta and amounts of the written entries that have not expired.
    pub(crate) fn live_entries(&self, now: Now) -> impl Iterator<Item = (u64, u64)> {
        self.live_since(self.quantum_reached(now))
    }

    fn live_since(&self, look: u64) -> impl Iterator<Item = (u64, u64)> {
        let window = self.quanta.window();
        let (amounts, tags) = self.payload.split_at(self.entries());
        let pairs = tags.iter().zip(amounts.chunks(2));
        // SeqCst: as in `tag`. Most words hold no entry.
        let written = pairs
            .map(|(tags, amounts)| (tags.load(Ordering::SeqCst), amounts))
            .filter(|(tags, _)| *tags != 0);
        written.flat_map(move |(tags, amounts)| {
            [half(tags, 0), half(tags, 32)]
                .into_iter()
                .zip(amounts)
                .filter_map(move |(tag, amount)| {
                    if tag == FREE || tag == CLAIMED {
                        return None;
                    }
                    let quantum = Quanta::quantum_near(tag, look);
                    // Relaxed: the tag was read with Acquire, so the amount is at least as new as the tag.
                    (look < quantum + window).then(|| (quantum, amount.load(Ordering::Relaxed)))
                })
        })
    }
}
