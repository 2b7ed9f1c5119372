//! The resets of a policy's shared counts: how this node and the store come to have the same ones.
//!
//! INVARIANT: this node names a count to the store only by resets that the store had when it was asked. Each call of the script
//! says by a word which resets this node knows; if the store has others, nothing that was taken by that call is used, and calls
//! ask again by the names of now. So a node that was away when counts were reset cannot miss it: it asks before it takes.

use std::collections::{HashMap, VecDeque};

use callgate_counters::Micros;
use callgate_counters::lease::{ResetAsk, Returned, SharedResetError, SharedResets};

use super::flight::{Flight, Pending};
use super::{Lease, Part, amount};
use crate::error::SharedError;

/// The resets that the store has, as far as this node knows.
#[derive(Debug, Default)]
pub(super) struct ResetsAtStore {
    /// The word that stands for them; `None` while they have to be asked for.
    word: Option<String>,
    /// Resets that the store has lost, with their names there.
    missing: Vec<(String, u64)>,
    asked: VecDeque<ResetAsk>,
    /// Words that this node has made.
    words: u64,
    /// True if what the store has could not be read.
    is_unreadable: bool,
}

impl ResetsAtStore {
    /// Adds an ask.
    pub(super) fn ask(&mut self, ask: ResetAsk) {
        self.asked.push_back(ask);
    }

    /// Answers all asks: the store cannot be asked.
    pub(super) fn refuse_all(&mut self) {
        for ask in self.asked.drain(..) {
            ask.answer(Err(SharedResetError::Away));
        }
    }

    /// The store may have others by now.
    pub(super) fn forget_word(&mut self) {
        self.word = None;
        self.missing.clear();
    }

    /// True if counts can be named: the store had the resets that this node knows.
    pub(super) const fn is_known(&self) -> bool {
        self.word.is_some()
    }

    /// True if nothing else may be asked before.
    pub(super) fn is_due(&self) -> bool {
        self.word.is_none() || !self.asked.is_empty()
    }

    /// Adds what is to be asked about resets: first which there are, then changes of them.
    pub(super) fn plan(&mut self, known: &SharedResets, flight: &mut Flight) {
        // No other node has its name, so no other one makes this word.
        self.words += 1;
        let word = format!("{}.{}", flight.lease.1, self.words);
        if !self.missing.is_empty() {
            let missing = std::mem::take(&mut self.missing);
            let resets: Vec<(&str, u64)> = missing
                .iter()
                .map(|(name, number)| (name.as_str(), *number))
                .collect();
            flight.bring_resets(&resets, &[], 0, &word);
        } else if self.word.is_some()
            && let Some(ask) = self.asked.pop_front()
        {
            // One at a time: the next one may replace this one.
            match known.plan(&ask) {
                Ok(planned) => {
                    flight.reset(&planned, &word);
                    flight.resets.push(ask);
                }
                Err(error) => ask.answer(Err(error)),
            }
        }
        self.compare(flight);
    }

    /// Asks if the store has other resets.
    pub(super) fn compare(&self, flight: &mut Flight) {
        // No word is empty but that of no resets, which nobody has to be told.
        flight.resets(self.word.as_deref().unwrap_or("?"));
    }
}

impl Lease {
    /// Learns the resets that the store has. False if they are others than those by which the counts of this flight were named.
    pub(super) fn learn_resets(&mut self, parts: Option<&[Part]>, flight: &mut Flight) -> bool {
        let Some((word, lines)) = parts.and_then(read) else {
            return self.unreadable(flight);
        };
        if self.resets.word.as_deref() == Some(word) {
            return true;
        }
        if !self.policy.resets.merge(&lines) {
            return self.unreadable(flight);
        }
        let missing = self.policy.resets.missing_from(&lines);
        self.resets.word = missing.is_empty().then(|| word.to_owned());
        self.resets.missing = missing;
        for ask in flight.resets.drain(..) {
            ask.answer(Ok(()));
        }
        false
    }

    fn unreadable(&mut self, flight: &mut Flight) -> bool {
        self.resets.forget_word();
        self.resets.is_unreadable = true;
        for ask in flight.resets.drain(..) {
            ask.answer(Err(SharedResetError::Unanswered));
        }
        false
    }

    /// The reason why the last answer of the store cannot be used, once.
    pub(crate) fn take_fault(&mut self) -> Result<(), SharedError> {
        if !std::mem::take(&mut self.resets.is_unreadable) {
            return Ok(());
        }
        Err(SharedError::Script(format!(
            "the resets of policy `{}` in the store cannot be read; expected fields `r:...` that callgate has written in the hash \
             `{}`",
            self.name(),
            self.names.policy()
        )))
    }

    /// Gives back what the calls of a flight took.
    pub(super) fn return_takes(&mut self, flight: &Flight, takes: &HashMap<usize, Vec<Part>>) {
        for (place, pending) in flight.pending.iter().enumerate() {
            if let Some(parts) = takes.get(&place)
                && parts.first().and_then(Part::number) == Some(1)
            {
                self.returns.extend(taken(pending, parts, self.policy.number));
            }
        }
    }
}

/// The units that the store took for the strict demands of a call.
fn taken(pending: &Pending, parts: &[Part], policy: u32) -> Vec<Returned> {
    let strict = pending.strict().enumerate();
    let units = strict.filter_map(|(index, demand)| {
        let stamp_us = amount(parts, 2 + 4 * index + 3)?;
        (demand.cost > Micros(0)).then_some(Returned {
            policy,
            key: demand.key,
            shape: demand.shape,
            amount: demand.cost,
            stamp_us,
        })
    });
    units.collect()
}

/// Reads the store's word and its resets.
fn read(parts: &[Part]) -> Option<(&str, Vec<(String, u64)>)> {
    let text = |part: &Part| match part {
        Part::Text(text) => Some(text.clone()),
        Part::Number(_) => None,
    };
    let (Part::Text(word), lines) = parts.split_first()? else {
        return None;
    };
    let lines = lines.chunks_exact(2).map(|line| match line {
        [name, number] => Some((text(name)?, text(number)?.parse().ok()?)),
        _ => None,
    });
    Some((word, lines.collect::<Option<_>>()?))
}
