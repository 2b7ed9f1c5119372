//! Decisions of an engine, and what follows them.

use callgate_core::Pep;
use callgate_server::{Approvals, LookError, random_reservation_id};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict, PyString};

use super::Engine;
use super::inner::SCRATCH;
use crate::approval::Approval;
use crate::call::{CallError, PythonCall};
use crate::decision::{Decision, reservation_id};
use crate::error::Error;
use crate::explain::Explanation;
use crate::peek::Peek;
use crate::sizes::no_randomness;

#[pymethods]
impl Engine {
    /// Decides one call, and takes units from its limits if it is allowed.
    ///
    /// The answer to a malformed request is a denial with rule ``(invalid request)``, not an exception.
    ///
    /// Args:
    ///     tool: Tool name, compared exactly.
    ///     grant: Id of the grant that is charged; either this or `grant_token`.
    ///     args: The arguments: a dict (of dicts, lists, tuples, strings, ints, floats, `decimal.Decimal`, booleans
    ///         and None), or the JSON text of an object as bytes or str. None means no arguments.
    ///     server: Server name; None means the one ``server`` of `grant_token`'s grant, else ``srv``, in all protocols.
    ///     session: Session id; None for a sessionless call.
    ///     labels: The grant's labels; only as long as no grants are configured.
    ///     now_ms: The time, for tests and simulation: milliseconds since 1970, to the nearest microsecond. None reads
    ///         the system's clock. Do not mix both in one engine, because its counters depend on the clock; counters in
    ///         a file accept only the system's clock.
    ///     reserve: Request a reservation, so that `roll_back` can return the units.
    ///     grant_token: The caller's own token, which determines the grant and its labels.
    ///     vouched: True if `grant` may name a configured grant. Pass False if the id comes from a source that is not
    ///         trusted to name it.
    ///
    /// Raises:
    ///     TypeError: An argument has an invalid type.
    ///     ValueError: `now_ms` is not a valid time, or the counters are in a file.
    ///     StoreError: The counters' file belongs to the parent process that this one was forked from; `explain`,
    ///         `peek`, `reset`, `roll_back` and `commit` raise it too.
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
        let fixed = now_ms.map(|_| now);
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
            self.counting(tool.py(), || {
                SCRATCH.with_borrow_mut(|scratch| self.decide(&state, request, now, scratch))
            })
            .unwrap_or_else(|asked| tool.py().detach(|| self.wait(&state, *asked, fixed)))
        });
        match decided {
            Ok(decision) => Ok(decision),
            Err(CallError::NotUnicode(field)) => Ok(Decision::not_unicode(field, now.unix_us())),
            Err(CallError::Python(error)) => Err(error),
        }
    }

    /// Decides like `check`, but takes no units and returns the steps to the decision.
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
            self.counting(py, || {
                SCRATCH.with_borrow_mut(|scratch| self.core.explain(&state, request, now, scratch))
            })
        });
        match explained {
            Ok(explanation) => Explanation::from_core(py, explanation),
            Err(CallError::NotUnicode(field)) => {
                Explanation::without_steps(py, Decision::not_unicode(field, now.unix_us()))
            }
            Err(CallError::Python(error)) => Err(error),
        }
    }

    /// Looks at what is left for a caller, of one tool or without `tool` of any; takes no units.
    ///
    /// The arguments are those of `check`.
    ///
    /// Raises:
    ///     TypeError: An argument has an invalid type.
    ///     ValueError: `now_ms` is not a valid time, or the counters are in a file.
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
            let peeked = self.counting(py, || {
                SCRATCH.with_borrow_mut(|scratch| self.core.peek(&state, request, now, scratch))
            });
            Peek::from_core(py, peeked)
        });
        match peeked {
            Ok(peek) => peek,
            Err(CallError::NotUnicode(field)) => {
                Peek::refused(py, Decision::not_unicode(field, now.unix_us()))
            }
            Err(CallError::Python(error)) => Err(error),
        }
    }

    /// True if calls may wait for people, so that `check` blocks for up to the deadline of `approvals`.
    #[getter]
    const fn has_approvals(&self) -> bool {
        self.approvals.is_some()
    }

    /// Returns an approval in its present state; None if there is none with this id.
    ///
    /// Args:
    ///     id: The id that a decision has as `approval`.
    ///
    /// Raises:
    ///     StoreError: Nobody answers for `approvals`, or not in time.
    #[pyo3(signature = (id))]
    fn approval(&self, py: Python<'_>, id: &str) -> PyResult<Option<Approval>> {
        let found = py.detach(|| {
            let approvals = self.approvals.as_ref().ok_or(LookError::Unavailable)?;
            approvals.look_blocking(id)
        });
        Ok(found.map_err(Error::Approvals)?.map(Approval::from))
    }

    /// Returns a reservation's units; False if the id is unknown, expired or already settled.
    ///
    /// Raises:
    ///     ValueError: Not an id of a reservation.
    #[pyo3(signature = (reservation, *, now_ms = None))]
    fn roll_back(
        &self,
        py: Python<'_>,
        reservation: &str,
        now_ms: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let id = reservation_id(reservation)?;
        let now = self.instant(now_ms)?;
        let is_settled = self.counting(py, || self.core.roll_back(id, Pep::UNNAMED.id, now));
        Ok(self.settle_use(is_settled, Approvals::roll_back, id))
    }

    /// Keeps a reservation's units permanently; False if the id is unknown, expired or already settled.
    ///
    /// Raises:
    ///     ValueError: Not an id of a reservation.
    #[pyo3(signature = (reservation, *, now_ms = None))]
    fn commit(&self, reservation: &str, now_ms: Option<&Bound<'_, PyAny>>) -> PyResult<bool> {
        let id = reservation_id(reservation)?;
        let is_settled = self.core.commit(id, Pep::UNNAMED.id, self.instant(now_ms)?);
        Ok(self.settle_use(is_settled, Approvals::commit, id))
    }
}
