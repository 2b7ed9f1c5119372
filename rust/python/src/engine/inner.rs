//! The parts of `Engine` that Python does not see.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use callgate_core::approval::{Answer, Decided, HeldCall, StoreAnswer};
use callgate_core::engine::Policies;
use callgate_core::{Now, Outcome, Request, ReservationId, Scratch, State};
use callgate_counters::lease::Counted;
use callgate_server::{Approvals, ApprovalsConfig, keep_ids_in_stock};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyAny;

use super::Engine;
use crate::clock::{instant, system};
use crate::decision::Decision;
use crate::error::Error;
use crate::sizes::{Queue, Sizes};
use crate::{args, load};

/// An engine without a server has no background task: every so many calls sweep this many counters.
const CALLS_PER_SWEEP: u32 = 256;
const SWEEP_BUDGET: usize = 512;

/// Policies that a warning names.
const NAMED_POLICIES: usize = 5;

/// The name of the embedded engine among the protocols.
const PROTOCOL: &str = "python";

thread_local! {
    pub(super) static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Engine {
    pub(super) fn build(py: Python<'_>, state: State, sizes: &Sizes) -> PyResult<Self> {
        let asking: Vec<String> = match sizes.approvals {
            Queue::Unsaid => state.asking_policies().map(str::to_owned).collect(),
            Queue::Said(_) => Vec::new(),
        };
        let core = sizes.engine(py, state)?;
        keep_ids_in_stock();
        warn_of_unanswered(py, &asking)?;
        let clock = system().shifted(core.store().clock_shift_us());
        Ok(Self {
            core: Arc::new(core),
            clock,
            flush_interval_ms: sizes.flush_interval_ms,
            shared: sizes.shared.as_ref().map(|shared| shared.config.clone()),
            approvals: sizes
                .approvals
                .get()
                .map(|queue| Approvals::new(queue.get().channel())),
            calls: AtomicU32::new(0),
        })
    }

    /// An engine with one policy from Python values or JSON.
    pub(super) fn in_memory(
        py: Python<'_>,
        policy: &Bound<'_, PyAny>,
        catalogue: Option<&Bound<'_, PyAny>>,
        sizes: &Sizes,
    ) -> PyResult<Self> {
        let document = args::to_json(policy)?;
        let state = compile(py, catalogue, || load::policy_in_memory(&document))?;
        Self::build(py, state, sizes)
    }

    /// The instant of a call: `now_ms` if given, else the engine's clock.
    pub(super) fn instant(&self, now_ms: Option<&Bound<'_, PyAny>>) -> PyResult<Now> {
        // Checked for every call, so that a fork in the wrong place is found before the first limit is met.
        self.core.store().check_ours().map_err(Error::from)?;
        match now_ms {
            None => Ok(self.clock.now()),
            Some(_) if self.core.store().is_durable() => Err(PyValueError::new_err(
                "a time was given to an engine whose counters are in a file, expected none: they live on the machine's \
                 clock; keep them in memory for tests and simulation",
            )),
            Some(now_ms) => instant(now_ms),
        }
    }

    /// Decides a call, or returns the question that comes first.
    pub(super) fn decide(
        &self,
        state: &State,
        request: &Request<'_>,
        now: Now,
        scratch: &mut Scratch,
    ) -> Result<Decision, Box<HeldCall>> {
        let most = self.approvals.as_ref().map_or_else(
            || ApprovalsConfig::default().max_args_bytes,
            Approvals::max_args_bytes,
        );
        match self
            .core
            .decide_or_ask(state, request, now, scratch, most, |_| ())
        {
            Decided::Decision(decision) => Ok(decision.into()),
            Decided::Asked(asked) => Err(asked),
        }
    }

    /// Waits for the answer to a question, and decides its call with it; `now` is the time if it is not that of the clock.
    pub(super) fn wait(&self, state: &State, asked: HeldCall, now: Option<Now>) -> Decision {
        // Counts are shared by the calls of a server alone: this one finds their store unavailable.
        let HeldCall {
            looked,
            question,
            store,
        } = asked;
        let store = store.map(|asked| StoreAnswer {
            asked,
            counted: Counted::default(),
        });
        let (Some(approvals), Some(question)) = (&self.approvals, &question) else {
            let now = now.unwrap_or_else(|| self.clock.now());
            let answer = question.is_some().then_some(&Answer::Unavailable);
            return self
                .core
                .settle_answered(state, looked, answer, store, now)
                .into();
        };
        let reply = approvals.ask_blocking(question.clone(), PROTOCOL);
        let now = now.unwrap_or_else(|| self.clock.now());
        let decision = self
            .core
            .settle_answered(state, looked, Some(&reply.answer), store, now);
        if decision.outcome == Outcome::Allow {
            let until = Instant::now() + self.core.reservation_ttl();
            approvals.spend(reply, decision.reservation, until);
            approvals.sweep();
        }
        decision.into()
    }

    /// Settles the use of an approval with the reservation of its call.
    pub(super) fn settle_use(
        &self,
        is_settled: bool,
        settle: impl FnOnce(&Approvals, ReservationId),
        id: ReservationId,
    ) -> bool {
        if let Some(approvals) = self.approvals.as_ref().filter(|_| is_settled) {
            settle(approvals, id);
        }
        is_settled
    }

    /// Calls `work` without blocking other Python threads, if it may wait for another process that keeps the counters.
    pub(super) fn counting<R: Send>(&self, py: Python<'_>, work: impl FnOnce() -> R + Send) -> R {
        if self.core.store().is_follower() {
            return py.detach(work);
        }
        work()
    }

    pub(super) fn sweep_periodically(&self, now: Now) {
        // Relaxed: the count of calls orders nothing.
        if self.calls.fetch_add(1, Ordering::Relaxed) % CALLS_PER_SWEEP == CALLS_PER_SWEEP - 1 {
            self.core.sweep(now, SWEEP_BUDGET);
        }
    }
}

/// Logs that calls need a person's approval by these policies, and that this engine asks nobody.
fn warn_of_unanswered(py: Python<'_>, asking: &[String]) -> PyResult<()> {
    if asking.is_empty() {
        return Ok(());
    }
    let quoted = py.import("callgate.text")?.getattr("quoted")?;
    let names = asking.iter().take(NAMED_POLICIES);
    let names: Vec<String> = names
        .map(|name| quoted.call1((name,))?.extract())
        .collect::<PyResult<_>>()?;
    let others = match asking.len() - names.len() {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    let message = format!(
        "calls may need a person's approval by {} {}{others}, and this engine asks nobody, so that they are denied, \
         `(approval store unavailable)`; pass the `queue` of an `ApprovalStore` as `approvals=`, or `approvals=None` if \
         that is meant or a `Server` of this engine asks",
        if asking.len() == 1 {
            "the policy"
        } else {
            "the policies"
        },
        names.join(", "),
    );
    let logger = py.import("logging")?.call_method1("getLogger", ("callgate",))?;
    logger.call_method1("warning", ("%s", message))?;
    Ok(())
}

/// Reads and compiles documents without blocking other Python threads.
pub(crate) fn compile(
    py: Python<'_>,
    catalogue: Option<&Bound<'_, PyAny>>,
    policies: impl FnOnce() -> Result<Policies, Error> + Send,
) -> PyResult<State> {
    let catalogue = load::catalogue(catalogue)?;
    let state = py.detach(|| Ok::<_, Error>(State::build(policies()?, catalogue)?))?;
    Ok(state)
}
