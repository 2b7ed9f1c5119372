//! `Peek`: what is left of the limits of a caller.

use std::hash::{DefaultHasher, Hash, Hasher};

use callgate_core::engine;
use callgate_counters::Micros;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::decision::{Decision, micros, set_some, units};
use crate::text;

/// One limit, as a call would meet it.
#[pyclass(frozen, eq, hash, from_py_object, module = "callgate._callgate")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct PeekedLimit {
    counter: Box<str>,
    rule: Box<str>,
    max: Micros,
    remaining: Option<Micros>,
    reset_after_ms: Option<u64>,
    retry_after_ms: Option<u64>,
    window_ms: Option<u64>,
    shadow: bool,
    missing: Vec<String>,
}

impl From<&engine::PeekedLimit<'_>> for PeekedLimit {
    fn from(limit: &engine::PeekedLimit<'_>) -> Self {
        Self {
            counter: limit.counter.into(),
            rule: limit.rule.into(),
            max: limit.max,
            remaining: limit.count.map(|count| count.remaining),
            reset_after_ms: limit.count.map(|count| count.reset_after_ms),
            retry_after_ms: limit.count.and_then(|count| count.retry_after_ms),
            window_ms: limit.count.map(|count| count.window_ms),
            shadow: limit.shadowed,
            missing: limit.missing.iter().map(|name| (*name).to_owned()).collect(),
        }
    }
}

#[pymethods]
impl PeekedLimit {
    #[new]
    #[pyo3(signature = (
        *, counter, rule, max, remaining = None, reset_after_ms = None, retry_after_ms = None, window_ms = None,
        shadow = false, missing = Vec::new()
    ))]
    #[expect(clippy::too_many_arguments, reason = "one keyword per field of a limit")]
    fn py_new(
        counter: &str,
        rule: &str,
        max: f64,
        remaining: Option<f64>,
        reset_after_ms: Option<u64>,
        retry_after_ms: Option<u64>,
        window_ms: Option<u64>,
        shadow: bool,
        missing: Vec<String>,
    ) -> PyResult<Self> {
        Ok(Self {
            counter: counter.into(),
            rule: rule.into(),
            max: micros(max)?,
            remaining: remaining.map(micros).transpose()?,
            reset_after_ms,
            retry_after_ms,
            window_ms,
            shadow,
            missing,
        })
    }
    /// The limit's counter name.
    #[getter]
    fn counter(&self) -> &str {
        &self.counter
    }
    /// Its rule pointer.
    #[getter]
    fn rule(&self) -> &str {
        &self.rule
    }
    /// Units per window; an int if they are whole.
    #[getter]
    fn max<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        units(py, self.max)
    }
    /// Units left now; None if the request does not name everything that the limit counts by.
    #[getter]
    fn remaining<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.remaining.map(|amount| units(py, amount)).transpose()
    }
    /// Milliseconds until all of `max` is free again, rounded up; None as for `remaining`.
    #[getter]
    const fn reset_after_ms(&self) -> Option<u64> {
        self.reset_after_ms
    }
    /// Milliseconds until this call's units are free, rounded up; None if its cost is not known or above `max`.
    #[getter]
    const fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }
    /// Milliseconds of the window, for a calendar window of the current one; None as for `remaining`.
    #[getter]
    const fn window_ms(&self) -> Option<u64> {
        self.window_ms
    }
    /// True if the limit is in shadow and refuses no call.
    #[getter]
    const fn shadow(&self) -> bool {
        self.shadow
    }
    /// The parts that the request lacks for the scope or the cost: `tool`, and paths of arguments.
    #[getter]
    fn missing<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.missing)
    }
    /// The fields by name, without those that are None.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("counter", self.counter())?;
        dict.set_item("rule", self.rule())?;
        dict.set_item("max", self.max(py)?)?;
        set_some(&dict, "remaining", self.remaining(py)?)?;
        set_some(&dict, "reset_after_ms", self.reset_after_ms)?;
        set_some(&dict, "retry_after_ms", self.retry_after_ms)?;
        set_some(&dict, "window_ms", self.window_ms)?;
        dict.set_item("shadow", self.shadow)?;
        dict.set_item("missing", PyList::new(py, &self.missing)?)?;
        Ok(dict)
    }
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        text::reduced(slf.as_any(), &slf.get().to_dict(slf.py())?)
    }
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let left = match (self.remaining, self.retry_after_ms) {
            (None, _) => {
                let missing = text::shown_list(&self.missing, |name| text::shown(py, name))?;
                format!("missing={missing}")
            }
            (Some(remaining), None | Some(0)) => format!("remaining={remaining}"),
            (Some(remaining), Some(retry)) => format!("remaining={remaining} retry_after_ms={retry}"),
        };
        let counter = text::shown(py, &self.counter)?;
        Ok(format!("<PeekedLimit counter={counter} max={} {left}>", self.max))
    }
}

