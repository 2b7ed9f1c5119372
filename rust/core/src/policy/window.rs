//! Windows and durations (`docs/policy.md` section 4).

use callgate_counters::{Period, Window};

use super::fields::listed;
use super::number::scaled;
use super::read::{Content, Node, Read, quoted};
use crate::nearest::did_you_mean;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
const WEEK_MS: u64 = 7 * DAY_MS;

const SHORTEST_MS: u64 = 10;
const LONGEST_MS: u64 = 366 * DAY_MS;

/// Words for sliding windows.
const WORDS: [(&str, u64); 5] = [
    ("second", SECOND_MS),
    ("minute", MINUTE_MS),
    ("hour", HOUR_MS),
    ("day", DAY_MS),
    ("week", WEEK_MS),
];

/// Words for calendar windows.
const PERIODS: [(&str, Period); 5] = [
    ("minute", Period::Minute),
    ("hour", Period::Hour),
    ("day", Period::Day),
    ("week", Period::Week),
    ("month", Period::Month),
];

/// Units of a duration. `ms` precedes `m` and `s`, so that these do not match it.
const UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", SECOND_MS),
    ("m", MINUTE_MS),
    ("h", HOUR_MS),
    ("d", DAY_MS),
    ("w", WEEK_MS),
];

const SLIDING_FORMS: &str =
    "`second`, `minute`, `hour`, `day`, `week`, a duration such as `90s`, or a number of seconds";

/// Reads the sliding window of a limit.
pub(super) fn sliding(node: &Node) -> Read<Window> {
    let window_ms = match &node.content {
        Content::String(text) => sliding_text(text, node)?,
        Content::Number(text) => {
            let milliseconds = scaled(&node.number(SLIDING_FORMS)?, 3);
            if !milliseconds.exact {
                return Err(node.error(format!("{} seconds are finer than a millisecond", quoted(text))));
            }
            if milliseconds.negative {
                0
            } else {
                u64::try_from(milliseconds.whole).unwrap_or(u64::MAX)
            }
        }
        _ => return Err(node.expected(&format!("a window: {SLIDING_FORMS}"))),
    };
    sliding_window(window_ms, node)
}

/// The length of a sliding window, in milliseconds.
fn sliding_text(text: &str, node: &Node) -> Read<u64> {
    if let Some((_, window_ms)) = WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(*window_ms);
    }
    if let Some(window_ms) = duration_ms(text) {
        return Ok(window_ms);
    }
    if text == "month" {
        return Err(
            node.error("a `month` has no fixed length; add `\"align\": \"calendar\"`, or write `30d`")
        );
    }
    let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
    let hint = did_you_mean(text, &words);
    Err(node.error(format!(
        "expected a window: {SLIDING_FORMS}, got {}{hint}",
        quoted(text)
    )))
}

/// Reads the calendar window of a limit.
pub(super) fn calendar(node: &Node) -> Read<Window> {
    let words: Vec<&str> = PERIODS.iter().map(|(word, _)| *word).collect();
    let expected = format!("one of {} with `\"align\": \"calendar\"`", listed(&words));
    let text = node.string(&expected)?;
    if let Some((_, period)) = PERIODS.iter().find(|(word, _)| *word == text) {
        return Ok(Window::Calendar(*period));
    }
    Err(node.error(format!(
        "expected {expected}, got {}{}",
        quoted(text),
        did_you_mean(text, &words)
    )))
}

/// Reads the window in `5/hour`, which is `text`.
pub(super) fn sliding_word(text: &str, node: &Node) -> Read<Window> {
    sliding_window(sliding_text(text, node)?, node)
}

fn sliding_window(window_ms: u64, node: &Node) -> Read<Window> {
    if (SHORTEST_MS..=LONGEST_MS).contains(&window_ms) {
        return Ok(Window::Sliding {
            window_us: window_ms * 1_000,
        });
    }
    Err(node.error(format!(
        "a window is at least {SHORTEST_MS} ms and at most 366 days"
    )))
}

/// Reads a duration such as `1h` within bounds, in milliseconds; `bounds` says them after "at least".
pub(super) fn duration_between(node: &Node, shortest_ms: u64, longest_ms: u64, bounds: &str) -> Read<u64> {
    const FORM: &str = "a duration: an integer and one of `ms`, `s`, `m`, `h`, `d`, `w`, such as `30m`";
    let text = node.string(FORM)?;
    match duration_ms(text) {
        Some(duration_ms) if (shortest_ms..=longest_ms).contains(&duration_ms) => Ok(duration_ms),
        Some(_) => Err(node.error(format!(
            "expected a duration of at least {bounds}, got {}",
            quoted(text)
        ))),
        None => Err(node.error(format!("expected {FORM}, got {}", quoted(text)))),
    }
}

/// `None` if the text is not a duration; the maximum if it does not fit.
fn duration_ms(text: &str) -> Option<u64> {
    let (unit, length_ms) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(
        digits
            .parse::<u64>()
            .map_or(u64::MAX, |count| count.saturating_mul(*length_ms)),
    )
}
