//! Weights of terms, added up.

use std::collections::HashMap;
use std::ops::Range;

use crate::tokens::tokens;
use crate::windows::windows;

/// The most that harmless words take off the score of a window: an attacker can add as many of them as he likes.
const MOST_TAKEN: f32 = 3.0;

/// Windows of fewer words count as having this many.
const FEWEST_WORDS: f32 = 8.0;

/// The window with the highest score of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The bias and the sum of the weights, divided by the root of the number of words: what is long has more terms.
    pub value: f32,
    /// The bytes of the window in the text.
    pub window: Range<usize>,
}

/// Weights of words and of pairs of words.
#[derive(Debug, Default)]
pub struct Scorer {
    bias: f32,
    numbers: HashMap<String, usize>,
    words: Vec<f32>,
    pairs: HashMap<(usize, usize), f32>,
}

impl Scorer {
    /// Takes the weights of terms as [`terms`] writes them, and the score of a window without any of them.
    pub fn new(bias: f32, weights: impl IntoIterator<Item = (String, f32)>) -> Self {
        let mut made = Self {
            bias,
            ..Self::default()
        };
        for (term, weight) in weights {
            if let Some((first, second)) = term.split_once(' ') {
                let pair = (made.number(first), made.number(second));
                made.pairs.insert(pair, weight);
            } else {
                let number = made.number(&term);
                made.words[number] = weight;
            }
        }
        made
    }

    fn number(&mut self, word: &str) -> usize {
        if let Some(&number) = self.numbers.get(word) {
            return number;
        }
        self.words.push(0.0);
        self.numbers.insert(word.to_owned(), self.words.len() - 1);
        self.words.len() - 1
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
        let numbers: Vec<_> = tokens
            .iter()
            .map(|token| self.numbers.get(token).copied())
            .collect();
        let pairs = numbers.windows(2).filter_map(|pair| pair[0].zip(pair[1]));
        let of_pairs = distinct(pairs.collect());
        let of_words = distinct(numbers.iter().flatten().copied().collect());
        let weights = of_words.iter().map(|&number| self.words[number]);
        let weights = weights.chain(of_pairs.iter().filter_map(|pair| self.pairs.get(pair).copied()));
        let (mut given, mut taken) = (0.0, 0.0);
        for weight in weights {
            if weight > 0.0 {
                given += weight;
            } else {
                taken -= weight;
            }
        }
        let root = f32::max(words(distinct(tokens).len()), FEWEST_WORDS).sqrt();
        self.bias + given / root - f32::min(taken / root, MOST_TAKEN)
    }
}

fn distinct<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort_unstable();
    items.dedup();
    items
}

/// A number of words; a window has few.
fn words(count: usize) -> f32 {
    u16::try_from(count).map_or(f32::from(u16::MAX), f32::from)
}

/// The terms of a window, each once: words, and pairs of words that follow each other with a space between them.
#[must_use]
pub fn terms(window: &str) -> Vec<String> {
    let words = tokens(window);
    let pairs: Vec<_> = words
        .windows(2)
        .map(|pair| format!("{} {}", pair[0], pair[1]))
        .collect();
    distinct(words.into_iter().chain(pairs).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scorer(weights: &[(&str, f32)]) -> Scorer {
        Scorer::new(
            -1.0,
            weights.iter().map(|&(term, weight)| (term.to_owned(), weight)),
        )
    }

    #[test]
    fn the_highest_window_counts_and_each_term_once() {
        let scorer = scorer(&[("send", 1.0), ("send copy", 2.0), ("list", -0.5)]);
        let text = "lists things. a thing. send copy, send copy. more.";
        let found = scorer.highest(text).expect("words");
        assert_eq!(&text[found.window], "a thing. send copy, send copy.");
        assert!((found.value - (-1.0 + 3.0 / FEWEST_WORDS.sqrt())).abs() < 1e-6);
        assert_eq!(scorer.highest("  "), None);
        assert_eq!(
            terms("send send copy"),
            ["copy", "send", "send copy", "send send"]
        );
    }

    #[test]
    fn harmless_words_take_off_little() {
        let words: Vec<String> = (0..30).map(|number| format!("w{number}x")).collect();
        let weights = words
            .iter()
            .map(|word| (word.clone(), -1.0))
            .chain([("steal".to_owned(), 9.0)]);
        let scorer = Scorer::new(0.0, weights);
        let score = |text: &str| scorer.highest(text).expect("words").value;
        let found = score(&format!("{} steal", words.join(" ")));
        assert!((found - (9.0 / 31_f32.sqrt() - MOST_TAKEN)).abs() < 1e-5);
    }
}
