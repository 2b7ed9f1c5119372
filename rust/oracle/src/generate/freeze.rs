//! Freezes of the calls of a case.

use super::Choices;
use super::call::START_NS;
use super::pools::PATTERNS;
use crate::Freeze;

/// Ends after the first call, close to the times between calls.
const ENDS_US: [u64; 6] = [0, 1, 1_000_000, 1_500_000, 60_000_000, 86_400_000_000];

/// Mostly none: a frozen call meets no rule.
pub(super) fn freezes(choices: &mut Choices<'_>) -> Vec<Freeze> {
    if !choices.once_in(10) {
        return Vec::new();
    }
    (0..=choices.below(3)).map(|_| freeze(choices)).collect()
}

fn freeze(choices: &mut Choices<'_>) -> Freeze {
    let scope = choices.below(8);
    let own = |text: &str| Some(text.to_owned());
    let at_server = matches!(scope, 1..=4);
    Freeze {
        server: if at_server {
            own(choices.pick(&["srv", "srv", "other", "elsewhere"]))
        } else {
            None
        },
        tool: if matches!(scope, 2..=4) {
            own(choices.pick(&PATTERNS))
        } else {
            None
        },
        grant: if matches!(scope, 5..=7) {
            own(choices.pick(&["g2", "g1", "g1\u{1}"]))
        } else {
            None
        },
        until_us: if choices.once_in(3) {
            Some(START_NS / 1_000 + ENDS_US[choices.below(ENDS_US.len())])
        } else {
            None
        },
    }
}
