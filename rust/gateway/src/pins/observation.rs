//! A list as it was shown, and the result of comparing it.

use callgate_core::json::{Kind, Tape};

use super::definition::MAX_DEPTH;
use super::digest::Digest;
use super::state::State;
use super::variant::Variant;

/// Bytes of a cursor that are kept; its sender chooses it.
const MAX_CURSOR_BYTES: usize = 4_096;

/// The page of the list that was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageRef<'a> {
    /// The first one: the request had no `cursor`.
    FromStart,
    /// The page at this `cursor`.
    At(&'a str),
    /// The request is not known, as with a stream that is read on after its connection broke.
    Unknown,
}

impl<'a> PageRef<'a> {
    /// Reads the page from a whole request. An unreadable request asks for an unknown page, which begins no list.
    pub fn of_request(tape: &'a mut Tape, request: &'a [u8]) -> Self {
        let Ok(root) = tape.parse(request, MAX_DEPTH) else {
            return Self::Unknown;
        };
        match root.get("params").and_then(|params| params.get("cursor")) {
            Some(cursor) if cursor.kind() != Kind::Null => cursor.as_str().map_or(Self::Unknown, Self::At),
            _ => Self::FromStart,
        }
    }
}

/// A [`PageRef`] that is kept while the reply is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// The first one.
    First,
    /// The page at this `cursor`.
    At(Box<str>),
    /// An unknown page.
    #[default]
    Unknown,
}

impl Page {
    /// Reads the page from a whole request. A cursor that is too long to be kept gives an unknown page.
    pub fn of_request(request: &[u8]) -> Self {
        match PageRef::of_request(&mut Tape::new(), request) {
            PageRef::FromStart => Self::First,
            PageRef::At(cursor) if cursor.len() <= MAX_CURSOR_BYTES => Self::At(cursor.into()),
            PageRef::At(_) | PageRef::Unknown => Self::Unknown,
        }
    }

    /// Borrows the page that was requested.
    pub fn as_page_ref(&self) -> PageRef<'_> {
        match self {
            Self::First => PageRef::FromStart,
            Self::At(cursor) => PageRef::At(cursor),
            Self::Unknown => PageRef::Unknown,
        }
    }
}

/// The properties of a request for a list that its reply needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The page that it requests.
    pub page: Page,
    /// The variant of its client, if the request says so; `None` before MCP 2026-07-28, where only sessions know.
    pub variant: Option<Variant>,
}

impl Listing {
    /// Reads page and variant from a whole request.
    pub fn of_request(request: &[u8]) -> Self {
        Self {
            page: Page::of_request(request),
            variant: Variant::of_request(request),
        }
    }
}

impl From<Page> for Listing {
    fn from(page: Page) -> Self {
        Self { page, variant: None }
    }
}

/// A tool that has become changed or new by a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolChange {
    /// Its name.
    pub tool: String,
    /// [`State::Changed`] or [`State::New`].
    pub state: State,
    /// The digest under which it can be accepted.
    pub digest: Digest,
}

/// The result of comparing a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    pub(super) withheld: Vec<String>,
    /// New facts, for the log; the same list has none the second time.
    pub changes: Vec<ToolChange>,
}

impl Observation {
    /// Returns true if this list may show a tool. The tools that it may not show depend on the list itself: of two
    /// clients that are told different things, each is shown what was accepted.
    pub fn shows(&self, tool: &str) -> bool {
        self.withheld
            .binary_search_by(|withheld| withheld.as_str().cmp(tool))
            .is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_say_which_page_they_ask_for() {
        for (params, asked) in [
            ("", PageRef::FromStart),
            (r#","params":{}"#, PageRef::FromStart),
            (r#","params":{"cursor":null}"#, PageRef::FromStart),
            (r#","params":{"cursor":"2"}"#, PageRef::At("2")),
            (r#","params":{"cursor":2}"#, PageRef::Unknown),
        ] {
            let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list"{params}}}"#);
            assert_eq!(
                PageRef::of_request(&mut Tape::new(), request.as_bytes()),
                asked,
                "{params}"
            );
        }
        assert_eq!(PageRef::of_request(&mut Tape::new(), b"{"), PageRef::Unknown);
    }

    #[test]
    fn what_is_kept_of_a_request_says_the_same() {
        let request = |cursor: &str| format!(r#"{{"params":{{"cursor":"{cursor}"}}}}"#);
        assert_eq!(Page::of_request(b"{}").as_page_ref(), PageRef::FromStart);
        assert_eq!(
            Page::of_request(request("2").as_bytes()).as_page_ref(),
            PageRef::At("2")
        );
        let long = "x".repeat(MAX_CURSOR_BYTES + 1);
        assert_eq!(
            Page::of_request(request(&long).as_bytes()).as_page_ref(),
            PageRef::Unknown
        );
        assert_eq!(Page::default(), Page::Unknown);
    }
}
