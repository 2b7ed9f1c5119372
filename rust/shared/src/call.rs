//! One call of the script: its keys, and its operations one after the other.

use callgate_counters::{CountKey, CountShape, Micros, Window, period_bounds_us};

use crate::keys::Keys;

/// Units of the largest `max` that the log of a count keeps one by one; above it, units of a sixty-fourth of a window are one
/// entry.
const EXACT: u64 = 256 * Micros::ONE.0;
/// Parts of a window in which units of the log become one entry.
const PARTS: u64 = 64;

/// A call of the script that is being put together.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    names: Keys,
    counts: Vec<CountKey>,
    pub(crate) keys: Vec<String>,
    pub(crate) args: Vec<String>,
}

impl Call {
    /// A call of this node, without operations. The times are the length of a lease, the time of recovery, and the time for
    /// which units that were taken ahead may be in use after a lease.
    pub(crate) fn new(
        names: &Keys,
        epoch: &str,
        node: &str,
        (lease_us, recovery_us, ahead_us): (u64, Option<u64>, u64),
    ) -> Self {
        let recovery = recovery_us.map_or("-1".to_owned(), |recovery_us| recovery_us.to_string());
        Self {
            keys: vec![names.policy(), names.nodes(), names.wanted(), names.held(node)],
            args: vec![
                epoch.to_owned(),
                node.to_owned(),
                lease_us.to_string(),
                recovery,
                ahead_us.to_string(),
            ],
            names: names.clone(),
            counts: Vec::new(),
        }
    }

    /// Adds a word.
    pub(crate) fn word(&mut self, word: &str) {
        self.args.push(word.to_owned());
    }

    /// Adds numbers.
    pub(crate) fn numbers(&mut self, numbers: &[u64]) {
        self.args.extend(numbers.iter().map(u64::to_string));
    }

    /// The position of a count among the keys, to which it is added.
    pub(crate) fn place(&mut self, key: CountKey) -> u64 {
        let place = self.counts.iter().position(|known| *known == key);
        let place = place.unwrap_or_else(|| {
            self.counts.push(key);
            self.keys.extend([self.names.count(key), self.names.log(key)]);
            self.counts.len() - 1
        });
        // The first four keys are the policy's, and positions begin at 1.
        5 + 2 * place as u64
    }

    /// Adds a count: its keys, its window, and for a calendar window the period in which this Unix time lies.
    pub(crate) fn count(&mut self, key: CountKey, shape: &CountShape, unix_us: u64) {
        let place = self.place(key);
        self.numbers(&[place]);
        let (window_us, from_us, to_us) = window(shape, unix_us);
        self.numbers(&[window_us, from_us, to_us]);
    }
}

/// Length of the window, and for a calendar window the bounds of the period, in Unix microseconds.
pub(crate) fn window(shape: &CountShape, unix_us: u64) -> (u64, u64, u64) {
    match shape.window {
        Window::Sliding { window_us } => (window_us, 0, 0),
        Window::Calendar(period) => {
            let (from_us, to_us) = period_bounds_us(period, unix_us);
            (to_us - from_us, from_us, to_us)
        }
    }
}

/// The microseconds in which units of the log become one entry; 0 if none do.
pub(crate) fn merge_us(shape: &CountShape) -> u64 {
    match shape.window {
        Window::Sliding { window_us } if !shape.whole_units || shape.max.0 > EXACT => {
            (window_us / PARTS).max(1)
        }
        Window::Sliding { .. } | Window::Calendar(_) => 0,
    }
}
