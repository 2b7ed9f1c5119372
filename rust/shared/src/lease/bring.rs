//! Units of before: what a node has counted alone goes to the store's log, some counts with each call of the script.

use callgate_counters::lease::BringAsk;

use super::Lease;
use super::flight::Flight;

/// Counts whose units go with one call: each may have as many entries as its log.
const COUNTS: usize = 16;

impl Lease {
    /// Adds units that go to the store.
    pub fn bring(&mut self, ask: BringAsk) {
        self.brings.push_back(ask);
    }

    /// Answers all: the store cannot be asked.
    pub(super) fn refuse_brings(&mut self) {
        for ask in self.brings.drain(..) {
            ask.refuse();
        }
    }

    /// Adds the next counts to a flight.
    pub(super) fn plan_bring(&mut self, flight: &mut Flight) {
        if let Some(ask) = self.brings.pop_front() {
            for count in ask.counts.iter().take(COUNTS) {
                flight.bring(&ask.source, count);
            }
            flight.bring = Some(ask);
        }
    }

    /// Notes what was answered about these counts. Those that were not reached, because the lease had ended, go again.
    pub(super) fn finish_bring(&mut self, flight: &mut Flight) {
        let Some(mut ask) = flight.bring.take() else {
            return;
        };
        ask.counts.drain(..flight.is_brought.len().min(ask.counts.len()));
        for is_added in flight.is_brought.drain(..) {
            if is_added {
                ask.brought.added += 1;
            } else {
                ask.brought.known += 1;
            }
        }
        if ask.counts.is_empty() {
            let brought = ask.brought;
            ask.answer(Ok(brought));
        } else {
            self.brings.push_front(ask);
        }
    }
}
