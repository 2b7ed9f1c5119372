//! Display of a caller's text in messages.

use std::fmt::{self, Write as _};

use callgate_core::grant::without_tokens;

/// The characters of a caller's text that a message shows; the rest is left out.
const SHOWN_CHARACTERS: usize = 64;

/// Displays a text in backticks: shortened, without tokens, control characters escaped so that a log line stays one
/// line.
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = without_tokens(self.0);
        let mut characters = text.chars();
        f.write_char('`')?;
        for character in characters.by_ref().take(SHOWN_CHARACTERS) {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        if characters.next().is_some() {
            f.write_char('…')?;
        }
        f.write_char('`')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_short_and_on_one_line() {
        assert_eq!(Quoted("tools/call").to_string(), "`tools/call`");
        assert_eq!(Quoted("a\nb\u{7f}").to_string(), "`a\\nb\\u{7f}`");
        assert_eq!(
            Quoted(&"é".repeat(65)).to_string(),
            format!("`{}…`", "é".repeat(64))
        );
        let token = format!("cgt_{}", "A".repeat(43));
        assert_eq!(Quoted(&token).to_string(), "`cgt_AAAA...`");
    }
}
