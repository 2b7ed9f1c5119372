//! `Explanation`: the steps that lead to a decision.

use callgate_core::engine;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::decision::Decision;

/// One condition of a check, with the types of the values that it met.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct ConditionStep {
    step: engine::ConditionStep,
}

#[pymethods]
impl ConditionStep {
    #[getter]
    fn path(&self) -> &str {
        &self.step.path
    }
    #[getter]
    fn op(&self) -> &str {
        self.step.op
    }
    #[getter]
    fn met<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.step.met)
    }
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

/// One step towards a decision.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct Step {
    step: engine::Step,
}

#[pymethods]
impl Step {
    #[getter]
    fn kind(&self) -> &str {
        self.step.kind.as_str()
    }
    #[getter]
    fn rule(&self) -> &str {
        &self.step.rule
    }
    #[getter]
    fn shadowed(&self) -> bool {
        self.step.shadowed
    }
    #[getter]
    fn result(&self) -> &str {
        self.step.result.as_str()
    }
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

/// A decision with its steps.
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
    #[getter]
    fn steps(&self, py: Python<'_>) -> Py<PyTuple> {
        self.steps.clone_ref(py)
    }
    #[getter]
    fn decision(&self, py: Python<'_>) -> Py<Decision> {
        self.decision.clone_ref(py)
    }
}
