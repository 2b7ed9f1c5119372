//! `ManagedGrants`: grants that the configuration does not hold, changed one by one.

mod file;

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use callgate_core::State;
use callgate_core::grant::{Grant, GrantChange, GrantFault, Grants};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::engine::Engine;
use crate::error::Error;
use crate::setup;

/// Grants of an engine that its configuration does not hold, changed one by one. A reload of the engine keeps them.
///
/// One of a million is changed in a few hundred microseconds. Grants of the configuration come first.
///
/// Args:
///     engine: The engine.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct ManagedGrants {
    engine: Arc<callgate_core::Engine>,
}

#[pymethods]
impl ManagedGrants {
    #[new]
    fn py_new(engine: &Bound<'_, Engine>) -> Self {
        Self {
            engine: Arc::clone(&engine.get().core),
        }
    }

    /// Changes grants. Calls that begin after the return meet them.
    ///
    /// A grant may name a server or a policy that the engine does not have: its calls are denied until a reload
    /// brings it.
    ///
    /// Args:
    ///     put: The grants that are there from now on, in the form of `Engine.from_config`.
    ///     remove: The ids of grants that are there no more; an id without a grant is passed over.
    ///
    /// Returns:
    ///     The grants that stay as they were, each as its id and the fault.
    ///
    /// Raises:
    ///     ConfigError: A grant has the wrong form. Nothing is changed.
    #[pyo3(signature = (put, remove = Vec::new()))]
    fn change(
        &self,
        py: Python<'_>,
        put: &Bound<'_, PyAny>,
        remove: Vec<String>,
    ) -> PyResult<Vec<(String, String)>> {
        let put = setup::read_grants(put)?.into_iter().map(GrantChange::Put);
        let changes: Vec<_> = remove.into_iter().map(GrantChange::Remove).chain(put).collect();
        Ok(py.detach(|| pairs(self.engine.change_grants(changes))))
    }

    /// Replaces all managed grants by those that a file's lines leave.
    ///
    /// Each line is a JSON object: ``{"version": "1"}`` as the first; then ``{"put": GRANT}`` with a grant in the
    /// form of `Engine.from_config`, ``{"remove": ID}``, and ``{"mark": VALUE}`` with any value. A last line without
    /// its end is passed over: it was being written.
    ///
    /// Returns:
    ///     The last mark as JSON, None without one; the number of lines; the grants that have a fault, as `change`
    ///     returns them.
    ///
    /// Raises:
    ///     ConfigError: The file cannot be read, or a line has the wrong form. No managed grant is left.
    fn read_file(&self, py: Python<'_>, path: PathBuf) -> PyResult<FileRead> {
        py.detach(move || {
            let mut faults = BTreeMap::new();
            let read = self.engine.edit_grants(|grants| {
                // At a start there are none, and a million ids need not be remembered.
                let had_some = grants.managed_len() > 0;
                let read = file::read(&path, had_some, |changes| {
                    for change in &changes {
                        faults.remove(id_of(change));
                    }
                    faults.extend(pairs(grants.change(changes)));
                });
                if had_some || read.is_err() {
                    let none = HashSet::new();
                    keep(grants, read.as_ref().map_or(&none, |read| &read.ids));
                }
                read
            })?;
            Ok::<_, Error>((read.mark, read.lines, faults.into_iter().collect()))
        })
        .map_err(Into::into)
    }

    /// The configured and managed ones of these grants, each with true if it is revoked.
    fn known<'py>(&self, py: Python<'py>, ids: Vec<String>) -> PyResult<Bound<'py, PyDict>> {
        let known = PyDict::new(py);
        let state = self.engine.snapshot();
        for id in ids {
            if let Some(grant) = grant_of(&state, &id) {
                known.set_item(id, grant.is_revoked())?;
            }
        }
        Ok(known)
    }

    /// The servers of a configured or managed grant; None if there is no such grant.
    fn servers(&self, id: &str) -> Option<Vec<String>> {
        let state = self.engine.snapshot();
        let grant = grant_of(&state, id)?;
        Some(grant.places().map(|(server, _)| server.to_owned()).collect())
    }

    /// The ids of managed grants among these ids.
    fn among(&self, ids: Vec<String>) -> Vec<String> {
        let state = self.engine.snapshot();
        ids.into_iter()
            .filter(|id| state.grants().is_managed(id))
            .collect()
    }

    /// The grants that name a server or a policy that the engine does not have, each as its id and the fault.
    ///
    /// Args:
    ///     ids: The grants to look at; None for all.
    ///     most: The most that are returned.
    #[pyo3(signature = (ids = None, most = 10))]
    fn unserved(&self, py: Python<'_>, ids: Option<Vec<String>>, most: usize) -> Vec<(String, String)> {
        py.detach(|| {
            let state = self.engine.snapshot();
            let fault = |grant: Grant<'_>| Some((grant.id().to_owned(), state.unserved(grant)?));
            let grants = state.grants();
            match ids {
                None => grants.managed().filter_map(fault).take(most).collect(),
                Some(ids) => {
                    let named = ids.iter().filter(|id| grants.is_managed(id));
                    named
                        .filter_map(|id| fault(grant_of(&state, id)?))
                        .take(most)
                        .collect()
                }
            }
        })
    }

    /// The number of managed grants.
    fn __len__(&self) -> usize {
        self.engine.snapshot().grants().managed_len()
    }
}

/// Removes each managed grant that is not among these.
fn keep(grants: &mut Grants, kept: &HashSet<String>) {
    let ids = grants.managed().map(Grant::id);
    let gone = ids.filter(|id| !kept.contains(*id)).map(ToOwned::to_owned);
    let changes: Vec<_> = gone.map(GrantChange::Remove).collect();
    grants.change(changes);
}

/// The last mark, the number of lines, and the faults by grant.
type FileRead = (Option<String>, u64, Vec<(String, String)>);

fn id_of(change: &GrantChange) -> &str {
    match change {
        GrantChange::Put(spec) => &spec.id,
        GrantChange::Remove(id) => id,
    }
}

fn grant_of<'s>(state: &'s State, id: &str) -> Option<Grant<'s>> {
    state.grants().get(state.grants().by_id(id)?)
}

fn pairs(faults: Vec<GrantFault>) -> Vec<(String, String)> {
    let pair = |fault: GrantFault| (fault.id, fault.message);
    faults.into_iter().map(pair).collect()
}
