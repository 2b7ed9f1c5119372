//! The grammar and the bounds of numbers, and their exact values.

use super::*;

#[test]
fn units_are_exact() {
    let cases = [
        ("0", 6, Scaled::Units(0)),
        ("-0.0e5", 6, Scaled::Units(0)),
        ("1", 6, Scaled::Units(1_000_000)),
        ("1.50000000", 1, Scaled::Units(15)),
        ("1.50000000", 0, Scaled::TooManyDecimals),
        ("120e-1", 0, Scaled::Units(12)),
        ("1e-7", 6, Scaled::TooManyDecimals),
        ("1e-7", 7, Scaled::Units(1)),
        ("0.000001", 6, Scaled::Units(1)),
        ("-0.5", 6, Scaled::Negative),
        ("-1e-9000", 6, Scaled::Negative),
        ("18446744073709551615", 0, Scaled::Units(u64::MAX)),
        ("18446744073709551616", 0, Scaled::TooLarge),
        ("18446744073709.551615", 6, Scaled::Units(u64::MAX)),
        ("1e12", 6, Scaled::Units(1_000_000_000_000_000_000)),
        ("1e10000", 6, Scaled::TooLarge),
        ("100000000000000000000000.0000001", 6, Scaled::TooManyDecimals),
        ("1", u32::MAX, Scaled::TooLarge),
    ];
    for (text, decimals, expected) in cases {
        assert_eq!(
            scaled(text, decimals),
            expected,
            "{text} with {decimals} decimals"
        );
    }
}

#[test]
fn the_bound_of_comparisons_is_exact() {
    let zeros = |count| "0".repeat(count);
    let nines = "9".repeat(308);
    for text in [
        "1e308",
        "-1e308",
        "1e309",
        "0.1e309",
        "10e307",
        "1E+10000",
        &format!("1{}", zeros(308)),
        &format!("-1{}.5", zeros(308)),
    ] {
        assert!(is_abs_at_least_1e308(text), "{text}");
    }
    for text in [
        "0",
        "0e10000",
        "9.99e307",
        "0.1e308",
        "1e-10000",
        &nines,
        &format!("-{nines}.{nines}"),
        &format!("0.{nines}"),
    ] {
        assert!(!is_abs_at_least_1e308(text), "{text}");
    }
}

#[test]
fn grammar() {
    for text in [
        "0",
        "-0",
        "10",
        "1.5",
        "0.0",
        "1e5",
        "1E+5",
        "-1.25e-0005",
        "1e10000",
        "1e-10000",
    ] {
        assert_eq!(end_of_number(text.as_bytes(), 0), Ok(text.len()), "{text}");
    }
    for (text, offset) in [
        ("", 0),
        ("-", 1),
        ("00", 0),
        ("-01", 1),
        ("1.", 2),
        (".5", 0),
        ("1e", 2),
        ("1e+", 3),
        ("+1", 0),
        ("-e", 1),
        ("1.e1", 2),
    ] {
        let error = end_of_number(text.as_bytes(), 0).expect_err(text);
        assert_eq!(error.offset, offset, "{text}");
        assert!(matches!(error.kind, JsonErrorKind::Syntax(_)), "{text}");
    }
}

#[test]
fn bounds() {
    let kind = |text: String| end_of_number(text.as_bytes(), 0).map_err(|error| error.kind);
    assert_eq!(kind("1".repeat(1_000)), Ok(1_000));
    assert_eq!(kind("1".repeat(1_001)), Err(NumberError::TooLong.into()));
    assert_eq!(
        kind(format!("-{}", "1".repeat(1_000))),
        Err(NumberError::TooLong.into())
    );
    for exponent in ["10001", "-10001", "+99999999999999999999999"] {
        assert_eq!(
            kind(format!("1e{exponent}")),
            Err(NumberError::ExponentTooLarge.into())
        );
    }
    assert_eq!(kind("1e0000000000000000010000".to_owned()), Ok(24));
}

#[test]
fn formats_integers() {
    for value in [0, 9, 10, 1_234_567, u64::MAX] {
        assert_eq!(format_u64(value, &mut [0; U64_DIGITS]), value.to_string());
    }
}
