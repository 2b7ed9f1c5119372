//! The table of configured grants, with look-up by token digest and by id.

use std::hash::{BuildHasher, BuildHasherDefault};

use foldhash::fast::FixedState;
use hashbrown::hash_map::Entry;
use hashbrown::{HashMap, HashTable, hash_table};

use super::token::DigestHasher;
use super::{GrantSpec, Token, TokenDigest, TokenKey, TokenSpec};

/// The end of a grant or a token that has none.
const NEVER_US: u64 = u64::MAX;

/// A grant's labels, `(name, value)`.
pub type Labels = [(Box<str>, Box<str>)];

/// One grant in force.
#[derive(Debug)]
pub struct Grant {
    id: Box<str>,
    labels: Box<Labels>,
    expires_at_us: u64,
    servers: GrantServers,
    revoked: bool,
}

/// The servers of a grant by index, with the index of the policy there in the state.
#[derive(Debug)]
enum GrantServers {
    /// One, with or without a policy. Calls need not name it.
    One { server: u32, serving: Option<u32> },
    /// Those of a list, sorted. Calls name theirs.
    Listed(Box<[(u32, u32)]>),
}

/// The meaning of a configured token.
#[derive(Clone, Copy, Debug)]
pub struct KnownToken {
    grant: u32,
    until_us: u64,
}

impl KnownToken {
    /// The index of its grant.
    pub const fn grant(self) -> u32 {
        self.grant
    }

    /// Returns whether it has ended at this time, in Unix microseconds. It is then to be treated as unknown.
    pub const fn has_ended(self, unix_us: u64) -> bool {
        is_over(self.until_us, unix_us)
    }
}

impl Grant {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Returns whether it is revoked.
    pub const fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// Returns whether it is expired at this time, in Unix microseconds.
    pub const fn is_expired(&self, unix_us: u64) -> bool {
        is_over(self.expires_at_us, unix_us)
    }

    /// The server of calls that name none; `None` if calls have to name theirs.
    pub(crate) const fn own_server(&self) -> Option<u32> {
        match self.servers {
            GrantServers::One { server, .. } => Some(server),
            GrantServers::Listed(_) => None,
        }
    }

    /// Returns whether the grant is for this server.
    pub(crate) fn is_for(&self, server: u32) -> bool {
        match &self.servers {
            GrantServers::One { server: own, .. } => *own == server,
            GrantServers::Listed(list) => list.binary_search_by_key(&server, |(listed, _)| *listed).is_ok(),
        }
    }

    /// The policy of the grant at this server; `None` without one, or if the grant is not for it.
    pub(crate) fn serving(&self, server: u32) -> Option<u32> {
        match &self.servers {
            GrantServers::One { server: own, serving } => serving.filter(|_| *own == server),
            GrantServers::Listed(list) => {
                let index = list.binary_search_by_key(&server, |(listed, _)| *listed).ok()?;
                list.get(index).map(|(_, serving)| *serving)
            }
        }
    }
}

/// All configured grants. Built once, then only read.
#[derive(Debug)]
pub struct Grants {
    key: TokenKey,
    // An empty configured list admits no caller; without a list, any caller is admitted.
    configured: bool,
    list: Vec<Grant>,
    // One probe into entries of 48 bytes; the digest is its own hash.
    by_token: HashMap<TokenDigest, KnownToken, BuildHasherDefault<DigestHasher>>,
    // Only indexes, because the ids are in `list`. Ids come from the operator, so a fixed hasher is safe.
    by_id: HashTable<u32>,
}

impl Grants {
    /// A table without a configured list: callers name the grant that is charged.
    pub fn unconfigured() -> Self {
        Self {
            configured: false,
            ..Self::with_capacity(TokenKey::new([0; 32]), 0)
        }
    }

    /// An empty list with capacity for so many grants, whose tokens are digested under `key`. While it is empty, no
    /// caller is known.
    pub fn with_capacity(key: TokenKey, capacity: usize) -> Self {
        Self {
            key,
            configured: true,
            list: Vec::with_capacity(capacity),
            by_token: HashMap::with_capacity_and_hasher(capacity, BuildHasherDefault::default()),
            by_id: HashTable::with_capacity(capacity),
        }
    }

    /// Adds a grant of one server; the error is about this grant and does not contain its id.
    pub fn add(&mut self, spec: GrantSpec, server: u32, serving: Option<u32>) -> Result<(), String> {
        self.insert(spec, GrantServers::One { server, serving })
    }

    /// Adds a grant with a list of servers and policies, in the same way.
    pub fn add_for(&mut self, spec: GrantSpec, mut servers: Vec<(u32, u32)>) -> Result<(), String> {
        servers.sort_unstable();
        let is_repeated = |pair: &[(u32, u32)]| matches!(pair, [(one, _), (other, _)] if one == other);
        if servers.windows(2).any(is_repeated) {
            return Err("a server is listed twice in `servers`; keep one of them".to_owned());
        }
        self.insert(spec, GrantServers::Listed(servers.into()))
    }

