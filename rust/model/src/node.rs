//! A node: its counter, its lease and the call that is under way, as in `callgate-counters` and `callgate-shared`.

use crate::estate::Estate;
use crate::rules::{Mutation, Rules, Ticks, number};
use crate::store::{Ask, Epoch, Name, Reply, Request, Settle};

/// The end of a lease that is none.
pub const NEVER: Ticks = Ticks::MIN / 2;

/// A call of the script that is under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flight {
    /// The request.
    pub request: Request,
    /// The time at which it was sent.
    pub sent: Ticks,
    /// Its answer, once it was performed.
    pub reply: Option<Reply>,
}

/// A call of an agent that is slow: other things happen between its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlowCall {
    /// The stamp of its unit: at first its reading of the clock, or the end of its quota.
    pub stamp: Ticks,
    /// The latest stamp by the lease that it has read.
    pub lease_end: Ticks,
    /// True if it lends a quota.
    pub is_quota: bool,
    /// True once it holds its unit.
    pub is_taken: bool,
}

/// A node. Times are relative to the present.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "as in the product, where each stands alone"
)]
pub struct Node {
    /// False once it has stopped or crashed.
    pub is_up: bool,
    /// The epoch of the connection; 0 without one.
    pub epoch: Epoch,
    /// The last epoch that it knew.
    pub known: Epoch,
    /// The name of its lease.
    pub name: Name,
    /// True while the store knows this name.
    pub is_member: bool,
    /// True once it has asked for a share.
    pub has_record: bool,
    /// Units lent to the counter.
    pub lent: u8,
    /// Units that the counter has to give back as soon as they are free.
    pub owed: u8,
    /// The lease under which the store counts the share.
    pub lease: (Epoch, Name),
    /// True until the store knows the share under this lease.
    pub is_settling: bool,
    /// Units to tell the store of that were given back.
    pub shrinks: u8,
    /// The end of the lease, once the share is settled.
    pub end: Ticks,
    /// The end of the lease that calls see.
    pub lease_end: Ticks,
    /// Stamps of the units in use.
    pub used: Vec<Ticks>,
    /// No unit gets an earlier stamp.
    pub floor: Ticks,
    /// The call of the script that is under way.
    pub flight: Option<Flight>,
    /// The slow call.
    pub slow: Option<SlowCall>,
    /// The file that it has found, or leaves if it is not up.
    pub estate: Option<Estate>,
    /// Ends of the units that were lent as quotas and are not used yet. They outlive the node.
    pub quotas: Vec<Ticks>,
    /// Those that the process before has lent: this one does not know them.
    pub old_quotas: Vec<Ticks>,
}

impl Node {
    /// A node that knows nothing.
    pub fn new(node: u8) -> Self {
        let name = Name { node, number: 0 };
        Self {
            is_up: true,
            epoch: 0,
            known: 0,
            name,
            is_member: false,
            has_record: false,
            lent: 0,
            owed: 0,
            lease: (0, name),
            is_settling: false,
            shrinks: 0,
            end: NEVER,
            lease_end: NEVER,
            used: Vec::new(),
            floor: NEVER,
            flight: None,
            slow: None,
            estate: None,
            quotas: Vec::new(),
            old_quotas: Vec::new(),
        }
    }

    /// The same node, gone with its memory.
    #[must_use]
    pub fn gone(&self) -> Self {
        Self {
            is_up: false,
            quotas: self.quotas.clone(),
            old_quotas: self.old_quotas.clone(),
            ..Self::new(self.name.node)
        }
    }

    /// Units that a call could take.
    pub fn free(&self) -> u8 {
        (self.lent + self.owed).saturating_sub(number(self.used.len()))
    }

    /// Takes free units out of the counter. The caller lowers `lent` or `owed` by their number.
    fn take_back(&self, most: u8) -> u8 {
        self.free().min(most)
    }

    /// Gives back free units, and notes that the store has to be told.
    pub fn shrink(&mut self) {
        let owed = self.take_back(self.owed);
        self.owed -= owed;
        let back = self.take_back(self.lent);
        self.lent -= back;
        self.shrinks += back;
    }

    /// `Lease::begin_epoch`.
    pub fn begin_epoch(&mut self, epoch: Epoch) {
        if self.known != epoch {
            self.unsettle();
        }
        (self.epoch, self.known) = (epoch, epoch);
    }

    /// `Lease::unsettle`.
    fn unsettle(&mut self) {
        let is_leased = self.lease_end >= 0;
        (self.end, self.lease_end) = (NEVER, NEVER);
        self.is_member = false;
        self.shrinks = 0;
        self.is_settling = self.has_record;
        if !is_leased {
            let free = self.free();
            let of_lent = free.min(self.lent);
            self.lent -= of_lent;
            self.owed -= (free - of_lent).min(self.owed);
        }
    }

