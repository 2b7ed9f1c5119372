//! The steps of a model, for the checker.

use stateright::{Model, Property};

use crate::node::Node;
use crate::rules::{Mutation, Rules};
use crate::store::Ask;
use crate::world::{LateRequest, World};

/// The invariant.
pub const INVARIANT: &str = "no interval of one window holds more than max";

/// A model: nodes that share one count.
#[derive(Clone, Debug)]
pub struct System {
    /// The number of nodes.
    pub nodes: u8,
    /// True if states in which the two nodes have each other's place are one; the nodes of a trace change places then.
    pub merges_mirrors: bool,
    /// Its rules and bounds.
    pub rules: Rules,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Time goes on.
    Tick,
    /// A node agrees with the store on the epoch.
    Declare(usize),
    /// A node sends a request. The flag is true if a renewal is due.
    Send(usize, Ask, bool),
    /// The store performs it.
    Perform(usize),
    /// The answer arrives. The flag is true if it says that another node wants units.
    Land(usize, bool),
    /// All three at once.
    Call(usize, Ask, bool, bool),
    /// The connection of a node ends before the answer arrives.
    Fail(usize),
    /// A call is performed, and its answer is lost.
    LoseAnswer(usize, Ask, bool),
    /// The connection of a node ends, and its request arrives later.
    Delay(usize),
    /// It arrives.
    ArriveLate,
    /// A call takes a unit from the share of its node.
    Take(usize),
    /// A slow call reads the end of the lease and the clock. The flag is true if it lends a quota.
    Read(usize, bool),
    /// A slow call goes on.
    TakeSlowly(usize),
    /// A node lends a unit of its share as a quota.
    Lend(usize),
    /// It extends the quota that ends first.
    Extend(usize),
    /// A unit of the quota that ends first is used. The flag is true if the node is told.
    Use(usize, bool),
    /// A unit of a quota is used that the process before has lent.
    UseOld(usize),
    /// A node gives back its free units.
    Shrink(usize),
    /// A node stops. The flag is false if the store cannot be told of its units.
    Leave(usize, bool),
    /// A node is gone.
    Crash(usize),
    /// It starts again; with a copy of the file of another node if one is named.
    Restart(usize, Option<usize>),
    /// It tells the store what the process before has left.
    Bury(usize),
    /// The store loses its data.
    Lose,
    /// Another server gets a copy of the store's data.
    Copy,
    /// The copy goes on in its place.
    FailOver,
    /// The store's clock is set forward.
    SetForward,
    /// The store's clock is set back.
    SetBack,
}

impl System {
    fn node_steps(&self, world: &World, place: usize, steps: &mut Vec<Step>) {
        let (acts, faults) = (self.rules.acts, world.faults);
        let Some(node) = world.nodes.get(place) else {
            return;
        };
        if node.slow.is_some() {
            steps.push(Step::TakeSlowly(place));
        }
        if !node.quotas.is_empty() {
            steps.push(Step::Use(place, false));
        }
        if !node.old_quotas.is_empty() {
            steps.push(Step::UseOld(place));
        }
        if !node.is_up {
            if acts.takes_over && node.slow.is_none() {
                steps.push(Step::Restart(place, None));
            }
            if faults.copied_files > 0 {
                let others = (0..world.nodes.len()).filter(|other| *other != place);
                steps.extend(others.map(|other| Step::Restart(place, Some(other))));
            }
            return;
        }
        self.quota_steps(node, place, steps);
        if node.lease_end >= 0 && node.free() > 0 {
            steps.push(Step::Take(place));
        }
        let reads_later = self.rules.lacks(Mutation::LeaseEndReadAfterTake);
        if faults.slow_calls > 0 && (node.lease_end >= 0 || reads_later) {
            // Where quotas are lent, they are what is slow: so there are few enough states.
            steps.push(Step::Read(place, self.rules.ahead > 0));
        }
        if acts.shrinks && node.free() > 0 && !self.rules.lacks(Mutation::ShrinkToldFirst) {
            steps.push(Step::Shrink(place));
        }
        if faults.crashes > 0 {
            steps.push(Step::Crash(place));
        }
        if let Some(flight) = &node.flight {
            if flight.reply.is_none() {
                steps.push(Step::Perform(place));
            } else {
                steps.push(Step::Land(place, false));
                if acts.shrinks {
                    steps.push(Step::Land(place, true));
                }
            }
            if faults.lost_messages > 0 {
                steps.push(Step::Fail(place));
            }
            if faults.late_requests > 0 && flight.reply.is_none() {
                steps.push(Step::Delay(place));
            }
            return;
        }
        if acts.leaves && (node.slow.is_none() || self.rules.lacks(Mutation::LeaveDuringCalls)) {
            steps.push(Step::Leave(place, true));
            if faults.lost_messages > 0 {
                steps.push(Step::Leave(place, false));
            }
        }
        if node.epoch == 0 {
            steps.push(Step::Declare(place));
            return;
        }
        if node.estate.is_some() {
            steps.push(Step::Bury(place));
        }
        let mut asks = Vec::new();
        if node.has_record {
            asks.push((Ask::Nothing, true));
        }
        if node.free() == 0 {
            asks.push((Ask::Grow, false));
        }
        if acts.takes_strictly {
            asks.push((Ask::Strict, false));
        }
        if node.shrinks > 0 {
            asks.push((Ask::Nothing, false));
        }
        for (ask, is_due) in asks {
            if acts.has_delays && place == 0 {
                steps.push(Step::Send(place, ask, is_due));
                continue;
            }
            steps.push(Step::Call(place, ask, is_due, false));
            if acts.shrinks {
                steps.push(Step::Call(place, ask, is_due, true));
            }
            if faults.lost_messages > 0 {
                steps.push(Step::LoseAnswer(place, ask, is_due));
            }
        }
    }

