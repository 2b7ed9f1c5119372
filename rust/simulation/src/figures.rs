//! The counts of a run.

use serde::Serialize;

/// Counts of the measured time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    #[serde(skip)]
    pub(crate) is_measured: bool,
    /// Measured time in seconds.
    pub seconds: f64,
    /// Calls.
    pub offered: u64,
    /// Calls that were allowed.
    pub admitted: u64,
    /// Calls that a limit refused.
    pub refused: u64,
    /// Those of them that an exact log of all admissions would have allowed.
    pub early: u64,
    /// Calls that were denied because the store had not answered.
    pub unavailable: u64,
    /// Calls that waited for the store.
    pub waited: u64,
    /// Calls that one counter without any delay would have allowed.
    pub ideal: u64,
    /// Calls of scripts.
    pub script_calls: u64,
    /// Operations in them.
    pub operations: u64,
    /// Redis commands that the scripts ran.
    pub commands: u64,
    /// Seconds of one core of Redis.
    pub redis_s: f64,
    /// Shares of counts that nodes have at the end.
    pub shares: usize,
}

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "microseconds below 2^53")]
    pub(crate) fn new(measured_us: u64) -> Self {
        Self {
            seconds: measured_us as f64 / 1e6,
            ..Self::default()
        }
    }

    fn add(&mut self, count: impl FnOnce(&mut Self)) {
        if self.is_measured {
            count(self);
        }
    }

    pub(crate) fn offer(&mut self, is_ideal: bool) {
        self.add(|figures| {
            figures.offered += 1;
            figures.ideal += u64::from(is_ideal);
        });
    }

    pub(crate) fn admit(&mut self) {
        self.add(|figures| figures.admitted += 1);
    }

    pub(crate) fn refuse(&mut self, is_early: bool) {
        self.add(|figures| {
            figures.refused += 1;
            figures.early += u64::from(is_early);
        });
    }

    pub(crate) fn fail(&mut self) {
        self.add(|figures| figures.unavailable += 1);
    }

    pub(crate) fn wait(&mut self) {
        self.add(|figures| figures.waited += 1);
    }

    pub(crate) fn serve(&mut self, operations: usize, commands: u64, work_us: f64) {
        self.add(|figures| {
            figures.script_calls += 1;
            figures.operations += operations as u64;
            figures.commands += commands;
            figures.redis_s += work_us / 1e6;
        });
    }

    /// Part of what the limits allow that was admitted.
    pub fn usable(&self) -> f64 {
        part(self.admitted, self.ideal)
    }

    /// Part of the refusals that were early.
    pub fn early_part(&self) -> f64 {
        part(self.early, self.refused)
    }

    /// Calls of scripts for each decision.
    pub fn calls_per_decision(&self) -> f64 {
        part(self.script_calls, self.offered)
    }

    /// Redis commands for each decision.
    pub fn commands_per_decision(&self) -> f64 {
        part(self.commands, self.offered)
    }

    /// Calls of scripts each second.
    pub fn calls_per_second(&self) -> f64 {
        part(self.script_calls, 1) / self.seconds
    }

    /// Redis commands in each script call.
    pub fn commands_per_call(&self) -> f64 {
        part(self.commands, self.script_calls)
    }

    /// Part of one core that Redis uses.
    pub fn redis_part(&self) -> f64 {
        self.redis_s / self.seconds
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn part(some: u64, all: u64) -> f64 {
    some as f64 / all.max(1) as f64
}
