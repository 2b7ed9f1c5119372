//! Windows of a text: three sentences each, so that what belongs together is seen together.

use std::ops::Range;

/// Words of the longest piece: a list without full stops is cut, so that much honest text outweighs nothing.
const MOST_WORDS: usize = 40;

/// Pieces of one window.
const PIECES: usize = 3;

/// Cuts a text of one line into windows, as ranges of its bytes. Most pieces are in three of them.
pub fn windows(text: &str) -> impl Iterator<Item = Range<usize>> {
    let pieces = pieces(text);
    let count = if pieces.is_empty() {
        0
    } else {
        pieces.len().saturating_sub(PIECES - 1).max(1)
    };
    (0..count).map(move |at| {
        let last = (at + PIECES - 1).min(pieces.len() - 1);
        pieces[at].start..pieces[last].end
    })
}

/// Sentences, and long ones in pieces.
fn pieces(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut piece: Option<Range<usize>> = None;
    let mut words = 0;
    for word in words_of(text) {
        let ends = ends_sentence(&text[word.clone()]);
        piece = Some(piece.map_or(word.clone(), |piece| piece.start..word.end));
        words += 1;
        if ends || words == MOST_WORDS {
            found.extend(piece.take());
            words = 0;
        }
    }
    found.extend(piece);
    found
}

/// The parts between spaces.
fn words_of(text: &str) -> impl Iterator<Item = Range<usize>> {
    let start = text.as_ptr() as usize;
    text.split_ascii_whitespace().map(move |word| {
        let at = word.as_ptr() as usize - start;
        at..at + word.len()
    })
}

/// True for a word with the sign of a sentence's end, perhaps in quotes or brackets.
fn ends_sentence(word: &str) -> bool {
    word.trim_end_matches(['"', '\'', ')', ']', '`', '*'])
        .ends_with(['.', '!', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        windows(text).map(|range| &text[range]).collect()
    }

    #[test]
    fn three_sentences_each() {
        assert_eq!(
            cut("One. Two! (Three?) Four"),
            ["One. Two! (Three?)", "Two! (Three?) Four"]
        );
        assert_eq!(cut("Only one, at example.com"), ["Only one, at example.com"]);
        assert!(cut(" ").is_empty());
    }

    #[test]
    fn long_sentences_are_cut() {
        let long = vec!["word"; 4 * MOST_WORDS].join(" ");
        let found = cut(&long);
        assert_eq!(found.len(), 2);
        assert!(
            found
                .iter()
                .all(|window| window.split(' ').count() == 3 * MOST_WORDS)
        );
    }
}
