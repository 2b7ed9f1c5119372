//! Decisions as they are made, for listeners of the control plane (`callgate tail`, `callgate top`).
//!
//! A decision that nobody listens to costs one load. With listeners, the thread that decides appends a line to each buffer
//! that has room and that nobody else holds; it never waits, and what it cannot append is counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use callgate_core::engine::Identity;
use callgate_core::json::ValueWriter;
use callgate_core::{Decision, Outcome};
use callgate_mcp::TraceParent;

use crate::events::shown;
use crate::protocol::Protocol;

/// Most listeners at once: each costs every decision a line.
const MOST_LISTENERS: usize = 16;
/// Bytes of lines that wait for one listener: some thousands of decisions.
const BUFFER_BYTES: usize = 1 << 20;
/// Grants that one tally counts; callers may choose names.
const MOST_GRANTS: usize = 4_096;
/// Attempts to get a buffer that another thread holds for an instant.
const ATTEMPTS: usize = 32;
/// The step of sampling: 2^64 divided by the golden ratio. Its multiples are spread evenly, whatever pattern calls have.
const SAMPLING_STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// The flag of a trace that is sampled.
const SAMPLED: u8 = 1;

/// There are too many listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_LISTENERS} listeners follow the decisions already, which is the most; end one of them")]
pub struct TooManyListenersError;

/// The decisions that a listener follows; an empty list stands for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Ids of grants.
    pub grants: Vec<String>,
    /// Names of tools.
    pub tools: Vec<String>,
    /// Outcomes.
    pub outcomes: Vec<Outcome>,
    /// The part of the decisions without a trace that is followed, as a part of 2^64; `None` for all decisions. A decision in a
    /// trace is followed if the trace is sampled, and one with an approval always.
    pub sampled: Option<u64>,
}

impl DecisionFilter {
    /// `sequence` is what sampling has counted.
    fn admits(&self, one: &LiveDecision<'_, '_>, sequence: &AtomicU64) -> bool {
        let named =
            |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
        named(&self.grants, one.identity.grant)
            && named(&self.tools, one.tool)
            && (self.outcomes.is_empty() || self.outcomes.contains(&one.decision.outcome))
            && self.samples(one, sequence)
    }

    fn samples(&self, one: &LiveDecision<'_, '_>, sequence: &AtomicU64) -> bool {
        match (self.sampled, one.traceparent) {
            (None, _) => true,
            // A call for which people were asked is followed to its end.
            _ if !one.decision.approval.is_empty() => true,
            (Some(_), Some(parent)) => parent.flags & SAMPLED != 0,
            // Relaxed: a sequence that publishes nothing else. It wraps around.
            (Some(part), None) => sequence.fetch_add(SAMPLING_STEP, Ordering::Relaxed) < part,
        }
    }
}

/// A decision, with what was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveDecision<'a, 'd> {
    pub(crate) protocol: Protocol,
    pub(crate) identity: Identity<'a>,
    pub(crate) session: Option<&'a str>,
    pub(crate) tool: &'a str,
    pub(crate) decision: &'a Decision<'d>,
    pub(crate) traceparent: Option<TraceParent>,
    pub(crate) took: Duration,
}

impl LiveDecision<'_, '_> {
    /// Writes the line of the decision, with names as in the decision log; without arguments.
    fn write(&self, line: &mut String) {
        let decision = self.decision;
        ValueWriter::new(line).object(|member| {
            member.field("decided_at_us").integer(decision.decided_at_us);
            member.field("protocol").text(self.protocol.as_str());
            member.field("server").text(&shown(self.identity.server));
            member.field("grant").text(&shown(self.identity.grant));
            member
                .field("session")
                .text(&shown(self.session.unwrap_or_default()));
            member.field("tool").text(&shown(self.tool));
            member.field("outcome").text(decision.outcome.as_str());
            member.field("rule").text(&decision.rule);
            member.field("policy").text(&decision.policy);
            member.field("policy_version").text(&decision.policy_version);
            if let Some(retry_after_ms) = decision.retry_after_ms {
                member.field("retry_after_ms").integer(retry_after_ms);
            }
            if let Some(fingerprint) = &decision.fingerprint {
                member.field("fingerprint").plain(fingerprint);
            }
            if !decision.approval.is_empty() {
                member.field("approval").text(&decision.approval);
            }
            if let Some(shadow) = &decision.shadow {
                member.field("shadow").object(|member| {
                    member.field("outcome").text(shadow.outcome.as_str());
                    member.field("rule").text(&shadow.rule);
                });
            }
            if let Some(traceparent) = self.traceparent {
                member.field("traceparent").plain(traceparent);
            }
            let took_ns = u64::try_from(self.took.as_nanos()).unwrap_or(u64::MAX);
            member.field("duration_ns").integer(took_ns);
        });
        line.push('\n');
    }
}

