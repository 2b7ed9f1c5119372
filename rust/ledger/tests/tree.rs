//! The tree against the definition of RFC 6962, section 2.1, written down again without a shortcut.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use callgate_ledger::{Frontier, Hash, leaf_hash};
use proptest::prelude::*;
use ring::digest::{SHA256, digest};

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}

/// `MTH` of the RFC: the hash of a list of entries, split at the largest power of two below its length.
fn root(entries: &[Vec<u8>]) -> Vec<u8> {
    match entries {
        [] => sha256(b""),
        [entry] => sha256(&[&[0], entry.as_slice()].concat()),
        entries => {
            let split = 1 << (entries.len() - 1).ilog2();
            let (left, right) = entries.split_at(split);
            sha256(&[[1].as_slice(), &root(left), &root(right)].concat())
        }
    }
}

fn frontier(entries: &[Vec<u8>]) -> Frontier {
    let mut frontier = Frontier::default();
    for entry in entries {
        frontier.append(leaf_hash(entry));
    }
    frontier
}

/// The vectors of the RFC's authors (`merkletree/verify` of certificate-transparency): eight entries and their roots.
#[test]
fn known_roots() {
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b" !",
        b"01",
        b"@ABC",
        b"PQRSTUVW",
        b"`abcdefghijklmno",
    ];
    let entries = entries.map(<[u8]>::to_vec);
    let root = |size: usize| frontier(&entries[..size]).root().to_string();
    assert_eq!(root(0), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    assert_eq!(root(1), "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=");
    assert_eq!(root(8), "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=");
}

#[test]
fn every_size_has_the_root_of_the_definition() {
    let entries: Vec<Vec<u8>> = (0..130_u32).map(|number| number.to_le_bytes().to_vec()).collect();
    for size in 0..entries.len() {
        let grown = frontier(&entries[..size]);
        assert_eq!(
            STANDARD.decode(grown.root().to_string()).unwrap(),
            root(&entries[..size]),
            "{size}"
        );
        assert_eq!(grown.nodes().len(), size.count_ones() as usize);
    }
}

#[test]
fn a_frontier_has_as_many_subtrees_as_its_size_has_bits() {
    let hash = leaf_hash(b"");
    assert!(Frontier::of(0, Vec::new()).is_some());
    assert!(Frontier::of(0, vec![hash]).is_none());
    assert!(Frontier::of(6, vec![hash, hash]).is_some());
    assert!(Frontier::of(6, vec![hash]).is_none());
    assert!(Hash::from_base64("AAAA").is_none());
    assert!(Hash::from_base64(&hash.to_string().replace('=', "")).is_none());
}

proptest! {
    /// Kept and read again at any moment, it grows as if nothing had happened.
    #[test]
    fn a_frontier_can_be_kept(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..60), at in 0_usize..60) {
        let at = at.min(entries.len());
        let kept = frontier(&entries[..at]);
        let nodes = kept.nodes().iter().map(|node| Hash::from_base64(&node.to_string()).unwrap());
        let mut read = Frontier::of(kept.size(), nodes.collect()).unwrap();
        for entry in &entries[at..] {
            read.append(leaf_hash(entry));
        }
        prop_assert_eq!(&read, &frontier(&entries));
        prop_assert_eq!(STANDARD.decode(read.root().to_string()).unwrap(), root(&entries));
    }
}
