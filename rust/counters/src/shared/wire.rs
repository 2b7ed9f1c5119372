//! The messages between a process that keeps a file of counters and the others that share it.
//!
//! Both ends are processes of one user, who could write to the file as well. So the bounds here protect against faults
//! and not against attacks.

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::file::ResetLine;
use crate::shape::Hold;
use crate::{CountKey, CountShape, Demand, Micros, Now, Refusal, View, Window};

/// Both ends must have this version. To be raised by one with every change to the messages.
pub(super) const VERSION: u32 = 2;
const MAGIC: [u8; 8] = *b"cg-count";

/// The longest message. The longest that occurs is the greeting with the most resets, 80 KiB.
const LONGEST: usize = 256 << 10;
const LENGTH_BYTES: usize = size_of::<u32>();

const SHORTEST_WINDOW_US: u64 = 10_000;
const LONGEST_WINDOW_US: u64 = 366 * 24 * 3_600_000_000;
/// Greater than every number of a quantum or a period.
const QUANTUM_BOUND: u64 = 1 << 62;

/// The first message of either side. Its form stays the same in every version.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Preamble {
    magic: [u8; 8],
    pub(super) version: u32,
}

impl Preamble {
    pub(super) const OURS: Self = Self {
        magic: MAGIC,
        version: VERSION,
    };

    /// Reads the preamble, and the rest of the message.
    pub(super) fn of(message: &[u8]) -> Option<(Self, &[u8])> {
        let (preamble, rest) = postcard::take_from_bytes::<Self>(message).ok()?;
        (preamble.magic == MAGIC).then_some((preamble, rest))
    }
}

/// The introduction of a process that wants to share, after its preamble.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    /// The boot clock of its times.
    pub(super) boot_id: [u8; 16],
}

/// The answer to the introduction, after a preamble.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Greeting {
    Welcome(Identity),
    /// Its times are those of another boot clock.
    OtherClock,
    /// The greatest number of processes shares the counters already.
    Full,
}

/// The things on which the identities and the times of counts depend. The same for all processes that share a file, and for
/// as long as one of them lives.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) hash_key: [u8; 16],
    pub(super) shift_us: i64,
    resets: Vec<(u32, [u64; 7])>,
}

impl std::fmt::Debug for Identity {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("shift_us", &self.shift_us)
            .field("resets", &self.resets.len())
            .finish_non_exhaustive()
    }
}

impl Identity {
    pub(super) fn new(hash_key: &[u8; 16], shift_us: i64, resets: &[ResetLine]) -> Self {
        let line = |reset: &ResetLine| (u32::try_from(reset.line).unwrap_or(u32::MAX), reset.words);
        Self {
            hash_key: *hash_key,
            shift_us,
            resets: resets.iter().map(line).collect(),
        }
    }

    pub(super) fn resets(&self) -> Vec<ResetLine> {
        let line = |&(line, words): &(u32, [u64; 7])| ResetLine {
            line: line as usize,
            words,
        };
        self.resets.iter().map(line).collect()
    }
}

/// A question of a follower.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Request {
    Look {
        now: Now,
        wanted: Vec<Wanted>,
    },
    Peek {
        now: Now,
        owner: String,
        wanted: Vec<Wanted>,
    },
    Take {
        now: Now,
        owner: String,
        wanted: Vec<Wanted>,
        /// Boot microseconds from which on the follower has given up.
        until_us: u64,
    },
    GiveBack {
        now: Now,
        wanted: Wanted,
        stamp: Stamp,
    },
    /// The number of live counters.
    Count,
    /// The number of live counters of a grant.
    CountOf {
        grant: String,
    },
    Flush,
}

/// The answer to a [`Request`].
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Answer {
    Views(Vec<View>),
    Taken {
        stamp_us: u64,
        counts: Vec<(View, Option<Stamp>)>,
    },
    Refused {
        refusal: Refusal,
        views: Vec<View>,
    },
    Count(u64),
    Done,
    /// The operation failed, with this message.
    Failed(String),
    /// The holder has closed the file.
    Gone,
    /// Refused without effect: the question came too late, or its times are not those of this machine.
    Late,
    /// Refused without effect: the question contradicts itself.
    Invalid,
}

