//! The flat list of a document's values.

use super::keys::KeyMark;
use super::parser::{self, Frame};
use super::special::Specials;
use super::{JsonError, JsonErrorKind, Value};

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kinds of JSON")]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    /// The word in messages: `null`, `boolean`, `number`, `string`, `list`, `object`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "list",
            Self::Object => "object",
        }
    }
}

/// The kind of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Null,
    False,
    True,
    Number,
    /// A string or key without escapes; its text is a part of the document.
    Plain,
    /// A string or key with escapes; its text is in [`Tape::unescaped`].
    Escaped,
    Array,
    Object,
}

/// One value or key. Nodes are in document order; the key of a member directly precedes its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) tag: Tag,
    /// True for the key of a member.
    pub(super) is_key: bool,
    /// The offset of its first byte in the document.
    pub(super) start: u32,
    /// The offset after its last byte in the document.
    pub(super) end: u32,
    pub(super) detail: Detail,
}

/// Two numbers that depend on the tag; unused for most tags.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Detail {
    /// Lists and objects: index of the node after their last descendant. Escaped strings: start in `unescaped`.
    pub(super) from: u32,
    /// Lists and objects: number of elements or members. Escaped strings: end in `unescaped`.
    pub(super) count: u32,
}

/// The capacity of nodes, marks and frames that a tape keeps; about 256 KiB of nodes.
const KEPT_NODES: usize = 256 * 1024 / size_of::<Node>();

/// The bytes of a document whose special ones a tape keeps room for.
const KEPT_BYTES: usize = 1024 * 1024;

/// The capacity of unescaped text that a tape keeps, in bytes.
const KEPT_TEXT: usize = 64 * 1024;

/// The flat list of a document's values, with buffers that are used again for the next document.
///
/// A document that needed more than about 256 KiB does not keep that memory allocated: the next document begins by
/// releasing it.
#[derive(Debug, Default)]
pub struct Tape {
    pub(super) nodes: Vec<Node>,
    pub(super) specials: Specials,
    /// The text of strings with escapes, concatenated.
    pub(super) unescaped: String,
    /// The keys of the open objects, those of the innermost object last.
    pub(super) keys: Vec<KeyMark>,
    /// The lists and objects around the current one.
    pub(super) frames: Vec<Frame>,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses the whole of `bytes` as one JSON document and returns its root.
    ///
    /// A container at the root has depth 1; deeper nesting than `max_depth` is refused. Duplicate keys are refused at
    /// any depth, after unescaping. Time is linear in the length of `bytes`, except for objects with many keys, which
    /// are sorted.
    pub fn parse<'t>(&'t mut self, bytes: &'t [u8], max_depth: usize) -> Result<Value<'t>, JsonError> {
        self.clear();
        if u32::try_from(bytes.len()).is_err() {
            return Err(JsonError {
                offset: 0,
                kind: JsonErrorKind::Syntax("a document of less than 4 GiB"),
            });
        }
        let text = str::from_utf8(bytes).map_err(|error| JsonError {
            offset: error.valid_up_to(),
            kind: JsonErrorKind::InvalidUtf8,
        })?;
        self.specials.find(bytes);
        parser::parse(self, text, max_depth)?;
        Ok(Value::root(self, text))
    }

    fn clear(&mut self) {
        self.nodes.clear();
        self.unescaped.clear();
        self.keys.clear();
        self.frames.clear();
        self.specials.shrink_to(KEPT_BYTES);
        self.nodes.shrink_to(KEPT_NODES);
        self.unescaped.shrink_to(KEPT_TEXT);
        self.keys.shrink_to(KEPT_NODES);
        self.frames.shrink_to(KEPT_NODES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacities(tape: &Tape) -> [usize; 5] {
        [
            tape.specials.capacity(),
            tape.nodes.capacity(),
            tape.unescaped.capacity(),
            tape.keys.capacity(),
            tape.frames.capacity(),
        ]
    }

    #[test]
    fn a_document_of_the_same_size_allocates_nothing() {
        let mut tape = Tape::new();
        let document = br#"{"a": [1, {"b": "\n"}], "c": {"d": "e\\f"}}"#;
        tape.parse(document, 64).expect("valid");
        let grown = capacities(&tape);
        for _ in 0..3 {
            tape.parse(document, 64).expect("valid");
            assert_eq!(capacities(&tape), grown);
        }
    }

    #[test]
    fn an_oversized_document_does_not_pin_memory() {
        let mut tape = Tape::new();
        let many = |unit: &str| unit.repeat(100_000);
        let keys: Vec<String> = (0..100_000).map(|n| format!("\"k{n}\":0,")).collect();
        tape.parse(
            format!("{{{}\"s\":\"{}\"}}", keys.concat(), many("\\n")).as_bytes(),
            64,
        )
        .expect("valid");
        tape.parse(format!("{}{}", many("["), many("]")).as_bytes(), usize::MAX)
            .expect("valid");
        assert!(
            tape.frames.capacity() >= 99_999,
            "the test reached what it means to"
        );
        tape.parse(b"{}", 64).expect("valid");
        let [specials, nodes, unescaped, keys, frames] = capacities(&tape);
        assert!(nodes <= KEPT_NODES && keys <= KEPT_NODES && frames <= KEPT_NODES);
        assert!(unescaped <= KEPT_TEXT && specials <= KEPT_BYTES);
    }
}
