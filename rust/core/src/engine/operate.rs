//! Changes of an engine while it decides: grants, freezes, resets.

use std::sync::Arc;

use super::{Engine, Reset, ResetError, ResetNames, State};
use crate::freeze::{Freeze, FreezeSource};
use crate::grant::{GrantChange, GrantFault, Grants};
use crate::{Now, reset};

impl Engine {
    /// Changes managed grants: those that other programs than the configuration own. They stay when another state is loaded.
    /// Returns those that stay as they were, with their faults; see [`crate::grant::Grants::change`].
    pub fn change_grants(&self, changes: impl IntoIterator<Item = GrantChange>) -> Vec<GrantFault> {
        self.edit_grants(|grants| grants.change(changes))
    }

    /// Changes managed grants in several steps, which come into force together. What the steps touch is copied once.
    pub fn edit_grants<R>(&self, edit: impl FnOnce(&mut Grants) -> R) -> R {
        drop(self.take_retired());
        let mut retired = self.lock_retired();
        let before = self.state.load_full();
        let (mut state, edited) = before.with_edited_grants(edit);
        state.generation = before.generation + 1;
        drop(before);
        retired.push(self.state.swap(Arc::new(state)));
        edited
    }

    /// Changes the freezes of one origin, which hold beside those of the others (`docs/policy.md` section 9). Calls that
    /// begin after the return meet them.
    pub fn change_freezes<R>(&self, source: FreezeSource, change: impl FnOnce(&mut Vec<Freeze>) -> R) -> R {
        self.freezes.change(source, change)
    }

    /// Replaces the freezes of one origin, as [`Engine::change_freezes`] does.
    pub fn set_freezes(&self, source: FreezeSource, freezes: Vec<Freeze>) {
        self.change_freezes(source, |before| *before = freezes);
    }

    /// Returns the freezes of all origins, also those that have ended.
    pub fn freezes(&self) -> Vec<(FreezeSource, Freeze)> {
        self.freezes.list()
    }

    /// Lets the counts that these names select begin anew (`docs/counters.md`). Calls that begin after the return find
    /// them empty; no other count changes. Blocks as long as the disk takes.
    pub fn reset(&self, state: &State, names: &ResetNames<'_>, now: Now) -> Result<Reset, ResetError> {
        self.counters.check_ours().map_err(reset::store_error)?;
        reset::select(state, names, self.counters.shared().is_some())?.perform(&self.counters, names, now)
    }
}
