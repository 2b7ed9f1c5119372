//! Settlements of reservations that other nodes have made: letters over the store.
//!
//! A node that does not know a reservation posts a letter, and looks for its result for a bounded time. A node with open
//! reservations reads the letters with the pace of renewals, takes those that are for it, settles by its own rules, and leaves the
//! result. Whoever removes the letter decides: the one that settles it, or the one that withdraws it. So units go back once at
//! most, and a settlement that was called off is never made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use callgate_counters::lease::{Settlement, SettlementAsk, SettlementError};
use redis::{Script, Value};
use tokio::time::{Instant, sleep};

use crate::config::hex;
use crate::error::SharedError;
use crate::keys::Keys;
use crate::link::Link;
use crate::worker::Node;

/// The script of letters.
const MAIL: &str = include_str!("mail.lua");
/// The pause between two looks for a result.
const PAUSE: Duration = Duration::from_millis(25);
/// The time for which a node that has taken a letter may need to settle and to answer, and a busy store for its scripts.
const PATIENCE: Duration = Duration::from_secs(1);
/// The part of a caller's time that its answer needs.
const WAY_BACK: Duration = Duration::from_millis(150);
/// Settlements that wait at once for other nodes.
const MOST: usize = 256;

/// The letters of this node.
#[derive(Clone)]
pub(crate) struct Mail {
    script: Arc<Script>,
    names: Keys,
    /// The pause between two looks for letters.
    pace: Duration,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The score of the last letter that was read.
    since: AtomicU64,
    is_reading: AtomicBool,
    /// Settlements that wait.
    waiting: AtomicUsize,
}

impl Mail {
    /// Nothing was read yet. `names` are those of a policy that nobody has.
    pub(crate) fn new(names: Keys, pace: Duration) -> Self {
        Self {
            script: Arc::new(Script::new(MAIL)),
            names,
            pace,
            state: Arc::default(),
        }
    }

    /// The pause between two looks for letters.
    pub(crate) const fn pace(&self) -> Duration {
        self.pace
    }

    /// The time for which another node is waited for: it reads each letter within the pace. An answer that comes after the caller
    /// has gone is worth nothing.
    pub(crate) fn patience(&self, ask: &SettlementAsk) -> Duration {
        let most = 2 * self.pace + PATIENCE;
        ask.patience.map_or(most, |patience| {
            most.min(patience.saturating_sub(WAY_BACK).max(PAUSE))
        })
    }

