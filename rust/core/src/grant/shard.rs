//! A table of grants whose copy shares nearly all with its original: after a change of one grant of a million, a few
//! thousand pointers and some hundred entries are copied.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};

use super::token::DigestHasher;
use super::{KnownToken, TokenDigest};

/// Values of one chunk of a list.
const CHUNK: usize = 256;
/// Entries of one shard of a map, on average at most.
const SHARD: usize = 1_024;

/// A list whose copy shares its chunks; a removed place is used again.
#[derive(Clone, Debug)]
pub(super) struct Chunks<T> {
    list: Vec<Arc<Vec<Option<T>>>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }
}

impl<T: Clone> Chunks<T> {
    /// The number of values.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        let index = usize::try_from(index).ok()?;
        self.list.get(index / CHUNK)?.get(index % CHUNK)?.as_ref()
    }

    /// The index that the next value gets; `None` if there are as many values as indexes below 2^31.
    pub(super) fn next(&self) -> Option<u32> {
        let end = self
            .list
            .last()
            .map_or(0, |last| (self.list.len() - 1) * CHUNK + last.len());
        let fresh = u32::try_from(end).ok().filter(|index| *index < 1 << 31);
        self.free.last().copied().or(fresh)
    }

    /// Adds a value at [`Self::next`].
    pub(super) fn push(&mut self, value: T) {
        self.len += 1;
        if let Some(index) = self.free.pop() {
            if let Some(place) = self.place(index) {
                *place = Some(value);
            }
            return;
        }
        match self.list.last_mut().filter(|last| last.len() < CHUNK) {
            Some(last) => Arc::make_mut(last).push(Some(value)),
            None => self.list.push(Arc::new(vec![Some(value)])),
        }
    }

    /// Replaces a value that is there.
    pub(super) fn replace(&mut self, index: u32, value: T) {
        if let Some(place @ Some(_)) = self.place(index) {
            *place = Some(value);
        }
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let removed = self.place(index)?.take();
        if removed.is_some() {
            self.free.push(index);
            self.len -= 1;
        }
        removed
    }

    /// All values with their indexes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let places = self.list.iter().flat_map(|chunk| chunk.iter());
        (0..)
            .zip(places)
            .filter_map(|(index, place)| Some((index, place.as_ref()?)))
    }

    fn place(&mut self, index: u32) -> Option<&mut Option<T>> {
        let index = usize::try_from(index).ok()?;
        let chunk = self.list.get_mut(index / CHUNK)?;
        Arc::make_mut(chunk).get_mut(index % CHUNK)
    }
}

type NameShard = HashTable<(Box<str>, u32)>;

/// Indexes of grants by id. Ids come from the operator, so a fixed hasher is safe.
#[derive(Clone, Debug, Default)]
pub(super) struct ByName {
    shards: Vec<Arc<NameShard>>,
    len: usize,
}

impl ByName {
    pub(super) fn get(&self, name: &str) -> Option<u32> {
        let hash = hash_of(name);
        let shard = self.shards.get(shard_of(hash, self.shards.len()))?;
        shard
            .find(hash, |(other, _)| **other == *name)
            .map(|(_, index)| *index)
    }

    /// Adds a name that is not there.
    pub(super) fn insert(&mut self, name: &str, index: u32) {
        if self.len >= self.shards.len() * SHARD {
            let entries = self.shards.iter().flat_map(|shard| shard.iter().cloned());
            let mut shards = vec![NameShard::new(); (self.shards.len() * 2).max(1)];
            let count = shards.len();
            for entry in entries {
                let hash = hash_of(&entry.0);
                if let Some(shard) = shards.get_mut(shard_of(hash, count)) {
                    shard.insert_unique(hash, entry, |(name, _)| hash_of(name));
                }
            }
            self.shards = shards.into_iter().map(Arc::new).collect();
        }
        let (hash, count) = (hash_of(name), self.shards.len());
        if let Some(shard) = self.shards.get_mut(shard_of(hash, count)) {
            Arc::make_mut(shard).insert_unique(hash, (name.into(), index), |(name, _)| hash_of(name));
            self.len += 1;
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        let (hash, count) = (hash_of(name), self.shards.len());
        let Some(shard) = self.shards.get_mut(shard_of(hash, count)) else {
            return;
        };
        if let Ok(entry) = Arc::make_mut(shard).find_entry(hash, |(other, _)| **other == *name) {
            entry.remove();
            self.len -= 1;
        }
    }
}

type TokenShard = HashMap<TokenDigest, KnownToken, BuildHasherDefault<DigestHasher>>;

/// Tokens by digest: one probe into entries of 48 bytes, because a digest is its own hash.
#[derive(Clone, Debug, Default)]
pub(super) struct ByToken {
    shards: Vec<Arc<TokenShard>>,
    len: usize,
}

impl ByToken {
    pub(super) fn get(&self, digest: &TokenDigest) -> Option<KnownToken> {
        let shard = self
            .shards
            .get(shard_of(digest_bits(digest), self.shards.len()))?;
        shard.get(digest).copied()
    }