    fn quota_steps(&self, node: &Node, place: usize, steps: &mut Vec<Step>) {
        if !node.quotas.is_empty() {
            steps.push(Step::Use(place, true));
        }
        if !node.may_lend(&self.rules) {
            return;
        }
        if node.free() > 0 {
            steps.push(Step::Lend(place));
        }
        if node.quotas.first().is_some_and(|end| *end < self.rules.ahead) {
            steps.push(Step::Extend(place));
        }
    }

    fn node_step(&self, world: &mut World, step: Step) {
        let rules = &self.rules;
        match step {
            Step::Declare(node) => world.declare(node, rules),
            Step::Send(node, ask, is_due) => {
                world.nodes[node].plan(ask, is_due, rules);
                world.hear(node);
            }
            Step::Perform(node) => world.perform(node, rules),
            Step::Land(node, is_wanted) => world.land(node, is_wanted, rules),
            Step::Call(node, ask, is_due, is_wanted) => {
                world.nodes[node].plan(ask, is_due, rules);
                world.hear(node);
                world.perform(node, rules);
                world.land(node, is_wanted, rules);
            }
            Step::Fail(node) => {
                world.faults.lost_messages -= 1;
                world.nodes[node].failed();
            }
            Step::LoseAnswer(node, ask, is_due) => {
                world.faults.lost_messages -= 1;
                world.nodes[node].plan(ask, is_due, rules);
                world.hear(node);
                world.perform(node, rules);
                world.nodes[node].failed();
            }
            Step::Delay(node) => {
                world.faults.late_requests -= 1;
                world.late = world.nodes[node].flight.clone().map(|flight| LateRequest {
                    request: flight.request,
                    is_overtaken: false,
                });
                world.nodes[node].failed();
            }
            Step::Take(node) => {
                if let Some(stamp) = world.nodes[node].take() {
                    world.admit(stamp, rules);
                }
            }
            Step::Read(node, is_quota) => {
                world.faults.slow_calls -= 1;
                world.nodes[node].read(is_quota, rules);
            }
            Step::TakeSlowly(node) => {
                if let Some(stamp) = world.nodes[node].take_slowly(rules) {
                    world.admit(stamp, rules);
                }
            }
            Step::Lend(node) => world.nodes[node].lend(rules),
            Step::Extend(node) => world.nodes[node].extend_quota(rules),
            Step::UseOld(node) => world.use_old_quota(node, rules),
            Step::Use(node, is_told) => world.use_quota(node, is_told, rules),
            Step::Shrink(node) => world.nodes[node].shrink(),
            Step::Leave(node, is_delivered) => {
                if !is_delivered {
                    world.faults.lost_messages -= 1;
                }
                world.leave(node, is_delivered, rules);
            }
            Step::Crash(node) => {
                world.faults.crashes -= 1;
                world.crash(node, rules);
            }
            Step::Restart(node, copied) => {
                world.faults.copied_files -= u8::from(copied.is_some());
                world.restart(node, copied);
            }
            Step::Bury(node) => world.bury(node, rules),
            _ => {}
        }
    }
}

impl Model for System {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self.nodes, &self.rules)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        // What follows an overrun is of no interest.
        if world.is_overrun {
            return;
        }
        if world.may_tick(&self.rules) {
            steps.push(Step::Tick);
        }
        for place in 0..world.nodes.len() {
            self.node_steps(world, place, steps);
        }
        if world.late.is_some() {
            steps.push(Step::ArriveLate);
        }
        let faults = world.faults;
        let may_fail_over = faults.failovers > 0 && world.store.epoch != 0;
        let store = [
            (faults.losses > 0 && world.store.epoch != 0, Step::Lose),
            (
                may_fail_over && world.copy.is_none() && self.rules.lacks(Mutation::CopyKeepsEpoch),
                Step::Copy,
            ),
            (may_fail_over, Step::FailOver),
            (world.may_step_forward(&self.rules), Step::SetForward),
            (world.may_step_back(), Step::SetBack),
        ];
        steps.extend(store.into_iter().filter(|(may, _)| *may).map(|(_, step)| step));
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let rules = &self.rules;
        let mut world = before.clone();
        match step {
            Step::Tick => world.tick(rules),
            Step::ArriveLate => world.perform_late(rules),
            Step::Lose => {
                world.faults.losses -= 1;
                world.lose();
            }
            Step::Copy => world.copy(rules),
            Step::FailOver => {
                world.faults.failovers -= 1;
                world.fail_over(rules);
            }
            Step::SetForward => {
                world.faults.steps_forward -= 1;
                world.set_clock(-rules.step, rules);
            }
            Step::SetBack => {
                world.faults.steps_back -= 1;
                world.set_clock(rules.step, rules);
                world.is_just_set_back = rules.faults.steps_forward > 0;
            }
            _ => self.node_step(&mut world, step),
        }
        world.forget(rules);
        if self.merges_mirrors {
            world = world.or_mirrored();
        }
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(INVARIANT, |_, world: &World| !world.is_overrun),
            // A model in which nothing is admitted proves nothing.
            Property::sometimes("max is admitted", |model: &Self, world: &World| {
                crate::rules::number(world.admitted.len()) >= model.rules.max
            }),
        ]
    }
}
