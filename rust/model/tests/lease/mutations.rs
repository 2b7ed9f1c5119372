//! Each rule of the protocol is needed: the checker finds a run that breaks the invariant where it is missing.

use crate::support::{ALL, DELAYS, LEASES, NO_FAULTS, SHRINKS, TAKES_OVER, breaks, rules};
use callgate_model::rules::{Faults, Mutation, Rules};

const SLOW: Faults = Faults {
    slow_calls: 1,
    ..NO_FAULTS
};
const LOST: Faults = Faults {
    lost_messages: 1,
    ..NO_FAULTS
};
const LATE: Faults = Faults {
    late_requests: 1,
    ..NO_FAULTS
};
const LOSS: Faults = Faults {
    losses: 1,
    ..NO_FAULTS
};
const FAILOVER: Faults = Faults {
    failovers: 1,
    ..NO_FAULTS
};
const CRASH: Faults = Faults {
    crashes: 1,
    ..NO_FAULTS
};
const COPY: Faults = Faults {
    copied_files: 1,
    ..CRASH
};
const FORWARD: Faults = Faults {
    steps_forward: 1,
    ..NO_FAULTS
};

/// The store's clock is set by this many ticks.
const fn stepped(step: i8, rules: Rules) -> Rules {
    Rules { step, ..rules }
}

#[test]
fn a_share_counts_for_a_window_after_its_lease() {
    breaks(Mutation::ShareDroppedAtLeaseEnd, rules(1, 2, LEASES, NO_FAULTS));
}

#[test]
fn a_node_uses_half_of_a_lease() {
    breaks(Mutation::WholeLeaseUsed, stepped(1, rules(1, 2, LEASES, FORWARD)));
}

#[test]
fn a_lease_is_measured_from_its_request() {
    breaks(Mutation::LeaseFromAnswer, rules(1, 2, DELAYS, NO_FAULTS));
}

#[test]
fn a_call_reads_the_end_of_the_lease_before_it_takes() {
    breaks(Mutation::LeaseEndReadAfterTake, rules(1, 2, SHRINKS, SLOW));
}

#[test]
fn a_call_compares_its_stamp_with_the_end_of_the_lease() {
    breaks(Mutation::StampNotChecked, rules(1, 3, LEASES, SLOW));
}

#[test]
fn a_unit_is_stamped_no_earlier_than_it_was_lent() {
    breaks(Mutation::LendKeepsFloor, rules(1, 2, SHRINKS, SLOW));
}

#[test]
fn a_node_takes_units_from_its_calls_before_it_gives_them_back() {
    breaks(Mutation::ShrinkToldFirst, rules(1, 2, DELAYS, NO_FAULTS));
}

#[test]
fn a_node_that_settles_sends_no_other_shrinks() {
    breaks(Mutation::SettleSendsShrinks, rules(2, 2, SHRINKS, LOSS));
}

#[test]
fn a_node_that_has_settled_gives_nothing_back_twice() {
    breaks(Mutation::SettledAddsShrinks, rules(1, 1, DELAYS, LOSS));
}

#[test]
fn an_epoch_after_a_loss_waits() {
    breaks(Mutation::EpochGrantsAtOnce, rules(1, 2, LEASES, LOSS));
}

#[test]
fn an_epoch_counts_the_shares_that_nodes_bring() {
    breaks(Mutation::BroughtSharesForgotten, rules(1, 2, LEASES, LOSS));
}

#[test]
fn an_epoch_that_grants_takes_no_old_shares() {
    breaks(Mutation::BroughtAfterRecovery, rules(1, 2, LEASES, LOSS));
}

#[test]
fn an_epoch_without_a_predecessor_waits() {
    breaks(Mutation::FirstEpochGrantsAtOnce, rules(1, 2, LEASES, LOSS));
}

#[test]
fn a_node_that_knew_another_epoch_marks_the_new_one() {
    breaks(Mutation::LossNotMarked, rules(1, 2, LEASES, LOSS));
}

#[test]
fn a_copy_of_the_data_begins_an_epoch() {
    breaks(Mutation::CopyKeepsEpoch, rules(1, 2, LEASES, FAILOVER));
}

