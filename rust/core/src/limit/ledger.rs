//! The ledger cell: amounts with stamps, exact while they are few, coarser where they are many.
//!
//! A gate, `used`, holds every unit that is taken: a call adds its cost there first, by one compare-and-swap that
//! never passes `max`. What it took is then written down in an entry (a stamp and an amount), so that it can be
//! taken out of the gate again when a window has passed. The first entries hold one stamp each and are exact; when
//! they are in use, what falls into the same sixty-fourth of a window is merged under the latest stamp among it, so
//! the other entries hold a window of any load and no unit comes back later than that.
//!
//! Why no interval holds more than `max`: whoever takes expired units out of the gate first raises `clock` to the
//! time by which they had expired; whoever passes the gate then reads `clock` and is stamped no earlier. Take the
//! last call of an interval to pass the gate: the others of the interval were in the gate then, or were taken out
//! before, but then the last one's stamp would lie a whole window after theirs.
//!
//! Entries are owned by claiming: a thread that wants to change one swaps its tag to `CLAIMED`, has it for itself,
//! and publishes a tag again. Whoever meets a claimed entry uses another one, so nobody waits.

use super::atomic::{AtomicU64, Ordering, spin_loop, yield_now};
use super::calendar::period_start_us;
use super::quanta::{CLAIMED, FREE, Quanta};
use crate::Now;

/// Entries of a sliding ledger: a sixth of them exact, the others a ring of which 66 parts of a window can be live.
pub(crate) const SLIDING_ENTRIES: usize = 80;
/// Entries of a calendar ledger: one period is live at a time, the rest is room for threads that meet.
pub(crate) const CALENDAR_ENTRIES: usize = 4;

/// Words of payload for this many entries: one for each amount, a half for each tag.
pub(crate) const fn payload_words(entries: usize) -> usize {
    entries + entries.div_ceil(2)
}

/// How far a thread's clock may lie behind a period that another has reached and be taken for the same moment.
const LAG_US: u64 = 100_000;
/// How often to look again at an entry that another thread holds for an instant, before using another entry.
const CLAIM_SPINS: usize = if cfg!(loom) { 0 } else { 64 };

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
    /// How it counts time.
    pub(crate) quanta: Quanta,
}

