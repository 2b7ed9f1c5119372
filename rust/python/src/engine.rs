//! `Engine`: policies and counters in this process.

mod inner;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use callgate_core::Pep;
use callgate_core::engine::ResetNames;
use callgate_core::freeze::{Freeze, FreezeSource};
use callgate_server::{Approvals, Clock, LookError, random_reservation_id};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict, PyString, PyTuple};

use crate::approval::Approval;
use crate::call::{CallError, PythonCall};
use crate::decision::{Decision, reservation_id};
use crate::error::Error;
use crate::explain::Explanation;
use crate::peek::Peek;
use crate::policy_info::PolicyInfo;
use crate::sizes::{Sizes, no_randomness};
use crate::{args, counters, freezes, load, setup};
use inner::SCRATCH;

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
///   None denies them, ``(approval store unavailable)``.
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
    approvals: Option<Approvals>,
    calls: AtomicU32,
}

#[pymethods]
impl Engine {
    /// Reads a policy file, which serves every server, or a folder of them, in which a file's stem names its server.
    ///
    /// Args:
    ///     path: ``*.json``, ``*.yaml`` or ``*.yml``, or a folder of such files.
    ///     catalogue: Facts about the tools.
    ///     **sizes: The sizes of the engine, and the place of its counters; see `Engine`.
    ///
    /// Raises:
    ///     PolicyError: A document has a fault.
    ///     ConfigError: A file cannot be read, a folder contains no policy, or `counters` is not a valid place.
    ///     StoreError: The counters' file is in use, damaged, foreign or newer, or the disk is full.
    #[staticmethod]
    #[pyo3(signature = (path, catalogue = None, **sizes))]
    fn from_file(
        py: Python<'_>,
        path: PathBuf,
        catalogue: Option<&Bound<'_, PyAny>>,
        sizes: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let sizes = Sizes::read("Engine.from_file()", sizes)?;
        let state = compile(py, catalogue, move || load::policies_at(&path))?;
        Self::build(py, state, &sizes)
    }

    /// Takes a policy for every server as Python values; numbers are exact, including `decimal.Decimal`.
    ///
    /// Raises:
    ///     PolicyError: The document has a fault.
    #[staticmethod]
    #[pyo3(signature = (policy, catalogue = None, **sizes))]
    fn from_dict(
        py: Python<'_>,
        policy: &Bound<'_, PyDict>,
        catalogue: Option<&Bound<'_, PyAny>>,
        sizes: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let sizes = Sizes::read("Engine.from_dict()", sizes)?;
        Self::in_memory(py, policy, catalogue, &sizes)
    }

    /// Takes a policy for every server as a JSON document.
    ///
    /// Raises:
    ///     PolicyError: The document has a fault.
    #[staticmethod]
    #[pyo3(signature = (policy, catalogue = None, **sizes))]
    fn from_json(
        py: Python<'_>,
        policy: &Bound<'_, PyAny>,
        catalogue: Option<&Bound<'_, PyAny>>,
        sizes: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let sizes = Sizes::read("Engine.from_json()", sizes)?;
        Self::in_memory(py, policy, catalogue, &sizes)
    }

