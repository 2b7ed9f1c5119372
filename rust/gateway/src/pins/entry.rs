//! The record of one tool.

use std::sync::Arc;

use callgate_core::bindings::Bindings;

use super::definition::Definition;
use super::digest::Digest;
use super::endpoint::Endpoint;
use super::state::State;
use super::variant::Places;

/// Definitions of one tool that are accepted side by side.
pub(super) const MAX_ACCEPTED: usize = 8;

/// Definitions of one tool that are kept for review, each of which some variant was shown last.
const MAX_WITHHELD: usize = 8;

/// A tool as a server listed it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The digest of definition and endpoint.
    pub digest: Digest,
    /// The endpoint of the server.
    pub endpoint: Endpoint,
    /// The definition that it listed.
    pub definition: Definition,
    /// The time of its first listing, in seconds since 1970.
    pub at_unix_s: u64,
}

/// A tool of a page.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) record: Arc<Record>,
    /// The page has another tool of this name, which differs.
    pub(super) is_ambiguous: bool,
}

/// A definition that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) record: Arc<Record>,
    /// The variants in whose lists it was accepted. Every other may have it as well.
    pub(super) variants: Places,
}

/// A definition that is not accepted.
#[derive(Clone, Debug)]
pub(super) struct Withheld {
    pub(super) record: Arc<Record>,
    /// The list had two tools of this name that differ.
    pub(super) is_ambiguous: bool,
    /// The variants whose last list showed it; at least one.
    pub(super) variants: Places,
    /// The round in which a list of this process showed it last, so that a list which says the same as the one before is known
    /// to be a later one. It is in no file.
    pub(super) round: u64,
}

impl Withheld {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.record.digest == other.record.digest && self.is_ambiguous == other.is_ambiguous
    }
}

impl PartialEq for Withheld {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) && self.variants == other.variants
    }
}

impl Eq for Withheld {}

/// The record of one tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The accepted definitions, the last one last; empty for a new tool.
    pub(super) pinned: Vec<Pin>,
    /// Definitions that were listed last and are not accepted, the last one last. No two of them have a variant in common.
    pub(super) withheld: Vec<Withheld>,
}

impl Entry {
    /// The state of the tool, for clients of any variant.
    pub(super) const fn state(&self) -> State {
        if self.pinned.is_empty() {
            State::New
        } else if self.withheld.is_empty() {
            State::Pinned
        } else {
            State::Changed
        }
    }

    /// The variants whose last list showed what is not accepted.
    pub(super) fn withheld_from(&self) -> Places {
        let all = self.withheld.iter().map(|form| form.variants);
        all.fold(Places::default(), Places::and)
    }

    /// The definition that the last list of this variant showed and that is not accepted.
    pub(super) fn withheld_in(&self, place: usize) -> Option<&Withheld> {
        self.withheld.iter().find(|form| form.variants.has(place))
    }

    pub(super) fn accepted(&self, digest: Digest) -> Option<&Pin> {
        self.pinned.iter().find(|pin| pin.record.digest == digest)
    }

    /// Returns true if a list may show this definition.
    pub(super) fn accepts(&self, tool: &Listed) -> bool {
        !tool.is_ambiguous && self.accepted(tool.record.digest).is_some()
    }

    /// Returns true if a list of this variant with this definition has nothing new.
    pub(super) fn knows(&self, tool: &Listed, place: usize) -> bool {
        if self.accepts(tool) {
            return !self.withheld_from().has(place);
        }
        self.withheld_in(place).is_some_and(|form| {
            form.record.digest == tool.record.digest && form.is_ambiguous == tool.is_ambiguous
        })
    }

    /// Returns true if a list of this variant has had this definition accepted.
    pub(super) fn is_pinned_for(&self, tool: &Listed, place: usize) -> bool {
        let pin = self.accepted(tool.record.digest).filter(|_| !tool.is_ambiguous);
        pin.is_some_and(|pin| pin.variants.has(place))
    }

