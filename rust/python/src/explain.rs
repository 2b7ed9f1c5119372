//! `Explanation`: the steps that lead to a decision.

use callgate_core::engine;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::decision::Decision;
use crate::text;

/// One condition of a check, with the types of its values; never the values.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct ConditionStep {
    step: engine::ConditionStep,
}

#[pymethods]
impl ConditionStep {
    /// The path as written.
    #[getter]
    fn path(&self) -> &str {
        &self.step.path
    }
    /// The operator.
    #[getter]
    fn op(&self) -> &str {
        self.step.op
    }
    /// Types met at the path, each once, in the order met: ``a string``, ``missing``.
    #[getter]
    fn met<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.step.met)
    }
    /// ``true``, ``presumed true``, ``presumed false``, ``false`` or ``error``, before any `not` around it.
    #[getter]
    fn result(&self) -> &str {
        self.step.result.as_str()
    }
    fn __repr__(&self) -> String {
        let engine::ConditionStep {
            path,
            op,
            met,
            result,
        } = &self.step;
        format!(
            "<ConditionStep {path} {op}: met {}: {}>",
            met.join(", "),
            result.as_str()
        )
    }
}

/// One step on the way to a decision (`docs/policy.md` section 2).
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct Step {
    step: engine::Step,
}

#[pymethods]
impl Step {
    /// The kind of the step: ``request``, ``hidden``, ``default``, ``require``, ``limit`` and so on.
    #[getter]
    fn kind(&self) -> &str {
        self.step.kind.as_str()
    }
    /// Rule pointer of the step.
    #[getter]
    fn rule(&self) -> &str {
        &self.step.rule
    }
    /// True if the rule is in shadow: it does not stop the call.
    #[getter]
    fn shadowed(&self) -> bool {
        self.step.shadowed
    }
    /// ``passed`` or ``stopped``; for a check the result of its conditions.
    #[getter]
    fn result(&self) -> &str {
        self.step.result.as_str()
    }
    /// For checks: every condition, in document order.
    #[getter]
    fn conditions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(
            py,
            self.step
                .conditions
                .iter()
                .cloned()
                .map(|step| ConditionStep { step }),
        )
    }
    fn __repr__(&self) -> String {
        let engine::Step {
            kind, rule, result, ..
        } = &self.step;
        format!("<Step {} {rule}: {}>", kind.as_str(), result.as_str())
    }
}

/// A decision and the steps to it. No units were taken.
///
/// As a string it is the text of ``callgate check --explain``.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct Explanation {
    steps: Py<PyTuple>,
    decision: Py<Decision>,
}

impl Explanation {
    pub(crate) fn from_core(py: Python<'_>, explanation: engine::Explanation) -> PyResult<Self> {
        let steps = PyTuple::new(py, explanation.steps.into_iter().map(|step| Step { step }))?;
        Ok(Self {
            steps: steps.unbind(),
            decision: Py::new(py, Decision::from(explanation.decision))?,
        })
    }

    pub(crate) fn without_steps(py: Python<'_>, decision: Decision) -> PyResult<Self> {
        Ok(Self {
            steps: PyTuple::empty(py).unbind(),
            decision: Py::new(py, decision)?,
        })
    }
}

#[pymethods]
impl Explanation {
    /// The steps in order, up to the one that decided.
    #[getter]
    fn steps(&self, py: Python<'_>) -> Py<PyTuple> {
        self.steps.clone_ref(py)
    }
    /// The decision, as it would be made now.
    #[getter]
    fn decision(&self, py: Python<'_>) -> Py<Decision> {
        self.decision.clone_ref(py)
    }
    /// The text of `callgate check --explain`.
    fn __str__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let printed = slf.py().import("callgate.printed")?;
        printed.call_method1("explanation", (slf,))
    }
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let decision = self.decision.get();
        let rule = text::shown(py, decision.rule())?;
        let steps = self.steps.bind(py).len();
        Ok(format!(
            "<Explanation {} rule={rule} steps={steps}>",
            decision.outcome_word()
        ))
    }
}
