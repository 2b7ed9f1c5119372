//! The servers of grants, each with a policy: as documents name them, and as a state has them by index.

use std::sync::Arc;

use hashbrown::HashMap;

use super::GrantSpec;

/// The servers of a grant with the keys of its policies there, by name. Many grants have the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Places {
    /// One, with or without a policy. Calls need not name it.
    One {
        server: Box<str>,
        policy: Option<Box<str>>,
    },
    /// Servers and policies of a grant with a list, sorted. Each call names one of the servers.
    Listed(Box<[(Box<str>, Box<str>)]>),
}

impl Places {
    /// Reads the places of a grant. The error is about this grant and does not contain its id.
    pub(crate) fn of(spec: &GrantSpec) -> Result<Self, String> {
        if spec.servers.is_empty() {
            return Ok(Self::One {
                server: spec.server.as_str().into(),
                policy: spec.policy.as_deref().map(Into::into),
            });
        }
        if !spec.server.is_empty() || spec.policy.is_some() {
            return Err(
                "it has `servers`, and `server` or `policy` as well; keep `servers` alone".to_owned(),
            );
        }
        let mut listed: Box<[(Box<str>, Box<str>)]> = spec
            .servers
            .iter()
            .map(|(server, policy)| (server.as_str().into(), policy.as_str().into()))
            .collect();
        listed.sort_unstable();
        let is_repeated =
            |pair: &[(Box<str>, Box<str>)]| matches!(pair, [(one, _), (other, _)] if one == other);
        if listed.windows(2).any(is_repeated) {
            return Err("a server is listed twice in `servers`; keep one of them".to_owned());
        }
        Ok(Self::Listed(listed))
    }

    /// Each server with the key of the policy there.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let (one, listed): (_, &[_]) = match self {
            Self::One { server, policy } => (Some((&**server, policy.as_deref())), &[]),
            Self::Listed(listed) => (None, listed),
        };
        let listed = listed.iter().map(|(server, policy)| (&**server, Some(&**policy)));
        one.into_iter().chain(listed)
    }
}

/// The servers of a grant by index, sorted, each with the index of the policy there in the state.
pub(crate) type Resolved = Box<[(u32, Option<u32>)]>;

/// All places of the grants of one table, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct PlaceSets {
    list: Vec<Arc<Places>>,
    known: HashMap<Arc<Places>, u32>,
}

impl PlaceSets {
    pub(super) fn find(&self, places: &Places) -> Option<u32> {
        self.known.get(places).copied()
    }

    /// Adds places that are not known yet.
    pub(super) fn add(&mut self, places: Places) -> Result<u32, String> {
        let index = u32::try_from(self.list.len())
            .map_err(|_| "there are too many grants, expected fewer than 2^31".to_owned())?;
        let places = Arc::new(places);
        self.list.push(Arc::clone(&places));
        self.known.insert(places, index);
        Ok(index)
    }

    pub(super) fn get(&self, index: u32) -> Option<&Places> {
        self.list
            .get(usize::try_from(index).ok()?)
            .map(|places| &**places)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Places> {
        self.list.iter().map(|places| &**places)
    }
}