/// A demand without its answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Wanted {
    key: CountKey,
    shape: CountShape,
    cost: Micros,
    beyond: bool,
}

/// The place of units that were taken for one demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) stamp_us: u64,
    written: Option<(u64, u32)>,
}

impl Wanted {
    pub(super) fn of(demand: &Demand) -> Self {
        Self {
            key: demand.key,
            shape: demand.shape,
            cost: demand.cost,
            beyond: demand.beyond,
        }
    }

    /// The demand, if a policy can have it.
    fn demand(&self) -> Option<Demand> {
        let is_known = match self.shape.window {
            Window::Sliding { window_us } => (SHORTEST_WINDOW_US..=LONGEST_WINDOW_US).contains(&window_us),
            Window::Calendar(_) => true,
        };
        // Only a ledger holds units above `max`, for which a call may then ask.
        let may_pass = !self.shape.whole_units;
        let is_within = !self.beyond && self.cost <= self.shape.max;
        (is_known && (may_pass || is_within)).then(|| Demand {
            beyond: self.beyond,
            ..Demand::new(self.key, self.shape, self.cost)
        })
    }
}

/// The demands, if a call can have them.
pub(super) fn demands(wanted: &[Wanted]) -> Option<Vec<Demand>> {
    let mut keys = HashSet::with_capacity(wanted.len());
    let mut one = |wanted: &Wanted| keys.insert(wanted.key).then(|| wanted.demand())?;
    wanted.iter().map(&mut one).collect()
}

impl Stamp {
    pub(super) fn of(demand: &Demand) -> Option<Self> {
        let Hold::Taken { stamp_us, written } = demand.hold else {
            return None;
        };
        let place = |(quantum, entry)| (quantum, u32::try_from(entry).unwrap_or(u32::MAX));
        Some(Self {
            stamp_us,
            written: written.map(place),
        })
    }

    pub(super) fn hold(stamp: Option<Self>) -> Hold {
        stamp.map_or(Hold::None, |Self { stamp_us, written }| Hold::Taken {
            stamp_us,
            written: written.map(|(quantum, entry)| (quantum, entry as usize)),
        })
    }

    /// The demand with its hold, if it can be given back.
    pub(super) fn give_back(self, wanted: &Wanted) -> Option<Demand> {
        let is_valid = self.written.is_none_or(|(quantum, _)| quantum < QUANTUM_BOUND);
        let mut demand = wanted.demand().filter(|_| is_valid)?;
        demand.hold = Self::hold(Some(self));
        Some(demand)
    }
}

/// A message that is too long, or is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Writes messages one after the other, as one frame.
pub(super) fn frame<A: Serialize, B: Serialize>(first: &A, second: &B) -> Result<Vec<u8>, Malformed> {
    let framed = postcard::to_extend(first, vec![0; LENGTH_BYTES])
        .and_then(|framed| postcard::to_extend(second, framed))
        .map_err(|_| Malformed)?;
    with_length(framed)
}

/// Writes one message as a frame.
pub(super) fn frame_one<M: Serialize>(message: &M) -> Result<Vec<u8>, Malformed> {
    with_length(postcard::to_extend(message, vec![0; LENGTH_BYTES]).map_err(|_| Malformed)?)
}

fn with_length(mut framed: Vec<u8>) -> Result<Vec<u8>, Malformed> {
    let length = framed.len() - LENGTH_BYTES;
    if length > LONGEST {
        return Err(Malformed);
    }
    let length = u32::try_from(length).map_err(|_| Malformed)?;
    framed[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(framed)
}

/// Takes the first frame out of what was received; `None` if not all of it has come.
pub(super) fn take_frame(received: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Malformed> {
    let Some((length, rest)) = received.split_first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > LONGEST {
        return Err(Malformed);
    }
    let Some(message) = rest.get(..length) else {
        return Ok(None);
    };
    let message = message.to_vec();
    received.drain(..LENGTH_BYTES + length);
    Ok(Some(message))
}

/// Reads all of a message.
pub(super) fn read<M: DeserializeOwned>(message: &[u8]) -> Result<M, Malformed> {
    match postcard::take_from_bytes(message) {
        Ok((message, [])) => Ok(message),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests;
