//! The exact cell: one slot per unit of `max`, each slot the stamp of its last admission.
//!
//! A unit is a slot whose stamp is a whole window old; taking it is one compare-and-swap from that stamp to the new
//! one. Each slot's stamps are therefore at least a window apart, whatever the threads do, so an interval of one
//! window holds at most one admission per slot: never more than `max`. And a free unit is refused to nobody, so
//! without contention the answer is that of an exact log.
//!
//! Slots are taken one after the other, so the oldest is next to the newest, and the free ones follow it. Where that order
//! is known (`ring`) a call reads a few slots, else all of them once. Nothing is admitted or refused on its word.
//!
//! Slots hold `stamp + 1`, so that 0 is "never taken". When a count moves to another cell, its slots are marked and
//! otherwise left as they are: a thread that still works here finds no free slot and none of its own. A file keeps the
//! taken units in the old cell until the new cell is on disk.

use crate::atomic::{AtomicU64, Ordering, stall};
use ring::Ring;

mod ring;
#[cfg(all(test, not(loom)))]
mod tests;

/// Most slots of one cell: `max` above this is kept in a [`crate::ledger`].
pub(crate) const MAX_SLOTS: usize = 256;

/// The slots that one call took, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    bits: [u64; MAX_SLOTS / 64],
}

impl Taken {
    fn one(slot: usize) -> Self {
        let mut taken = Self::default();
        taken.insert(slot);
        taken
    }

    fn insert(&mut self, slot: usize) {
        self.bits[slot / 64] |= 1 << (slot % 64);
    }

    fn contains(&self, slot: usize) -> bool {
        self.bits[slot / 64] >> (slot % 64) & 1 == 1
    }
}

/// The result of a look at the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotsView {
    /// Slots free at the time of the look.
    pub(crate) free: usize,
    /// Microseconds until the requested number of slots is free; 0 if they are free now.
    pub(crate) wait_us: u64,
    /// Microseconds until all are free.
    pub(crate) reset_after_us: u64,
}

/// One cell of slots: borrowed words of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots<'c> {
    /// The number of times that units were given back, above the low 8 bits.
    pub(crate) given_back: &'c AtomicU64,
    /// While the look is before this time no slot is free; 0 if that is not known. In slot form, `+ 1`.
    pub(crate) full_until: &'c AtomicU64,
    /// The time at which all slots are free again, computed when `full_until` was last set; for the caller's
    /// information only.
    pub(crate) reset_at: &'c AtomicU64,
    /// The order in which the slots were taken, if it is known: see [`Ring`].
    pub(crate) ring: &'c AtomicU64,
    /// The slots.
    pub(crate) stamps: &'c [AtomicU64],
    /// Length of the window in microseconds.
    pub(crate) window_us: u64,
}

/// In a slot: its count has moved to another cell. Stamps do not reach this bit in 290,000 years.
const MOVED: u64 = 1 << 63;

/// The low bits of `given_back` are nobody's: files have other values there.
const VERSION_SHIFT: u32 = 8;

/// The result of reading all slots once.
#[derive(Clone, Copy, Debug)]
struct Survey {
    /// Slots free.
    free: usize,
    /// The slot that was taken before all others, if `is_ring`.
    oldest: usize,
    /// The latest stamp, in slot form.
    latest: u64,
    /// True if from the oldest slot on, and around, no slot was taken before the one that precedes it.
    is_ring: bool,
}

