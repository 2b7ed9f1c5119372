//! The state of a model: nodes, the store, what was admitted, and the faults that may still happen.

use crate::estate::Estate;
use crate::node::Node;
use crate::rules::{Faults, Mutation, Rules, Ticks, number};
use crate::store::{Epoch, Name, Reply, Request, Settle, Store};

/// A request that its node has given up, and that arrives later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LateRequest {
    /// The request.
    pub request: Request,
    /// True if a later renewal of the same name was performed before.
    pub is_overtaken: bool,
}

/// One state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct World {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The store.
    pub store: Store,
    /// An older copy of the store, on another server.
    pub copy: Option<Store>,
    /// The number of epochs so far.
    pub epochs: Epoch,
    /// Stamps of admissions that may be in a window with later ones, in their order.
    ///
    /// An admission happens at its stamp: that is the contract of `callgate-counters`. A unit of a share has the stamp that
    /// its node gave it, also where the call itself was slower. A unit that is taken at the store is admitted at the time of
    /// the script, in real time, even if the answer is lost.
    pub admitted: Vec<Ticks>,
    /// True if an interval of a window held too many.
    pub is_overrun: bool,
    /// Faults that may still happen.
    pub faults: Faults,
    /// The late request.
    pub late: Option<LateRequest>,
    /// True in the moment after the store's clock was set back.
    pub is_just_set_back: bool,
    /// True after the store has lost its data, until a node that knew the lost epoch has declared the next one.
    ///
    /// LIMIT: time does not pass beyond half a lease of the next epoch meanwhile (`Rules::has_witness`). Where nobody who knew
    /// the lost epoch reaches the store for so long, it takes itself for a new one: its data and all that knew of it are lost.
    pub is_loss_unknown: bool,
}

impl World {
    /// The beginning: nodes that know nothing, and an empty store.
    pub fn new(nodes: u8, rules: &Rules) -> Self {
        Self {
            nodes: (0..nodes).map(Node::new).collect(),
            store: Store::default(),
            copy: None,
            epochs: 0,
            admitted: Vec::new(),
            is_overrun: false,
            faults: rules.faults,
            late: None,
            is_just_set_back: false,
            is_loss_unknown: false,
        }
    }

    /// Notes the admission of a unit.
    pub fn admit(&mut self, stamp: Ticks, rules: &Rules) {
        self.admitted.push(stamp);
        self.admitted.sort_unstable();
        let admitted = &self.admitted;
        self.is_overrun |= admitted.iter().enumerate().any(|(first, begin)| {
            let window = admitted.iter().skip(first);
            number(window.take_while(|stamp| **stamp < begin + rules.window).count()) > rules.max
        });
    }

    /// Forgets what makes no difference any more, such as admissions that no later one can be in a window with.
    pub fn forget(&mut self, rules: &Rules) {
        let epoch = self.store.epoch;
        let may_get_lost = self.faults.losses + self.faults.failovers > 0
            || self
                .nodes
                .iter()
                .any(|node| node.known != 0 && node.known != epoch);
        let recovery = if self.store.is_lost {
            rules.lease + rules.window + rules.ahead
        } else {
            rules.lease / 2
        };
        if !may_get_lost && self.store.begun + recovery + rules.step <= self.store.seen.min(0) {
            self.store.begun = rules.oldest_beginning();
        }
        for node in &mut self.nodes {
            node.forget();
        }
        let drops_stale = !rules.lacks(Mutation::StaleFileTakenOver);
        for node in &mut self.nodes {
            let store = &self.store;
            node.estate = node
                .estate
                .take()
                .and_then(|estate| estate.or_none(store, drops_stale));
        }
        let slow = self.nodes.iter().filter_map(|node| node.slow);
        let oldest = slow.map(|slow| slow.stamp).fold(0, Ticks::min);
        self.admitted.retain(|stamp| stamp + rules.window > oldest);
    }

    /// This state, or the one in which the two nodes have each other's place: what can happen is the same.
    #[must_use]
    pub fn or_mirrored(self) -> Self {
        let mut other = self.clone();
        other.nodes.reverse();
        other.nodes.iter_mut().for_each(Node::mirror);
        other.store.mirror();
        if let Some(copy) = &mut other.copy {
            copy.mirror();
        }
        if let Some(late) = &mut other.late {
            late.request.name.node = 1 - late.request.name.node;
            if let Some(Settle::Move(from, _)) = &mut late.request.settle {
                from.node = 1 - from.node;
            }
        }
        self.min(other)
    }

