//! Accepted documents, and the place of the fault in others.

use super::*;
use crate::json::NumberError;

fn fault(document: impl AsRef<[u8]>) -> Option<(usize, JsonErrorKind)> {
    Tape::new()
        .parse(document.as_ref(), 64)
        .err()
        .map(|error| (error.offset, error.kind))
}

#[test]
fn accepts_json() {
    for text in [
        "null",
        " true\n",
        "\tfalse\r\n",
        "0",
        "-0.0e+0",
        "\"\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[[],{},[{}]]",
        "[1,2 , 3]",
        r#"{"a":1,"A":1," a":1,"a ":1,"":1}"#,
        r#"[{"a":1},{"a":2}]"#,
        r#"{"a":{"a":{"a":1}}}"#,
        r#"{"a":[{"b":1},{"b":2}],"b":1}"#,
        "\"\u{7f}\u{feff}\u{10ffff}\"",
        "1e400",
        "9007199254740993",
    ] {
        assert_eq!(fault(text), None, "{text}");
    }
}

#[test]
fn refuses_what_is_no_json_where_it_is_wrong() {
    let cases: &[(&[u8], usize)] = &[
        (b"", 0),
        (b" \n", 2),
        (b"nul", 0),
        (b"nulll", 4),
        (b"True", 0),
        (b"NaN", 0),
        (b"Infinity", 0),
        (b"-Infinity", 1),
        (b"01", 0),
        (b"-", 1),
        (b"1 2", 2),
        (b"{}x", 2),
        (b"[] []", 3),
        (b"'a'", 0),
        (b"[", 1),
        (b"[1", 2),
        (b"[1,", 3),
        (b"[1,]", 3),
        (b"[,1]", 1),
        (b"[1 2]", 3),
        (b"]", 0),
        (b"[}", 1),
        (b"{", 1),
        (b"{]", 1),
        (b"{\"a\"", 4),
        (b"{\"a\":", 5),
        (b"{\"a\" 1}", 5),
        (b"{\"a\":1,}", 7),
        (b"{\"a\":1]", 6),
        (b"{a:1}", 1),
        (b"{1:1}", 1),
        (b"{\"a\":1,,}", 7),
        (b"{\"a\":}", 5),
        (b"\"a", 2),
        (b"\"a\nb\"", 2),
        (b"\"a\0\"", 2),
        (b"\"\\x\"", 1),
        (b"\"\\", 1),
        (b"/**/1", 0),
        (b"1\0", 1),
        (b"\0", 0),
        (b"\xef\xbb\xbf1", 0),
        (b"[\x0c]", 1),
        (b"\xc2\xa01", 0),
    ];
    for (document, offset) in cases {
        let shown = String::from_utf8_lossy(document);
        let (at, kind) = fault(document).expect(&shown);
        assert!(matches!(kind, JsonErrorKind::Syntax(_)), "{shown}: {kind}");
        assert_eq!(at, *offset, "{shown}: {kind}");
    }
}

#[test]
fn refuses_what_is_not_utf8_anywhere() {
    let cases: &[(&[u8], usize)] = &[
        (b"\"\xff\"", 1),
        (b"{\"a\xc0\x80\":1}", 3),
        (b"\"\xed\xa0\x80\"", 1),
        (b"1 \x80", 2),
        (b"\"\xe2\x82\"", 1),
        (b"\"\xf4\x90\x80\x80\"", 1),
    ];
    for (document, offset) in cases {
        assert_eq!(fault(document), Some((*offset, JsonErrorKind::InvalidUtf8)));
    }
}

#[test]
fn refuses_keys_that_appear_twice() {
    let cases = [
        (r#"{"a":1,"a":1}"#, 7, "a"),
        (r#"{"a":1,"\u0061":2}"#, 7, "a"),
        (r#"{"\u00e9":1,"b":2,"é":2}"#, 18, "é"),
        (r#"{"":1,"":2}"#, 6, ""),
        (r#"[0,{"x":{"k":{"a":1},"a":2,"k":3}}]"#, 27, "k"),
        (r#"{"a":{"b":1},"b":{"a":1},"a":0}"#, 25, "a"),
    ];
    for (text, offset, key) in cases {
        assert_eq!(
            fault(text),
            Some((offset, JsonErrorKind::DuplicateKey(key.to_owned()))),
            "{text}"
        );
    }
    let members: Vec<String> = (0..1_000).map(|n| format!("\"k{n}\":[{{\"k{n}\":0}}]")).collect();
    let text = format!("{{{},\"k\\u0037\":0}}", members.join(","));
    let offset = text.len() - "\"k\\u0037\":0}".len();
    assert_eq!(
        fault(&text),
        Some((offset, JsonErrorKind::DuplicateKey("k7".to_owned())))
    );
    assert_eq!(fault(format!("{{{}}}", members.join(","))), None);
}

#[test]
fn depth_counts_the_root_as_one() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let too_deep = Some(JsonErrorKind::TooDeep { max_depth: 64 });
    assert_eq!(fault(nested(64)), None);
    assert_eq!(fault(nested(65)), Some(64).zip(too_deep.clone()));
    assert_eq!(fault(objects(64)), None);
    assert_eq!(fault(objects(65)), Some(64 * 5).zip(too_deep));
    let depth = |text: &str, max_depth| Tape::new().parse(text.as_bytes(), max_depth).is_ok();
    assert!(depth("1", 0) && !depth("[]", 0) && depth("[[],[]]", 2) && !depth("[[[]]]", 2));
    assert!(depth(&nested(200_000), usize::MAX), "nesting is not recursion");
}

#[test]
fn refuses_lone_surrogates_and_numbers_out_of_bounds() {
    assert_eq!(fault(r#"["\ud800"]"#), Some((2, JsonErrorKind::LoneSurrogate)));
    assert_eq!(fault(r#"{"a\udc00":1}"#), Some((3, JsonErrorKind::LoneSurrogate)));
    assert_eq!(
        fault("[1, 1e10001]"),
        Some((4, NumberError::ExponentTooLarge.into()))
    );
    assert_eq!(
        fault(format!("[{}]", "1".repeat(1_001))),
        Some((1, NumberError::TooLong.into()))
    );
}

#[test]
fn a_tape_forgets_what_it_refused() {
    let mut tape = Tape::new();
    for broken in [r#"{"a":1,"b":[{"c":"\n","#, r#"{"a":1,"a":2}"#, r#"["\n", "\x"]"#] {
        assert!(tape.parse(broken.as_bytes(), 64).is_err());
        let value = tape.parse(br#"{"a":"\t"}"#, 64).expect("valid");
        assert_eq!(value.get("a").and_then(crate::json::Value::as_str), Some("\t"));
        assert_eq!(value.len(), 1);
    }
}
