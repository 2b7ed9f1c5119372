//! `Engine`: policies and counters in this process.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use callgate_core::engine::{Policies, ResetNames};
use callgate_core::{EngineConfig, Now, Pep, Scratch, State};
use callgate_counters::ReservationLimits;
use callgate_server::{Clock, random_key, random_reservation_id};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict, PyString, PyTuple};

use crate::call::{CallError, PythonCall};
use crate::clock::{instant, system};
use crate::counters;
use crate::decision::{Decision, reservation_id};
use crate::error::Error;
use crate::explain::Explanation;
use crate::keywords::keywords;
use crate::peek::Peek;
use crate::{args, load, setup};

/// The limit of open reservations; beyond it the oldest one is committed.
const RESERVATION_CAPACITY: usize = 1 << 16;

keywords! {
    /// The sizes of an engine, and the place of its counters.
    struct Sizes {
        /// The limit of live counters. Each takes up to 2 KiB when it is in use.
        counter_capacity: usize = 1 << 20,
        /// The limit of live counters per grant.
        counters_per_grant: usize = 1 << 16,
        /// The time in which a reservation can be rolled back (`docs/policy.md` section 2), in milliseconds.
        reservation_ttl_ms: u64 = 30_000,
        /// `memory`, also by default, or `file:PATH`.
        counters: Option<String> = None,
        /// The interval in which a server writes counters in a file to disk.
        flush_interval_ms: u64 = 1_000,
        /// The limit of open reservations per grant.
        reservations_per_grant: usize = 1 << 12,
        /// The limit of open reservations per enforcement point.
        reservations_per_pep: usize = 1 << 15,
    }
}

/// An engine without a server has no background task: every so many calls sweep this many counters.
const CALLS_PER_SWEEP: u32 = 256;
const SWEEP_BUDGET: usize = 512;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Policies and counters in this process.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct Engine {
    pub(crate) core: Arc<callgate_core::Engine>,
    pub(crate) clock: Clock,
    pub(crate) flush_interval_ms: u64,
    calls: AtomicU32,
}

fn config(sizes: &Sizes) -> PyResult<EngineConfig> {
    for (name, most) in [
        ("reservations_per_grant", sizes.reservations_per_grant),
        ("reservations_per_pep", sizes.reservations_per_pep),
    ] {
        if !(1..=RESERVATION_CAPACITY).contains(&most) {
            let fault = format!("expected 1 to {RESERVATION_CAPACITY}, got {most}");
            return Err(Error::Value(name.to_owned(), fault).into());
        }
    }
    Ok(EngineConfig {
        counter_capacity: sizes.counter_capacity,
        counters_per_grant: sizes.counters_per_grant,
        reservation_ttl_ms: sizes.reservation_ttl_ms,
        reservations: ReservationLimits {
            capacity: RESERVATION_CAPACITY,
            per_grant: sizes.reservations_per_grant,
            per_pep: sizes.reservations_per_pep,
        },
        hash_key: random_key().map_err(no_randomness)?,
    })
}

impl Engine {
    fn build(py: Python<'_>, state: State, sizes: &Sizes) -> PyResult<Self> {
        let config = config(sizes)?;
        let core = match counters::place(sizes.counters.as_deref())? {
            None => callgate_core::Engine::new(state, config),
            Some(path) => py.detach(|| {
                let reading = counters::read_clocks()?;
                callgate_core::Engine::open(state, config, &path, &reading).map_err(Error::from)
            })?,
        };
        let clock = system().shifted(core.store().clock_shift_us());
        Ok(Self {
            core: Arc::new(core),
            clock,
            flush_interval_ms: sizes.flush_interval_ms,
            calls: AtomicU32::new(0),
        })
    }

    /// An engine with one policy from Python values or JSON.
    fn in_memory(
        py: Python<'_>,
        policy: &Bound<'_, PyAny>,
        catalogue: Option<&Bound<'_, PyAny>>,
        sizes: &Sizes,
    ) -> PyResult<Self> {
        let document = args::to_json(policy)?;
        let state = compile(py, catalogue, || load::policy_in_memory(&document))?;
        Self::build(py, state, sizes)
    }