    /// True if time may go on: see [`Self::is_loss_unknown`].
    pub fn may_tick(&self, rules: &Rules) -> bool {
        let is_new = self.store.epoch != 0 && !self.store.is_lost;
        let is_ready_soon = self.store.begun + rules.lease / 2 <= 1;
        !(rules.has_witness && self.is_loss_unknown && is_new && is_ready_soon)
    }

    /// True if the store's clock may be set forward: not while nobody knows of the loss of its data, which are two faults at
    /// once, and end the time in which somebody has to come. Where it is set back before, a step forward undoes that at once:
    /// time stood still for the store since, and what it stamped meanwhile would be free earlier (see `tests/limits.rs`).
    pub fn may_step_forward(&self, rules: &Rules) -> bool {
        let is_double_fault = rules.has_witness && self.is_loss_unknown;
        let is_alone = rules.faults.steps_back == 0;
        self.faults.steps_forward > 0 && !is_double_fault && (is_alone || self.is_just_set_back)
    }

    /// True if the store's clock may be set back. If it is set forward again, only where a script has just seen the time: no
    /// script notices a step to a time that none has seen.
    pub fn may_step_back(&self) -> bool {
        let is_seen = self.store.epoch != 0 && self.store.seen == 0;
        self.faults.steps_back > 0 && (self.faults.steps_forward == 0 || is_seen)
    }

    /// Copies the store's data to another server. What a copy holds is deleted when the next epoch begins, and nobody calls a
    /// script before; so a model keeps it only where it lacks that rule.
    pub fn copy(&mut self, rules: &Rules) {
        let Store {
            identity,
            declared_by,
            epoch,
            ..
        } = self.store;
        self.copy = Some(if rules.lacks(Mutation::CopyKeepsEpoch) {
            self.store.clone()
        } else {
            Store {
                identity,
                declared_by,
                epoch,
                ..Store::default()
            }
        });
    }

    /// Lets a tick pass.
    pub fn tick(&mut self, rules: &Rules) {
        for node in &mut self.nodes {
            node.tick(rules);
        }
        for stamp in &mut self.admitted {
            *stamp -= 1;
        }
        self.set_clock(-1, rules);
        self.is_just_set_back = false;
    }

    /// Moves the times of the store.
    pub fn set_clock(&mut self, ticks: Ticks, rules: &Rules) {
        self.store.shift(ticks, rules);
        if let Some(copy) = &mut self.copy {
            copy.shift(ticks, rules);
        }
    }

    /// Agrees with the store on the epoch.
    pub fn declare(&mut self, node: usize, rules: &Rules) {
        let known = self.nodes[node].known;
        let epoch = self.store.declare(known, self.epochs + 1, rules);
        self.epochs = self.epochs.max(epoch);
        if known != 0 && known != epoch || self.store.is_lost {
            self.is_loss_unknown = false;
        }
        self.nodes[node].begin_epoch(epoch);
    }

    /// Performs a request.
    fn run(&mut self, request: &Request, is_overtaken: bool, rules: &Rules) -> Reply {
        let reply = self.store.run(request, is_overtaken, rules);
        if let (Reply::Done { .. }, Some(late)) = (reply, &mut self.late) {
            late.is_overtaken |= request.renew.is_some() && late.request.name == request.name;
        }
        if let Reply::Done { is_taken: true, .. } = reply {
            self.admit(0, rules);
        }
        reply
    }

    /// Performs the request of a node.
    pub fn perform(&mut self, node: usize, rules: &Rules) {
        let Some(flight) = self.nodes[node].flight.clone() else {
            return;
        };
        let reply = self.run(&flight.request, false, rules);
        if let Some(flight) = &mut self.nodes[node].flight {
            flight.reply = Some(reply);
        }
    }

    /// Gives a node its answer.
    pub fn land(&mut self, node: usize, is_wanted: bool, rules: &Rules) {
        let new = self.new_name(node);
        self.nodes[node].answered(is_wanted, new, rules);
    }

    /// Performs the late request.
    pub fn perform_late(&mut self, rules: &Rules) {
        if let Some(late) = self.late.take() {
            self.run(&late.request, late.is_overtaken, rules);
        }
    }

