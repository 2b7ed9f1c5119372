//! `Engine`: policies and counters in this process.

mod build;
mod decide;
mod inner;
mod operate;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use callgate_server::{Approvals, Clock};
use callgate_shared::SharedConfig;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::counters;
use crate::error::Error;
use crate::policy_info::PolicyInfo;

pub(crate) use inner::compile;

/// Policies and counters in this process.
///
/// A catalogue contains categories, risks and input schemas of tools: the path of a catalogue file, the document as a
/// dict, or the short form ``{tool: category}``, which applies to every server.
///
/// The functions that make an engine take its sizes, and the place of its counters, as further keywords:
///
/// - `counter_capacity`: Highest number of live counters in this process; at the cap, calls that need a new one are
///   denied.
/// - `counters_per_grant`: Highest number of live counters of one grant in this process.
/// - `reservation_ttl_ms`: Time in which a reservation can be rolled back.
/// - `counters`: The place of the counters: ``memory``, the meaning of None, or ``file:PATH``, where they survive the
///   process (`docs/counters.md`). The file belongs to this engine alone, unless it is shared.
/// - `share_counters`: Share the counters in a file with other processes that pass it as well, so that a limit holds
///   for all of them together. One of them keeps the file. A call of the others waits for its answer, at most 2 s;
///   then it is denied, ``(counter store unavailable)``.
/// - `approvals`: The queue of questions about calls that need a person's approval; such a call waits for its answer.
///   None denies them, ``(approval store unavailable)``. An engine whose policies may ask logs a warning if this is
///   left out; pass None if that is meant, or if a `Server` of this engine asks.
/// - `shared`: The store of counters that several nodes share, with which a `Server` of this engine connects
///   (``docs/scaling.md``): ``url``, ``password``, ``ca_pem``, ``budget_ms``, ``prefix``, ``lease_ms``, ``recovery_ms``
///   and ``grant_key``. Calls that are not a server's find it unavailable. None for counters of this process alone.
/// - `flush_interval_ms`: Interval at which a `Server` of this engine writes that file to disk. A power failure may
///   lose the counts of one interval; a kill loses nothing.
/// - `reservations_per_grant`: Highest number of open reservations of one grant, 1 to 65,536; beyond it, the grant's
///   oldest one is committed early.
/// - `reservations_per_pep`: Highest number of open reservations of one PEP. There are 65,536 in all.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct Engine {
    pub(crate) core: Arc<callgate_core::Engine>,
    pub(crate) clock: Clock,
    pub(crate) flush_interval_ms: u64,
    /// For the server, which speaks to the store.
    pub(crate) shared: Option<SharedConfig>,
    approvals: Option<Approvals>,
    calls: AtomicU32,
}

#[pymethods]
impl Engine {
    /// Returns when all units taken so far are on disk; does nothing for counters in memory.
    ///
    /// Raises:
    ///     StoreError: The disk fails, or the file belongs to the parent process that this one was forked from.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| {
            let reading = counters::read_clocks()?;
            self.core.store().flush(&reading).map_err(Error::from)
        })?)
    }

    /// Marks the counters' file as complete and releases it; does nothing if repeated, or for counters in memory.
    ///
    /// Later calls that need a counter are denied. An unreferenced engine is closed automatically. A file that was not
    /// closed is only checked more closely when it is opened.
    ///
    /// Raises:
    ///     StoreError: The disk fails, and the file is in the state after a kill. Or the file belongs to the parent
    ///         process that this one was forked from, and is not changed.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| {
            let reading = counters::read_clocks()?;
            self.core.store().close(&reading).map_err(Error::from)
        })?)
    }

    /// The number of live counters, and its limit.
    #[getter]
    fn counters(&self, py: Python<'_>) -> (usize, usize) {
        self.counting(py, || self.core.counters())
    }

    /// The policies in force.
    #[getter]
    fn policies<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let state = self.core.snapshot();
        PyTuple::new(
            py,
            state.policies().map(|policy| PolicyInfo {
                server: policy.server().map(str::to_owned),
                name: policy.name().to_owned(),
                version: policy.version().to_owned(),
                tools: policy.tools().to_vec(),
            }),
        )
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let (alive, capacity) = self.counters(py);
        let state = self.core.snapshot();
        let policies: Vec<_> = state
            .policies()
            .map(|policy| format!("{}@{}", policy.name(), policy.version()))
            .collect();
        format!(
            "<Engine policies=[{}] counters={alive}/{capacity}>",
            policies.join(", ")
        )
    }
}
