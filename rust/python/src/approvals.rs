//! Questions about calls that need a person's approval, as Python values.

use std::time::Duration;

use callgate_core::LimitState;
use callgate_core::approval::{Answer, Question};
use callgate_core::engine::Need;
use callgate_core::hex::Hex;
use callgate_core::policy::ast::{Category, Risk};
use callgate_server::{ApprovalChannel, ApprovalsConfig, GivenBack, OpenQuestion};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::approval::Approval;

/// Questions to take, uses to give back, and looks to answer.
type Taken<'py> = (
    Vec<Bound<'py, PyDict>>,
    Vec<(String, String, bool)>,
    Vec<(u64, String)>,
);

/// A queue of questions about calls that need a person's approval.
///
/// A `Server`, a `Wrap` or an `Engine` asks. One thread takes the questions and answers them.
///
/// Args:
///     deadline_ms: The longest wait of a call for its answer; then it is denied, ``(approval store unavailable)``.
///     max_arguments_bytes: Most bytes of arguments, with the names of tool and session, that people are asked about.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct ApprovalQueue {
    channel: ApprovalChannel,
}

impl ApprovalQueue {
    pub(crate) fn channel(&self) -> ApprovalChannel {
        self.channel.clone()
    }
}

#[pymethods]
impl ApprovalQueue {
    #[new]
    #[pyo3(signature = (*, deadline_ms = 400, max_arguments_bytes = 65_536))]
    fn py_new(deadline_ms: u64, max_arguments_bytes: usize) -> Self {
        let config = ApprovalsConfig {
            deadline_ms,
            max_args_bytes: max_arguments_bytes,
        };
        Self {
            channel: ApprovalChannel {
                config,
                ..ApprovalChannel::default()
            },
        }
    }

    /// Takes questions in the order of their calls, uses to give back, and looks at approvals.
    ///
    /// Args:
    ///     most: The most questions to take, and the most looks.
    ///     timeout_ms: The longest wait while there is nothing to take.
    ///
    /// Returns:
    ///     The questions; uses to give back: the id of the approval or permit, the id of the use, and True for a
    ///     permit; looks to answer: the number of each, and the id of its approval. None once the queue is closed and
    ///     all uses were taken.
    fn take<'py>(&self, py: Python<'py>, most: usize, timeout_ms: u64) -> PyResult<Option<Taken<'py>>> {
        let questions = &self.channel.questions;
        let taken = py.detach(|| questions.take(most, Duration::from_millis(timeout_ms)));
        let Some(taken) = taken else { return Ok(None) };
        let asked = taken.questions.iter().map(|open| question(py, open));
        let asked = asked.collect::<PyResult<_>>()?;
        let used = |used: GivenBack| (used.id, used.use_id, used.is_permit);
        let given_back = taken.given_back.into_iter().map(used).collect();
        let looks = taken
            .looks
            .into_iter()
            .map(|(number, id)| (number, id.as_ref().to_owned()));
        Ok(Some((asked, given_back, looks.collect())))
    }

    /// Answers a question: the call may be made. A use of a call that does not wait any more is given back.
    #[pyo3(signature = (number, id, *, is_permit))]
    fn approve(&self, number: u64, id: String, is_permit: bool) {
        self.answer(number, Answer::Approved { id }, is_permit);
    }

    /// Answers a question: a person has denied the call.
    fn deny(&self, number: u64, id: String, rule: String, reason: String, until_us: u64) {
        let answer = Answer::Denied {
            id,
            rule,
            reason,
            until_us,
        };
        self.answer(number, answer, false);
    }

    /// Answers a question: the call waits for people of these groups, or for anybody who may answer.
    fn wait(&self, number: u64, id: String, rule: String, approvers: Vec<String>, until_us: u64) {
        let answer = Answer::Waiting {
            id,
            rule,
            approvers,
            until_us,
        };
        self.answer(number, answer, false);
    }

    /// Answers a question: too many approvals are pending, of this grant or in all.
    #[pyo3(signature = (number, *, of_grant))]
    fn refuse(&self, number: u64, of_grant: bool) {
        self.answer(number, Answer::AtCapacity { of_grant }, false);
    }

    /// Answers a question: the store of approvals cannot be reached.
    fn fail(&self, number: u64) {
        self.answer(number, Answer::Unavailable, false);
    }

    /// Answers a look with an approval as it is now; None if there is none.
    #[pyo3(signature = (number, approval))]
    fn show(&self, number: u64, approval: Option<&Bound<'_, Approval>>) -> PyResult<()> {
        let view = approval.map(|approval| approval.get().to_view()).transpose()?;
        self.channel.questions.show(number, view);
        Ok(())
    }

    /// Answers a look: the store of approvals cannot be reached.
    fn fail_look(&self, number: u64) {
        self.channel.questions.fail_look(number);
    }

    /// True if somebody waits for a change of an approval.
    #[getter]
    fn has_watchers(&self) -> bool {
        self.channel.questions.has_watchers()
    }

    /// Repeats the looks at approvals that have changed; all looks without ids.
    #[pyo3(signature = (ids = None))]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a list of Python's is taken as a copy"
    )]
    fn repeat_looks(&self, ids: Option<Vec<String>>) {
        self.channel.questions.repeat_looks(ids.as_deref());
    }

    /// Takes no more questions; calls that wait are denied.
    fn close(&self) {
        self.channel.questions.close();
    }
}

