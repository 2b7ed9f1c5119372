//! Tokens that were believed a short while ago, so that a caller's next request costs no signature.
//!
//! A token is known by its digest alone. What is kept of it is who it makes the caller out to be; everything else that can
//! refuse it is looked at each time: the keys in force, the clock, the resource that is asked, and grants.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callgate_core::Now;
use ring::digest::{Context, SHA256};

use super::token::Issued;

/// The time for which a verified signature is not verified again, in seconds.
pub(super) const BELIEVED_S: u64 = 300;

/// Maps that are locked each by itself, so that two callers seldom wait for each other.
const SHARDS: usize = 16;

/// Tokens of one shard in either of its two maps: 4,096 in all.
const MOST_OF_A_MAP: usize = 128;

/// The maximum size of one entry, in bytes: 8 MiB for all of them. Names and labels are seldom longer than 100.
const MOST_BYTES: usize = 2_048;

/// The digest of a token's bytes and of the resource that it was presented to.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Presented([u8; 32]);

impl Presented {
    pub(super) fn new(token: &str, audience: &str) -> Self {
        let mut context = Context::new(&SHA256);
        // With its length, so that nothing of one can be taken for a part of the other.
        context.update(&u64::try_from(audience.len()).unwrap_or(u64::MAX).to_le_bytes());
        context.update(audience.as_bytes());
        context.update(token.as_bytes());
        let mut digest = [0; 32];
        digest
            .iter_mut()
            .zip(context.finish().as_ref())
            .for_each(|(byte, computed)| *byte = *computed);
        Self(digest)
    }
}

/// The time in which a token is valid, in Unix microseconds, with the allowance for clocks in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from_us: u64,
    pub(super) until_us: u64,
}

#[derive(Debug)]
struct Entry {
    issued: Arc<Issued>,
    span: Span,
    /// The number of the keys that it was proven by.
    keys: u64,
    /// The time at which its signature is checked again, in seconds on the boot clock.
    until_s: u64,
}

/// The younger half of a shard's tokens, and the older one, which goes when the younger is full.
#[derive(Default)]
struct Shard {
    young: HashMap<Presented, Entry>,
    old: HashMap<Presented, Entry>,
}

/// Tokens of one issuer under one configuration.
#[derive(Default)]
pub(super) struct Believed([Mutex<Shard>; SHARDS]);

impl Believed {
    /// The caller of a token that was verified by the keys of this number, unless the entry has expired.
    pub(super) fn get(&self, presented: &Presented, keys: u64, now: Now) -> Option<Arc<Issued>> {
        let mut shard = self.shard(presented);
        let entry = shard.young.get(presented).or_else(|| shard.old.get(presented))?;
        let is_good = entry.keys == keys
            && super::second(now) < entry.until_s
            && (entry.span.from_us..entry.span.until_us).contains(&now.unix_us());
        if is_good {
            return Some(Arc::clone(&entry.issued));
        }
        shard.young.remove(presented);
        shard.old.remove(presented);
        None
    }

    /// Remembers that a token was proven by the keys of this number.
    pub(super) fn put(&self, presented: Presented, issued: &Arc<Issued>, span: Span, keys: u64, now: Now) {
        let labels = issued.labels.iter().map(|(name, value)| name.len() + value.len());
        if issued.grant.len() + labels.sum::<usize>() > MOST_BYTES {
            return;
        }
        let entry = Entry {
            issued: Arc::clone(issued),
            span,
            keys,
            until_s: super::second(now).saturating_add(BELIEVED_S),
        };
        let mut shard = self.shard(&presented);
        if shard.young.len() >= MOST_OF_A_MAP {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(presented, entry);
    }

    fn shard(&self, presented: &Presented) -> MutexGuard<'_, Shard> {
        let [first, ..] = &self.0;
        let [byte, ..] = presented.0;
        let shard = self.0.get(usize::from(byte) % SHARDS).unwrap_or(first);
        // What is done under the lock leaves maps that are whole.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Believed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Believed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Now {
        Now::from_unix_us(second * 1_000_000)
    }

    const SPAN: Span = Span {
        from_us: 1_000_000_000,
        until_us: 9_000_000_000,
    };

    fn issued(grant: &str) -> Arc<Issued> {
        Arc::new(Issued {
            grant: grant.to_owned(),
            labels: Vec::new(),
            expires_at_us: SPAN.until_us,
        })
    }

    #[test]
    fn tokens_are_known_by_all_their_bytes_and_where_they_were_shown() {
        let digest = Presented::new("token", "audience");
        assert!(digest == Presented::new("token", "audience"));
        for (token, audience) in [
            ("Token", "audience"),
            ("token", "audiencf"),
            ("etoken", "audienc"),
            ("", ""),
        ] {
            assert!(digest != Presented::new(token, audience), "{token} {audience}");
        }
    }

    #[test]
    fn what_would_refuse_a_token_ends_its_entry() {
        let believed = Believed::default();
        let shown = Presented::new("token", "a");
        let put = |second| believed.put(shown, &issued("alice"), SPAN, 7, at(second));
        let get = |keys, second| {
            believed
                .get(&shown, keys, at(second))
                .map(|issued| issued.grant.clone())
        };
        let alice = Some("alice".to_owned());
        put(1_000);
        assert_eq!(get(7, 1_000), alice);
        assert_eq!(get(7, 1_000 + BELIEVED_S - 1), alice);
        assert_eq!(get(7, 1_000 + BELIEVED_S), None, "another look is due");
        assert_eq!(get(7, 1_000), None, "and what was ended is gone");
        put(1_000);
        assert_eq!(get(8, 1_000), None, "other keys");
        put(8_999);
        assert_eq!(get(7, 8_999), alice);
        assert_eq!(get(7, 9_000), None, "it has expired");
        put(1_000);
        assert_eq!(
            get(7, 999),
            None,
            "the clock was set back to where it is not valid yet"
        );
    }

    #[test]
    fn no_number_of_tokens_and_no_size_takes_more_than_its_bound() {
        let believed = Believed::default();
        let count = || -> usize {
            let of = |shard: &Mutex<Shard>| {
                let shard = shard.lock().unwrap();
                shard.young.len() + shard.old.len()
            };
            believed.0.iter().map(of).sum()
        };
        let most = SHARDS * 2 * MOST_OF_A_MAP;
        for number in 0..3 * most {
            let shown = Presented::new(&number.to_string(), "");
            believed.put(shown, &issued("alice"), SPAN, 0, at(1_000));
            assert!(
                believed.get(&shown, 0, at(1_000)).is_some(),
                "the last one is there"
            );
        }
        assert!((most / 2..=most).contains(&count()), "{}", count());
        let believed = Believed::default();
        let shown = Presented::new("token", "");
        believed.put(shown, &issued(&"x".repeat(MOST_BYTES + 1)), SPAN, 0, at(1_000));
        assert!(believed.get(&shown, 0, at(1_000)).is_none());
    }
}
