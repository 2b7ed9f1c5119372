//! The Merkle tree of RFC 6962, section 2.1, as far as a log that grows needs it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA256, digest};

/// The first bytes of what is hashed, so that no entry can pass for two subtrees.
const LEAF: &[u8] = &[0];
const NODE: &[u8] = &[1];

/// A SHA-256 hash of an entry or a subtree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Reads the base64 form; `None` for anything else.
    pub fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        Self::from_digest(context.finish().as_ref())
    }

    /// A digest of SHA-256 has 32 bytes.
    fn from_digest(digest: &[u8]) -> Self {
        Self(digest.try_into().unwrap_or_default())
    }
}

/// Base64, as checkpoints write it.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// The hash of one entry.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash::of(&[LEAF, entry])
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::of(&[NODE, &left.0, &right.0])
}

/// The right edge of a tree: the roots of the complete subtrees that its entries make, the largest first.
///
/// There is one for each bit that is set in the number of entries, so a tree of a million entries has at most twenty. They
/// are enough to add entries and to compute the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    nodes: Vec<Hash>,
}

impl Frontier {
    /// A frontier of a tree of this size; `None` if that size has another number of subtrees.
    pub fn of(size: u64, nodes: Vec<Hash>) -> Option<Self> {
        (u32::try_from(nodes.len()) == Ok(size.count_ones())).then_some(Self { size, nodes })
    }

    /// The number of entries.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the largest first.
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// Adds an entry by its hash.
    pub fn append(&mut self, leaf: Hash) {
        let mut node = leaf;
        // Each set bit at the end is a subtree as large as the one that `node` stands for.
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.nodes.pop() else { break };
            node = node_hash(&left, &node);
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// The root of the tree; of an empty one the hash of nothing.
    pub fn root(&self) -> Hash {
        self.nodes
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(|| Hash::from_digest(digest(&SHA256, b"").as_ref()))
    }
}
