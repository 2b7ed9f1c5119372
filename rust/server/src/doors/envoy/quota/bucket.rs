//! One bucket of one stream: what Envoy was told about it, and what it is told next.

use std::sync::Arc;

use callgate_core::Now;
use callgate_core::engine::{QuotaCounts, QuotaDenial};
use callgate_counters::lease::SharedPolicy;
use callgate_counters::{Counters, Refusal};

use super::interest::{Interest, Interests};
use super::lease::{Clarity, Lease, MOST_TOKENS, Terms, available, charge, is_wanted_elsewhere, want};
use super::named::Verdict;

/// The time without requests after which a bucket gets no more tokens, and is forgotten by both sides.
pub(super) const IDLE_US: u64 = 60_000_000;

/// Leases of one bucket whose uses are not all told yet. Reports come more often than this many leases end.
const MOST_LEASES: usize = 8;

/// The time that a first report is regarded to be about.
const SHORTEST_REPORT_US: u64 = 1_000_000;

/// The time for which another node's wish is remembered. It is told again with each report, and each second while it has nothing.
const WANTED_US: u64 = 6_000_000;

/// The time for which the lease of a shared policy may be missing before it is told: a first one has to be asked for.
const STORE_WAIT_US: u64 = 3_000_000;

/// The rule of a quota for which there is no room.
const CAPACITY: &str = "(counter capacity)";
const UNAVAILABLE: &str = "(counter store unavailable)";

/// The first serial number of a bucket is one of so many.
const FIRST_SERIALS: u64 = 900_000_000;

/// An assignment for Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A full bucket of so many tokens.
    Tokens {
        tokens: u64,
        serial: u32,
    },
    /// More time for the same bucket of tokens, as it is.
    Extend {
        tokens: u64,
        serial: u32,
    },
    AllowAll,
    DenyAll,
    /// Envoy forgets the bucket.
    Abandon,
}

/// Numbers of tokens that changed hands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TokenNumbers {
    pub(super) leased: u64,
    pub(super) used: u64,
    pub(super) returned: u64,
    /// Requests that were allowed without a token.
    pub(super) unexpected: u64,
}

/// The things that a bucket needs of the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Desk<'d> {
    pub(super) counters: &'d Counters,
    pub(super) interests: &'d Arc<Interests>,
    pub(super) terms: Terms,
    pub(super) now: Now,
}

/// One bucket.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// The oldest first.
    leases: Vec<Lease>,
    /// The last of the leases is the assignment in force.
    has_tokens: bool,
    /// Envoy has refused a request with that assignment, so it has no token left of it, whatever its reports add up to.
    is_exhausted: bool,
    /// The assignment without tokens in force, and when it was sent.
    blanket: Option<(Action, u64)>,
    interest: Option<Interest>,
    /// 1 if other nodes want units of one of the counts.
    other_nodes: u64,
    /// The time from which on a report is about leases of this stream alone, and whether one has come since.
    clear_us: Option<u64>,
    is_clear: bool,
    /// Requests of the last report, the time that it was about, and when it came.
    requests: u64,
    elapsed_us: u64,
    reported_us: Option<u64>,
    /// The time of the last report with a request.
    busy_us: u64,
    serial: u32,
    /// Requests that were allowed without a token, and for which no units were taken yet.
    uncounted: u64,
    pub(super) numbers: TokenNumbers,
    /// The reason for which the counters gave no lease, other than that too few units are left.
    refusal: Option<Refusal>,
    /// The time since which the lease of a shared policy is missing.
    missing_us: Option<u64>,
    /// The denial that was logged last.
    denied: Option<QuotaDenial<'static>>,
}

