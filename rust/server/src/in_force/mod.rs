//! What is in force beside the compiled state of the engine, and goes with it.

mod gateway;
mod numbers;
mod origins;
mod pinning;
pub(crate) mod session;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub(crate) use gateway::{Behind, Gateway, MCP, plain};
pub use gateway::{GatewayConfig, GatewayError, GatewayServer};
pub(crate) use pinning::Pinning;
pub(crate) use session::Sessions;

/// Something for calls that see this generation of the engine's state or a later one.
#[derive(Debug)]
struct Since<T> {
    generation: u64,
    value: Arc<T>,
}

/// What is in force, and what was before: that is for calls that see a state from before the change, where both were
/// changed together.
#[derive(Debug)]
struct Both<T> {
    now: Since<T>,
    before: Option<Since<T>>,
}

/// A part of the configuration that is in force. Whoever changes it does so one at a time.
#[derive(Debug)]
pub(crate) struct InForce<T>(ArcSwap<Both<T>>);

impl<T> InForce<T> {
    pub(crate) fn new(value: T) -> Self {
        let now = Since {
            generation: 0,
            value: Arc::new(value),
        };
        Self(ArcSwap::from_pointee(Both { now, before: None }))
    }

    /// Puts another one in force for calls that see this generation of the engine's state, or a later one.
    pub(crate) fn put_in_force(&self, value: T, generation: u64) {
        let both = self.0.load();
        let before = Since {
            generation: both.now.generation,
            value: Arc::clone(&both.now.value),
        };
        let now = Since {
            generation,
            value: Arc::new(value),
        };
        self.0.store(Arc::new(Both {
            now,
            before: Some(before),
        }));
    }

    /// The one that goes with this generation. `None` where it is too old to be told: load the state anew.
    pub(crate) fn at(&self, generation: u64) -> Option<Arc<T>> {
        let both = self.0.load();
        let goes = |from: &&Since<T>| generation >= from.generation;
        let found = Some(&both.now).filter(goes).or(both.before.as_ref().filter(goes));
        found.map(|from| Arc::clone(&from.value))
    }

    /// The newest.
    pub(crate) fn now(&self) -> Arc<T> {
        Arc::clone(&self.0.load().now.value)
    }
}

impl<T: Default> Default for InForce<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_generation_has_its_own() {
        let value = InForce::new("a");
        let at = |generation| value.at(generation).map(|found| *found);
        assert_eq!(at(0), Some("a"));
        assert_eq!(at(9), Some("a"));
        value.put_in_force("b", 10);
        assert_eq!(at(9), Some("a"), "begun before");
        assert_eq!(at(10), Some("b"));
        value.put_in_force("c", 11);
        assert_eq!(at(9), None, "two changes ago");
        assert_eq!(at(10), Some("b"));
        assert_eq!(at(11), Some("c"));
        // Without another state, at once.
        value.put_in_force("d", 11);
        assert_eq!(at(11), Some("d"));
        assert_eq!(*value.now(), "d");
    }
}