    /// Takes a whole configuration, with the contents of its files.
    ///
    /// Args:
    ///     policies: Policies by key: the file's name and its contents. The suffix of the name gives the format, and
    ///         messages contain the name.
    ///     servers: The known servers, each with the key of the policy that decides as long as no grants are
    ///         configured; None denies all calls, ``(no policy)``.
    ///     grants: Each with ``id``; ``server`` and ``policy`` (a key; if absent, every call is denied), or
    ///         ``servers``, a mapping of servers to such keys; ``token_hash`` (see `hash_token`), or ``tokens``, at
    ///         most two, each with ``hash`` and optionally its end ``until_us`` (with neither, only a PEP that vouches
    ///         can name it); ``labels``, ``expires_at_us`` and ``revoked``. Times are microseconds since 1970. With an
    ///         empty list every call is denied, ``(unknown grant)``. With None, callers name the grant that is charged.
    ///     grant_key: 32 bytes, the key of the token hashes.
    ///     catalogue: Facts about the tools.
    ///     rate_limits: Files of rate limits: the name of each, whose suffix gives the format, and its contents.
    ///     **sizes: See `from_file`.
    ///
    /// Raises:
    ///     PolicyError: A document has a fault.
    ///     ConfigError: Another part has a fault; the message names the server or grant.
    #[staticmethod]
    #[pyo3(signature = (
        *, policies, servers, grants = None, grant_key = None, catalogue = None, rate_limits = None, **sizes
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "one keyword per part of a configuration"
    )]
    fn from_config(
        py: Python<'_>,
        policies: &Bound<'_, PyAny>,
        servers: &Bound<'_, PyAny>,
        grants: Option<&Bound<'_, PyAny>>,
        grant_key: Option<&[u8]>,
        catalogue: Option<&Bound<'_, PyAny>>,
        rate_limits: Option<&Bound<'_, PyAny>>,
        sizes: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let sizes = Sizes::read("Engine.from_config()", sizes)?;
        let state = setup::state(py, policies, servers, grants, grant_key, catalogue, rate_limits)?;
        Self::build(py, state, &sizes)
    }

    /// Reloads like `reload_file`, with the arguments of `from_config`.
    #[pyo3(signature = (*, policies, servers, grants = None, grant_key = None, catalogue = None, rate_limits = None))]
    #[expect(
        clippy::too_many_arguments,
        reason = "one keyword per part of a configuration"
    )]
    fn reload_config(
        &self,
        py: Python<'_>,
        policies: &Bound<'_, PyAny>,
        servers: &Bound<'_, PyAny>,
        grants: Option<&Bound<'_, PyAny>>,
        grant_key: Option<&[u8]>,
        catalogue: Option<&Bound<'_, PyAny>>,
        rate_limits: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let state = setup::state(py, policies, servers, grants, grant_key, catalogue, rate_limits)?;
        py.detach(|| self.core.reload(state));
        Ok(())
    }

    /// Replaces the policies by those that `from_file` would read; counters of unchanged identity keep their units.
    ///
    /// Raises:
    ///     PolicyError: A document has a fault. The old policies stay in force.
    ///     ConfigError: A file cannot be read. The old policies stay in force.
    #[pyo3(signature = (path, catalogue = None))]
    fn reload_file(
        &self,
        py: Python<'_>,
        path: PathBuf,
        catalogue: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.core
            .reload(compile(py, catalogue, move || load::policies_at(&path))?);
        Ok(())
    }

    /// Reloads like `reload_file`, with a policy in the form of `from_dict`.
    #[pyo3(signature = (policy, catalogue = None))]
    fn reload_dict(
        &self,
        py: Python<'_>,
        policy: &Bound<'_, PyDict>,
        catalogue: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.reload_json(py, policy, catalogue)
    }

    /// Reloads like `reload_file`, with a policy in the form of `from_json`.
    #[pyo3(signature = (policy, catalogue = None))]
    fn reload_json(
        &self,
        py: Python<'_>,
        policy: &Bound<'_, PyAny>,
        catalogue: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let document = args::to_json(policy)?;
        self.core
            .reload(compile(py, catalogue, || load::policy_in_memory(&document))?);
        Ok(())
    }

    /// Decides one call, and takes units from its limits if it is allowed.
    ///
    /// The answer to a malformed request is a denial with rule ``(invalid request)``, not an exception.
    ///
    /// Args:
    ///     tool: Tool name, compared exactly.
    ///     grant: Id of the grant that is charged; either this or `grant_token`.
    ///     args: The arguments: a dict (of dicts, lists, tuples, strings, ints, floats, `decimal.Decimal`, booleans
    ///         and None), or the JSON text of an object as bytes or str. None means no arguments.
    ///     server: Server name; None means the one ``server`` of `grant_token`'s grant, else ``srv``, in all protocols.
    ///     session: Session id; None for a sessionless call.
    ///     labels: The grant's labels; only as long as no grants are configured.
    ///     now_ms: The time, for tests and simulation: milliseconds since 1970, to the nearest microsecond. None reads
    ///         the system's clock. Do not mix both in one engine, because its counters depend on the clock; counters in
    ///         a file accept only the system's clock.
    ///     reserve: Request a reservation, so that `roll_back` can return the units.
    ///     grant_token: The caller's own token, which determines the grant and its labels.
    ///     vouched: True if `grant` may name a configured grant. Pass False if the id comes from a source that is not
    ///         trusted to name it.
    ///
    /// Raises:
    ///     TypeError: An argument has an invalid type.
    ///     ValueError: `now_ms` is not a valid time, or the counters are in a file.
    ///     StoreError: The counters' file belongs to the parent process that this one was forked from; `explain`,
    ///         `peek`, `reset`, `roll_back` and `commit` raise it too.
    #[pyo3(signature = (
        *, tool, grant = None, args = None, server = None, session = None, labels = None, now_ms = None, reserve = false,
        grant_token = None, vouched = true
    ))]
    #[expect(clippy::too_many_arguments, reason = "one keyword per field of a call")]
    fn check(
        &self,
        tool: &Bound<'_, PyString>,
        grant: Option<&Bound<'_, PyString>>,
        args: Option<&Bound<'_, PyAny>>,
        server: Option<&Bound<'_, PyString>>,
        session: Option<&Bound<'_, PyString>>,
        labels: Option<&Bound<'_, PyDict>>,
        now_ms: Option<&Bound<'_, PyAny>>,
        reserve: bool,
        grant_token: Option<&Bound<'_, PyString>>,
        vouched: bool,
    ) -> PyResult<Decision> {
        let reservation = if reserve {
            Some(random_reservation_id().map_err(no_randomness)?)
        } else {
            None
        };
        let now = self.instant(now_ms)?;
        let fixed = now_ms.map(|_| now);
        self.sweep_periodically(now);
        let decided = PythonCall {
            grant,
            grant_token,
            tool,
            args,
            server,
            session,
            labels,
            vouched,
        }
        .ask(reservation, |request| {
            let state = self.core.snapshot();
            self.counting(tool.py(), || {
                SCRATCH.with_borrow_mut(|scratch| self.decide(&state, request, now, scratch))
            })
            .unwrap_or_else(|asked| tool.py().detach(|| self.wait(&state, *asked, fixed)))
        });
        match decided {
            Ok(decision) => Ok(decision),
            Err(CallError::NotUnicode(field)) => Ok(Decision::not_unicode(field, now.unix_us())),
            Err(CallError::Python(error)) => Err(error),
        }
    }

    /// Decides like `check`, but takes no units and returns the steps to the decision.
    #[pyo3(signature = (
        *, tool, grant = None, args = None, server = None, session = None, labels = None, now_ms = None,
        grant_token = None, vouched = true
    ))]
    #[expect(clippy::too_many_arguments, reason = "one keyword per field of a call")]
    fn explain(
        &self,
        py: Python<'_>,
        tool: &Bound<'_, PyString>,
        grant: Option<&Bound<'_, PyString>>,
        args: Option<&Bound<'_, PyAny>>,
        server: Option<&Bound<'_, PyString>>,
        session: Option<&Bound<'_, PyString>>,
        labels: Option<&Bound<'_, PyDict>>,
        now_ms: Option<&Bound<'_, PyAny>>,
        grant_token: Option<&Bound<'_, PyString>>,
        vouched: bool,
    ) -> PyResult<Explanation> {
        let now = self.instant(now_ms)?;
        let explained = PythonCall {
            grant,
            grant_token,
            tool,
            args,
            server,
            session,
            labels,
            vouched,
        }
        .ask(None, |request| {
            let state = self.core.snapshot();
            self.counting(py, || {
                SCRATCH.with_borrow_mut(|scratch| self.core.explain(&state, request, now, scratch))
            })
        });
        match explained {
            Ok(explanation) => Explanation::from_core(py, explanation),
            Err(CallError::NotUnicode(field)) => {
                Explanation::without_steps(py, Decision::not_unicode(field, now.unix_us()))
            }
            Err(CallError::Python(error)) => Err(error),
        }
    }

    /// Looks at what is left for a caller, of one tool or without `tool` of any; takes no units.
    ///
    /// The arguments are those of `check`.
    ///
    /// Raises:
    ///     TypeError: An argument has an invalid type.
    ///     ValueError: `now_ms` is not a valid time, or the counters are in a file.
    #[pyo3(signature = (
        *, grant = None, tool = None, args = None, server = None, session = None, labels = None, now_ms = None,
        grant_token = None, vouched = true
    ))]
    #[expect(clippy::too_many_arguments, reason = "one keyword per field of a call")]
    fn peek(
        &self,
        py: Python<'_>,
        grant: Option<&Bound<'_, PyString>>,
        tool: Option<&Bound<'_, PyString>>,
        args: Option<&Bound<'_, PyAny>>,
        server: Option<&Bound<'_, PyString>>,
        session: Option<&Bound<'_, PyString>>,
        labels: Option<&Bound<'_, PyDict>>,
        now_ms: Option<&Bound<'_, PyAny>>,
        grant_token: Option<&Bound<'_, PyString>>,
        vouched: bool,
    ) -> PyResult<Peek> {
        let now = self.instant(now_ms)?;
        let no_tool = PyString::new(py, "");
        let peeked = PythonCall {
            grant,
            grant_token,
            tool: tool.unwrap_or(&no_tool),
            args,
            server,
            session,
            labels,
            vouched,
        }
        .ask(None, |request| {
            let state = self.core.snapshot();
            let peeked = self.counting(py, || {
                SCRATCH.with_borrow_mut(|scratch| self.core.peek(&state, request, now, scratch))
            });
            Peek::from_core(py, peeked)
        });
        match peeked {
            Ok(peek) => peek,
            Err(CallError::NotUnicode(field)) => {
                Peek::refused(py, Decision::not_unicode(field, now.unix_us()))
            }
            Err(CallError::Python(error)) => Err(error),
        }
    }

    /// True if calls may wait for people, so that `check` blocks for up to the deadline of `approvals`.
    #[getter]
    const fn has_approvals(&self) -> bool {
        self.approvals.is_some()
    }

    /// Returns an approval in its present state; None if there is none with this id.
    ///
    /// Args:
    ///     id: The id that a decision has as `approval`.
    ///
    /// Raises:
    ///     StoreError: Nobody answers for `approvals`, or not in time.
    #[pyo3(signature = (id))]
    fn approval(&self, py: Python<'_>, id: &str) -> PyResult<Option<Approval>> {
        let found = py.detach(|| {
            let approvals = self.approvals.as_ref().ok_or(LookError::Unavailable)?;
            approvals.look_blocking(id)
        });
        Ok(found.map_err(Error::Approvals)?.map(Approval::from))
    }

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
    ///     ``limits`` that were reset and those that were ``kept``, each with ``policy``, ``rule``, ``counter`` and the
    ///     latter with the ``reason``; ``grant_counters``, the live counters that the grant had made, None without one.
    ///
    /// Raises:
    ///     ConfigError: No limit was reset, and why.
    ///     ValueError: `now_ms` is not a valid time, or the counters are in a file.
    ///     StoreError: The file of the counters cannot be written.
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

    /// Returns a reservation's units; False if the id is unknown, expired or already settled.
    ///
    /// Raises:
    ///     ValueError: Not an id of a reservation.
    #[pyo3(signature = (reservation, *, now_ms = None))]
    fn roll_back(
        &self,
        py: Python<'_>,
        reservation: &str,
        now_ms: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let id = reservation_id(reservation)?;
        let now = self.instant(now_ms)?;
        let is_settled = self.counting(py, || self.core.roll_back(id, Pep::UNNAMED.id, now));
        Ok(self.settle_use(is_settled, Approvals::roll_back, id))
    }

    /// Keeps a reservation's units permanently; False if the id is unknown, expired or already settled.
    ///
    /// Raises:
    ///     ValueError: Not an id of a reservation.
    #[pyo3(signature = (reservation, *, now_ms = None))]
    fn commit(&self, reservation: &str, now_ms: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let id = reservation_id(reservation)?;
        let is_settled = self.core.commit(id, Pep::UNNAMED.id, self.instant(now_ms)?);
        Ok(self.settle_use(is_settled, Approvals::commit, id))
    }

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
