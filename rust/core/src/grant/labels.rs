//! The digest of a grant's labels, by which a record names labels that it does not hold.

use sha2::{Digest, Sha256};
use smallvec::SmallVec;

/// Begins what is hashed, so that no other digest of the same bytes is this one.
const PURPOSE: &[u8] = b"callgate-labels-1";

/// The first 64 bits of the SHA-256 of a grant's id and its labels, whatever their order; `None` without labels.
///
/// It tells labels of one grant from others of that grant. It hides nothing: whoever guesses the labels can compute it.
pub fn labels_digest<'l>(grant: &str, labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> Option<u64> {
    let mut labels: SmallVec<[(&str, &str); 8]> = labels.into_iter().collect();
    if labels.is_empty() {
        return None;
    }
    labels.sort_unstable();
    let mut hash = Sha256::new_with_prefix(PURPOSE);
    // Each part after its length, so that no two lists of parts are equal.
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    part(grant);
    for (name, value) in labels {
        part(name);
        part(value);
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().map(|first| u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_labels_does_not_matter_and_all_else_does() {
        let digest = labels_digest("g", [("a", "1"), ("b", "2")]);
        assert_eq!(digest, labels_digest("g", [("b", "2"), ("a", "1")]));
        for other in [
            labels_digest("h", [("a", "1"), ("b", "2")]),
            labels_digest("g", [("a", "1")]),
            labels_digest("g", [("a", "1"), ("b", "3")]),
            labels_digest("g", [("a", "1b"), ("", "2")]),
            labels_digest("g", [("a1", ""), ("b", "2")]),
        ] {
            assert!(other.is_some() && other != digest);
        }
        assert_eq!(labels_digest("g", []), None);
    }
}
