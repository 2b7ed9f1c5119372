//! The configuration of proxies that is in force, beside the compiled state of the engine that it goes with.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::ProxyConfig;

/// A configuration, for calls that see this generation of the engine's state or a later one.
#[derive(Clone, Debug)]
struct Since {
    generation: u64,
    config: Arc<ProxyConfig>,
}

/// A configuration, and the one before it: that is for calls that see a state from before the change, where both were
/// changed together.
#[derive(Debug)]
struct Both {
    now: Since,
    before: Option<Since>,
}

/// The configuration in force. Whoever changes it does so one at a time.
#[derive(Debug)]
pub(crate) struct Proxies(ArcSwap<Both>);

impl Proxies {
    pub(crate) fn new(config: ProxyConfig) -> Self {
        let now = Since {
            generation: 0,
            config: Arc::new(config),
        };
        Self(ArcSwap::from_pointee(Both { now, before: None }))
    }

    /// Puts another one in force for calls that see this generation of the engine's state, or a later one.
    pub(crate) fn put_in_force(&self, config: ProxyConfig, generation: u64) {
        let before = self.0.load().now.clone();
        let now = Since {
            generation,
            config: Arc::new(config),
        };
        self.0.store(Arc::new(Both {
            now,
            before: Some(before),
        }));
    }

    /// The one that goes with this generation. `None` where it is too old to be told: load the state anew.
    pub(crate) fn at(&self, generation: u64) -> Option<Arc<ProxyConfig>> {
        let both = self.0.load();
        let goes = |from: &&Since| generation >= from.generation;
        let found = Some(&both.now).filter(goes).or(both.before.as_ref().filter(goes));
        found.map(|from| Arc::clone(&from.config))
    }
}

impl Default for Proxies {
    fn default() -> Self {
        Self::new(ProxyConfig::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::ServerSource;

    fn named(name: &str) -> ProxyConfig {
        ProxyConfig {
            server: vec![ServerSource::Extension(name.to_owned())],
            ..ProxyConfig::default()
        }
    }

    fn name(proxies: &Proxies, generation: u64) -> Option<String> {
        let config = proxies.at(generation)?;
        match config.server.first() {
            Some(ServerSource::Extension(name)) => Some(name.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_generation_has_its_own() {
        let proxies = Proxies::new(named("a"));
        assert_eq!(name(&proxies, 0).as_deref(), Some("a"));
        assert_eq!(name(&proxies, 9).as_deref(), Some("a"));
        proxies.put_in_force(named("b"), 10);
        assert_eq!(name(&proxies, 9).as_deref(), Some("a"), "begun before");
        assert_eq!(name(&proxies, 10).as_deref(), Some("b"));
        proxies.put_in_force(named("c"), 11);
        assert_eq!(name(&proxies, 9), None, "two changes ago");
        assert_eq!(name(&proxies, 10).as_deref(), Some("b"));
        assert_eq!(name(&proxies, 11).as_deref(), Some("c"));
        // Without another state, at once.
        proxies.put_in_force(named("d"), 11);
        assert_eq!(name(&proxies, 11).as_deref(), Some("d"));
    }
}
