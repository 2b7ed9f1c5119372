//! The table of configured grants, with look-up by token digest and by id.

use std::sync::Arc;

use hashbrown::HashMap;

use super::places::{PlaceSets, Places, Resolved};
use super::shard::{ByName, ByToken, Chunks};
use super::{GrantChange, GrantFault, GrantSpec, Token, TokenDigest, TokenKey, TokenSpec};

/// The end of a grant or a token that has none.
const NEVER_US: u64 = u64::MAX;

/// The bit of an index that says that the grant is a managed one.
const MANAGED: u32 = 1 << 31;

/// A grant's labels, `(name, value)`.
pub type Labels = [(Box<str>, Box<str>)];

/// One grant, whatever state it is in force in.
#[derive(Clone, Debug)]
struct Entry {
    id: Box<str>,
    labels: Box<Labels>,
    tokens: Box<[TokenDigest]>,
    expires_at_us: u64,
    /// Index of its servers.
    places: u32,
    revoked: bool,
}

/// The meaning of a configured token.
#[derive(Clone, Copy, Debug)]
pub struct KnownToken {
    grant: u32,
    until_us: u64,
}

impl KnownToken {
    pub(super) fn new(grant: u32, until_us: Option<u64>) -> Self {
        Self {
            grant,
            until_us: until_us.unwrap_or(NEVER_US),
        }
    }

    /// The index of its grant.
    pub const fn grant(self) -> u32 {
        self.grant
    }

    /// Returns whether it has ended at this time, in Unix microseconds. It is then to be treated as unknown.
    pub const fn has_ended(self, unix_us: u64) -> bool {
        is_over(self.until_us, unix_us)
    }
}

/// One grant in force.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'s> {
    entry: &'s Entry,
    places: &'s Places,
    /// Its servers that the state has.
    servers: &'s [(u32, Option<u32>)],
}

impl<'s> Grant<'s> {
    /// Its id.
    pub const fn id(self) -> &'s str {
        &self.entry.id
    }

    /// Its labels.
    pub const fn labels(self) -> &'s Labels {
        &self.entry.labels
    }

    /// Returns whether it is revoked.
    pub const fn is_revoked(self) -> bool {
        self.entry.revoked
    }

    /// Returns whether it is expired at this time, in Unix microseconds.
    pub const fn is_expired(self, unix_us: u64) -> bool {
        is_over(self.entry.expires_at_us, unix_us)
    }

    /// Each of its servers with the key of its policy there, as they are configured; the state may lack them.
    pub fn places(self) -> impl Iterator<Item = (&'s str, Option<&'s str>)> {
        self.places.iter()
    }

    /// The server of calls that name none; `None` if calls have to name theirs.
    pub(crate) fn own_server(self) -> Option<&'s str> {
        match self.places {
            Places::One { server, .. } => Some(server),
            Places::Listed(_) => None,
        }
    }

    /// Returns whether the grant is for this server.
    pub(crate) fn is_for(self, server: u32) -> bool {
        self.at(server).is_some()
    }

    /// The policy of the grant at this server; `None` without one, or if the grant is not for it.
    pub(crate) fn serving(self, server: u32) -> Option<u32> {
        self.at(server)?.1
    }

    fn at(self, server: u32) -> Option<&'s (u32, Option<u32>)> {
        match self.servers {
            // Most grants have one.
            [one] => (one.0 == server).then_some(one),
            list => list.get(list.binary_search_by_key(&server, |(listed, _)| *listed).ok()?),
        }
    }
}

/// All configured grants: those that a state was loaded with, and the managed ones, which change one by one and stay
/// when another state is loaded.
///
/// A copy shares nearly all with its original. If both have a grant of one id or token, the loaded one counts.
#[derive(Clone, Debug)]
pub struct Grants {
    key: Option<TokenKey>,
    // An empty configured list admits no caller; without a list, any caller is admitted.
    configured: bool,
    loaded: Table,
    managed: Table,
}

impl Grants {
    /// A table without a configured list: callers name the grant that is charged.
    pub fn unconfigured() -> Self {
        Self {
            configured: false,
            ..Self::new(None)
        }
    }

    /// An empty list of grants, whose tokens are digested under `key`. While it is empty, no caller is known.
    pub fn new(key: Option<TokenKey>) -> Self {
        Self {
            key,
            configured: true,
            loaded: Table::default(),
            managed: Table::default(),
        }
    }

