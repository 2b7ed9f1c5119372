//! Properties that hold for any bytes, values and numbers.

use std::cmp::Ordering;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value as Oracle;

use super::{
    Constant, Decimal, JsonErrorKind, Kind, Scaled, Tape, Value, is_abs_at_least_1e308, line_column, scaled,
};

/// The text of a valid JSON number.
fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,12})?([eE][+-]?[0-9]{1,3})?"
}

/// Strings with all difficult characters: quotes, controls, astral characters.
fn text() -> impl Strategy<Value = String> {
    vec(
        prop_oneof![
            Just('"'),
            Just('\\'),
            Just('\0'),
            Just('\u{1f600}'),
            any::<char>(),
            proptest::char::range('a', 'c')
        ],
        0..12,
    )
    .prop_map(String::from_iter)
}

fn document() -> impl Strategy<Value = Oracle> {
    let leaf = prop_oneof![
        Just(Oracle::Null),
        any::<bool>().prop_map(Oracle::Bool),
        number().prop_map(|text| serde_json::from_str(&text).expect("a number")),
        text().prop_map(Oracle::String),
    ];
    leaf.prop_recursive(5, 60, 24, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Oracle::Array),
            btree_map(text(), inner, 0..24).prop_map(|members| Oracle::Object(members.into_iter().collect())),
        ]
    })
}

/// Returns whether a walk over `value` finds exactly the contents of `oracle`.
fn same(value: Value<'_>, oracle: &Oracle) -> bool {
    match oracle {
        Oracle::Null => value.kind() == Kind::Null,
        Oracle::Bool(expected) => value.as_bool() == Some(*expected),
        Oracle::Number(expected) => value.as_number() == Some(expected.as_str()),
        Oracle::String(expected) => value.as_str() == Some(expected),
        Oracle::Array(expected) => {
            value.kind() == Kind::Array
                && value.len() == expected.len()
                && value.elements().count() == expected.len()
                && value
                    .elements()
                    .zip(expected)
                    .all(|(element, oracle)| same(element, oracle))
        }
        Oracle::Object(expected) => {
            value.kind() == Kind::Object
                && value.len() == expected.len()
                && value.members().count() == expected.len()
                && value
                    .members()
                    .zip(expected)
                    .all(|((key, member), (name, oracle))| key == name && same(member, oracle))
                && expected
                    .iter()
                    .all(|(name, oracle)| value.get(name).is_some_and(|member| same(member, oracle)))
        }
    }
}

/// Visits every value and calls all of its methods.
fn visit(value: Value<'_>, document: &str) {
    assert!(document.get(value.span()).is_some());
    assert!(
        value
            .key_offset()
            .is_none_or(|at| document[at..].starts_with('"'))
    );
    value.elements().for_each(|element| visit(element, document));
    value.members().for_each(|(_, member)| visit(member, document));
}

/// Compares exactly by writing both numbers in full, aligned at the decimal point.
fn oracle_cmp(left: &str, right: &str) -> Ordering {
    let (left, right) = (written_out(left), written_out(right));
    match (left.0, right.0) {
        (true, true) => right.1.cmp(&left.1),
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => left.1.cmp(&right.1),
    }
}