/// The listeners of one server.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// The number of listeners.
    listening: AtomicUsize,
    listeners: ArcSwap<Vec<Arc<Listener>>>,
    /// Held by who changes the listeners.
    changing: Mutex<()>,
    has_ended: AtomicBool,
}

/// One listener: its filter, and what waits for it.
#[derive(Debug)]
struct Listener {
    filter: DecisionFilter,
    wants_lines: bool,
    /// What sampling has counted.
    sequence: AtomicU64,
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    dropped: AtomicU64,
}

/// The entries that wait for a listener.
#[derive(Debug)]
enum Waiting {
    /// JSON lines.
    Lines(String),
    /// Decisions of each grant by outcome, in the order of [`Outcome::ALL`].
    Grants(HashMap<String, [u64; Outcome::ALL.len()]>),
}

impl Waiting {
    fn is_empty(&self) -> bool {
        match self {
            Self::Lines(lines) => lines.is_empty(),
            Self::Grants(grants) => grants.is_empty(),
        }
    }

    /// Adds a decision; false if there is no room.
    fn add(&mut self, one: &LiveDecision<'_, '_>, line: &str) -> bool {
        match self {
            Self::Lines(lines) if lines.len() + line.len() <= BUFFER_BYTES => lines.push_str(line),
            Self::Lines(_) => return false,
            Self::Grants(grants) => {
                let grant = shown(one.identity.grant);
                if grants.len() >= MOST_GRANTS && !grants.contains_key(&grant) {
                    return false;
                }
                let counts = grants.entry(grant).or_default();
                for (outcome, count) in Outcome::ALL.into_iter().zip(counts) {
                    *count += u64::from(outcome == one.decision.outcome);
                }
            }
        }
        true
    }
}