impl ApprovalQueue {
    fn answer(&self, number: u64, answer: Answer, is_permit: bool) {
        self.channel.questions.answer(number, answer, is_permit);
    }
}

fn question<'py>(py: Python<'py>, open: &OpenQuestion) -> PyResult<Bound<'py, PyDict>> {
    let Question {
        fingerprint,
        grant,
        labels,
        server,
        tool,
        category,
        risk,
        session,
        args_json,
        policy,
        policy_digest,
        pin_digest,
        needs,
        entries,
        limits,
    } = &*open.question;
    let fields = PyDict::new(py);
    fields.set_item("number", open.number)?;
    fields.set_item("use_id", &open.use_id)?;
    fields.set_item("protocol", open.protocol)?;
    fields.set_item("fingerprint", fingerprint.to_string())?;
    fields.set_item("grant", grant)?;
    let names = PyDict::new(py);
    for (name, value) in labels {
        names.set_item(name, value)?;
    }
    fields.set_item("labels", names)?;
    fields.set_item("server", server)?;
    fields.set_item("tool", tool)?;
    fields.set_item("category", category.map(Category::as_str))?;
    fields.set_item("risk", risk.map(Risk::as_str))?;
    fields.set_item("session", session)?;
    fields.set_item("args_json", args_json)?;
    fields.set_item("policy", policy)?;
    fields.set_item("policy_digest", policy_digest)?;
    fields.set_item("pin_digest", pin_digest.map(|digest| Hex(&digest).to_string()))?;
    let needs: Vec<_> = needs.iter().map(|one| need(py, one)).collect::<PyResult<_>>()?;
    fields.set_item("needs", needs)?;
    let entries: Vec<_> = entries
        .iter()
        .map(|entry| (entry.rule.as_str(), entry.document.json.as_str()))
        .collect();
    fields.set_item("entries", entries)?;
    let limits: Vec<_> = limits.iter().map(|one| limit(py, one)).collect::<PyResult<_>>()?;
    fields.set_item("limits", PyList::new(py, limits)?)?;
    Ok(fields)
}

fn need<'py>(py: Python<'py>, need: &Need) -> PyResult<Bound<'py, PyDict>> {
    let terms = &need.terms;
    let fields = PyDict::new(py);
    fields.set_item("rule", &need.rule)?;
    fields.set_item("entry_digest", &need.entry.digest)?;
    fields.set_item("timeout_us", terms.timeout_ms.saturating_mul(1_000))?;
    fields.set_item("valid_us", terms.valid_ms.saturating_mul(1_000))?;
    fields.set_item("approvers", &terms.approvers)?;
    fields.set_item("count", terms.count)?;
    fields.set_item("reason_required", terms.is_reason_required)?;
    let permit = terms
        .permit
        .map(|bounds| (bounds.max_uses, bounds.max_duration_ms.saturating_mul(1_000)));
    fields.set_item("permit", permit)?;
    Ok(fields)
}

fn limit<'py>(py: Python<'py>, limit: &LimitState<'_>) -> PyResult<Bound<'py, PyDict>> {
    let fields = PyDict::new(py);
    fields.set_item("counter", &*limit.counter)?;
    fields.set_item("rule", &*limit.rule)?;
    fields.set_item("max", limit.max.to_string())?;
    fields.set_item("remaining", limit.remaining.to_string())?;
    fields.set_item("over", limit.over.to_string())?;
    fields.set_item("reset_after_ms", limit.reset_after_ms)?;
    Ok(fields)
}
