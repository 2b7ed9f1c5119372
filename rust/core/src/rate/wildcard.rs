//! Values with `*`, which matches any characters.

/// A value with at least one `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wildcard {
    first: String,
    /// The texts between the stars, in order.
    between: Vec<String>,
    last: String,
}

impl Wildcard {
    /// `None` for a value without a star.
    pub(super) fn of(value: &str) -> Option<Self> {
        let (first, rest) = value.split_once('*')?;
        let mut between: Vec<String> = rest.split('*').map(str::to_owned).collect();
        let last = between.pop().unwrap_or_default();
        Some(Self {
            first: first.to_owned(),
            between,
            last,
        })
    }

    /// Returns whether it matches `value`. Each part takes the first position at which it occurs, which leaves the most
    /// room for the parts after it.
    pub(super) fn matches(&self, value: &str) -> bool {
        let Some(mut rest) = value
            .strip_prefix(self.first.as_str())
            .and_then(|rest| rest.strip_suffix(self.last.as_str()))
        else {
            return false;
        };
        for part in &self.between {
            let Some((_, behind)) = rest.split_once(part.as_str()) else {
                return false;
            };
            rest = behind;
        }
        true
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
