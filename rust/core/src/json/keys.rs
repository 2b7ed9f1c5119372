//! Detection of duplicate keys in an object.

use std::ops::Range;

const WORD: usize = size_of::<u64>();

/// Objects with at most this many keys are checked by pairwise comparison of fingerprints, larger ones by sorting.
const SMALL_OBJECT: usize = 32;

/// The keys of an object that is still open. Their marks are the last ones of all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keys {
    /// One bit for each key, chosen by its fingerprint: in most objects no two keys share one, so no key is ever compared
    /// with another. Every bit once two keys can be equal.
    seen: u64,
    /// The index of the first mark.
    first: u32,
}

const MAY_REPEAT: u64 = u64::MAX;

impl Keys {
    /// No keys yet, after this number of marks of the objects around.
    #[inline]
    pub(super) const fn after(first: u32) -> Self {
        Self { seen: 0, first }
    }

    /// Adds a key.
    #[inline]
    pub(super) fn add(&mut self, mark: KeyMark, marks: &mut Vec<KeyMark>) {
        // An odd factor near 2^64 / golden ratio spreads similar words over the high bits.
        let bit = 1 << (mark.fingerprint.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58);
        if self.seen & bit != 0 && self.has(&mark, marks) {
            self.seen = MAY_REPEAT;
        }
        self.seen |= bit;
        marks.push(mark);
    }

    /// Returns whether an earlier key can be equal to this one. In a large object every key can: it is sorted once, instead of
    /// searched for each key.
    #[cold]
    fn has(self, mark: &KeyMark, marks: &[KeyMark]) -> bool {
        let own = marks.get(self.first as usize..).unwrap_or_default();
        own.len() > SMALL_OBJECT || own.iter().any(|other| other.fingerprint == mark.fingerprint)
    }

    /// Removes all keys. Returns the node of the first one, in document order, that duplicates an earlier one; `key` returns
    /// the unescaped text of a key's node.
    #[inline]
    pub(super) fn remove<'a>(self, marks: &mut Vec<KeyMark>, key: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        let own = marks.get_mut(self.first as usize..);
        let repeated = own
            .filter(|_| self.seen == MAY_REPEAT)
            .and_then(|own| first_repeated(own, key));
        marks.truncate(self.first as usize);
        repeated
    }
}

/// A key of an object that is still open.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyMark {
    /// Equal for equal keys; differs for most different keys, so that their text need not be compared.
    fingerprint: u64,
    /// The index of its node on the tape.
    node: u32,
}

impl KeyMark {
    /// The mark of the key that stands at `text` in `bytes`, and whose node is `node`.
    #[inline]
    pub(super) fn new(bytes: &[u8], text: Range<usize>, node: u32) -> Self {
        Self {
            fingerprint: fingerprint(bytes, text),
            node,
        }
    }
}

/// The first and the last eight bytes of a key and its length; a shorter key as a word, the first byte lowest.
///
/// A secret is not needed. Keys that collide on purpose cause full comparisons, but few of them (pairwise), or
/// comparisons whose total length is bounded by the document's length times the depth of a sort.
#[inline]
fn fingerprint(bytes: &[u8], text: Range<usize>) -> u64 {
    let length = text.end.wrapping_sub(text.start);
    if length < WORD
        && let Some(chunk) = bytes.get(text.start..).and_then(<[u8]>::first_chunk)
    {
        // What follows the key is cut off.
        return u64::from_le_bytes(*chunk) & ((1 << (8 * length)) - 1);
    }
    let key = bytes.get(text).unwrap_or_default();
    let (Some(first), Some(last)) = (key.first_chunk(), key.last_chunk()) else {
        return key
            .iter()
            .rev()
            .fold(0, |word, &byte| word << 8 | u64::from(byte));
    };
    let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    first ^ last.rotate_left(29) ^ length as u64
}

/// The node of the first key, in document order, that duplicates an earlier one of the same object.
///
/// `key` returns the unescaped text of a key's node. The order of `marks` is not preserved.
#[cold]
fn first_repeated<'a>(marks: &mut [KeyMark], key: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
    if marks.len() <= SMALL_OBJECT {
        repeated_pairwise(marks, key)
    } else {
        repeated_sorted(marks, key)
    }
}

fn repeated_pairwise<'a>(marks: &[KeyMark], key: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
    let repeated = marks.iter().enumerate().find(|(index, mark)| {
        let same = |earlier: &KeyMark| {
            earlier.fingerprint == mark.fingerprint && key(earlier.node) == key(mark.node)
        };
        marks.iter().take(*index).any(same)
    });
    repeated.map(|(_, mark)| mark.node)
}

fn repeated_sorted<'a>(marks: &mut [KeyMark], key: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
    marks.sort_unstable_by(|a, b| {
        a.fingerprint
            .cmp(&b.fingerprint)
            .then_with(|| key(a.node).cmp(key(b.node)))
            .then_with(|| a.node.cmp(&b.node))
    });
    marks
        .windows(2)
        .filter_map(|pair| match pair {
            [a, b] if a.fingerprint == b.fingerprint && key(a.node) == key(b.node) => Some(b.node),
            _ => None,
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &[&str]) -> Option<u32> {
        let mut marks = Vec::new();
        let mut own = Keys::after(0);
        for (node, key) in (0..).zip(keys) {
            own.add(KeyMark::new(key.as_bytes(), 0..key.len(), node), &mut marks);
        }
        own.remove(&mut marks, |node| keys[node as usize].as_bytes())
    }

    #[test]
    fn names_the_first_repetition() {
        assert_eq!(check(&[]), None);
        assert_eq!(check(&["a", "b", "", "ab", "ba"]), None);
        assert_eq!(check(&["a", "b", "b", "a"]), Some(2));
        assert_eq!(check(&["", "x", ""]), Some(2));
        assert_eq!(check(&["instance_id_of_a_vm", "instance_if_of_a_vm"]), None);
    }

    #[test]
    fn large_and_small_objects_agree() {
        for count in [2, SMALL_OBJECT - 1, SMALL_OBJECT, SMALL_OBJECT + 1, 500] {
            // One fingerprint for all: eight equal bytes at both ends, and equal lengths.
            let texts: Vec<String> = (0..count).map(|n| format!("prefix__{n:05}__suffix")).collect();
            let mut keys: Vec<&str> = texts.iter().map(String::as_str).collect();
            assert_eq!(check(&keys), None);
            let last = *keys.last().expect("there are keys");
            keys.extend([last, keys[0], last]);
            assert_eq!(check(&keys), u32::try_from(count).ok(), "{count}");
        }
    }
}