impl Bucket {
    /// Takes in a report.
    pub(super) fn report(&mut self, allowed: u64, denied: u64, desk: Desk<'_>) {
        let now_us = desk.now.look_us();
        self.end_late_tokens(desk);
        // Envoy refuses a request only if it has no token left. It has had the lease for all the time of this report.
        let before_us = self.reported_us.unwrap_or_default();
        self.is_exhausted |= denied > 0
            && self.has_tokens
            && self
                .leases
                .last()
                .is_some_and(|lease| lease.is_older_than(before_us, desk.terms));
        self.elapsed_us = self.reported_us.map_or(SHORTEST_REPORT_US, |before| {
            now_us.saturating_sub(before).max(SHORTEST_REPORT_US)
        });
        self.reported_us = Some(now_us);
        self.requests = allowed.saturating_add(denied);
        if self.requests > 0 || self.busy_us == 0 {
            self.busy_us = now_us;
        }
        if self.is_clear {
            let mut left = allowed;
            for lease in &mut self.leases {
                left -= lease.spend(left, desk.counters, desk.now);
            }
            self.numbers.used += allowed - left;
            if !matches!(self.blanket, Some((Action::AllowAll, _))) {
                self.numbers.unexpected += left;
                self.uncounted = self.uncounted.saturating_add(left);
            }
        } else {
            let mut left = allowed;
            for lease in &mut self.leases {
                left -= lease.doubt(left, desk.terms, desk.counters, desk.now);
            }
            self.numbers.used += allowed - left;
        }
        let in_force = self.leases.pop_if(|_| self.has_tokens);
        for lease in std::mem::take(&mut self.leases) {
            if lease.is_told(desk.terms, desk.now) {
                self.numbers.returned += lease.give_back(desk.counters, desk.now);
            } else if !lease.is_spent() || lease.clarity() == Clarity::Unclear {
                self.leases.push(lease);
            }
        }
        self.leases.extend(in_force);
        // Of what Envoy reports from here on, everything is of leases of this stream.
        self.is_clear |= self.clear_us.is_some_and(|clear_us| now_us >= clear_us);
    }

    /// The next assignment, if there is one. `reported` if a report has just come in: Envoy was alive a moment ago, and
    /// its number of requests is new.
    pub(super) fn plan(
        &mut self,
        verdict: &Verdict,
        owner: &str,
        desk: Desk<'_>,
        reported: bool,
    ) -> Option<Action> {
        self.end_late_tokens(desk);
        match verdict {
            Ok(one) if one.demands.is_empty() => {
                self.interest = None;
                self.blanket(Action::AllowAll, desk, reported)
            }
            Ok(one) => self.plan_tokens(one, owner, desk, reported),
            Err(_) => {
                self.interest = None;
                self.blanket(Action::DenyAll, desk, reported)
            }
        }
    }

