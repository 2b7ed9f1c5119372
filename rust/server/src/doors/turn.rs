//! The bound of a caller's calls before others of the same worker get their turn.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use tokio::task::coop;

/// What a call costs besides reading its arguments, as if it were bytes of them. This much is one unit of what tokio lets
/// a task do before it has to give way: 128 of them are some hundred microseconds of work.
const UNIT_BYTES: usize = 1_024;

/// The work that was decided and is not counted yet.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    bytes: usize,
}

impl Turn {
    /// Counts a call with arguments of this length.
    pub(crate) const fn spend(&mut self, args_bytes: usize) {
        self.bytes = self.bytes.saturating_add(UNIT_BYTES).saturating_add(args_bytes);
    }

    /// Ready while this task may go on; else it is woken when others have had their turn.
    pub(crate) fn poll_go_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.bytes >= UNIT_BYTES {
            ready!(coop::poll_proceed(cx)).made_progress();
            self.bytes -= UNIT_BYTES;
        }
        Poll::Ready(())
    }

    /// Lets others have their turn when this one is over.
    pub(crate) async fn go_on(&mut self) {
        poll_fn(|cx| self.poll_go_on(cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Counts the calls with such arguments that are decided before another task of the same thread is let in.
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
