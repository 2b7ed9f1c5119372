//! Changes by operators: counts that begin anew, and calls that are frozen.

use callgate_core::engine::{CarryNames, ResetNames};
use callgate_core::freeze::{Freeze, FreezeSource};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict};

use super::Engine;
use crate::error::Error;
use crate::{counters, freezes};

#[pymethods]
impl Engine {
    /// Lets the counts that all of these names select begin anew, for every later call; at least one is expected.
    ///
    /// A count that is kept for more than what is named stays as it is: a limit for all grants is not reset for one.
    ///
    /// Args:
    ///     grant: Id of a grant.
    ///     policy: Name of a policy.
    ///     tool: Name of a tool.
    ///     counter: Name of a counter.
    ///     now_ms: The time, as in `check`.
    ///
    /// Returns:
    ///     ``limits`` that were reset and those that were ``kept``, each with ``policy``, ``rule``, ``counter``, and
    ///     ``shared`` for counts of all nodes that share a store, the latter with the ``reason``; ``grant_counters``,
    ///     the live counters that the grant had made here, None without one.
    ///
    /// Raises:
    ///     ConfigError: No limit was reset, and why.
    ///     ValueError: `now_ms` is not a valid time, or the counters are in a file.
    ///     StoreError: The file of the counters cannot be written, or the store that nodes share does not answer.
    #[pyo3(signature = (*, grant = None, policy = None, tool = None, counter = None, now_ms = None))]
    fn reset<'py>(
        &self,
        py: Python<'py>,
        grant: Option<&str>,
        policy: Option<&str>,
        tool: Option<&str>,
        counter: Option<&str>,
        now_ms: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let names = ResetNames {
            grant,
            policy,
            tool,
            counter,
        };
        let now = self.instant(now_ms)?;
        let state = self.core.snapshot();
        let reset = py
            .detach(|| self.core.reset(&state, &names, now))
            .map_err(Error::Reset)?;
        counters::reset(py, &reset)
    }

    /// Adds the units that this engine has counted alone to the counts that nodes share by now, each count once.
    ///
    /// A count is added if all values that it is kept by can be named: those of the configuration, and these.
    ///
    /// Args:
    ///     grants: Ids of grants beside the configured ones.
    ///     tools: Names of tools beside those in policies.
    ///
    /// Returns:
    ///     Counts with units in use: those that were ``moved``, that were ``known`` to the store from an earlier call,
    ///     that this engine goes on keeping alone, ``local``, and those whose values nobody has named, ``left``.
    ///
    /// Raises:
    ///     ConfigError: No counts are shared, or the counters are in memory.
    ///     StoreError: The store that nodes share does not answer.
    #[pyo3(signature = (*, grants = Vec::new(), tools = Vec::new()))]
    #[expect(clippy::needless_pass_by_value, reason = "Python gives lists")]
    fn move_counters<'py>(
        &self,
        py: Python<'py>,
        grants: Vec<String>,
        tools: Vec<String>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let now = self.instant(None)?;
        let state = self.core.snapshot();
        let names = CarryNames {
            grants: &grants,
            tools: &tools,
        };
        let carried = py
            .detach(|| self.core.carry_over(&state, &names, now))
            .map_err(Error::Carry)?;
        let found = PyDict::new(py);
        found.set_item("moved", carried.moved)?;
        found.set_item("known", carried.known)?;
        found.set_item("local", carried.local)?;
        found.set_item("left", carried.left)?;
        Ok(found)
    }

    /// Stops calls that this engine decides until `thaw`: they are denied, ``(frozen)``.
    ///
    /// Without `server` and `grant`, all calls are stopped. A freeze of the same calls by this method is replaced. The
    /// freezes of a file hold beside it.
    ///
    /// Args:
    ///     reason: One line that callers are told.
    ///     server: Stop the calls at this server alone.
    ///     tool: With `server`: stop the calls of these tools alone, a name or a pattern as in policies.
    ///     grant: Stop the calls of this grant alone.
    ///     until_us: The end in microseconds since 1970; None for no end.
    ///     for_ms: The time until the end, in place of `until_us`.
    ///     now_ms: The time, as in `check`.
    ///
    /// Raises:
    ///     ConfigError: The names do not select calls, or the reason is empty or longer than a line.
    ///     ValueError: Both ends are given, or `now_ms` is not a valid time.
    #[pyo3(signature = (
        *, reason, server = None, tool = None, grant = None, until_us = None, for_ms = None, now_ms = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "one keyword per field of a freeze")]
    fn freeze(
        &self,
        reason: &str,
        server: Option<&str>,
        tool: Option<&str>,
        grant: Option<&str>,
        until_us: Option<u64>,
        for_ms: Option<u64>,
        now_ms: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let scope = freezes::scope(server, tool, grant)?;
        let freeze = freezes::freeze(scope, reason, until_us, for_ms, self.instant(now_ms)?)?;
        self.core.change_freezes(FreezeSource::Program, |freezes| {
            freezes.retain(|before| before.scope() != freeze.scope());
            freezes.push(freeze);
        });
        Ok(())
    }

    /// Ends a freeze that `freeze` has begun with the same names; False if there is none.
    ///
    /// Raises:
    ///     ConfigError: The names do not select calls.
    #[pyo3(signature = (*, server = None, tool = None, grant = None))]
    fn thaw(&self, server: Option<&str>, tool: Option<&str>, grant: Option<&str>) -> PyResult<bool> {
        let scope = freezes::scope(server, tool, grant)?;
        Ok(self.core.change_freezes(FreezeSource::Program, |freezes| {
            let before = freezes.len();
            freezes.retain(|freeze| *freeze.scope() != scope);
            freezes.len() < before
        }))
    }

    /// The freezes of this engine, also those that have ended.
    ///
    /// Returns:
    ///     For each ``server``, ``tool``, ``grant``, ``reason`` and ``until_us``, None where it has none; ``source`` is
    ///     ``program`` for one by `freeze` and ``file`` for one of a file.
    fn freezes<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let fields = |(source, freeze): (FreezeSource, Freeze)| {
            let fields = freezes::fields(py, &freeze)?;
            fields.set_item("source", source.as_str())?;
            Ok(fields)
        };
        self.core.freezes().into_iter().map(fields).collect()
    }
}
