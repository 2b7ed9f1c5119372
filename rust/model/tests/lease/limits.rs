//! What the protocol does not promise: here the checker finds runs that break the invariant.

use crate::support::{ALL, LEASES, NO_FAULTS, SHRINKS, breaks_without, rules};
use callgate_model::rules::{Faults, Rules};

/// The store stamps units that are taken one by one, and those of nodes that stopped, with its own clock. If that is set
/// forward, they are free earlier by so much.
#[test]
fn a_step_forward_frees_units_of_the_log() {
    let faults = Faults {
        steps_forward: 1,
        ..NO_FAULTS
    };
    breaks_without(Rules {
        step: 1,
        ..rules(1, 2, ALL, faults)
    });
}

/// A store without data, asked by a node that never knew any, takes itself for a new one. If nobody who knew the lost epoch
/// reaches it within half a lease, nothing tells them apart: here the other node is merely cut off.
#[test]
fn a_loss_that_nobody_tells_of() {
    let faults = Faults {
        losses: 1,
        ..NO_FAULTS
    };
    breaks_without(Rules {
        has_witness: false,
        ..rules(1, 2, LEASES, faults)
    });
}

/// What is noticed is a step of more than half a lease. A node uses the other half, so one step that is not noticed is
/// harmless, and two may be too many.
#[test]
fn two_steps_that_are_not_noticed() {
    let faults = Faults {
        steps_forward: 2,
        crashes: 1,
        ..NO_FAULTS
    };
    breaks_without(Rules {
        step: 1,
        ..rules(1, 3, SHRINKS, faults)
    });
}
