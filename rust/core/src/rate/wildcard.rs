//! Values with `*`, which matches any characters.

use crate::policy::ast::GlobPart;
use crate::policy::matches_parts;

/// A value with at least one `*`. Unlike a pattern of tools, it has no `?` and no escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wildcard(Vec<GlobPart>);

impl Wildcard {
    /// `None` for a value without a star.
    pub(super) fn of(value: &str) -> Option<Self> {
        let (first, rest) = value.split_once('*')?;
        let mut parts = Vec::new();
        push_literal(&mut parts, first);
        for text in rest.split('*') {
            if parts.last() != Some(&GlobPart::Many) {
                parts.push(GlobPart::Many);
            }
            push_literal(&mut parts, text);
        }
        Some(Self(parts))
    }

    /// Returns whether it matches the whole of `value`.
    pub(super) fn matches(&self, value: &str) -> bool {
        matches_parts(&self.0, value)
    }
}

fn push_literal(parts: &mut Vec<GlobPart>, text: &str) {
    if !text.is_empty() {
        parts.push(GlobPart::Literal(text.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_of_characters() {
        for (pattern, value, matches) in [
            ("read*", "read", true),
            ("read*", "read-all", true),
            ("read*", "rea", false),
            ("*", "", true),
            ("*", "anything", true),
            ("*.example", "a.example", true),
            ("*.example", "example", false),
            ("/api/*/action", "/api/7/action", true),
            ("/api/*/action", "/api/action", false),
            ("/api/*/action", "/api/7/other", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("aa*aa", "aaa", false),
            ("aa*aa", "aaaa", true),
            ("a**b", "ab", true),
        ] {
            let wildcard = Wildcard::of(pattern).unwrap();
            assert_eq!(wildcard.matches(value), matches, "{pattern} {value}");
        }
        assert_eq!(Wildcard::of("plain"), None);
    }
}
