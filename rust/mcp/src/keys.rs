//! Keys that only some readers take for a protocol key.
//!
//! Go's `encoding/json`, and many mappers in other languages if configured so, match members without regard to case. A
//! message with `name` and `Name` then calls one tool there and another tool elsewhere.

/// The protocol key that `key` differs from only by case, if there is one. `None` for a protocol key itself.
pub(crate) fn look_alike(key: &str, known: &[&'static str]) -> Option<&'static str> {
    known
        .iter()
        .find(|known| key != **known && same_but_for_case(key, known))
        .copied()
}

/// Returns whether two texts are equal under any case folding in use. Simple case folding, which Go applies, maps two
/// non-ASCII characters to ASCII ones; comparing upper-cased text, as Java does, maps two more.
pub fn same_but_for_case(text: &str, ascii: &str) -> bool {
    let mut wanted = ascii.bytes();
    let begins = text
        .chars()
        .all(|character| wanted.next().map(|byte| byte.to_ascii_lowercase()) == folded(character));
    begins && wanted.next().is_none()
}

fn folded(character: char) -> Option<u8> {
    match character {
        '\u{17f}' => Some(b's'),
        '\u{212a}' => Some(b'k'),
        '\u{130}' | '\u{131}' => Some(b'i'),
        other => u8::try_from(other)
            .ok()
            .filter(u8::is_ascii)
            .map(|byte| byte.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 5] = ["method", "params", "id", "taskId", "_meta"];

    #[test]
    fn every_case_is_a_look_alike() {
        for (key, known) in [
            ("Method", "method"),
            ("METHOD", "method"),
            ("paramS", "params"),
            ("param\u{17f}", "params"),
            ("ID", "id"),
            ("\u{131}d", "id"),
            ("\u{130}D", "id"),
            ("taskid", "taskId"),
            ("TASK\u{212a}ID", ""),
            ("tas\u{212a}Id", "taskId"),
            ("_Meta", "_meta"),
        ] {
            assert_eq!(look_alike(key, &KNOWN).unwrap_or_default(), known, "{key}");
        }
    }

    #[test]
    fn other_keys_are_not() {
        for key in [
            "method", "taskId", "", "m", "methods", "metho", "méthod", "id ", "meta", "ïd", "\u{149}d",
        ] {
            assert_eq!(look_alike(key, &KNOWN), None, "{key}");
        }
    }
}