    /// The reason for which the bucket gets nothing, if it is another one than before, so that it is to be logged.
    pub(super) fn news(&mut self, verdict: &Verdict) -> Option<&QuotaDenial<'static>> {
        let denied = match verdict {
            Err(denial) => Some(denial.clone()),
            Ok(_) => self.refusal.map(refused),
        };
        if self.denied == denied {
            return None;
        }
        self.denied = denied;
        self.denied.as_ref()
    }

    /// True if no request has come for long, and nothing of the bucket has to be remembered.
    pub(super) fn is_forgettable(&self, now: Now) -> bool {
        !self.has_leases() && now.look_us().saturating_sub(self.busy_us) >= IDLE_US
    }

    const fn has_leases(&self) -> bool {
        !self.leases.is_empty()
    }

    /// The same answer to all requests. It is sent again with each report, because it ends as well.
    fn blanket(&mut self, action: Action, desk: Desk<'_>, reported: bool) -> Option<Action> {
        self.end_tokens(desk);
        if reported && self.is_forgettable(desk.now) {
            return Some(Action::Abandon);
        }
        let now_us = desk.now.look_us();
        let is_young = |sent_us: u64| !reported || now_us.saturating_sub(sent_us) < desk.terms.ttl_us() / 4;
        if let Some((sent, sent_us)) = self.blanket
            && sent == action
            && is_young(sent_us)
        {
            return None;
        }
        self.blanket = Some((action, now_us));
        Some(action)
    }

    /// Tokens, as far as there are some.
    fn plan_tokens(
        &mut self,
        one: &QuotaCounts,
        owner: &str,
        desk: Desk<'_>,
        reported: bool,
    ) -> Option<Action> {
        let keys = || one.demands.iter().map(|demand| demand.key);
        if !self
            .interest
            .as_ref()
            .is_some_and(|interest| interest.keys().iter().copied().eq(keys()))
        {
            self.interest = None;
            self.interest = Some(Interest::new(desk.interests, keys().collect()));
        }
        self.other_nodes = is_wanted_elsewhere(desk.counters, one, WANTED_US, desk.now).into();
        self.count_uncounted(one, owner, desk);
        if self.has_tokens && !self.leases.last().is_some_and(|lease| lease.is_of(&one.demands)) {
            // Counts or costs have changed: the tokens of before are replaced, by none if there are no others.
            self.end_tokens(desk);
            let next = self.next_tokens(one, owner, desk, reported);
            return next.or_else(|| self.blanket(Action::DenyAll, desk, reported));
        }
        self.next_tokens(one, owner, desk, reported)
    }

    fn next_tokens(
        &mut self,
        one: &QuotaCounts,
        owner: &str,
        desk: Desk<'_>,
        reported: bool,
    ) -> Option<Action> {
        let now_us = desk.now.look_us();
        if now_us.saturating_sub(self.busy_us) >= IDLE_US {
            self.wait(false);
            let is_forgotten = reported && !self.has_tokens && self.is_forgettable(desk.now);
            return is_forgotten.then_some(Action::Abandon);
        }
        let is_heard = self
            .reported_us
            .is_some_and(|reported_us| now_us.saturating_sub(reported_us) < desk.terms.ttl_us());
        if !is_heard {
            return None;
        }
        let left = self.left();
        let wants = self.wanted(desk.terms);
        let is_low = !self.has_tokens || left.saturating_mul(2) < wants;
        if !is_low {
            self.wait(false);
        }
        // Who has no requests leaves the tokens to others who wait.
        let is_needed = self.requests > 0 || !self.others_wait();
        // Between reports nothing new is known of the bucket, but units may have become free.
        let asks = is_low && is_needed && (reported || left == 0);
        if asks {
            let leased = self.lease(one, owner, desk, (wants, left));
            if leased.is_some() {
                return leased;
            }
            if !self.has_tokens {
                return self.blanket(Action::DenyAll, desk, reported);
            }
        }
        if reported { self.extend(desk) } else { None }
    }

    /// A new lease; `None` if there is no better one than that in force.
    fn lease(
        &mut self,
        one: &QuotaCounts,
        owner: &str,
        desk: Desk<'_>,
        (wants, left): (u64, u64),
    ) -> Option<Action> {
        let free = available(desk.counters, &one.demands, desk.now);
        let tokens = self.share(free, wants);
        self.wait(true);
        // Of what is free here, this bucket gets a part.
        let missing = if tokens < wants {
            wants.saturating_mul(2)
        } else {
            0
        };
        want(desk.counters, one, owner, missing.min(MOST_TOKENS), desk.now);
        if !self.has_lease(one.policy.as_deref(), desk) {
            return None;
        }
        if tokens <= left || self.leases.len() >= MOST_LEASES {
            return None;
        }
        let serial = self.next_serial(desk.now);
        let (terms, now) = (desk.terms, desk.now);
        let taken = Lease::take(
            desk.counters,
            one,
            owner,
            (tokens, left + 1),
            (terms, now),
            (serial, self.clarity()),
        );
        let lease = match taken {
            Ok(lease) => lease,
            Err(refusal) => {
                self.refusal = (refusal != Refusal::RateLimited).then_some(refusal);
                return None;
            }
        };
        self.refusal = None;
        self.end_tokens(desk);
        self.clear_us.get_or_insert(now.stamp_us() + 2 * terms.margin_us);
        let tokens = lease.tokens;
        self.wait(tokens < wants);
        self.numbers.leased += tokens;
        (self.serial, self.has_tokens, self.blanket) = (serial, true, None);
        self.is_exhausted = false;
        self.leases.push(lease);
        Some(Action::Tokens { tokens, serial })
    }

    /// True if a quota that is lent now ends while the shares of this node are counted; always where nothing is shared.
    fn has_lease(&mut self, policy: Option<&SharedPolicy>, desk: Desk<'_>) -> bool {
        let (now, end_us) = (desk.now, desk.terms.end_us(desk.now));
        if policy.is_none_or(|policy| end_us <= policy.ahead_end_us(now)) {
            if self.missing_us.take().is_some() {
                self.refusal = None;
            }
            return true;
        }
        let since_us = *self.missing_us.get_or_insert(now.look_us());
        let is_long = now.look_us().saturating_sub(since_us) >= STORE_WAIT_US;
        self.refusal = is_long.then_some(Refusal::Unavailable);
        false
    }

    /// The certainty of reports about a lease that begins now.
    fn clarity(&self) -> Clarity {
        let is_unclear = |lease: &Lease| lease.clarity() == Clarity::Unclear;
        if !self.is_clear {
            Clarity::Unclear
        } else if self.leases.iter().any(is_unclear) {
            Clarity::Doubtful
        } else {
            Clarity::Clear
        }
    }

    /// A number that this bucket of tokens has alone: also among those that Envoy got from another stream.
    fn next_serial(&self, now: Now) -> u32 {
        let first = u32::try_from(now.look_us() % FIRST_SERIALS).unwrap_or_default();
        if self.serial == 0 { first } else { self.serial }.wrapping_add(1)
    }

    /// Takes units for requests that had none: Envoy admits requests without an assignment, or reports wrong numbers.
    fn count_uncounted(&mut self, one: &QuotaCounts, owner: &str, desk: Desk<'_>) {
        if self.uncounted > 0 {
            charge(desk.counters, &one.demands, owner, self.uncounted, desk.now);
            self.uncounted = 0;
        }
    }

    /// Extends the lease in force, unless others need its tokens more.
    fn extend(&mut self, desk: Desk<'_>) -> Option<Action> {
        let others_wait = self.others_wait();
        let has_tokens = self.has_tokens && !self.is_exhausted;
        let lease = self.leases.last_mut().filter(|_| has_tokens)?;
        let is_used = self.requests > 0;
        if others_wait && !is_used || !lease.extend(desk.terms, desk.counters, desk.now) {
            return None;
        }
        Some(Action::Extend {
            tokens: lease.tokens,
            serial: lease.serial,
        })
    }

    /// The lease in force is replaced by what is sent now.
    fn end_tokens(&mut self, desk: Desk<'_>) {
        if let Some(lease) = self.leases.last_mut().filter(|_| self.has_tokens) {
            lease.replace(desk.terms, desk.now);
        }
        self.has_tokens = false;
    }

    /// Notes that the lease in force cannot be changed any more: Envoy may have dropped it when a message arrives.
    fn end_late_tokens(&mut self, desk: Desk<'_>) {
        let last = self.leases.last();
        self.has_tokens &= last.is_some_and(|lease| lease.is_current(desk.terms, desk.now));
    }

    fn others_wait(&self) -> bool {
        self.other_nodes > 0 || self.interest.as_ref().is_some_and(Interest::others_wait)
    }

    fn wait(&mut self, is_waiting: bool) {
        if let Some(interest) = &mut self.interest {
            interest.wait(is_waiting);
        }
    }

    /// Tokens that Envoy probably has left of the lease in force.
    fn left(&self) -> u64 {
        let last = self
            .leases
            .last()
            .filter(|_| self.has_tokens && !self.is_exhausted);
        last.map_or(0, |lease| lease.left)
    }

    /// The tokens for the requests of one time to live, at the pace of the last report, and a quarter more.
    fn wanted(&self, terms: Terms) -> u64 {
        let pace = u128::from(self.requests) * u128::from(terms.ttl_us()) * 5;
        let wanted = pace.div_ceil(u128::from(self.elapsed_us.max(SHORTEST_REPORT_US)) * 4);
        u64::try_from(wanted).unwrap_or(u64::MAX).max(1)
    }

    /// The part of the free tokens that this bucket may have. Other doors count in the same counters, so some are left even
    /// if no other bucket is there.
    fn share(&self, free: u64, wants: u64) -> u64 {
        // The part of other nodes stays free, so that the worker can give it back.
        let buckets = self.interest.as_ref().map_or(1, Interest::buckets) + self.other_nodes;
        let most = if buckets > 1 {
            free.div_ceil(buckets)
        } else {
            free - free / 4
        };
        // Small at first: half of a part, until a report says more.
        let first = most.div_ceil(2);
        if self.clear_us.is_none() {
            first
        } else {
            wants.min(most)
        }
    }
}

fn refused(refusal: Refusal) -> QuotaDenial<'static> {
    let (rule, message) = match refusal {
        Refusal::Capacity { .. } => (CAPACITY, "too many counters are alive, so no new one can be kept"),
        Refusal::Unavailable | Refusal::RateLimited => (UNAVAILABLE, "the counters cannot be reached"),
    };
    QuotaDenial {
        rule: rule.into(),
        message: message.into(),
    }
}
