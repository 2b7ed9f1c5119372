//! The pins of one server, and its last lists.

use std::collections::BTreeMap;

use super::entry::{Entry, Listed};
use super::error::PinsError;
use super::time_of_first_lists::FirstLists;
use super::variant::{MAX_VARIANTS, Places, UNKNOWN_PLACE, Variant};

/// Tools of one server.
pub(super) const MAX_TOOLS: usize = 4096;
/// Bytes of one tool's definition.
pub(super) const MAX_DEFINITION_BYTES: usize = 256 * 1024;
/// Bytes of all definitions and names that are kept of one server.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A variant that a server has met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) variant: Variant,
    /// Its first list was accepted to its end.
    pub(super) is_complete: bool,
}

impl Met {
    pub(super) const fn new(variant: Variant) -> Self {
        Self {
            variant,
            is_complete: false,
        }
    }
}

/// A page of a list, and who was shown it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Showing<'s> {
    pub(super) page: &'s BTreeMap<&'s str, Listed>,
    pub(super) variant: &'s Variant,
    /// True if the page is known to belong to a list that was followed from its beginning.
    pub(super) is_of_list: bool,
    /// The list ends with it.
    pub(super) is_last: bool,
    /// True if the page is from a reviewed file and was shown to no client. Without a variant it is for all variants.
    pub(super) is_reviewed: bool,
    pub(super) round: u64,
    pub(super) now_unix_s: u64,
}

/// The pins of one server and the state of its lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Book {
    /// A whole list was seen: from then on, a tool that is missing here is new.
    pub(super) is_complete: bool,
    /// The time of the last reset, in milliseconds since 1970; 0 before the first. Every reset raises it.
    pub(super) reset_at_unix_ms: u64,
    /// The time in which each variant may have a first list.
    pub(super) first_lists: FirstLists,
    /// The variants, each at its place: the unknown first, then at most [`MAX_VARIANTS`] more as they came.
    pub(super) variants: Vec<Met>,
    pub(super) tools: BTreeMap<String, Entry>,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            is_complete: false,
            reset_at_unix_ms: 0,
            first_lists: FirstLists::default(),
            variants: vec![Met::new(Variant::unknown())],
            tools: BTreeMap::new(),
        }
    }
}

impl Book {
    /// Returns true if it is empty, as after a reset.
    pub(super) fn is_blank(&self) -> bool {
        !self.is_complete && self.tools.is_empty()
    }

    /// The place of a variant, if it has one.
    pub(super) fn place(&self, variant: &Variant) -> Option<usize> {
        self.variants.iter().position(|met| met.variant == *variant)
    }

    /// Gives a variant a place; `None` if there is no room for it.
    pub(super) fn meet(&mut self, variant: &Variant) -> Option<usize> {
        if let Some(place) = self.place(variant) {
            return Some(place);
        }
        if self.variants.len() > MAX_VARIANTS {
            return None;
        }
        self.variants.push(Met::new(variant.clone()));
        Some(self.variants.len() - 1)
    }

    /// Returns true if a list of this variant may be a first one: the server has shown none that was whole, or there is
    /// time left for further variants, and this one has had none yet.
    pub(super) fn awaits_first_list(&self, variant: &Variant) -> bool {
        if !self.is_complete {
            return true;
        }
        let is_in_time = self.first_lists.began_at_unix_s.is_some() && !self.first_lists.is_over;
        is_in_time && self.has_room_for_first_list(variant)
    }

    fn has_room_for_first_list(&self, variant: &Variant) -> bool {
        let met = self.place(variant).and_then(|place| self.variants.get(place));
        met.map_or(self.variants.len() <= MAX_VARIANTS, |met| !met.is_complete)
    }

    /// Returns true if the page has nothing new.
    pub(super) fn knows(&self, showing: &Showing<'_>) -> bool {
        let Some(place) = self.place_of(showing.variant) else {
            return false;
        };
        let is_first = showing.is_of_list && self.awaits_first_list(showing.variant);
        let is_known = |entry: &Entry, tool: &Listed| {
            entry.knows(tool, place) && (!is_first || entry.is_pinned_for(tool, place))
        };
        !(showing.is_reviewed || is_first && showing.is_last)
            && showing.page.iter().all(|(&name, tool)| {
                let entry = self.tools.get(name);
                entry.is_some_and(|entry| is_known(entry, tool))
            })
    }

