//! Checkpoints, as C2SP's `tlog-checkpoint` writes them.

use crate::note::{PublicKey, SigningKey};
use crate::tree::Hash;

/// The size and the root of a log's tree at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log.
    pub origin: String,
    /// The number of entries.
    pub size: u64,
    /// The root of the tree of these entries.
    pub root: Hash,
}

impl Checkpoint {
    /// The signed note of this checkpoint; the key has the name of the log there.
    pub fn sign(&self, key: &SigningKey) -> String {
        let Self { origin, size, root } = self;
        key.sign(origin, &format!("{origin}\n{size}\n{root}\n"))
    }

    /// Reads a signed note; `None` unless one of the keys has signed it and its text is a checkpoint of three lines.
    pub fn open(note: &str, keys: &[PublicKey]) -> Option<Self> {
        let origin = note.split('\n').next()?;
        let text = keys.iter().find_map(|key| key.open(origin, note))?;
        Self::parse(text)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, digits, root) = (lines.next()?, lines.next()?, lines.next()?);
        let size: u64 = digits.parse().ok()?;
        // One text has one checkpoint: no sign, no zeros in front, no further lines.
        if origin.is_empty() || digits != size.to_string() || lines.next().is_some() {
            return None;
        }
        Some(Self {
            origin: origin.to_owned(),
            size,
            root: Hash::from_base64(root)?,
        })
    }
}
