//! Managed grants, which change while a state is in force.

use std::sync::Arc;

use super::{ByKey, Servers, Servings, State};
use crate::grant::{Grant, Grants, Places, Resolved};

impl State {
    /// This state with the managed grants that `edit` leaves.
    ///
    /// A grant may name a server or a policy that the state does not have: it has no effect there until a state has it.
    pub(crate) fn with_edited_grants<R>(&self, edit: impl FnOnce(&mut Grants) -> R) -> (Self, R) {
        let mut state = self.clone();
        let edited = edit(&mut state.grants);
        state.resolve(false);
        (state, edited)
    }

    /// Takes over the managed grants of the state before.
    pub(crate) fn adopt_grants(&mut self, before: &Self) {
        self.grants.adopt(&before.grants);
        self.resolve(true);
    }

    /// Returns whether both have the same policies at the same servers, so that what belongs to those can stay.
    pub fn decides_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.policies, &other.policies) && Arc::ptr_eq(&self.servings, &other.servings)
    }

    /// The fault of a grant that names a server or a policy that this state does not have.
    pub fn unserved(&self, grant: Grant<'_>) -> Option<String> {
        grant.places().find_map(|(server, policy)| {
            if self.server_index(server).is_none() {
                return Some(format!("unknown server `{server}`"));
            }
            let key = policy.filter(|key| !self.by_key.contains_key(*key))?;
            Some(format!("unknown policy `{key}`"))
        })
    }

    pub(super) fn resolve(&mut self, anew: bool) {
        let Self {
            by_key,
            servings,
            servers,
            grants,
            ..
        } = self;
        grants.resolve(anew, |places| resolved(places, by_key, servers, servings));
    }
}

fn resolved(places: &Places, by_key: &ByKey, servers: &Servers, servings: &mut Arc<Servings>) -> Resolved {
    let Servers::Named(named) = servers else {
        return Resolved::default();
    };
    let known = places.iter().filter_map(|(server, policy)| {
        let server = named.by_name.get(server).copied()?;
        let policy = policy.and_then(|key| by_key.get(key)).copied();
        Some((
            server,
            policy.map(|policy| Servings::index(servings, server, policy)),
        ))
    });
    let mut known: Vec<_> = known.collect();
    known.sort_unstable();
    known.into()
}
