//! The bound on a caller's calls before others of the same worker get their turn.

use std::future::poll_fn;
use std::task::{Context, Poll};

/// The cost of a call besides reading its arguments, in bytes of arguments.
const UNIT_BYTES: usize = 1_024;

/// The calls of a turn, in the same measure: some hundred microseconds of work.
///
/// The budget of tokio's task is no measure here: the streams of a connection share one, and the first would use it up.
const TURN_BYTES: usize = 128 * UNIT_BYTES;

/// The work of the calls that were decided in this turn.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    bytes: usize,
}

impl Turn {
    /// Counts a call with arguments of this length.
    pub(crate) const fn spend(&mut self, args_bytes: usize) {
        self.bytes = self.bytes.saturating_add(UNIT_BYTES).saturating_add(args_bytes);
    }

    /// Ready while the turn lasts; otherwise the task is woken when others have had theirs.
    pub(crate) fn poll_go_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.bytes < TURN_BYTES {
            return Poll::Ready(());
        }
        self.bytes = 0;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits until this task may continue, after others have had their turn.
    pub(crate) async fn go_on(&mut self) {
        poll_fn(|cx| self.poll_go_on(cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Counts the calls with arguments of this length that are decided before another task of the same thread runs.
    async fn calls_in_a_turn(args_bytes: usize) -> usize {
        let other_ran = Cell::new(false);
        let mut turn = Turn::default();
        let decide = async {
            for calls in 0.. {
                turn.go_on().await;
                if other_ran.get() {
                    return calls;
                }
                turn.spend(args_bytes);
            }
            0
        };
        let (calls, ()) = tokio::join!(biased; decide, async { other_ran.set(true) });
        calls
    }

    #[tokio::test]
    async fn a_turn_ends_with_many_calls_or_with_a_large_one() {
        assert_eq!(calls_in_a_turn(0).await, 128);
        assert_eq!(calls_in_a_turn(1 << 20).await, 1);
    }
}
