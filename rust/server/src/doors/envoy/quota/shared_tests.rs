//! Quotas of counts that nodes share, on a clock and with a lease that are set by hand.

use std::sync::Arc;

use callgate_core::Now;
use callgate_core::engine::QuotaCounts;
use callgate_counters::lease::{Ask, Shared, SharedPolicy};
use callgate_counters::{CountKey, CountShape, Counters, Demand, Micros, Sharing, Window};

use super::bucket::{Action, Bucket, Desk};
use super::interest::Interests;
use super::lease::Terms;
use super::named::Verdict;
use crate::limits::Limits;

const SECOND_US: u64 = 1_000_000;
const AHEAD_US: u64 = 24 * SECOND_US;

/// One bucket that draws on a leased count, and the lease of this node.
struct Node {
    counters: Counters,
    shared: Arc<Shared>,
    policy: Arc<SharedPolicy>,
    interests: Arc<Interests>,
    bucket: Bucket,
    demand: Demand,
}

impl Node {
    /// Of a count that admits `max` a minute.
    fn new(max: u64) -> Self {
        let shared = Arc::new(Shared::new([7; 16]));
        let counters = Counters::new(16, 16, &[3; 16]);
        counters.share(Arc::clone(&shared));
        let shape = CountShape {
            window: Window::Sliding {
                window_us: 60 * SECOND_US,
            },
            max: Micros(max * Micros::ONE.0),
            whole_units: true,
            sharing: Sharing::Leased,
        };
        Self {
            counters,
            policy: shared.policy("p"),
            shared,
            interests: Arc::default(),
            bucket: Bucket::default(),
            demand: Demand::new(CountKey(1), shape, Micros::ONE),
        }
    }

    /// Does what the worker does with an answer of the store: more units, and a lease until this second.
    fn lend(&self, second: u64, units: u64, until: u64) {
        let now = Now::from_unix_us(second * SECOND_US);
        let units = Micros(units * Micros::ONE.0);
        self.counters.lend(&self.demand, "g", units, now).unwrap();
        self.lease(until);
    }

    fn lease(&self, until: u64) {
        let end_us = until * SECOND_US;
        self.policy.ahead_until_us(end_us + AHEAD_US);
        self.policy.lease_until_us(end_us, self.policy.changes());
    }

    /// A report at this second if there is one, and the answer.
    fn answer(&mut self, second: u64, report: Option<(u64, u64)>) -> Option<Action> {
        let desk = Desk {
            counters: &self.counters,
            interests: &self.interests,
            terms: Terms::of(&Limits::default()),
            now: Now::from_unix_us(second * SECOND_US),
        };
        let verdict: Verdict = Ok(QuotaCounts {
            demands: vec![self.demand.clone()],
            policy: Some(Arc::clone(&self.policy)),
        });
        if let Some((allowed, denied)) = report {
            self.bucket.report(allowed, denied, desk);
        }
        self.bucket.plan(&verdict, "g", desk, report.is_some())
    }

    /// The rule of a new reason for which the bucket gets nothing.
    fn told(&mut self) -> Option<String> {
        let denial = self.bucket.news(&Ok(QuotaCounts::default()))?;
        Some(denial.rule.to_string())
    }

    /// Another node wants units at this second.
    fn want_elsewhere(&self, second: u64) {
        let now = Now::from_unix_us(second * SECOND_US);
        self.shared.note_wanted(self.demand.key, now);
    }

    /// The units that the worker was asked for since the last such question.
    fn asked(&self) -> Vec<u64> {
        let units = |ask| match ask {
            Ask::Low { wanted, .. } => Some(wanted.0 / Micros::ONE.0),
            _ => None,
        };
        self.shared.take_asks().into_iter().filter_map(units).collect()
    }

    fn free(&self, second: u64) -> u64 {
        let now = Now::from_unix_us(second * SECOND_US);
        let units = self.counters.leased(self.demand.key, now).unwrap();
        units.free.0 / Micros::ONE.0
    }
}

fn tokens(action: Option<Action>) -> u64 {
    match action {
        Some(Action::Tokens { tokens, .. }) => tokens,
        other => panic!("no tokens: {other:?}"),
    }
}

#[test]
fn the_times_of_quotas_are_those_that_the_store_is_told() {
    let limits = Limits::default();
    let terms = Terms::of(&limits);
    assert_eq!(limits.quota_ahead_us(), AHEAD_US);
    // A report that tells of the last use has come by then.
    assert!(terms.ttl_us() + 2 * terms.margin_us + 5 * SECOND_US <= AHEAD_US);
}