    /// `Lease::plan`.
    pub fn plan(&mut self, ask: Ask, is_due: bool, rules: &Rules) {
        let has_shrinks = self.shrinks > 0 && !rules.lacks(Mutation::LateShrinkNotRefused);
        let renews = ask == Ask::Grow || !self.is_member || self.is_settling || is_due || has_shrinks;
        let settle = if !self.is_settling {
            None
        } else if self.lease.0 == self.epoch {
            Some(Settle::Move(self.lease.1, self.lent))
        } else {
            Some(Settle::Bring(self.lent))
        };
        self.is_settling = false;
        if settle.is_some() && !rules.lacks(Mutation::SettleSendsShrinks) {
            // The share that is told has them no more.
            self.shrinks = 0;
        }
        let shrink = if rules.lacks(Mutation::ShrinkToldFirst) && is_due {
            self.free().min(self.lent)
        } else {
            std::mem::take(&mut self.shrinks)
        };
        if ask == Ask::Grow && !self.has_record {
            self.has_record = true;
            self.lease = (self.epoch, self.name);
        }
        let request = Request {
            epoch: self.epoch,
            name: self.name,
            renew: renews.then_some(!self.is_member),
            settle,
            shrink,
            ask,
        };
        self.flight = Some(Flight {
            request,
            sent: 0,
            reply: None,
        });
    }

    /// `Lease::failed`, and the end of the connection.
    pub fn failed(&mut self) {
        if let Some(flight) = self.flight.take() {
            self.is_settling |= flight.request.settle.is_some();
        }
        self.epoch = 0;
    }

    /// `Lease::answered`. `is_wanted` is true if another node has asked for units; `new` is a name that none had.
    pub fn answered(&mut self, is_wanted: bool, new: Name, rules: &Rules) {
        let Some(Flight { request, sent, reply }) = self.flight.take() else {
            return;
        };
        let (settled, grown) = match reply {
            None => return,
            Some(Reply::OtherEpoch) => {
                self.epoch = 0;
                return;
            }
            Some(Reply::NoLease) => {
                self.unsettle();
                self.name = new;
                return;
            }
            Some(Reply::Done { settled, grown, .. }) => (settled, grown),
        };
        if rules.lacks(Mutation::ShrinkToldFirst) {
            self.lent -= self.take_back(request.shrink);
        }
        if request.renew.is_some() {
            self.is_member = true;
            let from = if rules.lacks(Mutation::LeaseFromAnswer) {
                0
            } else {
                sent
            };
            self.end = from + rules.used();
            if is_wanted {
                self.shrink();
            }
        }
        let lease = (request.epoch, request.name);
        if let Some(known) = settled {
            self.settled(known, lease, rules);
        }
        if let Some((given, known)) = grown {
            self.grown(given, known, lease, rules);
        }
        if !self.is_settling && self.is_member && self.end > NEVER {
            self.lease_end = self.end;
        }
    }

    fn settled(&mut self, known: u8, lease: (Epoch, Name), rules: &Rules) {
        self.lease = lease;
        if !rules.lacks(Mutation::SettledAddsShrinks) {
            // What was given back since the request is a part of what is too much there, or was never counted there.
            self.shrinks = 0;
        }
        if known < self.lent {
            self.owed += self.lent - known;
            self.lent = known;
            self.owed -= self.take_back(self.owed);
        } else {
            self.shrinks += known - self.lent;
        }
    }

    fn grown(&mut self, given: Option<u8>, known: u8, lease: (Epoch, Name), rules: &Rules) {
        let Some(given) = given else { return };
        self.lease = lease;
        if given > 0 {
            if !rules.lacks(Mutation::LendKeepsFloor) {
                self.floor = 0;
            }
            self.lent += given;
        }
        // Granted and not lent, in a call whose answer was lost.
        self.shrinks += known.saturating_sub(self.lent).saturating_sub(self.shrinks);
    }

    /// Takes a unit for a call that is not slow. Returns its stamp.
    pub fn take(&mut self) -> Option<Ticks> {
        if self.lease_end < 0 || self.free() == 0 {
            return None;
        }
        self.used.push(0);
        Some(0)
    }

    /// True if the node may lend and extend quotas.
    pub fn may_lend(&self, rules: &Rules) -> bool {
        rules.ahead > 0 && (self.lease_end >= 0 || rules.lacks(Mutation::QuotaWithoutLease))
    }

    /// Lends a unit as a quota: it counts as used at the end of its time to live.
    pub fn lend(&mut self, rules: &Rules) {
        self.used.push(rules.ahead);
        self.quotas.push(rules.ahead);
        self.used.sort_unstable();
        self.quotas.sort_unstable();
    }

    /// Extends the quota that ends first.
    pub fn extend_quota(&mut self, rules: &Rules) {
        if let Some(end) = self.quotas.first_mut() {
            redate(&mut self.used, *end, rules.ahead);
            *end = rules.ahead;
        }
        self.quotas.sort_unstable();
    }

    /// Uses a unit of the quota that ends first: to keep the others leaves more to come. `is_told` is true if a report tells the
    /// node, which counts it as used now.
    pub fn use_quota(&mut self, is_told: bool) {
        let end = self.quotas.remove(0);
        if is_told {
            redate(&mut self.used, end, 0);
        }
    }

