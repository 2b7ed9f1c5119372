//! `Decision`: an owned copy of the core's answer, converted to Python values on access.

mod parts;

use callgate_core::{Decision as CoreDecision, Outcome, ReservationId};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::text;

pub(crate) use parts::{LimitState, Shadow, micros, units};

/// The answer to one call (`docs/policy.md` section 5). Immutable, comparable and hashable.
///
/// As a boolean it is `allowed`. It equals a decision with the same fields, and a string that is its outcome:
/// ``decision == "allow"``. Its hash is that of the outcome, so sets of very many decisions are slow.
///
/// `Engine.check` makes decisions; the constructor is for those of another process, and for tests.
#[pyclass(frozen, module = "callgate._callgate")]
#[derive(PartialEq, Eq)]
pub(crate) struct Decision {
    outcome: Outcome,
    rule: Box<str>,
    message: Box<str>,
    retry_after_ms: Option<u64>,
    limits: Vec<LimitState>,
    policy: Box<str>,
    policy_version: Box<str>,
    shadow: Option<Shadow>,
    fingerprint: Option<Box<str>>,
    decided_at_us: u64,
    reservation: Option<ReservationId>,
    approval: Option<Box<str>>,
}

/// The types that a decision can be compared with; Python handles the others.
#[derive(FromPyObject)]
enum Comparand<'py> {
    Decision(Bound<'py, Decision>),
    Outcome(Bound<'py, PyString>),
}

impl From<CoreDecision<'_>> for Decision {
    fn from(decision: CoreDecision<'_>) -> Self {
        Self {
            outcome: decision.outcome,
            rule: decision.rule.into_owned().into(),
            message: decision.message.into_owned().into(),
            retry_after_ms: decision.retry_after_ms,
            limits: decision.limits.iter().map(LimitState::from).collect(),
            policy: (*decision.policy).into(),
            policy_version: (*decision.policy_version).into(),
            shadow: decision.shadow.map(Shadow::from),
            fingerprint: decision
                .fingerprint
                .map(|fingerprint| fingerprint.to_string().into()),
            decided_at_us: decision.decided_at_us,
            reservation: decision.reservation,
            approval: (!decision.approval.is_empty()).then(|| (*decision.approval).into()),
        }
    }
}

impl Decision {
    /// The answer to a call with a `field` that is not text, and so cannot be passed to the core (`docs/policy.md`
    /// section 2, step 1).
    pub(crate) fn not_unicode(field: &str, decided_at_us: u64) -> Self {
        let message = format!("`{field}` holds a lone surrogate; expected Unicode text");
        Self {
            outcome: Outcome::Deny,
            rule: "(invalid request)".into(),
            message: message.into(),
            retry_after_ms: None,
            limits: Vec::new(),
            policy: "".into(),
            policy_version: "".into(),
            shadow: None,
            fingerprint: None,
            decided_at_us,
            reservation: None,
            approval: None,
        }
    }
}

impl Decision {
    /// The word of the outcome.
    pub(crate) const fn outcome_word(&self) -> &'static str {
        self.outcome.as_str()
    }
}

/// Parses a reservation id from its Python form.
pub(crate) fn reservation_id(text: &str) -> PyResult<ReservationId> {
    text.parse().map_err(|_| {
        PyValueError::new_err(format!(
            "`{text}` is no reservation: expected the 32 hex digits that `check` gave"
        ))
    })
}

