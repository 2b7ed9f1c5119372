//! One decision: engine, clock, metrics and log, the same for every door.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use callgate_core::approval::{Answer, Decided, Question, StoreAnswer};
use callgate_core::engine::{Identity, Peek, Seen};
use callgate_core::json::Tape;
use callgate_core::{Args, Caller, Decision, Engine, Looked, Now, Outcome, Pep, Request, Scratch, State};
use callgate_shared::{SharedConfig, SharedError, Worker};
use http::HeaderMap;

#[cfg(doc)]
use crate::apart::poll_apart;
use crate::apart::{LARGE_BYTES, may_take};
use crate::approvals::{AnsweredCall, ApprovalWatch, Approvals, ApprovalsConfig, Asking, Reply};
use crate::audit::{Audit, LoggedRequest, UNAVAILABLE};
use crate::clock::Clock;
use crate::deadline::Deadline;
use crate::events::{Events, FieldValue, Level};
use crate::feed::{Feed, LiveDecision};
use crate::flood::Flood;
use crate::identity::UnknownPepError;
use crate::in_force::{Configuration, ConfigurationSwap, Parts, Sessions, Snapshot};
use crate::ingress::Ingress;
use crate::limits::Limits;
use crate::listed_tools::ListedTools;
use crate::metrics::{INTERNAL_ERROR, INVALID_REQUEST, Logged, Metrics, Pace};
use crate::protocol::Protocol;
use crate::random::keep_ids_in_stock;
use crate::shared_store::SharedStore;

mod logged;
mod settling;

use logged::{asked, asked_server, denial};

/// Message of a denial because the decision could not be logged.
const UNAVAILABLE_MESSAGE: &str = "every decision has to be logged and the decision log cannot be written; try again later, and tell callgate's operator";

/// The request that is logged in place of one whose fields could not be read.
const UNNAMED: Request<'static> = Request {
    caller: Caller::named(""),
    pep: Pep::UNNAMED,
    tool: "",
    server: "",
    session: None,
    args: Args::NONE,
    reserve: None,
    pins: None,
    unseen_member: None,
};

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers::new());
}

/// Buffers of one thread, which [`work_on`] lends for one message and reuses for the next one.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// For the engine, which reads arguments that nobody has read yet.
    pub(crate) scratch: Scratch,
    /// For the message.
    pub(crate) tape: Tape,
    /// For the part of a body that is read as a message.
    pub(crate) bytes: Vec<u8>,
}

/// Engine, clock, enforcement points, metrics, events, decision log and listeners of one server.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) events: Arc<Events>,
    pub(crate) audit: Option<Audit>,
    /// The way to the store of approvals; `None` where nobody would answer.
    pub(crate) approvals: Option<Approvals>,
    /// The way to the store of shared counts; `None` where none are shared.
    pub(crate) shared: Option<SharedStore>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) in_force: ConfigurationSwap,
    /// Keeps apart their sessions of callers that have proven who they are; `None` where there is no gateway.
    pub(crate) sessions: Option<Sessions>,
    pub(crate) paces: Paces,
    pub(crate) listed_tools: ListedTools,
}

/// Bounds of how often refusals before any decision are logged: clients choose how often they happen.
#[derive(Debug, Default)]
pub(crate) struct Paces {
    /// Requests of nobody that is known.
    pub(crate) peps: Pace,
    /// Failed TLS handshakes.
    pub(crate) handshakes: Pace,
    /// Connections that their clients flooded.
    pub(crate) floods: Pace,
    /// Rate limits that could not be looked at.
    pub(crate) rate_limits: Pace,
    /// Requests that limits by descriptors refused.
    pub(crate) refused_limits: Pace,
    /// Quotas that were refused.
    pub(crate) quotas: Pace,
    /// Servers behind the gateway that did not answer.
    pub(crate) upstreams: Pace,
    /// Lists of tools that are not those that were accepted.
    pub(crate) lists: Pace,
}