    fn insert(&mut self, spec: GrantSpec, servers: GrantServers) -> Result<(), String> {
        let Self {
            list,
            by_token,
            by_id,
            ..
        } = self;
        let index = u32::try_from(list.len())
            .map_err(|_| "there are too many grants, expected fewer than 2^32".to_owned())?;
        let id_of = |index: u32| {
            let grant = usize::try_from(index).ok().and_then(|index| list.get(index));
            grant.map_or("", |grant| &*grant.id)
        };
        check(&spec)?;
        match by_id.entry(
            hash_of(&spec.id),
            |other| *id_of(*other) == *spec.id,
            |other| hash_of(id_of(*other)),
        ) {
            hash_table::Entry::Occupied(_) => {
                return Err("a second grant has this `id`; give each grant an id of its own".to_owned());
            }
            hash_table::Entry::Vacant(place) => {
                place.insert(index);
            }
        }
        for TokenSpec { digest, until_us } in spec.tokens {
            match by_token.entry(digest) {
                Entry::Occupied(other) => {
                    return Err(format!(
                        "grant `{}` has the same `token_hash`; create a token for each grant",
                        id_of(other.get().grant)
                    ));
                }
                Entry::Vacant(place) => {
                    place.insert(KnownToken {
                        grant: index,
                        until_us: until_us.unwrap_or(NEVER_US),
                    });
                }
            }
        }
        let labels = spec.labels.into_iter();
        list.push(Grant {
            id: spec.id.into(),
            labels: labels.map(|(name, value)| (name.into(), value.into())).collect(),
            expires_at_us: spec.expires_at_us.unwrap_or(NEVER_US),
            servers,
            revoked: spec.revoked,
        });
        Ok(())
    }

    /// Returns whether a list of grants is configured, empty or not: callers must then have one of its grants.
    pub const fn is_configured(&self) -> bool {
        self.configured
    }

    /// The number of grants.
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns whether there is no grant, whether or not a list is configured.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The grant with this index.
    pub fn get(&self, index: u32) -> Option<&Grant> {
        self.list.get(usize::try_from(index).ok()?)
    }

    /// The grant with this token, and the token's end.
    pub fn by_token(&self, token: Token<'_>) -> Option<KnownToken> {
        self.by_digest(&self.key.digest(token))
    }

    /// The grant of the token with this digest, and the token's end.
    pub fn by_digest(&self, digest: &TokenDigest) -> Option<KnownToken> {
        self.by_token.get(digest).copied()
    }

    /// The index of the grant with this id.
    pub fn by_id(&self, id: &str) -> Option<u32> {
        let is_it = |index: &u32| self.get(*index).is_some_and(|grant| *grant.id == *id);
        self.by_id.find(hash_of(id), is_it).copied()
    }
}

/// Returns whether an end has come. It is the first moment after.
const fn is_over(end_us: u64, unix_us: u64) -> bool {
    end_us != NEVER_US && unix_us >= end_us
}

fn check(spec: &GrantSpec) -> Result<(), String> {
    if spec.id.is_empty() {
        return Err("the `id` is empty; give the grant a name".to_owned());
    }
    if spec.id.contains('\0') {
        return Err("the `id` holds NUL; names are text without NUL".to_owned());
    }
    if let Some(fault) = TokenSpec::fault(&spec.tokens) {
        return Err(fault);
    }
    for (index, (name, _)) in spec.labels.iter().enumerate() {
        let earlier = spec.labels.iter().take(index);
        if earlier.map(|(other, _)| other).any(|other| other == name) {
            return Err(format!("label `{name}` is given twice; keep one of them"));
        }
    }
    Ok(())
}

