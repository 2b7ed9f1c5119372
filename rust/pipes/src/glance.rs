//! What a message says at its top, found as its bytes go by: nothing of it is held but the id.
//!
//! A glance judges nothing. It says which request a reply belongs to while a hundred megabytes of result stream on, and
//! under which id to refuse a message that is too long to be read.

use std::borrow::Cow;

use callgate_core::json::Tape;
use memchr::memchr2;

use crate::id::{MOST_ID_BYTES, RequestId};

/// The longest key of interest, `method` or `result`, with each character as an escape.
const MOST_KEY_BYTES: usize = 40;

/// The id, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Id {
    /// None has come by.
    Absent,
    Known(RequestId),
    /// It is longer than what is kept of one.
    Long,
    /// It is no id, or there twice.
    Unclear,
}

/// A message of which some bytes have gone by.
#[derive(Debug)]
pub(crate) struct Glance {
    place: Place,
    /// Brackets that are open.
    depth: usize,
    string: InString,
    /// What is taken down of the key or the id that is going by; `None` where nothing is.
    taken: Option<Vec<u8>>,
    key: Key,
    id: Id,
    has_method: bool,
    has_answer: bool,
    has_more: bool,
}

/// Where in the outermost object the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Before,
    Key,
    Colon,
    Value,
    /// After the object, or in what is none.
    Outside,
}

/// Whether the next byte stands in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InString {
    No,
    Yes,
    /// After a backslash.
    Escaped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Id,
    Other,
}

impl Glance {
    pub(crate) const fn new() -> Self {
        Self {
            place: Place::Before,
            depth: 0,
            string: InString::No,
            taken: None,
            key: Key::Other,
            id: Id::Absent,
            has_method: false,
            has_answer: false,
            has_more: false,
        }
    }

    /// A message that is there as a whole.
    pub(crate) fn of(message: &[u8]) -> Self {
        let mut glance = Self::new();
        glance.pass(message);
        glance
    }

    /// Its id.
    pub(crate) const fn id(&self) -> &Id {
        &self.id
    }

    /// Its id, where it is one.
    pub(crate) const fn known_id(&self) -> Option<&RequestId> {
        match &self.id {
            Id::Known(id) => Some(id),
            Id::Absent | Id::Long | Id::Unclear => None,
        }
    }

    /// It names a method, so it is a request or a notification.
    pub(crate) const fn has_method(&self) -> bool {
        self.has_method
    }

    /// It has a result or an error.
    pub(crate) const fn has_answer(&self) -> bool {
        self.has_answer
    }

    /// Its object has ended, or it is none.
    pub(crate) fn is_over(&self) -> bool {
        self.place == Place::Outside
    }

    /// Something that may be another message follows it.
    pub(crate) const fn has_more(&self) -> bool {
        self.has_more
    }

    /// It has a result or an error, and no method.
    pub(crate) const fn is_reply(&self) -> bool {
        self.has_answer && !self.has_method
    }

    /// The next bytes, wherever they are cut.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            if self.string == InString::Yes && self.taken.is_none() {
                // Most bytes are those of long strings.
                let at = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                rest = rest.get(at..).unwrap_or_default();
            }
            let Some((&byte, after)) = rest.split_first() else {
                return;
            };
            rest = after;
            if self.string == InString::No {
                self.outside_of_strings(byte);
            } else {
                self.in_a_string(byte);
            }
        }
    }

    fn in_a_string(&mut self, byte: u8) {
        self.take(byte);
        self.string = match (self.string, byte) {
            (InString::Yes, b'\\') => InString::Escaped,
            (InString::Yes, b'"') => InString::No,
            _ => InString::Yes,
        };
        if self.string == InString::No && self.depth == 1 && self.place == Place::Key {
            self.end_key();
        }
    }

    fn outside_of_strings(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.string = InString::Yes;
                if self.depth == 1 && self.place == Place::Key {
                    self.taken = Some(Vec::new());
                }
                self.take(byte);
            }
            b'{' | b'[' => {
                match (self.depth, self.place) {
                    (0, Place::Before) if byte == b'{' => self.place = Place::Key,
                    (0, Place::Outside) => self.has_more = true,
                    (0, _) => self.place = Place::Outside,
                    _ => self.take(byte),
                }
                self.depth += 1;
            }
            b'}' | b']' => {
                if self.depth > 1 {
                    self.take(byte);
                } else {
                    self.end_value();
                    self.place = Place::Outside;
                }
                self.depth = self.depth.saturating_sub(1);
            }
            b',' if self.depth == 1 && self.place != Place::Outside => {
                self.end_value();
                self.place = Place::Key;
            }
            b':' if self.depth == 1 && self.place == Place::Colon => {
                self.place = Place::Value;
                self.taken = (self.key == Key::Id).then(Vec::new);
            }
            other => self.take(other),
        }
    }

    /// Takes a byte down, if it is one of a key or an id that is still short enough.
    fn take(&mut self, byte: u8) {
        let Some(taken) = &mut self.taken else { return };
        let most_bytes = if self.place == Place::Key {
            MOST_KEY_BYTES
        } else {
            MOST_ID_BYTES
        };
        if taken.len() < most_bytes {
            taken.push(byte);
        } else if self.place == Place::Key {
            // No key that says anything here.
            self.taken = None;
        } else {
            self.id = Id::Long;
            self.taken = None;
            self.key = Key::Other;
        }
    }

    fn end_key(&mut self) {
        let taken = self.taken.take().unwrap_or_default();
        self.place = Place::Colon;
        self.key = Key::Other;
        match &*unescaped(&taken) {
            "id" => self.key = Key::Id,
            "method" => self.has_method = true,
            "result" | "error" => self.has_answer = true,
            _ => {}
        }
    }

    fn end_value(&mut self) {
        let Some(taken) = self.taken.take() else { return };
        if self.place != Place::Value || self.key != Key::Id {
            return;
        }
        let id = str::from_utf8(&taken).ok().and_then(RequestId::of_json);
        self.id = match (&self.id, id) {
            (Id::Absent, Some(id)) => Id::Known(id),
            _ => Id::Unclear,
        };
    }
}

