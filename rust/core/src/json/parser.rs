//! Parses a document's bytes in one pass, without recursion.

use super::keys::{self, KeyMark};
use super::string;
use super::tape::{Detail, Node, Tag, Tape};
use super::{JsonError, JsonErrorKind, number};

/// The container of the current value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Root,
    Array,
    Object,
}

/// A list or object that is still open, or the root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    place: Place,
    /// Its node.
    node: u32,
    /// Values read so far.
    count: u32,
    /// The index of its first key among those of all open objects.
    keys: u32,
}

/// The state that the steps of a pass share. The offset of the next byte is not a field: each step receives and returns
/// it, so that it stays in a register.
struct Parser<'d, 't> {
    text: &'d str,
    bytes: &'d [u8],
    max_depth: usize,
    tape: &'t mut Tape,
}

/// Fills a cleared tape with the nodes of `text`, which is shorter than 4 GiB.
pub(super) fn parse(tape: &mut Tape, text: &str, max_depth: usize) -> Result<(), JsonError> {
    if text.starts_with('\u{feff}') {
        return Err(expected("a value, not a byte order mark", 0));
    }
    Parser {
        text,
        bytes: text.as_bytes(),
        max_depth,
        tape,
    }
    .document()
}

/// INVARIANT: offsets and node counts fit, because a document is shorter than 4 GiB and a node takes at least a byte.
#[inline]
fn narrow(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

#[cold]
fn expected(what: &'static str, offset: usize) -> JsonError {
    JsonError {
        offset,
        kind: JsonErrorKind::Syntax(what),
    }
}

impl Parser<'_, '_> {
    fn document(mut self) -> Result<(), JsonError> {
        let mut frame = Frame {
            place: Place::Root,
            node: 0,
            count: 0,
            keys: 0,
        };
        let mut at = self.after_space(0);
        'value: loop {
            frame.count += 1;
            let is_member = frame.place == Place::Object;
            at = match self.peek(at) {
                b'"' => self.string(at, is_member)?,
                b'-' | b'0'..=b'9' => self.number(at, is_member)?,
                b'{' => {
                    frame = self.open(at, frame, Place::Object)?;
                    at = self.after_space(at + 1);
                    if self.peek(at) != b'}' {
                        at = self.key(at)?;
                        continue 'value;
                    }
                    at
                }
                b'[' => {
                    frame = self.open(at, frame, Place::Array)?;
                    at = self.after_space(at + 1);
                    if self.peek(at) != b']' {
                        continue 'value;
                    }
                    at
                }
                b't' => self.word(at, b"true", Tag::True, is_member)?,
                b'f' => self.word(at, b"false", Tag::False, is_member)?,
                b'n' => self.word(at, b"null", Tag::Null, is_member)?,
                _ => return Err(expected("a value", at)),
            };
            // A value has ended, or an empty list or object is about to end.
            loop {
                at = self.after_space(at);
                match (frame.place, self.peek(at)) {
                    (Place::Object, b',') => {
                        at = self.key(self.after_space(at + 1))?;
                        continue 'value;
                    }
                    (Place::Array, b',') => {
                        at = self.after_space(at + 1);
                        continue 'value;
                    }
                    (Place::Object, b'}') | (Place::Array, b']') => {
                        at += 1;
                        frame = self.close(at, frame)?;
                    }
                    (Place::Object, _) => return Err(expected("`,` or `}`", at)),
                    (Place::Array, _) => return Err(expected("`,` or `]`", at)),
                    (Place::Root, _) if at == self.bytes.len() => return Ok(()),
                    (Place::Root, _) => return Err(expected("the end of the document", at)),
                }
            }
        }
    }

    /// The byte at an offset, or NUL at the end; NUL is never valid where this is called.
    #[inline]
    fn peek(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// The offset of the first byte that is not white space.
    #[inline]
    fn after_space(&self, mut at: usize) -> usize {
        while matches!(self.peek(at), b' ' | b'\n' | b'\r' | b'\t') {
            at += 1;
        }
        at
    }

    /// Adds the node of the text at `[start, end)`.
    #[inline]
    fn push(&mut self, tag: Tag, is_member: bool, start: usize, end: usize, detail: Detail) {
        let node = Node {
            tag,
            is_member,
            start: narrow(start),
            end: narrow(end),
            detail,
        };
        self.tape.nodes.push(node);
    }

    /// Begins the list or object whose bracket is at `at`, in `parent`.
    #[inline]
    fn open(&mut self, at: usize, parent: Frame, place: Place) -> Result<Frame, JsonError> {
        // The stored frames are those around this one; the root's frame stands for no container.
        if self.tape.frames.len() >= self.max_depth {
            return Err(JsonError {
                offset: at,
                kind: JsonErrorKind::TooDeep {
                    max_depth: self.max_depth,
                },
            });
        }
        self.tape.frames.push(parent);
        let node = narrow(self.tape.nodes.len());
        let tag = if place == Place::Object {
            Tag::Object
        } else {
            Tag::Array
        };
        self.push(tag, parent.place == Place::Object, at, at, Detail::default());
        Ok(Frame {
            place,
            node,
            count: 0,
            keys: narrow(self.tape.keys.len()),
        })
    }

    /// Ends the list or object of `frame` at `end`, and returns the frame around it.
    #[inline]
    fn close(&mut self, end: usize, frame: Frame) -> Result<Frame, JsonError> {
        let after = narrow(self.tape.nodes.len());
        if let Some(node) = self.tape.nodes.get_mut(frame.node as usize) {
            node.end = narrow(end);
            node.detail = Detail {
                from: after,
                count: frame.count,
            };
        }
        if frame.place == Place::Object {
            self.check_keys(frame.keys as usize)?;
        }
        // INVARIANT: `open` pushed the frame around every list and object, so this frame exists.
        self.tape
            .frames
            .pop()
            .ok_or_else(|| expected("the end of the document", end))
    }

    /// Refuses an object with a duplicate among its keys, which begin at `first`; removes the keys.
    #[inline]
    fn check_keys(&mut self, first: usize) -> Result<(), JsonError> {
        let Tape {
            nodes,
            unescaped,
            keys,
            ..
        } = &mut *self.tape;
        let text = |node: u32| nodes[node as usize].text(self.text, unescaped);
        if let Some(repeated) = keys::first_repeated(&mut keys[first..], |node| text(node).as_bytes()) {
            let offset = nodes[repeated as usize].start as usize;
            return Err(JsonError {
                offset,
                kind: JsonErrorKind::DuplicateKey(text(repeated).to_owned()),
            });
        }
        keys.truncate(first);
        Ok(())
    }

    /// Reads a key at `at`, its colon and the white space around it; returns the offset of the member's value.
    #[expect(
        clippy::inline_always,
        reason = "two callers keep the compiler from it; saves a fifth of a parse"
    )]
    #[inline(always)]
    fn key(&mut self, at: usize) -> Result<usize, JsonError> {
        if self.peek(at) != b'"' {
            return Err(expected("a key in quotes", at));
        }
        let node = self.tape.nodes.len();
        let end = self.string(at, false)?;
        let key = match self.tape.nodes[node] {
            Node { tag: Tag::Plain, .. } => &self.bytes[at + 1..end - 1],
            escaped => escaped.text(self.text, &self.tape.unescaped).as_bytes(),
        };
        let mark = KeyMark::new(key, narrow(node));
        self.tape.keys.push(mark);
        let colon = self.after_space(end);
        if self.peek(colon) != b':' {
            return Err(expected("`:` after the key", colon));
        }
        Ok(self.after_space(colon + 1))
    }

    /// Reads the string whose opening quote is at `start`; returns the offset after it.
    #[expect(
        clippy::inline_always,
        reason = "three callers keep the compiler from it; saves a fifth of a parse"
    )]
    #[inline(always)]
    fn string(&mut self, start: usize, is_member: bool) -> Result<usize, JsonError> {
        let special = string::find_special(self.bytes, start + 1);
        match self.bytes.get(special) {
            Some(b'"') => {
                self.push(Tag::Plain, is_member, start, special + 1, Detail::default());
                Ok(special + 1)
            }
            Some(b'\\') => self.escaped_string(is_member, start, special),
            _ => Err(string::unterminated(self.bytes, special)),
        }
    }

    /// Works as [`Self::string`] on a string with its first escape at `backslash`.
    #[inline(never)]
    fn escaped_string(
        &mut self,
        is_member: bool,
        start: usize,
        backslash: usize,
    ) -> Result<usize, JsonError> {
        let unescaped = &mut self.tape.unescaped;
        let from = narrow(unescaped.len());
        unescaped.push_str(&self.text[start + 1..backslash]);
        let quote = string::unescape(self.text, backslash, unescaped)?;
        let detail = Detail {
            from,
            count: narrow(unescaped.len()),
        };
        self.push(Tag::Escaped, is_member, start, quote + 1, detail);
        Ok(quote + 1)
    }

    /// Reads the number at `start`; returns the offset after it.
    #[inline]
    fn number(&mut self, start: usize, is_member: bool) -> Result<usize, JsonError> {
        let end = number::end_of_number(self.bytes, start)?;
        self.push(Tag::Number, is_member, start, end, Detail::default());
        Ok(end)
    }

    /// Reads the literal `word` at `start`; returns the offset after it.
    #[inline]
    fn word(
        &mut self,
        start: usize,
        word: &'static [u8],
        tag: Tag,
        is_member: bool,
    ) -> Result<usize, JsonError> {
        if !self.bytes[start..].starts_with(word) {
            return Err(expected("a value", start));
        }
        let end = start + word.len();
        self.push(tag, is_member, start, end, Detail::default());
        Ok(end)
    }
}

#[cfg(test)]
mod tests;