impl Buffers {
    // Private: buffers come from `work_on` alone, so whoever has some may take long.
    fn new() -> Self {
        Self {
            scratch: Scratch::default(),
            tape: Tape::new(),
            bytes: Vec::new(),
        }
    }
}

/// Works on a message with buffers of this thread. For a large one they are new, so that the thread keeps no large ones.
///
/// `bytes` is the part of the message whose length the caller decides. Work on a large one stands behind [`poll_apart`].
pub(crate) fn work_on<R>(bytes: &[u8], work: impl FnOnce(&mut Buffers) -> R) -> R {
    debug_assert!(
        may_take(bytes.len()),
        "a large message holds up other connections"
    );
    if bytes.len() > LARGE_BYTES {
        return work(&mut Buffers::new());
    }
    BUFFERS.with(|buffers| match buffers.try_borrow_mut() {
        Ok(mut buffers) => work(&mut buffers),
        Err(_) => work(&mut Buffers::new()),
    })
}

impl Gate {
    pub(crate) fn new(engine: Arc<Engine>, clock: Clock, parts: Parts) -> Self {
        keep_ids_in_stock();
        let metrics = Metrics::default();
        let in_force = ConfigurationSwap::new(&engine, &metrics, parts);
        Self {
            engine,
            clock,
            metrics,
            events: Arc::default(),
            audit: None,
            approvals: None,
            shared: None,
            feed: Arc::default(),
            in_force,
            sessions: None,
            paces: Paces::default(),
            listed_tools: ListedTools::default(),
        }
    }

    /// Starts the worker that speaks to the store of shared counts.
    pub(crate) fn share(&mut self, config: &SharedConfig, limits: &Limits) -> Result<Worker, SharedError> {
        if let Some(shared) = self.engine.store().shared() {
            shared.set_longest_ahead_us(limits.quota_ahead_us());
        }
        let (store, worker) = SharedStore::start(config, &self.engine, &self.clock, &self.events)?;
        self.shared = Some(store);
        Ok(worker)
    }

    /// The configuration in force; a call goes by one from start to end.
    pub(crate) fn configuration(&self) -> Snapshot {
        self.in_force.load(&self.engine, &self.metrics)
    }

    /// Puts another configuration in force: another state, if there is one, with the parts that `change` has changed.
    pub(crate) fn reload(&self, state: Option<State>, change: impl FnOnce(&mut Parts)) {
        self.in_force.reload(&self.engine, &self.metrics, state, change);
    }

