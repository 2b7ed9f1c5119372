//! The parts of a decision: outcome, limits, shadow.

use callgate_core::{LimitState as CoreLimitState, Outcome, Shadow as CoreShadow};
use callgate_counters::Micros;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use crate::text;

/// The member of `callgate.Outcome`, a `str` enumeration that is defined in Python.
pub(super) fn member(py: Python<'_>, outcome: Outcome) -> PyResult<Bound<'_, PyAny>> {
    static OUTCOME: PyOnceLock<[Py<PyAny>; 4]> = PyOnceLock::new();
    let members = OUTCOME.get_or_try_init(py, || {
        let class = py.import("callgate.outcome")?.getattr("Outcome")?;
        let [allow, deny, limited, approval] = Outcome::ALL.map(|outcome| class.call1((outcome.as_str(),)));
        PyResult::Ok([
            allow?.unbind(),
            deny?.unbind(),
            limited?.unbind(),
            approval?.unbind(),
        ])
    })?;
    let [allow, deny, limited, approval] = members;
    let member = match outcome {
        Outcome::Allow => allow,
        Outcome::Deny => deny,
        Outcome::RateLimited => limited,
        Outcome::ApprovalRequired => approval,
    };
    Ok(member.bind(py).clone())
}

/// The outcome of this name.
pub(super) fn outcome(name: &str) -> PyResult<Outcome> {
    Outcome::ALL
        .into_iter()
        .find(|outcome| outcome.as_str() == name)
        .ok_or_else(|| {
            let names = Outcome::ALL.map(|outcome| format!("`{outcome}`")).join(", ");
            PyValueError::new_err(format!("unknown outcome `{name}`: expected one of {names}"))
        })
}

/// Units as a Python number: an int if they are whole, else a float.
pub(crate) fn units(py: Python<'_>, amount: Micros) -> PyResult<Bound<'_, PyAny>> {
    if amount.0.is_multiple_of(Micros::ONE.0) {
        return Ok((amount.0 / Micros::ONE.0).into_pyobject(py)?.into_any());
    }
    #[expect(clippy::cast_precision_loss, reason = "a float is what was asked for")]
    let value = amount.0 as f64 / Micros::ONE.0 as f64;
    Ok(value.into_pyobject(py)?.into_any())
}

/// A Python number as units, rounded to millionths.
pub(crate) fn micros(amount: f64) -> PyResult<Micros> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "the scale is a power of ten far below 2^53"
    )]
    let scaled = (amount * Micros::ONE.0 as f64).round();
    #[expect(clippy::cast_precision_loss, reason = "a bound need not be exact")]
    if !(0.0..u64::MAX as f64).contains(&scaled) {
        return Err(PyValueError::new_err(format!(
            "`{amount}` units: expected a number from 0 to 1e13"
        )));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked above"
    )]
    Ok(Micros(scaled as u64))
}

/// One limit that applied to a call.
///
/// The constructor takes units to the millionth.
#[pyclass(frozen, eq, hash, from_py_object, module = "callgate._callgate")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct LimitState {
    counter: Box<str>,
    max: Micros,
    remaining: Micros,
    over: Micros,
    reset_after_ms: u64,
}

impl From<&CoreLimitState<'_>> for LimitState {
    fn from(state: &CoreLimitState<'_>) -> Self {
        let CoreLimitState {
            counter,
            max,
            remaining,
            over,
            reset_after_ms,
            ..
        } = state;
        let counter: &str = counter;
        Self {
            counter: counter.into(),
            max: *max,
            remaining: *remaining,
            over: *over,
            reset_after_ms: *reset_after_ms,
        }
    }
}

#[pymethods]
impl LimitState {
    #[new]
    #[pyo3(signature = (counter, max, remaining, reset_after_ms, over = 0.0))]
    fn py_new(counter: String, max: f64, remaining: f64, reset_after_ms: u64, over: f64) -> PyResult<Self> {
        Ok(Self {
            counter: counter.into(),
            max: micros(max)?,
            remaining: micros(remaining)?,
            over: micros(over)?,
            reset_after_ms,
        })
    }
    /// The limit's counter name.
    #[getter]
    fn counter(&self) -> &str {
        &self.counter
    }
    /// Units per window; an int if they are whole.
    #[getter]
    fn max<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        units(py, self.max)
    }
    /// Units left after the decision; an int if they are whole.
    #[getter]
    fn remaining<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        units(py, self.remaining)
    }
    /// Units taken above `max`, which a person allowed; an int if they are whole.
    #[getter]
    fn over<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        units(py, self.over)
    }
    /// Milliseconds until all of `max` is free again, rounded up; 0 if it already is.
    #[getter]
    fn reset_after_ms(&self) -> u64 {
        self.reset_after_ms
    }
    /// The fields by name, without an `over` of 0.
    pub(super) fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("counter", self.counter())?;
        dict.set_item("max", self.max(py)?)?;
        dict.set_item("remaining", self.remaining(py)?)?;
        dict.set_item("reset_after_ms", self.reset_after_ms)?;
        if self.over.0 > 0 {
            dict.set_item("over", self.over(py)?)?;
        }
        Ok(dict)
    }
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        text::reduced(slf.as_any(), &slf.get().to_dict(slf.py())?)
    }
    pub(super) fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Self {
            counter,
            max,
            remaining,
            over,
            reset_after_ms,
        } = self;
        let counter = text::shown(py, counter)?;
        let over = if over.0 > 0 {
            format!(", over={over}")
        } else {
            String::new()
        };
        Ok(format!(
            "LimitState(counter={counter}, max={max}, remaining={remaining}, reset_after_ms={reset_after_ms}{over})"
        ))
    }
}

/// The answer under full enforcement (`docs/policy.md` section 1).
#[pyclass(frozen, eq, hash, from_py_object, module = "callgate._callgate")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shadow {
    outcome: Outcome,
    rule: Box<str>,
}

impl From<CoreShadow<'_>> for Shadow {
    fn from(shadow: CoreShadow<'_>) -> Self {
        Self {
            outcome: shadow.outcome,
            rule: shadow.rule.into_owned().into(),
        }
    }
}

#[pymethods]
impl Shadow {
    #[new]
    #[pyo3(signature = (outcome, rule))]
    fn py_new(outcome: &str, rule: String) -> PyResult<Self> {
        Ok(Self {
            outcome: self::outcome(outcome)?,
            rule: rule.into(),
        })
    }
    /// The outcome.
    #[getter]
    fn outcome<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        member(py, self.outcome)
    }
    /// The rule pointer.
    #[getter]
    fn rule(&self) -> &str {
        &self.rule
    }
    /// The fields by name.
    pub(super) fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("outcome", self.outcome.as_str())?;
        dict.set_item("rule", self.rule())?;
        Ok(dict)
    }
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        text::reduced(slf.as_any(), &slf.get().to_dict(slf.py())?)
    }
    pub(super) fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let rule = text::shown(py, &self.rule)?;
        Ok(format!("Shadow(outcome='{}', rule={rule})", self.outcome))
    }
}
