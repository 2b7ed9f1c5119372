//! Canonical JSON: RFC 8785 with exact numbers (`docs/policy.md` section 6).

use std::cmp::Ordering;

use super::number::Parts;
use super::{Constant, Kind, Value, ValueWriter};

/// Writes the canonical form of a parsed value.
pub(super) fn write_value(value: Value<'_>, out: ValueWriter<'_>) {
    match value.kind() {
        Kind::Null => out.null(),
        Kind::Bool => out.boolean(value.as_bool() == Some(true)),
        Kind::Number => {
            let number = Parts::of(value.as_number().unwrap_or_default());
            out.with(|out| number.write_canonical(out));
        }
        Kind::String => out.text(value.as_str().unwrap_or_default()),
        Kind::Array => write_list(value.elements(), out, write_value),
        Kind::Object => write_object(value.members().collect(), out, write_value),
    }
}

/// Writes the canonical form of a constant.
pub(super) fn write_constant(constant: &Constant, out: ValueWriter<'_>) {
    match constant {
        Constant::Null => out.null(),
        Constant::Bool(value) => out.boolean(*value),
        Constant::Number(value) => out.with(|out| value.write_canonical(out)),
        Constant::String(value) => out.text(value),
        Constant::Array(elements) => write_list(elements.iter(), out, write_constant),
        Constant::Object(members) => {
            let members = members.iter().map(|(key, value)| (key.as_str(), value)).collect();
            write_object(members, out, write_constant);
        }
    }
}

fn write_list<V>(
    elements: impl Iterator<Item = V>,
    out: ValueWriter<'_>,
    write: impl Fn(V, ValueWriter<'_>),
) {
    out.list(|list| {
        for element in elements {
            write(element, list.element());
        }
    });
}

fn write_object<V>(mut members: Vec<(&str, V)>, out: ValueWriter<'_>, write: impl Fn(V, ValueWriter<'_>)) {
    members.sort_unstable_by(|(a, _), (b, _)| cmp_utf16(a, b));
    out.object(|object| {
        for (key, value) in members {
            write(value, object.member(key));
        }
    });
}

/// Compares by UTF-16 code units.
///
/// This equals the order of UTF-8 bytes except for characters beyond U+FFFF (first byte 0xf0 and up): their surrogates
/// come before U+E000 to U+FFFF (first byte 0xee or 0xef). Two strings that agree up to a later byte of a character
/// also agree in its first byte, so comparing the first different bytes is enough.
fn cmp_utf16(a: &str, b: &str) -> Ordering {
    let rank = |byte: u8| {
        if matches!(byte, 0xee | 0xef) {
            byte + 0x10
        } else {
            byte
        }
    };
    a.bytes().map(rank).cmp(b.bytes().map(rank))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    fn canonical(text: &str) -> String {
        let (mut tape, mut out, mut again) = (Tape::new(), String::new(), String::new());
        let value = tape.parse(text.as_bytes(), 64).expect("valid");
        value.write_canonical(&mut out);
        Constant::from_value(value).write_canonical(&mut again);
        assert_eq!(
            out, again,
            "a constant has the form of the value it was made from"
        );
        out
    }

    #[test]
    fn values_have_one_form() {
        let cases = [
            (" null ", "null"),
            ("[ true , false ]", "[true,false]"),
            (
                "[100, 1.5, -0, 1E400, 9007199254740993, -2.50]",
                "[1e2,15e-1,0e0,1e400,9007199254740993e0,-25e-1]",
            ),
            (
                r#"{"b": {"d": 1, "c": []}, "a": {}}"#,
                r#"{"a":{},"b":{"c":[],"d":1e0}}"#,
            ),
            (r#""\u0041\/é\u20ac""#, "\"A/é€\""),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn members_are_sorted_by_utf16() {
        // The example in RFC 8785 section 3.2.3.
        let text =
            r#"{"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7}"#;
        assert_eq!(
            canonical(text),
            "{\"\\r\":2e0,\"1\":4e0,\"\u{80}\":6e0,\"ö\":7e0,\"€\":1e0,\"😀\":5e0,\"\u{fb33}\":3e0}"
        );
    }

    #[test]
    fn the_order_is_that_of_code_units() {
        let edges = [
            "",
            "a",
            "é",
            "\u{7ff}",
            "\u{800}",
            "\u{d7ff}",
            "\u{e000}",
            "\u{efff}",
            "\u{f000}",
            "\u{ffff}",
            "\u{10000}",
            "\u{10ffff}",
        ];
        let texts: Vec<String> = edges
            .iter()
            .flat_map(|a| edges.iter().map(move |b| format!("{a}{b}")))
            .collect();
        for a in &texts {
            for b in &texts {
                assert_eq!(
                    cmp_utf16(a, b),
                    a.encode_utf16().cmp(b.encode_utf16()),
                    "{a:?} and {b:?}"
                );
            }
        }
    }
}
