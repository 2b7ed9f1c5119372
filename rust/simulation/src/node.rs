//! One callgate: the engine, its counters, and its leases.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use callgate_core::approval::{Decided, StoreAnswer, StoreAsk};
use callgate_core::engine::Policies;
use callgate_core::policy::{Catalogue, Format, Source, parse};
use callgate_core::{Args, Caller, Engine, EngineConfig, Looked, Now, Outcome, Pep, Request, Scratch, State};
use callgate_counters::ReservationLimits;
use callgate_counters::lease::{Ask, Counted, Shared, UnitsAsk};
use callgate_shared::steps::{ScriptCall, Steps};
use callgate_shared::{Lease, SharedError, Times};
use redis::Value;

use crate::SimulationError;
use crate::random::Random;
use crate::scenario::Scenario;

/// The key of the counts' identities: the same at all nodes.
const HASH_KEY: [u8; 16] = [7; 16];
/// The largest difference of a node's Unix time from the store's.
const SKEW_US: u64 = 20_000;

/// One callgate.
#[derive(Debug)]
pub struct Node {
    engine: Engine,
    scratch: Scratch,
    shared: Arc<Shared>,
    /// The leases, by the number of their policy.
    leases: Vec<Steps>,
    /// Time by which the boot clock is ahead of the simulation's.
    boot_ahead_us: u64,
    /// Unix time less boot time.
    unix_offset_us: i64,
    is_woken: Arc<AtomicBool>,
    waiting: HashMap<u64, Waiting>,
    answers: Arc<Mutex<Vec<(u64, Counted)>>>,
    next_call: u64,
    /// The number of the connection, and whether it is open.
    pub connection: u64,
    /// True while the connection is open.
    pub is_connected: bool,
}

/// A call that waits for the store.
#[derive(Debug)]
struct Waiting {
    grant: usize,
    looked: Looked<'static, 'static>,
    asked: StoreAsk,
}

/// The result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed.
    Admitted,
    /// A limit has too little left.
    Refused,
    /// The store has not answered.
    Unavailable,
    /// It waits for the store, under this number.
    Waits(u64),
}

impl Node {
    /// A node that was just started. Its clocks have nothing to do with those of others.
    pub fn new(scenario: &Scenario, name: &str, random: &mut Random) -> Result<Self, SimulationError> {
        let mut policies = Vec::new();
        for number in 0..scenario.policies {
            let (text, stem) = (scenario.policy(number), format!("policy-{number}"));
            let source = Source {
                name: &stem,
                stem: &stem,
                format: Format::Json,
                bytes: text.as_bytes(),
            };
            let policy = parse(&source).map_err(|error| SimulationError::Policy(error.to_string()))?;
            policies.push((server(number), policy));
        }
        let state = State::build(Policies::ByServer(policies), Catalogue::default())
            .map_err(|error| SimulationError::Policy(error.to_string()))?;
        let engine = Engine::new(
            state,
            EngineConfig {
                counter_capacity: 2 * scenario.grants + 64,
                counters_per_grant: 64,
                reservation_ttl_ms: 1_000,
                reservations: ReservationLimits::in_all(16),
                hash_key: HASH_KEY,
            },
        );
        let shared = Arc::new(Shared::new(HASH_KEY));
        let is_woken = Arc::new(AtomicBool::new(true));
        shared.on_ask({
            let is_woken = Arc::clone(&is_woken);
            move || is_woken.store(true, Ordering::Relaxed)
        });
        engine.share(Arc::clone(&shared));
        let times = Times {
            lease_us: scenario.lease_us,
            recovery_us: None,
        };
        let leases = (0..scenario.policies)
            .map_while(|number| shared.policy_numbered(u32::try_from(number).ok()?))
            .map(|policy| {
                let lease = Lease::new(Arc::clone(&shared), policy, "callgate", times, name);
                Steps::new(lease, &HASH_KEY)
            })
            .collect();
        let boot_ahead_us = 1_000_000 + random.below(1 << 40);
        let skew_us = random.below(2 * SKEW_US).cast_signed() - SKEW_US.cast_signed();
        Ok(Self {
            engine,
            scratch: Scratch::default(),
            shared,
            leases,
            boot_ahead_us,
            unix_offset_us: skew_us - boot_ahead_us.cast_signed(),
            is_woken,
            waiting: HashMap::new(),
            answers: Arc::default(),
            next_call: 0,
            connection: 0,
            is_connected: true,
        })
    }

    const fn now(&self, now_us: u64) -> Now {
        Now {
            boot_ns: (now_us + self.boot_ahead_us) * 1_000,
            unix_offset_us: self.unix_offset_us,
        }
    }

    /// Microseconds between two ticks of the worker.
    pub fn tick_us(&self) -> u64 {
        self.leases.first().map_or(u64::MAX, Steps::tick_us)
    }

    /// The number of counts of which this node has shares.
    pub fn shares(&self) -> usize {
        self.leases.iter().map(Steps::shares).sum()
    }

