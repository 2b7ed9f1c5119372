//! The room for calls that wait for an answer, and what each grant takes of it.

use std::collections::HashMap;
use std::sync::Arc;

/// The greatest number of calls that wait at once. One grant alone gets [`SHARE`] parts of it, which are more than 10,000.
const MAX_WAITING: usize = 12_000;

/// The greatest number of bytes of questions that wait at once.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// The calls of one grant are at most so many times as many as the places that are free, so that a grant that floods never
/// takes the last ones.
const SHARE: usize = 9;

/// Calls and bytes that are taken.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    calls: usize,
    bytes: usize,
}

/// The calls that wait, by grant.
#[derive(Debug, Default)]
pub(super) struct Shares {
    all: Taken,
    by_grant: HashMap<Arc<str>, Taken>,
}

/// A reason for which a call cannot wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// Its grant has its share.
    OfGrant,
    /// No grant can take more.
    Full,
}

impl Shares {
    /// Takes a place for a call; [`Shares::give_back`] takes what this returns.
    pub(super) fn take(&mut self, grant: &str, bytes: usize) -> Result<Arc<str>, NoRoom> {
        let free = MAX_WAITING.saturating_sub(self.all.calls);
        let free_bytes = MAX_WAITING_BYTES.saturating_sub(self.all.bytes);
        if free == 0 || free_bytes < bytes {
            return Err(NoRoom::Full);
        }
        let known = self.by_grant.get_key_value(grant);
        let (grant, held) = known.map_or_else(
            || (Arc::from(grant), Taken::default()),
            |(grant, held)| (Arc::clone(grant), *held),
        );
        // Bytes are fewer than places: half of them are enough for one grant.
        if held.calls >= SHARE * free || held.bytes + bytes > free_bytes {
            return Err(NoRoom::OfGrant);
        }
        for taken in [
            &mut self.all,
            self.by_grant.entry(Arc::clone(&grant)).or_default(),
        ] {
            taken.calls += 1;
            taken.bytes += bytes;
        }
        Ok(grant)
    }

    /// Gives the place of a call back.
    pub(super) fn give_back(&mut self, grant: &str, bytes: usize) {
        let Some(held) = self.by_grant.get_mut(grant) else {
            return;
        };
        for taken in [&mut self.all, held] {
            taken.calls = taken.calls.saturating_sub(1);
            taken.bytes = taken.bytes.saturating_sub(bytes);
        }
        if self.by_grant.get(grant).is_some_and(|held| held.calls == 0) {
            self.by_grant.remove(grant);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(shares: &mut Shares, grant: &str, bytes: usize) -> (usize, NoRoom) {
        let mut calls = 0;
        loop {
            match shares.take(grant, bytes) {
                Ok(_) => calls += 1,
                Err(reason) => return (calls, reason),
            }
        }
    }

    #[test]
    fn a_grant_that_floods_leaves_places_for_others() {
        let mut shares = Shares::default();
        let (calls, reason) = fill(&mut shares, "flood", 100);
        assert!(calls >= 10_000, "{calls}");
        assert_eq!(reason, NoRoom::OfGrant);
        let (others, _) = fill(&mut shares, "other", 100);
        assert!(others >= 1_000, "{others}");
        assert!(shares.take("third", 100).is_ok());
        shares.give_back("flood", 100);
        assert!(shares.by_grant["flood"].calls < calls);
    }

    #[test]
    fn bytes_are_shared_in_the_same_way() {
        let mut shares = Shares::default();
        let large = 64 * 1024;
        let (calls, reason) = fill(&mut shares, "flood", large);
        assert_eq!((calls, reason), (512, NoRoom::OfGrant));
        assert!(fill(&mut shares, "other", large).0 >= 200);
        for _ in 0..calls {
            shares.give_back("flood", large);
        }
        assert!(!shares.by_grant.contains_key("flood"));
        assert_eq!(shares.take("x", MAX_WAITING_BYTES + 1), Err(NoRoom::Full));
    }

    #[test]
    fn when_all_is_taken_nobody_gets_more() {
        let mut shares = Shares::default();
        for number in 0..MAX_WAITING {
            shares.take(&number.to_string(), 1).unwrap();
        }
        assert_eq!(shares.take("one more", 1), Err(NoRoom::Full));
        shares.give_back("7", 1);
        shares.give_back("never there", 1);
        assert!(shares.take("one more", 1).is_ok());
    }
}
