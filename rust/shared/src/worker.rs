//! The thread that speaks to Redis.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use callgate_counters::lease::{Ask, Shared};
use redis::{Script, Value};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::config::{SharedConfig, fingerprint};
use crate::error::SharedError;
use crate::keys::{Keys, VERSION};
use crate::lease::{CallNumbers, Estate, Flight, Lease, Times};
use crate::link::Link;
use crate::mail::Mail;
use crate::reply::Reply;
use crate::route::Route;
use crate::way::Way;
use letters::Letters;
use names::Names;

pub use node::Node;

mod letters;
mod names;
mod node;

/// The script that performs the operations of a call.
pub const SCRIPT: &str = include_str!("script.lua");
/// The script that agrees on the epoch of a policy.
pub const DECLARE: &str = include_str!("declare.lua");

/// Renewals are looked for this often within a lease.
const TICKS: u64 = 40;
/// The name of a policy that nobody has, for a call of the script that does nothing.
const PROBED: &str = "-";
/// The time after which a policy is looked at again that must not be shared.
const REFUSED: Duration = Duration::from_secs(5);
/// The longest time for which the end of the process waits until shares are given back.
const FAREWELL: Duration = Duration::from_secs(2);

/// The state of the store, as the worker knows it.
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
        let names = Names::new();
        let counters = node.counters();
        let estate = counters.take_heritage().map(|heritage| {
            let prefix = Names::prefix(heritage.opener.name);
            Arc::new(Estate::new(heritage, prefix))
        });
        let said = CallNumbers::new(names.process);
        // Also where it never says anything: who opens the file next has to find this process, not one before.
        said.note(counters);
        let pace = Duration::from_micros(renewal_tick(micros(config.lease)));
        let mut run = Run {
            names,
            said,
            estate,
            letters: Letters::new(Mail::new(Keys::new(&config.prefix, PROBED), pace)),
            fingerprint: fingerprint(shared.hash_key()),
            shared,
            node: Arc::new(node),
            prefix: config.prefix.clone(),
            times: Times {
                lease_us: micros(config.lease),
                recovery_us: config.recovery.map(micros),
            },
            // A store that has not answered for longer than calls wait is worth nothing to them.
            patience: (4 * config.budget).max(Duration::from_millis(250)),
            tick: Duration::from_micros(renewal_tick(micros(config.lease))),
            script: Arc::new(Script::new(SCRIPT)),
            declare: Arc::new(Script::new(DECLARE)),
            policies: HashMap::new(),
            busy: HashMap::new(),
            sent: 0,
            shards: route.fork(),
            ways: HashMap::from([(None, Way::new(route))]),
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
                    Err(error) => run.call_failed(None, SharedError::Thread(error.to_string())),
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

/// Microseconds between two looks for renewals of leases of this length.
pub(crate) const fn renewal_tick(lease_us: u64) -> u64 {
    lease_us / TICKS
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A policy that has a way to the store of its own; `None` for the way of all others.
type WayKey = Option<u32>;

/// The state of the thread.
struct Run<N> {
    shared: Arc<Shared>,
    node: Arc<N>,
    prefix: String,
    fingerprint: String,
    times: Times,
    patience: Duration,
    tick: Duration,
    script: Arc<Script>,
    declare: Arc<Script>,
    policies: HashMap<u32, Lease>,
    /// The call that is under way, by policy: its number, and its flight if it is no declaration.
    busy: HashMap<u32, (u64, Option<Flight>)>,
    /// Calls that were sent.
    sent: u64,
    ways: HashMap<WayKey, Way>,
    /// The route to the shards of a cluster, where each policy has a way of its own.
    shards: Option<Route>,
    /// Policies that must not be shared, and the moment at which they are looked at again.
    refused: HashMap<u32, (SharedError, Instant)>,
    state: Arc<Mutex<State>>,
    names: Names,
    said: CallNumbers,
    /// The units of the process that had this one's file of counters before.
    estate: Option<Arc<Estate>>,
    letters: Letters,
}

/// The answer to a call of a policy.
struct Landed {
    policy: u32,
    number: u64,
    is_declaration: bool,
    answer: Result<Value, SharedError>,
}

/// The end of an attempt to connect.
type Connected = (WayKey, Route, Result<Link, SharedError>);

impl<N: Node> Run<N> {
    async fn run(&mut self, wake: &Notify, stop: &Notify) {
        let mut calls: JoinSet<Landed> = JoinSet::new();
        let mut connects: JoinSet<Connected> = JoinSet::new();
        let mut tick_at = Instant::now();
        loop {
            self.take_asks();
            self.connect(&mut connects);
            self.launch(&mut calls);
            self.carry_letters();
            let next_at = self.ways.values().filter_map(Way::next_at).min();
            let next_at = next_at.map_or(tick_at, |retry_at| retry_at.min(tick_at));
            tokio::select! {
                () = wake.notified() => {}
                () = sleep_until(next_at) => if next_at == tick_at {
                    tick_at = Instant::now() + self.tick;
                },
                Some(landed) = calls.join_next() => if let Ok(landed) = landed {
                    self.land(landed);
                },
                Some(Ok((key, route, link))) = connects.join_next() => {
                    if let Some(way) = self.ways.get_mut(&key) {
                        way.connected(route, link);
                    }
                    self.way_changed(key);
                }
                () = stop.notified() => break,
            }
        }
        self.take_asks();
        // Units that go back are asked for a moment longer.
        let farewell = self.say_goodbye(&mut calls);
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }

    /// Begins to connect where it is time to.
    fn connect(&mut self, connects: &mut JoinSet<Connected>) {
        let now = self.node.now();
        let keys: Vec<WayKey> = self.ways.keys().copied().collect();
        for key in keys {
            let Some(way) = self.ways.get_mut(&key) else {
                continue;
            };
            let policy = key.and_then(|number| self.policies.get(&number));
            let is_due = policy.is_some_and(|policy| policy.is_due(now));
            if way.is_stale(is_due) {
                way.look_again();
            }
            let Some(mut route) = way.begin() else { continue };
            // What was under way on the connection before is lost.
            self.land_nothing(key);
            let policy = key.and_then(|number| self.policies.get(&number));
            let names = policy.map_or_else(
                || Keys::new(&self.prefix, PROBED),
                |policy| policy.names().clone(),
            );
            let patience = self.patience;
            let (script, probe) = (Arc::clone(&self.script), Flight::probe(&names, now));
            connects.spawn(async move {
                let mut link = route.connect(&names.policy(), patience).await;
                if let Ok(open) = &link
                    && let Err(error) = open.run(&script, probe.keys(), probe.args()).await
                {
                    open.give_up();
                    link = Err(error);
                }
                (key, route, link)
            });
        }
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
                    wanted,
                } => self.policy(policy.number).low(demand, owner, wanted),
                Ask::Return(returned) => self.policy(returned.policy).give_back(returned),
                Ask::Settle(ask) => self.letters.ask(ask),
                Ask::Bring(ask) => self.policy(ask.policy.number).bring(ask),
                Ask::Reset(ask) => self.policy(ask.policy.number).reset(ask),
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
        for (number, policy) in &mut self.policies {
            let way = way_of(&self.ways, *number);
            let is_away = way.is_none_or(|way| way.link().is_none());
            if is_away || self.refused.contains_key(number) {
                policy.refuse_all();
            }
        }
    }

    fn policy(&mut self, number: u32) -> &mut Lease {
        if !self.ways.contains_key(&Some(number))
            && let Some(route) = self.shards.as_ref().and_then(Route::fork)
        {
            self.ways.insert(Some(number), Way::new(route));
        }
        let (shared, prefix, times) = (&self.shared, &self.prefix, self.times);
        let now = self.node.now();
        self.estate = self.estate.take().filter(|estate| !estate.is_over(now));
        let (names, said, estate) = (&mut self.names, &self.said, &self.estate);
        self.policies.entry(number).or_insert_with(|| {
            // Who asks has the policy, so it is known.
            let policy = shared
                .policy_numbered(number)
                .unwrap_or_else(|| shared.policy(""));
            let mut lease = Lease::new(Arc::clone(shared), policy, prefix, times, &names.next());
            lease.number_calls(said.clone());
            if let Some(estate) = estate {
                lease.inherit(Arc::clone(estate));
            }
            lease
        })
    }

    /// Begins the next call of each policy that has none under way.
    fn launch(&mut self, calls: &mut JoinSet<Landed>) {
        let now = self.node.now();
        self.refused.retain(|_, (_, until)| *until > Instant::now());
        for (number, policy) in &mut self.policies {
            let is_idle = policy.has_epoch() && !policy.is_due(now);
            if is_idle || self.busy.contains_key(number) || self.refused.contains_key(number) {
                continue;
            }
            let Some(link) = way_of(&self.ways, *number).and_then(Way::link) else {
                continue;
            };
            let (policy_number, link) = (*number, link.clone());
            self.sent += 1;
            let number = self.sent;
            if !policy.has_epoch() {
                let (keys, args) =
                    policy.declaration(link.identity.as_str(), &self.names.next(), &self.fingerprint);
                let script = Arc::clone(&self.declare);
                self.busy.insert(policy_number, (number, None));
                calls.spawn(async move {
                    Landed {
                        policy: policy_number,
                        number,
                        is_declaration: true,
                        answer: link.run(&script, &keys, &args).await,
                    }
                });
            } else if let Some(flight) = policy.plan(self.node.counters(), now) {
                let (keys, args) = (flight.keys().to_vec(), flight.args().to_vec());
                let script = Arc::clone(&self.script);
                self.busy.insert(policy_number, (number, Some(flight)));
                calls.spawn(async move {
                    Landed {
                        policy: policy_number,
                        number,
                        is_declaration: false,
                        answer: link.run(&script, &keys, &args).await,
                    }
                });
            }
        }
    }

    fn land(&mut self, landed: Landed) {
        let awaited = self.busy.remove_entry(&landed.policy);
        let flight = match awaited {
            Some((_, (number, flight))) if number == landed.number => flight,
            // An answer over a connection that was given up.
            Some((policy, other)) => {
                self.busy.insert(policy, other);
                return;
            }
            None => return,
        };
        let Some(policy) = self.policies.get_mut(&landed.policy) else {
            return;
        };
        let now = self.node.now();
        let counters = self.node.counters();
        let outcome = match (landed.answer, flight) {
            (Ok(value), Some(flight)) => match Reply::read(value, flight.operations()) {
                Ok(reply) => {
                    policy.answered(flight, reply, counters, now, || self.names.next());
                    if !policy.has_epoch() {
                        // The server may have another identity by now: a new connection asks for it.
                        if let Some(way) = way_mut(&mut self.ways, landed.policy) {
                            way.renew();
                        }
                    }
                    policy.take_fault()
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
            (Ok(value), None) if landed.is_declaration => declared(&value, policy, &self.fingerprint)
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
                if let Some(way) = way_mut(&mut self.ways, landed.policy) {
                    way.worked();
                }
            }
            // The store works, for other policies.
            Err(error @ (SharedError::Key { .. } | SharedError::Version { .. })) => {
                self.refused
                    .insert(landed.policy, (error, Instant::now() + REFUSED));
            }
            Err(error) => {
                let is_own = self.ways.contains_key(&Some(landed.policy));
                return self.call_failed(is_own.then_some(landed.policy), error);
            }
        }
        self.publish();
    }

    /// Nothing that is under way over this way is answered any more.
    fn land_nothing(&mut self, key: WayKey) {
        for (number, policy) in served(&mut self.policies, &self.ways, key) {
            if let Some((_, Some(flight))) = self.busy.remove(number) {
                policy.failed(flight);
            }
            policy.end_epoch();
        }
    }

    /// A call over this way failed.
    fn call_failed(&mut self, key: WayKey, error: SharedError) {
        if let Some(way) = self.ways.get_mut(&key) {
            way.call_failed(error);
        }
        self.way_changed(key);
    }

    /// Whoever waits for a way that cannot be used is told.
    fn way_changed(&mut self, key: WayKey) {
        if self.ways.get(&key).is_some_and(|way| way.link().is_none()) {
            for (_, policy) in served(&mut self.policies, &self.ways, key) {
                policy.refuse_all();
            }
        }
        self.publish();
    }

    /// Tells others what has changed.
    fn publish(&self) {
        let refused = self.refused.values().map(|(error, _)| error).next();
        let fault = self.ways.values().find_map(Way::fault).or(refused);
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
        self.letters.refuse_all();
        let now = self.node.now();
        for (number, policy) in &mut self.policies {
            policy.refuse_all();
            let Some(link) = way_of(&self.ways, *number).and_then(Way::link) else {
                continue;
            };
            for flight in policy.leave(self.node.counters(), now) {
                // What does not arrive counts until its window has passed.
                let _ = link.run(&self.script, flight.keys(), flight.args()).await;
            }
        }
    }
}

/// The way of a policy.
fn way_of(ways: &HashMap<WayKey, Way>, policy: u32) -> Option<&Way> {
    ways.get(&Some(policy)).or_else(|| ways.get(&None))
}

fn way_mut(ways: &mut HashMap<WayKey, Way>, policy: u32) -> Option<&mut Way> {
    let own = ways.contains_key(&Some(policy)).then_some(policy);
    ways.get_mut(&own)
}

/// The policies that use a way.
fn served<'a>(
    policies: &'a mut HashMap<u32, Lease>,
    ways: &'a HashMap<WayKey, Way>,
    key: WayKey,
) -> impl Iterator<Item = (&'a u32, &'a mut Lease)> {
    policies
        .iter_mut()
        .filter(move |(number, _)| ways.contains_key(&Some(**number)).then_some(**number) == key)
}

/// Reads the answer to a declaration.
pub(crate) fn declared(value: &Value, lease: &Lease, ours: &str) -> Result<String, SharedError> {
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
            policy: lease.name().to_owned(),
            theirs,
            ours: ours.to_owned(),
        }),
        (Some("version"), Some(theirs)) => Err(SharedError::Version {
            policy: lease.name().to_owned(),
            key: lease.names().version(),
            theirs,
            ours: VERSION,
        }),
        _ => Err(unreadable()),
    }
}

fn unreadable() -> SharedError {
    SharedError::Script("the store's answer to the declaration cannot be read".to_owned())
}