#[test]
fn a_move_gives_no_more_than_the_store_counts() {
    breaks(Mutation::MoveGivesUnknownShare, rules(1, 3, DELAYS, NO_FAULTS));
}

#[test]
fn a_node_that_stops_leaves_its_units_in_the_log() {
    breaks(Mutation::LeaveForgetsUse, rules(1, 2, ALL, NO_FAULTS));
}

#[test]
fn a_node_stops_after_its_calls() {
    breaks(Mutation::LeaveDuringCalls, rules(1, 2, ALL, SLOW));
}

#[test]
fn a_lease_with_a_share_is_not_removed() {
    breaks(Mutation::StopForgetsShare, rules(1, 2, ALL, LOST));
}

#[test]
fn strict_takes_count_shares() {
    breaks(Mutation::StrictIgnoresShares, rules(1, 2, ALL, NO_FAULTS));
}

#[test]
fn growth_counts_the_log() {
    breaks(Mutation::GrowthIgnoresLog, rules(1, 2, ALL, NO_FAULTS));
}

#[test]
fn a_long_step_forward_is_noticed() {
    breaks(
        Mutation::StepForwardNotNoticed,
        stepped(3, rules(1, 2, LEASES, FORWARD)),
    );
}

#[test]
fn a_step_forward_prolongs_ended_leases() {
    breaks(
        Mutation::StepForgetsEndedLeases,
        stepped(3, rules(1, 3, LEASES, FORWARD)),
    );
}

#[test]
fn a_step_forward_prolongs_the_recovery() {
    breaks(
        Mutation::StepShortensRecovery,
        stepped(
            3,
            rules(
                1,
                2,
                LEASES,
                Faults {
                    steps_forward: 1,
                    ..LOSS
                },
            ),
        ),
    );
}

#[test]
fn a_step_back_is_noticed() {
    breaks(
        Mutation::StepBackNotNoticed,
        stepped(
            2,
            rules(
                1,
                2,
                ALL,
                Faults {
                    steps_back: 1,
                    ..FORWARD
                },
            ),
        ),
    );
}

/// Quotas that end two ticks after they were lent: longer than the half of a lease that nodes do not use.
const fn lending(rules: Rules) -> Rules {
    Rules { ahead: 2, ..rules }
}

#[test]
fn a_share_counts_for_longer_where_quotas_were_lent() {
    breaks(
        Mutation::EndsForgetQuotas,
        lending(rules(1, 2, LEASES, NO_FAULTS)),
    );
}

#[test]
fn a_step_forward_prolongs_quotas() {
    breaks(
        Mutation::StepForgetsQuotas,
        stepped(3, lending(rules(1, 2, LEASES, FORWARD))),
    );
}

#[test]
fn a_recovery_waits_for_quotas() {
    breaks(
        Mutation::RecoveryForgetsQuotas,
        lending(rules(1, 2, LEASES, LOSS)),
    );
}

#[test]
fn a_node_that_stops_leaves_its_quotas_in_the_log() {
    breaks(Mutation::LeaveForgetsQuotas, lending(rules(1, 2, ALL, NO_FAULTS)));
}

#[test]
fn quotas_are_lent_while_the_lease_lasts() {
    breaks(
        Mutation::QuotaWithoutLease,
        lending(rules(1, 2, LEASES, NO_FAULTS)),
    );
}

#[test]
fn a_late_request_with_a_new_name_is_refused() {
    breaks(Mutation::LateNameNotRefused, rules(1, 1, DELAYS, LATE));
}

#[test]
fn a_late_request_without_a_renewal_is_refused() {
    breaks(Mutation::LateShrinkNotRefused, rules(1, 1, DELAYS, LATE));
}

#[test]
fn who_takes_over_counts_the_units_in_use() {
    breaks(Mutation::TakeoverForgetsUse, rules(1, 3, TAKES_OVER, CRASH));
}

#[test]
fn who_takes_over_waits_until_the_lease_has_ended() {
    breaks(Mutation::TakeoverDuringLease, rules(1, 2, TAKES_OVER, COPY));
}

#[test]
fn who_takes_over_has_the_latest_file() {
    breaks(
        Mutation::StaleFileTakenOver,
        rules(1, 3, TAKES_OVER, Faults { crashes: 2, ..COPY }),
    );
}
