//! A JSON value of a policy, prepared for comparison with values of calls.

use std::cmp::Ordering;

use super::{Decimal, Kind, Value, ValueWriter, canonical};

/// An owned JSON value with exact numbers.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the kinds of JSON")]
pub enum Constant {
    Null,
    Bool(bool),
    Number(Decimal),
    String(String),
    Array(Vec<Constant>),
    /// Members sorted by key, without duplicate keys.
    Object(Vec<(String, Constant)>),
}

impl Constant {
    /// An owned copy of a parsed value. Recurses as deep as the value, which [`super::Tape::parse`] has limited.
    pub fn from_value(value: Value<'_>) -> Self {
        match value.kind() {
            Kind::Null => Self::Null,
            Kind::Bool => Self::Bool(value.as_bool() == Some(true)),
            Kind::Number => Self::Number(Decimal::from_accepted(value.as_number().unwrap_or_default())),
            Kind::String => Self::String(value.as_str().unwrap_or_default().to_owned()),
            Kind::Array => Self::Array(value.elements().map(Self::from_value).collect()),
            Kind::Object => {
                let mut members: Vec<_> = value
                    .members()
                    .map(|(key, value)| (key.to_owned(), Self::from_value(value)))
                    .collect();
                members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                Self::Object(members)
            }
        }
    }

    /// The kind of the value.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Number(_) => Kind::Number,
            Self::String(_) => Kind::String,
            Self::Array(_) => Kind::Array,
            Self::Object(_) => Kind::Object,
        }
    }

    /// Returns whether type and value are equal: numbers by exact decimal value, objects and arrays deeply (`eq` of the
    /// contract).
    pub fn matches(&self, value: Value<'_>) -> bool {
        match self {
            Self::Null => value.kind() == Kind::Null,
            Self::Bool(own) => value.as_bool() == Some(*own),
            Self::Number(own) => value
                .as_number()
                .is_some_and(|text| own.cmp_text(text) == Ordering::Equal),
            Self::String(own) => value.as_str() == Some(own),
            Self::Array(own) => {
                value.kind() == Kind::Array
                    && value.len() == own.len()
                    && own
                        .iter()
                        .zip(value.elements())
                        .all(|(own, element)| own.matches(element))
            }
            // Neither side has duplicate keys: objects with as many members, all of them found, are equal.
            Self::Object(own) => {
                value.kind() == Kind::Object
                    && value.len() == own.len()
                    && value.members().all(|(key, member)| {
                        own.binary_search_by(|(name, _)| name.as_str().cmp(key))
                            .is_ok_and(|index| own[index].1.matches(member))
                    })
            }
        }
    }

    /// Appends the canonical form of `docs/policy.md` section 6, as [`Value::write_canonical`] does.
    pub fn write_canonical(&self, out: &mut String) {
        canonical::write_constant(self, ValueWriter::new(out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    fn matches(constant: &str, value: &str) -> bool {
        let (mut left, mut right) = (Tape::new(), Tape::new());
        let constant = Constant::from_value(left.parse(constant.as_bytes(), 64).expect("valid"));
        constant.matches(right.parse(value.as_bytes(), 64).expect("valid"))
    }

    #[test]
    fn equal_is_same_type_and_value() {
        let groups: &[&[&str]] = &[
            &["null"],
            &["true"],
            &["false"],
            &["1", "1.0", "1e0", "0.1e1"],
            &["0", "-0", "0.0"],
            &["9007199254740993"],
            &["9007199254740992", "9007199254740992.0"],
            &["\"1\"", r#""\u0031""#],
            &["\"\""],
            &["[]"],
            &["{}"],
            &["[1, [2]]", "[1.0,[2e0]]"],
            &["[[2], 1]"],
            &["[1]"],
            &[
                r#"{"a": 1, "b": {"c": [null]}}"#,
                r#"{"b":{"c":[null]},"\u0061":1.0}"#,
            ],
            &[r#"{"a": 1, "b": {"c": [0]}}"#],
            &[r#"{"a": 1}"#],
            &[r#"{"b": 1}"#],
            &[r#"{"a": 1, "c": 2}"#],
        ];
        for (left_group, left) in groups
            .iter()
            .enumerate()
            .flat_map(|(n, texts)| texts.iter().map(move |t| (n, t)))
        {
            for (right_group, right) in groups
                .iter()
                .enumerate()
                .flat_map(|(n, texts)| texts.iter().map(move |t| (n, t)))
            {
                assert_eq!(
                    matches(left, right),
                    left_group == right_group,
                    "{left} and {right}"
                );
            }
        }
    }

    #[test]
    fn members_are_sorted() {
        let mut tape = Tape::new();
        let constant =
            Constant::from_value(tape.parse(br#"{"b": 1, "a": "x", "": null}"#, 64).expect("valid"));
        let Constant::Object(members) = &constant else {
            panic!("an object, not {constant:?}")
        };
        assert_eq!(
            members.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(),
            ["", "a", "b"]
        );
        assert_eq!(constant.kind(), Kind::Object);
        assert_eq!(members[1].1.kind(), Kind::String);
    }
}
