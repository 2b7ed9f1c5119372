//! Decisions on calls that have waited for an approval (`docs/policy.md` section 2, steps 6 and 7, and section 6).

use std::collections::HashSet;

use crate::call::{Call, Facts};
use crate::count::Log;
use crate::decide::{Finding, Looked, decided, look, readings, verdict, weigh};
use crate::policy::Policy;
use crate::reply::ReplyKind;
use crate::verdict::{Answer, Bounds, Verdict};

/// The most millionths that a count holds: 64 bits of them.
const MAX_HELD: i128 = (1 << 64) - 1;

/// Every decision that the contract allows for a call that `asked`, once it has its answer: `later` is the call at that time.
///
/// An approval stands for its needs and for nothing else. Full enforcement has stopped the call at its beginning, if it does;
/// the counts are those of now, because units are taken now.
pub(crate) fn settled(
    policy: &Policy,
    facts: &Facts,
    log: &Log,
    (call, later): (&Call, &Call),
    (reply, asked): (ReplyKind, &Verdict),
) -> Vec<Verdict> {
    if let Some(answer) = reply.decision(asked.needs.first().map_or("", String::as_str)) {
        // The counts are not looked at once more.
        return vec![Verdict {
            limits: asked.limits.clone(),
            ..decided(answer)
        }];
    }
    let Some(args) = call.well_formed() else {
        return Vec::new();
    };
    let demands = look(weigh(policy, facts, call, &args).demands, log, later);
    // What a count cannot hold cannot be taken.
    let covered = |used: fn(&Looked) -> i128| -> HashSet<usize> {
        let is_covered = |looked: &Looked| {
            let (demand, ..) = looked;
            asked.asked_counts.contains(&demand.count.key) && used(looked) + demand.cost <= MAX_HELD
        };
        let both = demands.iter().enumerate();
        both.filter(|(_, looked)| is_covered(looked))
            .map(|(index, _)| index)
            .collect()
    };
    let early: Vec<Finding> = asked
        .first_shadowed
        .iter()
        .map(|answer| (answer.clone(), true))
        .collect();
    let readings = readings(&demands);
    [
        covered(|(_, exact, _)| exact.used),
        covered(|(.., late)| late.used),
    ]
    .iter()
    .flat_map(|covered| readings.iter().map(move |short| short - covered))
    .map(|short| overtaken(verdict(&early, &demands, &short, &[]), early.is_empty()))
    .collect()
}

/// Nobody is asked twice. If other calls have meanwhile taken the units of a limit for which nobody was asked, the units
/// cannot be taken; the next try asks for them, so it may come at once. Likewise for full enforcement, if it has not stopped
/// the call before.
fn overtaken(mut verdict: Verdict, is_fully_asked: bool) -> Verdict {
    let limited = |answer: &mut Answer| answer.outcome = "rate_limited";
    if verdict.answer.outcome == "approval_required" {
        limited(&mut verdict.answer);
        verdict.retry_after_ms = Some(Bounds { least: 1, most: 1 });
        verdict.needs.clear();
    }
    if is_fully_asked {
        verdict.shadow.iter_mut().for_each(limited);
    }
    verdict
}
