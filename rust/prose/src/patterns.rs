//! A quick look before slow patterns: which of them a text may match.
//!
//! The patterns are those of Python's `re`, which looks around and backtracks. Here each is taken without what looks
//! around, which can only make it match more, and is searched in linear time. Whoever asks searches the candidates with
//! the patterns themselves.

use regex::{Regex, RegexBuilder, bytes};

/// Bytes of memory that one pattern may take to be searched quickly.
const CACHE_BYTES: usize = 1 << 18;

/// The least repetitions whose bound is left out.
const OFTEN: u32 = 8;

/// Stand for characters beyond ASCII: letters, digits and others, as Python's classes `\w` and `\d` take them.
const LETTER: u8 = b'q';
const DIGIT: u8 = b'0';
const SIGN: u8 = 0x01;

/// Patterns, widened.
#[derive(Debug)]
pub struct Patterns {
    every: Vec<Pattern>,
    letters: Regex,
    digits: Regex,
}

#[derive(Debug)]
enum Pattern {
    /// Of ASCII alone: searched in a text where every other character is one byte, as fast as bytes are.
    Ascii(bytes::Regex),
    /// With letters beyond it: searched in the text itself.
    Text(Regex),
}

impl Patterns {
    /// Reads patterns in the syntax that Python's `re` and the crate `regex` share, besides what looks around.
    ///
    /// # Errors
    ///
    /// The number of the pattern and the reason, if one cannot be read.
    pub fn new<'source>(
        patterns: impl IntoIterator<Item = &'source str>,
    ) -> Result<Self, (usize, regex::Error)> {
        let read = |(number, pattern)| Pattern::new(&widened(pattern)).map_err(|error| (number, error));
        let class = |class| Regex::new(class).map_err(|error| (0, error));
        Ok(Self {
            every: patterns
                .into_iter()
                .enumerate()
                .map(read)
                .collect::<Result<_, _>>()?,
            letters: class(r"^[\p{L}\p{N}]")?,
            digits: class(r"^\p{Nd}")?,
        })
    }

    /// The numbers of the patterns that may match somewhere in a text of one line.
    #[must_use]
    pub fn candidates(&self, text: &str) -> Vec<usize> {
        let flat = self.flat(text);
        let may_match = |pattern: &Pattern| match pattern {
            Pattern::Ascii(pattern) => pattern.is_match(&flat),
            Pattern::Text(pattern) => pattern.is_match(text),
        };
        (0..self.every.len())
            .filter(|&number| may_match(&self.every[number]))
            .collect()
    }

    /// The text with one byte for each character.
    fn flat(&self, text: &str) -> Vec<u8> {
        if text.is_ascii() {
            return text.as_bytes().to_vec();
        }
        text.char_indices()
            .map(|(at, character)| match u8::try_from(character) {
                Ok(byte) if byte.is_ascii() => byte,
                _ if self.digits.is_match(&text[at..]) => DIGIT,
                _ if self.letters.is_match(&text[at..]) => LETTER,
                _ => SIGN,
            })
            .collect()
    }
}

impl Pattern {
    fn new(pattern: &str) -> Result<Self, regex::Error> {
        if pattern.is_ascii() {
            let mut builder = bytes::RegexBuilder::new(pattern);
            return Ok(Self::Ascii(
                builder.unicode(false).dfa_size_limit(CACHE_BYTES).build()?,
            ));
        }
        Ok(Self::Text(
            RegexBuilder::new(pattern).dfa_size_limit(CACHE_BYTES).build()?,
        ))
    }
}

/// A pattern without its groups `(?=`, `(?!`, `(?<=` and `(?<!`, and with no bound where it repeats often: a count of
/// 80 characters takes 80 states.
fn widened(pattern: &str) -> String {
    let mut kept = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let length = if ["(?=", "(?!", "(?<=", "(?<!"]
            .iter()
            .any(|group| rest.starts_with(group))
        {
            let length = group_length(rest);
            rest = &rest[length..];
            continue;
        } else if let Some((length, unbounded)) = often(rest) {
            kept.push(unbounded);
            rest = &rest[length..];
            continue;
        } else if first == '\\' {
            first.len_utf8() + rest[1..].chars().next().map_or(0, char::len_utf8)
        } else if first == '[' {
            class_length(rest)
        } else {
            first.len_utf8()
        };
        kept.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    kept
}

/// Bytes of the repetition that a text begins with, such as `{0,80}`, and the sign of one without a bound; none for
/// others and for few.
fn often(text: &str) -> Option<(usize, char)> {
    let (least, most) = text.strip_prefix('{')?.split_once('}')?.0.split_once(',')?;
    let length = "{,}".len() + least.len() + most.len();
    let is_often = most.is_empty() || most.parse::<u32>().ok()? >= OFTEN;
    let unbounded = if least.is_empty() || least == "0" {
        '*'
    } else {
        '+'
    };
    is_often.then_some((length, unbounded))
}

/// Bytes of the group that a text begins with.
fn group_length(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        match first {
            '\\' => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
            '[' => at += class_length(&text[at..]),
            _ => {
                at += first.len_utf8();
                match first {
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        }
    }
    at
}

/// Bytes of the class that a text begins with.
fn class_length(text: &str) -> usize {
    let mut at = 1;
    while let Some(first) = text[at..].chars().next() {
        match first {
            '\\' => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
            // The first one is itself a member.
            ']' if at > 1 && &text[..at] != "[^" => return at + 1,
            _ => at += first.len_utf8(),
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(patterns: &[&str], text: &str) -> Vec<usize> {
        Patterns::new(patterns.iter().copied())
            .expect("patterns")
            .candidates(text)
    }

    #[test]
    fn what_looks_around_is_left_out() {
        assert_eq!(
            widened(r"\ba(?! (?:b|[)(])\)) c(?<=x)(?:d|e)(?=.{0,9}(?:f))"),
            r"\ba c(?:d|e)"
        );
        assert_eq!(widened(r"[(?=)]\(?=\["), r"[(?=)]\(?=\[");
        assert_eq!(widened(r"[]a](?!x)[^]b]"), r"[]a][^]b]");
    }

    #[test]
    fn much_repetition_has_no_bound() {
        assert_eq!(
            widened(r"a{0,80}b.{1,}?c{3}d{0,3}(?: \w{12,14}){2,8}"),
            r"a*b.+?c{3}d{0,3}(?: \w+)+"
        );
    }

    #[test]
    fn a_text_names_the_patterns_that_it_may_match() {
        let patterns = [
            r"\bsend\b.{0,3}\bkeys?\b",
            r"key(?! word)",
            r"忽略.{0,3}指令",
            r"\bno\b",
        ];
        assert_eq!(candidates(&patterns, "send key word"), [0, 1]);
        assert_eq!(candidates(&patterns, "忽略所有指令"), [2]);
        assert_eq!(candidates(&patterns, "send ééé key"), [1]);
        assert_eq!(candidates(&patterns, "send é key"), [0, 1]);
        assert_eq!(candidates(&patterns, "éno noé"), Vec::<usize>::new());
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_told() {
        let found = Patterns::new(["a", "("]);
        assert_eq!(found.expect_err("a fault").0, 1);
    }
}