    /// Adds a loaded grant; the error is about this grant and does not contain its id.
    pub fn add(&mut self, spec: &GrantSpec) -> Result<(), String> {
        self.check(spec)?;
        if self.loaded.by_id.get(&spec.id).is_some() {
            return Err("a second grant has this `id`; give each grant an id of its own".to_owned());
        }
        self.loaded.put(spec)
    }

    /// Changes managed grants, the last change of an id alone. A grant that is faulty stays as it was, and is returned with
    /// its fault. A token may pass from one grant to another, in whatever order these come.
    pub fn change(&mut self, changes: impl IntoIterator<Item = GrantChange>) -> Vec<GrantFault> {
        let mut last = HashMap::new();
        for change in changes {
            match change {
                GrantChange::Remove(id) => last.insert(id, None),
                GrantChange::Put(spec) => last.insert(spec.id.clone(), Some(spec)),
            };
        }
        let removed = last.iter().filter(|(_, spec)| spec.is_none());
        removed.for_each(|(id, _)| self.managed.remove(id));
        let mut waiting: Vec<GrantSpec> = last.into_values().flatten().collect();
        loop {
            let before = waiting.len();
            let mut faults = Vec::new();
            let mut refused = Vec::new();
            for spec in waiting {
                if let Err(message) = self.put_managed(&spec) {
                    faults.push(GrantFault {
                        id: spec.id.clone(),
                        message,
                    });
                    refused.push(spec);
                }
            }
            // Those before may have given tokens back that these have.
            if refused.is_empty() || refused.len() == before {
                return faults;
            }
            waiting = refused;
        }
    }

    fn put_managed(&mut self, spec: &GrantSpec) -> Result<(), String> {
        if !self.configured {
            return Err(
                "no grants are configured, so every caller may name one; write `grants: []` in the \
                        configuration, after which a grant is needed to call"
                    .to_owned(),
            );
        }
        self.check(spec)?;
        if self.loaded.by_id.get(&spec.id).is_some() {
            return Err("the configuration has a grant with this `id`; take one of them out".to_owned());
        }
        let of_loaded = spec
            .tokens
            .iter()
            .find_map(|token| self.loaded.by_token.get(&token.digest));
        if let Some(other) = of_loaded {
            return Err(same_token(self.loaded.id_of(other.grant)));
        }
        self.managed.put(spec)
    }

    /// Takes over the managed grants of another table.
    pub(crate) fn adopt(&mut self, before: &Self) {
        if self.configured {
            self.managed = before.managed.clone();
        }
    }

    /// Resolves the names of servers and policies that were not resolved before; `anew` for all of them.
    pub(crate) fn resolve(&mut self, anew: bool, mut resolve: impl FnMut(&Places) -> Resolved) {
        for table in [&mut self.loaded, &mut self.managed] {
            let first = if anew { 0 } else { table.resolved.len() };
            if first < table.places.iter().len() || anew {
                let known = table.resolved.iter().take(first).cloned();
                let new = table.places.iter().skip(first).map(&mut resolve);
                table.resolved = known.chain(new).collect();
            }
        }
    }

    fn check(&self, spec: &GrantSpec) -> Result<(), String> {
        if spec.id.is_empty() {
            return Err("the `id` is empty; give the grant a name".to_owned());
        }
        if spec.id.contains('\0') {
            return Err("the `id` holds NUL; names are text without NUL".to_owned());
        }
        if let Some(fault) = TokenSpec::fault(&spec.tokens) {
            return Err(fault);
        }
        if self.key.is_none() && !spec.tokens.is_empty() {
            return Err(
                "it has a `token_hash`, and no grant key is configured to check tokens with; configure the key that \
                 the hash was made with"
                    .to_owned(),
            );
        }
        for (index, (name, _)) in spec.labels.iter().enumerate() {
            let earlier = spec.labels.iter().take(index);
            if earlier.map(|(other, _)| other).any(|other| other == name) {
                return Err(format!("label `{name}` is given twice; keep one of them"));
            }
        }
        Ok(())
    }

    /// Returns whether a list of grants is configured, empty or not: callers must then have one of its grants.
    pub const fn is_configured(&self) -> bool {
        self.configured
    }

    /// The number of grants.
    pub const fn len(&self) -> usize {
        self.loaded.entries.len() + self.managed.entries.len()
    }

