//! The pairs of a server and a policy that decides there.

use std::sync::Arc;

use hashbrown::HashMap;

use super::index_of;

/// A policy that decides at a server: a policy may serve several, and the grants of one server may have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Serving {
    /// `None`: every server.
    pub(super) server: Option<u32>,
    pub(super) policy: u32,
}

/// All pairs, each once. Their indexes are those of [`crate::Decision::policy_index`].
#[derive(Clone, Debug, Default)]
pub(super) struct Servings {
    pub(super) list: Vec<Serving>,
    known: HashMap<Serving, u32>,
}

impl Servings {
    /// The index of a pair, which is added if it is not there.
    pub(super) fn index(this: &mut Arc<Self>, server: u32, policy: u32) -> u32 {
        let serving = Serving {
            server: Some(server),
            policy,
        };
        if let Some(index) = this.known.get(&serving) {
            return *index;
        }
        let Self { list, known } = Arc::make_mut(this);
        let index = index_of(list);
        list.push(serving);
        known.insert(serving, index);
        index
    }
}

impl From<Vec<Serving>> for Servings {
    fn from(list: Vec<Serving>) -> Self {
        let known = (0..)
            .zip(&list)
            .map(|(index, serving)| (*serving, index))
            .collect();
        Self { list, known }
    }
}
