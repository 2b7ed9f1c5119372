//! `DecisionListener` and `GrantTally`: decisions as they are made.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use callgate_core::Outcome;
use callgate_server::DecisionFilter;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

/// Follows a server's decisions from `Server.listen` on; a context manager that stops at its end.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct DecisionListener {
    // Taken out by `close`; a thread that waits has a share of it meanwhile.
    listener: Mutex<Option<Arc<callgate_server::DecisionListener>>>,
}

impl From<callgate_server::DecisionListener> for DecisionListener {
    fn from(listener: callgate_server::DecisionListener) -> Self {
        Self {
            listener: Mutex::new(Some(Arc::new(listener))),
        }
    }
}

#[pymethods]
impl DecisionListener {
    /// Takes the JSON lines since the last call, and the number of decisions for which there was no room.
    ///
    /// Waits up to `timeout_ms` for the first one. None once the server has stopped, or after `close`.
    fn take<'py>(&self, py: Python<'py>, timeout_ms: u64) -> Option<(Bound<'py, PyBytes>, u64)> {
        let listener = self
            .listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()?;
        let (lines, dropped) = py.detach(|| listener.take(Duration::from_millis(timeout_ms)))?;
        Some((PyBytes::new(py, lines.as_bytes()), dropped))
    }

    /// Stops to listen.
    fn close(&self) {
        self.listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyTuple>) {
        self.close();
    }
}

/// Counts a server's decisions by grant from `Server.tally_grants` on; a context manager that stops at its end.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct GrantTally {
    tally: Mutex<Option<callgate_server::GrantTally>>,
}

impl From<callgate_server::GrantTally> for GrantTally {
    fn from(tally: callgate_server::GrantTally) -> Self {
        Self {
            tally: Mutex::new(Some(tally)),
        }
    }
}

/// Grant, outcome and number of decisions.
type GrantCount = (String, &'static str, u64);

#[pymethods]
impl GrantTally {
    /// Takes grant, outcome and number of decisions since the last call, and the number that was not counted.
    ///
    /// None once the server has stopped, or after `close`.
    fn take(&self) -> Option<(Vec<GrantCount>, u64)> {
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let (grants, dropped) = tally.as_ref()?.take()?;
        let mut counts = Vec::new();
        for (grant, by_outcome) in grants {
            let outcomes = Outcome::ALL.into_iter().zip(by_outcome);
            for (outcome, count) in outcomes.filter(|(_, count)| *count > 0) {
                counts.push((grant.clone(), outcome.as_str(), count));
            }
        }
        Some((counts, dropped))
    }

    /// Stops to count.
    fn close(&self) {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyTuple>) {
        self.close();
    }
}

/// Reads a filter.
pub(crate) fn filter(
    grants: Vec<String>,
    tools: Vec<String>,
    outcomes: Vec<String>,
    sampled: Option<f64>,
) -> PyResult<DecisionFilter> {
    let outcome = |name: String| {
        let found = Outcome::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == name.as_str());
        found.ok_or_else(|| {
            let known = Outcome::ALL.map(|outcome| format!("`{}`", outcome.as_str()));
            PyValueError::new_err(format!("outcome `{name}`: expected one of {}", known.join(", ")))
        })
    };
    Ok(DecisionFilter {
        grants,
        tools,
        outcomes: outcomes.into_iter().map(outcome).collect::<PyResult<_>>()?,
        sampled: sampled.map(part).transpose()?,
    })
}

/// A part from 0 to 1 as a part of 2^64.
fn part(ratio: f64) -> PyResult<u64> {
    if !(0.0..=1.0).contains(&ratio) {
        return Err(PyValueError::new_err(format!(
            "sampled `{ratio}`: expected a part from 0 to 1"
        )));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 2^64, where the cast ends at the greatest number"
    )]
    Ok((ratio * 2.0_f64.powi(64)) as u64)
}