    /// Adds a token that is not there.
    pub(super) fn insert(&mut self, digest: TokenDigest, token: KnownToken) {
        if self.len >= self.shards.len() * SHARD {
            let entries = self.shards.iter().flat_map(|shard| shard.iter());
            let mut shards = vec![TokenShard::default(); (self.shards.len() * 2).max(1)];
            let count = shards.len();
            for (digest, token) in entries {
                if let Some(shard) = shards.get_mut(shard_of(digest_bits(digest), count)) {
                    shard.insert(*digest, *token);
                }
            }
            self.shards = shards.into_iter().map(Arc::new).collect();
        }
        let count = self.shards.len();
        if let Some(shard) = self.shards.get_mut(shard_of(digest_bits(&digest), count)) {
            Arc::make_mut(shard).insert(digest, token);
            self.len += 1;
        }
    }

    pub(super) fn remove(&mut self, digest: &TokenDigest) {
        let count = self.shards.len();
        if let Some(shard) = self.shards.get_mut(shard_of(digest_bits(digest), count))
            && Arc::make_mut(shard).remove(digest).is_some()
        {
            self.len -= 1;
        }
    }
}

/// The shard of a hash among so many, a power of two or none. A map takes its bucket from the lowest bits of a hash and
/// its tag from the highest, so these are others.
fn shard_of(hash: u64, shards: usize) -> usize {
    usize::try_from(hash >> 32).unwrap_or_default() & shards.saturating_sub(1)
}

fn hash_of(name: &str) -> u64 {
    FixedState::default().hash_one(name)
}

fn digest_bits(digest: &TokenDigest) -> u64 {
    let mut hasher = DigestHasher::default();
    digest.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::{Token, TokenKey};

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut chunks = Chunks::default();
        for number in 0..1_000_u32 {
            assert_eq!(chunks.next(), Some(number));
            chunks.push(number);
        }
        let before = chunks.clone();
        chunks.replace(300, 7);
        assert_eq!(chunks.remove(999), Some(999));
        assert_eq!((chunks.remove(999), chunks.remove(5_000)), (None, None));
        chunks.replace(999, 1);
        assert_eq!(
            (chunks.get(300), chunks.get(999), chunks.len()),
            (Some(&7), None, 999)
        );
        assert_eq!(
            (before.get(300), before.get(999), before.len()),
            (Some(&300), Some(&999), 1_000)
        );
        assert_eq!(chunks.next(), Some(999), "a removed place is used again");
        chunks.push(8);
        assert_eq!((chunks.get(999), chunks.next()), (Some(&8), Some(1_000)));
        assert_eq!(
            chunks.iter().filter(|(index, value)| index == *value).count(),
            998
        );
        let shared = chunks
            .list
            .iter()
            .zip(&before.list)
            .filter(|(one, other)| Arc::ptr_eq(one, other));
        assert_eq!(shared.count(), 2, "two of four chunks were changed");
    }

    #[test]
    fn names_and_tokens_are_found_in_all_shards() {
        let key = TokenKey::new([1; 32]);
        let digest = |number: u32| key.digest(Token::new(&number.to_string()));
        let (mut names, mut tokens) = (ByName::default(), ByToken::default());
        let count = 5_000;
        for number in 0..count {
            names.insert(&number.to_string(), number);
            tokens.insert(digest(number), KnownToken::new(number, None));
        }
        assert_eq!((names.shards.len(), tokens.shards.len()), (8, 8));
        let (names_before, tokens_before) = (names.clone(), tokens.clone());
        for number in (0..count).step_by(2) {
            names.remove(&number.to_string());
            tokens.remove(&digest(number));
            names.remove("never there");
        }
        for number in 0..count {
            let there = (number % 2 == 1).then_some(number);
            assert_eq!(names.get(&number.to_string()), there);
            assert_eq!(tokens.get(&digest(number)).map(KnownToken::grant), there);
            assert_eq!(names_before.get(&number.to_string()), Some(number));
            assert!(tokens_before.get(&digest(number)).is_some());
        }
        assert_eq!((names.len, tokens.len), (2_500, 2_500));
    }
}
