//! Calls, and the times between them.

use super::Choices;
use super::condition::object;
use super::pools::TOOLS;
use crate::{Call, Reply, ReplyKind};

/// The highest number of calls in a case: enough to fill a count of a few dozen.
const MAX_CALLS: usize = 120;

/// Monday 2024-01-29 23:59:58 UTC: a minute, an hour, a day and soon a month end.
pub(super) const START_NS: u64 = 1_706_572_798_000_000_000;

/// Times between calls, close to the windows that policies have.
const STEPS_NS: [u64; 16] = [
    0,
    1_000_000,
    1_000,
    1,
    9_999_000,
    10_000_000,
    123_000_000,
    500_000_000,
    999_999_000,
    1_000_000_000,
    1_500_000_000,
    59_000_000_000,
    60_000_000_000,
    90_000_000_000,
    3_600_000_000_000,
    86_400_000_000_000,
];

pub(super) fn calls(choices: &mut Choices<'_>) -> Vec<Call> {
    let offset_us = [0, 3_600_000_001, -86_400_000_000][choices.below(3)];
    let mut boot_ns = START_NS;
    let mut calls: Vec<Call> = Vec::new();
    while calls.is_empty() || (!choices.is_empty() && calls.len() < MAX_CALLS) {
        // Mostly at once and equal, so that counts fill up.
        let steps = if choices.once_in(3) { STEPS_NS.len() } else { 4 };
        boot_ns += STEPS_NS[choices.below(steps)];
        let again = calls.last().filter(|_| !choices.once_in(6));
        let call = again.map_or_else(|| call(choices, offset_us), Clone::clone);
        calls.push(Call { boot_ns, ..call });
    }
    calls
}

fn call(choices: &mut Choices<'_>, unix_offset_us: i64) -> Call {
    let own = str::to_owned;
    Call {
        boot_ns: 0,
        unix_offset_us,
        tool: own(if choices.once_in(40) {
            ""
        } else {
            choices.pick(&TOOLS)
        }),
        grant: own(choices.pick(&["g1", "g1", "g2", "g1\u{1}"])),
        session: own(choices.pick(&["", "s1", "s2", "s1", ""])),
        server: own(choices.pick(&["srv", "srv", "srv", "other"])),
        labels: match choices.below(4) {
            0 | 1 => Vec::new(),
            2 => vec![(own("team"), own("red"))],
            _ => vec![(own("a.b"), own("x")), (own("team"), own("a"))],
        },
        args: args(choices),
        reply: reply(choices),
    }
}

/// Mostly an approval, so that counts are filled above their `max`.
fn reply(choices: &mut Choices<'_>) -> Option<Reply> {
    let kind = match choices.below(10) {
        0..=2 => return None,
        3..=5 => ReplyKind::Approved,
        other => ReplyKind::ALL[other % ReplyKind::ALL.len()],
    };
    Some(Reply {
        kind,
        calls_meanwhile: [0, 0, 1, 2, 7][choices.below(5)],
        is_frozen: choices.once_in(12),
    })
}

fn args(choices: &mut Choices<'_>) -> String {
    match choices.below(24) {
        20 => String::new(),
        21 => r#"{"a":1,"\u0061":2}"#.to_owned(),
        22 => format!("{{\"a\":{}{}}}", "[".repeat(63), "]".repeat(63)),
        23 => choices
            .pick(&[
                "[]",
                "{\"a\":01}",
                "{\"a\":1e10001}",
                "{\"a\":\"\\ud800\"}",
                "{} ",
            ])
            .to_owned(),
        _ => object(choices, 0),
    }
}
