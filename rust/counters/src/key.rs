//! Identities of counts.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};

/// The identity of one count: a keyed hash of policy, counter, window, alignment, scopes and their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CountKey(pub u128);

/// The part of a count's identity that is known at load: SHA-256 of policy name, counter, window, alignment and set
/// of scopes, cut to 16 bytes.
pub type SpecDigest = [u8; 16];

impl CountKey {
    /// The key of a shared count with the number of its latest reset; of a key that has this number, the key without it. 0, for
    /// none, changes nothing.
    ///
    /// Nodes hear of a reset while calls wait: so the number of a key can be changed by those who know no other part of it.
    #[must_use]
    pub fn with_reset(self, hash_key: &[u8; 16], number: u64) -> Self {
        if number == 0 {
            return self;
        }
        // No specification is zero, so no key is one of these.
        let mut hasher = KeyHasher::new(hash_key, &SpecDigest::default());
        hasher.reset(number);
        Self(self.0 ^ hasher.finish().0)
    }
}

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
    Reset = 4,
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

    /// Adds an argument that is a string.
    pub fn text(&mut self, value: &str) {
        self.frame(Frame::Text, value.as_bytes());
    }

    /// Adds an argument of another type, in the canonical form that equal values share.
    pub fn canonical(&mut self, value: &str) {
        self.frame(Frame::Canonical, value.as_bytes());
    }

    /// Adds the number of the latest reset of this count; 0, for none, changes nothing.
    pub fn reset(&mut self, number: u64) {
        if number != 0 {
            self.frame(Frame::Reset, &number.to_le_bytes());
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

    fn key(build: impl FnOnce(&mut KeyHasher)) -> CountKey {
        let mut hasher = KeyHasher::new(&[7; 16], &[1; 16]);
        build(&mut hasher);
        hasher.finish()
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
        assert_ne!(key(|hasher| hasher.str("x")), key(|hasher| hasher.text("x")));
        assert_ne!(
            key(|hasher| hasher.text("1")),
            key(|hasher| hasher.canonical("1"))
        );
    }

    #[test]
    fn identities_never_change() {
        // Files hold them.
        let short = key(|hasher| hasher.str("grant-1"));
        let long = key(|hasher| {
            hasher.str(&"g".repeat(200));
            hasher.none();
            hasher.reset(3);
            hasher.text("eu");
        });
        let hex = |key: CountKey| format!("{:032x}", key.0);
        assert_eq!(hex(short), "07d53dc336e0972505971499ccc1b76c");
        assert_eq!(hex(long), "248037e49d6196c244463a51bd578421");
    }

    #[test]
    fn the_number_of_a_reset_is_put_in_and_taken_out() {
        let plain = CountKey(0x1234);
        let reset = plain.with_reset(&[7; 16], 5);
        assert_ne!(reset, plain);
        assert_ne!(reset, plain.with_reset(&[7; 16], 6));
        assert_ne!(reset, plain.with_reset(&[8; 16], 5));
        assert_eq!(reset.with_reset(&[7; 16], 5), plain);
        assert_eq!(plain.with_reset(&[7; 16], 0), plain);
        // All nodes have to have the same, whatever their versions are.
        let mask = format!("{:032x}", CountKey(0).with_reset(&[7; 16], 5).0);
        assert_eq!(mask, "b86569a9fe33773607037cf6ee5a271b");
    }

    #[test]
    fn the_key_of_the_store_and_the_spec_count() {
        let with = |hash_key: [u8; 16], spec: SpecDigest| KeyHasher::new(&hash_key, &spec).finish();
        assert_ne!(with([1; 16], [1; 16]), with([2; 16], [1; 16]));
        assert_ne!(with([1; 16], [1; 16]), with([1; 16], [2; 16]));
    }
}
