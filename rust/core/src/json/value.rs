//! Access to the values on the tape.

use std::ops::Range;

use super::tape::{Node, Tag};
use super::{Kind, Tape, ValueWriter, canonical};

impl Node {
    /// The text of a string or key: from the document, or from the buffer if it has escapes.
    #[inline]
    pub(super) fn text<'t>(&self, document: &'t str, unescaped: &'t str) -> &'t str {
        match self.tag {
            Tag::Escaped => &unescaped[self.detail.from as usize..self.detail.count as usize],
            // Without the quotes.
            _ => &document[self.start as usize + 1..self.end as usize - 1],
        }
    }

    /// Returns whether this is a string or key of this text.
    #[inline]
    fn is_text(&self, text: &str, document: &str, unescaped: &str) -> bool {
        let (start, end) = match self.tag {
            Tag::Plain => (self.start as usize + 1, self.end as usize - 1),
            Tag::Escaped => return self.text(document, unescaped) == text,
            _ => return false,
        };
        // Most keys differ in length, so their bytes are not read.
        end - start == text.len() && document.as_bytes().get(start..end) == Some(text.as_bytes())
    }

    /// The index of the node after this one, which has this `index`, and its descendants.
    #[inline]
    pub(super) fn after(&self, index: u32) -> u32 {
        match self.tag {
            Tag::Array | Tag::Object => self.detail.from,
            _ => index + 1,
        }
    }
}

/// One value of a parsed document.
#[derive(Clone, Copy, Debug)]
pub struct Value<'t> {
    tape: &'t Tape,
    text: &'t str,
    index: u32,
}

impl<'t> Value<'t> {
    /// The root of the document `text`, whose nodes `tape` holds.
    #[inline]
    pub(super) fn root(tape: &'t Tape, text: &'t str) -> Self {
        Self { tape, text, index: 0 }
    }

