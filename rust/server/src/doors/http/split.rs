//! Splitting a body: the raw bytes of `args`, and the rest.
//!
//! A fault inside `args` is the call's own, and is judged where every door's arguments are. So the body is first cut
//! by brackets and quotes alone, and nothing is believed of what lies between them.

use std::ops::Range;

/// The place of the values of `args` in a body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// One for each member that is written `"args"`; more than one is the reader's to refuse.
    args: Vec<Range<usize>>,
}

/// The stand-in for a value of `args` in the rest.
const STAND_IN: &[u8] = b"{}";

/// Cuts a body; an error says at which byte it is no JSON object, and what was expected there.
pub(super) fn split(body: &[u8]) -> Result<Split, (usize, &'static str)> {
    let mut cursor = Cursor { body, at: 0 };
    let mut split = Split::default();
    cursor.skip_space();
    cursor.expect(b'{', "one JSON object")?;
    cursor.skip_space();
    if cursor.take(b'}') {
        return cursor.end().map(|()| split);
    }
    loop {
        cursor.skip_space();
        let key = cursor.string()?;
        cursor.skip_space();
        cursor.expect(b':', "`:` after the field's name")?;
        cursor.skip_space();
        let value = cursor.value()?;
        if body.get(key) == Some(b"\"args\"") {
            split.args.push(value);
        }
        cursor.skip_space();
        if cursor.take(b'}') {
            return cursor.end().map(|()| split);
        }
        cursor.expect(b',', "`,` or `}` after a field")?;
    }
}

impl Split {
    /// The bytes of `args`, if there is one.
    pub(super) fn args<'b>(&self, body: &'b [u8]) -> Option<&'b [u8]> {
        body.get(self.args.first()?.clone())
    }

    /// Writes the body without the values of `args` to `rest`.
    pub(super) fn write_rest(&self, body: &[u8], rest: &mut Vec<u8>) {
        rest.clear();
        let mut from = 0;
        for args in &self.args {
            rest.extend_from_slice(body.get(from..args.start).unwrap_or_default());
            rest.extend_from_slice(STAND_IN);
            from = args.end;
        }
        rest.extend_from_slice(body.get(from..).unwrap_or_default());
    }

    /// The byte of the body that a byte of the rest came from.
    pub(super) fn offset_in_body(&self, offset_in_rest: usize) -> usize {
        let mut offset = offset_in_rest;
        for args in &self.args {
            if offset < args.start + STAND_IN.len() {
                break;
            }
            offset = offset + args.len() - STAND_IN.len();
        }
        offset
    }
}

struct Cursor<'b> {
    body: &'b [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), (usize, &'static str)> {
        if self.take(byte) {
            Ok(())
        } else {
            Err((self.at, expected))
        }
    }

    fn skip_space(&mut self) {
        self.skip_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    }

    fn skip_while(&mut self, holds: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&holds) {
            self.at += 1;
        }
    }

    fn end(&mut self) -> Result<(), (usize, &'static str)> {
        self.skip_space();
        if self.at == self.body.len() {
            Ok(())
        } else {
            Err((self.at, "nothing after the JSON object"))
        }
    }

    /// From quote to quote.
    fn string(&mut self) -> Result<Range<usize>, (usize, &'static str)> {
        let start = self.at;
        self.expect(b'"', "a field's name in quotes")?;
        loop {
            self.skip_while(|byte| !matches!(byte, b'"' | b'\\'));
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(start..self.at);
                }
                // The closing quote comes after the escaped byte at the earliest.
                Some(_) => self.at += 2,
                None => return Err((self.body.len(), "a closing quote")),
            }
        }
    }

    /// A string, what lies between brackets, or a run of other bytes; not empty.
    fn value(&mut self) -> Result<Range<usize>, (usize, &'static str)> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => return self.string(),
            Some(b'{' | b'[') => self.bracketed()?,
            _ => self.skip_while(|byte| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')),
        }
        if self.at == start {
            Err((start, "a value"))
        } else {
            Ok(start..self.at)
        }
    }

    /// Passes over a value up to where as many brackets of any kind have closed as opened.
    fn bracketed(&mut self) -> Result<(), (usize, &'static str)> {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                Some(b'{' | b'[') => depth += 1,
                Some(b'}' | b']') => depth -= 1,
                Some(b'"') => {
                    self.string()?;
                    continue;
                }
                Some(_) => {}
                None => return Err((self.body.len(), "a closing bracket")),
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args_of(body: &str) -> Option<&str> {
        let split = split(body.as_bytes()).unwrap();
        split
            .args(body.as_bytes())
            .map(|args| std::str::from_utf8(args).unwrap())
    }

    fn rest_of(body: &str) -> String {
        let mut rest = Vec::new();
        split(body.as_bytes())
            .unwrap()
            .write_rest(body.as_bytes(), &mut rest);
        String::from_utf8(rest).unwrap()
    }

    #[test]
    fn args_are_cut_out_untouched() {
        assert_eq!(
            args_of(r#"{"grant":"g","args": {"a":[1,"}\"]"]} ,"tool":"t"}"#),
            Some(r#"{"a":[1,"}\"]"]}"#)
        );
        assert_eq!(args_of(r#"{"args":NaN}"#), Some("NaN"));
        assert_eq!(args_of(r#"{"args":{"a":+1,'b'}}"#), Some("{\"a\":+1,'b'}"));
        assert_eq!(args_of(r#"{"x":{"args":1}}"#), None);
        assert_eq!(args_of("{ }"), None);
    }

    #[test]
    fn the_rest_keeps_its_places() {
        assert_eq!(
            rest_of(r#"{"args":[1,2,3],"tool":"t"}"#),
            r#"{"args":{},"tool":"t"}"#
        );
        assert_eq!(rest_of(r#"{"args":1,"args":2}"#), r#"{"args":{},"args":{}}"#);
        let body = r#"{"args":[1,2,3],"args":7,"tool":x}"#;
        let found = split(body.as_bytes()).unwrap();
        let at = rest_of(body).find('x').unwrap();
        assert_eq!(found.offset_in_body(at), body.find('x').unwrap());
        assert_eq!(found.offset_in_body(2), 2);
    }

    #[test]
    fn what_is_no_object_is_told() {
        for (body, at) in [
            ("", 0),
            ("[]", 0),
            ("null", 0),
            ("{", 1),
            (r#"{"a"}"#, 4),
            (r#"{"a":}"#, 5),
            (r#"{"a":1"#, 6),
            (r#"{"a":1,}"#, 7),
            (r#"{"a":1} x"#, 8),
            (r#"{"args":{"a":1}"#, 15),
            (r#"{"args":{"a":"\"#, 15),
            (r#"{"a":1 2}"#, 7),
            ("{a:1}", 1),
        ] {
            assert_eq!(split(body.as_bytes()).map_err(|(at, _)| at), Err(at), "{body}");
        }
    }
}
