//! `Approval`: the state of an approval.

use callgate_server::{ApprovalState, ApprovalView};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::text;

/// A person's permission for one exact call.
///
/// `Client.approval`, `Client.wait_for_approval` and `Engine.approval` return it.
#[pyclass(frozen, eq, hash, module = "callgate._callgate")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Approval {
    id: String,
    state: &'static str,
    rule: String,
    approvers: Vec<String>,
    reason: String,
    until_us: u64,
    permit: String,
}

impl From<ApprovalView> for Approval {
    fn from(view: ApprovalView) -> Self {
        Self {
            id: view.id,
            state: view.state.as_str(),
            rule: view.rule,
            approvers: view.approvers,
            reason: view.reason,
            until_us: view.until_us,
            permit: view.permit,
        }
    }
}

impl Approval {
    /// The same as the data plane takes it.
    pub(crate) fn to_view(&self) -> PyResult<ApprovalView> {
        Ok(ApprovalView {
            id: self.id.clone(),
            state: state(self.state)?,
            rule: self.rule.clone(),
            approvers: self.approvers.clone(),
            reason: self.reason.clone(),
            until_us: self.until_us,
            permit: self.permit.clone(),
        })
    }
}

#[pymethods]
impl Approval {
    #[new]
    #[pyo3(signature = (
        *, id, state, rule = "", approvers = Vec::new(), reason = "", until_us = 0, permit = ""
    ))]
    fn py_new(
        id: &str,
        state: &str,
        rule: &str,
        approvers: Vec<String>,
        reason: &str,
        until_us: u64,
        permit: &str,
    ) -> PyResult<Self> {
        Ok(Self {
            id: id.to_owned(),
            state: self::state(state)?.as_str(),
            rule: rule.to_owned(),
            approvers,
            reason: reason.to_owned(),
            until_us,
            permit: permit.to_owned(),
        })
    }
    /// Its id.
    #[getter]
    fn id(&self) -> &str {
        &self.id
    }
    /// One of ``pending``, ``approved``, ``denied``, ``consumed``, ``expired`` and ``ended``.
    #[getter]
    const fn state(&self) -> &'static str {
        self.state
    }
    /// Rule pointer of the first rule that lacks answers; empty unless it is pending.
    #[getter]
    fn rule(&self) -> &str {
        &self.rule
    }
    /// Groups whose people this rule asks; empty for any approver, and unless it is pending.
    #[getter]
    fn approvers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.approvers)
    }
    /// Reason of the denial; may be empty.
    #[getter]
    fn reason(&self) -> &str {
        &self.reason
    }
    /// Unix microseconds at which a pending, approved or denied one ends; else 0.
    #[getter]
    const fn until_us(&self) -> u64 {
        self.until_us
    }
    /// Id of the permit that was made of it; empty without one.
    #[getter]
    fn permit(&self) -> &str {
        &self.permit
    }
    /// True if the same call may be made now: it is approved, or a permit was made of it.
    #[getter]
    fn is_given(&self) -> bool {
        self.state == ApprovalState::Approved.as_str() || !self.permit.is_empty()
    }
    /// The fields by name.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let fields = PyDict::new(py);
        fields.set_item("id", &self.id)?;
        fields.set_item("state", self.state)?;
        fields.set_item("rule", &self.rule)?;
        fields.set_item("approvers", PyTuple::new(py, &self.approvers)?)?;
        fields.set_item("reason", &self.reason)?;
        fields.set_item("until_us", self.until_us)?;
        fields.set_item("permit", &self.permit)?;
        Ok(fields)
    }
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        text::reduced(slf.as_any(), &slf.get().to_dict(slf.py())?)
    }
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let id = text::shown(py, &self.id)?;
        Ok(format!("<Approval {} id={id}>", self.state))
    }
}

fn state(word: &str) -> PyResult<ApprovalState> {
    ApprovalState::named(word).ok_or_else(|| {
        let words = ApprovalState::ALL.map(ApprovalState::as_str).join("`, `");
        PyValueError::new_err(format!("`state` is `{word}`: expected one of `{words}`"))
    })
}
