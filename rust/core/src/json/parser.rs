//! Parses a document's bytes in one pass, without recursion.

use super::keys::{KeyMark, Keys};
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
    /// The keys of an object.
    keys: Keys,
    /// Its node.
    node: u32,
    /// Values read so far.
    count: u32,
    place: Place,
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
#[expect(clippy::cast_possible_truncation, reason = "nothing is cut off")]
#[inline]
const fn narrow(size: usize) -> u32 {
    size as u32
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
            keys: Keys::default(),
        };
        let (mut at, mut byte) = self.token(0);
        'value: loop {
            frame.count += 1;
            at = match byte {
                b'"' => self.string(at)?,
                b'-' | b'0'..=b'9' => self.number(at)?,
                b'{' => {
                    frame = self.open(at, frame, Place::Object)?;
                    (at, byte) = self.token(at + 1);
                    if byte != b'}' {
                        (at, byte) = self.key(at, byte, &mut frame)?;
                        continue 'value;
                    }
                    at
                }
                b'[' => {
                    frame = self.open(at, frame, Place::Array)?;
                    (at, byte) = self.token(at + 1);
                    if byte != b']' {
                        continue 'value;
                    }
                    at
                }
                b't' => self.word(at, b"true", Tag::True)?,
                b'f' => self.word(at, b"false", Tag::False)?,
                b'n' => self.word(at, b"null", Tag::Null)?,
                _ => return Err(expected("a value", at)),
            };
            // A value has ended, or an empty list or object is about to end.
            loop {
                if frame.place == Place::Object
                    && let Some(key) = self.next_key(at)
                {
                    (at, byte) = self.key(key, b'"', &mut frame)?;
                    continue 'value;
                }
                (at, byte) = self.token(at);
                match (frame.place, byte) {
                    (Place::Object, b',') => {
                        (at, byte) = self.token(at + 1);
                        (at, byte) = self.key(at, byte, &mut frame)?;
                        continue 'value;
                    }
                    (Place::Array, b',') => {
                        (at, byte) = self.token(at + 1);
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

    /// The first byte at or after `at` that is not white space, with its offset.
    #[inline]
    fn token(&self, at: usize) -> (usize, u8) {
        // Nearly every token follows the one before at once, or after one space.
        let byte = self.peek(at);
        if byte > b' ' {
            return (at, byte);
        }
        let next = self.peek(at + 1);
        if byte == b' ' && next > b' ' {
            return (at + 1, next);
        }
        self.far_token(at)
    }

    /// The quote of the key behind a comma at `at`, if at most one space stands between them, as nearly always.
    #[inline]
    fn next_key(&self, at: usize) -> Option<usize> {
        match self.bytes.get(at..)? {
            [b',', b' ', b'"', ..] => Some(at + 2),
            [b',', b'"', ..] => Some(at + 1),
            _ => None,
        }
    }

    /// The first byte of the value behind a colon at `at`, in the same case.
    #[inline]
    fn next_value(&self, at: usize) -> Option<(usize, u8)> {
        match *self.bytes.get(at..)? {
            [b':', b' ', byte, ..] if byte > b' ' => Some((at + 2, byte)),
            [b':', byte, ..] if byte > b' ' => Some((at + 1, byte)),
            _ => None,
        }
    }

    /// Works as [`Self::token`] where there is more white space.
    #[inline(never)]
    fn far_token(&self, mut at: usize) -> (usize, u8) {
        while matches!(self.peek(at), b' ' | b'\n' | b'\r' | b'\t') {
            at += 1;
        }
        (at, self.peek(at))
    }

    /// Adds the node of the text at `[start, end)`.
    #[inline]
    fn push(&mut self, tag: Tag, is_key: bool, start: usize, end: usize, detail: Detail) {
        let node = Node {
            tag,
            is_key,
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
        self.push(tag, false, at, at, Detail::default());
        Ok(Frame {
            place,
            node,
            count: 0,
            keys: Keys::after(narrow(self.tape.keys.len())),
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
            self.check_keys(frame.keys)?;
        }
        // INVARIANT: `open` pushed the frame around every list and object, so this frame exists.
        self.tape
            .frames
            .pop()
            .ok_or_else(|| expected("the end of the document", end))
    }

    /// Refuses an object with a duplicate among its keys; removes the keys.
    #[inline]
    fn check_keys(&mut self, own: Keys) -> Result<(), JsonError> {
        let Tape {
            nodes,
            unescaped,
            keys,
            ..
        } = &mut *self.tape;
        let text = |node: u32| nodes[node as usize].text(self.text, unescaped);
        match own.remove(keys, |node| text(node).as_bytes()) {
            None => Ok(()),
            Some(repeated) => Err(JsonError {
                offset: nodes[repeated as usize].start as usize,
                kind: JsonErrorKind::DuplicateKey(text(repeated).to_owned()),
            }),
        }
    }

    /// Reads a key of `frame` whose first byte is `byte` at `at`, and its colon; returns the first byte of the member's value.
    #[expect(
        clippy::inline_always,
        reason = "two callers keep the compiler from it; saves a fifth of a parse"
    )]
    #[inline(always)]
    fn key(&mut self, at: usize, byte: u8, frame: &mut Frame) -> Result<(usize, u8), JsonError> {
        if byte != b'"' {
            return Err(expected("a key in quotes", at));
        }
        let node = narrow(self.tape.nodes.len());
        let special = self.tape.specials.next(self.bytes, at + 1);
        let mark;
        let end = match self.bytes.get(special) {
            Some(b'"') => {
                self.push(Tag::Plain, true, at, special + 1, Detail::default());
                mark = KeyMark::new(self.bytes, at + 1..special, node);
                special + 1
            }
            Some(b'\\') => {
                let from = self.tape.unescaped.len();
                let end = self.escaped_string(true, at, special)?;
                let unescaped = self.tape.unescaped.as_bytes();
                mark = KeyMark::new(unescaped, from..unescaped.len(), node);
                end
            }
            _ => return Err(string::unterminated(self.bytes, special)),
        };
        frame.keys.add(mark, &mut self.tape.keys);
        if let Some(value) = self.next_value(end) {
            return Ok(value);
        }
        let (colon, byte) = self.token(end);
        if byte != b':' {
            return Err(expected("`:` after the key", colon));
        }
        Ok(self.token(colon + 1))
    }

    /// Reads the string value whose opening quote is at `start`; returns the offset after it.
    #[inline]
    fn string(&mut self, start: usize) -> Result<usize, JsonError> {
        let special = self.tape.specials.next(self.bytes, start + 1);
        match self.bytes.get(special) {
            Some(b'"') => {
                self.push(Tag::Plain, false, start, special + 1, Detail::default());
                Ok(special + 1)
            }
            Some(b'\\') => self.escaped_string(false, start, special),
            _ => Err(string::unterminated(self.bytes, special)),
        }
    }

    /// Reads the string or key at `start` whose first escape is at `backslash`; returns the offset after it.
    #[inline(never)]
    fn escaped_string(&mut self, is_key: bool, start: usize, backslash: usize) -> Result<usize, JsonError> {
        let Tape {
            specials, unescaped, ..
        } = &mut *self.tape;
        let from = narrow(unescaped.len());
        unescaped.push_str(&self.text[start + 1..backslash]);
        let quote = string::unescape(self.text, specials, backslash, unescaped)?;
        let detail = Detail {
            from,
            count: narrow(unescaped.len()),
        };
        self.push(Tag::Escaped, is_key, start, quote + 1, detail);
        Ok(quote + 1)
    }

    /// Reads the number at `start`; returns the offset after it.
    #[inline]
    fn number(&mut self, start: usize) -> Result<usize, JsonError> {
        let end = number::end_of_number(self.bytes, start)?;
        self.push(Tag::Number, false, start, end, Detail::default());
        Ok(end)
    }

    /// Reads the literal `word` at `start`; returns the offset after it.
    #[inline]
    fn word<const N: usize>(
        &mut self,
        start: usize,
        word: &'static [u8; N],
        tag: Tag,
    ) -> Result<usize, JsonError> {
        if self.bytes.get(start..).and_then(<[u8]>::first_chunk) != Some(word) {
            return Err(expected("a value", start));
        }
        let end = start + N;
        self.push(tag, false, start, end, Detail::default());
        Ok(end)
    }
}

#[cfg(test)]
mod tests;
