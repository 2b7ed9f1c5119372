//! The tree of a document, and faults in it.

use crate::json::{Constant, Decimal};

/// A position: line and column both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// The first character of a document.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// One fault of a document, without the document's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    /// Its place.
    pub at: Position,
    /// The fault, and the expectation.
    pub message: String,
}

impl DocumentError {
    pub(crate) fn at(at: Position, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

/// The result of reading a part of a document; reading ends at the first fault.
pub type Read<T> = Result<T, DocumentError>;

/// One value of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The place of its first character.
    pub at: Position,
    /// The value itself.
    pub content: Content,
}

/// The content of a value. Numbers keep their text, in JSON syntax and within the bounds of calls.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The text of a JSON number.
    Number(String),
    /// Text.
    String(String),
    /// Elements in order.
    List(Vec<Node>),
    /// Members in document order, without duplicate keys.
    Object(Vec<Member>),
}

/// One member of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its key.
    pub key: String,
    /// The place of the key.
    pub key_at: Position,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// The kind with its article, for messages.
    pub(crate) const fn kind(&self) -> &'static str {
        match self.content {
            Content::Null => "null",
            Content::Bool(_) => "a boolean",
            Content::Number(_) => "a number",
            Content::String(_) => "a string",
            Content::List(_) => "a list",
            Content::Object(_) => "an object",
        }
    }

    /// A fault at this value.
    pub(crate) fn error(&self, message: impl Into<String>) -> DocumentError {
        DocumentError::at(self.at, message)
    }

    /// The fault of a value that is not `expected`.
    pub(crate) fn expected(&self, expected: &str) -> DocumentError {
        self.error(format!("expected {expected}, got {}", self.kind()))
    }

    /// The string, or a fault with `expected` as its description.
    pub(crate) fn string(&self, expected: &str) -> Read<&str> {
        match &self.content {
            Content::String(text) => Ok(text),
            _ => Err(self.expected(expected)),
        }
    }

    /// The string if it is a valid name: not empty and without NUL.
    pub(crate) fn name(&self, what: &str) -> Read<&str> {
        let text = self.string(what)?;
        check_name(text, self.at, what)?;
        Ok(text)
    }

    /// The boolean, or a fault with `expected` as its description.
    pub(crate) fn boolean(&self, expected: &str) -> Read<bool> {
        match self.content {
            Content::Bool(value) => Ok(value),
            _ => Err(self.expected(expected)),
        }
    }

    /// The number, or a fault with `expected` as its description.
    pub(crate) fn number(&self, expected: &str) -> Read<Decimal> {
        match &self.content {
            Content::Number(text) => Decimal::parse(text).map_err(|error| self.error(error.to_string())),
            _ => Err(self.expected(expected)),
        }
    }

    /// The elements, or a fault with `expected` as the list's description.
    pub(crate) fn list(&self, expected: &str) -> Read<&[Self]> {
        match &self.content {
            Content::List(elements) => Ok(elements),
            _ => Err(self.expected(expected)),
        }
    }

    /// The members, or a fault with `expected` as the object's description.
    pub(crate) fn object(&self, expected: &str) -> Read<&[Member]> {
        match &self.content {
            Content::Object(members) => Ok(members),
            _ => Err(self.expected(expected)),
        }
    }

    /// The whole value as data.
    pub(crate) fn constant(&self) -> Read<Constant> {
        Ok(match &self.content {
            Content::Null => Constant::Null,
            Content::Bool(value) => Constant::Bool(*value),
            Content::Number(_) => Constant::Number(self.number("a number")?),
            Content::String(text) => Constant::String(text.clone()),
            Content::List(elements) => {
                Constant::Array(elements.iter().map(Self::constant).collect::<Read<_>>()?)
            }
            Content::Object(members) => {
                let mut sorted = members
                    .iter()
                    .map(|member| Ok((member.key.clone(), member.value.constant()?)))
                    .collect::<Read<Vec<_>>>()?;
                sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
                Constant::Object(sorted)
            }
        })
    }

    /// The whole value for a JSON Schema library; numbers keep their text.
    pub(crate) fn to_serde(&self) -> Read<serde_json::Value> {
        Ok(match &self.content {
            Content::Null => serde_json::Value::Null,
            Content::Bool(value) => serde_json::Value::Bool(*value),
            Content::Number(text) => serde_json::Value::Number(text.parse().map_err(|error| {
                self.error(format!("the number {} cannot be read: {error}", quoted(text)))
            })?),
            Content::String(text) => serde_json::Value::String(text.clone()),
            Content::List(elements) => {
                serde_json::Value::Array(elements.iter().map(Self::to_serde).collect::<Read<_>>()?)
            }
            Content::Object(members) => serde_json::Value::Object(
                members
                    .iter()
                    .map(|member| Ok((member.key.clone(), member.value.to_serde()?)))
                    .collect::<Read<_>>()?,
            ),
        })
    }
}

/// Refuses an invalid name: an empty one, or one with NUL.
pub(crate) fn check_name(text: &str, at: Position, what: &str) -> Read<()> {
    if text.is_empty() {
        return Err(DocumentError::at(
            at,
            format!("expected {what}, got an empty string"),
        ));
    }
    if text.contains('\0') {
        return Err(DocumentError::at(
            at,
            format!("{} holds a NUL character; remove it", quoted(text)),
        ));
    }
    Ok(())
}

/// User input in a message: in backticks, on one line, shortened if it is long.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut out = String::from("`");
    for character in text.chars().take(SHOWN) {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        out.push('…');
    }
    out.push('`');
    out
}
