//! Tokens that one Envoy may use for a while, and the units of the counters that stand for them.

use std::sync::Arc;

use callgate_core::Now;
use callgate_core::engine::QuotaCounts;
use callgate_counters::lease::SharedPolicy;
use callgate_counters::{Counters, Demand, Micros, Refusal, Sharing};

use crate::limits::Limits;

/// Most tokens of one lease. Envoy keeps tokens as a fraction of a double; up to here, its sums are exact enough for no token
/// more to come out.
pub(super) const MOST_TOKENS: u64 = 1 << 20;

/// Attempts to take fewer tokens, if another door was faster.
const ATTEMPTS: usize = 6;

/// The times of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// Time to live of an assignment. Envoy reads its whole seconds.
    pub(super) ttl_s: u64,
    /// The longest time that an assignment, a report, or Envoy's timer may be late.
    pub(super) margin_us: u64,
}

impl Terms {
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            ttl_s: limits.quota_ttl_s(),
            margin_us: limits.quota_margin_us(),
        }
    }

    pub(super) const fn ttl_us(self) -> u64 {
        self.ttl_s * 1_000_000
    }

    /// The time by which every lease has ended that begins while another one is unclear. Between two reports lies at most one
    /// time to live, or nothing is lent: so the last unclear lease begins two margins and a time to live from now, is told a
    /// time to live, two margins and a report later, and the last doubtful one begins then.
    pub(super) const fn doubt_us(self, now: Now) -> u64 {
        now.stamp_us() + 4 * self.ttl_us() + 5 * self.margin_us
    }

    /// The end of a lease that is sent now.
    pub(super) const fn end_us(self, now: Now) -> u64 {
        now.stamp_us() + self.ttl_us() + self.margin_us
    }
}

/// The certainty with which reports are about the leases of this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clarity {
    /// Reports may be about leases of another stream of the same Envoy.
    Unclear,
    /// Another lease of this stream is unclear.
    Doubtful,
    Clear,
}

/// One lease.
#[derive(Debug)]
pub(super) struct Lease {
    /// Tells its bucket of tokens from those of other leases.
    pub(super) serial: u32,
    /// The size of the bucket of tokens.
    pub(super) tokens: u64,
    /// The time at which it was sent first, and last.
    begun_us: u64,
    sent_us: u64,
    /// The time from which on nothing of it can be used.
    over_us: u64,
    /// Most tokens that can be left in Envoy, or were used and not reported.
    pub(super) left: u64,
    /// The certainty of reports about it.
    clarity: Clarity,
    /// The units of the tokens that are left, and those of one token.
    demands: Vec<(Demand, Micros)>,
    /// The policy of the counts that nodes share.
    policy: Option<Arc<SharedPolicy>>,
}

impl Lease {
    /// Takes up to `tokens` tokens, or fewer if there are not so many, and at least `least`.
    pub(super) fn take(
        counters: &Counters,
        one: &QuotaCounts,
        owner: &str,
        (tokens, least): (u64, u64),
        (terms, now): (Terms, Now),
        (serial, clarity): (u32, Clarity),
    ) -> Result<Self, Refusal> {
        let mut tokens = tokens.min(MOST_TOKENS);
        for _ in 0..ATTEMPTS {
            if tokens < least.max(1) {
                break;
            }
            let mut demands = one.demands.clone();
            for demand in &mut demands {
                demand.cost = times(demand.cost, tokens);
            }
            let end_us = terms.end_us(now);
            match counters.take_ahead(&mut demands, owner, now, end_us, one.policy.as_deref()) {
                Ok(over_us) => {
                    let units = one.demands.iter().map(|demand| demand.cost);
                    return Ok(Self {
                        serial,
                        tokens,
                        begun_us: now.look_us(),
                        sent_us: now.look_us(),
                        over_us,
                        left: tokens,
                        clarity,
                        demands: demands.into_iter().zip(units).collect(),
                        policy: one.policy.clone(),
                    });
                }
                Err(Refusal::RateLimited) => tokens /= 2,
                Err(refusal) => return Err(refusal),
            }
        }
        Err(Refusal::RateLimited)
    }

    /// True if the lease is of these counts, at these costs.
    pub(super) fn is_of(&self, one: &[Demand]) -> bool {
        self.demands.len() == one.len()
            && self
                .demands
                .iter()
                .zip(one)
                .all(|((held, units), one)| held.key == one.key && *units == one.cost)
    }

    /// True if Envoy still has the lease when something that is sent now arrives.
    pub(super) const fn is_current(&self, terms: Terms, now: Now) -> bool {
        now.stamp_us() + terms.margin_us <= self.sent_us + terms.ttl_us()
    }

    /// Counts up to `used` tokens as used by now. Returns the number of them.
    pub(super) fn spend(&mut self, used: u64, counters: &Counters, now: Now) -> u64 {
        self.take_out(used, now.stamp_us(), counters, now)
    }

    /// True if Envoy has had the lease since before it made the report that came at this time.
    pub(super) const fn is_older_than(&self, report_us: u64, terms: Terms) -> bool {
        self.begun_us + 2 * terms.margin_us <= report_us
    }

