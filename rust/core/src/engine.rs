//! The engine: compiled state over counters, and [`Engine::decide`].

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use callgate_counters::lease::Shared;
use callgate_counters::{ClockReading, Counters, ReadClocks, ReservationLimits, Reservations, StoreError};

use crate::approval::{Answer, Decided, HeldCall, StoreAnswer};
use crate::compile::CompiledPolicy;
use crate::eval::{Counting, Evaluation, Silent, Trace, Weighed, frozen};
use crate::freeze::FreezeSwitch;
use crate::json::Tape;
use crate::rate::{self, RateAnswer, RateRequest, UnknownDomainError};
use crate::{Args, Decision, Now, Outcome, Request};

use beside::Sizes;

pub use crate::compile::{AppliedEntry, Need};
pub use crate::eval::carry::{CarryError, CarryNames, MovedCounts};
pub use crate::eval::explain::{ConditionStep, Explanation, Step, StepKind, StepResult};
pub use crate::eval::peek::{Peek, PeekedCount, PeekedLimit};
pub use crate::eval::quota::{QuotaCounts, QuotaDenial};
pub use crate::eval::seen::{LoggedPath, Seen, SeenLabels};
pub use crate::eval::{Listing, Looked};
pub use crate::reset::{KeptLimit, KeptReason, Reset, ResetError, ResetLimit, ResetNames};
pub use crate::state::{Candidate, Candidates, Identity, Policies, PolicyView, Setup, SetupError, State};

mod beside;
mod operate;
mod questions;
mod reservations;

/// For tests alone: a call to this tool makes [`Engine::decide`] panic, a descriptor with this key
/// [`Engine::rate_limit`].
#[cfg(any(test, feature = "forced-panic"))]
pub const FORCED_PANIC_TOOL: &str = "callgate-test-forced-panic";

/// Sizes and secrets of an engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Counters alive at once, in all.
    pub counter_capacity: usize,
    /// Counters alive at once that one grant has made.
    pub counters_per_grant: usize,
    /// The time during which a reservation can be rolled back, in milliseconds.
    pub reservation_ttl_ms: u64,
    /// Reservations that can be open at once.
    pub reservations: ReservationLimits,
    /// Random key of the counter identities, so that callers cannot make two counts collide.
    pub hash_key: [u8; 16],
}

/// Buffers of one thread, reused for every call.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) tape: Tape,
}

/// Compiled state and counters.
#[derive(Debug)]
pub struct Engine {
    state: ArcSwap<State>,
    freezes: FreezeSwitch,
    // States that were swapped out and may still be read.
    retired: Mutex<Vec<Arc<State>>>,
    counters: Counters,
    reservations: Reservations,
    reservation_ttl: Duration,
    hash_key: [u8; 16],
    sizes: Sizes,
}

/// The compiled state at one moment; a call sees one from start to end.
pub type Snapshot = arc_swap::Guard<Arc<State>>;

/// Counters that a sweep passes for each block that it may free.
const SWEPT_PER_BLOCK: usize = 32;
/// Most blocks of counters that a reload frees: 256 MiB.
const FREED_BY_RELOAD: usize = 4_096;