    /// Decides one call.
    pub fn call(&mut self, grant: usize, grant_name: &str, server: &str, now_us: u64) -> Verdict {
        let now = self.now(now_us);
        let request = Request {
            caller: Caller::named(grant_name),
            pep: Pep::UNNAMED,
            tool: "call",
            server,
            session: None,
            args: Args::Json(b"{}"),
            reserve: None,
            pins: None,
            unseen_member: None,
        };
        let state = self.engine.snapshot();
        let decided = self
            .engine
            .decide_or_ask(&state, &request, now, &mut self.scratch, 1_000, |_| ());
        let held = match decided {
            Decided::Decision(decision) => return verdict(decision.outcome),
            Decided::Asked(held) => *held,
        };
        // Nobody is asked for an approval here, so the store is what it waits for.
        let Some(asked) = held.store else {
            return Verdict::Unavailable;
        };
        let number = self.next_call;
        self.next_call += 1;
        let answers = Arc::clone(&self.answers);
        self.shared.ask(Ask::Units(UnitsAsk {
            policy: Arc::clone(&asked.policy),
            owner: Arc::clone(&asked.grant),
            demands: asked.demands.clone(),
            scopes: asked.scopes.clone(),
            answer: Box::new(move |counted| {
                answers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((number, counted));
            }),
        }));
        let looked = held.looked;
        self.waiting.insert(number, Waiting { grant, looked, asked });
        Verdict::Waits(number)
    }

    /// Decides the calls that were answered: their grants and verdicts.
    pub fn finish_answered(&mut self, now_us: u64) -> Vec<(usize, Verdict)> {
        let answers = std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner));
        answers
            .into_iter()
            // Whoever waits no more drops the answer, and with it the units.
            .filter_map(|(number, counted)| self.finish(number, counted, now_us))
            .collect()
    }

    /// Decides a call that has waited for its whole budget; `None` if it was answered before.
    pub fn give_up(&mut self, number: u64, now_us: u64) -> Option<(usize, Verdict)> {
        self.finish(number, Counted::default(), now_us)
    }

    fn finish(&mut self, number: u64, counted: Counted, now_us: u64) -> Option<(usize, Verdict)> {
        let Waiting { grant, looked, asked } = self.waiting.remove(&number)?;
        let state = self.engine.snapshot();
        let answer = StoreAnswer { asked, counted };
        let decision = self
            .engine
            .settle_answered(&state, looked, None, Some(answer), self.now(now_us));
        Some((grant, verdict(decision.outcome)))
    }

    /// True once after calls have asked the worker for something.
    pub fn is_woken(&self) -> bool {
        self.is_woken.swap(false, Ordering::Relaxed)
    }

    /// One round of the worker: takes what was asked, and returns the calls of scripts that begin now, by policy.
    pub fn work(&mut self, identity: &str, now_us: u64) -> Vec<(usize, ScriptCall)> {
        let now = self.now(now_us);
        for ask in self.shared.take_asks() {
            let lease = usize::try_from(policy_of(&ask)).ok();
            if let Some(lease) = lease.and_then(|number| self.leases.get_mut(number)) {
                lease.ask(vec![ask], self.engine.store(), now);
            }
        }
        if !self.is_connected {
            self.leases.iter_mut().for_each(Steps::refuse_all);
            return Vec::new();
        }
        let word = format!("word-{}-{now_us}", self.boot_ahead_us);
        let counters = self.engine.store();
        let launch = |(number, lease): (usize, &mut Steps)| {
            Some((number, lease.launch(counters, now, identity, &word)?))
        };
        self.leases.iter_mut().enumerate().filter_map(launch).collect()
    }

    /// Performs an answer of the store.
    pub fn land(&mut self, policy: usize, answer: Value, now_us: u64) -> Result<(), SharedError> {
        let (now, counters) = (self.now(now_us), self.engine.store());
        let new_node = || format!("node-{}-{now_us}", self.boot_ahead_us);
        match self.leases.get_mut(policy) {
            Some(lease) => lease.land(answer, counters, now, new_node),
            None => Ok(()),
        }
    }

    /// The connection is given up.
    pub fn disconnect(&mut self) {
        self.is_connected = false;
        self.connection += 1;
        self.leases.iter_mut().for_each(Steps::disconnect);
    }
}

fn policy_of(ask: &Ask) -> u32 {
    match ask {
        Ask::Units(ask) => ask.policy.number,
        Ask::Low { policy, .. } | Ask::Known(policy) => policy.number,
        Ask::Return(returned) => returned.policy,
        Ask::Reset(ask) => ask.policy.number,
        Ask::Bring(ask) => ask.policy.number,
        // No node of a simulation reserves.
        Ask::Settle(_) => u32::MAX,
    }
}

/// The name of the server that a policy serves.
pub(crate) fn server(policy: usize) -> String {
    format!("server-{policy}")
}

const fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Allow => Verdict::Admitted,
        Outcome::RateLimited => Verdict::Refused,
        Outcome::Deny | Outcome::ApprovalRequired => Verdict::Unavailable,
    }
}