#[pymethods]
impl Decision {
    #[new]
    #[pyo3(signature = (
        *, outcome, rule = "", message = "", retry_after_ms = None, limits = Vec::new(),
        policy = "", policy_version = "", shadow = None, fingerprint = None,
        decided_at_us = 0, reservation = None, approval = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "one keyword per field of a decision")]
    fn py_new(
        outcome: &str,
        rule: &str,
        message: &str,
        retry_after_ms: Option<u64>,
        limits: Vec<LimitState>,
        policy: &str,
        policy_version: &str,
        shadow: Option<Shadow>,
        fingerprint: Option<String>,
        decided_at_us: u64,
        reservation: Option<&str>,
        approval: Option<String>,
    ) -> PyResult<Self> {
        Ok(Self {
            outcome: parts::outcome(outcome)?,
            rule: rule.into(),
            message: message.into(),
            retry_after_ms,
            limits,
            policy: policy.into(),
            policy_version: policy_version.into(),
            shadow,
            fingerprint: fingerprint.map(Into::into),
            decided_at_us,
            reservation: reservation.map(reservation_id).transpose()?,
            approval: approval.map(Into::into),
        })
    }
    /// Allow, deny, rate limited or approval required; compares with strings.
    #[getter]
    fn outcome<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        parts::member(py, self.outcome)
    }
    /// True if the outcome is `allow`: the call may proceed.
    #[getter]
    fn allowed(&self) -> bool {
        self.outcome == Outcome::Allow
    }
    /// The deciding place in the policy, such as ``/tools/create-ami/limits/rate`` or ``(default deny)``.
    ///
    /// Empty for a plain allow.
    #[getter]
    pub(crate) fn rule(&self) -> &str {
        &self.rule
    }
    /// A sentence on which a model can act; empty for a plain allow.
    #[getter]
    fn message(&self) -> &str {
        &self.message
    }
    /// For `rate_limited`: milliseconds until this call's units are free, rounded up.
    #[getter]
    fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }
    /// Each limit that applied, in the order of evaluation.
    #[getter]
    fn limits<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.limits.iter().cloned())
    }
    /// Name of the policy that decided; empty if none was reached.
    #[getter]
    fn policy(&self) -> &str {
        &self.policy
    }
    /// First 12 hex digits of the SHA-256 of the canonical document; empty if none was reached.
    #[getter]
    fn policy_version(&self) -> &str {
        &self.policy_version
    }
    /// The answer under full enforcement, if it differs.
    #[getter]
    fn shadow(&self) -> Option<Shadow> {
        self.shadow.clone()
    }
    /// For `approval_required`: the SHA-256 over the exact call in hex (`docs/policy.md` section 6).
    #[getter]
    fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }
    /// Unix microseconds at which the counters were stamped.
    #[getter]
    fn decided_at_us(&self) -> u64 {
        self.decided_at_us
    }
    /// 32 hex digits under which the units can be returned, if that was requested and the call is allowed.
    #[getter]
    fn reservation(&self) -> Option<String> {
        self.reservation.map(|id| id.to_string())
    }
    /// Id of the approval, if there is one.
    #[getter]
    fn approval(&self) -> Option<&str> {
        self.approval.as_deref()
    }
    fn __bool__(&self) -> bool {
        self.allowed()
    }
    fn __eq__(&self, other: Comparand<'_>) -> bool {
        match other {
            Comparand::Decision(other) => self == other.get(),
            // A string with a lone surrogate equals no outcome.
            Comparand::Outcome(name) => name.to_str().is_ok_and(|name| name == self.outcome.as_str()),
        }
    }
    /// The hash of the outcome, because a decision equals its outcome.
    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        parts::member(py, self.outcome)?.hash()
    }
    /// The body of the answer to `POST /v1/check`, without absent fields.
    pub(crate) fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let limits = self
            .limits
            .iter()
            .map(|limit| limit.to_dict(py))
            .collect::<PyResult<Vec<_>>>()?;
        let dict = PyDict::new(py);
        dict.set_item("outcome", self.outcome.as_str())?;
        dict.set_item("rule", self.rule())?;
        dict.set_item("message", self.message())?;
        set_some(&dict, "retry_after_ms", self.retry_after_ms)?;
        dict.set_item("limits", PyList::new(py, limits)?)?;
        dict.set_item("policy", self.policy())?;
        dict.set_item("policy_version", self.policy_version())?;
        set_some(
            &dict,
            "shadow",
            self.shadow
                .as_ref()
                .map(|shadow| shadow.to_dict(py))
                .transpose()?,
        )?;
        set_some(&dict, "fingerprint", self.fingerprint())?;
        dict.set_item("decided_at_us", self.decided_at_us)?;
        set_some(&dict, "reservation", self.reservation())?;
        set_some(&dict, "approval", self.approval())?;
        Ok(dict)
    }
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let decision = slf.get();
        let fields = PyDict::new(slf.py());
        fields.set_item("outcome", decision.outcome.as_str())?;
        fields.set_item("rule", decision.rule())?;
        fields.set_item("message", decision.message())?;
        fields.set_item("retry_after_ms", decision.retry_after_ms)?;
        fields.set_item("limits", decision.limits(slf.py())?)?;
        fields.set_item("policy", decision.policy())?;
        fields.set_item("policy_version", decision.policy_version())?;
        fields.set_item("shadow", decision.shadow())?;
        fields.set_item("fingerprint", decision.fingerprint())?;
        fields.set_item("decided_at_us", decision.decided_at_us)?;
        fields.set_item("reservation", decision.reservation())?;
        fields.set_item("approval", decision.approval())?;
        text::reduced(slf.as_any(), &fields)
    }
    /// One line, without empty fields. Whoever has a reservation's id can return its units, so only its start is shown.
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let mut fields = vec![self.outcome.to_string()];
        let texts = [
            ("rule", Some(self.rule())),
            ("message", Some(self.message())),
            ("policy", Some(self.policy())),
            ("policy_version", Some(self.policy_version())),
            ("fingerprint", self.fingerprint()),
            ("reservation", self.reservation().as_deref()),
            ("approval", self.approval()),
        ]
        .map(|(name, text)| (name, text.unwrap_or_default().to_owned()));
        for (name, text) in texts.iter().filter(|(_, text)| !text.is_empty()) {
            fields.push(format!("{name}={}", text::shown(py, text)?));
        }
        if let Some(retry_after_ms) = self.retry_after_ms {
            fields.push(format!("retry_after_ms={retry_after_ms}"));
        }
        if !self.limits.is_empty() {
            let limits = text::shown_list(&self.limits, |limit| limit.__repr__(py))?;
            fields.push(format!("limits={limits}"));
        }
        if let Some(shadow) = &self.shadow {
            fields.push(format!("shadow={}", shadow.__repr__(py)?));
        }
        fields.push(format!("decided_at_us={}", self.decided_at_us));
        Ok(format!("<Decision {}>", fields.join(" ")))
    }
}

/// Sets an item unless its value is absent.
pub(crate) fn set_some<'py>(
    dict: &Bound<'py, PyDict>,
    key: &str,
    value: Option<impl IntoPyObject<'py>>,
) -> PyResult<()> {
    value.map_or(Ok(()), |value| dict.set_item(key, value))
}
