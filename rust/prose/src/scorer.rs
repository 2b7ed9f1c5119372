//! Weights of terms, added up.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::FixedState;

use crate::terms::{Term, each_term, is_little};
use crate::tokens::tokens;
use crate::windows::windows;

/// The most that harmless words take off the score of a window: an attacker can add as many of them as he likes.
const MOST_TAKEN: f32 = 3.0;

/// Windows of fewer words count as having this many.
const FEWEST_WORDS: f32 = 24.0;

/// The window with the highest score of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The bias and the sum of the weights, divided by the root of the number of words: what is long has more terms.
    pub value: f32,
    /// The bytes of the window in the text.
    pub window: Range<usize>,
}

/// Weights of terms.
#[derive(Debug, Default)]
pub struct Scorer {
    bias: f32,
    /// The words of the terms, numbered.
    numbers: Map<String, u32>,
    weights: Map<Term<u32>, f32>,
}

/// A map whose keys are those of a table of ours, so that a fixed hasher is safe.
type Map<K, V> = HashMap<K, V, FixedState>;

impl Scorer {
    /// Takes the weights of terms as [`terms`](crate::terms()) writes them, and the score of a window without any of them.
    ///
    /// # Errors
    ///
    /// The first text that is not a term.
    pub fn new(bias: f32, weights: impl IntoIterator<Item = (String, f32)>) -> Result<Self, String> {
        let mut made = Self {
            bias,
            ..Self::default()
        };
        for (written, weight) in weights {
            let term = Term::read(&written).and_then(|term| term.map(|word| made.number(word)));
            made.weights.insert(term.ok_or_else(|| written.clone())?, weight);
        }
        Ok(made)
    }

    fn number(&mut self, word: &str) -> Option<u32> {
        let next = u32::try_from(self.numbers.len()).ok()?;
        Some(*self.numbers.entry(word.to_owned()).or_insert(next))
    }

    /// The highest score of the windows of a text in lower case, and the first such window; none if it has no words.
    #[must_use]
    pub fn highest(&self, text: &str) -> Option<Score> {
        windows(text)
            .map(|window| Score {
                value: self.score(&text[window.clone()]),
                window,
            })
            .reduce(|best, other| if other.value > best.value { other } else { best })
    }

    /// The score of one window. A term counts once.
    fn score(&self, window: &str) -> f32 {
        let tokens = tokens(window);
        let words: Vec<_> = tokens
            .iter()
            .map(|token| (self.numbers.get(&**token).copied(), is_little(token)))
            .collect();
        let mut found = Vec::new();
        each_term(&words, |term| {
            let term = term.map(|number| number);
            found.extend(term.and_then(|term| Some((term, *self.weights.get(&term)?))));
        });
        found.sort_unstable_by_key(|&(term, _)| term);
        found.dedup_by_key(|&mut (term, _)| term);
        let (mut given, mut taken) = (0.0, 0.0);
        for (_, weight) in found {
            if weight > 0.0 {
                given += weight;
            } else {
                taken -= weight;
            }
        }
        let root = f32::max(count(distinct(tokens).len()), FEWEST_WORDS).sqrt();
        self.bias + given / root - f32::min(taken / root, MOST_TAKEN)
    }
}

fn distinct<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}

/// A number of words; a window has few.
fn count(count: usize) -> f32 {
    u16::try_from(count).map_or(f32::from(u16::MAX), f32::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scorer(weights: &[(&str, f32)]) -> Scorer {
        Scorer::new(
            -1.0,
            weights.iter().map(|&(term, weight)| (term.to_owned(), weight)),
        )
        .expect("terms")
    }

    #[test]
    fn the_highest_window_counts_and_each_term_once() {
        let scorer = scorer(&[("send", 1.0), ("send copy", 2.0), ("list", -0.5)]);
        let text = "lists. things. a thing. send copy, send copy. more.";
        let found = scorer.highest(text).expect("words");
        assert_eq!(&text[found.window], "things. a thing. send copy, send copy.");
        assert!((found.value - (-1.0 + 3.0 / FEWEST_WORDS.sqrt())).abs() < 1e-6);
        assert_eq!(scorer.highest("  "), None);
    }

    #[test]
    fn harmless_words_take_off_little() {
        let words: Vec<String> = (0..30).map(|number| format!("w{number}x")).collect();
        let weights = words
            .iter()
            .map(|word| (word.clone(), -1.0))
            .chain([("steal".to_owned(), 9.0)]);
        let scorer = Scorer::new(0.0, weights).expect("terms");
        let score = |text: &str| scorer.highest(text).expect("words").value;
        let found = score(&format!("{} steal", words.join(" ")));
        assert!((found - (9.0 / 31_f32.sqrt() - MOST_TAKEN)).abs() < 1e-5);
    }

    #[test]
    fn what_is_not_a_term_is_refused() {
        let refused = Scorer::new(0.0, [("send".to_owned(), 1.0), ("a b c d".to_owned(), 1.0)]);
        assert_eq!(refused.err().as_deref(), Some("a b c d"));
    }
}
