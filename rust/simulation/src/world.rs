//! Simulated time: calls at nodes, messages to Redis and back, in the order of their moments.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use callgate_shared::steps::ScriptCall;
use redis::Value;

use crate::SimulationError;
use crate::figures::Figures;
use crate::log::ExactLog;
use crate::node::{Node, Verdict, server};
use crate::random::{Random, Weights};
use crate::scenario::{NodeSkew, Scenario};
use crate::server::Server;

/// The Unix time at which a simulation begins.
const BEGIN_US: u64 = 1_800_000_000_000_000;
/// The identity of the server, which never restarts.
const IDENTITY: &str = "server";
/// The time after which a node gives up a connection that does not answer.
const PATIENCE_US: u64 = 250_000;
/// The pause before a node connects again; up to half of it is added at random.
const PAUSE_US: u64 = 50_000;

/// Something that happens at a moment.
#[derive(Debug)]
enum Event {
    /// The worker of a node looks for what is due.
    Tick { node: usize },
    /// A message reaches the store.
    Arrive { from: Sender, call: ScriptCall },
    /// An answer reaches a node.
    Land { to: Sender, answer: Value },
    /// A node gives its connection up.
    GiveUp { to: Sender },
    /// A node has a new connection.
    Connect { node: usize },
    /// A call has waited for as long as it may.
    EndOfBudget { node: usize, number: u64 },
}

/// The sender of a message.
#[derive(Clone, Copy, Debug)]
struct Sender {
    node: usize,
    connection: u64,
    policy: usize,
}

/// One run.
#[derive(Debug)]
pub struct World {
    scenario: Scenario,
    random: Random,
    nodes: Vec<Node>,
    server: Server,
    /// The time until which the server is busy.
    busy_until_us: f64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    next_event: u64,
    grants: Vec<String>,
    servers: Vec<String>,
    by_grant: Weights,
    /// The admissions, and those of one counter without delay, by grant.
    logs: Vec<(ExactLog, ExactLog)>,
    figures: Figures,
    /// Calls of scripts in their order, if they are kept.
    kept: Option<Vec<Kept>>,
}

/// A call of a script, with its moment and its answer.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The call.
    pub call: ScriptCall,
    /// The time of the server.
    pub now_us: u64,
    /// The answer.
    pub answer: Value,
    /// The commands that the script has run.
    pub commands: u64,
}

impl World {
    /// Nodes that are just starting.
    pub fn new(scenario: Scenario) -> Result<Self, SimulationError> {
        let mut random = Random::new(scenario.seed);
        let mut nodes = Vec::with_capacity(scenario.nodes);
        for number in 0..scenario.nodes {
            nodes.push(Node::new(&scenario, &format!("node-{number}"), &mut random)?);
        }
        let max = usize::try_from(scenario.max_units()).unwrap_or(usize::MAX);
        let log = ExactLog::new(scenario.window_us, max);
        let mut world = Self {
            nodes,
            server: Server::new()?,
            busy_until_us: 0.0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            grants: (0..scenario.grants)
                .map(|number| format!("grant-{number}"))
                .collect(),
            servers: (0..scenario.policies).map(server).collect(),
            by_grant: Weights::zipf(scenario.grants, scenario.grant_skew),
            logs: vec![(log.clone(), log); scenario.grants],
            figures: Figures::new(scenario.measured_us),
            kept: None,
            random,
            scenario,
        };
        for node in 0..world.nodes.len() {
            // Nodes do not start in step.
            let at_us = BEGIN_US + world.random.below(world.nodes[node].tick_us().max(1));
            world.at(at_us, Event::Tick { node });
        }
        Ok(world)
    }

    /// Keeps all calls of scripts.
    pub fn keep_calls(&mut self) {
        self.kept = Some(Vec::new());
    }

