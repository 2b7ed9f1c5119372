//! What is pinned of one server, and what it listed last.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use callgate_core::bindings::Bindings;

use super::definition::Definition;
use super::digest::Digest;
use super::endpoint::Endpoint;
use super::error::PinsError;
use super::state::State;

/// Tools of one server.
pub(super) const MAX_TOOLS: usize = 4096;
/// Bytes of one tool's definition.
pub(super) const MAX_DEFINITION_BYTES: usize = 256 * 1024;
/// Bytes of all definitions and names that are kept of one server.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Definitions of one tool that are accepted side by side.
pub(super) const MAX_ACCEPTED: usize = 8;

/// A tool as a server listed it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The digest of definition and endpoint.
    pub digest: Digest,
    /// Where the server was.
    pub endpoint: Endpoint,
    /// What it said.
    pub definition: Definition,
    /// When it was listed first, in seconds since 1970.
    pub at_unix_s: u64,
}

/// What is known of one tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// What was accepted, the last one last; empty for a new tool.
    pub(super) pinned: Vec<Arc<Record>>,
    /// What was listed last; after a file was read `None` unless it is none of those.
    pub(super) listed: Option<Arc<Record>>,
    /// The server's last list had two tools of this name that differ.
    pub(super) is_ambiguous: bool,
    /// The round in which a list of this process showed it last in a state that is not accepted, so that a list which says the
    /// same as the one before is known to be a later one. It is in no file.
    pub(super) withheld_in: u64,
}

impl Entry {
    pub(super) fn state(&self) -> State {
        if self.pinned.is_empty() {
            State::New
        } else if self.is_ambiguous || self.differing().is_some() {
            State::Changed
        } else {
            State::Pinned
        }
    }

    /// What was listed last, if it is none of what was accepted.
    pub(super) fn differing(&self) -> Option<&Arc<Record>> {
        self.listed
            .as_ref()
            .filter(|listed| self.pinned.iter().all(|pinned| pinned.digest != listed.digest))
    }

    /// Which arguments clients mirror, by every definition that they may go by: a server may list a tool in several forms, and
    /// what one client is told must not lift the check off another's fields.
    fn bindings(&self) -> Arc<Bindings> {
        let mut records = self.listed.iter().chain(&self.pinned);
        let mut known: Vec<&Arc<Bindings>> = Vec::new();
        for record in &mut records {
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

    /// Takes note that it was listed as it is.
    fn was_listed_in(&mut self, round: u64) {
        if !self.state().is_accepted() {
            self.withheld_in = round;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let records = self.pinned.iter().chain(self.differing());
        records.map(|record| record.definition.as_json().len()).sum()
    }
}

/// A tool of a page.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) record: Arc<Record>,
    pub(super) is_ambiguous: bool,
}

/// Everything that is known of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Book {
    /// Whether a whole list was seen: from then on a tool that is not here is new.
    pub(super) is_complete: bool,
    /// When somebody had it forgotten last, in milliseconds since 1970; every reset raises it, and it is 0 before the first.
    pub(super) reset_at_unix_ms: u64,
    pub(super) tools: BTreeMap<String, Entry>,
}

impl Book {
    /// Whether it says nothing, as one that was reset does.
    pub(super) fn is_blank(&self) -> bool {
        !self.is_complete && self.tools.is_empty()
    }

    /// Whether a page tells anything that was not known, or not known by this process.
    pub(super) fn knows(&self, page: &BTreeMap<&str, Listed>) -> bool {
        page.iter().all(|(&name, tool)| {
            self.tools.get(name).is_some_and(|entry| {
                let listed = entry.listed.as_ref().map(|listed| listed.digest);
                listed == Some(tool.record.digest) && entry.is_ambiguous == tool.is_ambiguous
            })
        })
    }