    /// The instant of a call: `now_ms` if given, else the engine's clock.
    fn instant(&self, now_ms: Option<&Bound<'_, PyAny>>) -> PyResult<Now> {
        // Checked for every call, so that a fork in the wrong place is found before the first limit is met.
        self.core.store().check_ours().map_err(Error::from)?;
        match now_ms {
            None => Ok(self.clock.now()),
            Some(_) if self.core.store().is_durable() => Err(PyValueError::new_err(
                "a time was given to an engine whose counters are in a file, expected none: they live on the machine's \
                 clock; keep them in memory for tests and simulation",
            )),
            Some(now_ms) => instant(now_ms),
        }
    }

    fn sweep_periodically(&self, now: Now) {
        // Relaxed: the count of calls orders nothing.
        if self.calls.fetch_add(1, Ordering::Relaxed) % CALLS_PER_SWEEP == CALLS_PER_SWEEP - 1 {
            self.core.sweep(now, SWEEP_BUDGET);
        }
    }
}

pub(crate) fn no_randomness(error: impl std::fmt::Display) -> PyErr {
    PyOSError::new_err(format!("the operating system gives no random numbers: {error}"))
}

/// Reads and compiles documents without blocking other Python threads.
pub(crate) fn compile(
    py: Python<'_>,
    catalogue: Option<&Bound<'_, PyAny>>,
    policies: impl FnOnce() -> Result<Policies, Error> + Send,
) -> PyResult<State> {
    let catalogue = load::catalogue(catalogue)?;
    let state = py.detach(|| Ok::<_, Error>(State::build(policies()?, catalogue)?))?;
    Ok(state)
}

#[pymethods]
impl Engine {
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

    #[pyo3(signature = (policy, catalogue = None))]
    fn reload_dict(
        &self,
        py: Python<'_>,
        policy: &Bound<'_, PyDict>,
        catalogue: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.reload_json(py, policy, catalogue)
    }

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
            SCRATCH.with_borrow_mut(|scratch| Decision::from(self.core.decide(&state, request, now, scratch)))
        });
        match decided {
            Ok(decision) => Ok(decision),
            Err(CallError::NotUnicode(field)) => Ok(Decision::not_unicode(field, now.unix_us())),
            Err(CallError::Python(error)) => Err(error),
        }
    }

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
            SCRATCH.with_borrow_mut(|scratch| self.core.explain(&state, request, now, scratch))
        });
        match explained {
            Ok(explanation) => Explanation::from_core(py, explanation),
            Err(CallError::NotUnicode(field)) => {
                Explanation::without_steps(py, Decision::not_unicode(field, now.unix_us()))
            }
            Err(CallError::Python(error)) => Err(error),
        }
    }

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
            SCRATCH
                .with_borrow_mut(|scratch| Peek::from_core(py, self.core.peek(&state, request, now, scratch)))
        });
        match peeked {
            Ok(peek) => peek,
            Err(CallError::NotUnicode(field)) => {
                Peek::refused(py, Decision::not_unicode(field, now.unix_us()))
            }
            Err(CallError::Python(error)) => Err(error),
        }
    }

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

    #[pyo3(signature = (reservation, *, now_ms = None))]
    fn roll_back(&self, reservation: &str, now_ms: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        Ok(self.core.roll_back(
            reservation_id(reservation)?,
            Pep::UNNAMED.id,
            self.instant(now_ms)?,
        ))
    }

    #[pyo3(signature = (reservation, *, now_ms = None))]
    fn commit(&self, reservation: &str, now_ms: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        Ok(self.core.commit(
            reservation_id(reservation)?,
            Pep::UNNAMED.id,
            self.instant(now_ms)?,
        ))
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| {
            let reading = counters::read_clocks()?;
            self.core.store().flush(&reading).map_err(Error::from)
        })?)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| {
            let reading = counters::read_clocks()?;
            self.core.store().close(&reading).map_err(Error::from)
        })?)
    }

    /// The number of live counters, and its limit.
    #[getter]
    fn counters(&self) -> (usize, usize) {
        self.core.counters()
    }

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

    fn __repr__(&self) -> String {
        let (alive, capacity) = self.core.counters();
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

/// Facts about one loaded policy.
#[pyclass(frozen, eq, hash, get_all, module = "callgate._callgate")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct PolicyInfo {
    server: Option<String>,
    name: String,
    version: String,
    tools: Vec<String>,
}

#[pymethods]
impl PolicyInfo {
    fn __repr__(&self) -> String {
        let Self {
            server,
            name,
            version,
            tools,
        } = self;
        let server = server.as_deref().unwrap_or("(any)");
        format!(
            "<PolicyInfo server={server} name={name} version={version} tools={}>",
            tools.len()
        )
    }
}
