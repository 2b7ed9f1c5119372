//! The thread that speaks to Redis.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use callgate_counters::lease::{Ask, Shared};
use callgate_counters::{Counters, Now};
use redis::{Script, Value};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::config::{SharedConfig, fingerprint, hex};
use crate::error::SharedError;
use crate::keys::Keys;
use crate::lease::{Flight, Lease, Times};
use crate::link::{Link, Route};
use crate::reply::Reply;

const SCRIPT: &str = include_str!("script.lua");
const DECLARE: &str = include_str!("declare.lua");

/// Renewals are looked for this often within a lease.
const TICKS: u32 = 40;
/// The shortest and the longest pause before the next attempt to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// The time after which a policy is looked at again that must not be shared.
const REFUSED: Duration = Duration::from_secs(5);
/// The longest time for which the end of the process waits until shares are given back.
const FAREWELL: Duration = Duration::from_secs(2);

/// The counters of this node, its clock, and those who are told.
pub trait Node: Send + Sync + 'static {
    /// The counters.
    fn counters(&self) -> &Counters;
    /// This instant, on the clock of the counters.
    fn now(&self) -> Now;
    /// The store can be used, or cannot, for this reason.
    fn store_changed(&self, fault: Option<&SharedError>);
}

/// What is known of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The reason why the store is not used now; `None` if it is.
    pub fault: Option<String>,
    /// Calls of scripts that were answered.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Counts of which this node has shares.
    pub leased: usize,
}

/// The worker's thread. Dropped, it gives the shares of this node back and ends.
#[derive(Debug)]
pub struct Worker {
    thread: Option<JoinHandle<()>>,
    stop: Arc<Notify>,
    state: Arc<Mutex<State>>,
}

impl Worker {
    /// Starts the thread. It connects again and again until it is stopped.
    pub fn start(config: &SharedConfig, shared: Arc<Shared>, node: impl Node) -> Result<Self, SharedError> {
        let route = Route::new(config)?;
        let stop = Arc::new(Notify::new());
        let wake = Arc::new(Notify::new());
        let state = Arc::new(Mutex::new(State {
            fault: Some("not connected yet".to_owned()),
            ..State::default()
        }));
        shared.on_ask({
            let wake = Arc::clone(&wake);
            move || wake.notify_one()
        });
        let mut run = Run {
            route: Some(route),
            fingerprint: fingerprint(shared.hash_key()),
            shared,
            node,
            prefix: config.prefix.clone(),
            times: Times {
                lease_us: micros(config.lease),
                recovery_us: config.recovery.map(micros),
            },
            // A store that has not answered for longer than calls wait is worth nothing to them.
            patience: (4 * config.budget).max(Duration::from_millis(250)),
            tick: config.lease / TICKS,
            script: Arc::new(Script::new(SCRIPT)),
            declare: Arc::new(Script::new(DECLARE)),
            policies: HashMap::new(),
            busy: HashMap::new(),
            link: None,
            pause: PAUSES.0,
            retry_at: Instant::now(),
            fault: None,
            has_call_failed: false,
            refused: HashMap::new(),
            state: Arc::clone(&state),
        };
        let ended = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("callgate-shared".to_owned())
            .spawn(move || {
                // However this thread ends, nobody waits for it any more.
                let _closing = Closing(Arc::clone(&run.shared), Arc::clone(&run.state));
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                match runtime {
                    Ok(runtime) => runtime.block_on(run.run(&wake, &ended)),
                    Err(error) => run.failed(SharedError::Thread(error.to_string())),
                }
            })
            .map_err(|error| SharedError::Thread(error.to_string()))?;
        Ok(Self {
            thread: Some(thread),
            stop,
            state,
        })
    }

    /// What is known of the store.
    pub fn state(&self) -> State {
        lock(&self.state).clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic there was told by its hook.
            let _ = thread.join();
        }
    }
}