    #[inline]
    fn node(self) -> &'t Node {
        &self.tape.nodes[self.index as usize]
    }

    #[inline]
    fn at(self, index: u32) -> Self {
        Self { index, ..self }
    }

    /// The index of the node after this value and its descendants.
    #[inline]
    fn after(self) -> u32 {
        self.node().after(self.index)
    }

    /// The text of a string or key.
    #[inline]
    fn string(self) -> &'t str {
        self.node().text(self.text, &self.tape.unescaped)
    }

    /// The kind of the value.
    #[inline]
    pub fn kind(self) -> Kind {
        match self.node().tag {
            Tag::Null => Kind::Null,
            Tag::False | Tag::True => Kind::Bool,
            Tag::Number => Kind::Number,
            Tag::Plain | Tag::Escaped => Kind::String,
            Tag::Array => Kind::Array,
            Tag::Object => Kind::Object,
        }
    }

    /// The boolean, if it is one.
    #[inline]
    pub fn as_bool(self) -> Option<bool> {
        match self.node().tag {
            Tag::False => Some(false),
            Tag::True => Some(true),
            _ => None,
        }
    }

    /// The text of the number as written, if it is one.
    #[inline]
    pub fn as_number(self) -> Option<&'t str> {
        (self.node().tag == Tag::Number).then(|| &self.text[self.span()])
    }

    /// The value's text in the document.
    #[inline]
    pub fn raw(self) -> &'t str {
        &self.text[self.span()]
    }

    /// The unescaped string, if it is one.
    #[inline]
    pub fn as_str(self) -> Option<&'t str> {
        matches!(self.node().tag, Tag::Plain | Tag::Escaped).then(|| self.string())
    }

    /// Elements of a list or members of an object; 0 for anything else.
    #[inline]
    pub fn len(self) -> usize {
        match self.node() {
            Node {
                tag: Tag::Array | Tag::Object,
                detail,
                ..
            } => detail.count as usize,
            _ => 0,
        }
    }

    /// Returns true for an empty list or object, and for every other kind.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The member of an object with this key; takes time linear in the number of members.
    #[inline]
    pub fn get(self, key: &str) -> Option<Value<'t>> {
        let tape = self.tape;
        let (Tag::Object, mut left) = (self.node().tag, self.node().detail.count) else {
            return None;
        };
        let mut index = self.index + 1;
        while left > 0
            && let [name, value, ..] = tape.nodes.get(index as usize..)?
        {
            if name.is_text(key, self.text, &tape.unescaped) {
                return Some(self.at(index + 1));
            }
            index = value.after(index + 1);
            left -= 1;
        }
        None
    }

    /// The element of a list at this index; takes time linear in the index.
    #[inline]
    pub fn element(self, index: usize) -> Option<Value<'t>> {
        self.elements().nth(index)
    }

    /// The elements of a list, in order; none for anything else.
    #[inline]
    pub fn elements(self) -> impl Iterator<Item = Value<'t>> {
        let count = if self.node().tag == Tag::Array {
            self.len()
        } else {
            0
        };
        let mut next = self.index + 1;
        (0..count).map(move |_| {
            let element = self.at(next);
            next = element.after();
            element
        })
    }

    /// The members of an object, in document order; none for anything else.
    #[inline]
    pub fn members(self) -> impl Iterator<Item = (&'t str, Value<'t>)> {
        let count = if self.node().tag == Tag::Object {
            self.len()
        } else {
            0
        };
        let mut next = self.index + 1;
        (0..count).map(move |_| {
            let (key, value) = (self.at(next), self.at(next + 1));
            next = value.after();
            (key.string(), value)
        })
    }

    /// Byte offsets of the value in the document, `[start, end)`.
    #[inline]
    pub fn span(self) -> Range<usize> {
        let node = self.node();
        node.start as usize..node.end as usize
    }

    /// Byte offset of the key under which this value stands (of its quote), if it is a member of an object.
    pub fn key_offset(self) -> Option<usize> {
        let before = self.at(self.index.checked_sub(1)?);
        before.node().is_key.then(|| before.span().start)
    }

    /// Appends the canonical form of `docs/policy.md` section 6: RFC 8785 with exact numbers.
    ///
    /// Recurses as deep as the document, whose depth [`Tape::parse`] has limited.
    pub fn write_canonical(self, out: &mut String) {
        canonical::write_value(self, ValueWriter::new(out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &[u8] =
        br#" {"a": [1, -2.50e+3, {"deep": [[]]}, "x\u0041"], "\u0062": true, "n": null, "": {}} "#;

    #[test]
    fn walks_members_and_elements() {
        let mut tape = Tape::new();
        let root = tape.parse(DOCUMENT, 64).expect("valid");
        assert_eq!((root.kind(), root.len()), (Kind::Object, 4));
        assert_eq!(
            root.members().map(|(key, _)| key).collect::<Vec<_>>(),
            ["a", "b", "n", ""]
        );
        let list = root.get("a").expect("present");
        assert_eq!((list.kind(), list.len()), (Kind::Array, 4));
        assert_eq!(
            list.elements().map(Value::kind).collect::<Vec<_>>(),
            [Kind::Number, Kind::Number, Kind::Object, Kind::String]
        );
        assert_eq!(list.element(1).and_then(Value::as_number), Some("-2.50e+3"));
        assert_eq!(list.element(3).and_then(Value::as_str), Some("xA"));
        assert!(list.element(4).is_none());
        assert_eq!(root.get("b").and_then(Value::as_bool), Some(true));
        assert_eq!(root.get("n").map(Value::kind), Some(Kind::Null));
        assert!(root.get("").is_some_and(Value::is_empty));
        assert!(root.get("deep").is_none());
        assert_eq!(
            list.element(2)
                .and_then(|object| object.get("deep"))
                .map(Value::len),
            Some(1)
        );
    }

    #[test]
    fn a_value_is_only_what_it_is() {
        let mut tape = Tape::new();
        let root = tape.parse(DOCUMENT, 64).expect("valid");
        assert_eq!(
            (root.as_bool(), root.as_number(), root.as_str()),
            (None, None, None)
        );
        assert_eq!(root.elements().count(), 0);
        let list = root.get("a").expect("present");
        assert_eq!(list.members().count(), 0);
        let text = list.element(3).expect("present");
        assert_eq!(
            (text.len(), text.elements().count(), text.members().count()),
            (0, 0, 0)
        );
        assert!(text.get("x").is_none() && text.element(0).is_none());
        assert_eq!((text.as_number(), text.as_bool()), (None, None));
    }

    #[test]
    fn knows_where_it_stands() {
        let mut tape = Tape::new();
        let root = tape.parse(DOCUMENT, 64).expect("valid");
        let shown = |value: Value<'_>| str::from_utf8(&DOCUMENT[value.span()]).expect("text");
        assert_eq!((root.span(), root.key_offset()), (1..DOCUMENT.len() - 1, None));
        let list = root.get("a").expect("present");
        assert_eq!(shown(list), r#"[1, -2.50e+3, {"deep": [[]]}, "x\u0041"]"#);
        assert_eq!(list.key_offset(), Some(2));
        assert_eq!(list.element(3).map(shown), Some(r#""x\u0041""#));
        assert_eq!(list.element(3).and_then(Value::key_offset), None);
        let flag = root.get("b").expect("present");
        assert_eq!(shown(flag), "true");
        assert_eq!(
            flag.key_offset().map(|at| &DOCUMENT[at..at + 8]),
            Some(br#""\u0062""#.as_slice())
        );
    }
}
