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

    /// All grants.
    pub fn iter(&self) -> impl Iterator<Item = Grant<'_>> {
        let loaded = self.loaded.entries.iter();
        let loaded = loaded.filter_map(|(index, _)| self.loaded.get(index));
        loaded.chain(self.managed())
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
mod tests;
