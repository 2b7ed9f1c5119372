//! The exact log that the counters are held against.

use callgate_counters::{CountKey, CountShape, Demand, Micros, Window};

/// Admissions of one count: stamp in microseconds and amount in millionths of units.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// In the order of their admission.
    pub(crate) entries: Vec<(u64, u64)>,
}

impl Log {
    /// Amount that counts at `now_us` for a window of this length: an admission at `s` counts while `t - s < window`.
    pub(crate) fn live(&self, now_us: u64, window_us: u64) -> u64 {
        self.entries
            .iter()
            .filter(|(stamp, _)| now_us.saturating_sub(*stamp) < window_us)
            .map(|(_, amount)| amount)
            .sum()
    }

    /// Microseconds until `amount` fits below `max`.
    pub(crate) fn wait_us(&self, amount: u64, max: u64, now_us: u64, window_us: u64) -> u64 {
        let mut expiries: Vec<u64> = self
            .entries
            .iter()
            .map(|(stamp, _)| stamp + window_us)
            .filter(|end| *end > now_us)
            .collect();
        expiries.push(now_us);
        expiries.sort_unstable();
        let fits = |at: &u64| self.live(*at, window_us) + amount <= max;
        expiries.into_iter().find(fits).map_or(u64::MAX, |at| at - now_us)
    }

    /// The most that any interval of one window holds.
    pub(crate) fn worst_interval(&self, window_us: u64) -> u64 {
        let mut sorted = self.entries.clone();
        sorted.sort_unstable();
        let (mut first, mut sum, mut worst) = (0, 0, 0);
        for (stamp, amount) in &sorted {
            sum += amount;
            while stamp - sorted[first].0 >= window_us {
                sum -= sorted[first].1;
                first += 1;
            }
            worst = worst.max(sum);
        }
        worst
    }
}

/// A demand on a sliding count.
pub(crate) fn sliding(key: u128, window_us: u64, max: u64, cost: u64, whole_units: bool) -> Demand {
    let shape = CountShape {
        window: Window::Sliding { window_us },
        max: Micros(max),
        whole_units,
        sharing: callgate_counters::Sharing::Local,
    };
    Demand::new(CountKey(key), shape, Micros(cost))
}
