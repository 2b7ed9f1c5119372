//! Detection of duplicate keys in an object.

/// Objects with at most this many keys are checked by pairwise comparison of fingerprints, larger ones by sorting.
const SMALL_OBJECT: usize = 32;

/// A key of an object that is still open.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyMark {
    /// Equal for equal keys; differs for most different keys, so that their text need not be compared.
    fingerprint: u64,
    /// The index of its node on the tape.
    pub(super) node: u32,
}

impl KeyMark {
    /// The mark of `key`, whose node is `node`.
    #[inline]
    pub(super) fn new(key: &[u8], node: u32) -> Self {
        Self {
            fingerprint: fingerprint(key),
            node,
        }
    }
}

/// Length, first and last bytes of a key, mixed.
///
/// A secret is not needed. Keys that collide on purpose cause full comparisons, but few of them (pairwise), or
/// comparisons whose total length is bounded by the document's length times the depth of a sort.
#[inline]
fn fingerprint(key: &[u8]) -> u64 {
    let (first, last) = if let (Some(first), Some(last)) = (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (key.first_chunk::<4>(), key.last_chunk::<4>()) {
        (
            u32::from_le_bytes(*first).into(),
            u32::from_le_bytes(*last).into(),
        )
    } else {
        (key.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)), 0)
    };
    // An odd factor near 2^64 / golden ratio spreads similar words over the high bits.
    (first ^ last.rotate_left(29) ^ key.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The node of the first key, in document order, that duplicates an earlier one of the same object.
///
/// `key` returns the unescaped text of a key's node. The order of `marks` is not preserved.
#[inline]
pub(super) fn first_repeated<'a>(marks: &mut [KeyMark], key: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
    if marks.len() <= SMALL_OBJECT {
        repeated_pairwise(marks, key)
    } else {
        repeated_sorted(marks, key)
    }
}

#[inline]
fn repeated_pairwise<'a>(marks: &[KeyMark], key: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
    // One bit per fingerprint so far: in most objects no two keys share one, so no comparison is needed.
    let mut seen = 0_u64;
    for (index, mark) in marks.iter().enumerate() {
        let bit = 1 << (mark.fingerprint >> 58);
        if seen & bit != 0 {
            let same = |earlier: &KeyMark| {
                earlier.fingerprint == mark.fingerprint && key(earlier.node) == key(mark.node)
            };
            if marks[..index].iter().any(same) {
                return Some(mark.node);
            }
        }
        seen |= bit;
    }
    None
}

#[cold]
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
        let mut marks: Vec<_> = (0..)
            .zip(keys)
            .map(|(node, key)| KeyMark::new(key.as_bytes(), node))
            .collect();
        first_repeated(&mut marks, |node| keys[node as usize].as_bytes())
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
