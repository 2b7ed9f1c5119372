//! The decision on one request: either all of its limits give their units, or none does.

use callgate_counters::{Counters, Demand, Micros, Refusal, Window, until_period_end_us};
use smallvec::SmallVec;

use super::counts::{Counts, Verdict};
use super::find::Match;
use super::request::{RateAnswer, RateError, RateRequest, RateStatus, UnknownDomainError};
use super::tree::{CompiledDomain, RateLimits};
use crate::Now;

/// A request and all data for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evaluation<'e, 's, 'r, 'd> {
    pub(crate) request: RateRequest<'r, 'd>,
    pub(crate) counters: &'e Counters,
    pub(crate) hash_key: &'e [u8; 16],
    pub(crate) now: Now,
    domain: &'s CompiledDomain,
    domain_index: u32,
}

impl<'e, 's, 'r, 'd> Evaluation<'e, 's, 'r, 'd> {
    pub(crate) fn new(
        limits: &'s RateLimits,
        request: RateRequest<'r, 'd>,
        counters: &'e Counters,
        hash_key: &'e [u8; 16],
        now: Now,
    ) -> Result<Self, UnknownDomainError> {
        let (domain_index, domain) = limits.domain(request.domain).ok_or(UnknownDomainError)?;
        Ok(Self {
            request,
            counters,
            hash_key,
            now,
            domain,
            domain_index,
        })
    }