    /// The first step of a slow call: the end of the lease, then the clock.
    pub fn read(&mut self, is_quota: bool, rules: &Rules) {
        let reads = !rules.lacks(Mutation::LeaseEndReadAfterTake);
        let ahead = if is_quota { rules.ahead } else { 0 };
        self.slow = Some(SlowCall {
            stamp: ahead,
            lease_end: if reads { self.lease_end + ahead } else { NEVER },
            is_quota,
            is_taken: false,
        });
    }

    /// The next step of a slow call: it takes its unit. Returns the stamp if it is admitted.
    pub fn take_slowly(&mut self, rules: &Rules) -> Option<Ticks> {
        let mut slow = self.slow.take()?;
        if slow.is_taken {
            // The third step, of a model without the rule. `used` has its unit already.
            return (slow.stamp <= self.lease_end).then_some(slow.stamp);
        }
        if self.free() == 0 {
            return None;
        }
        let end = slow.stamp;
        slow.stamp = slow.stamp.max(self.floor);
        let reads_later = rules.lacks(Mutation::LeaseEndReadAfterTake);
        let is_after = slow.stamp > slow.lease_end && !reads_later;
        if is_after && !rules.lacks(Mutation::StampNotChecked) {
            return None;
        }
        if slow.stamp + rules.window > 0 {
            self.used.push(slow.stamp);
            self.used.sort_unstable();
        }
        if reads_later {
            slow.is_taken = true;
            self.slow = Some(slow);
            return None;
        }
        if slow.is_quota {
            // Nothing is used yet.
            if end >= 0 {
                self.quotas.push(end);
                self.quotas.sort_unstable();
            }
            return None;
        }
        Some(slow.stamp)
    }

    /// `Lease::leave`: the ages of the units in use if the store counts them under this lease, and true if the lease is to be
    /// ended.
    pub fn leave(&mut self, rules: &Rules) -> (Option<Vec<Ticks>>, bool) {
        self.is_up = false;
        (self.end, self.lease_end) = (NEVER, NEVER);
        let is_known = self.has_record && self.lease == (self.epoch, self.name);
        let youngest = if rules.lacks(Mutation::LeaveForgetsQuotas) {
            0
        } else {
            -rules.ahead
        };
        let age = |stamp: &Ticks| (-stamp).max(youngest);
        let ages = is_known.then(|| self.used.iter().map(age).collect());
        (ages, self.is_member && self.epoch != 0)
    }

    /// Lets a tick pass.
    pub fn tick(&mut self, rules: &Rules) {
        let oldest = -rules.memory();
        for time in [&mut self.end, &mut self.lease_end, &mut self.floor] {
            *time = if *time <= oldest { NEVER } else { *time - 1 };
        }
        if let Some(flight) = &mut self.flight {
            flight.sent = (flight.sent - 1).max(oldest);
        }
        let in_use = self.used.len();
        for stamp in &mut self.used {
            *stamp -= 1;
        }
        self.used.retain(|stamp| stamp + rules.window > 0);
        if self.used.len() < in_use {
            // The clock of the ledger: who takes expired units away stamps nothing before.
            self.floor = 0;
        }
        for quotas in [&mut self.quotas, &mut self.old_quotas] {
            for end in &mut *quotas {
                *end -= 1;
            }
            quotas.retain(|end| *end >= 0);
        }
        if let Some(slow) = &mut self.slow {
            slow.stamp -= 1;
            slow.lease_end = if slow.lease_end <= oldest {
                NEVER
            } else {
                slow.lease_end - 1
            };
        }
        if let Some(estate) = &mut self.estate {
            estate.tick(rules);
        }
        // A call is slow for a bounded time, which is longer than a lease and a window together.
        self.slow = self.slow.filter(|slow| slow.stamp >= oldest);
    }

    /// Forgets what makes no difference any more.
    pub fn forget(&mut self) {
        if self.slow.is_none_or(|slow| slow.stamp >= self.floor) {
            self.floor = NEVER;
        }
        if self.slow.is_none() {
            for end in [&mut self.end, &mut self.lease_end] {
                *end = if *end < 0 { NEVER } else { *end };
            }
            if !self.is_up {
                *self = Self {
                    estate: self.estate.take(),
                    ..self.gone()
                };
            }
        }
    }

    /// Exchanges the names of two nodes.
    pub fn mirror(&mut self) {
        let mut names = vec![&mut self.name, &mut self.lease.1];
        if let Some(flight) = &mut self.flight {
            names.push(&mut flight.request.name);
            if let Some(Settle::Move(from, _)) = &mut flight.request.settle {
                names.push(from);
            }
        }
        for name in names {
            name.node = 1 - name.node;
        }
        if let Some(estate) = &mut self.estate {
            estate.mirror();
        }
    }
}

/// Moves one unit in use from a stamp to another.
fn redate(used: &mut [Ticks], from: Ticks, to: Ticks) {
    if let Some(stamp) = used.iter_mut().find(|stamp| **stamp == from) {
        *stamp = to;
    }
    used.sort_unstable();
}