    /// Decides a call as gRPC does, by the state in force.
    #[cfg(test)]
    pub(crate) fn decide<R>(&self, request: &Request<'_>, render: impl FnOnce(&Decision<'_>) -> R) -> R {
        let configuration = self.configuration();
        work_on(&[], |Buffers { scratch, .. }| {
            let asking = Asking::default();
            self.decide_over(
                Protocol::Grpc,
                &configuration,
                request,
                (scratch, &asking),
                render,
            )
        })
    }

    /// Logs that nobody known asked, at a bounded pace.
    pub(crate) fn refused_asker(&self, unknown: UnknownPepError) {
        if self.paces.peps.admits(self.second()) {
            let fields = vec![("reason", unknown.as_str().into())];
            self.events.push(Level::Warning, "pep_refused", fields);
        }
    }

    /// Counts a failed TLS handshake and logs it, at a bounded pace.
    pub(crate) fn failed_handshake(&self, error: &str) {
        self.metrics.tls_handshake_failed();
        if self.paces.handshakes.admits(self.second()) {
            let fields = vec![("error", error.into())];
            self.events.push(Level::Warning, "tls_handshake_failed", fields);
        }
    }

    /// Counts a connection that was ended because its client sent too many frames of a kind, and logs it, at a bounded pace.
    pub(crate) fn flooded(&self, flood: Flood) {
        self.metrics.http2_flooded(flood);
        if self.paces.floods.admits(self.second()) {
            let fields = vec![("frames", flood.as_str().into())];
            self.events.push(Level::Warning, "http2_flood", fields);
        }
    }

    /// True if traces of requests are read: for the decision log, or for listeners.
    pub(crate) fn reads_traces(&self) -> bool {
        self.audit.is_some() || self.feed.is_on()
    }

    /// The ingress of a request with these header fields, which are read only for a trace.
    pub(crate) fn ingress(&self, protocol: Protocol, headers: &HeaderMap) -> Ingress {
        if self.reads_traces() {
            Ingress::of_headers(protocol, headers)
        } else {
            protocol.into()
        }
    }

    pub(crate) fn second(&self) -> u64 {
        self.clock.now().boot_ns / 1_000_000_000
    }

    /// Decides a call by the configuration that also says who asks, and renders the decision while that is held. [`work_on`]
    /// lends the scratch.
    pub(crate) fn decide_over<R>(
        &self,
        ingress: impl Into<Ingress>,
        configuration: &Configuration,
        request: &Request<'_>,
        (scratch, asking): (&mut Scratch, &Asking),
        render: impl FnOnce(&Decision<'_>) -> R,
    ) -> R {
        let ingress: Ingress = ingress.into();
        // Room in the log comes first: what cannot be logged must not take units.
        let mut entry = self.audit.as_ref().and_then(Audit::begin);
        let is_unavailable = entry.is_none() && self.audit.as_ref().is_some_and(Audit::is_required);
        let now = self.clock.now();
        let started = self.clock.started(now);
        let answered = asking.take_answered();
        let before = answered.as_ref().map_or(Duration::ZERO, |answered| answered.took);
        let see = |seen: Seen<'_>| {
            if let Some(entry) = &mut entry {
                entry.see(seen);
            }
        };
        let state = &configuration.state;
        let decided = match answered {
            // What was consumed for the call is given back.
            _ if is_unavailable => {
                let message = Cow::Borrowed(UNAVAILABLE_MESSAGE);
                Decided::Decision(denial(UNAVAILABLE, message, now))
            }
            Some(answered) => {
                let AnsweredCall {
                    looked, reply, store, ..
                } = *answered;
                self.engine.see(state, request, now, scratch, see);
                Decided::Decision(self.settle_call(state, looked, reply, store, now))
            }
            None => self
                .engine
                .decide_or_ask(state, request, now, scratch, self.max_args_bytes(), see),
        };
        let decision = match decided {
            Decided::Decision(decision) => decision,
            Decided::Asked(asked) if self.approvals.is_some() || asked.question.is_none() => {
                asking.wait(asked, ingress.protocol, self.clock.since(started));
                // The door throws away what it makes of this, and comes back with the answer.
                return render(&denial(UNAVAILABLE, Cow::Borrowed(""), now));
            }
            Decided::Asked(asked) => {
                let reply = Some(Reply::without_use(Answer::Unavailable));
                self.settle_call(state, asked.looked, reply, None, now)
            }
        };
        let took = before + self.clock.since(started);
        self.record(ingress, configuration, request, &decision, now, took);
        let candidates = &configuration.candidates;
        let candidate = candidates.weigh(state, request, &decision, now, scratch);
        if let Some(entry) = entry {
            let asked = asked(ingress, configuration, request, &decision);
            entry.finish(asked, &decision, candidate.as_ref(), took);
        }
        render(&decision)
    }

    /// Decides a call with the answers that it has waited for. A use that was consumed for it is given back, unless it is allowed.
    fn settle_call<'s>(
        &self,
        state: &'s State,
        looked: Looked<'s, '_>,
        reply: Option<Reply>,
        store: Option<StoreAnswer>,
        now: Now,
    ) -> Decision<'s> {
        let answer = reply.as_ref().map(|reply| &reply.answer);
        let decision = self.engine.settle_answered(state, looked, answer, store, now);
        if let (Outcome::Allow, Some(approvals), Some(reply)) = (decision.outcome, &self.approvals, reply) {
            let until = Instant::now() + self.engine.reservation_ttl();
            approvals.spend(reply, decision.reservation, until);
        }
        decision
    }

    /// Asks a question at once; the answer comes at this moment at the latest.
    pub(crate) fn ask(
        &self,
        question: Question,
        protocol: Protocol,
        until: Instant,
    ) -> impl Future<Output = Reply> + Send + use<> {
        let approvals = self.approvals.as_ref();
        let answer = approvals.map_or(Err(Answer::Unavailable), |approvals| {
            approvals.ask(question, protocol, until)
        });
        async move {
            match answer {
                Err(answer) => Reply::without_use(answer),
                Ok(answer) => match tokio::time::timeout_at(until.into(), answer).await {
                    Ok(Ok(reply)) => reply,
                    Ok(Err(_)) | Err(_) => Reply::without_use(Answer::Unavailable),
                },
            }
        }
    }

    /// The moment until which a call with this deadline of its own waits for people's answers.
    pub(crate) fn wait_until(&self, deadline: Option<Deadline>) -> Instant {
        let approvals = self.approvals.as_ref();
        approvals.map_or_else(Instant::now, |approvals| approvals.wait_until(deadline))
    }

    /// Prepares to follow an approval; `None` where no approvals are kept.
    pub(crate) fn watch_approval(&self, id: &str) -> Option<ApprovalWatch> {
        self.approvals
            .as_ref()
            .map(|approvals| approvals.watch(id.to_owned()))
    }

    fn max_args_bytes(&self) -> usize {
        let approvals = self.approvals.as_ref();
        approvals.map_or(
            ApprovalsConfig::default().max_args_bytes,
            Approvals::max_args_bytes,
        )
    }

    /// Looks at what is left for a caller. Nothing is taken, counted or logged.
    pub(crate) fn peek<R>(
        &self,
        configuration: &Configuration,
        request: &Request<'_>,
        scratch: &mut Scratch,
        render: impl FnOnce(&Peek<'_>) -> R,
    ) -> R {
        let now = self.clock.now();
        render(&self.engine.peek(&configuration.state, request, now, scratch))
    }

    /// Decides on a request that is for no tool: see [`Engine::recognise`]. What is allowed is counted where a tool is called.
    pub(crate) fn recognise<R>(
        &self,
        ingress: impl Into<Ingress>,
        configuration: &Configuration,
        request: &Request<'_>,
        render: impl FnOnce(&Decision<'_>) -> R,
    ) -> R {
        let now = self.clock.now();
        let decision = self.engine.recognise(&configuration.state, request, now);
        if decision.outcome != Outcome::Allow {
            self.log_denial(ingress.into(), configuration, request, &decision, now);
        }
        render(&decision)
    }

    /// The decision on a request that names no call well enough for the engine: a denial, `(invalid request)`.
    pub(crate) fn refuse<R>(
        &self,
        ingress: impl Into<Ingress>,
        message: String,
        render: impl FnOnce(&Decision<'_>) -> R,
    ) -> R {
        let configuration = self.configuration();
        self.deny(
            ingress,
            &configuration,
            &UNNAMED,
            INVALID_REQUEST,
            message,
            render,
        )
    }

    /// A denial by a door, before any policy.
    pub(crate) fn deny<R>(
        &self,
        ingress: impl Into<Ingress>,
        configuration: &Configuration,
        request: &Request<'_>,
        rule: &'static str,
        message: String,
        render: impl FnOnce(&Decision<'_>) -> R,
    ) -> R {
        let now = self.clock.now();
        // Whose token it is, and whose policy it would have been: the log says whom a refusal was for.
        let known = self.engine.recognise(&configuration.state, request, now);
        let decision = Decision {
            policy: known.policy,
            policy_version: known.policy_version,
            grant_index: known.grant_index,
            policy_index: known.policy_index,
            ..denial(rule, Cow::Owned(message), now)
        };
        self.log_denial(ingress.into(), configuration, request, &decision, now);
        render(&decision)
    }

    /// Logs that limits by descriptors refused a request, as this decision says.
    pub(crate) fn log_refused_limits<'a>(
        &self,
        ingress: Ingress,
        decision: impl FnOnce() -> Decision<'a>,
        took: Duration,
    ) {
        let is_told = self.paces.refused_limits.admits(self.second());
        // A refusal that cannot be logged is one all the same.
        let entry = self.audit.as_ref().and_then(Audit::begin);
        if !is_told && entry.is_none() && !self.feed.is_on() {
            return;
        }
        let decision = decision();
        if is_told {
            let fields = vec![
                ("domain", decision.policy.as_ref().into()),
                ("outcome", decision.outcome.as_str().into()),
                ("rule", decision.rule.as_ref().into()),
                ("decided_at_us", decision.decided_at_us.into()),
            ];
            self.events.push(Level::Info, "denied", fields);
        }
        let identity = Identity {
            grant: "",
            server: "",
        };
        if self.feed.is_on() {
            self.feed.push(&LiveDecision {
                protocol: ingress.protocol,
                identity,
                session: None,
                tool: "",
                decision: &decision,
                traceparent: ingress.traceparent,
                took,
            });
        }
        if let Some(entry) = entry {
            let asked = LoggedRequest {
                ingress,
                identity,
                session: None,
                tool: "",
            };
            entry.finish(asked, &decision, None, took);
        }
    }

    /// Counts and logs a denial that the engine was not asked for.
    fn log_denial(
        &self,
        ingress: Ingress,
        configuration: &Configuration,
        request: &Request<'_>,
        decision: &Decision<'_>,
        now: Now,
    ) {
        self.record(ingress, configuration, request, decision, now, Duration::ZERO);
        // A denial that cannot be logged is one all the same.
        if let Some(entry) = self.audit.as_ref().and_then(Audit::begin) {
            entry.finish(
                asked(ingress, configuration, request, decision),
                decision,
                None,
                Duration::ZERO,
            );
        }
    }

    /// Counts a decision, passes it to listeners, and tells of a denial at a bounded pace.
    fn record(
        &self,
        ingress: Ingress,
        configuration: &Configuration,
        request: &Request<'_>,
        decision: &Decision<'_>,
        now: Now,
        took: Duration,
    ) {
        if self.feed.is_on() {
            self.feed.push(&LiveDecision {
                protocol: ingress.protocol,
                identity: configuration.state.identity(request, decision),
                session: request.session,
                tool: request.tool,
                decision,
                traceparent: ingress.traceparent,
                took,
            });
        }
        let asked = || asked_server(configuration, request, decision);
        let logged = self.metrics.decided(
            &configuration.cells,
            decision,
            asked,
            took,
            now.boot_ns / 1_000_000_000,
        );
        let Logged::Yes(label) = logged else { return };
        let Identity { grant, server } = configuration.state.identity(request, decision);
        // The name that the decision log has; the label of metrics only where there is none.
        let server = if server.is_empty() {
            FieldValue::Text(label)
        } else {
            server.into()
        };
        let (level, event) = match decision.rule.as_ref() {
            INTERNAL_ERROR => (Level::Error, "internal_error"),
            _ => (Level::Info, "denied"),
        };
        let fields = vec![
            ("server", server),
            ("grant", grant.into()),
            ("tool", request.tool.into()),
            ("outcome", decision.outcome.as_str().into()),
            ("rule", decision.rule.as_ref().into()),
            ("decided_at_us", decision.decided_at_us.into()),
        ];
        self.events.push(level, event, fields);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_the_buffers_of_small_messages_alone() {
        let small = vec![0; LARGE_BYTES];
        let large = vec![0; LARGE_BYTES + 1];
        work_on(&small, |buffers| buffers.bytes.extend_from_slice(b"small"));
        work_on(&large, |buffers| {
            assert_eq!(buffers.bytes.capacity(), 0);
            buffers.bytes.extend_from_slice(&large);
        });
        work_on(&small, |buffers| {
            assert_eq!(buffers.bytes, b"small");
            // Lent already.
            work_on(&small, |others| assert_eq!(others.bytes.capacity(), 0));
        });
    }
}
