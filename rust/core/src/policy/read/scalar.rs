//! Plain YAML scalars, resolved by the core schema of YAML 1.2 (section 10.3.2 of that specification).

use super::Content;

/// The value of a plain scalar; an error if it has no equivalent in JSON.
pub(super) fn resolve(text: &str) -> Result<Content, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Content::Null),
        "true" | "True" | "TRUE" => return Ok(Content::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Content::Bool(false)),
        _ => {}
    }
    let (sign, unsigned) = match text.as_bytes().first() {
        Some(b'-') => ("-", &text[1..]),
        Some(b'+') => ("", &text[1..]),
        _ => ("", text),
    };
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(format!(
            "`{text}` is no JSON number; quote it if a string is meant"
        ));
    }
    if let Some(number) = radix(text)? {
        return Ok(Content::Number(number));
    }
    Ok(match decimal(unsigned) {
        Some(number) => Content::Number(format!("{sign}{number}")),
        None => Content::String(text.to_owned()),
    })
}

/// `0o17` and `0x1f`, which have no sign, as decimal text.
fn radix(text: &str) -> Result<Option<String>, String> {
    let (digits, radix) = match (text.strip_prefix("0o"), text.strip_prefix("0x")) {
        (Some(digits), _) => (digits, 8),
        (_, Some(digits)) => (digits, 16),
        _ => return Ok(None),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Ok(None);
    }
    match u128::from_str_radix(digits, radix) {
        Ok(number) => Ok(Some(number.to_string())),
        Err(_) => Err("the number does not fit 128 bits; write it as a decimal".to_owned()),
    }
}

/// `[0-9]+`, `[0-9]*.[0-9]+`, `[0-9]+.`, each with an optional exponent, as the text of a JSON number.
fn decimal(text: &str) -> Option<String> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let significant = whole.trim_start_matches('0');
    let mut number = if significant.is_empty() { "0" } else { significant }.to_owned();
    if !fraction.is_empty() {
        number.push('.');
        number.push_str(fraction);
    }
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits.is_empty() || !all_digits(digits) {
            return None;
        }
        number.push('e');
        number.push_str(exponent);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_core_schema_become_json_numbers() {
        for (text, number) in [
            ("0", "0"),
            ("-1", "-1"),
            ("+1", "1"),
            ("007", "7"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("5.", "5"),
            ("1.50", "1.50"),
            ("1e3", "1e3"),
            ("1.E-3", "1e-3"),
            ("9007199254740993", "9007199254740993"),
            ("0o14", "12"),
            ("0x1f", "31"),
            ("0x1F", "31"),
        ] {
            assert_eq!(resolve(text), Ok(Content::Number(number.to_owned())), "{text}");
        }
    }

    #[test]
    fn everything_else_is_a_string() {
        for text in [
            "1_000", "0b1", "0o8", "-0x1f", "0x", ".", "e5", "1e", "1e+", "1.2.3", "5/hour", "yes", "nULL",
            "-", "+", "--1",
        ] {
            assert_eq!(resolve(text), Ok(Content::String(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn words_of_the_core_schema() {
        assert_eq!(resolve("~"), Ok(Content::Null));
        assert_eq!(resolve(""), Ok(Content::Null));
        assert_eq!(resolve("True"), Ok(Content::Bool(true)));
        assert_eq!(resolve("FALSE"), Ok(Content::Bool(false)));
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        for text in [
            ".inf",
            "-.Inf",
            "+.INF",
            ".nan",
            ".NaN",
            "0xfffffffffffffffffffffffffffffffff",
        ] {
            assert!(resolve(text).is_err(), "{text}");
        }
    }
}