fn hash_of(id: &str) -> u64 {
    FixedState::default().hash_one(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TokenKey {
        TokenKey::new([5; 32])
    }

    fn spec(id: &str, token: &str) -> GrantSpec {
        GrantSpec {
            id: id.to_owned(),
            tokens: vec![key().digest(Token::new(token)).into()],
            server: "srv".to_owned(),
            policy: None,
            servers: Vec::new(),
            labels: Vec::new(),
            expires_at_us: None,
            revoked: false,
        }
    }

    fn found(grants: &Grants, token: &str) -> Option<u32> {
        grants.by_token(Token::new(token)).map(KnownToken::grant)
    }

    #[test]
    fn found_by_token_and_by_id() {
        let mut grants = Grants::with_capacity(key(), 0);
        for number in 0..1_000 {
            grants
                .add(spec(&format!("g{number}"), &format!("token {number}")), 0, None)
                .unwrap();
        }
        for number in 0..1_000 {
            let (by_token, by_id) = (format!("token {number}"), format!("g{number}"));
            assert_eq!(found(&grants, &by_token), Some(number));
            assert_eq!(grants.by_id(&by_id), Some(number));
            assert_eq!(grants.get(number).unwrap().id(), by_id);
            assert_eq!(found(&grants, &by_id), None);
            assert_eq!(found(&grants, &by_token.to_uppercase()), None);
        }
        assert_eq!((grants.len(), grants.is_empty()), (1_000, false));
        assert!(grants.is_configured());
        assert_eq!(grants.by_id("g"), None);
        assert!(grants.get(1_000).is_none());
    }

    #[test]
    fn an_expiry_is_the_first_moment_after() {
        let mut grants = Grants::with_capacity(key(), 2);
        let ending = |expires_at_us| GrantSpec {
            expires_at_us,
            ..spec(&format!("{expires_at_us:?}"), &format!("{expires_at_us:?}"))
        };
        grants.add(ending(Some(1_000)), 0, None).unwrap();
        grants.add(ending(None), 0, None).unwrap();
        let expired = |index, unix_us| grants.get(index).unwrap().is_expired(unix_us);
        assert_eq!([expired(0, 999), expired(0, 1_000)], [false, true]);
        assert!(!expired(1, u64::MAX));
    }

    #[test]
    fn two_tokens_are_of_one_grant_and_each_has_its_end() {
        let mut grants = Grants::with_capacity(key(), 1);
        let mut both = spec("a", "new");
        both.tokens.push(TokenSpec {
            digest: key().digest(Token::new("old")),
            until_us: Some(1_000),
        });
        grants.add(both, 0, None).unwrap();
        let ended = |token, unix_us| {
            let known = grants.by_token(Token::new(token)).unwrap();
            (known.grant(), known.has_ended(unix_us))
        };
        assert_eq!([ended("old", 999), ended("old", 1_000)], [(0, false), (0, true)]);
        assert_eq!(ended("new", u64::MAX), (0, false));
    }

    #[test]
    fn a_list_of_servers_has_a_policy_for_each() {
        let mut grants = Grants::with_capacity(key(), 2);
        grants.add(spec("one", "1"), 3, Some(7)).unwrap();
        grants.add_for(spec("list", "2"), vec![(4, 1), (2, 9)]).unwrap();
        let facts = |index: u32| {
            let grant = grants.get(index).unwrap();
            let at = [2, 3, 4].map(|server| (grant.is_for(server), grant.serving(server)));
            (grant.own_server(), at)
        };
        assert_eq!(
            facts(0),
            (Some(3), [(false, None), (true, Some(7)), (false, None)])
        );
        assert_eq!(
            facts(1),
            (None, [(true, Some(9)), (false, None), (true, Some(1))])
        );
        assert_eq!(
            grants
                .add_for(spec("twice", "3"), vec![(4, 1), (4, 2)])
                .unwrap_err(),
            "a server is listed twice in `servers`; keep one of them"
        );
    }

    #[test]
    fn faults_say_what_to_do() {
        let mut grants = Grants::with_capacity(key(), 0);
        grants.add(spec("a", "one"), 0, None).unwrap();
        let mut fault = |spec| grants.add(spec, 0, None).unwrap_err();
        assert_eq!(
            fault(spec("a", "two")),
            "a second grant has this `id`; give each grant an id of its own"
        );
        assert_eq!(
            fault(spec("b", "one")),
            "grant `a` has the same `token_hash`; create a token for each grant"
        );
        let with_tokens = |tokens: &[&str]| GrantSpec {
            tokens: tokens
                .iter()
                .map(|token| key().digest(Token::new(token)).into())
                .collect(),
            ..spec("e", "e")
        };
        assert_eq!(
            fault(with_tokens(&["x", "y", "z"])),
            "it has 3 tokens, expected at most 2; take the oldest out"
        );
        assert_eq!(
            fault(with_tokens(&["x", "x"])),
            "it has the same token twice; keep one of them"
        );
        assert_eq!(
            fault(with_tokens(&["x", "one"])),
            "grant `a` has the same `token_hash`; create a token for each grant"
        );
        assert_eq!(fault(spec("", "c")), "the `id` is empty; give the grant a name");
        assert_eq!(
            fault(spec("c\0", "c")),
            "the `id` holds NUL; names are text without NUL"
        );
        let twice = vec![("t".to_owned(), "1".to_owned()), ("t".to_owned(), "2".to_owned())];
        assert_eq!(
            fault(GrantSpec {
                labels: twice,
                ..spec("d", "d")
            }),
            "label `t` is given twice; keep one of them"
        );
    }
}
