//! The outer members of a message, read while its bytes pass. Only the id is kept.
//!
//! A glance judges nothing. It says which request a reply belongs to while a hundred megabytes of result stream on, and
//! under which id to refuse a message that is too long to be read.

use callgate_mcp::{Scanner, Token};

use crate::id::{MOST_ID_BYTES, RequestId};

/// The id, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Id {
    /// No id so far.
    #[default]
    Absent,
    Known(RequestId),
    /// An id that is too long to be kept.
    Long,
    /// A value that is no id, or a second id.
    Unclear,
}

/// A message of which some bytes have gone by.
#[derive(Debug, Default)]
pub(crate) struct Glance {
    scanner: Scanner,
    place: Place,
    key: Key,
    id: Id,
    has_method: bool,
    has_answer: bool,
    has_more: bool,
}

/// The part of the text that is scanned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    BeforeObject,
    InObject,
    /// After the object, or in something else.
    Outside,
}

/// The key of the value that is scanned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    /// `id`, whose colon is still to come.
    Id,
    #[default]
    Other,
}

impl Glance {
    /// A message that is there as a whole.
    pub(crate) fn of(message: &[u8]) -> Self {
        let mut glance = Self::default();
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

    /// Returns true if the message names a method, so that it is a request or a notification.
    pub(crate) const fn has_method(&self) -> bool {
        self.has_method
    }

    /// Returns true if the message has a result or an error.
    pub(crate) const fn has_answer(&self) -> bool {
        self.has_answer
    }

    /// Its object has ended, or it is none.
    pub(crate) fn is_over(&self) -> bool {
        self.place == Place::Outside
    }

    /// Returns true if bytes follow the message that may be another one.
    pub(crate) const fn has_more(&self) -> bool {
        self.has_more
    }

    /// Returns true if the message has a result or an error, and no method.
    pub(crate) const fn is_reply(&self) -> bool {
        self.has_answer && !self.has_method
    }

    /// The next bytes, wherever they are cut.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(token) = self.scanner.next(&mut rest) {
            match self.place {
                Place::BeforeObject => self.before_object(token),
                Place::InObject => self.in_object(token),
                Place::Outside => {
                    let starts = matches!(token, Token::ObjectStart | Token::ArrayStart);
                    self.has_more |= starts && self.scanner.depth() == 1;
                }
            }
        }
        if self.scanner.has_long_value() {
            self.id = Id::Long;
        }
    }

    const fn before_object(&mut self, token: Token) {
        match token {
            Token::ObjectStart => self.place = Place::InObject,
            Token::ArrayStart | Token::End => self.place = Place::Outside,
            Token::Comma | Token::Colon | Token::Key | Token::Nul => {}
        }
    }

    fn in_object(&mut self, token: Token) {
        match (token, self.scanner.depth()) {
            (Token::Key, _) => self.key(),
            (Token::Colon, 1) if self.key == Key::Id => {
                self.key = Key::Other;
                self.scanner.keep_value(MOST_ID_BYTES);
            }
            (Token::Comma, 1) => self.end_member(),
            (Token::End, 0) => {
                self.end_member();
                self.place = Place::Outside;
            }
            _ => {}
        }
    }

    fn key(&mut self) {
        let mut is_id = false;
        match &*self.scanner.key() {
            "id" => is_id = true,
            "method" => self.has_method = true,
            "result" | "error" => self.has_answer = true,
            _ => {}
        }
        self.key = if is_id { Key::Id } else { Key::Other };
    }

    fn end_member(&mut self) {
        self.key = Key::Other;
        if self.scanner.has_long_value() {
            self.id = Id::Long;
            self.scanner.take_value();
        } else if let Some(value) = self.scanner.take_value() {
            let id = str::from_utf8(&value).ok().and_then(RequestId::of_json);
            self.id = match (&self.id, id) {
                (Id::Absent, Some(id)) => Id::Known(id),
                _ => Id::Unclear,
            };
        }
    }
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
        let mut glance = Glance::default();
        for piece in message.as_bytes().chunks(1_000) {
            glance.pass(piece);
        }
        assert_eq!((glance.id(), glance.has_method()), (&Id::Long, true));
    }

    #[test]
    fn an_id_is_known_as_soon_as_it_has_gone_by() {
        let mut glance = Glance::default();
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
            let mut pieces = Glance::default();
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
