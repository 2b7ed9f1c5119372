//! One server as a gateway meets it.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::sync::Arc;

use callgate_core::bindings::Bindings;
use callgate_core::json::{Tape, Value};
use callgate_mcp::list::{ListError, Page};

use super::book::{MAX_DEFINITION_BYTES, MAX_TOOLS};
use super::definition::{Definition, MAX_DEPTH, digest};
use super::digest::Digest;
use super::endpoint::Endpoint;
use super::entry::{Listed, Record};
use super::error::PinsError;
use super::numbers::Numbers;
use super::observation::{Observation, PageRef};
use super::shared::{Shared, Shown};
use super::state::{Mode, State};
use super::variant::Variant;

/// A server's pins, with the endpoint and the mode that are configured for it.
#[derive(Clone, Debug)]
pub struct Server {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    mode: Mode,
}

impl Server {
    pub(super) const fn new(shared: Arc<Shared>, endpoint: Endpoint, mode: Mode) -> Self {
        Self {
            shared,
            endpoint,
            mode,
        }
    }

    /// The handling of tools that are changed or new.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The state of a tool, for any client: one look-up, which never waits. [`State::Unknown`] where
    /// pinning is off.
    pub fn state(&self, tool: &str) -> State {
        if self.mode == Mode::Off {
            return State::Unknown;
        }
        self.shared.view().state(tool, self.endpoint.digest())
    }

    /// The state of a tool for clients of one variant: changes that only other variants were shown do not count. For
    /// clients of the unknown variant every change counts.
    pub fn state_for(&self, tool: &str, variant: &Variant) -> State {
        if self.mode == Mode::Off {
            return State::Unknown;
        }
        self.shared
            .view()
            .state_for(tool, self.endpoint.digest(), variant)
    }

    /// The digest of the accepted forms of a tool, under [`Mode::Report`] of the form that was listed last, and of no form if
    /// nothing is known of the tool; `None` if pinning is off.
    pub fn digest(&self, tool: &str) -> Option<[u8; 32]> {
        let view = self.shared.view();
        match self.mode {
            Mode::Off => None,
            Mode::Report => Some(view.last_digest(tool)),
            Mode::Enforce => Some(view.accepted_digest(tool)),
        }
    }

    /// The counts of its tools. Nothing is pinned where pinning is off.
    pub fn numbers(&self) -> Numbers {
        if self.mode == Mode::Off {
            return Numbers::default();
        }
        Numbers {
            tools: self.shared.view().counts(self.endpoint.digest()),
            changes: self.shared.changes.counts(),
        }
    }

    /// Returns the arguments of a tool that clients mirror in header fields, by every definition that was accepted and the one that was
    /// listed last; `None` where none of them is known, or pinning is off.
    pub fn bindings(&self, tool: &str) -> Option<Arc<Bindings>> {
        if self.mode == Mode::Off {
            return None;
        }
        self.shared.bindings(tool)
    }

    /// Takes note of an answer to `tools/list` that clients of a variant get: a whole JSON-RPC message, as the server sent it,
    /// before anything is taken out. A message without a list (an error, a notification) tells nothing.
    ///
    /// The first list is accepted as it is: its pages from the first one on, each followed by the one at its
    /// `nextCursor`, whichever client of the variant asks for them. A tool is pinned when it is seen first; what counts as new
    /// is what comes after a last page was seen. Every further variant has a first list of its own, in the time after the
    /// server's ([`super::Pins::set_first_lists`]). Nothing is written here; [`super::Pins::sync`] does that.
    ///
    /// After an error nothing was recorded, and where pins are enforced the list must not be shown.
    pub fn observe(
        &self,
        asked: PageRef<'_>,
        variant: &Variant,
        tape: &mut Tape,
        message: &[u8],
    ) -> Result<Observation, PinsError> {
        if self.mode == Mode::Off {
            return Ok(Observation::default());
        }
        match Page::parse(tape, message)? {
            Some(page) => self.take(page, asked, variant, false),
            None => Ok(Observation::default()),
        }
    }

    /// Records a whole list that was saved and reviewed, like [`Self::observe`]: an answer, or the `result` in it. From
    /// then on, only people accept tools that are not in a first list. A list of the unknown variant is for all
    /// variants.
    pub fn observe_whole(
        &self,
        variant: &Variant,
        tape: &mut Tape,
        answer: &[u8],
    ) -> Result<Observation, PinsError> {
        let root = tape.parse(answer, MAX_DEPTH).map_err(ListError::from)?;
        let page = Page::of_result(root.get("result").unwrap_or(root))?.ok_or(PinsError::NoList)?;
        if page.next_cursor().is_some() {
            return Err(PinsError::NotWhole);
        }
        self.take(page, PageRef::FromStart, variant, true)
    }

    fn take(
        &self,
        page: Page<'_>,
        asked: PageRef<'_>,
        variant: &Variant,
        is_reviewed: bool,
    ) -> Result<Observation, PinsError> {
        let tools = self.read(page)?;
        let shown = Shown {
            asked,
            variant,
            is_reviewed,
            next_cursor: page.next_cursor(),
        };
        let mut observation = self.shared.list(&tools, shown)?;
        if self.mode != Mode::Enforce {
            observation.withheld.clear();
        }
        Ok(observation)
    }

    fn read<'t>(&self, page: Page<'t>) -> Result<BTreeMap<&'t str, Listed>, PinsError> {
        let now_unix_s = self.shared.now_unix_s();
        let server = || self.shared.name().to_owned();
        let known = self.shared.view();
        let mut tools = BTreeMap::new();
        for (name, tool) in page.tools() {
            let digest = digest(&self.endpoint, tool);
            // Most lists are the same as before, and nothing is copied of them.
            let record = match known.record(name, digest) {
                Some(record) => Arc::clone(record),
                None => Arc::new(self.record(name, tool, digest, now_unix_s)?),
            };
            match tools.entry(name) {
                btree_map::Entry::Vacant(entry) => {
                    entry.insert(Listed {
                        record,
                        is_ambiguous: false,
                    });
                }
                btree_map::Entry::Occupied(mut entry) => {
                    let listed = entry.get_mut();
                    listed.is_ambiguous |= listed.record.digest != record.digest;
                }
            }
            if tools.len() > MAX_TOOLS {
                return Err(PinsError::TooManyTools { server: server() });
            }
        }
        Ok(tools)
    }

    fn record(
        &self,
        name: &str,
        tool: Value<'_>,
        digest: Digest,
        at_unix_s: u64,
    ) -> Result<Record, PinsError> {
        let definition =
            Definition::within(MAX_DEFINITION_BYTES, tool).ok_or_else(|| PinsError::DefinitionTooLong {
                server: self.shared.name().to_owned(),
                tool: name.to_owned(),
            })?;
        Ok(Record {
            digest,
            endpoint: self.endpoint.clone(),
            definition,
            at_unix_s,
        })
    }
}