    /// True if all tokens are known to have been used: then nothing of the lease has to be remembered.
    pub(super) const fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Counts up to `used` tokens as used or still there, since the report may be about leases of another stream. Returns the
    /// number of them.
    ///
    /// If the report is about this lease, they are used. If not, Envoy has more tokens than are tracked here: reports about
    /// those will be taken for reports about later leases, which therefore end before these units are free.
    pub(super) fn doubt(&mut self, used: u64, terms: Terms, counters: &Counters, now: Now) -> u64 {
        self.take_out(used, terms.doubt_us(now), counters, now)
    }

    fn take_out(&mut self, used: u64, to_us: u64, counters: &Counters, now: Now) -> u64 {
        let used = used.min(self.left);
        self.left -= used;
        for (demand, units) in &mut self.demands {
            let mut part = demand.split_off(times(*units, used));
            // Where it fails, the units stay counted as they were.
            counters.redate(&mut part, to_us, now);
        }
        used
    }

    pub(super) const fn clarity(&self) -> Clarity {
        self.clarity
    }

    /// Extends the time of the tokens that are left. False if none are, or they cannot be counted for longer; then nothing may
    /// be sent. A lease in doubt is not extended, so that the doubt ends.
    pub(super) fn extend(&mut self, terms: Terms, counters: &Counters, now: Now) -> bool {
        if self.left == 0 || self.clarity != Clarity::Clear {
            return false;
        }
        let end_us = terms.end_us(now);
        let is_covered = |policy: &Arc<SharedPolicy>| end_us <= policy.ahead_end_us(now);
        if !self.policy.as_ref().is_none_or(is_covered) {
            return false;
        }
        for (demand, _) in &mut self.demands {
            if !counters.redate(demand, end_us, now) {
                return false;
            }
        }
        (self.sent_us, self.over_us) = (now.look_us(), end_us);
        true
    }

    /// Another assignment is sent in place of this one.
    pub(super) fn replace(&mut self, terms: Terms, now: Now) {
        self.over_us = self.over_us.min(now.stamp_us() + terms.margin_us);
    }

    /// True if a report that arrives now tells of every use of this lease.
    pub(super) const fn is_told(&self, terms: Terms, now: Now) -> bool {
        now.look_us() >= self.over_us + terms.margin_us
    }

    /// Gives back the tokens that were not used, once all uses are told. Returns the number of them.
    pub(super) fn give_back(mut self, counters: &Counters, now: Now) -> u64 {
        let unused = self.left;
        for (demand, units) in &mut self.demands {
            let part = demand.split_off(times(*units, unused));
            counters.give_back(&part, now);
        }
        unused
    }
}

/// Takes units for calls that were made without any, as far as there are some.
pub(super) fn charge(counters: &Counters, one: &[Demand], owner: &str, calls: u64, now: Now) {
    let calls = calls.min(available(counters, one, now));
    let mut demands = one.to_vec();
    for demand in &mut demands {
        demand.cost = times(demand.cost, calls);
    }
    if calls > 0 {
        // Where another door was faster, the counts are as full as they can be.
        let _ = counters.take(&mut demands, owner, now);
    }
}

/// The most tokens that counts have left.
pub(super) fn available(counters: &Counters, one: &[Demand], now: Now) -> u64 {
    let mut demands = one.to_vec();
    if !counters.look(&mut demands, now) {
        return 0;
    }
    let tokens = demands
        .iter()
        .zip(one)
        .map(|(demand, one)| demand.view.remaining.0 / one.cost.0.max(1));
    tokens.min().unwrap_or_default().min(MOST_TOKENS)
}

/// True if another node has wanted units of one of the counts within so many microseconds.
pub(super) fn is_wanted_elsewhere(counters: &Counters, one: &QuotaCounts, within_us: u64, now: Now) -> bool {
    let shared = counters.shared().filter(|_| one.policy.is_some());
    let is_wanted =
        |demand: &Demand| shared.is_some_and(|shared| shared.is_wanted(demand.key, within_us, now));
    one.demands.iter().any(is_wanted)
}

/// Asks for units of the shares of this node, so that this many tokens are free in them: nobody waits for them.
pub(super) fn want(counters: &Counters, one: &QuotaCounts, owner: &str, tokens: u64, now: Now) {
    let (Some(shared), Some(policy)) = (counters.shared(), &one.policy) else {
        return;
    };
    policy.note_taken_ahead();
    let leased = |demand: &&Demand| demand.shape.sharing == Sharing::Leased;
    for demand in one.demands.iter().filter(leased) {
        let wanted = times(demand.cost, tokens);
        let free = counters.leased(demand.key, now).map_or(0, |units| units.free.0);
        if free < wanted.0 {
            shared.want_ahead(policy, demand, owner, wanted, now);
        }
    }
}

const fn times(units: Micros, tokens: u64) -> Micros {
    Micros(units.0.saturating_mul(tokens))
}