/// The text of a key in quotes; empty where it is none.
fn unescaped(key: &[u8]) -> Cow<'_, str> {
    let text = str::from_utf8(key).unwrap_or_default();
    if text.contains('\\') {
        let mut tape = Tape::new();
        let value = tape.parse(key, 1).ok();
        return Cow::Owned(
            value
                .and_then(|value| value.as_str().map(str::to_owned))
                .unwrap_or_default(),
        );
    }
    Cow::Borrowed(text.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(digits: &str) -> Id {
        Id::Known(RequestId::Number(digits.to_owned()))
    }

    fn text(text: &str) -> Id {
        Id::Known(RequestId::Text(text.to_owned()))
    }

    #[test]
    fn what_stands_at_the_top_is_found() {
        for (message, id, has_method, is_reply) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"id":2,"method":"x"}}"#,
                number("1"),
                false,
                true,
            ),
            (
                r#"{"result":{"id":2,"tools":[]},"jsonrpc":"2.0","id":"a"}"#,
                text("a"),
                false,
                true,
            ),
            (r#"{ "id" : "\u0061" , "error" : {} }"#, text("a"), false, true),
            (r#"{"\u0069d":7,"\u006dethod":"ping"}"#, number("7"), true, false),
            (r#"{"id":-0,"method":"x","result":1}"#, number("0"), true, false),
            (
                r#"{"method":"notifications/x","params":{"id":1,"s":"\"id\":1,"}}"#,
                Id::Absent,
                true,
                false,
            ),
            (r#"{"id":null,"error":{}}"#, Id::Unclear, false, true),
            (r#"{"id":1,"id":2,"result":1}"#, Id::Unclear, false, true),
            (r#"{"id":{"id":1},"result":1}"#, Id::Unclear, false, true),
            (r#"{"id":1.0,"result":1}"#, Id::Unclear, false, true),
            (
                r#"{"x":"id","y":["id",{"id":3}],"id":4}"#,
                number("4"),
                false,
                false,
            ),
            (r#"{"a\"":1,"id":5}"#, number("5"), false, false),
            (
                r#"{"1234567890123456789012345678901234567890method":1,"id":6}"#,
                number("6"),
                false,
                false,
            ),
            (r#"[{"id":1,"result":{}}]"#, Id::Absent, false, false),
            (r#""id""#, Id::Absent, false, false),
            ("", Id::Absent, false, false),
            (r#"}{"id":1}"#, Id::Absent, false, false),
        ] {
            let glance = Glance::of(message.as_bytes());
            assert_eq!(glance.id(), &id, "{message}");
            assert_eq!(
                (glance.has_method(), glance.is_reply()),
                (has_method, is_reply),
                "{message}"
            );
        }
    }

    #[test]
    fn what_follows_is_seen() {
        for (message, has_more) in [
            (r#"{"a":[{}]} "#, false),
            (r"[{},[]]", false),
            (r#"{"a":"}{"}"#, false),
            (r"{}{}", true),
            (r#"{"id":1} ,[2]"#, true),
            (r#"[{}]{"id":1}"#, true),
        ] {
            assert_eq!(Glance::of(message.as_bytes()).has_more(), has_more, "{message}");
        }
    }

    #[test]
    fn what_is_long_is_not_held() {
        let long = "k".repeat(1 << 20);
        let message = format!(r#"{{"{long}":"{long}","id":"{long}","method":"x"}}"#);
        let mut glance = Glance::new();
        for piece in message.as_bytes().chunks(1_000) {
            glance.pass(piece);
            assert!(glance.taken.as_ref().map_or(0, Vec::len) <= MOST_ID_BYTES);
        }
        assert_eq!((glance.id(), glance.has_method()), (&Id::Long, true));
    }

    #[test]
    fn an_id_is_known_as_soon_as_it_has_gone_by() {
        let mut glance = Glance::new();
        glance.pass(br#"{"jsonrpc":"2.0","id":12"#);
        assert_eq!(glance.id(), &Id::Absent, "more digits may come");
        glance.pass(b",");
        assert_eq!(glance.id(), &number("12"));
    }

    proptest! {
        #[test]
        fn wherever_it_is_cut_it_says_the_same(
            message in r#"\{("id"|"a"|"\\u0069d"|"result"|"method")( )?:( )?(12|"x\\"y"|\{"id":1\}|\["b",2\]),"id":"[ab\\"]{0,3}"\}"#,
            cuts in prop::collection::vec(1_usize..9, 0..20),
        ) {
            let whole = Glance::of(message.as_bytes());
            let mut pieces = Glance::new();
            let mut rest = message.as_bytes();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.pass(piece);
                rest = after;
            }
            pieces.pass(rest);
            prop_assert_eq!(whole.id(), pieces.id());
            prop_assert_eq!(whole.has_method(), pieces.has_method());
            prop_assert_eq!(whole.is_reply(), pieces.is_reply());
        }
    }
}
