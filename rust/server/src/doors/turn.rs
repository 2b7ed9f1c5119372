//! The bound on a caller's calls before others of the same worker get their turn.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use tokio::task::coop;

/// The cost of a call besides reading its arguments, in bytes of arguments. This amount is one unit of the budget after
/// which a tokio task has to yield: 128 units are some hundred microseconds of work.
const UNIT_BYTES: usize = 1_024;

/// The work of decided calls that is not yet charged to the task's budget.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    bytes: usize,
}

impl Turn {
    /// Counts a call with arguments of this length.
    pub(crate) const fn spend(&mut self, args_bytes: usize) {
        self.bytes = self.bytes.saturating_add(UNIT_BYTES).saturating_add(args_bytes);
    }

    /// Ready while this task may continue; otherwise the task is woken when others have had their turn.
    pub(crate) fn poll_go_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.bytes >= UNIT_BYTES {
            ready!(coop::poll_proceed(cx)).made_progress();
            self.bytes -= UNIT_BYTES;
        }
        Poll::Ready(())
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
        assert_eq!(calls_in_a_turn(0).await, 129);
        assert_eq!(calls_in_a_turn(1 << 20).await, 1);
    }
}
