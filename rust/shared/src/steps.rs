//! The worker's steps for one policy, for a program that has its own clock and its own network: the simulation.
//!
//! [`crate::Worker`] does the same for all policies of a process, over a connection to Redis.

use callgate_counters::lease::{Ask, SettlementError};
use callgate_counters::{Counters, Now};
use redis::Value;

use crate::config::fingerprint;
use crate::error::SharedError;
use crate::lease::{Flight, Lease};
use crate::reply::Reply;
use crate::worker::{declared, renewal_tick};

pub use crate::worker::{DECLARE, SCRIPT};

/// A call of a script, as Redis receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptCall {
    /// True for [`DECLARE`], false for [`SCRIPT`].
    pub is_declaration: bool,
    /// The names of keys.
    pub keys: Vec<String>,
    /// The arguments.
    pub args: Vec<String>,
    /// The number of operations; 0 for a declaration.
    pub operations: usize,
}

/// A lease, and its call that is under way.
#[derive(Debug)]
pub struct Steps {
    lease: Lease,
    busy: Option<Busy>,
    fingerprint: String,
}

/// A call that is under way.
#[derive(Debug)]
enum Busy {
    Declaration,
    Operations(Box<Flight>),
}

impl Steps {
    /// Nothing is under way. The key is that of the counts' identities.
    pub fn new(lease: Lease, hash_key: &[u8; 16]) -> Self {
        Self {
            lease,
            busy: None,
            fingerprint: fingerprint(hash_key),
        }
    }

    /// Microseconds between two looks for what is due.
    pub const fn tick_us(&self) -> u64 {
        renewal_tick(self.lease.times().lease_us)
    }

    /// Passes what calls have asked.
    pub fn ask(&mut self, asks: Vec<Ask>, counters: &Counters, now: Now) {
        for ask in asks {
            match ask {
                Ask::Units(ask) => self.lease.ask(ask),
                Ask::Low {
                    demand,
                    owner,
                    wanted,
                    ..
                } => self.lease.low(demand, owner, wanted),
                Ask::Return(returned) => self.lease.give_back(returned),
                Ask::Bring(ask) => self.lease.bring(ask),
                Ask::Reset(ask) => self.lease.reset(ask),
                // One policy alone has no letters.
                Ask::Settle(ask) => (ask.answer)(Err(SettlementError::Away)),
                Ask::Known(_) => self.lease.notice_changes(counters, now),
            }
        }
    }

    /// The next call, if there is something to ask and nothing under way. `identity` is the server's, `word` one that is new.
    pub fn launch(
        &mut self,
        counters: &Counters,
        now: Now,
        identity: &str,
        word: &str,
    ) -> Option<ScriptCall> {
        if self.busy.is_some() {
            return None;
        }
        if !self.lease.has_epoch() {
            self.busy = Some(Busy::Declaration);
            let (keys, args) = self.lease.declaration(identity, word, &self.fingerprint);
            return Some(ScriptCall {
                is_declaration: true,
                keys,
                args,
                operations: 0,
            });
        }
        let flight = self.lease.plan(counters, now)?;
        let call = ScriptCall {
            is_declaration: false,
            keys: flight.keys().to_vec(),
            args: flight.args().to_vec(),
            operations: flight.operations(),
        };
        self.busy = Some(Busy::Operations(Box::new(flight)));
        Some(call)
    }

    /// Performs the answer to the call that is under way. `new_node` makes a name that no node has had.
    pub fn land(
        &mut self,
        answer: Value,
        counters: &Counters,
        now: Now,
        new_node: impl FnOnce() -> String,
    ) -> Result<(), SharedError> {
        match self.busy.take() {
            None => {}
            Some(Busy::Declaration) => {
                let epoch = declared(&answer, &self.lease, &self.fingerprint)?;
                self.lease.begin_epoch(&epoch, counters, now);
            }
            Some(Busy::Operations(flight)) => match Reply::read(answer, flight.operations()) {
                Ok(reply) => {
                    self.lease.answered(*flight, reply, counters, now, new_node);
                    self.lease.take_fault()?;
                }
                Err(error) => {
                    self.lease.failed(*flight);
                    return Err(error);
                }
            },
        }
        Ok(())
    }

    /// The connection has ended: what is under way is lost, and calls that wait are told.
    pub fn disconnect(&mut self) {
        if let Some(Busy::Operations(flight)) = self.busy.take() {
            self.lease.failed(*flight);
        }
        self.lease.end_epoch();
        self.lease.refuse_all();
    }

    /// Tells the calls that wait that nothing can be asked.
    pub fn refuse_all(&mut self) {
        self.lease.refuse_all();
    }

    /// The number of counts of which this node has shares.
    pub fn shares(&self) -> usize {
        self.lease.len()
    }
}
