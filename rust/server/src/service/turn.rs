//! How much one caller may have decided before others of the same worker get their turn.

/// Bytes after which the turn is over: some tens of microseconds of work.
const TURN_BYTES: usize = 64 * 1024;
/// What a call costs besides reading its arguments, as if it were bytes of them.
const CALL_BYTES: usize = 1_024;

/// What has been decided in this turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    bytes: usize,
}

impl Turn {
    /// Counts a call with arguments of this length.
    pub(super) const fn spend(&mut self, args_bytes: usize) {
        self.bytes = self.bytes.saturating_add(CALL_BYTES).saturating_add(args_bytes);
    }

    /// Whether the turn is over; if so, a new one begins.
    pub(super) const fn is_over(&mut self) -> bool {
        let over = self.bytes >= TURN_BYTES;
        if over {
            self.bytes = 0;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_with_many_calls_or_with_a_large_one() {
        let mut turn = Turn::default();
        let mut calls = 0;
        while !turn.is_over() {
            turn.spend(0);
            calls += 1;
        }
        assert_eq!(calls, 64);
        assert!(!turn.is_over());
        turn.spend(TURN_BYTES);
        assert!(turn.is_over());
    }
}