    /// Finds the place of a variant like [`Self::place`]; a variant without room has the place of the unknown variant.
    fn place_of(&self, variant: &Variant) -> Option<usize> {
        let is_full = self.variants.len() > MAX_VARIANTS;
        self.place(variant).or(is_full.then_some(UNKNOWN_PLACE))
    }

    /// Takes note of a page that tells nothing else than the one before.
    pub(super) fn list_again(&mut self, showing: &Showing<'_>) {
        let place = self.place_of(showing.variant).unwrap_or(UNKNOWN_PLACE);
        for &name in showing.page.keys() {
            if let Some(entry) = self.tools.get_mut(name) {
                entry.was_listed_again(place, showing.round);
            }
        }
    }

    /// Takes over a page. Every tool of a first list is pinned as it is.
    pub(super) fn list(&mut self, showing: &Showing<'_>) {
        // After a reviewed list nothing is accepted that nobody has looked at.
        let is_reviewed_late = showing.is_reviewed && self.is_complete;
        let is_first = showing.is_of_list && !is_reviewed_late && self.awaits_first_list(showing.variant);
        let own_place = self.meet(showing.variant);
        let place = own_place.unwrap_or(UNKNOWN_PLACE);
        let is_for_all = showing.is_reviewed && showing.variant.is_unknown();
        let variants = if is_for_all {
            let met = (0..self.variants.len()).map(Places::one);
            met.fold(Places::default(), Places::and)
        } else {
            Places::one(place)
        };
        for (&name, tool) in showing.page {
            if !self.is_complete && !is_first && !self.tools.contains_key(name) {
                continue;
            }
            let entry = self.tools.entry(name.to_owned()).or_default();
            if is_first && !tool.is_ambiguous {
                entry.pin_first(&tool.record, place);
            }
            entry.was_listed(tool, variants, showing.round);
        }
        if is_first && showing.is_last {
            self.is_complete = true;
            self.first_lists.begin(showing.now_unix_s);
            if let Some(met) = own_place.and_then(|place| self.variants.get_mut(place)) {
                met.is_complete = true;
            }
        }
        self.first_lists.is_over |= showing.is_reviewed;
    }

    /// Returns the tools of a page that must not be shown: those that are not accepted as they stand there.
    pub(super) fn withheld(&self, page: &BTreeMap<&str, Listed>) -> Vec<String> {
        let is_withheld = |name: &str, tool: &Listed| match self.tools.get(name) {
            Some(entry) => !entry.accepts(tool),
            None => self.is_complete,
        };
        let withheld = page.iter().filter(|&(&name, tool)| is_withheld(name, tool));
        withheld.map(|(&name, _)| name.to_owned()).collect()
    }

    /// Holds the book within its bounds. New tools of earlier lists make room: what is not here is new all the same.
    pub(super) fn hold_bounds(
        &mut self,
        server: &str,
        page: &BTreeMap<&str, Listed>,
    ) -> Result<(), PinsError> {
        if self.exceeds().is_some() && self.is_complete {
            self.tools
                .retain(|name, entry| !entry.pinned.is_empty() || page.contains_key(name.as_str()));
        }
        let server = server.to_owned();
        match self.exceeds() {
            None => Ok(()),
            Some(Bound::Tools) => Err(PinsError::TooManyTools { server }),
            Some(Bound::Bytes) => Err(PinsError::TooManyBytes { server }),
        }
    }

    fn exceeds(&self) -> Option<Bound> {
        if self.tools.len() > MAX_TOOLS {
            return Some(Bound::Tools);
        }
        (self.bytes() > MAX_BYTES).then_some(Bound::Bytes)
    }

    pub(super) fn bytes(&self) -> usize {
        let tools = self.tools.iter();
        tools.map(|(name, entry)| name.len() + entry.bytes()).sum()
    }

    /// Returns true if a file with this book would say the same.
    pub(super) fn is_written_like(&self, other: &Self) -> bool {
        self.is_complete == other.is_complete
            && self.reset_at_unix_ms == other.reset_at_unix_ms
            && self.first_lists.is_written_like(other.first_lists)
            && self.variants == other.variants
            && self.tools == other.tools
    }

    /// The names of these places.
    pub(super) fn names(&self, places: Places) -> Vec<Variant> {
        let met = places.each().filter_map(|place| self.variants.get(place));
        met.map(|met| met.variant.clone()).collect()
    }
}

/// A bound on what a book holds.
#[derive(Clone, Copy, Debug)]
enum Bound {
    Tools,
    Bytes,
}