impl Slots<'_> {
    /// Takes `units` slots that are free at `look_us`, stamps them `stamp_us`; all or none. The view is the one at the
    /// time of the stamp, with the slots taken.
    ///
    /// The error is the number of slots that were taken and could not be given back: see [`Self::give_back`].
    #[inline]
    pub(crate) fn take(
        &self,
        units: usize,
        look_us: u64,
        stamp_us: u64,
    ) -> Result<(Taken, SlotsView), usize> {
        // Relaxed: only a shortcut to a refusal. It can be out of date when units were just given back on another
        // thread; that refuses one early under contention, which is allowed, and admits none.
        if look_us + 1 < self.full_until.load(Ordering::Relaxed) {
            return Err(0);
        }
        let version = self.given_back.load(Ordering::Relaxed);
        if units == 1
            && let Some(answer) = self.take_next(version, look_us, stamp_us)
        {
            return Ok(answer);
        }
        // All slots are read before one is written, so that their cache lines come at the same time.
        let survey = self.survey(stamp_us);
        if survey.free < units {
            return Err(0);
        }
        if units == 1 && self.take_slot(survey.oldest, look_us, stamp_us) {
            let seen = self.view_after(survey, 1, stamp_us);
            if survey.is_ring && survey.latest <= stamp_us + 1 {
                self.note_ring(version, survey.oldest, seen.free);
            } else {
                self.ring.store(0, Ordering::Relaxed);
            }
            return Ok((Taken::one(survey.oldest), seen));
        }
        let taken = self.search(units, survey.oldest, look_us, stamp_us)?;
        // Others have taken and given back meanwhile. Ours are among those that are not free.
        Ok((taken, self.view_after(self.survey(stamp_us), 0, stamp_us)))
    }

    /// Takes `units` slots that are free at `look_us`, all or none, for units that may be used until `stamp_us`, which lies
    /// ahead. The view is that of `look_us`: until the stamp, more slots become free.
    pub(crate) fn take_ahead(
        &self,
        units: usize,
        look_us: u64,
        stamp_us: u64,
    ) -> Result<(Taken, SlotsView), usize> {
        let taken = self.search(units, 0, look_us, stamp_us)?;
        Ok((taken, self.look(0, look_us)))
    }

    /// Stamps any slots that hold `from_us` with `to_us`, up to `units` of them: units of one stamp are alike. The slots are
    /// not free in between. Returns the number of them.
    pub(crate) fn redate(&self, units: usize, from_us: u64, to_us: u64) -> usize {
        let mut left = units;
        for slot in self.stamps {
            // SeqCst: as in `take_slot`.
            if left > 0
                && slot
                    .compare_exchange(from_us + 1, to_us + 1, Ordering::SeqCst, Ordering::Relaxed)
                    .is_ok()
            {
                left -= 1;
            }
        }
        if left < units {
            // An earlier stamp is free earlier than was noted; and the order of the slots is another one.
            self.forget_full();
        }
        units - left
    }

    /// Takes the oldest slot where the order of all is known: then those that are free follow it, and whichever have become
    /// free since the last call follow them. So a call reads a few slots, however many there are.
    ///
    /// A unit never depends on the ring alone. If two threads take at the same time, the ring may show more or fewer units
    /// left than there are, until later calls have come to the slots that it is wrong about.
    #[inline]
    fn take_next(&self, version: u64, look_us: u64, stamp_us: u64) -> Option<(Taken, SlotsView)> {
        let count = self.stamps.len();
        // Relaxed: a hint; with another version it is older than units that were given back.
        let Ring { next, mut free } = Ring::of_word(self.ring.load(Ordering::Relaxed), version, count)?;
        let free_then = self.free_stamp(stamp_us);
        let stamp = |place: usize| {
            let slot = next + place;
            let slot = if slot < count { slot } else { slot - count };
            self.stamps
                .get(slot)
                .map_or(u64::MAX, |slot| slot.load(Ordering::Acquire))
        };
        // A clock that is behind may find fewer free ones, and must not stamp before the newest.
        if stamp(count - 1) > stamp_us + 1 || free > 0 && stamp(free - 1) > free_then {
            return None;
        }
        while free < count && stamp(free) <= free_then {
            free += 1;
        }
        if !self.take_slot(next, look_us, stamp_us) {
            return None;
        }
        // At least the slot that was just taken.
        let free = free.saturating_sub(1);
        self.note_ring(version, next, free);
        let seen = SlotsView {
            free,
            wait_us: 0,
            reset_after_us: self.window_us,
        };
        Some((Taken::one(next), seen))
    }

    /// Notes that the oldest slot was taken, and how many of the next ones are free.
    fn note_ring(&self, version: u64, taken: usize, free: usize) {
        let next = if taken + 1 < self.stamps.len() {
            taken + 1
        } else {
            0
        };
        self.ring
            .store(Ring { next, free }.to_word(version), Ordering::Relaxed);
    }

    /// Takes any `units` free slots, from `start` on: for several units, and if another thread was faster.
    #[inline(never)]
    fn search(&self, units: usize, start: usize, look_us: u64, stamp_us: u64) -> Result<Taken, usize> {
        if units > 1 {
            // Hold nothing that is not enough: others would see it and wait.
            let free = self
                .stamps
                .iter()
                .filter(|slot| self.is_free(slot.load(Ordering::Acquire), look_us));
            if free.take(units).count() < units {
                return Err(0);
            }
        }
        self.ring.store(0, Ordering::Relaxed);
        let mut taken = Taken::default();
        let mut missing = units;
        for slot in (start..self.stamps.len()).chain(0..start) {
            if self.take_slot(slot, look_us, stamp_us) {
                taken.insert(slot);
                missing -= 1;
                if missing == 0 {
                    return Ok(taken);
                }
            }
        }
        Err(self.give_back(&taken, look_us, stamp_us))
    }

    /// Takes one slot if it is free.
    #[inline]
    fn take_slot(&self, slot: usize, look_us: u64, stamp_us: u64) -> bool {
        let mut seen = self.stamps[slot].load(Ordering::Acquire);
        while self.is_free(seen, look_us) {
            stall();
            // SeqCst: the reclaimer of idle cells closes the cell and then looks at its slots, a taker swaps a slot and
            // then looks whether the cell is closed; one of the two must see the other.
            match self.stamps[slot].compare_exchange_weak(
                seen,
                stamp_us + 1,
                Ordering::SeqCst,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Reads every slot once, for a call of this time.
    #[inline]
    fn survey(&self, stamp_us: u64) -> Survey {
        let free_then = self.free_stamp(stamp_us);
        let (mut free, mut latest, mut oldest, mut descents) = (0, 0, 0, 0);
        let mut before = self.stamps.last().map_or(0, |last| last.load(Ordering::Acquire));
        // Without branches: which slots are free looks random to the processor.
        for (slot, stamp) in self.stamps.iter().enumerate() {
            let stamp = stamp.load(Ordering::Acquire);
            free += usize::from(stamp <= free_then);
            latest = latest.max(stamp);
            descents += usize::from(before > stamp);
            oldest = if before > stamp { slot } else { oldest };
            before = stamp;
        }
        Survey {
            free,
            oldest,
            latest,
            is_ring: descents <= 1,
        }
    }

    /// The view at the time of a stamp, once `units` of the slots that a survey found free are taken.
    fn view_after(&self, survey: Survey, units: usize, stamp_us: u64) -> SlotsView {
        let latest = survey.latest.max(stamp_us + 1);
        SlotsView {
            free: survey.free.saturating_sub(units),
            wait_us: 0,
            reset_after_us: latest.saturating_add(self.window_us) - (stamp_us + 1),
        }
    }

    /// Gives back slots that were found free at `look_us` and taken with `stamp_us`. Returns the number of slots that
    /// could not be given back: a roll-back of the same stamp gave them back and left its own, or they have moved with
    /// their count.
    pub(crate) fn give_back(&self, taken: &Taken, look_us: u64, stamp_us: u64) -> usize {
        let (mut given, mut missing) = (false, 0);
        for slot in (0..self.stamps.len()).filter(|&slot| taken.contains(slot)) {
            if self.free_slot(slot, look_us, stamp_us) {
                given = true;
            } else {
                missing += 1;
            }
        }
        if given {
            self.forget_full();
        }
        missing
    }

    /// Gives back any slots that hold `stamp_us`, up to `units` of them: units of one stamp are alike. If that lies ahead,
    /// they are free from now on, which is after they were taken.
    pub(crate) fn give_back_stamp(&self, units: usize, stamp_us: u64, look_us: u64) {
        let from_us = stamp_us.min(look_us);
        let mut left = units;
        for slot in 0..self.stamps.len() {
            if left > 0 && self.free_slot(slot, from_us, stamp_us) {
                left -= 1;
            }
        }
        if left < units {
            self.forget_full();
        }
    }

    /// Counts the free slots; if there are none, remembers when the first will be free.
    #[inline]
    pub(crate) fn look(&self, units: usize, look_us: u64) -> SlotsView {
        let now = look_us + 1;
        let known_full_until = self.full_until.load(Ordering::Relaxed); // a shortcut, as in `take`
        if units == 1 && now < known_full_until {
            return SlotsView {
                free: 0,
                wait_us: known_full_until - now,
                reset_after_us: self.reset_at.load(Ordering::Relaxed).saturating_sub(now),
            };
        }
        let survey = self.survey(look_us);
        if survey.free > 0 && survey.free >= units && survey.latest & MOVED == 0 {
            let live_until = if survey.free == self.stamps.len() {
                0
            } else {
                survey.latest.saturating_add(self.window_us)
            };
            return SlotsView {
                free: survey.free,
                wait_us: 0,
                reset_after_us: live_until.saturating_sub(now),
            };
        }
        self.look_closely(units, look_us)
    }

    /// As [`Self::look`], where too few slots are free, or none, or the count has moved.
    #[inline(never)]
    fn look_closely(&self, units: usize, look_us: u64) -> SlotsView {
        let now = look_us + 1;
        // SeqCst here and in `forget_full`: between this load and the check below, either we see that units were given
        // back, or the thread that gave them back clears our note.
        let version = self.given_back.load(Ordering::SeqCst);
        let (mut free, mut first, mut last) = (0, u64::MAX, 0);
        for stamp in self.stamps {
            let stamp = stamp.load(Ordering::SeqCst) & !MOVED;
            let is_free = self.is_free(stamp, look_us);
            let free_at = stamp.saturating_add(self.window_us);
            // Without branches: which slots are free looks random to the processor.
            free += usize::from(is_free);
            first = first.min(if is_free { u64::MAX } else { free_at });
            last = last.max(if is_free { 0 } else { free_at });
        }
        let wait_us = if units <= free {
            0
        } else if units - free == 1 {
            first.saturating_sub(now)
        } else {
            self.nth_expiry(units - free, look_us).saturating_sub(now)
        };
        if free == 0 && first != u64::MAX {
            self.reset_at.store(last, Ordering::Relaxed);
            self.full_until.store(first, Ordering::SeqCst);
            // A read-modify-write: it stands before or after that of `forget_full`, and the later sees the earlier.
            if self.given_back.fetch_add(0, Ordering::SeqCst) != version {
                self.full_until.store(0, Ordering::SeqCst);
            }
        }
        SlotsView {
            free,
            wait_us,
            reset_after_us: last.saturating_sub(now),
        }
    }

    /// True if every slot is free.
    pub(crate) fn is_idle(&self, look_us: u64) -> bool {
        // SeqCst: the other half of the agreement in `take`.
        self.stamps
            .iter()
            .all(|slot| self.is_free(slot.load(Ordering::SeqCst), look_us))
    }

    /// Makes every slot free from `floor_us` on and not before, for a cell that will serve another count.
    pub(crate) fn raise_floor(&self, floor_us: u64) {
        let free_from = self.free_stamp(floor_us);
        for slot in self.stamps {
            // A maximum, not a store: a taker that has not yet seen the cell change hands may hold the slot.
            slot.fetch_max(free_from, Ordering::SeqCst);
        }
    }

    /// Marks every slot as moved; gives the stamps of those that were taken at `look_us`. For a closed cell.
    pub(crate) fn leave(&self, look_us: u64) -> impl Iterator<Item = u64> {
        // A read-modify-write: of a late taker that gives a slot back and this one, the first has the unit.
        let left = self
            .stamps
            .iter()
            .map(|slot| slot.fetch_or(MOVED, Ordering::SeqCst) & !MOVED);
        left.filter(move |&stamp| !self.is_free(stamp, look_us))
            .map(|stamp| stamp - 1)
    }

    /// Undoes [`Self::leave`], even one that was interrupted.
    pub(crate) fn come_back(&self) {
        for slot in self.stamps {
            // SeqCst: as in `take`. A load first, because a write makes a page of a file dirty.
            if slot.load(Ordering::Relaxed) & MOVED != 0 {
                slot.fetch_and(!MOVED, Ordering::SeqCst);
            }
        }
        self.forget_full();
    }

    /// Makes every slot free from `floor_us` on and not before, whatever it holds. For a closed cell.
    pub(crate) fn empty(&self, floor_us: u64) {
        let free_from = self.free_stamp(floor_us);
        for slot in self.stamps {
            slot.store(free_from, Ordering::SeqCst);
        }
        self.forget_full();
    }

    /// Repairs the state that an interrupted call left, in a file that nobody else uses.
    pub(crate) fn mend(&self, look_us: u64) {
        if self
            .stamps
            .iter()
            .any(|slot| slot.load(Ordering::SeqCst) & MOVED != 0)
        {
            self.come_back();
        }
        if self.ring.load(Ordering::SeqCst) != 0 {
            self.ring.store(0, Ordering::SeqCst);
        }
        // A unit may have been given back while this word was not updated yet; or the word is damaged, and would refuse
        // for good.
        if look_us + 1 < self.full_until.load(Ordering::SeqCst) {
            self.full_until.store(0, Ordering::SeqCst);
        }
    }

    /// True if no unit is stamped later than this.
    pub(crate) fn are_before(&self, ceiling_us: u64) -> bool {
        let stamp = |slot: &AtomicU64| slot.load(Ordering::SeqCst) & !MOVED;
        self.stamps.iter().all(|slot| stamp(slot) <= ceiling_us)
    }

    /// Stamps the slots of a fresh cell, as many as there are.
    pub(crate) fn fill(&self, stamps_us: impl Iterator<Item = u64>) {
        for (slot, stamp_us) in self.stamps.iter().zip(stamps_us) {
            slot.store(stamp_us + 1, Ordering::SeqCst);
        }
    }

    /// The stamps of the slots that are taken at `look_us`, unordered, moved or not.
    pub(crate) fn live_stamps(&self, look_us: u64) -> impl Iterator<Item = u64> {
        self.stamps
            .iter()
            .map(|slot| slot.load(Ordering::SeqCst) & !MOVED)
            .filter(move |&stamp| !self.is_free(stamp, look_us))
            .map(|stamp| stamp - 1)
    }

    fn is_free(&self, stamp: u64, look_us: u64) -> bool {
        // In slot form both sides are one larger. A stamp from a thread whose clock is ahead is simply not free; 0, for
        // never, always is.
        stamp <= self.free_stamp(look_us)
    }

    /// Returns the latest stamp, in slot form, of a slot that is free at `look_us`: see [`Self::is_free`].
    fn free_stamp(&self, look_us: u64) -> u64 {
        (look_us + 1).saturating_sub(self.window_us)
    }

    fn free_slot(&self, slot: usize, from_us: u64, stamp_us: u64) -> bool {
        // Free from `from_us` on, not from ever: a thread whose clock is behind must not find the slot free
        // before the unit that the stamp replaced had expired.
        let freed = self.free_stamp(from_us);
        // SeqCst: as in `take`.
        self.stamps[slot]
            .compare_exchange(stamp_us + 1, freed, Ordering::SeqCst, Ordering::Relaxed)
            .is_ok()
    }

    /// Clears the note that no slot is free, after units were given back or for a new count.
    pub(crate) fn forget_full(&self) {
        self.given_back.fetch_add(1 << VERSION_SHIFT, Ordering::SeqCst); // see `look`
        self.full_until.store(0, Ordering::SeqCst);
    }

    /// Returns the time at which the `nth` slot (from 1) that is not free becomes free; of fewer slots, the last one's.
    fn nth_expiry(&self, nth: usize, look_us: u64) -> u64 {
        let mut expiries = [u64::MAX; MAX_SLOTS];
        let mut count = 0;
        for (place, stamp) in expiries.iter_mut().zip(self.live_stamps(look_us)) {
            *place = stamp + 1 + self.window_us;
            count += 1;
        }
        let live = &mut expiries[..count];
        match count {
            0 => look_us + 1,
            _ => *live.select_nth_unstable((nth - 1).min(count - 1)).1,
        }
    }
}