    /// Accepts a definition as one of a first list; `false` where this variant's list has shown another one, or there are
    /// too many.
    pub(super) fn pin_first(&mut self, record: &Arc<Record>, place: usize) -> bool {
        if let Some(pin) = self
            .pinned
            .iter_mut()
            .find(|pin| pin.record.digest == record.digest)
        {
            pin.variants = pin.variants.and(Places::one(place));
            return true;
        }
        let has_shown_another = self.pinned.iter().any(|pin| pin.variants.has(place));
        if has_shown_another || self.pinned.len() >= MAX_ACCEPTED {
            return false;
        }
        self.pinned.push(Pin {
            record: Arc::clone(record),
            variants: Places::one(place),
        });
        true
    }

    /// Takes note of what a list showed to these variants.
    pub(super) fn was_listed(&mut self, tool: &Listed, variants: Places, round: u64) {
        self.take_back(variants);
        if !self.accepts(tool) {
            self.withhold(Withheld {
                record: Arc::clone(&tool.record),
                is_ambiguous: tool.is_ambiguous,
                variants,
                round,
            });
        }
    }

    /// Takes note that it was listed as before.
    pub(super) fn was_listed_again(&mut self, place: usize, round: u64) {
        let forms = self.withheld.iter_mut();
        for form in forms.filter(|form| form.variants.has(place)) {
            form.round = round;
        }
    }

    /// Notes that these variants were not shown the forms that are not accepted.
    pub(super) fn take_back(&mut self, variants: Places) {
        for form in &mut self.withheld {
            form.variants = form.variants.without(variants);
        }
        self.withheld.retain(|form| !form.variants.is_empty());
    }

    /// Adds what some variants were shown that had nothing withheld.
    pub(super) fn withhold(&mut self, mut form: Withheld) {
        if let Some(at) = self.withheld.iter().position(|known| known.is_same(&form)) {
            let known = self.withheld.remove(at);
            form.record = known.record;
            form.variants = form.variants.and(known.variants);
            form.round = form.round.max(known.round);
        } else if self.withheld.len() >= MAX_WITHHELD {
            // Its variants were shown something that is not accepted, whatever it was.
            let oldest = self.withheld.remove(0);
            form.variants = form.variants.and(oldest.variants);
        }
        self.withheld.push(form);
    }

    /// Removes definitions that have been accepted since from the withheld ones.
    pub(super) fn let_accepted_go(&mut self) {
        let Self { pinned, withheld } = self;
        let is_accepted = |form: &Withheld| {
            !form.is_ambiguous && pinned.iter().any(|pin| pin.record.digest == form.record.digest)
        };
        withheld.retain(|form| !is_accepted(form));
    }

    /// Returns the arguments that clients mirror, by every definition that they may go by: a server may list a tool in several forms, and
    /// what one client is told must not lift the check off another's fields.
    pub(super) fn bindings(&self) -> Arc<Bindings> {
        let mut known: Vec<&Arc<Bindings>> = Vec::new();
        for record in self.records() {
            let bindings = record.definition.bindings();
            if !bindings.is_empty() && !known.contains(&bindings) {
                known.push(bindings);
            }
        }
        match *known {
            [] => Arc::default(),
            [only] => Arc::clone(only),
            [first, ref further @ ..] => {
                let mut all = Bindings::clone(first);
                for bindings in further {
                    all.extend(bindings);
                }
                Arc::new(all)
            }
        }
    }

    /// Every definition that is kept of it, those listed last first.
    pub(super) fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        let withheld = self.withheld.iter().rev().map(|form| &form.record);
        withheld.chain(self.pinned.iter().map(|pin| &pin.record))
    }

    pub(super) fn bytes(&self) -> usize {
        self.records()
            .map(|record| record.definition.as_json().len())
            .sum()
    }

    /// The same entry in another book, by where each variant is there.
    pub(super) fn moved(&self, there: &[usize]) -> Self {
        let mut moved = Self {
            pinned: self.pinned.clone(),
            withheld: Vec::new(),
        };
        for pin in &mut moved.pinned {
            pin.variants = pin.variants.moved(there);
        }
        for form in &self.withheld {
            let mut form = form.clone();
            form.variants = form.variants.moved(there).without(moved.withheld_from());
            if !form.variants.is_empty() {
                moved.withheld.push(form);
            }
        }
        moved
    }
}