    /// Asks the other nodes for a settlement, whose letter has this name.
    pub(crate) async fn send(self, link: Link, name: String, ask: SettlementAsk) {
        let patience = self.patience(&ask);
        let SettlementAsk {
            settlement, answer, ..
        } = ask;
        if self.state.waiting.fetch_add(1, Ordering::Relaxed) >= MOST {
            answer(Err(SettlementError::Busy));
        } else {
            let outcome = self.settle_elsewhere(&link, &name, &settlement, patience).await;
            if outcome == Err(SettlementError::Unanswered) {
                // The connection may have failed; who reads it anew finds out.
                link.give_up();
            }
            answer(outcome);
        }
        self.state.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    async fn settle_elsewhere(
        &self,
        link: &Link,
        name: &str,
        settlement: &Settlement,
        patience: Duration,
    ) -> Result<bool, SettlementError> {
        let letter = write(name, settlement);
        let keys = [self.names.settlements(), self.names.settlement(name)];
        let unanswered = |_| SettlementError::Unanswered;
        self.run(link, &keys, &["post", &letter])
            .await
            .map_err(unanswered)?;
        let withdrawn_at = Instant::now() + patience;
        let end = withdrawn_at + PATIENCE;
        loop {
            sleep(PAUSE).await;
            let is_time = if Instant::now() >= withdrawn_at { "1" } else { "0" };
            let found = self.run(link, &keys, &["look", &letter, is_time]).await;
            match found.map_err(unanswered)?.first().map(String::as_str) {
                Some("1") => return Ok(true),
                Some("0" | "withdrawn") => return Ok(false),
                _ if Instant::now() >= end => return Err(SettlementError::Unanswered),
                _ => {}
            }
        }
    }

    /// Reads the letters, and settles what this node has reserved. Does nothing if it is being done.
    pub(crate) async fn read(self, link: Link, node: Arc<impl Node>) {
        if self.state.is_reading.swap(true, Ordering::Acquire) {
            return;
        }
        if self.read_letters(&link, &*node).await.is_err() {
            link.give_up();
        }
        self.state.is_reading.store(false, Ordering::Release);
    }

    async fn read_letters(&self, link: &Link, node: &impl Node) -> Result<(), SharedError> {
        let letters = [self.names.settlements()];
        // Relaxed: one reads at a time.
        let since = self.state.since.load(Ordering::Relaxed).to_string();
        let found = self.run(link, &letters, &["read", &since]).await?;
        for line in found.chunks_exact(2) {
            let [letter, score] = line else { continue };
            if let Ok(score) = score.parse() {
                self.state.since.store(score, Ordering::Relaxed);
            }
            let Some((name, settlement)) = read(letter) else {
                continue;
            };
            if !node.has_reserved(&settlement) {
                continue;
            }
            let taken = self.run(link, &letters, &["take", letter]).await?;
            if taken.first().map(String::as_str) != Some("1") {
                // Withdrawn: who has posted it was told that nothing was settled.
                continue;
            }
            let outcome = if node.settle(&settlement) { "1" } else { "0" };
            let keys = [self.names.settlements(), self.names.settlement(name)];
            self.run(link, &keys, &["done", outcome]).await?;
        }
        Ok(())
    }

    async fn run(&self, link: &Link, keys: &[String], words: &[&str]) -> Result<Vec<String>, SharedError> {
        let args: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let text = |value: &Value| match value {
            Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
            Value::SimpleString(text) => Some(text.clone()),
            Value::Int(number) => Some(number.to_string()),
            _ => None,
        };
        let unreadable = || SharedError::Script("the store's answer about letters cannot be read".to_owned());
        match link.run(&self.script, keys, &args).await? {
            Value::Array(values) => values
                .iter()
                .map(text)
                .collect::<Option<_>>()
                .ok_or_else(unreadable),
            _ => Err(unreadable()),
        }
    }
}

/// A letter: its name, the reservation, the action, and the name of the enforcement point, which may hold any characters.
fn write(name: &str, settlement: &Settlement) -> String {
    let Settlement {
        reservation,
        pep,
        is_roll_back,
    } = settlement;
    let action = if *is_roll_back { "back" } else { "keep" };
    format!("{name} {reservation} {action} {}", hex(pep.as_bytes()))
}

fn read(letter: &str) -> Option<(&str, Settlement)> {
    let parts: Vec<&str> = letter.split(' ').collect();
    let [name, reservation, action, pep] = *parts.as_slice() else {
        return None;
    };
    let digits: Vec<char> = pep.chars().collect();
    let bytes = digits.chunks(2).map(|pair| {
        let pair: String = pair.iter().collect();
        u8::from_str_radix(&pair, 16).ok()
    });
    let settlement = Settlement {
        reservation: reservation.to_owned(),
        pep: String::from_utf8(bytes.collect::<Option<_>>()?).ok()?,
        is_roll_back: match action {
            "back" => true,
            "keep" => false,
            _ => return None,
        },
    };
    Some((name, settlement))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_as_they_were_written() {
        for pep in ["", "proxy", "a b\u{1F600}: {x}"] {
            for is_roll_back in [true, false] {
                let settlement = Settlement {
                    reservation: "ab".repeat(16),
                    pep: pep.to_owned(),
                    is_roll_back,
                };
                let letter = write("n1", &settlement);
                assert_eq!(read(&letter), Some(("n1", settlement)));
            }
        }
        for wrong in [
            "",
            "n r keep",
            "n r other 61",
            "n r keep 6g",
            "n r keep 61 62",
            "n r keep ff",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
