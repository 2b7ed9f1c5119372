//! Checks that the engine equals the oracle on generated policies and calls.

use callgate_oracle::compare::{self, AgreedDecision, Agreement};
use callgate_oracle::generate;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// The number of cases per property; `PROPTEST_CASES` overrides it.
fn cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(2_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_equals_the_oracle(bytes in vec(any::<u8>(), 0..1_200)) {
        let case = generate::case(&bytes);
        if let Err(difference) = compare::run(&case) {
            return Err(TestCaseError::fail(format!("{}\n{difference}", case.to_json())));
        }
    }
}

/// Without this test, the property above would also hold for policies that do not load and calls that are all denied.
#[test]
fn the_generator_reaches_every_outcome() {
    let mut loaded = 0;
    let mut outcomes = std::collections::HashMap::new();
    let mut waited = std::collections::HashMap::new();
    let (mut frozen, mut over) = (0, 0);
    let mut refused = Vec::new();
    let mut runner = TestRunner::deterministic();
    for _ in 0..500 {
        let bytes = vec(any::<u8>(), 300..1_200)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        match compare::run(&generate::case(&bytes)).unwrap() {
            Agreement::NotLoaded(error) => refused.push(error),
            Agreement::Decisions(decisions) => {
                loaded += 1;
                for AgreedDecision { verdict, has_waited } in decisions {
                    frozen += usize::from(verdict.answer.rule == "(frozen)");
                    over += usize::from(verdict.limits.iter().any(|limit| limit.over.least > 0));
                    *outcomes.entry(verdict.answer.outcome).or_insert(0) += 1;
                    if has_waited {
                        *waited.entry(verdict.answer.outcome).or_insert(0) += 1;
                    }
                }
            }
        }
    }
    assert!(loaded > 400, "{loaded} of 500 load, others say {refused:#?}");
    let is_reached = |counts: &std::collections::HashMap<&str, usize>, outcome: &str, least: usize| {
        assert!(
            counts.get(outcome).is_some_and(|count| *count > least),
            "{outcome}: {counts:?}"
        );
    };
    for outcome in ["allow", "deny", "rate_limited", "approval_required"] {
        is_reached(&outcomes, outcome, 200);
    }
    for (outcome, least) in [
        ("allow", 150),
        ("deny", 150),
        ("rate_limited", 10),
        ("approval_required", 20),
    ] {
        is_reached(&waited, outcome, least);
    }
    assert!(frozen > 200, "{frozen} frozen");
    assert!(over > 30, "{over} above max");
}
