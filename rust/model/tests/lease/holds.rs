//! No interval of one window holds more than `max`: every state of each configuration is visited.

use crate::support::{ALL, DELAYS, LEASES, NO_FAULTS, SHRINKS, TAKES_OVER, holds, rules};
use callgate_model::rules::{Acts, Faults, Mutation, Rules};

#[test]
fn with_strict_takes_and_nodes_that_stop() {
    let faults = Faults {
        lost_messages: 1,
        crashes: 1,
        ..NO_FAULTS
    };
    holds(2, rules(1, 2, ALL, faults));
    let faults = Faults {
        crashes: 1,
        ..NO_FAULTS
    };
    holds(2, rules(2, 2, ALL, faults));
    // Longer leases: what is half a lease is more than one tick.
    let faults = Faults {
        lost_messages: 1,
        ..NO_FAULTS
    };
    let rules = rules(1, 2, ALL, faults);
    holds(2, Rules { lease: 4, ..rules });
}

#[test]
fn of_three_nodes() {
    let faults = Faults {
        crashes: 1,
        ..NO_FAULTS
    };
    holds(3, rules(1, 2, LEASES, faults));
}

#[test]
fn with_slow_calls() {
    let faults = Faults {
        slow_calls: 1,
        crashes: 1,
        ..NO_FAULTS
    };
    holds(2, rules(1, 2, SHRINKS, faults));
    let faults = Faults {
        slow_calls: 1,
        losses: 1,
        ..NO_FAULTS
    };
    holds(2, rules(1, 1, LEASES, faults));
}

#[test]
fn with_requests_and_answers_that_are_late_or_lost() {
    for window in [1, 3] {
        let faults = Faults {
            lost_messages: 1,
            ..NO_FAULTS
        };
        holds(2, rules(1, window, DELAYS, faults));
    }
    let faults = Faults {
        late_requests: 1,
        ..NO_FAULTS
    };
    holds(2, rules(1, 1, DELAYS, faults));
}

#[test]
fn after_the_loss_of_all_data_and_after_a_failover() {
    let losses = Faults {
        losses: 1,
        ..NO_FAULTS
    };
    let failovers = Faults {
        failovers: 1,
        ..NO_FAULTS
    };
    for faults in [losses, failovers] {
        holds(2, rules(2, 2, SHRINKS, faults));
        holds(2, rules(1, 1, DELAYS, faults));
        let faults = Faults {
            lost_messages: 1,
            ..faults
        };
        holds(2, rules(1, 2, SHRINKS, faults));
    }
}

#[test]
fn with_nodes_that_start_again_and_take_over() {
    let crashes = Faults {
        crashes: 1,
        ..NO_FAULTS
    };
    let lost = Faults {
        lost_messages: 1,
        ..crashes
    };
    let copied = Faults {
        copied_files: 1,
        ..crashes
    };
    let slow = Faults {
        slow_calls: 1,
        ..crashes
    };
    let stops = Acts {
        leaves: true,
        ..TAKES_OVER
    };
    let strict = Acts {
        takes_strictly: true,
        ..TAKES_OVER
    };
    // With late requests it holds, too, in nine million states; with nodes that give back as well in 22 million.
    let delays = Acts {
        has_delays: true,
        ..TAKES_OVER
    };
    holds(2, rules(2, 2, TAKES_OVER, crashes));
    holds(2, rules(1, 2, TAKES_OVER, lost));
    holds(2, rules(1, 2, TAKES_OVER, copied));
    holds(2, rules(1, 1, TAKES_OVER, slow));
    holds(2, rules(1, 2, strict, crashes));
    let lost = Faults {
        lost_messages: 1,
        ..NO_FAULTS
    };
    holds(2, rules(1, 1, stops, lost));
    holds(2, rules(1, 1, delays, crashes));
    let lends = Rules {
        ahead: 1,
        ..rules(1, 1, TAKES_OVER, crashes)
    };
    holds(2, lends);
}

#[test]
fn with_a_clock_of_the_store_that_is_set() {
    let forward = Faults {
        steps_forward: 1,
        ..NO_FAULTS
    };
    // As much as half a lease, a lease, and more.
    for step in 1..=3 {
        let faults = Faults {
            crashes: 1,
            ..forward
        };
        for rules in [rules(2, 2, SHRINKS, faults), rules(1, 3, SHRINKS, faults)] {
            holds(2, Rules { step, ..rules });
        }
        let faults = Faults { losses: 1, ..forward };
        holds(
            2,
            Rules {
                step,
                ..rules(1, 2, LEASES, faults)
            },
        );
        let faults = Faults {
            steps_back: 1,
            ..forward
        };
        holds(
            2,
            Rules {
                step,
                ..rules(1, 2, ALL, faults)
            },
        );
        let faults = Faults {
            steps_forward: 0,
            ..faults
        };
        holds(
            2,
            Rules {
                step,
                ..rules(1, 2, ALL, faults)
            },
        );
    }
}

#[test]
fn with_quotas() {
    for ahead in [1, 2] {
        let faults = Faults {
            crashes: 1,
            ..NO_FAULTS
        };
        holds(
            2,
            Rules {
                ahead,
                ..rules(1, 2, SHRINKS, faults)
            },
        );
        holds(
            2,
            Rules {
                ahead,
                ..rules(2, 1, LEASES, faults)
            },
        );
        holds(
            2,
            Rules {
                ahead,
                ..rules(1, 2, ALL, NO_FAULTS)
            },
        );
        let faults = Faults {
            losses: 1,
            crashes: 1,
            ..NO_FAULTS
        };
        holds(
            2,
            Rules {
                ahead,
                ..rules(1, 1, LEASES, faults)
            },
        );
        let faults = Faults {
            steps_forward: 1,
            ..NO_FAULTS
        };
        holds(
            2,
            Rules {
                ahead,
                step: 3,
                ..rules(1, 2, LEASES, faults)
            },
        );
        holds(
            2,
            Rules {
                ahead,
                ..rules(1, 1, DELAYS, NO_FAULTS)
            },
        );
    }
    let faults = Faults {
        slow_calls: 1,
        ..NO_FAULTS
    };
    holds(
        2,
        Rules {
            ahead: 1,
            ..rules(1, 1, LEASES, faults)
        },
    );
}

/// What `move` takes from the old name, and a share that is over, are counted by the store until it gives them to somebody
/// else: these two rules let units be free sooner, and the invariant does not need them.
#[test]
fn without_rules_that_only_free_units_sooner() {
    let faults = Faults {
        lost_messages: 1,
        ..NO_FAULTS
    };
    for mutation in [Mutation::MoveKeepsOldShare, Mutation::MoveGivesOverShare] {
        for rules in [rules(1, 2, SHRINKS, faults), rules(1, 2, DELAYS, NO_FAULTS)] {
            let mutation = Some(mutation);
            holds(2, Rules { mutation, ..rules });
        }
    }
}
