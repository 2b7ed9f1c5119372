//! The sizes of an engine, and the place of its counters.

use std::sync::Arc;

use callgate_core::{EngineConfig, State};
use callgate_counters::lease::Shared;
use callgate_counters::{ReadClocks, ReservationLimits};
use callgate_server::random_key;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::approvals::ApprovalQueue;
use crate::counters;
use crate::error::Error;
use crate::keywords::keywords;
use crate::shared::SharedArgument;

/// The limit of open reservations; beyond it the oldest one is committed.
const RESERVATION_CAPACITY: usize = 1 << 16;

keywords! {
    /// The sizes of an engine, and the place of its counters.
    pub(crate) struct Sizes {
        /// The limit of live counters. Each takes up to 2 KiB when it is in use.
        counter_capacity: usize = 1 << 20,
        /// The limit of live counters per grant.
        counters_per_grant: usize = 1 << 16,
        /// The time in which a reservation can be rolled back (`docs/policy.md` section 2), in milliseconds.
        reservation_ttl_ms: u64 = 30_000,
        /// `memory`, also by default, or `file:PATH`.
        counters: Option<String> = None,
        /// Other processes may have the file of the counters, or ask this one for them.
        share_counters: bool = false,
        /// The queue of questions about calls that need a person's approval.
        approvals: Queue = Queue::Unsaid,
        /// The interval in which a server writes counters in a file to disk.
        flush_interval_ms: u64 = 1_000,
        /// The limit of open reservations per grant.
        reservations_per_grant: usize = 1 << 12,
        /// The store of counters that nodes share.
        shared: Option<SharedArgument> = None,
        /// The limit of open reservations per enforcement point.
        reservations_per_pep: usize = 1 << 15,
    }
}

/// The queue of questions of an engine.
pub(crate) enum Queue {
    /// Nobody has thought of it.
    Unsaid,
    /// It was passed; or None, for an engine that asks nobody or whose server asks.
    Said(Option<Py<ApprovalQueue>>),
}

impl Queue {
    pub(crate) const fn get(&self) -> Option<&Py<ApprovalQueue>> {
        match self {
            Self::Said(Some(queue)) => Some(queue),
            Self::Said(None) | Self::Unsaid => None,
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Queue {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self::Said(value.extract()?))
    }
}

impl Sizes {
    /// Makes an engine of these sizes; opens the file of its counters, if they are in one.
    pub(crate) fn engine(&self, py: Python<'_>, state: State) -> PyResult<callgate_core::Engine> {
        let engine = self.engine_of_one(py, state)?;
        if let Some(shared) = &self.shared {
            if self.share_counters {
                let fault =
                    "expected counters of this process alone beside a store that nodes share".to_owned();
                return Err(Error::Value("share_counters".to_owned(), fault).into());
            }
            engine.share(Arc::new(Shared::new(shared.hash_key)));
        }
        Ok(engine)
    }

    fn engine_of_one(&self, py: Python<'_>, state: State) -> PyResult<callgate_core::Engine> {
        let config = self.config()?;
        let Some(path) = counters::place(self.counters.as_deref())? else {
            if self.share_counters {
                let fault = "expected counters in a file, those in memory have one process".to_owned();
                return Err(Error::Value("share_counters".to_owned(), fault).into());
            }
            return Ok(callgate_core::Engine::new(state, config));
        };
        let engine = py.detach(|| {
            if self.share_counters {
                let clocks = ReadClocks::new(callgate_server::read_clocks);
                return callgate_core::Engine::open_shared(state, config, &path, clocks).map_err(Error::from);
            }
            let clocks = callgate_server::read_clocks;
            callgate_core::Engine::open(state, config, &path, clocks).map_err(Error::from)
        })?;
        Ok(engine)
    }

    fn config(&self) -> PyResult<EngineConfig> {
        for (name, most) in [
            ("reservations_per_grant", self.reservations_per_grant),
            ("reservations_per_pep", self.reservations_per_pep),
        ] {
            if !(1..=RESERVATION_CAPACITY).contains(&most) {
                let fault = format!("expected 1 to {RESERVATION_CAPACITY}, got {most}");
                return Err(Error::Value(name.to_owned(), fault).into());
            }
        }
        Ok(EngineConfig {
            counter_capacity: self.counter_capacity,
            counters_per_grant: self.counters_per_grant,
            reservation_ttl_ms: self.reservation_ttl_ms,
            reservations: ReservationLimits {
                capacity: RESERVATION_CAPACITY,
                per_grant: self.reservations_per_grant,
                per_pep: self.reservations_per_pep,
            },
            hash_key: random_key().map_err(no_randomness)?,
        })
    }
}

pub(crate) fn no_randomness(error: impl std::fmt::Display) -> PyErr {
    PyOSError::new_err(format!("the operating system gives no random numbers: {error}"))
}
