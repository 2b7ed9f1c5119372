//! A book for look-ups.

use std::collections::HashMap;
use std::sync::Arc;

use callgate_core::bindings::Bindings;

use super::book::Book;
use super::digest::Digest;
use super::entry::{Entry, Record};
use super::state::State;
use super::variant::{Places, UNKNOWN_PLACE, Variant};

/// A book for look-ups.
#[derive(Debug, Default)]
pub(super) struct View {
    is_complete: bool,
    variants: HashMap<Variant, usize>,
    rows: HashMap<Box<str>, Row>,
}

#[derive(Debug)]
struct Row {
    state: State,
    withheld_from: Places,
    endpoints: Box<[Digest]>,
    /// Of the accepted definitions.
    accepted: Box<[Digest]>,
    records: Box<[Arc<Record>]>,
    bindings: Arc<Bindings>,
}

impl Row {
    fn of(entry: &Entry) -> Self {
        Self {
            state: entry.state(),
            withheld_from: entry.withheld_from(),
            endpoints: entry
                .pinned
                .iter()
                .map(|pin| pin.record.endpoint.digest())
                .collect(),
            accepted: entry.pinned.iter().map(|pin| pin.record.digest).collect(),
            records: entry.records().cloned().collect(),
            bindings: entry.bindings(),
        }
    }
}

impl View {
    pub(super) fn of(book: &Book) -> Self {
        let variants = book.variants.iter().enumerate();
        let tools = book.tools.iter();
        Self {
            is_complete: book.is_complete,
            variants: variants
                .map(|(place, met)| (met.variant.clone(), place))
                .collect(),
            rows: tools
                .map(|(name, entry)| (name.as_str().into(), Row::of(entry)))
                .collect(),
        }
    }

    /// The state of a tool of a server at this endpoint, for any client.
    pub(super) fn state(&self, tool: &str, endpoint: Digest) -> State {
        match self.rows.get(tool) {
            Some(row) if row.state == State::Pinned && !row.endpoints.contains(&endpoint) => State::Changed,
            Some(row) => row.state,
            None if self.is_complete => State::New,
            None => State::Unknown,
        }
    }

    /// The state of a tool for clients of one variant: changes that only other variants were shown do not count, unless
    /// the variant is unknown.
    pub(super) fn state_for(&self, tool: &str, endpoint: Digest, variant: &Variant) -> State {
        let state = self.state(tool, endpoint);
        let (State::Changed, Some(row), Some(&place)) =
            (state, self.rows.get(tool), self.variants.get(variant))
        else {
            return state;
        };
        let is_known = place != UNKNOWN_PLACE && !row.withheld_from.has(place);
        if is_known && row.endpoints.contains(&endpoint) {
            return State::Pinned;
        }
        state
    }

    /// The number of tools in each state, of a server at this endpoint.
    pub(super) fn counts(&self, endpoint: Digest) -> Vec<(State, usize)> {
        let is_in = |wanted: State| {
            self.rows
                .keys()
                .filter(move |tool| self.state(tool, endpoint) == wanted)
        };
        [State::Pinned, State::Changed, State::New]
            .into_iter()
            .map(|state| (state, is_in(state).count()))
            .collect()
    }

    /// The record of a tool under this digest.
    pub(super) fn record(&self, tool: &str, digest: Digest) -> Option<&Arc<Record>> {
        let mut records = self.rows.get(tool)?.records.iter();
        records.find(|record| record.digest == digest)
    }

    /// The digest of all accepted definitions of a tool, in whatever order they were accepted; of none if nothing is known of
    /// the tool.
    pub(super) fn accepted_digest(&self, tool: &str) -> [u8; 32] {
        let accepted = self.rows.get(tool).map_or(&[][..], |row| &row.accepted);
        let mut digests: Vec<&[u8; 32]> = accepted.iter().map(Digest::as_bytes).collect();
        digests.sort_unstable();
        Digest::of_all(digests)
    }

    /// The digest of the definition of a tool that is not accepted and was listed last, else of the one that was accepted last.
    pub(super) fn last_digest(&self, tool: &str) -> [u8; 32] {
        let last = self.rows.get(tool).and_then(|row| {
            // Those that are not accepted come first, the one that was listed last before the others.
            let is_withheld = row.records.len() > row.accepted.len();
            let last = if is_withheld {
                row.records.first()
            } else {
                row.records.last()
            };
            last.map(|record| record.digest)
        });
        Digest::of_all(last.as_ref().map(Digest::as_bytes))
    }

    /// Returns the arguments of a tool that clients mirror in header fields.
    pub(super) fn bindings(&self, tool: &str) -> Option<Arc<Bindings>> {
        Some(Arc::clone(&self.rows.get(tool)?.bindings))
    }
}