/// Closes what calls share with the worker.
struct Closing(Arc<Shared>, Arc<Mutex<State>>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
        lock(&self.1).fault = Some("the thread that speaks to the store has ended".to_owned());
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Its fields do not depend on each other.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A name that no node has had.
fn new_name() -> String {
    let mut bytes = [0; 12];
    // Without random numbers names of one process still differ, and the store tells two that have one apart.
    if getrandom::fill(&mut bytes).is_err() {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = now.map_or(0, |now| now.as_nanos());
        bytes.copy_from_slice(&nanos.to_le_bytes()[..12]);
    }
    hex(&bytes)
}

/// The state of the thread.
struct Run<N> {
    /// `None` while it connects.
    route: Option<Route>,
    shared: Arc<Shared>,
    node: N,
    prefix: String,
    fingerprint: String,
    times: Times,
    patience: Duration,
    tick: Duration,
    script: Arc<Script>,
    declare: Arc<Script>,
    policies: HashMap<u32, Lease>,
    /// What is under way, by policy: one call each.
    busy: HashMap<u32, Option<Flight>>,
    link: Option<Link>,
    /// The pause before the next attempt to connect, and its moment.
    pause: Duration,
    retry_at: Instant,
    /// The reason why there is no connection; `None` while there is one that works.
    fault: Option<SharedError>,
    /// True if the last failure was that of a call: then a connection alone shows nothing.
    has_call_failed: bool,
    /// Policies that must not be shared, and the moment at which they are looked at again.
    refused: HashMap<u32, (SharedError, Instant)>,
    state: Arc<Mutex<State>>,
}

/// The answer to a call of a policy.
struct Landed {
    policy: u32,
    is_declaration: bool,
    answer: Result<Value, SharedError>,
}

impl<N: Node> Run<N> {
    async fn run(&mut self, wake: &Notify, stop: &Notify) {
        let mut calls: JoinSet<Landed> = JoinSet::new();
        let mut connects: JoinSet<(Route, Result<Link, SharedError>)> = JoinSet::new();
        let mut tick_at = Instant::now();
        loop {
            if self.link.is_none()
                && Instant::now() >= self.retry_at
                && let Some(mut route) = self.route.take()
            {
                // What was under way on the connection before is lost.
                calls = JoinSet::new();
                self.land_nothing();
                let patience = self.patience;
                let (script, probe) = (Arc::clone(&self.script), self.probe());
                connects.spawn(async move {
                    let mut link = route.connect(patience).await;
                    if let Ok(open) = &link
                        && let Err(error) = open.run(&script, probe.keys(), probe.args()).await
                    {
                        link = Err(error);
                    }
                    (route, link)
                });
            }
            self.take_asks();
            self.launch(&mut calls);
            let next_at = if self.route.is_some() && self.link.is_none() {
                self.retry_at
            } else {
                tick_at
            };
            tokio::select! {
                () = wake.notified() => {}
                () = sleep_until(next_at) => tick_at = Instant::now() + self.tick,
                Some(landed) = calls.join_next() => if let Ok(landed) = landed {
                    self.land(landed);
                },
                Some(Ok((route, link))) = connects.join_next() => {
                    self.route = Some(route);
                    match link {
                        Ok(link) => {
                            self.link = Some(link);
                            if !self.has_call_failed {
                                self.fault = None;
                            }
                            self.publish();
                        }
                        Err(error) => {
                            self.has_call_failed = false;
                            self.failed(error);
                        }
                    }
                }
                () = stop.notified() => break,
            }
        }
        self.take_asks();
        // Units that go back are asked for a moment longer.
        let farewell = self.say_goodbye(&mut calls);
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }

    fn take_asks(&mut self) {
        for ask in self.shared.take_asks() {
            match ask {
                Ask::Units(ask) => {
                    let number = ask.policy.number;
                    self.policy(number).ask(ask);
                }
                Ask::Low {
                    policy,
                    demand,
                    owner,
                } => self.policy(policy.number).low(demand, owner),
                Ask::Return(returned) => self.policy(returned.policy).give_back(returned),
                Ask::Known(policy) => {
                    let now = self.node.now();
                    // A part of `self`, beside the policies.
                    let counters = self.node.counters();
                    if let Some(known) = self.policies.get_mut(&policy.number) {
                        known.notice_changes(counters, now);
                    } else {
                        self.policy(policy.number);
                    }
                }
            }
        }
        let is_away = self.link.is_none();
        for (number, policy) in &mut self.policies {
            if is_away || self.refused.contains_key(number) {
                policy.refuse_all();
            }
        }
    }

    /// A call of the script that does nothing, for a policy that nobody has.
    fn probe(&self) -> Flight {
        Flight::probe(&Keys::new(&self.prefix, ""), self.node.now())
    }

    fn policy(&mut self, number: u32) -> &mut Lease {
        let (shared, prefix, times) = (&self.shared, &self.prefix, self.times);
        self.policies.entry(number).or_insert_with(|| {
            // Who asks has the policy, so it is known.
            let policy = shared
                .policy_numbered(number)
                .unwrap_or_else(|| shared.policy(""));
            Lease::new(Arc::clone(shared), policy, prefix, times, &new_name())
        })
    }

    /// Begins the next call of each policy that has none under way.
    fn launch(&mut self, calls: &mut JoinSet<Landed>) {
        let Some(link) = &self.link else { return };
        let now = self.node.now();
        self.refused.retain(|_, (_, until)| *until > Instant::now());
        for (number, policy) in &mut self.policies {
            let is_idle = policy.has_epoch() && !policy.is_due(now);
            if is_idle || self.busy.contains_key(number) || self.refused.contains_key(number) {
                continue;
            }
            let (number, link) = (*number, link.clone());
            if !policy.has_epoch() {
                let names = policy.names();
                let keys = vec![names.policy(), names.nodes(), names.wanted()];
                let args = vec![
                    link.identity.as_str().to_owned(),
                    new_name(),
                    policy.known_epoch().to_owned(),
                    self.fingerprint.clone(),
                ];
                let script = Arc::clone(&self.declare);
                self.busy.insert(number, None);
                calls.spawn(async move {
                    Landed {
                        policy: number,
                        is_declaration: true,
                        answer: link.run(&script, &keys, &args).await,
                    }
                });
            } else if let Some(flight) = policy.plan(self.node.counters(), now) {
                let (keys, args) = (flight.keys().to_vec(), flight.args().to_vec());
                let script = Arc::clone(&self.script);
                self.busy.insert(number, Some(flight));
                calls.spawn(async move {
                    Landed {
                        policy: number,
                        is_declaration: false,
                        answer: link.run(&script, &keys, &args).await,
                    }
                });
            }
        }
    }

    fn land(&mut self, landed: Landed) {
        let Some(flight) = self.busy.remove(&landed.policy) else {
            return;
        };
        let Some(policy) = self.policies.get_mut(&landed.policy) else {
            return;
        };
        let now = self.node.now();
        let counters = self.node.counters();
        let outcome = match (landed.answer, flight) {
            (Ok(value), Some(flight)) => match Reply::read(value, flight.operations()) {
                Ok(reply) => {
                    policy.answered(flight, reply, counters, now, new_name);
                    if !policy.has_epoch() {
                        // The server may have another identity by now: a new connection asks for it.
                        self.link = None;
                        self.retry_at = Instant::now();
                    }
                    Ok(())
                }
                Err(error) => {
                    policy.failed(flight);
                    Err(error)
                }
            },
            (Err(error), Some(flight)) => {
                policy.failed(flight);
                Err(error)
            }
            (Ok(value), None) if landed.is_declaration => declared(&value, policy.name(), &self.fingerprint)
                .map(|epoch| policy.begin_epoch(&epoch, counters, now)),
            (Ok(_), None) => Ok(()),
            (Err(error), None) => Err(error),
        };
        let leased = self.policies.values().map(Lease::len).sum();
        {
            let mut state = lock(&self.state);
            state.leased = leased;
            state.calls += u64::from(outcome.is_ok());
            state.failures += u64::from(outcome.is_err());
        }
        match outcome {
            Ok(()) => {
                self.pause = PAUSES.0;
                self.fault = None;
                self.has_call_failed = false;
            }
            // The store works, for other policies.
            Err(error @ SharedError::Key { .. }) => {
                self.refused
                    .insert(landed.policy, (error, Instant::now() + REFUSED));
            }
            Err(error) => {
                self.has_call_failed = true;
                return self.failed(error);
            }
        }
        self.publish();
    }

    /// Nothing that is under way is answered any more.
    fn land_nothing(&mut self) {
        for (number, flight) in self.busy.drain() {
            if let (Some(policy), Some(flight)) = (self.policies.get_mut(&number), flight) {
                policy.failed(flight);
            }
        }
        for policy in self.policies.values_mut() {
            policy.end_epoch();
        }
    }

    /// The store cannot be used: whoever waits is told, and the next attempt is a new connection, after a pause.
    fn failed(&mut self, error: SharedError) {
        self.link = None;
        self.retry_at = Instant::now() + self.pause + jitter(self.pause);
        self.pause = (2 * self.pause).min(PAUSES.1);
        for policy in self.policies.values_mut() {
            policy.refuse_all();
        }
        self.fault = Some(error);
        self.publish();
    }

    /// Tells others what has changed.
    fn publish(&self) {
        let refused = self.refused.values().map(|(error, _)| error).next();
        let fault = self.fault.as_ref().or(refused);
        let text = fault.map(ToString::to_string);
        let has_changed = {
            let mut state = lock(&self.state);
            let has_changed = state.fault != text;
            state.fault = text;
            has_changed
        };
        if has_changed {
            self.node.store_changed(fault);
        }
    }

    /// Finishes what is under way, and gives the shares back.
    async fn say_goodbye(&mut self, calls: &mut JoinSet<Landed>) {
        while let Some(landed) = calls.join_next().await {
            if let Ok(landed) = landed {
                self.land(landed);
            }
        }
        self.take_asks();
        let Some(link) = self.link.clone() else { return };
        let now = self.node.now();
        for policy in self.policies.values_mut() {
            policy.refuse_all();
            for flight in policy.leave(self.node.counters(), now) {
                // What does not arrive counts until its window has passed.
                let _ = link.run(&self.script, flight.keys(), flight.args()).await;
            }
        }
    }
}

/// Up to half of a pause, so that nodes that lost the store together do not come back together.
fn jitter(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    let _ = getrandom::fill(&mut byte);
    pause * u32::from(byte[0]) / 512
}

/// Reads the answer to a declaration.
fn declared(value: &Value, policy: &str, ours: &str) -> Result<String, SharedError> {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    };
    let Value::Array(values) = value else {
        return Err(unreadable());
    };
    match (
        values.first().and_then(text).as_deref(),
        values.get(1).and_then(text),
    ) {
        (Some("ok"), Some(epoch)) => Ok(epoch),
        (Some("key"), Some(theirs)) => Err(SharedError::Key {
            policy: policy.to_owned(),
            theirs,
            ours: ours.to_owned(),
        }),
        _ => Err(unreadable()),
    }
}

fn unreadable() -> SharedError {
    SharedError::Script("the store's answer to the declaration cannot be read".to_owned())
}
