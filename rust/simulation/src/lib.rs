//! A simulation of many callgates that share counts through one Redis, in simulated time.
//!
//! Nodes are real: the engine, its counters and the leases of `callgate-shared`. Redis is the real script in the Lua that Redis
//! runs, over data in memory. Simulated are the clock, the network, the time that a script takes, and the calls. Every admission is
//! held against an exact log.

pub mod capacity;
pub mod figures;
pub mod log;
pub mod memory;
pub mod node;
pub mod random;
pub mod replay;
pub mod report;
pub mod scenario;
pub mod server;
pub mod suite;
pub mod world;

/// A simulation that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The policy of the scenario is refused.
    #[error("the policy of the scenario is refused: {0}")]
    Policy(String),
    /// The script has failed.
    #[error("the script failed: {0}")]
    Script(#[from] mlua::Error),
    /// A node cannot read an answer.
    #[error("a node cannot use the answer of the store: {0}")]
    Store(#[from] callgate_shared::SharedError),
    /// A limit was passed.
    #[error("grant `{grant}` has more than {max} units in one window, {at_us} microseconds after the begin")]
    MoreThanMax {
        /// The grant.
        grant: String,
        /// Its `max`.
        max: u64,
        /// The time since the begin.
        at_us: u64,
    },
}
