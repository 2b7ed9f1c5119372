//! Kinds of clients to which a server may show lists of their own.

use std::fmt;
use std::sync::Arc;

use callgate_core::json::{Kind, Tape, Value};

use super::definition::MAX_DEPTH;

/// Most variants of one server. Clients state their variant themselves, so without a bound there could be any number.
pub(super) const MAX_VARIANTS: usize = 32;

/// Characters of a variant's text: it stands in session ids, in files and on terminals.
const MAX_CHARACTERS: usize = 256;

/// Between the protocol version and each name of a capability.
const JOINT: char = '+';

/// The text for clients of which nothing is known.
const UNKNOWN: &str = "unknown";

/// The member of `_meta` in every request since MCP 2026-07-28.
const VERSION_OF_REQUEST: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_OF_REQUEST: &str = "io.modelcontextprotocol/clientCapabilities";

/// A kind of client: the protocol version and the names of the capabilities that it declares, or unknown.
///
/// Its text is `2025-11-25+elicitation+roots`, the names sorted, or `unknown`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Variant(Arc<str>);

impl Variant {
    /// Clients of which nothing is known.
    pub fn unknown() -> Self {
        Self(UNKNOWN.into())
    }

    /// By its text; `None` where it is none that a variant has.
    pub fn parse(text: &str) -> Option<Self> {
        if text == UNKNOWN {
            return Some(Self::unknown());
        }
        let mut parts = text.split(JOINT);
        let version = parts.next()?;
        Self::new(version, parts).filter(|variant| variant.text() == text)
    }

    /// By the body of an `initialize`; unknown where that does not say it.
    pub fn of_initialize(body: &[u8]) -> Self {
        let mut tape = Tape::new();
        let Ok(root) = tape.parse(body, MAX_DEPTH) else {
            return Self::unknown();
        };
        let params = root.get("params");
        let said = |key: &str| params.and_then(|params| params.get(key));
        Self::said(said("protocolVersion"), said("capabilities")).unwrap_or_else(Self::unknown)
    }

    /// Reads the variant from a request, which states it since MCP 2026-07-28; `None` if it does not.
    pub fn of_request(body: &[u8]) -> Option<Self> {
        let mut tape = Tape::new();
        let root = tape.parse(body, MAX_DEPTH).ok()?;
        let meta = root.get("params")?.get("_meta")?;
        let version = meta.get(VERSION_OF_REQUEST)?;
        let capabilities = meta.get(CAPABILITIES_OF_REQUEST);
        Some(Self::said(Some(version), capabilities).unwrap_or_else(Self::unknown))
    }

    /// By the protocol version alone: all that a server without sessions knows of a client before MCP 2026-07-28.
    pub fn of_version(version: &str) -> Self {
        Self::new(version, []).unwrap_or_else(Self::unknown)
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Returns true if nothing is known of the client.
    pub fn is_unknown(&self) -> bool {
        self.text() == UNKNOWN
    }

    fn said(version: Option<Value<'_>>, capabilities: Option<Value<'_>>) -> Option<Self> {
        let version = version?.as_str()?;
        match capabilities {
            None => Self::new(version, []),
            Some(declared) if declared.kind() == Kind::Object => {
                let members = declared.members();
                // `null` is how some clients write that they have none.
                let names = members.filter(|(_, value)| value.kind() != Kind::Null);
                Self::new(version, names.map(|(name, _)| name))
            }
            Some(_) => None,
        }
    }

    /// `None` where a part has other characters than those of protocol versions and capabilities, or all is too long.
    fn new<'n>(version: &str, names: impl IntoIterator<Item = &'n str>) -> Option<Self> {
        let mut names: Vec<&str> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        let mut text = String::new();
        for part in std::iter::once(version).chain(names) {
            if part.is_empty() || !part.bytes().all(is_plain) || text.len() + part.len() >= MAX_CHARACTERS {
                return None;
            }
            if !text.is_empty() {
                text.push(JOINT);
            }
            text.push_str(part);
        }
        (text != UNKNOWN).then(|| Self(text.into()))
    }
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b':')
}

