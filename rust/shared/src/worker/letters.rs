//! The letters of this node: settlements that it asks others for, and those that others ask it for.

use callgate_counters::lease::{SettlementAsk, SettlementError};
use tokio::time::Instant;

use super::{Node, Run, WayKey};
use crate::link::Link;
use crate::mail::Mail;
use crate::route::Route;
use crate::way::Way;

/// The number of the way of letters in a cluster, where they have a shard as a policy has. No policy has this number.
const LETTERS: u32 = u32::MAX;

/// The letters of this node.
pub(super) struct Letters {
    mail: Mail,
    read_at: Instant,
    /// Settlements for which there was no connection yet, and the moment at which it is given up.
    waiting: Vec<(SettlementAsk, Instant)>,
}

impl Letters {
    /// None yet.
    pub(super) fn new(mail: Mail) -> Self {
        Self {
            mail,
            read_at: Instant::now(),
            waiting: Vec::new(),
        }
    }

    /// Adds a settlement.
    pub(super) fn ask(&mut self, ask: SettlementAsk) {
        let until = Instant::now() + self.mail.patience(&ask);
        self.waiting.push((ask, until));
    }

    /// Tells those who wait that the others cannot be asked.
    pub(super) fn refuse_all(&mut self) {
        for (ask, _) in self.waiting.drain(..) {
            (ask.answer)(Err(SettlementError::Away));
        }
    }
}

impl<N: Node> Run<N> {
    /// Begins to post and to read what is due.
    pub(super) fn carry_letters(&mut self) {
        let now = Instant::now();
        let is_due = now >= self.letters.read_at;
        if is_due {
            self.letters.read_at = now + self.letters.mail.pace();
        }
        let is_read = is_due && self.node.has_reservations();
        if self.letters.waiting.is_empty() && !is_read {
            return;
        }
        let Some(link) = self.link_of_letters() else {
            let waiting = std::mem::take(&mut self.letters.waiting);
            let (late, waiting) = waiting.into_iter().partition(|(_, until)| *until <= now);
            self.letters.waiting = late;
            self.letters.refuse_all();
            self.letters.waiting = waiting;
            return;
        };
        let mail = &self.letters.mail;
        if is_read {
            tokio::spawn(mail.clone().read(link.clone(), self.node.clone()));
        }
        for (ask, _) in self.letters.waiting.drain(..) {
            tokio::spawn(mail.clone().send(link.clone(), self.names.next(), ask));
        }
    }

    /// The connection of letters. In a cluster it is opened when the first letter needs it.
    fn link_of_letters(&mut self) -> Option<Link> {
        let mut key: WayKey = None;
        if let Some(route) = self.shards.as_ref().and_then(Route::fork) {
            key = Some(LETTERS);
            self.ways.entry(key).or_insert_with(|| Way::new(route));
        }
        let link = self.ways.get(&key)?.link()?;
        (!link.is_given_up()).then(|| link.clone())
    }
}