/// What a look at a ledger finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LedgerView {
    /// Millionths of units free.
    pub(crate) free: u64,
    /// Microseconds until as much is free as was asked for; 0 when it is.
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
            // Acquire: what was taken out of the gate before is seen with the clock by which it had expired.
            // SeqCst on success: the agreement with the reclaimer of idle cells, as in `slots`.
            match self
                .used
                .compare_exchange_weak(used, used + amount, Ordering::SeqCst, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(seen) => used = seen,
            }
        }
    }

    /// Lets go of a hold that was not written down.
    pub(crate) fn let_go(&self, amount: u64) {
        // Release: nothing is published by it but the units themselves.
        self.used.fetch_sub(amount, Ordering::Release);
    }

    /// The earliest stamp for what was just held, in boot microseconds.
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

    /// Writes down a hold; `quantum` is [`Self::quantum_of`] the stamp. Gives the quantum and entry it stands under.
    pub(crate) fn record(&self, amount: u64, quantum: u64) -> (u64, usize) {
        // Before the entry: whoever finds an entry finds this too, see `has_expired`.
        self.last.fetch_max(quantum, Ordering::Release);
        let (exact, entries) = (self.exact_entries(), self.entries());
        let ring = entries - exact;
        let part = exact + usize::try_from(self.quanta.epoch(quantum) % ring as u64).unwrap_or(0);
        let same_part = |held| self.quanta.epoch(held) == self.quanta.epoch(quantum);
        let mut own = (0..exact).filter(|&entry| {
            self.record_in(entry, amount, quantum, |held| held == quantum)
                .is_some()
        });
        let mut of_part = (part..entries)
            .chain(exact..part)
            .filter(|&entry| self.record_in(entry, amount, quantum, same_part).is_some());
        if let Some(entry) = own.next().or_else(|| of_part.next()) {
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

    /// Writes into a free entry, or into one whose quantum `joins`; nothing when it is neither, or stays claimed.
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
                self.payload[entry].store(before + amount, Ordering::Relaxed);
                let quantum = held.max(quantum);
                self.publish(entry, Quanta::tag(quantum));
                // After the entry: see `refresh`.
                self.next_expiry
                    .fetch_min(quantum + self.quanta.window(), Ordering::SeqCst);
                return Some(quantum);
            }
        }
        None
    }

    /// The quantum under which an admission stamped `stamp_us` is written down.
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
    /// An entry lives as long as the latest of what it holds, so until then the amount is still in it.
    pub(crate) fn give_back(&self, amount: u64, quantum: u64, entry: usize, now: Now) {
        while self.look_quantum(now) < quantum + self.quanta.window() {
            let tag = self.tag(entry);
            // Another thread's clock may be ahead of `now`: then the units may have expired there, and the entry may
            // hold what another call took since, at least a window later.
            let other = |held| self.quanta.epoch(held) != self.quanta.epoch(quantum);
            if tag == FREE || tag != CLAIMED && other(Quanta::quantum_near(tag, quantum)) {
                return;
            }
            if tag == CLAIMED || !self.swap_tag(entry, tag, CLAIMED) {
                // Held for a few instructions; to pass it by would lose the units that are to go back.
                yield_now();
                continue;
            }
            let held = self.payload[entry].load(Ordering::Relaxed); // ours alone while claimed
            let given = held.min(amount);
            self.payload[entry].store(held - given, Ordering::Relaxed);
            if held == given {
                self.publish(entry, FREE);
            } else {
                self.publish(entry, tag);
                // Whoever searched meanwhile has passed it by: see `refresh`.
                let expiry = Quanta::quantum_near(tag, quantum) + self.quanta.window();
                self.next_expiry.fetch_min(expiry, Ordering::SeqCst);
            }
            self.let_go(given);
            return;
        }
    }

    /// The entry that holds units of this quantum, for those whose entry is not known: one of its own, else its part's.
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

    /// Looks at what is free, for a call that wants `amount`. Changes nothing: a look may be at another time than now.
    pub(crate) fn look(&self, amount: u64, max: u64, now: Now) -> LedgerView {
        let look = self.quantum_reached(now);
        // Acquire: as in `refresh`. Nothing is due in the usual case, right after a take.
        let expired = if look < self.next_expiry.load(Ordering::Acquire) {
            0
        } else {
            self.expired(look)
        };
        let used = self.used.load(Ordering::Relaxed).saturating_sub(expired); // a snapshot, as good as any
        let reset_after_us = if used == 0 {
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
        let over = if amount == 0 {
            0
        } else {
            used.saturating_add(amount).saturating_sub(max)
        };
        let wait_us = if over == 0 {
            0
        } else {
            self.wait_us(over, look, now)
        };
        LedgerView {
            free: max.saturating_sub(used),
            wait_us,
            reset_after_us,
        }
    }

    /// What is written down and has expired.
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

    /// True when nothing is taken or held.
    pub(crate) fn is_idle(&self, now: Now) -> bool {
        self.refresh(now);
        self.used.load(Ordering::SeqCst) == 0 // the agreement with `hold`
    }

    /// Stamps nothing earlier than `floor` from here on: boot microseconds, or the period.
    pub(crate) fn raise_floor(&self, floor: u64) {
        self.clock.fetch_max(floor, Ordering::AcqRel);
    }

    /// Takes over what was taken in another cell, whatever `max` is now.
    pub(crate) fn take_over(&self, amount: u64, quantum: u64) {
        self.used.fetch_add(amount, Ordering::SeqCst); // as in `hold`
        self.record(amount, quantum);
    }

    /// Forgets everything but the clock. For a closed cell.
    pub(crate) fn empty(&self) {
        // A write makes a page of a file dirty, so only where there is something.
        let header = [self.next_expiry, self.last, self.used];
        for word in self.payload.iter().chain(header) {
            if word.load(Ordering::SeqCst) != 0 {
                word.store(0, Ordering::SeqCst);
            }
        }
    }

    /// Puts in order what an interrupted call left: in a file that nobody else uses.
    ///
    /// What is written down was admitted; a hold that is not was answered to nobody. An entry that was claimed may
    /// hold units of any stamp up to the last one, so it is taken to have that: late, never early.
    pub(crate) fn mend(&self) {
        let last = self.last.load(Ordering::SeqCst);
        let (mut used, mut next_expiry) = (0_u64, u64::MAX);
        for entry in 0..self.entries() {
            let amount = self.payload[entry].load(Ordering::SeqCst);
            let tag = match self.tag(entry) {
                CLAIMED => {
                    let tag = if amount == 0 { FREE } else { Quanta::tag(last) };
                    self.publish(entry, tag);
                    tag
                }
                tag => tag,
            };
            if tag == FREE {
                if amount != 0 {
                    self.payload[entry].store(0, Ordering::SeqCst);
                }
                continue;
            }
            used = used.saturating_add(amount);
            next_expiry = next_expiry.min(Quanta::quantum_near(tag, last) + self.quanta.window());
        }
        if self.used.load(Ordering::SeqCst) != used {
            self.used.store(used, Ordering::SeqCst);
        }
        if self.next_expiry.load(Ordering::SeqCst) > next_expiry {
            self.next_expiry.store(next_expiry, Ordering::SeqCst);
        }
    }

    /// Raises `last` to the newest entry, after a power failure: the page with `last` may be older than that with the
    /// entries, and an entry that is newer than the last is taken for one whose tag has wrapped, and forgotten.
    ///
    /// An entry with units that were flushed is at most a merged part newer than a stamp of before the flush, so no
    /// tag beyond that, or beyond `ahead_us`, says more than that it has wrapped.
    pub(crate) fn raise_last(&self, now: Now, ahead_us: u64) {
        let told = self.last.load(Ordering::SeqCst);
        let look = self.quanta.looked(now);
        let newest = match self.quanta {
            Quanta::Sliding {
                quantum_us, merge, ..
            } => look + merge.min(ahead_us / quantum_us),
            Quanta::Calendar(_) => look,
        };
        let last = (0..self.entries())
            .map(|entry| self.tag(entry))
            .filter(|&tag| tag != FREE && tag != CLAIMED)
            .map(|tag| Quanta::quantum_near(tag, told))
            .filter(|&quantum| quantum <= newest)
            .fold(told, u64::max);
        if last != told {
            self.last.store(last, Ordering::SeqCst);
        }
    }

    /// All amounts that are written down; `None` when they are more than any limit allows.
    pub(crate) fn written_down(&self) -> Option<u64> {
        let amount = |entry: usize| self.payload[entry].load(Ordering::SeqCst);
        (0..self.entries())
            .filter(|&entry| self.tag(entry) != FREE)
            .map(amount)
            .try_fold(0, u64::checked_add)
    }

    /// True when nothing is stamped later than this: boot microseconds, or the period.
    pub(crate) fn is_before(&self, ceiling: u64) -> bool {
        let last = match self.quanta {
            Quanta::Sliding { quantum_us, .. } => ceiling / quantum_us,
            Quanta::Calendar(_) => ceiling,
        };
        self.clock.load(Ordering::SeqCst) <= ceiling && self.last.load(Ordering::SeqCst) <= last
    }

    /// Takes expired entries out of the gate, where any can be expired.
    fn refresh(&self, now: Now) {
        let look = self.look_quantum(now);
        // Acquire: pairs with the writers of `next_expiry`, who publish their entry first.
        if look < self.next_expiry.load(Ordering::Acquire) {
            return;
        }
        // From here on writers lower it themselves; whoever wrote before is seen by the search below. SeqCst: both
        // are read-modify-writes of one word, so one of the two comes first.
        if self.next_expiry.swap(u64::MAX, Ordering::SeqCst) == u64::MAX {
            // Another thread is searching, or nothing is written down.
            return;
        }
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
                    self.payload[entry].store(0, Ordering::Relaxed);
                    self.publish(entry, FREE);
                    if let Quanta::Sliding { .. } = self.quanta {
                        // Before the units leave the gate: see the proof above.
                        self.clock.fetch_max(now.look_us(), Ordering::AcqRel);
                    }
                    // Release: whoever passes the gate with these units sees the clock. SeqCst orders it for
                    // `is_idle` as well.
                    self.used.fetch_sub(amount, Ordering::SeqCst);
                    break;
                }
            }
        }
        self.next_expiry.fetch_min(next_expiry, Ordering::SeqCst);
    }

    /// True when an entry is a window old.
    ///
    /// Tags wrap, so an entry nobody has looked at for several windows may seem younger than it is: younger than the
    /// last, or alive though nothing was taken within the last window. That is asked again once the entry is claimed, as `last` is raised
    /// before an entry is published.
    fn has_expired(&self, tag: u32, look: u64) -> bool {
        let (quantum, window) = (Quanta::quantum_near(tag, look), self.quanta.window());
        let last = self.last.load(Ordering::Acquire); // pairs with `record`
        look >= quantum + window || look >= last + window || quantum > last
    }

    /// The quantum to look from; for a calendar never an earlier period than was reached before.
    fn look_quantum(&self, now: Now) -> u64 {
        let reached = self.quantum_reached(now);
        if matches!(self.quanta, Quanta::Calendar(_)) && reached > self.clock.load(Ordering::Relaxed) {
            // Settled by the read-modify-write: `clock` only grows.
            return self.clock.fetch_max(reached, Ordering::AcqRel).max(reached);
        }
        reached
    }

    /// The quantum to look from, without telling others that it was reached.
    fn quantum_reached(&self, now: Now) -> u64 {
        let look = self.quanta.looked(now);
        match self.quanta {
            Quanta::Sliding { .. } => look,
            Quanta::Calendar(_) => look.max(self.clock.load(Ordering::Relaxed)), // it only grows
        }
    }

    fn wait_us(&self, over: u64, look: u64, now: Now) -> u64 {
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
            if freed >= over {
                return self.quanta.until(now, quantum + self.quanta.window()).max(1);
            }
        }
        // The rest is held by calls that are being decided at this moment: worth another try at once.
        1
    }

    /// Quanta and amounts of what is written down and has not expired.
    pub(crate) fn live_entries(&self, now: Now) -> impl Iterator<Item = (u64, u64)> {
        self.live_since(self.quantum_reached(now))
    }

    fn live_since(&self, look: u64) -> impl Iterator<Item = (u64, u64)> {
        (0..self.entries()).filter_map(move |entry| {
            let tag = self.tag(entry);
            if tag == FREE || tag == CLAIMED {
                return None;
            }
            let quantum = Quanta::quantum_near(tag, look);
            // Relaxed: the tag was read with Acquire, so the amount is at least as new as the tag.
            let amount = self.payload[entry].load(Ordering::Relaxed);
            (look < quantum + self.quanta.window()).then_some((quantum, amount))
        })
    }

    fn entries(&self) -> usize {
        self.payload.len() * 2 / 3
    }

    /// Entries that hold one stamp each; the rest is the ring.
    fn exact_entries(&self) -> usize {
        self.entries() / 6
    }

    fn tag_place(&self, entry: usize) -> (&AtomicU64, u32) {
        (
            &self.payload[self.entries() + entry / 2],
            if entry.is_multiple_of(2) { 0 } else { 32 },
        )
    }

    fn tag(&self, entry: usize) -> u32 {
        let (word, shift) = self.tag_place(entry);
        // Acquire: pairs with `publish`, so the amount is seen with its tag. SeqCst: see `refresh`.
        half(word.load(Ordering::SeqCst), shift)
    }

    /// Swaps one tag of the two in a word; fails only when this tag has changed.
    fn swap_tag(&self, entry: usize, from: u32, to: u32) -> bool {
        let (word, shift) = self.tag_place(entry);
        let mut seen = word.load(Ordering::Relaxed); // the compare-and-swap is what counts
        while half(seen, shift) == from {
            let next = seen & !(u64::from(u32::MAX) << shift) | u64::from(to) << shift;
            // Acquire: the amount of whoever published before. Release: none of ours is published by claiming, but
            // the other half of the word passes on what its owner published.
            match word.compare_exchange_weak(seen, next, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Ends a claim.
    fn publish(&self, entry: usize, tag: u32) {
        // Cannot fail: a claimed tag is changed by its owner alone.
        let published = self.swap_tag(entry, CLAIMED, tag);
        debug_assert!(published, "a claimed entry belongs to one thread");
    }
}

fn half(word: u64, shift: u32) -> u32 {
    u32::try_from(word >> shift & u64::from(u32::MAX)).unwrap_or(0)
}