    /// Returns whether there is no grant, whether or not a list is configured.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The grant with this index.
    pub fn get(&self, index: u32) -> Option<Grant<'_>> {
        if index & MANAGED == 0 {
            self.loaded.get(index)
        } else {
            self.managed.get(index ^ MANAGED)
        }
    }

    /// The grant with this token, and the token's end.
    pub fn by_token(&self, token: Token<'_>) -> Option<KnownToken> {
        self.by_digest(&self.key.as_ref()?.digest(token))
    }

    /// The grant of the token with this digest, and the token's end.
    pub fn by_digest(&self, digest: &TokenDigest) -> Option<KnownToken> {
        self.loaded.by_token.get(digest).or_else(|| {
            let mut token = self.managed.by_token.get(digest)?;
            // A grant of this id in the configuration has other tokens; this one is not in force.
            self.loaded.is_absent(self.managed.id_of(token.grant)).then(|| {
                token.grant |= MANAGED;
                token
            })
        })
    }

    /// The index of the grant with this id.
    pub fn by_id(&self, id: &str) -> Option<u32> {
        let managed = || Some(self.managed.by_id.get(id)? | MANAGED);
        self.loaded.by_id.get(id).or_else(managed)
    }

    /// Returns whether a managed grant has this id.
    pub fn is_managed(&self, id: &str) -> bool {
        self.managed.by_id.get(id).is_some()
    }

    /// The number of managed grants.
    pub const fn managed_len(&self) -> usize {
        self.managed.entries.len()
    }

    /// All managed grants.
    pub fn managed(&self) -> impl Iterator<Item = Grant<'_>> {
        let indexes = self.managed.entries.iter();
        indexes.filter_map(|(index, _)| self.managed.get(index))
    }
}

/// Grants of one origin.
#[derive(Clone, Debug, Default)]
struct Table {
    entries: Chunks<Entry>,
    by_token: ByToken,
    by_id: ByName,
    places: Arc<PlaceSets>,
    /// For each of the places, those of its servers that the state has.
    resolved: Arc<[Resolved]>,
}

impl Table {
    fn get(&self, index: u32) -> Option<Grant<'_>> {
        let entry = self.entries.get(index)?;
        let places = self.places.get(entry.places)?;
        let servers = self.resolved.get(usize::try_from(entry.places).ok()?);
        Some(Grant {
            entry,
            places,
            servers: servers.map_or(&[], |servers| &**servers),
        })
    }

    fn id_of(&self, index: u32) -> &str {
        self.entries.get(index).map_or("", |entry| &*entry.id)
    }

    fn is_absent(&self, id: &str) -> bool {
        self.entries.len() == 0 || self.by_id.get(id).is_none()
    }

    /// Adds a grant, or replaces the one of this id.
    fn put(&mut self, spec: &GrantSpec) -> Result<(), String> {
        let places = Places::of(spec)?;
        let before = self.by_id.get(&spec.id);
        for token in &spec.tokens {
            let other = self.by_token.get(&token.digest);
            if let Some(other) = other.filter(|other| Some(other.grant) != before) {
                return Err(same_token(self.id_of(other.grant)));
            }
        }
        let index = before
            .or_else(|| self.entries.next())
            .ok_or_else(|| "there are too many grants, expected fewer than 2^31".to_owned())?;
        let places = match self.places.find(&places) {
            Some(known) => known,
            None => Arc::make_mut(&mut self.places).add(places)?,
        };
        if before.is_some() {
            self.forget_tokens(index);
        }
        for TokenSpec { digest, until_us } in &spec.tokens {
            self.by_token.insert(*digest, KnownToken::new(index, *until_us));
        }
        let labels = spec.labels.iter();
        let entry = Entry {
            id: spec.id.as_str().into(),
            labels: labels
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            tokens: spec.tokens.iter().map(|token| token.digest).collect(),
            expires_at_us: spec.expires_at_us.unwrap_or(NEVER_US),
            places,
            revoked: spec.revoked,
        };
        if before.is_some() {
            self.entries.replace(index, entry);
        } else {
            self.by_id.insert(&entry.id, index);
            self.entries.push(entry);
        }
        Ok(())
    }

    fn remove(&mut self, id: &str) {
        if let Some(index) = self.by_id.get(id) {
            self.forget_tokens(index);
            self.by_id.remove(id);
            self.entries.remove(index);
        }
    }

    fn forget_tokens(&mut self, index: u32) {
        if let Some(entry) = self.entries.get(index) {
            for digest in &entry.tokens {
                self.by_token.remove(digest);
            }
        }
    }
}

fn same_token(other: &str) -> String {
    format!("grant `{other}` has the same `token_hash`; create a token for each grant")
}

