//! Identities of counts.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::json::Value;

/// The identity of one count: a keyed hash of policy, counter, window, alignment, scopes and their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CountKey(pub u128);

/// The part of a count's identity that is known at load: SHA-256 of policy name, counter, window, alignment and set
/// of scopes, cut to 16 bytes.
pub type SpecDigest = [u8; 16];

/// Hashes one identity; every value is framed, so that no two lists of values give the same input.
///
/// Callers choose session ids and argument values, so the hash is keyed (SipHash, 128 bits): nobody without the key
/// can make two counts collide.
#[derive(Debug)]
pub struct KeyHasher {
    state: SipHasher13,
}

/// The kind of the value that follows, so that a session `x` and an argument `"x"` differ.
#[derive(Clone, Copy)]
enum Frame {
    None = 0,
    Name = 1,
    Text = 2,
    Canonical = 3,
}

impl KeyHasher {
    /// Starts the identity of one count.
    pub fn new(hash_key: &[u8; 16], spec: &SpecDigest) -> Self {
        let mut state = SipHasher13::new_with_key(hash_key);
        state.write(spec);
        Self { state }
    }

    /// Adds a string (a grant, session, tool or server).
    pub fn str(&mut self, value: &str) {
        self.frame(Frame::Name, value.as_bytes());
    }

    /// Adds "none": the grant's sessionless calls.
    pub fn none(&mut self) {
        self.frame(Frame::None, &[]);
    }

    /// Adds an argument's value; values that are `eq` give the same identity.
    pub fn value(&mut self, value: Value<'_>) {
        // Strings are the usual case and equal exactly when their bytes are; everything else goes through the
        // canonical form, in which equal numbers and equal objects are the same text.
        if let Some(text) = value.as_str() {
            self.frame(Frame::Text, text.as_bytes());
        } else {
            let mut canonical = String::new();
            value.write_canonical(&mut canonical);
            self.frame(Frame::Canonical, canonical.as_bytes());
        }
    }

    /// The identity.
    pub fn finish(self) -> CountKey {
        CountKey(self.state.finish128().as_u128())
    }

    fn frame(&mut self, frame: Frame, bytes: &[u8]) {
        // One write for the frame: the kind in the top byte, the length below. Lengths are far below 2^56.
        self.state.write_u64((frame as u64) << 56 | bytes.len() as u64);
        self.state.write(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    fn key(build: impl FnOnce(&mut KeyHasher)) -> CountKey {
        let mut hasher = KeyHasher::new(&[7; 16], &[1; 16]);
        build(&mut hasher);
        hasher.finish()
    }

    fn of_json(text: &str) -> CountKey {
        let mut tape = Tape::new();
        let value = tape.parse(text.as_bytes(), 64).unwrap();
        key(|hasher| hasher.value(value))
    }

    #[test]
    fn values_that_are_eq_share_an_identity() {
        assert_eq!(of_json("100"), of_json("1e2"));
        assert_eq!(of_json("-0"), of_json("0.0"));
        assert_eq!(of_json(r#"{"a":1,"b":[2]}"#), of_json(r#"{"b":[2.0],"a":1}"#));
        assert_eq!(of_json(r#""A""#), of_json(r#""\u0041""#));
    }

    #[test]
    fn values_that_differ_do_not() {
        assert_ne!(of_json("100"), of_json(r#""100""#));
        assert_ne!(of_json("null"), of_json(r#""null""#));
        assert_ne!(of_json("[1,2]"), of_json("[2,1]"));
        assert_ne!(of_json("9007199254740993"), of_json("9007199254740992"));
    }

    #[test]
    fn framing_keeps_lists_of_values_apart() {
        let ab_c = key(|hasher| {
            hasher.str("ab");
            hasher.str("c");
        });
        let a_bc = key(|hasher| {
            hasher.str("a");
            hasher.str("bc");
        });
        assert_ne!(ab_c, a_bc);
        assert_ne!(key(KeyHasher::none), key(|hasher| hasher.str("")));
        assert_ne!(key(|hasher| hasher.str("x")), of_json(r#""x""#));
    }

    #[test]
    fn the_key_of_the_store_and_the_spec_count() {
        let with = |hash_key: [u8; 16], spec: SpecDigest| KeyHasher::new(&hash_key, &spec).finish();
        assert_ne!(with([1; 16], [1; 16]), with([2; 16], [1; 16]));
        assert_ne!(with([1; 16], [1; 16]), with([1; 16], [2; 16]));
    }
}