    /// Runs to the end. An interval with more than `max` units is an error.
    pub fn run(mut self) -> Result<(Figures, Vec<Kept>), SimulationError> {
        let measured_from_us = BEGIN_US + self.scenario.warm_us;
        let end_us = measured_from_us + self.scenario.measured_us;
        let mean_pause_us = 1e6 / self.scenario.rate;
        let mut by_node = self.scenario.node_skew.weights(self.scenario.nodes, 0);
        let mut turn = 0;
        #[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
        let mut call_us = BEGIN_US as f64 + self.random.pause(mean_pause_us);
        loop {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a positive number far below 2^63"
            )]
            let call_at_us = call_us as u64;
            let event = self
                .queue
                .peek()
                .map(|Reverse((at_us, number))| (*at_us, *number));
            let (now_us, is_event) = match event {
                Some((at_us, _)) if at_us <= call_at_us => (at_us, true),
                _ => (call_at_us, false),
            };
            if now_us >= end_us {
                break;
            }
            self.figures.is_measured = now_us >= measured_from_us;
            if is_event {
                self.queue.pop();
                if let Some(event) = event.and_then(|(_, number)| self.events.remove(&number)) {
                    self.happen(event, now_us)?;
                }
                continue;
            }
            if let NodeSkew::Moving(_, each_us) = self.scenario.node_skew {
                let now_turn = (now_us - BEGIN_US) / each_us;
                if now_turn != turn {
                    turn = now_turn;
                    by_node = self.scenario.node_skew.weights(self.scenario.nodes, turn);
                }
            }
            let node = by_node.draw(&mut self.random);
            self.call(node, now_us)?;
            call_us += self.random.pause(mean_pause_us);
        }
        self.figures.shares = self.nodes.iter().map(Node::shares).sum();
        Ok((self.figures, self.kept.unwrap_or_default()))
    }

    fn at(&mut self, at_us: u64, event: Event) {
        self.queue.push(Reverse((at_us, self.next_event)));
        self.events.insert(self.next_event, event);
        self.next_event += 1;
    }

    fn happen(&mut self, event: Event, now_us: u64) -> Result<(), SimulationError> {
        match event {
            Event::Tick { node } => {
                self.work(node, now_us)?;
                let next_us = now_us + self.nodes[node].tick_us();
                self.at(next_us, Event::Tick { node });
            }
            Event::Arrive { from, call } => self.serve(from, call, now_us)?,
            Event::Land { to, answer } => {
                if self.nodes[to.node].connection == to.connection {
                    self.nodes[to.node].land(to.policy, answer, now_us)?;
                    self.work(to.node, now_us)?;
                }
            }
            Event::GiveUp { to } => {
                if self.nodes[to.node].connection == to.connection {
                    self.nodes[to.node].disconnect();
                    self.finish_answered(to.node, now_us)?;
                    let pause_us = PAUSE_US + self.random.below(PAUSE_US / 2);
                    self.at(now_us + pause_us, Event::Connect { node: to.node });
                }
            }
            Event::Connect { node } => {
                self.nodes[node].is_connected = true;
                self.work(node, now_us)?;
            }
            Event::EndOfBudget { node, number } => {
                if let Some((grant, verdict)) = self.nodes[node].give_up(number, now_us) {
                    self.settle(grant, verdict, now_us)?;
                }
            }
        }
        Ok(())
    }

    /// One call at a node.
    fn call(&mut self, node: usize, now_us: u64) -> Result<(), SimulationError> {
        let grant = self.by_grant.draw(&mut self.random);
        let ideal = &mut self.logs[grant].1;
        let is_ideal = ideal.has_room(now_us) && ideal.add(now_us);
        self.figures.offer(is_ideal);
        let server = &self.servers[grant % self.servers.len()];
        match self.nodes[node].call(grant, &self.grants[grant], server, now_us) {
            Verdict::Waits(number) => {
                self.figures.wait();
                let budget_us = self.scenario.network.budget_us;
                self.at(now_us + budget_us, Event::EndOfBudget { node, number });
            }
            verdict => self.settle(grant, verdict, now_us)?,
        }
        if self.nodes[node].is_woken() {
            self.work(node, now_us)?;
        }
        Ok(())
    }

    /// Holds a verdict against the exact log.
    fn settle(&mut self, grant: usize, verdict: Verdict, now_us: u64) -> Result<(), SimulationError> {
        let log = &mut self.logs[grant].0;
        match verdict {
            Verdict::Admitted => {
                if !log.add(now_us) {
                    return Err(SimulationError::MoreThanMax {
                        grant: self.grants[grant].clone(),
                        max: self.scenario.max_units(),
                        at_us: now_us - BEGIN_US,
                    });
                }
                self.figures.admit();
            }
            Verdict::Refused => {
                let is_early = log.has_room(now_us);
                self.figures.refuse(is_early);
            }
            Verdict::Unavailable => self.figures.fail(),
            Verdict::Waits(_) => {}
        }
        Ok(())
    }

    /// One round of a node's worker, and of the calls that it has answered.
    fn work(&mut self, node: usize, now_us: u64) -> Result<(), SimulationError> {
        let calls = self.nodes[node].work(IDENTITY, now_us);
        self.finish_answered(node, now_us)?;
        for (policy, call) in calls {
            let from = Sender {
                node,
                connection: self.nodes[node].connection,
                policy,
            };
            if let Some(delay_us) = self.delay() {
                self.at(now_us + delay_us, Event::Arrive { from, call });
            } else {
                self.at(now_us + PATIENCE_US, Event::GiveUp { to: from });
            }
        }
        Ok(())
    }

    fn finish_answered(&mut self, node: usize, now_us: u64) -> Result<(), SimulationError> {
        for (grant, verdict) in self.nodes[node].finish_answered(now_us) {
            self.settle(grant, verdict, now_us)?;
        }
        Ok(())
    }

    /// Microseconds of one way; `None` for a message that is lost.
    fn delay(&mut self) -> Option<u64> {
        let network = self.scenario.network;
        if network.loss > 0.0 && self.random.part() < network.loss {
            return None;
        }
        let us = network.least_us + self.random.pause(network.more_us);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number of a few milliseconds"
        )]
        Some(us as u64 + 1)
    }

    /// The server runs a script once it has run those that came before.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "microseconds below 2^53"
    )]
    fn serve(&mut self, from: Sender, call: ScriptCall, now_us: u64) -> Result<(), SimulationError> {
        let begin_us = self.busy_until_us.max(now_us as f64);
        let answer = self.server.run(&call, begin_us as u64)?;
        let network = self.scenario.network;
        let work_us = network.call_us + network.command_us * answer.commands as f64;
        self.busy_until_us = begin_us + work_us;
        self.figures.serve(call.operations, answer.commands, work_us);
        if let Some(kept) = &mut self.kept {
            kept.push(Kept {
                call,
                now_us: begin_us as u64,
                answer: answer.value.clone(),
                commands: answer.commands,
            });
        }
        if let Some(delay_us) = self.delay() {
            let at_us = self.busy_until_us as u64 + delay_us;
            self.at(
                at_us,
                Event::Land {
                    to: from,
                    answer: answer.value,
                },
            );
        } else {
            self.at(now_us + PATIENCE_US, Event::GiveUp { to: from });
        }
        Ok(())
    }
}