/// The remaining units for a caller; nothing was taken.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct Peek {
    decision: Option<Py<Decision>>,
    policy: Box<str>,
    policy_version: Box<str>,
    limits: Vec<PeekedLimit>,
}

impl Peek {
    pub(crate) fn from_core(py: Python<'_>, peek: engine::Peek<'_>) -> PyResult<Self> {
        let decision = peek.decision.map(Decision::from);
        Ok(Self {
            limits: peek.limits.iter().map(PeekedLimit::from).collect(),
            policy: peek.policy.into(),
            policy_version: peek.policy_version.into(),
            decision: decision.map(|decision| Py::new(py, decision)).transpose()?,
        })
    }

    /// The answer to a request that is denied before any policy is asked.
    pub(crate) fn refused(py: Python<'_>, denial: Decision) -> PyResult<Self> {
        Ok(Self {
            decision: Some(Py::new(py, denial)?),
            policy: "".into(),
            policy_version: "".into(),
            limits: Vec::new(),
        })
    }

    /// The fields that have an equality of their own.
    fn without_decision(&self) -> (&str, &str, &[PeekedLimit]) {
        (&self.policy, &self.policy_version, &self.limits)
    }
}

#[pymethods]
impl Peek {
    #[new]
    #[pyo3(signature = (*, decision = None, policy = "", policy_version = "", limits = Vec::new()))]
    fn py_new(
        decision: Option<Py<Decision>>,
        policy: &str,
        policy_version: &str,
        limits: Vec<PeekedLimit>,
    ) -> Self {
        Self {
            decision,
            policy: policy.into(),
            policy_version: policy_version.into(),
            limits,
        }
    }
    /// The decision that the call would get now, with its limits as they are before it.
    ///
    /// Without a tool: None, or the denial of a caller that is not admitted or is frozen.
    #[getter]
    fn decision(&self, py: Python<'_>) -> Option<Py<Decision>> {
        self.decision.as_ref().map(|decision| decision.clone_ref(py))
    }
    /// The name of the policy that decides; empty if none was reached.
    #[getter]
    fn policy(&self) -> &str {
        &self.policy
    }
    /// First 12 hex digits of the SHA-256 of the canonical document.
    #[getter]
    fn policy_version(&self) -> &str {
        &self.policy_version
    }
    /// The limits of the tool, in the order in which they are examined; without a tool all limits of the policy.
    #[getter]
    fn limits<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.limits.iter().cloned())
    }
    /// The fields by name, without a `decision` that is None.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let limits = self.limits.iter().map(|limit| limit.to_dict(py));
        let limits = limits.collect::<PyResult<Vec<_>>>()?;
        let decision = self.decision.as_ref();
        let decision = decision.map(|decision| decision.get().to_dict(py)).transpose()?;
        let dict = PyDict::new(py);
        set_some(&dict, "decision", decision)?;
        dict.set_item("policy", self.policy())?;
        dict.set_item("policy_version", self.policy_version())?;
        dict.set_item("limits", PyList::new(py, limits)?)?;
        Ok(dict)
    }
    fn __eq__(&self, other: &Self) -> bool {
        let same_decision = match (&self.decision, &other.decision) {
            (Some(mine), Some(other)) => mine.get() == other.get(),
            (mine, other) => mine.is_none() && other.is_none(),
        };
        same_decision && self.without_decision() == other.without_decision()
    }
    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.without_decision().hash(&mut hasher);
        hasher.finish()
    }
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let (py, peek) = (slf.py(), slf.get());
        let fields = PyDict::new(py);
        fields.set_item("decision", peek.decision(py))?;
        fields.set_item("policy", peek.policy())?;
        fields.set_item("policy_version", peek.policy_version())?;
        fields.set_item("limits", peek.limits(py)?)?;
        text::reduced(slf.as_any(), &fields)
    }
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let decision = self.decision.as_ref();
        let decision = decision.map(|decision| decision.get().outcome_word());
        let limits = text::shown_list(&self.limits, |limit| limit.__repr__(py))?;
        let decision = decision.unwrap_or("none");
        Ok(format!("<Peek decision={decision} limits={limits}>"))
    }
}
