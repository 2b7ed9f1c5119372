//! Configurations of the model: each has the parts of the protocol that belong together, and the faults that concern them.

use callgate_model::rules::{Acts, Faults, Mutation, Rules};
use callgate_model::system::{INVARIANT, Step, System};
use stateright::{Checker, Model};

/// Nothing goes wrong.
pub(crate) const NO_FAULTS: Faults = Faults {
    slow_calls: 0,
    crashes: 0,
    copied_files: 0,
    lost_messages: 0,
    late_requests: 0,
    losses: 0,
    failovers: 0,
    steps_forward: 0,
    steps_back: 0,
};

/// Nodes do nothing but grow, take and renew.
pub(crate) const LEASES: Acts = Acts {
    has_delays: false,
    shrinks: false,
    takes_strictly: false,
    leaves: false,
    takes_over: false,
};

/// They give back as well.
pub(crate) const SHRINKS: Acts = Acts {
    shrinks: true,
    ..LEASES
};

/// Everything, with calls of one step.
pub(crate) const ALL: Acts = Acts {
    takes_strictly: true,
    leaves: true,
    ..SHRINKS
};

/// Nodes start again and take over what they left.
pub(crate) const TAKES_OVER: Acts = Acts {
    takes_over: true,
    ..LEASES
};

/// Requests and answers of the first node take time.
pub(crate) const DELAYS: Acts = Acts {
    has_delays: true,
    ..SHRINKS
};

/// Rules with the shortest times: a lease of two ticks, of which one is used.
pub(crate) const fn rules(max: u8, window: i8, acts: Acts, faults: Faults) -> Rules {
    Rules {
        max,
        window,
        lease: 2,
        ahead: 0,
        mutation: None,
        acts,
        faults,
        step: 0,
        has_witness: true,
    }
}

fn system(nodes: u8, rules: Rules) -> System {
    System {
        nodes,
        // Delays are those of the first node, so its place matters.
        merges_mirrors: nodes == 2 && !rules.acts.has_delays,
        rules,
    }
}

/// Visits every state.
#[expect(clippy::print_stdout, reason = "the size of the model, for `--nocapture`")]
pub(crate) fn holds(nodes: u8, rules: Rules) {
    let begin = std::time::Instant::now();
    let checker = system(nodes, rules).checker().spawn_bfs().join();
    println!(
        "{} states, depth {}, {:.1} s: {nodes} nodes, {rules:?}",
        checker.unique_state_count(),
        checker.max_depth(),
        begin.elapsed().as_secs_f32()
    );
    if checker.discovery(INVARIANT).is_some() {
        // Once more, for a trace in which nodes keep their places.
        assert_eq!(counterexample(nodes, rules), None, "{INVARIANT}");
    }
    checker.assert_properties();
}

/// Searches for a shortest run that breaks the invariant.
#[expect(clippy::print_stdout, reason = "the size of the model, for `--nocapture`")]
pub(crate) fn counterexample(nodes: u8, rules: Rules) -> Option<Vec<Step>> {
    let system = System {
        merges_mirrors: false,
        ..system(nodes, rules)
    };
    let found = stateright::HasDiscoveries::AnyFailures;
    let checker = system.checker().finish_when(found).spawn_bfs().join();
    let steps = checker.discovery(INVARIANT).map(stateright::Path::into_actions);
    println!(
        "{} states: {:?} {steps:?}",
        checker.unique_state_count(),
        rules.mutation
    );
    steps
}

/// Searches for it in a model without this rule.
pub(crate) fn breaks(mutation: Mutation, rules: Rules) {
    let rules = Rules {
        mutation: Some(mutation),
        ..rules
    };
    assert!(counterexample(2, rules).is_some(), "{mutation:?} breaks nothing");
}

/// Searches for it in a model that has every rule.
pub(crate) fn breaks_without(rules: Rules) {
    assert!(counterexample(2, rules).is_some(), "the invariant holds");
}
