//! The look at the threads each second: one that is busy sheds a connection, one that is stuck is replaced.
//!
//! Nothing wakes a thread that has nothing to do: its runtime counts its work and its pauses, and these are read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Threads;
use super::worker::{Progress, Worker};
use crate::events::{Events, Level};

/// Time over which a thread's work is measured.
const WINDOW: Duration = Duration::from_secs(10);

/// A thread at work for more than this part of that time, in percent, is busy.
const BUSY_PERCENT: u32 = 80;

/// A thread is stuck when one piece of its work takes longer than this.
const STUCK: Duration = Duration::from_secs(5);

/// The most threads that are stuck at once. With more, the fault is not theirs, and further ones would not help.
const MAX_STUCK: usize = 16;

/// The memory of the threads between two looks.
#[derive(Debug)]
pub(crate) struct Patrol {
    window: Duration,
    stuck: Duration,
    seen: Vec<Sighted>,
    /// Threads that were replaced and have connections, with their progress then.
    replaced: Vec<(Arc<Worker>, Progress)>,
}

/// The work of one thread, over the last time.
#[derive(Debug)]
struct Sighted {
    worker: Arc<Worker>,
    /// Oldest first.
    looks: VecDeque<(Instant, Progress)>,
    /// Since when nothing was seen to move.
    still_since: Instant,
    /// When it shed a connection the last time.
    shed: Option<Instant>,
}

impl Sighted {
    const fn new(worker: Arc<Worker>, now: Instant) -> Self {
        Self {
            worker,
            looks: VecDeque::new(),
            still_since: now,
            shed: None,
        }
    }

    fn look(&mut self, now: Instant, window: Duration) {
        let progress = self.worker.progress();
        let has_moved = self.looks.back().is_none_or(|&(_, before)| before != progress);
        if has_moved || progress.is_pausing() {
            self.still_since = now;
        }
        self.looks.push_back((now, progress));
        // The first look that is kept is at least a window old.
        while self
            .looks
            .get(1)
            .is_some_and(|&(at, _)| now.duration_since(at) >= window)
        {
            self.looks.pop_front();
        }
    }

    /// The part of the last time that it was at work, in percent; `None` if it was not seen for so long.
    fn busy_percent(&self, window: Duration) -> Option<u32> {
        let (&(from, begin), &(until, end)) = (self.looks.front()?, self.looks.back()?);
        let time = until.duration_since(from);
        if time < window {
            return None;
        }
        let busy = end.busy.saturating_sub(begin.busy);
        let percent = busy.as_micros() * 100 / time.as_micros().max(1);
        Some(u32::try_from(percent).unwrap_or(u32::MAX))
    }
}

impl Default for Patrol {
    fn default() -> Self {
        Self::new(WINDOW, STUCK)
    }
}

impl Patrol {
    const fn new(window: Duration, stuck: Duration) -> Self {
        Self {
            window,
            stuck,
            seen: Vec::new(),
            replaced: Vec::new(),
        }
    }

    /// Looks at all threads, and tells of those that are stuck.
    pub(crate) fn look(&mut self, threads: &Threads, now: Instant, events: &Events) {
        let workers = threads.list();
        self.seen
            .retain(|one| workers.iter().any(|worker| Arc::ptr_eq(worker, &one.worker)));
        for worker in workers {
            if !self.seen.iter().any(|one| Arc::ptr_eq(&one.worker, &worker)) {
                self.seen.push(Sighted::new(worker, now));
            }
        }
        for one in &mut self.seen {
            one.look(now, self.window);
        }
        self.shed(now);
        self.replaced.retain(|(worker, then)| {
            let is_over = worker.connections() == 0;
            if is_over {
                worker.stop();
            } else if worker.progress() != *then {
                // It goes on after all.
                while worker.ask_youngest_to_leave() {}
            }
            !is_over
        });
        for one in &mut self.seen {
            if now.duration_since(one.still_since) < self.stuck {
                continue;
            }
            // Told again if it stays where it is.
            one.still_since = now;
            let fields = vec![
                ("thread", one.worker.number().into()),
                ("connections", one.worker.connections().into()),
            ];
            if self.replaced.len() >= MAX_STUCK {
                events.push(Level::Error, "thread_stuck", fields);
                continue;
            }
            match threads.replace(&one.worker) {
                Ok(()) => {
                    events.push(Level::Error, "thread_stuck", fields);
                    self.replaced
                        .push((Arc::clone(&one.worker), one.worker.progress()));
                }
                Err(error) => {
                    let error = ("error", error.to_string().as_str().into());
                    events.push(
                        Level::Error,
                        "thread_not_replaced",
                        [fields, vec![error]].concat(),
                    );
                }
            }
        }
    }

    /// Marks busy threads, and lets the busiest shed a connection if another thread has time for it.
    fn shed(&mut self, now: Instant) {
        let percents: Vec<_> = self
            .seen
            .iter()
            .map(|one| one.busy_percent(self.window))
            .collect();
        for (one, percent) in self.seen.iter().zip(&percents) {
            one.worker
                .set_busy(percent.is_some_and(|percent| percent > BUSY_PERCENT));
        }
        // A thread of which nothing is known yet has time.
        if percents
            .iter()
            .all(|percent| percent.is_some_and(|percent| percent > BUSY_PERCENT))
        {
            return;
        }
        let busiest = self
            .seen
            .iter_mut()
            .zip(percents)
            .max_by_key(|(_, percent)| *percent);
        if let Some((one, Some(percent))) = busiest
            && percent > BUSY_PERCENT
            && one.worker.connections() > 1
            // What is measured is still that of before.
            && one.shed.is_none_or(|shed| now.duration_since(shed) >= self.window)
            && one.worker.ask_youngest_to_leave()
        {
            one.shed = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