    /// Takes note of a page that tells nothing else than the one before.
    pub(super) fn list_again(&mut self, page: &BTreeMap<&str, Listed>, round: u64) {
        for &name in page.keys() {
            if let Some(entry) = self.tools.get_mut(name) {
                entry.was_listed_in(round);
            }
        }
    }

    /// Takes over a page. Before a whole list was seen, a tool that is seen for the first time is pinned as it is, if the page
    /// is known to be one of the list (`is_of_list`).
    pub(super) fn list(&mut self, page: &BTreeMap<&str, Listed>, is_of_list: bool, round: u64) {
        for (&name, tool) in page {
            if let Some(entry) = self.tools.get_mut(name) {
                entry.listed = Some(Arc::clone(&tool.record));
                entry.is_ambiguous = tool.is_ambiguous;
                entry.was_listed_in(round);
            } else if self.is_complete || is_of_list {
                let is_first = !self.is_complete && !tool.is_ambiguous;
                let mut entry = Entry {
                    pinned: is_first.then(|| Arc::clone(&tool.record)).into_iter().collect(),
                    listed: Some(Arc::clone(&tool.record)),
                    is_ambiguous: tool.is_ambiguous,
                    withheld_in: 0,
                };
                entry.was_listed_in(round);
                self.tools.insert(name.to_owned(), entry);
            }
        }
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

    /// Whether a file with this book would say the same.
    pub(super) fn is_written_like(&self, other: &Self) -> bool {
        self.is_complete == other.is_complete
            && self.reset_at_unix_ms == other.reset_at_unix_ms
            && self.tools.len() == other.tools.len()
            && self
                .tools
                .iter()
                .zip(&other.tools)
                .all(|((name, a), (other_name, b))| {
                    name == other_name
                        && a.pinned == b.pinned
                        && a.is_ambiguous == b.is_ambiguous
                        && a.differing().map(|record| record.digest)
                            == b.differing().map(|record| record.digest)
                })
    }

    pub(super) fn view(&self) -> View {
        let row = |entry: &Entry| Row {
            state: entry.state(),
            endpoints: entry
                .pinned
                .iter()
                .map(|pinned| pinned.endpoint.digest())
                .collect(),
            listed: entry.listed.clone(),
            bindings: entry.bindings(),
        };
        View {
            is_complete: self.is_complete,
            rows: self
                .tools
                .iter()
                .map(|(name, entry)| (name.as_str().into(), row(entry)))
                .collect(),
        }
    }
}

/// Which bound a book is beyond.
#[derive(Clone, Copy, Debug)]
enum Bound {
    Tools,
    Bytes,
}

/// A book for look-ups.
#[derive(Debug, Default)]
pub(super) struct View {
    is_complete: bool,
    rows: HashMap<Box<str>, Row>,
}

#[derive(Debug)]
struct Row {
    state: State,
    endpoints: Box<[Digest]>,
    listed: Option<Arc<Record>>,
    bindings: Arc<Bindings>,
}

impl View {
    /// What is known of a tool of a server that is at this endpoint.
    pub(super) fn state(&self, tool: &str, endpoint: Digest) -> State {
        match self.rows.get(tool) {
            Some(row) if row.state == State::Pinned && !row.endpoints.contains(&endpoint) => State::Changed,
            Some(row) => row.state,
            None if self.is_complete => State::New,
            None => State::Unknown,
        }
    }

    /// How many tools are in each state, of a server that is at this endpoint.
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

    /// What was listed last, if it has this digest.
    pub(super) fn listed(&self, tool: &str, digest: Digest) -> Option<&Arc<Record>> {
        let listed = self.rows.get(tool)?.listed.as_ref()?;
        (listed.digest == digest).then_some(listed)
    }

    /// Which arguments of a tool clients mirror in header fields.
    pub(super) fn bindings(&self, tool: &str) -> Option<Arc<Bindings>> {
        Some(Arc::clone(&self.rows.get(tool)?.bindings))
    }
}