impl Engine {
    /// Creates an engine with no counters yet.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the configuration holds a secret and is used up here"
    )]
    pub fn new(state: State, config: EngineConfig) -> Self {
        let (capacity, per_grant) = (config.counter_capacity, config.counters_per_grant);
        Self::with(
            state,
            &config,
            Counters::new(capacity, per_grant, &config.hash_key),
        )
    }

    /// Creates an engine with the counters in the file at `path`; makes a new file if there is none.
    ///
    /// Times given to it from now on must be the boot clock's plus [`Counters::clock_shift_us`].
    #[expect(clippy::needless_pass_by_value, reason = "as for `new`")]
    pub fn open(
        state: State,
        config: EngineConfig,
        path: &Path,
        clocks: impl Fn() -> io::Result<ClockReading>,
    ) -> Result<Self, StoreError> {
        let (capacity, per_grant) = (config.counter_capacity, config.counters_per_grant);
        let counters = Counters::open(path, capacity, per_grant, &config.hash_key, clocks)?;
        Ok(Self::with(state, &config, counters))
    }

    /// Creates an engine that shares the counters in the file at `path` with other processes: see
    /// [`Counters::open_shared`]. Policies and reservations are its own. A call may wait for another process, for a bounded
    /// time.
    #[expect(clippy::needless_pass_by_value, reason = "as for `new`")]
    pub fn open_shared(
        state: State,
        config: EngineConfig,
        path: &Path,
        clocks: ReadClocks,
    ) -> Result<Self, StoreError> {
        let (capacity, per_grant) = (config.counter_capacity, config.counters_per_grant);
        let counters = Counters::open_shared(path, capacity, per_grant, &config.hash_key, clocks)?;
        Ok(Self::with(state, &config, counters))
    }

    fn with(state: State, config: &EngineConfig, counters: Counters) -> Self {
        Self {
            state: ArcSwap::from_pointee(state),
            freezes: FreezeSwitch::default(),
            retired: Mutex::default(),
            // The identities in a file were made with its own key.
            hash_key: *counters.hash_key().unwrap_or(&config.hash_key),
            counters,
            reservation_ttl: Duration::from_millis(config.reservation_ttl_ms),
            reservations: Reservations::new(config.reservation_ttl_ms, config.reservations, &config.hash_key),
            sizes: config.into(),
        }
    }

    /// Returns the counters, to flush or close them.
    pub const fn store(&self) -> &Counters {
        &self.counters
    }

    /// Returns the compiled state that is in force now.
    pub fn snapshot(&self) -> Snapshot {
        self.state.load()
    }

    /// Swaps the compiled state; every count whose identity stays keeps its units, and managed grants stay.
    ///
    /// Blocks while it frees earlier states that no call uses any more.
    pub fn reload(&self, state: State) {
        self.reload_after(state, |_| ());
    }

    /// Like [`Engine::reload`], but first passes the state's [`State::generation`] to `prepare`. No call can see the
    /// state before `prepare` returns, so it can set up tables elsewhere that belong to the state.
    pub fn reload_after(&self, mut state: State, prepare: impl FnOnce(u64)) {
        drop(self.take_retired());
        // Held until the state is in force, so that two reloads do not get one number.
        let mut retired = self.lock_retired();
        let before = self.state.load_full();
        state.adopt_grants(&before);
        state.generation = before.generation + 1;
        drop(before);
        prepare(state.generation);
        self.announce(&state);
        retired.push(self.state.swap(Arc::new(state)));
        drop(retired);
        // Room of counters whose `max` was another before the last reload, for instance.
        self.counters.turn(FREED_BY_RELOAD);
    }

    /// Lets nodes share the counts of the policies of a state that comes into force: see [`Counters::share`].
    fn announce(&self, state: &State) {
        let Some(shared) = self.counters.shared() else {
            return;
        };
        let before = self.snapshot();
        for policy in state.compiled_policies() {
            let known = |known: &&CompiledPolicy| known.name == policy.name;
            let before = before.compiled_policies().iter().find(known);
            let has_changed = before.is_some_and(|before| before.digest_hex != policy.digest_hex);
            if policy.is_shared() {
                let one = policy.shared.get_or_init(|| shared.policy(&policy.name));
                if has_changed {
                    shared.change(one);
                }
            }
        }
    }

    /// Shares counts with other nodes from now on; once, before any call.
    pub fn share(&self, shared: Arc<Shared>) {
        self.counters.share(shared);
        self.announce(&self.snapshot());
    }

    /// Returns the states that no call uses any more. The caller drops them on a thread that delays no calls: a million
    /// grants take a while.
    pub fn take_retired(&self) -> Vec<Arc<State>> {
        // A state that was swapped out gets no new readers, so a count of one stays one.
        let mut retired = self.lock_retired();
        let (idle, read) = std::mem::take(&mut *retired)
            .into_iter()
            .partition(|state| Arc::strong_count(state) == 1);
        *retired = read;
        idle
    }

    fn lock_retired(&self) -> std::sync::MutexGuard<'_, Vec<Arc<State>>> {
        // A panic while it was held leaves at worst a state that is dropped where it was last read.
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides one call. A panic inside becomes a denial with rule `(internal error)`.
    pub fn decide<'s>(
        &self,
        state: &'s State,
        request: &Request<'_>,
        now: Now,
        scratch: &mut Scratch,
    ) -> Decision<'s> {
        self.decide_seen(state, request, now, scratch, |_| ())
    }

    /// Like [`Engine::decide`], but first passes the arguments to `see`, if they are well formed.
    pub fn decide_seen<'s>(
        &self,
        state: &'s State,
        request: &Request<'_>,
        now: Now,
        scratch: &mut Scratch,
        see: impl FnOnce(Seen<'_>),
    ) -> Decision<'s> {
        // Nothing that a panic could leave half-done is used again: the scratch is replaced, counters are atomics.
        let decided = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(any(test, feature = "forced-panic"))]
            force_panic(request);
            self.run(state, request, now, &mut scratch.tape, &mut Silent, see)
        }));
        decided.unwrap_or_else(|_| {
            *scratch = Scratch::default();
            internal_error(now)
        })
    }

    /// Like [`Engine::decide_seen`], but a call that needs an approval becomes a question, and nothing is taken for it:
    /// [`Engine::settle_answered`] decides it with the answer. A call with longer canonical arguments is denied.
    pub fn decide_or_ask<'s>(
        &self,
        state: &'s State,
        request: &Request<'_>,
        now: Now,
        scratch: &mut Scratch,
        max_args_bytes: usize,
        see: impl FnOnce(Seen<'_>),
    ) -> Decided<'s> {
        let decided = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(any(test, feature = "forced-panic"))]
            force_panic(request);
            let evaluation = self.evaluation(state, request, now);
            let counting = self.counting(state, now);
            let tape = &mut scratch.tape;
            let mut weighed = Weighed::default();
            if let ControlFlow::Break(decision) =
                evaluation.weigh(&self.counters, &mut weighed, tape, &mut Silent, see)
            {
                return Decided::Decision(decision);
            }
            if let ControlFlow::Break(decision) = counting.look(&mut weighed, &mut Silent) {
                return Decided::Decision(decision);
            }
            if weighed.needs_nobody() {
                return match counting.settle_here(&mut weighed) {
                    Ok(decision) => Decided::Decision(decision),
                    Err(store) => Decided::Asked(Box::new(HeldCall {
                        looked: Looked {
                            weighed: weighed.into_owned(),
                        },
                        question: None,
                        store: Some(store),
                    })),
                };
            }
            counting.ask(&evaluation, weighed, tape, max_args_bytes)
        }));
        decided.unwrap_or_else(|_| {
            *scratch = Scratch::default();
            Decided::Decision(internal_error(now))
        })
    }

    /// Passes the arguments of a call to `see` once more, if they are well formed: for the record of a call that was a question
    /// first.
    pub fn see(
        &self,
        state: &State,
        request: &Request<'_>,
        now: Now,
        scratch: &mut Scratch,
        see: impl FnOnce(Seen<'_>),
    ) {
        self.evaluation(state, request, now).see(&mut scratch.tape, see);
    }

    /// Decides a call with the answer about its approval, if it needs one, and that of the store of shared counts, if it uses
    /// some. `state` is the one that it was looked at by; freezes and the revocation of its grant are those of now, because it
    /// may have waited. Units that the store took go back where the call is not allowed.
    pub fn settle_answered<'s>(
        &self,
        state: &'s State,
        looked: Looked<'s, '_>,
        answer: Option<&Answer>,
        store: Option<StoreAnswer>,
        now: Now,
    ) -> Decision<'s> {
        let counting = self.counting(state, now);
        let settled = catch_unwind(AssertUnwindSafe(|| {
            let current = self.snapshot();
            let freezes = self.freezes.load();
            let withdrawn = counting.withdrawn(&looked.weighed, &current);
            let frozen = || {
                let freezes = freezes.as_ref()?;
                frozen::decision(freezes, state, &looked.weighed, now)
            };
            let stopped = withdrawn.or_else(frozen);
            stopped.or_else(|| counting.answered(&looked.weighed, answer?))
        }));
        match settled {
            Ok(Some(decision)) => decision,
            Ok(None) => {
                let id = match answer {
                    Some(Answer::Approved { id }) => Cow::Owned(id.clone()),
                    Some(_) => return internal_error(now),
                    None => Cow::Borrowed(""),
                };
                let looked = if answer.is_some() {
                    looked.approved()
                } else {
                    looked
                };
                let mut decision = self.settle_counted(state, looked, store, now);
                if decision.outcome == Outcome::Allow {
                    decision.approval = id;
                }
                decision
            }
            Err(_) => internal_error(now),
        }
    }

    /// The steps of [`Engine::decide_seen`] before any unit is taken, for who has to ask elsewhere before [`Engine::settle`].
    /// Breaks with the decision where there is nothing to settle.
    pub fn look<'s: 'r, 'r>(
        &self,
        state: &'s State,
        request: &'r Request<'_>,
        now: Now,
        scratch: &mut Scratch,
        see: impl FnOnce(Seen<'_>),
    ) -> ControlFlow<Decision<'s>, Looked<'s, 'r>> {
        let looked = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(any(test, feature = "forced-panic"))]
            force_panic(request);
            let evaluation = self.evaluation(state, request, now);
            let mut weighed = Weighed::default();
            evaluation.weigh(&self.counters, &mut weighed, &mut scratch.tape, &mut Silent, see)?;
            self.counting(state, now).look(&mut weighed, &mut Silent)?;
            evaluation.complete(&mut weighed, &mut scratch.tape);
            ControlFlow::Continue(Looked { weighed })
        }));
        looked.unwrap_or_else(|_| {
            *scratch = Scratch::default();
            ControlFlow::Break(internal_error(now))
        })
    }

    /// Takes all units of a call or none, the last step of a decision. `state` must be that of the first look at the
    /// call; freezes are the present ones, because the call may have waited.
    pub fn settle<'s>(&self, state: &'s State, mut looked: Looked<'s, '_>, now: Now) -> Decision<'s> {
        let settled = catch_unwind(AssertUnwindSafe(|| {
            let freezes = self.freezes.load();
            let frozen = freezes.and_then(|freezes| frozen::decision(&freezes, state, &looked.weighed, now));
            if let Some(decision) = frozen {
                return decision;
            }
            self.counting(state, now).settle::<Silent>(&mut looked.weighed)
        }));
        settled.unwrap_or_else(|_| internal_error(now))
    }

    fn settle_counted<'s>(
        &self,
        state: &'s State,
        mut looked: Looked<'s, '_>,
        store: Option<StoreAnswer>,
        now: Now,
    ) -> Decision<'s> {
        let Some(store) = store else {
            return self.settle(state, looked, now);
        };
        let settled = catch_unwind(AssertUnwindSafe(|| {
            self.counting(state, now)
                .settle_counted(&mut looked.weighed, store)
        }));
        settled.unwrap_or_else(|_| internal_error(now))
    }

    /// Decides on a request without a tool, such as the opening of a session: allowed if the server and the grant are
    /// known and the grant is valid (`docs/policy.md` section 2, step 1). Tool and arguments are not read, and no units
    /// are taken.
    pub fn recognise<'s>(&self, state: &'s State, request: &Request<'_>, now: Now) -> Decision<'s> {
        let recognised = catch_unwind(AssertUnwindSafe(|| {
            self.evaluation(state, request, now).recognise()
        }));
        recognised.unwrap_or_else(|_| internal_error(now))
    }

    /// Returns the rules for the tool lists of a request's caller; `None` if [`Engine::recognise`] would deny the
    /// request. The tool and the arguments of the request are not read.
    pub fn listing<'l>(
        &'l self,
        state: &'l State,
        request: &'l Request<'l>,
        now: Now,
    ) -> Option<Listing<'l>> {
        self.evaluation(state, request, now).listing()
    }

    /// Limits one request by its domain and descriptors. A panic inside becomes the refusal of all descriptors.
    pub fn rate_limit<'s>(
        &self,
        state: &'s State,
        request: RateRequest<'_, '_>,
        now: Now,
    ) -> Result<RateAnswer<'s>, UnknownDomainError> {
        let limits = state.rate_limits();
        let asked = rate::Evaluation::new(limits, request, &self.counters, &self.hash_key, now)?;
        // Counters are atomics, and nothing else that a panic could leave half-done is used again.
        let answered = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(any(test, feature = "forced-panic"))]
            force_rate_panic(&request);
            asked.answer()
        }));
        Ok(answered.unwrap_or_else(|_| asked.failed()))
    }

    /// The counts that every call of one grant, server and tool takes units from, each with the units of one call, for an
    /// enforcement point that admits such calls by itself; none if nothing limits them. The denial, if such calls are denied
    /// or cannot be judged without their arguments, session or time (`docs/quotas.md`). Nothing is taken.
    ///
    /// Of `request`, the session and the arguments are not read.
    pub fn quota<'s>(
        &self,
        state: &'s State,
        request: &Request<'_>,
        now: Now,
        scratch: &mut Scratch,
    ) -> Result<QuotaCounts, QuotaDenial<'s>> {
        let request = Request {
            session: None,
            args: Args::Unseen,
            reserve: None,
            ..*request
        };
        let judged = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(any(test, feature = "forced-panic"))]
            force_panic(&request);
            self.evaluation(state, &request, now)
                .quota(&self.counters, &mut scratch.tape)
        }));
        judged.unwrap_or_else(|_| {
            *scratch = Scratch::default();
            let Decision { rule, message, .. } = internal_error(now);
            Err(QuotaDenial { rule, message })
        })
    }

    /// Reclaims idle counters and expired reservations among the next `budget` of each, and frees the memory of removed
    /// counters. To be called now and then by an owner of a clock.
    pub fn sweep(&self, now: Now, budget: usize) {
        if !self.counters.is_inherited() {
            self.counters.sweep(now, budget);
            self.reservations.sweep(now, budget);
            self.counters.turn(budget.div_ceil(SWEPT_PER_BLOCK));
        }
    }

    /// Returns the number of live counters, and their greatest number.
    pub fn counters(&self) -> (usize, usize) {
        (self.counters.len(), self.counters.capacity())
    }

    fn run<'s, T: Trace>(
        &self,
        state: &'s State,
        request: &Request<'_>,
        now: Now,
        tape: &mut Tape,
        trace: &mut T,
        see: impl FnOnce(Seen<'_>),
    ) -> Decision<'s> {
        let evaluation = self.evaluation(state, request, now);
        let counting = self.counting(state, now);
        let mut weighed = Weighed::default();
        if let ControlFlow::Break(decision) = evaluation.weigh(&self.counters, &mut weighed, tape, trace, see)
        {
            return decision;
        }
        match counting.look(&mut weighed, trace) {
            ControlFlow::Continue(()) => {
                evaluation.complete(&mut weighed, tape);
                counting.settle::<T>(&mut weighed)
            }
            ControlFlow::Break(decision) => decision,
        }
    }

    fn evaluation<'e, 's, 'r>(
        &self,
        state: &'s State,
        request: &'e Request<'r>,
        now: Now,
    ) -> Evaluation<'e, 's, 'r> {
        Evaluation {
            state,
            request,
            now,
            hash_key: self.hash_key,
            shared_key: self.counters.shared().map(|shared| *shared.hash_key()),
            resets: self.counters.resets(),
            freezes: self.freezes.load(),
        }
    }

    const fn counting<'e, 's>(&'e self, state: &'s State, now: Now) -> Counting<'e, 's> {
        Counting {
            state,
            counters: &self.counters,
            reservations: &self.reservations,
            now,
        }
    }
}

#[cfg(any(test, feature = "forced-panic"))]
fn force_rate_panic(request: &RateRequest<'_, '_>) {
    let mut entries = request.descriptors.iter().flat_map(|one| &one.entries);
    assert!(
        entries.all(|(key, _)| *key != FORCED_PANIC_TOOL),
        "a test asked for this panic"
    );
}

#[cfg(any(test, feature = "forced-panic"))]
fn force_panic(request: &Request<'_>) {
    assert_ne!(request.tool, FORCED_PANIC_TOOL, "a test asked for this panic");
}

// Generic because a decision is invariant in its lifetime: a `'static` one is no shorter one.
fn internal_error<'s>(now: Now) -> Decision<'s> {
    let message = "callgate failed while it judged this call; nothing was taken, tell its operator";
    let message = Cow::Borrowed(message);
    Decision::bare(
        Outcome::Deny,
        Cow::Borrowed("(internal error)"),
        message,
        now.unix_us(),
    )
}
