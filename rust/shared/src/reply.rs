//! The answers of the script.

use redis::Value;

use crate::error::SharedError;

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The operations were performed; if there are fewer answers than operations, only the first ones.
    Done(Vec<Vec<Part>>),
    /// The server knows another epoch, or none: nothing was performed.
    OtherEpoch,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Number(i64),
    Text(String),
}

impl Part {
    pub(crate) const fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) => None,
        }
    }
}

/// A number of an answer that cannot be below zero.
pub(crate) fn amount(parts: &[Part], place: usize) -> Option<u64> {
    u64::try_from(parts.get(place)?.number()?).ok()
}

fn part(value: Value) -> Option<Part> {
    match value {
        Value::Int(number) => Some(Part::Number(number)),
        Value::BulkString(bytes) => String::from_utf8(bytes).ok().map(Part::Text),
        Value::SimpleString(text) => Some(Part::Text(text)),
        _ => None,
    }
}

fn parts(value: Value) -> Option<Vec<Part>> {
    match value {
        Value::Array(values) => values.into_iter().map(part).collect(),
        _ => None,
    }
}

impl Reply {
    /// Reads an answer to a call with this many operations.
    pub(crate) fn read(value: Value, operations: usize) -> Result<Self, SharedError> {
        let unreadable = || SharedError::Script("the store's answer to the script cannot be read".to_owned());
        let Value::Array(mut values) = value else {
            return Err(unreadable());
        };
        if values.is_empty() {
            return Err(unreadable());
        }
        match part(values.remove(0)) {
            Some(Part::Text(word)) if word == "epoch" => Ok(Self::OtherEpoch),
            Some(Part::Text(word)) if word == "ok" && values.len() <= operations => values
                .into_iter()
                .map(parts)
                .collect::<Option<_>>()
                .map(Self::Done)
                .ok_or_else(unreadable),
            _ => Err(unreadable()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let numbers = Value::Array(vec![Value::Int(1), Value::Int(-5), text("x")]);
        let read = |values: Vec<Value>, operations| Reply::read(Value::Array(values), operations);
        let parts = vec![Part::Number(1), Part::Number(-5), Part::Text("x".to_owned())];
        assert_eq!(
            read(vec![text("ok"), numbers.clone()], 1),
            Ok(Reply::Done(vec![parts.clone()]))
        );
        assert_eq!(read(vec![text("epoch"), text("e")], 7), Ok(Reply::OtherEpoch));
        assert_eq!(
            (amount(&parts, 0), amount(&parts, 1), amount(&parts, 2)),
            (Some(1), None, None)
        );
        // Of too many operations, or of another form.
        for (values, operations) in [
            (vec![text("ok"), numbers], 0),
            (vec![text("ok"), Value::Int(1)], 1),
            (vec![text("ok"), Value::Array(vec![Value::Nil])], 1),
            (vec![text("no")], 0),
            (vec![], 0),
        ] {
            assert!(read(values, operations).is_err());
        }
        assert!(Reply::read(Value::Nil, 0).is_err());
    }
}
