//! Ids of requests, as they are compared.

use callgate_core::json::write_string;
use callgate_core::json::{Kind, Tape};

/// The longest id that is kept, in bytes of its JSON: a message's sender chooses it.
pub(crate) const MOST_ID_BYTES: usize = 4_096;

/// The largest integer that a double holds exactly, as its neighbours do.
const MOST_EXACT: u64 = (1 << 53) - 1;

/// A request's id by what it says, however it is spelled: `"a"` is `"\u0061"`, and `"1"` is not `1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RequestId {
    /// An integer, by its digits.
    Number(String),
    /// A string, unescaped.
    Text(String),
}

impl RequestId {
    /// The id that this JSON is; `None` where it is neither a string nor an integer, too long to be kept, or an integer
    /// that readers who count in doubles take for another one.
    ///
    /// ```
    /// use callgate_pipes::RequestId;
    ///
    /// assert_eq!(RequestId::of_json(r#""\u0061""#), RequestId::of_json(r#""a""#));
    /// assert_ne!(RequestId::of_json("1"), RequestId::of_json(r#""1""#));
    /// assert_eq!(RequestId::of_json("1.0"), None);
    /// assert_eq!(RequestId::of_json("9007199254740992"), None);
    /// ```
    pub fn of_json(json: &str) -> Option<Self> {
        if json.len() > MOST_ID_BYTES {
            return None;
        }
        let mut tape = Tape::new();
        let value = tape.parse(json.as_bytes(), 1).ok()?;
        match value.kind() {
            Kind::String => value.as_str().map(|text| Self::Text(text.to_owned())),
            Kind::Number => {
                let number: i64 = value.raw().parse().ok()?;
                (number.unsigned_abs() <= MOST_EXACT).then(|| Self::Number(number.to_string()))
            }
            _ => None,
        }
    }

    /// The id as JSON.
    pub fn json(&self) -> String {
        match self {
            Self::Number(digits) => digits.clone(),
            Self::Text(text) => {
                let mut json = String::new();
                write_string(text, &mut json);
                json
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_they_say() {
        for (one, other) in [
            ("\"a\\/\"", "\"a/\""),
            ("-0", "0"),
            (" 7 ", "7"),
            ("\"\\n\"", "\"\\u000a\""),
        ] {
            assert_eq!(RequestId::of_json(one), RequestId::of_json(other), "{one}");
            assert!(RequestId::of_json(one).is_some(), "{one}");
        }
        for none in [
            "9007199254740992",
            "-9007199254740992",
            "12345678901234567890",
            "null",
            "1.0",
            "1e0",
            "{}",
            "[1]",
            "true",
            "",
            "\"a",
            "01",
            "1 2",
        ] {
            assert_eq!(RequestId::of_json(none), None, "{none}");
        }
        assert_eq!(
            RequestId::of_json(&format!("\"{}\"", "a".repeat(MOST_ID_BYTES))),
            None
        );
    }

    #[test]
    fn an_id_written_as_json_is_the_same_id() {
        for json in [
            "9007199254740991",
            "-1",
            "\"\"",
            "\"a\\\"\\u0001é\\ud83d\\ude00\"",
        ] {
            let id = RequestId::of_json(json).expect(json);
            assert_eq!(RequestId::of_json(&id.json()), Some(id));
        }
    }
}