impl Feed {
    /// True if somebody listens.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        // Relaxed: a listener that has just come may miss a decision.
        self.listening.load(Ordering::Relaxed) > 0
    }

    /// Passes a decision to the listeners.
    #[cold]
    pub(crate) fn push(&self, one: &LiveDecision<'_, '_>) {
        let mut line = String::new();
        for listener in self.listeners.load().iter() {
            if !listener.filter.admits(one, &listener.sequence) {
                continue;
            }
            if listener.wants_lines && line.is_empty() {
                // Before the lock, so that nobody meets it for longer than a copy takes.
                one.write(&mut line);
            }
            let was_added = listener
                .try_lock()
                .is_some_and(|mut waiting| waiting.add(one, &line));
            if was_added {
                listener.arrived.notify_one();
            } else {
                // Relaxed: a count that publishes nothing else.
                listener.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Ends every listener: it gets what waits for it, and then no more.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        for listener in self.listeners.load().iter() {
            // A reader that looked before the store waits by now.
            drop(listener.lock());
            listener.arrived.notify_all();
        }
    }

    fn add(
        self: &Arc<Self>,
        filter: DecisionFilter,
        waiting: Waiting,
    ) -> Result<Subscription, TooManyListenersError> {
        let listener = Arc::new(Listener {
            filter,
            wants_lines: matches!(waiting, Waiting::Lines(_)),
            sequence: AtomicU64::new(0),
            waiting: Mutex::new(waiting),
            arrived: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        self.change(|listeners| {
            if listeners.len() >= MOST_LISTENERS {
                return Err(TooManyListenersError);
            }
            listeners.push(Arc::clone(&listener));
            Ok(())
        })?;
        Ok(Subscription {
            feed: Arc::clone(self),
            listener,
        })
    }

    fn change<R>(&self, change: impl FnOnce(&mut Vec<Arc<Listener>>) -> R) -> R {
        // A panic while it was held leaves a list that is a list.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut listeners = self.listeners.load().to_vec();
        let result = change(&mut listeners);
        self.listening.store(listeners.len(), Ordering::Relaxed);
        self.listeners.store(Arc::new(listeners));
        result
    }
}

impl Listener {
    fn try_lock(&self) -> Option<MutexGuard<'_, Waiting>> {
        for _ in 0..ATTEMPTS {
            match self.waiting.try_lock() {
                Ok(waiting) => return Some(waiting),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A panic while it was held leaves lines of which at worst the last is cut off.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener, until it is dropped.
#[derive(Debug)]
struct Subscription {
    feed: Arc<Feed>,
    listener: Arc<Listener>,
}

impl Subscription {
    /// The entries that wait, and the number of decisions that were dropped, both since the last call. Waits up to `patience`
    /// for the first entry; `None` once the server has stopped and everything was taken.
    fn take(&self, patience: Duration, empty: Waiting) -> Option<(Waiting, u64)> {
        let has_ended = || self.feed.has_ended.load(Ordering::SeqCst);
        let until = Instant::now() + patience;
        let mut waiting = self.listener.lock();
        while waiting.is_empty() && !has_ended() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let woken = self.listener.arrived.wait_timeout(waiting, left);
            (waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.is_empty() && has_ended() {
            return None;
        }
        let taken = std::mem::replace(&mut *waiting, empty);
        Some((taken, self.listener.dropped.swap(0, Ordering::Relaxed)))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.feed
            .change(|listeners| listeners.retain(|one| !Arc::ptr_eq(one, &self.listener)));
    }
}

/// Follows decisions as JSON lines, until it is dropped.
#[derive(Debug)]
pub struct DecisionListener(Subscription);

impl DecisionListener {
    pub(crate) fn new(feed: &Arc<Feed>, filter: DecisionFilter) -> Result<Self, TooManyListenersError> {
        feed.add(filter, Waiting::Lines(String::new())).map(Self)
    }

    /// Returns the lines since the last call, each ending with a line feed, and the number of decisions since then for which
    /// there was no room. Waits up to `patience` for the first one; `None` once the server has stopped.
    pub fn take(&self, patience: Duration) -> Option<(String, u64)> {
        match self.0.take(patience, Waiting::Lines(String::new()))? {
            (Waiting::Lines(lines), dropped) => Some((lines, dropped)),
            (Waiting::Grants(_), _) => None,
        }
    }
}

/// Counts the decisions of each grant, until it is dropped.
#[derive(Debug)]
pub struct GrantTally(Subscription);

/// Grants with their decisions by outcome, in the order of [`Outcome::ALL`].
pub type GrantCounts = HashMap<String, [u64; Outcome::ALL.len()]>;

impl GrantTally {
    pub(crate) fn new(feed: &Arc<Feed>) -> Result<Self, TooManyListenersError> {
        feed.add(DecisionFilter::default(), Waiting::Grants(HashMap::new()))
            .map(Self)
    }

    /// Returns the decisions of each grant since the last call, and the number of those that were not counted. `None` once the
    /// server has stopped.
    pub fn take(&self) -> Option<(GrantCounts, u64)> {
        match self.0.take(Duration::ZERO, Waiting::Grants(HashMap::new()))? {
            (Waiting::Grants(grants), dropped) => Some((grants, dropped)),
            (Waiting::Lines(_), _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    fn decision(outcome: Outcome) -> Decision<'static> {
        Decision::bare(outcome, "/tools/t".into(), "no".into(), 7)
    }

    fn live<'a>(grant: &'a str, tool: &'a str, decision: &'a Decision<'static>) -> LiveDecision<'a, 'static> {
        LiveDecision {
            protocol: Protocol::Grpc,
            identity: Identity { grant, server: "srv" },
            session: None,
            tool,
            decision,
            traceparent: None,
            took: Duration::from_nanos(9),
        }
    }

    #[test]
    fn a_part_of_the_decisions_is_followed_and_sampled_traces_whole() {
        let feed = Arc::new(Feed::default());
        let filter = DecisionFilter {
            sampled: Some(u64::MAX / 10),
            ..DecisionFilter::default()
        };
        let listener = DecisionListener::new(&feed, filter).unwrap();
        let none = DecisionFilter {
            sampled: Some(0),
            ..DecisionFilter::default()
        };
        let traces = DecisionListener::new(&feed, none).unwrap();
        let allowed = decision(Outcome::Allow);
        for _ in 0..1_000 {
            feed.push(&live("g", "t", &allowed));
        }
        let (lines, _) = listener.take(SOON).unwrap();
        let count = lines.lines().count();
        assert!((98..=102).contains(&count), "{count}");
        let parent = |flags: &str| TraceParent::parse(&format!("00-{:032x}-{:016x}-{flags}", 7, 9));
        for flags in ["00", "01", "00", "03"] {
            let traceparent = parent(flags);
            assert!(traceparent.is_some());
            feed.push(&LiveDecision {
                traceparent,
                ..live("g", "t", &allowed)
            });
        }
        let used = Decision {
            approval: "k4mf".into(),
            ..decision(Outcome::Allow)
        };
        feed.push(&live("g", "t", &used));
        for one in [&listener, &traces] {
            let (lines, _) = one.take(SOON).unwrap();
            assert_eq!(lines.lines().count(), 3, "{lines}");
            assert!(
                lines.contains(",\"traceparent\":\"00-0000000000000000000000000000000"),
                "{lines}"
            );
            assert!(lines.contains("-01\",\"duration_ns\":9}"), "{lines}");
        }
    }

    #[test]
    fn a_line_names_the_approval() {
        let waits = Decision {
            approval: "k4mf".into(),
            ..decision(Outcome::ApprovalRequired)
        };
        let mut line = String::new();
        live("g", "a", &waits).write(&mut line);
        assert!(line.contains(r#","approval":"k4mf","duration_ns":9}"#), "{line}");
    }

    #[test]
    fn a_listener_gets_the_decisions_that_it_asked_for() {
        let feed = Arc::new(Feed::default());
        assert!(!feed.is_on());
        let (allowed, denied) = (decision(Outcome::Allow), decision(Outcome::Deny));
        let filter = DecisionFilter {
            grants: vec!["g".to_owned()],
            outcomes: vec![Outcome::Deny],
            ..DecisionFilter::default()
        };
        let listener = DecisionListener::new(&feed, filter).unwrap();
        let tally = GrantTally::new(&feed).unwrap();
        assert!(feed.is_on());
        for one in [
            live("g", "a", &allowed),
            live("h", "a", &denied),
            live("g", "a\n", &denied),
        ] {
            feed.push(&one);
        }
        let line = "{\"decided_at_us\":7,\"protocol\":\"grpc\",\"server\":\"srv\",\"grant\":\"g\",\"session\":\"\",\
                    \"tool\":\"a\\n\",\"outcome\":\"deny\",\"rule\":\"/tools/t\",\"policy\":\"\",\"policy_version\":\"\",\
                    \"duration_ns\":9}\n";
        assert_eq!(listener.take(SOON), Some((line.to_owned(), 0)));
        assert_eq!(listener.take(Duration::ZERO), Some((String::new(), 0)));
        let counts = |allow, deny| {
            Outcome::ALL.map(|outcome| match outcome {
                Outcome::Allow => allow,
                Outcome::Deny => deny,
                _ => 0,
            })
        };
        let expected = [("g".to_owned(), counts(1, 1)), ("h".to_owned(), counts(0, 1))];
        assert_eq!(tally.take(), Some((HashMap::from(expected), 0)));
        drop((listener, tally));
        assert!(!feed.is_on());
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let feed = Arc::new(Feed::default());
        let listener = DecisionListener::new(&feed, DecisionFilter::default()).unwrap();
        let tally = GrantTally::new(&feed).unwrap();
        let denied = decision(Outcome::Deny);
        for number in 0..10_000 {
            feed.push(&live(&format!("g{number}"), "t", &denied));
        }
        let (lines, dropped) = listener.take(SOON).unwrap();
        assert!(lines.len() <= BUFFER_BYTES);
        assert_eq!(lines.lines().count() as u64 + dropped, 10_000);
        assert!(dropped > 0 && lines.ends_with("}\n"));
        assert_eq!(listener.take(Duration::ZERO), Some((String::new(), 0)));
        let (grants, dropped) = tally.take().unwrap();
        assert_eq!(
            (grants.len(), dropped),
            (MOST_GRANTS, 10_000 - MOST_GRANTS as u64)
        );
    }

    #[test]
    fn a_listener_waits_until_there_is_something_or_the_end() {
        let feed = Arc::new(Feed::default());
        let listener = DecisionListener::new(&feed, DecisionFilter::default()).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| (listener.take(SOON), listener.take(SOON)));
            let denied = decision(Outcome::Deny);
            feed.push(&live("g", "t", &denied));
            feed.end();
            let (first, second) = waiting.join().unwrap();
            assert!(first.is_some_and(|(lines, _)| lines.contains("\"g\"")));
            assert_eq!(second, None);
        });
    }

    #[test]
    fn there_is_a_greatest_number_of_listeners() {
        let feed = Arc::new(Feed::default());
        let mut listeners: Vec<_> = (0..MOST_LISTENERS)
            .map(|_| GrantTally::new(&feed).unwrap())
            .collect();
        assert_eq!(GrantTally::new(&feed).unwrap_err(), TooManyListenersError);
        listeners.pop();
        GrantTally::new(&feed).unwrap();
    }
}