    /// Takes the request's hits if all of them fit.
    pub(crate) fn answer(&self) -> RateAnswer<'s> {
        let found = self.find();
        let mut counts = self.counts(&found);
        let error = self.take(&mut counts);
        let statuses = found.iter().map(|found| self.status(found, &counts));
        RateAnswer {
            over_limit: counts.is_refused(),
            statuses: statuses.collect(),
            ..self.bare(error)
        }
    }

    /// The refusal of every descriptor, if no limit could be examined.
    pub(crate) fn failed(&self) -> RateAnswer<'s> {
        let status = RateStatus {
            over_limit: true,
            ..RateStatus::default()
        };
        RateAnswer {
            over_limit: true,
            statuses: self.request.descriptors.iter().map(|_| status).collect(),
            ..self.bare(Some(RateError::Internal))
        }
    }

    fn bare(&self, error: Option<RateError>) -> RateAnswer<'s> {
        RateAnswer {
            over_limit: false,
            statuses: SmallVec::new(),
            error,
            domain_index: self.domain_index,
            headers: self.domain.headers,
        }
    }

    /// The limits of the descriptors, without those that others replace.
    fn find(&self) -> SmallVec<[Match<'s>; 2]> {
        let descriptors = self.request.descriptors.iter();
        let mut found: SmallVec<[Match<'s>; 2]> = descriptors
            .map(|descriptor| self.domain.find(descriptor, self.hash_key))
            .collect();
        let configured = found.iter().filter_map(Match::configured);
        let replaced: SmallVec<[&str; 4]> = configured
            .flat_map(|limit| limit.replaces.iter().map(String::as_str))
            .collect();
        for one in &mut found {
            if let Match::Limit(limit) = one
                && limit
                    .configured
                    .is_some_and(|limit| replaced.contains(&limit.name.as_str()))
            {
                *one = Match::Nothing;
            }
        }
        found
    }

    /// The counts of these limits without duplicates, with the hits of all descriptors of each.
    fn counts(&self, found: &[Match<'s>]) -> Counts {
        let mut counts = Counts::default();
        for shadow in [false, true] {
            let begin = counts.demands.len();
            for (found, descriptor) in found.iter().zip(self.request.descriptors) {
                let Match::Limit(limit) = found else { continue };
                if limit.is_shadow() == shadow {
                    let hits = descriptor
                        .hits
                        .unwrap_or_else(|| u64::from(self.request.hits.max(1)));
                    counts.add(begin, limit, hits);
                }
            }
            if !shadow {
                counts.enforced = counts.demands.len();
            }
        }
        counts
    }

    fn take(&self, counts: &mut Counts) -> Option<RateError> {
        self.rule_out(counts);
        let enforced = counts.enforced;
        let refused = counts.is_refused();
        let mut error = None;
        let (take, _) = counts.demands.split_at_mut_checked(enforced).unwrap_or_default();
        if refused {
            self.look_at(counts, 0);
        } else if let Err(refusal) = self.take_all(take) {
            match refusal {
                Refusal::RateLimited => counts.mark_waiting(),
                Refusal::Capacity { demand } => {
                    error = Some(RateError::Capacity);
                    if let Some(facts) = counts.facts.get_mut(demand) {
                        facts.verdict = Verdict::Unknown;
                    }
                    self.look_at(counts, 0);
                }
                Refusal::Unavailable => {
                    error = Some(RateError::Unavailable);
                    for facts in &mut counts.facts {
                        facts.verdict = Verdict::Unknown;
                    }
                }
            }
        } else {
            self.take_shadowed(counts);
        }
        if counts.is_refused() {
            if !refused {
                self.look_at(counts, enforced);
            }
            self.count_refused(counts);
        }
        error
    }

    fn take_all(&self, demands: &mut [Demand]) -> Result<(), Refusal> {
        if demands.is_empty() {
            return Ok(());
        }
        self.counters
            .take(demands, &self.domain.owner, self.now)
            .map(|_| ())
    }

    /// Takes the shadowed limits of an admitted request one by one, because none of them can refuse it.
    fn take_shadowed(&self, counts: &mut Counts) {
        let shadowed = counts
            .demands
            .iter_mut()
            .zip(&mut counts.facts)
            .skip(counts.enforced);
        for (demand, facts) in shadowed {
            if facts.is_over() {
                continue;
            }
            if let Err(refusal) = self.take_all(std::slice::from_mut(demand)) {
                facts.verdict = match refusal {
                    Refusal::RateLimited => Verdict::Over,
                    Refusal::Capacity { .. } | Refusal::Unavailable => Verdict::Unknown,
                };
            }
        }
    }

    /// Rules out demands that can never be admitted, and demands for zero hits that find nothing left. They take
    /// nothing, so they are no longer demands.
    fn rule_out(&self, counts: &mut Counts) {
        for (demand, facts) in counts.demands.iter_mut().zip(&mut counts.facts) {
            let max = demand.shape.max;
            if demand.cost > max || max == Micros(0) {
                facts.verdict = Verdict::Never;
                demand.cost = Micros(0);
                if max > Micros(0) {
                    self.counters.look(std::slice::from_mut(demand), self.now);
                }
            } else if demand.cost == Micros(0) {
                let mut one = Demand::new(demand.key, demand.shape, Micros::ONE);
                self.counters.look(std::slice::from_mut(&mut one), self.now);
                if one.view.wait_us > 0 {
                    facts.verdict = Verdict::Over;
                    demand.view = one.view;
                }
            }
        }
    }

    /// Examines the counts from this one on that are not known to be over.
    fn look_at(&self, counts: &mut Counts, from: usize) {
        for (demand, facts) in counts.demands.iter_mut().zip(&mut counts.facts).skip(from) {
            if !facts.is_over() {
                self.counters.look(std::slice::from_mut(demand), self.now);
                facts.look(demand);
            }
        }
    }

    /// For limits on events that have already happened: a refused request takes its hits, as far as there is room.
    fn count_refused(&self, counts: &mut Counts) {
        for (demand, facts) in counts.demands.iter_mut().zip(&counts.facts) {
            if !facts.count_refused || facts.verdict == Verdict::Unknown || demand.shape.max == Micros(0) {
                continue;
            }
            let left = demand.view.remaining.0 - demand.view.remaining.0 % Micros::ONE.0;
            let cost = Micros(facts.cost.0.min(left));
            let mut rest = Demand::new(demand.key, demand.shape, cost);
            // If another request was faster, that one has used up the limit.
            if cost > Micros(0) && self.take_all(std::slice::from_mut(&mut rest)).is_ok() {
                demand.view.remaining = rest.view.remaining;
                demand.view.reset_after_us = rest.view.reset_after_us;
            }
        }
    }

    fn status(&self, found: &Match<'s>, counts: &Counts) -> RateStatus<'s> {
        let limit = match found {
            Match::Nothing => return RateStatus::default(),
            Match::Unlimited(_) => {
                return RateStatus {
                    remaining: u32::MAX,
                    ..RateStatus::default()
                };
            }
            Match::Limit(limit) => limit,
        };
        let Some((demand, facts)) = counts.of(limit) else {
            return RateStatus::default();
        };
        let over_limit = facts.is_over() && !limit.is_shadow();
        RateStatus {
            over_limit,
            shadow_over_limit: facts.is_over() && limit.is_shadow(),
            limit: Some(limit.current()),
            remaining: u32::try_from(demand.view.remaining.0 / Micros::ONE.0).unwrap_or(u32::MAX),
            reset_after_us: self.reset_after_us(demand, facts.verdict),
        }
    }

    fn reset_after_us(&self, demand: &Demand, verdict: Verdict) -> Option<u64> {
        Some(match (demand.shape.window, verdict) {
            (_, Verdict::Unknown) => return None,
            (Window::Calendar(period), _) => until_period_end_us(period, self.now),
            (Window::Sliding { window_us }, Verdict::Never) => window_us,
            (Window::Sliding { .. }, Verdict::Over) => demand.view.wait_us,
            (Window::Sliding { .. }, Verdict::Fits) => demand.view.reset_after_us,
        })
    }
}