/// Returns whether an end has come. It is the first moment after.
const fn is_over(end_us: u64, unix_us: u64) -> bool {
    end_us != NEVER_US && unix_us >= end_us
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
        let mut grants = Grants::new(Some(key()));
        for number in 0..1_000 {
            grants
                .add(&spec(&format!("g{number}"), &format!("token {number}")))
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
        let mut grants = Grants::new(Some(key()));
        let ending = |expires_at_us| GrantSpec {
            expires_at_us,
            ..spec(&format!("{expires_at_us:?}"), &format!("{expires_at_us:?}"))
        };
        grants.add(&ending(Some(1_000))).unwrap();
        grants.add(&ending(None)).unwrap();
        let expired = |index, unix_us| grants.get(index).unwrap().is_expired(unix_us);
        assert_eq!([expired(0, 999), expired(0, 1_000)], [false, true]);
        assert!(!expired(1, u64::MAX));
    }

    #[test]
    fn two_tokens_are_of_one_grant_and_each_has_its_end() {
        let mut grants = Grants::new(Some(key()));
        let mut both = spec("a", "new");
        both.tokens.push(TokenSpec {
            digest: key().digest(Token::new("old")),
            until_us: Some(1_000),
        });
        grants.add(&both).unwrap();
        let ended = |token, unix_us| {
            let known = grants.by_token(Token::new(token)).unwrap();
            (known.grant(), known.has_ended(unix_us))
        };
        assert_eq!([ended("old", 999), ended("old", 1_000)], [(0, false), (0, true)]);
        assert_eq!(ended("new", u64::MAX), (0, false));
    }

    /// Servers `s0` to `s9` and policies `p0` to `p9` are there, with their numbers as indexes.
    fn resolve(grants: &mut Grants) {
        let number = |name: &str| name.get(1..).and_then(|number| number.parse().ok());
        grants.resolve(true, |places| {
            let servers = places
                .iter()
                .filter_map(|(server, policy)| Some((number(server)?, policy.and_then(number))));
            servers.collect()
        });
    }

    #[test]
    fn a_list_of_servers_has_a_policy_for_each() {
        let mut grants = Grants::new(Some(key()));
        let names = |server: &str, policy: &str| (server.to_owned(), policy.to_owned());
        let one = |id: &str, server: &str, policy: Option<&str>| GrantSpec {
            server: server.to_owned(),
            policy: policy.map(ToOwned::to_owned),
            ..spec(id, id)
        };
        let list = |id: &str, servers: &[(String, String)]| GrantSpec {
            servers: servers.to_vec(),
            ..one(id, "", None)
        };
        grants.add(&one("one", "s3", Some("p7"))).unwrap();
        grants
            .add(&list(
                "list",
                &[names("s4", "p1"), names("s2", "p9"), names("gone", "p1")],
            ))
            .unwrap();
        grants.add(&one("gone", "gone", Some("p1"))).unwrap();
        grants.add(&one("bare", "s3", Some("gone"))).unwrap();
        let facts = |grants: &Grants, index: u32| {
            let grant = grants.get(index).unwrap();
            let at = [2, 3, 4].map(|server| (grant.is_for(server), grant.serving(server)));
            (grant.own_server().map(ToOwned::to_owned), at)
        };
        let nowhere = [(false, None); 3];
        assert_eq!(
            facts(&grants, 0),
            (Some("s3".to_owned()), nowhere),
            "not resolved yet"
        );
        resolve(&mut grants);
        let own = |server: &str| Some(server.to_owned());
        assert_eq!(
            facts(&grants, 0),
            (own("s3"), [(false, None), (true, Some(7)), (false, None)])
        );
        assert_eq!(
            facts(&grants, 1),
            (None, [(true, Some(9)), (false, None), (true, Some(1))])
        );
        assert_eq!(facts(&grants, 2), (own("gone"), nowhere));
        assert_eq!(
            facts(&grants, 3),
            (own("s3"), [(false, None), (true, None), (false, None)])
        );
        assert_eq!(
            grants
                .add(&list("twice", &[names("s4", "p1"), names("s4", "p2")]))
                .unwrap_err(),
            "a server is listed twice in `servers`; keep one of them"
        );
    }

    fn put(id: &str, token: &str) -> GrantChange {
        GrantChange::Put(spec(id, token))
    }

    #[test]
    fn managed_grants_change_one_by_one_and_copies_keep_what_they_had() {
        let mut grants = Grants::new(Some(key()));
        grants.add(&spec("loaded", "l")).unwrap();
        let many: Vec<_> = (0..3_000)
            .map(|number| put(&format!("m{number}"), &format!("t{number}")))
            .collect();
        assert_eq!(grants.change(many), []);
        let before = grants.clone();
        let changes = vec![
            put("m7", "other"),
            GrantChange::Remove("m8".to_owned()),
            put("new", "t8"),
            GrantChange::Remove("never there".to_owned()),
            GrantChange::Remove("m9".to_owned()),
            put("m9", "t9"),
        ];
        assert_eq!(grants.change(changes), []);
        let id_of = |grants: &Grants, token: &str| {
            let index = found(grants, token)?;
            assert_eq!(grants.by_id(grants.get(index)?.id()), Some(index));
            Some(grants.get(index)?.id().to_owned())
        };
        let ids = |grants: &Grants| {
            ["l", "t7", "other", "t8", "t9"].map(|token| id_of(grants, token).unwrap_or_default())
        };
        assert_eq!(ids(&grants), ["loaded", "", "m7", "new", "m9"]);
        assert_eq!(ids(&before), ["loaded", "m7", "", "m8", "m9"]);
        assert_eq!(
            (grants.len(), before.len(), grants.managed_len()),
            (3_001, 3_001, 3_000)
        );
        assert_eq!([grants.by_id("m8"), grants.by_id("never there")], [None, None]);
        assert_eq!(
            ["m7", "loaded", "m8"].map(|id| grants.is_managed(id)),
            [true, false, false]
        );
        assert_eq!(grants.managed().count(), 3_000);
    }

    #[test]
    fn a_faulty_change_leaves_the_grant_as_it_was() {
        let mut grants = Grants::new(Some(key()));
        grants.add(&spec("loaded", "l")).unwrap();
        assert_eq!(grants.change([put("a", "1"), put("b", "2")]), []);
        let faults = grants.change([put("loaded", "3"), put("a", "l"), put("b", "1"), put("c", "4")]);
        let mut told: Vec<_> = faults.iter().map(ToString::to_string).collect();
        told.sort();
        assert_eq!(
            told,
            [
                "grant `a`: grant `loaded` has the same `token_hash`; create a token for each grant",
                "grant `b`: grant `a` has the same `token_hash`; create a token for each grant",
                "grant `loaded`: the configuration has a grant with this `id`; take one of them out",
            ]
        );
        let tokens = ["l", "1", "2", "3", "4"].map(|token| found(&grants, token));
        assert_eq!(
            tokens.map(|index| index.and_then(|index| grants.get(index)).map_or("", Grant::id)),
            ["loaded", "a", "b", "", "c"]
        );
    }

    #[test]
    fn a_token_passes_from_one_grant_to_another_in_any_order() {
        for turned in [false, true] {
            let mut grants = Grants::new(Some(key()));
            assert_eq!(grants.change([put("a", "1"), put("b", "2"), put("c", "3")]), []);
            let mut changes = vec![put("a", "2"), put("b", "3"), put("c", "4")];
            if turned {
                changes.reverse();
            }
            assert_eq!(grants.change(changes), []);
            assert_eq!(
                ["1", "2", "3", "4"].map(|token| found(&grants, token).is_some()),
                [false, true, true, true]
            );
        }
    }

    #[test]
    fn other_loaded_grants_come_before_the_managed_ones_that_stay() {
        let mut before = Grants::new(Some(key()));
        assert_eq!(before.change([put("a", "1"), put("b", "2"), put("c", "3")]), []);
        let mut grants = Grants::new(Some(key()));
        grants.add(&spec("a", "4")).unwrap();
        grants.add(&spec("d", "2")).unwrap();
        grants.adopt(&before);
        let id = |token| {
            found(&grants, token)
                .and_then(|index| grants.get(index))
                .map_or("", Grant::id)
        };
        // `a` of before has other tokens, which count no more.
        assert_eq!(["1", "2", "3", "4"].map(id), ["", "d", "c", "a"]);
        let mut anybody = Grants::unconfigured();
        anybody.adopt(&before);
        assert_eq!(anybody.len(), 0);
        assert_eq!(anybody.change([put("a", "1")]).len(), 1);
    }

    #[test]
    fn faults_say_what_to_do() {
        let mut grants = Grants::new(Some(key()));
        grants.add(&spec("a", "one")).unwrap();
        let mut fault = |spec| grants.add(&spec).unwrap_err();
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