/// The sign of a number (true if negative), and its absolute value in units of 10^-2000 as 4,000 digits.
fn written_out(text: &str) -> (bool, String) {
    let size = text.trim_start_matches('-');
    let (mantissa, exponent) = size.split_once(['e', 'E']).unwrap_or((size, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let shift = exponent.parse::<i32>().expect("an exponent") - i32::try_from(fraction.len()).expect("short");
    let zeros = usize::try_from(2_000 + shift).expect("within 10^-2000");
    let digits = format!("{:0>4000}", format!("{integer}{fraction}{}", "0".repeat(zeros)));
    let digits = digits[digits.len() - 4_000..].to_owned();
    (
        text.starts_with('-') && digits.contains(|digit| digit != '0'),
        digits,
    )
}

proptest! {
    #[test]
    fn walks_meet_what_was_written(oracle in document(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&oracle) } else { serde_json::to_string(&oracle) };
        let text = text.expect("writable");
        let mut tape = Tape::new();
        let value = tape.parse(text.as_bytes(), 64).expect("valid");
        prop_assert!(same(value, &oracle));
        visit(value, &text);
        prop_assert!(Constant::from_value(value).matches(value));
        let mut canonical = String::new();
        value.write_canonical(&mut canonical);
        let (mut again_tape, mut again) = (Tape::new(), String::new());
        let reread = again_tape.parse(canonical.as_bytes(), 64).expect("canonical JSON is JSON");
        prop_assert!(Constant::from_value(value).matches(reread));
        reread.write_canonical(&mut again);
        prop_assert_eq!(again, canonical);
    }

    #[test]
    fn a_repeated_key_is_refused(oracle in btree_map(text(), number(), 1..40), which: prop::sample::Index) {
        let mut members: Vec<String> =
            oracle.iter().map(|(key, value)| format!("{}:{value}", Oracle::String(key.clone()))).collect();
        let key = oracle.keys().nth(which.index(oracle.len())).expect("a key");
        let escaped: Vec<String> = key.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        members.push(format!("\"{}\":0", escaped.concat()));
        let text = format!("{{{}}}", members.join(","));
        let error = Tape::new().parse(text.as_bytes(), 64).map(|_| ()).expect_err("refused");
        prop_assert_eq!(error.kind, JsonErrorKind::DuplicateKey(key.clone()));
        prop_assert_eq!(error.offset, text.len() - members[members.len() - 1].len() - 1);
    }

    #[test]
    fn any_bytes_are_judged_as_the_grammar_says(bytes in vec(prop_oneof![
        4 => prop::sample::select(br#"{}[]:,"\u0123eE+-.tfn a"#.to_vec()), 1 => any::<u8>(),
    ], 0..24)) {
        let mut tape = Tape::new();
        let ours = tape.parse(&bytes, 64);
        let oracle = serde_json::from_slice::<Oracle>(&bytes);
        match ours {
            Ok(value) => {
                visit(value, str::from_utf8(&bytes).expect("checked"));
                let oracle = oracle.expect("both accept");
                prop_assert!(Constant::from_value(value).matches(value) && kind(&oracle) == value.kind());
            }
            Err(error) => {
                prop_assert!(error.offset <= bytes.len());
                prop_assert!(!error.to_string().is_empty());
                // Only callgate refuses duplicate keys and huge exponents.
                prop_assert!(oracle.is_err() || matches!(error.kind, JsonErrorKind::DuplicateKey(_) | JsonErrorKind::Number(_)), "{}", error);
                line_column(&bytes, error.offset);
            }
        }
    }

    #[test]
    fn a_changed_byte_never_panics(oracle in document(), at: prop::sample::Index, byte: u8) {
        let mut bytes = serde_json::to_vec(&oracle).expect("writable");
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let cut = bytes[..at].to_vec();
        for document in [bytes, cut] {
            let mut tape = Tape::new();
            if let Ok(value) = tape.parse(&document, 64) {
                visit(value, str::from_utf8(&document).expect("checked"));
            }
        }
    }

    #[test]
    fn decimals_order_as_written_out(left in number(), right in number()) {
        let expected = oracle_cmp(&left, &right);
        let (a, b) = (Decimal::parse(&left).expect("a number"), Decimal::parse(&right).expect("a number"));
        prop_assert_eq!(a.cmp_text(&right), expected);
        prop_assert_eq!(b.cmp_text(&left), expected.reverse());
        prop_assert_eq!(a.cmp(&b), expected);
        prop_assert_eq!(a == b, expected == Ordering::Equal);
    }

    #[test]
    fn neighbours_are_told_apart(units in -1_000_000_i64..1_000_000, step in -1_i64..=1, zeros in 0_usize..4) {
        // The same scaled integers, one written with a decimal point and the other with an exponent.
        let (whole, part) = (units.abs() / 1_000, units.abs() % 1_000);
        let sign = if units < 0 { "-" } else { "" };
        let left = format!("{sign}{whole}.{part:03}{}", "0".repeat(zeros));
        let right = format!("{}e-3", units + step);
        let decimal = Decimal::parse(&left).expect("a number");
        prop_assert_eq!(decimal.cmp_text(&right), 0.cmp(&step));
        prop_assert_eq!(scaled(&left, 3), u64::try_from(units).map_or(Scaled::Negative, Scaled::Units));
        prop_assert!(!is_abs_at_least_1e308(&left));
    }

    #[test]
    fn canonical_numbers_keep_the_value(text in number()) {
        let decimal = Decimal::parse(&text).expect("a number");
        let mut canonical = String::new();
        decimal.write_canonical(&mut canonical);
        prop_assert_eq!(decimal.cmp_text(&canonical), Ordering::Equal);
        let (digits, _) = canonical.split_once('e').expect("has an exponent");
        prop_assert!(digits == "0" || !digits.ends_with('0'));
        prop_assert_eq!(is_abs_at_least_1e308(&text), is_abs_at_least_1e308(&canonical));
    }
}

/// The kind of a value that `serde_json` read.
fn kind(oracle: &Oracle) -> Kind {
    match oracle {
        Oracle::Null => Kind::Null,
        Oracle::Bool(_) => Kind::Bool,
        Oracle::Number(_) => Kind::Number,
        Oracle::String(_) => Kind::String,
        Oracle::Array(_) => Kind::Array,
        Oracle::Object(_) => Kind::Object,
    }
}