#[test]
fn a_share_is_asked_for_and_lent_once_it_has_come() {
    let mut node = Node::new(16);
    assert!(!node.policy.is_taken_ahead());
    assert_eq!(node.answer(100, Some((0, 1))), Some(Action::DenyAll));
    assert!(node.policy.is_taken_ahead(), "the store is told");
    let asked = node.asked();
    assert!(asked.len() == 1 && asked[0] > 1, "{asked:?}");
    // The next look, without a report, finds the units.
    node.lend(101, 8, 105);
    assert_eq!(tokens(node.answer(101, None)), 3);
    assert_eq!(node.free(101), 5);
    // Who wants more than the share has asks again, before the next report.
    node.asked();
    node.answer(105, Some((3, 90)));
    assert_eq!(node.asked(), [16], "as many as the limit has");
}

#[test]
fn a_share_that_suffices_is_not_asked_for() {
    let mut node = Node::new(160);
    node.lend(100, 160, 105);
    // One request in a second: 15 in a time to live, and a quarter more.
    assert_eq!(tokens(node.answer(100, Some((0, 1)))), 60);
    assert!(node.asked().is_empty());
    assert!(node.policy.is_taken_ahead(), "the store is told all the same");
}

#[test]
fn nothing_is_lent_or_extended_without_a_lease() {
    let mut node = Node::new(16);
    node.lend(100, 16, 105);
    assert_eq!(tokens(node.answer(100, Some((0, 1)))), 6);
    for second in [105, 110] {
        node.lease(second);
        node.answer(second, Some((0, 0)));
    }
    let lent = node.free(110);
    assert!(lent < 16);
    for second in [115, 120, 125] {
        let action = node.answer(second, Some((0, 0)));
        assert!(
            !matches!(action, Some(Action::Tokens { .. } | Action::Extend { .. })),
            "{second}: {action:?}"
        );
    }
    assert!(node.free(125) >= lent, "nothing more was taken");
    // With the lease, quotas come back.
    node.lease(135);
    assert!(tokens(node.answer(130, Some((0, 5)))) > 0);
}

#[test]
fn a_lease_of_which_the_store_counts_no_units_ahead_lends_nothing() {
    let mut node = Node::new(16);
    node.lend(100, 16, 105);
    node.policy.ahead_until_us(0);
    assert_eq!(node.answer(100, Some((0, 1))), Some(Action::DenyAll));
    assert_eq!(node.free(100), 16);
}

#[test]
fn another_node_that_wants_units_gets_its_part() {
    let mut node = Node::new(160);
    node.lend(100, 160, 200);
    node.want_elsewhere(99);
    let first = tokens(node.answer(100, Some((0, 100))));
    assert_eq!(first, 40, "half of a half, at first");
    node.want_elsewhere(104);
    assert_eq!(tokens(node.answer(105, Some((0, 100)))), 60, "half of the rest");
}

#[test]
fn tokens_that_nobody_uses_are_left_to_another_node_that_wants_units() {
    let mut node = Node::new(16);
    node.lend(100, 16, 300);
    tokens(node.answer(100, Some((0, 1))));
    node.answer(105, Some((0, 0)));
    tokens(node.answer(110, Some((3, 0))));
    let extended = |action| matches!(action, Some(Action::Extend { .. }));
    let is_extended = (115..150)
        .step_by(5)
        .any(|second| extended(node.answer(second, Some((0, 0)))));
    assert!(is_extended, "nobody else wants them");
    for second in [150, 155, 160] {
        node.want_elsewhere(second);
        assert!(!extended(node.answer(second, Some((0, 0)))), "{second}");
    }
}

#[test]
fn a_store_that_stays_away_is_told() {
    let mut node = Node::new(16);
    for second in 100..103 {
        node.answer(second, (second == 100).then_some((0, 1)));
        assert_eq!(node.told(), None, "it has just been asked");
    }
    node.answer(103, None);
    assert_eq!(node.told().as_deref(), Some("(counter store unavailable)"));
    node.answer(104, None);
    assert_eq!(node.told(), None, "once");
    node.lend(105, 8, 110);
    assert!(tokens(node.answer(105, None)) > 0);
    assert_eq!(node.told(), None);
}
