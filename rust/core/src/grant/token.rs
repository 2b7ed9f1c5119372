//! Tokens and their digests.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use memchr::memmem;

use crate::hex::Hex;

/// The prefix of tokens, by which a leaked one is recognised.
pub const TOKEN_PREFIX: &str = "cgt_";

/// The characters after the prefix that messages show of a token: enough to identify it, while 39 remain secret.
const SHOWN_CHARACTERS: usize = 4;

/// `text` with everything that looks like a token reduced to its first characters, for logs and messages: sooner or
/// later a token is written in place of a name.
pub fn without_tokens(text: &str) -> Cow<'_, str> {
    let mut rest = text;
    let mut out = String::new();
    while let Some((before, token)) = split_at_token(rest) {
        let is_outside = |character: char| !(character.is_ascii_alphanumeric() || "-_".contains(character));
        let (token, after) = token.split_at(token.find(is_outside).unwrap_or(token.len()));
        out.push_str(before);
        out.push_str(TOKEN_PREFIX);
        match token.split_at_checked(SHOWN_CHARACTERS) {
            Some((beginning, hidden)) if !hidden.is_empty() => {
                out.push_str(beginning);
                out.push_str("...");
            }
            _ => out.push_str(token),
        }
        rest = after;
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Searches faster than the standard library's byte-by-byte search, because it runs on every line of the decision log.
fn split_at_token(text: &str) -> Option<(&str, &str)> {
    let at = memmem::find(text.as_bytes(), TOKEN_PREFIX.as_bytes())?;
    let (before, token) = text.split_at(at);
    Some((before, token.get(TOKEN_PREFIX.len()..)?))
}

/// A caller's secret credential. Compared only by its digest; never shown.
#[derive(Clone, Copy)]
pub struct Token<'a>(&'a str);

impl<'a> Token<'a> {
    /// A token as received.
    pub const fn new(token: &'a str) -> Self {
        Self(token)
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The key of a sidecar's token digests, without which a stolen configuration file cannot confirm a guessed token.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

impl TokenKey {
    /// A key of 32 random bytes.
    pub const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// A key derived from this one for another purpose: a text that no other derivation uses.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, &self.0)
    }

    /// The digest of a token.
    pub fn digest(&self, token: Token<'_>) -> TokenDigest {
        TokenDigest(*blake3::keyed_hash(&self.0, token.0.as_bytes()).as_bytes())
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

/// Keyed BLAKE3 of a token.
///
/// The duration of a look-up reveals nothing about a token: without the key, a caller cannot choose the compared bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut digest = [0; 32];
        let digits = text.as_bytes();
        if digits.len() != 2 * digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let value = char::from(*digit).to_digit(16)?;
                *byte = *byte << 4 | u8::try_from(value).ok()?;
            }
        }
        Some(Self(digest))
    }

    /// 64 lower-case hexadecimal digits.
    pub fn to_hex(self) -> String {
        Hex(&self.0).to_string()
    }
}

impl Hash for TokenDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Any eight of its bytes are as random as those of a hash.
        let first = self.0.first_chunk().copied().unwrap_or_default();
        state.write_u64(u64::from_le_bytes(first));
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

/// A hasher that takes a digest's bits as its hash.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write_u64(&mut self, bits: u64) {
        self.0 = bits;
    }

    // Only digests are hashed, by the method above; other input is mixed correctly but slowly.
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_depend_on_key_token_and_case() {
        let key = TokenKey::new([1; 32]);
        let digest = key.digest(Token::new("cgt_abc"));
        assert_eq!(digest, TokenKey::new([1; 32]).digest(Token::new("cgt_abc")));
        assert_ne!(digest, key.digest(Token::new("CGT_abc")));
        assert_ne!(digest, key.digest(Token::new("cgt_abc ")));
        assert_ne!(digest, TokenKey::new([2; 32]).digest(Token::new("cgt_abc")));
    }

    /// The published test vectors of BLAKE3: key `whats the Elvish word for friend`, input of length 1, byte 0.
    #[test]
    fn the_digest_is_keyed_blake3() {
        let key = TokenKey::new(*b"whats the Elvish word for friend");
        assert_eq!(
            key.digest(Token::new("\0")).to_hex(),
            "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b"
        );
    }

    #[test]
    fn hexadecimal_digits_there_and_back() {
        let text = format!("{}{}", "0f".repeat(16), "A0".repeat(16));
        assert_eq!(
            TokenDigest::from_hex(&text).unwrap().to_hex(),
            text.to_lowercase()
        );
        for wrong in [
            "",
            &text[1..],
            &format!("{text}0"),
            &"g".repeat(64),
            &"é".repeat(32),
        ] {
            assert_eq!(TokenDigest::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nothing_of_a_secret_is_shown() {
        let key = TokenKey::new([7; 32]);
        let token = Token::new("cgt_secret");
        let shown = format!("{key:?} {token:?} {:?}", key.digest(token));
        assert_eq!(shown, "TokenKey(..) Token(..) TokenDigest(..)");
    }

    #[test]
    fn tokens_are_cut_wherever_they_stand() {
        let body = "AZaz09-_".repeat(5) + "xyz";
        let cases = [
            (format!("cgt_{body}"), "cgt_AZaz..."),
            (format!("Bearer cgt_{body} x"), "Bearer cgt_AZaz... x"),
            (
                format!("é\"cgt_{body}\",cgt_{body}"),
                "é\"cgt_AZaz...\",cgt_AZaz...",
            ),
            (format!("cgt_cgt_{body}"), "cgt_cgt_..."),
            (format!("cgt_{body}é"), "cgt_AZaz...é"),
        ];
        for (text, expected) in cases {
            assert_eq!(without_tokens(&text), expected);
            assert_eq!(without_tokens(expected), expected);
        }
        for text in ["", "ci", "cgt", "cgt_", "cgt_one", "CGT_something"] {
            assert_eq!(without_tokens(text), text);
        }
    }
}
