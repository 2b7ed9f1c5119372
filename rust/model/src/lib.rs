//! A model of the leases by which several nodes share counts, for exhaustive checking over small bounds.
//!
//! `callgate-shared` and its scripts are written down here once more, with one count, whole units and short times. A checker
//! visits every state that two nodes, a store and a few faults can reach, and looks for an interval of one window with more
//! than `max` units. Each rule of the protocol can be left out ([`rules::Mutation`]); the tests show that each is needed.

pub mod estate;
pub mod node;
pub mod rules;
pub mod store;
pub mod system;
pub mod world;