    /// A name that neither the store nor the node knows. Names are random in the product; here an old one is used again once
    /// nothing knows it, so that there are finitely many states.
    fn new_name(&self, node: usize) -> Name {
        let own = &self.nodes[node];
        let late = self.late.as_ref().map(|late| &late.request);
        let is_late = |name: Name| {
            let is_moved = |settle| matches!(settle, Settle::Move(from, _) if from == name);
            late.is_some_and(|late| late.name == name || late.settle.is_some_and(is_moved))
        };
        let is_known = |name: Name| {
            let mut entries = self.store.entries.iter();
            entries.any(|entry| entry.name == name)
                || [own.name, own.lease.1].contains(&name)
                || is_late(name)
                || self.estates().any(|estate| estate.names.contains(&name))
        };
        let names = (0..=u8::MAX).map(|number| Name { number, ..own.name });
        names
            .into_iter()
            .find(|name| !is_known(*name))
            .unwrap_or(own.name)
    }

    /// Ends a node that stops. `is_delivered` is false if the store cannot perform the calls that turn its share into units of
    /// the log, but performs the one that ends its lease.
    pub fn leave(&mut self, node: usize, is_delivered: bool, rules: &Rules) {
        let name = self.nodes[node].name;
        if rules.acts.takes_over {
            self.nodes[node].estate = Some(Estate::of(&self.nodes[node], &self.store));
        }
        let (ages, stops) = self.nodes[node].leave(rules);
        if let (Some(ages), true) = (ages, is_delivered) {
            self.store.leave(name, &ages, rules);
        }
        if stops {
            self.store.stop(name, rules);
        }
    }

    fn estates(&self) -> impl Iterator<Item = &Estate> {
        self.nodes.iter().filter_map(|node| node.estate.as_ref())
    }

    /// A node has planned a request: files that were copied before are old.
    pub fn hear(&mut self, node: usize) {
        let request = self.nodes[node].flight.as_ref().map(|flight| &flight.request);
        let Some(name) = request
            .filter(|request| request.renew.is_some())
            .map(|request| request.name)
        else {
            return;
        };
        for estate in self.nodes.iter_mut().filter_map(|node| node.estate.as_mut()) {
            estate.hear(name);
        }
    }

    /// A node starts again, with the file that it left, or with a copy of another one's.
    pub fn restart(&mut self, node: usize, copied: Option<usize>) {
        let name = self.new_name(node);
        let estate = match copied {
            Some(other) => Some(Estate::of(&self.nodes[other], &self.store)),
            None => self.nodes[node].estate.take(),
        };
        self.nodes[node] = Node {
            estate,
            name,
            lease: (0, name),
            old_quotas: [
                std::mem::take(&mut self.nodes[node].quotas),
                std::mem::take(&mut self.nodes[node].old_quotas),
            ]
            .concat(),
            ..Node::new(name.node)
        };
    }

    /// A node tells the store what the process before has left.
    pub fn bury(&mut self, node: usize, rules: &Rules) {
        if let Some(estate) = self.nodes[node].estate.take()
            && self.nodes[node].epoch == self.store.epoch
            && !self.store.bury(&estate, rules)
        {
            self.nodes[node].estate = Some(estate);
        }
    }

    /// The store loses all its data. Connections last, as after `FLUSHALL`.
    pub fn lose(&mut self) {
        self.store = Store {
            identity: self.store.identity,
            ..Store::default()
        };
        self.is_loss_unknown = true;
    }

    /// The server with the copy goes on, and the other is dead: connections end.
    pub fn fail_over(&mut self, rules: &Rules) {
        if self.copy.is_none() {
            self.copy(rules);
        }
        if let Some(copy) = self.copy.take() {
            self.store = Store {
                identity: self.store.identity + 1,
                ..copy
            };
        }
        for node in &mut self.nodes {
            node.failed();
        }
    }

    /// A unit of a quota of the process before is used.
    pub fn use_old_quota(&mut self, node: usize, rules: &Rules) {
        self.nodes[node].old_quotas.remove(0);
        self.admit(0, rules);
    }

    /// A unit of a quota is used.
    pub fn use_quota(&mut self, node: usize, is_told: bool, rules: &Rules) {
        self.nodes[node].use_quota(is_told);
        self.admit(0, rules);
    }

    /// A node is gone with its memory, except for its file.
    pub fn crash(&mut self, node: usize, rules: &Rules) {
        let estate = rules
            .acts
            .takes_over
            .then(|| Estate::of(&self.nodes[node], &self.store));
        self.nodes[node] = Node {
            estate,
            ..self.nodes[node].gone()
        };
    }
}
