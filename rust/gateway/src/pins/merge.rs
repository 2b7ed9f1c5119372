//! Books of two processes: what another one has written, and what this one has seen meanwhile.

use super::book::{Book, MAX_BYTES, MAX_TOOLS};
use super::entry::{Entry, Withheld};
use super::variant::{Places, UNKNOWN_PLACE};

impl Book {
    /// Merges the file of another process with the lists that this one has seen since both were equal (`base`).
    ///
    /// - What is pinned is as the file has it, so that what somebody accepted or reset there holds.
    /// - What was listed here since then is news, and goes over the file, variant by variant. All else is as the file has it: a
    ///   process that was told nothing lately has nothing to say against one that was.
    /// - Where both have news, the state that is not accepted wins: nobody can tell which list was the last one.
    /// - What several processes see of a variant's first list is one first list: it has what any of them has, and ends where it
    ///   ends for one of them. Who writes a page of it has not forgotten the others; a reset has ([`Self::forgets`]).
    ///
    /// A definition that was listed and is not accepted in the round `since` or a later one is news, too, though it was
    /// listed before.
    pub(super) fn merged(mut file: Self, base: &Self, ours: &Self, since: u64) -> Self {
        let places = Moving::new(&mut file, base, ours);
        let was_complete = file.is_complete;
        let mut bytes = file.bytes();
        for (name, entry) in &ours.tools {
            let before = base.tools.get(name);
            let theirs = file.tools.get(name);
            let is_missing = theirs.is_none();
            if is_missing && (file.tools.len() >= MAX_TOOLS || places.forgets && !was_complete) {
                continue;
            }
            let was_bytes = theirs.map_or(0, |theirs| name.len() + theirs.bytes());
            let theirs = theirs.cloned().unwrap_or_default();
            let room = (MAX_BYTES.saturating_sub(bytes), is_missing && !was_complete);
            let merged = places.entry(theirs, before, entry, since, room);
            if merged == Entry::default() {
                continue;
            }
            let with_it = (bytes - was_bytes) + name.len() + merged.bytes();
            // After a whole list, what is left out is new all the same.
            if is_missing && with_it > MAX_BYTES {
                continue;
            }
            bytes = with_it;
            file.tools.insert(name.clone(), merged);
        }
        if !places.forgets {
            file.is_complete |= ours.is_complete;
            file.first_lists = file.first_lists.with(ours.first_lists);
            for (met, (&place, &may)) in ours
                .variants
                .iter()
                .zip(places.of_ours.iter().zip(&places.may_be_first))
            {
                if let (true, true, Some(theirs)) = (may, met.is_complete, file.variants.get_mut(place)) {
                    theirs.is_complete = true;
                }
            }
        }
        file.reset_at_unix_ms = file.reset_at_unix_ms.max(ours.reset_at_unix_ms);
        file
    }

    /// Returns true if this is the file after somebody has reset the book `ours`, also where another process has listed
    /// something since.
    pub(super) fn forgets(&self, ours: &Self) -> bool {
        self.is_blank() || self.reset_at_unix_ms > ours.reset_at_unix_ms
    }
}

/// The mapping of this process's book into that of a file.
struct Moving {
    /// Somebody has reset what this process knows.
    forgets: bool,
    /// The place in the file of each variant of this process's book.
    of_ours: Vec<usize>,
    /// For each of those, the list may be its first one, as far as the file shows.
    may_be_first: Vec<bool>,
    of_base: Vec<usize>,
}

impl Moving {
    /// Gives the variants of this process places in the file's book.
    fn new(file: &mut Book, base: &Book, ours: &Book) -> Self {
        let forgets = file.forgets(ours);
        let (mut of_ours, mut may_be_first) = (Vec::new(), Vec::new());
        for met in &ours.variants {
            let may = !forgets && file.awaits_first_list(&met.variant);
            let place = if forgets {
                file.place(&met.variant)
            } else {
                file.meet(&met.variant)
            };
            of_ours.push(place.unwrap_or(UNKNOWN_PLACE));
            may_be_first.push(may && place.is_some());
        }
        let of_base = base.variants.iter();
        let of_base = of_base.map(|met| file.place(&met.variant).unwrap_or(UNKNOWN_PLACE));
        Self {
            forgets,
            of_ours,
            may_be_first,
            of_base: of_base.collect(),
        }
    }

    /// The file's entry with what this process has seen. `room` says for how many more bytes of definitions there is room, and
    /// whether all that this process has pinned is a part of the first list.
    fn entry(
        &self,
        mut theirs: Entry,
        before: Option<&Entry>,
        ours: &Entry,
        since: u64,
        (mut room_bytes, is_first): (usize, bool),
    ) -> Entry {
        let mut refused = Vec::new();
        for pin in &ours.pinned {
            let is_known = before.is_some_and(|before| before.accepted(pin.record.digest).is_some());
            let mut is_accepted = theirs.accepted(pin.record.digest).is_some();
            let size = if is_accepted {
                0
            } else {
                pin.record.definition.as_json().len()
            };
            if !is_first && is_known && !is_accepted {
                // Somebody accepted something else in its place.
                continue;
            }
            for place in pin.variants.each() {
                let may = self.may_be_first.get(place).copied().unwrap_or_default();
                let there = self.of_ours.get(place).copied().unwrap_or(UNKNOWN_PLACE);
                if may && size <= room_bytes && theirs.pin_first(&pin.record, there) && !is_accepted {
                    is_accepted = true;
                    room_bytes -= size;
                }
            }
            if !is_accepted && !is_known {
                // What another process's first list did not have is new, though it was in this one's.
                refused.push(Withheld {
                    record: pin.record.clone(),
                    is_ambiguous: false,
                    variants: pin.variants,
                    round: since,
                });
            }
        }
        let mut shown = ours.clone();
        for form in refused {
            shown.take_back(form.variants);
            shown.withhold(form);
        }
        let shown = shown.moved(&self.of_ours);
        let before = before
            .map(|before| before.moved(&self.of_base))
            .unwrap_or_default();
        theirs.take_over(&before, &shown, since);
        theirs
    }
}

impl Entry {
    /// Takes over what this process's lists have shown since `before`, into another one's file.
    fn take_over(&mut self, before: &Self, ours: &Self, since: u64) {
        let told = self.withheld_from();
        let told = told.and(before.withheld_from()).and(ours.withheld_from());
        let mut news = Places::default();
        for place in told.each() {
            let [theirs, before, ours] = [&*self, before, ours].map(|entry| entry.withheld_in(place));
            let is_news = !is_same(ours, before) || ours.is_some_and(|ours| ours.round >= since);
            let is_contested = !is_same(theirs, before);
            if is_news && (!is_contested || theirs.is_none() || ours.is_some()) {
                news = news.and(Places::one(place));
            }
        }
        self.take_back(news);
        for form in &mut self.withheld {
            let ours = ours.withheld.iter().find(|ours| ours.is_same(form));
            form.round = ours.map_or(0, |ours| ours.round);
        }
        for form in &ours.withheld {
            let variants = form.variants.without(form.variants.without(news));
            if !variants.is_empty() {
                self.withhold(Withheld {
                    variants,
                    ..form.clone()
                });
            }
        }
        self.let_accepted_go();
    }
}

fn is_same(one: Option<&Withheld>, other: Option<&Withheld>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_same(other),
        (None, None) => true,
        _ => false,
    }
}
