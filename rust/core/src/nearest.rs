//! The nearest known word, for "did you mean".

/// The known word with the fewest edits from `word` (insertion, deletion, replacement, swap of neighbours). Case
/// differences count only to break ties. `None` if no word is known.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known.iter().copied().min_by_key(|candidate| {
        (
            distance(&word.to_lowercase(), &candidate.to_lowercase()),
            distance(word, candidate),
        )
    })
}

/// The nearest known word, if it is near enough to be the intended one: one edit, or one for every three of its
/// characters.
///
/// ```
/// use callgate_core::nearest::probable;
///
/// assert_eq!(probable("argz", &["args", "tool"]), Some("args"));
/// assert_eq!(probable("zebra", &["args", "tool"]), None);
/// ```
pub fn probable<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    nearest(word, known).filter(|candidate| {
        let edits = distance(&word.to_lowercase(), &candidate.to_lowercase());
        edits <= (candidate.chars().count() / 3).max(1)
    })
}

/// The end of a message about `word`: a question with the probable word, or nothing.
pub(crate) fn did_you_mean(word: &str, known: &[&str]) -> String {
    probable(word, known)
        .map(|meant| format!("; did you mean `{meant}`?"))
        .unwrap_or_default()
}

/// The longest word that is compared; a caller's word may be longer.
const LONGEST: usize = 64;

/// Optimal string alignment distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(LONGEST).collect();
    let b: Vec<char> = b.chars().take(LONGEST).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut best = (last[j] + usize::from(x != y))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, edits) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("limit", "limits", 1),
            ("hihg", "high", 1),
            ("abc", "xyz", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), edits, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_is_the_one_meant() {
        let known = ["require", "deny_if", "limits", "rate_limit"];
        assert_eq!(probable("limit", &known), Some("limits"));
        assert_eq!(probable("Require", &known), Some("require"));
        assert_eq!(probable("zebra", &known), None);
        assert_eq!(nearest("zebra", &[]), None);
    }
}
