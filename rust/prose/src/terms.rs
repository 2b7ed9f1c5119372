//! Terms of a window: its words, and words that stand together.

use std::fmt::{self, Display};

use crate::tokens::tokens;

/// Words of which nearly every sentence has some: they do not count between words that stand near each other.
const LITTLE: [&str; 38] = [
    "the", "a", "an", "and", "to", "of", "in", "is", "this", "on", "for", "or", "with", "by", "as", "it",
    "be", "at", "from", "that", "are", "<number>", ":", "=", "<", ">", "#", "|", "*", "?", "!", "[", "]",
    "{", "}", "&", "%", "$",
];

/// Steps between two words that stand near each other.
const NEAR: usize = 3;

/// The sign between two words that stand near each other, in the written form of a term. No word has it.
const NEAR_SIGN: &str = "~";

/// One term; written as its words with spaces between them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Term<T> {
    /// A word.
    One(T),
    /// Two words, one right after the other.
    Two(T, T),
    /// Three words, one right after the other.
    Three(T, T, T),
    /// Two words in this order, near each other; little words between them do not count.
    Near(T, T),
}

impl<T> Term<T> {
    /// The same term of something else for each word; none if a word has nothing.
    pub(crate) fn map<U>(self, mut change: impl FnMut(T) -> Option<U>) -> Option<Term<U>> {
        Some(match self {
            Self::One(one) => Term::One(change(one)?),
            Self::Two(one, two) => Term::Two(change(one)?, change(two)?),
            Self::Three(one, two, three) => Term::Three(change(one)?, change(two)?, change(three)?),
            Self::Near(one, two) => Term::Near(change(one)?, change(two)?),
        })
    }
}

impl<'text> Term<&'text str> {
    /// Reads the written form; none if it is no term.
    pub(crate) fn read(text: &'text str) -> Option<Self> {
        let words: Vec<_> = text.split(' ').collect();
        match *words.as_slice() {
            [one] => Some(Self::One(one)),
            [one, two] => Some(Self::Two(one, two)),
            [one, NEAR_SIGN, two] => Some(Self::Near(one, two)),
            [one, two, three] => Some(Self::Three(one, two, three)),
            _ => None,
        }
    }
}

impl<T: Display> Display for Term<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(one) => write!(formatter, "{one}"),
            Self::Two(one, two) => write!(formatter, "{one} {two}"),
            Self::Three(one, two, three) => write!(formatter, "{one} {two} {three}"),
            Self::Near(one, two) => write!(formatter, "{one} {NEAR_SIGN} {two}"),
        }
    }
}

/// True for a word that does not count between words that stand near each other.
pub(crate) fn is_little(word: &str) -> bool {
    LITTLE.contains(&word)
}

/// Calls `found` with each term of words in their order, as often as it is there.
///
/// Each word has a mark that is true for a little one.
pub(crate) fn each_term<T: Copy>(words: &[(T, bool)], mut found: impl FnMut(Term<T>)) {
    for (at, &(one, is_little)) in words.iter().enumerate() {
        found(Term::One(one));
        if let Some(&(two, _)) = words.get(at + 1) {
            found(Term::Two(one, two));
            if let Some(&(three, _)) = words.get(at + 2) {
                found(Term::Three(one, two, three));
            }
        }
        if !is_little {
            let later = words[at + 1..].iter().filter(|(_, is_little)| !is_little);
            for &(two, _) in later.take(NEAR) {
                found(Term::Near(one, two));
            }
        }
    }
}

/// The terms of a window in lower case, each once.
#[must_use]
pub fn terms(window: &str) -> Vec<String> {
    let tokens = tokens(window);
    let words: Vec<_> = tokens.iter().map(|word| (&**word, is_little(word))).collect();
    let mut found = Vec::new();
    each_term(&words, |term| found.push(term));
    found.sort_unstable();
    found.dedup();
    found.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_and_words_together() {
        assert_eq!(
            terms("send it to the team, send"),
            [
                "it",
                "send",
                "team",
                "the",
                "to",
                "it to",
                "send it",
                "team send",
                "the team",
                "to the",
                "it to the",
                "send it to",
                "the team send",
                "to the team",
                "send ~ send",
                "send ~ team",
                "team ~ send",
            ]
        );
        // Three words that count stand between the first and the last.
        assert!(!terms("one two three four five").contains(&"one ~ five".to_owned()));
        assert!(terms("one two three four").contains(&"one ~ four".to_owned()));
        assert!(terms("").is_empty());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "[a-z~_:<>/. ]{0,60}") {
            for term in terms(&text) {
                prop_assert_eq!(Term::read(&term).map(|read| read.to_string()), Some(term));
            }
        }
    }
}