impl Default for Variant {
    fn default() -> Self {
        Self::unknown()
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl fmt::Debug for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Some of a book's variants, by their places in it. The first place is the unknown's, which also those have that found no
/// place of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(u64);

/// The place of clients of which nothing is known.
pub(super) const UNKNOWN_PLACE: usize = 0;

impl Places {
    pub(super) const fn one(place: usize) -> Self {
        Self(1 << place)
    }

    pub(super) const fn has(self, place: usize) -> bool {
        self.0 & 1 << place != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The places, in order.
    pub(super) fn each(self) -> impl Iterator<Item = usize> {
        (0..=MAX_VARIANTS).filter(move |&place| self.has(place))
    }

    /// The same variants in another book, by where each place is there.
    pub(super) fn moved(self, there: &[usize]) -> Self {
        let places = self.each();
        let moved = places.map(|place| there.get(place).copied().unwrap_or(UNKNOWN_PLACE));
        moved.fold(Self::default(), |all, place| all.and(Self::one(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn initialize(params: &str) -> Variant {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#);
        Variant::of_initialize(body.as_bytes())
    }

    #[test]
    fn a_client_is_its_version_and_the_names_of_its_capabilities() {
        for (params, text) in [
            (r#"{"protocolVersion":"2025-11-25"}"#, "2025-11-25"),
            (
                r#"{"protocolVersion":"2025-11-25","capabilities":{}}"#,
                "2025-11-25",
            ),
            (
                r#"{"protocolVersion":"2025-11-25","capabilities":{"sampling":{},"roots":{"listChanged":true}}}"#,
                "2025-11-25+roots+sampling",
            ),
            (
                r#"{"protocolVersion":"2025-11-25","capabilities":{"roots":null,"elicitation":{}}}"#,
                "2025-11-25+elicitation",
            ),
        ] {
            let variant = initialize(params);
            assert_eq!(variant.text(), text, "{params}");
            assert_eq!(Variant::parse(text), Some(variant));
        }
    }

    #[test]
    fn what_says_nothing_that_could_be_kept_is_unknown() {
        let long = format!(
            r#"{{"protocolVersion":"2025-11-25","capabilities":{{"{}":{{}}}}}}"#,
            "x".repeat(300)
        );
        for params in [
            "{}",
            "[]",
            r#"{"protocolVersion":1}"#,
            r#"{"protocolVersion":""}"#,
            r#"{"protocolVersion":"unknown"}"#,
            r#"{"protocolVersion":"2025-11-25","capabilities":[]}"#,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"a+b":{}}}"#,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"a~b":{}}}"#,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"a\nb":{}}}"#,
            r#"{"protocolVersion":"2025-11-25","capabilities":{"":{}}}"#,
            &long,
        ] {
            assert!(initialize(params).is_unknown(), "{params}");
        }
        assert!(Variant::of_initialize(b"{").is_unknown());
        for text in ["", "2025-11-25+", "+roots", "2025-11-25+b+a", "a b"] {
            assert_eq!(Variant::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_request_speaks_for_itself() {
        let request = |meta: &str| {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{meta}}}}}"#);
            Variant::of_request(body.as_bytes())
        };
        let version = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#;
        let declared = r#""io.modelcontextprotocol/clientCapabilities":{"sampling":{},"elicitation":{}}"#;
        let text = |meta: &str| request(meta).map(|variant| variant.text().to_owned());
        assert_eq!(text(&format!("{{{version}}}")).as_deref(), Some("2026-07-28"));
        assert_eq!(
            text(&format!("{{{version},{declared}}}")).as_deref(),
            Some("2026-07-28+elicitation+sampling")
        );
        assert_eq!(text(&format!("{{{declared}}}")), None);
        assert_eq!(text("{}"), None);
        assert_eq!(Variant::of_request(b"{}"), None);
    }

    #[test]
    fn places_move_with_their_variants() {
        let some = Places::one(0).and(Places::one(2));
        assert_eq!(some.each().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(some.moved(&[0, 1, 5]).each().collect::<Vec<_>>(), [0, 5]);
        assert_eq!(some.moved(&[0]).each().collect::<Vec<_>>(), [0]);
        assert_eq!(some.without(Places::one(0)), Places::one(2));
        assert!(some.has(2) && !some.has(1) && Places::default().is_empty());
        assert!(Places::one(MAX_VARIANTS).has(MAX_VARIANTS));
    }
}
