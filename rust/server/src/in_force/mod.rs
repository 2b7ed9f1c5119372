//! The configuration in force: everything that one reload swaps, as one whole.
//!
//! A call takes one [`Configuration`] and goes by it from start to end. So it never sees the policy of one reload and the
//! enforcement points, or the servers behind the gateway, of another.

mod gateway;
mod numbers;
mod origins;
mod pinning;
pub(crate) mod session;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use callgate_core::{Engine, State};

use crate::candidate::Candidates;
use crate::identity::Peps;
use crate::metrics::{Metrics, StateCells};
use crate::proxy::ProxyConfig;

pub(crate) use gateway::{Gateway, MCP, ServerEntry, plain};
pub use gateway::{GatewayConfig, GatewayError, GatewayServer};
pub(crate) use pinning::Pinning;
pub(crate) use session::Sessions;

/// The parts of a configuration beside the engine's compiled state.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// The enforcement points that may ask.
    pub(crate) peps: Arc<Peps>,
    /// The reading of proxies' requests.
    pub(crate) proxies: Arc<ProxyConfig>,
    /// The servers that callgate itself stands before.
    pub(crate) gateway: Arc<Gateway>,
}

impl Parts {
    /// Parts without a gateway.
    pub(crate) fn new(peps: Peps, proxies: ProxyConfig) -> Self {
        Self {
            peps: Arc::new(peps),
            proxies: Arc::new(proxies),
            gateway: Arc::default(),
        }
    }
}

impl Default for Parts {
    /// Anybody may ask, and there is no gateway.
    fn default() -> Self {
        Self::new(Peps::anybody(), ProxyConfig::default())
    }
}

/// The configuration that applies to calls. Swapped as a whole.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// The engine's compiled state.
    pub(crate) state: Arc<State>,
    /// The metrics of that state.
    pub(crate) cells: Arc<StateCells>,
    /// The candidates of that state.
    pub(crate) candidates: Arc<Candidates>,
    /// All the rest.
    pub(crate) parts: Parts,
}

/// The configuration at one moment.
pub(crate) type Snapshot = Guard<Arc<Configuration>>;

/// Holds the configuration in force, and swaps it.
///
/// The engine can be given another state by its owner as well ([`Engine::reload`]). Such a state is joined with the parts in
/// force by the first call that meets it. A state that comes with other parts must never be: its generation is announced
/// before any call can meet it, and calls go by the configuration before until the whole one is there.
#[derive(Debug)]
pub(crate) struct ConfigurationSwap {
    current: ArcSwap<Configuration>,
    /// The newest generation of the engine's state that comes by a reload of the whole.
    announced: AtomicU64,
    /// Configurations that were swapped out and may still be read; held by whoever swaps.
    retired: Mutex<Vec<Arc<Configuration>>>,
}

impl ConfigurationSwap {
    /// These parts, with the engine's state.
    pub(crate) fn new(engine: &Engine, metrics: &Metrics, parts: Parts) -> Self {
        let configuration = joined(engine, metrics, parts, None, &Arc::default());
        Self {
            announced: AtomicU64::new(configuration.state.generation()),
            current: ArcSwap::from_pointee(configuration),
            retired: Mutex::default(),
        }
    }

    /// The configuration in force.
    pub(crate) fn load(&self, engine: &Engine, metrics: &Metrics) -> Snapshot {
        let current = self.current.load();
        let newest = engine.snapshot().generation();
        // Relaxed: whoever sees a state of the engine sees what was stored before it was put in force.
        if newest <= current.state.generation() || newest <= self.announced.load(Ordering::Relaxed) {
            return current;
        }
        drop(current);
        self.join_state(&mut self.lock(), engine, metrics);
        self.current.load()
    }

    /// Puts another configuration in force: another state, if there is one, with the parts that `change` has changed.
    pub(crate) fn reload(
        &self,
        engine: &Engine,
        metrics: &Metrics,
        state: Option<State>,
        change: impl FnOnce(&mut Parts),
    ) {
        let mut retired = self.lock();
        // A state that the engine's owner has put in force already goes with the parts before.
        self.join_state(&mut retired, engine, metrics);
        let current = self.current.load_full();
        let mut parts = current.parts.clone();
        change(&mut parts);
        let configuration = match state {
            Some(state) => {
                engine.reload_after(state, |generation| {
                    self.announced.store(generation, Ordering::Relaxed);
                });
                joined(engine, metrics, parts, None, &current.candidates)
            }
            None => Configuration {
                state: Arc::clone(&current.state),
                cells: Arc::clone(&current.cells),
                candidates: Arc::clone(&current.candidates),
                parts,
            },
        };
        drop(current);
        self.swap(&mut retired, configuration);
    }

    /// Configurations that nobody reads any more, to be dropped where that holds up no calls.
    pub(crate) fn take_retired(&self) -> Vec<Arc<Configuration>> {
        // One that was swapped out gets no new readers, so a count of one stays one.
        let mut retired = self.lock();
        let (idle, read) = std::mem::take(&mut *retired)
            .into_iter()
            .partition(|configuration| Arc::strong_count(configuration) == 1);
        *retired = read;
        idle
    }

    /// Joins the engine's state with the parts in force, if it is another one than theirs.
    fn join_state(&self, retired: &mut Vec<Arc<Configuration>>, engine: &Engine, metrics: &Metrics) {
        let current = self.current.load_full();
        if engine.snapshot().generation() != current.state.generation() {
            let parts = current.parts.clone();
            let joined = joined(engine, metrics, parts, Some(&current), &current.candidates);
            drop(current);
            self.swap(retired, joined);
        }
    }

    fn swap(&self, retired: &mut Vec<Arc<Configuration>>, configuration: Configuration) {
        retired.push(self.current.swap(Arc::new(configuration)));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Configuration>>> {
        // A panic while it was held leaves at worst a configuration that is dropped where it was last read.
        self.retired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A configuration of the engine's state and these parts, in the place of the one before.
fn joined(
    engine: &Engine,
    metrics: &Metrics,
    parts: Parts,
    before: Option<&Configuration>,
    candidates: &Arc<Candidates>,
) -> Configuration {
    let state = Arc::clone(&engine.snapshot());
    // Where grants alone have changed, the cells and the candidates stay: a call makes this configuration.
    let same = before.filter(|before| before.state.decides_as(&state));
    Configuration {
        cells: same.map_or_else(
            || Arc::new(metrics.cells(&state)),
            |before| Arc::clone(&before.cells),
        ),
        candidates: if candidates.are_of(&state) {
            Arc::clone(candidates)
        } else {
            Arc::new(Candidates::of(&state, engine, candidates))
        },
        state,
        parts,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;
    use crate::clock::ManualClock;
    use crate::testing;

    /// A state whose one policy has this name, and parts whose one origin is the same name.
    fn state(name: &str) -> State {
        testing::state(&format!(
            r#"{{"version": "1", "name": "{name}", "default": "allow"}}"#
        ))
    }

    fn named(name: &str) -> impl FnOnce(&mut Parts) {
        let gateway = Gateway {
            public_url: Some(name.to_owned()),
            ..Gateway::default()
        };
        move |parts| parts.gateway = Arc::new(gateway)
    }

    fn policy(configuration: &Configuration) -> &str {
        configuration.state.policies().next().unwrap().name()
    }

    fn part(configuration: &Configuration) -> &str {
        configuration
            .parts
            .gateway
            .public_url
            .as_deref()
            .unwrap_or_default()
    }

    fn rig() -> (Arc<Engine>, Metrics, ConfigurationSwap) {
        let gate = testing::gate(
            r#"{"version": "1", "name": "a", "default": "allow"}"#,
            10,
            &ManualClock::new(0),
        );
        let metrics = Metrics::default();
        let mut parts = Parts::default();
        named("a")(&mut parts);
        let swap = ConfigurationSwap::new(&gate.engine, &metrics, parts);
        (gate.engine, metrics, swap)
    }

    #[test]
    fn a_snapshot_stays_as_it_was() {
        let (engine, metrics, swap) = rig();
        let before = swap.load(&engine, &metrics);
        swap.reload(&engine, &metrics, Some(state("b")), named("b"));
        let after = swap.load(&engine, &metrics);
        assert_eq!((policy(&before), part(&before)), ("a", "a"));
        assert_eq!((policy(&after), part(&after)), ("b", "b"));
        swap.reload(&engine, &metrics, None, named("c"));
        let parts_alone = swap.load(&engine, &metrics);
        assert_eq!((policy(&parts_alone), part(&parts_alone)), ("b", "c"));
        assert!(Arc::ptr_eq(&parts_alone.cells, &after.cells));
    }

    #[test]
    fn a_state_that_the_engine_was_given_goes_with_the_parts_in_force() {
        let (engine, metrics, swap) = rig();
        engine.reload(state("b"));
        let joined = swap.load(&engine, &metrics);
        assert_eq!((policy(&joined), part(&joined)), ("b", "a"));
        engine.reload(state("c"));
        swap.reload(&engine, &metrics, None, named("d"));
        let reloaded = swap.load(&engine, &metrics);
        assert_eq!((policy(&reloaded), part(&reloaded)), ("c", "d"));
    }

    #[test]
    fn what_nobody_reads_is_given_up() {
        let (engine, metrics, swap) = rig();
        let before = swap.load(&engine, &metrics);
        swap.reload(&engine, &metrics, Some(state("b")), |_| ());
        assert!(swap.take_retired().is_empty());
        drop(before);
        assert_eq!(swap.take_retired().len(), 1);
        assert!(swap.take_retired().is_empty());
    }

    #[test]
    fn no_call_sees_parts_of_two_reloads() {
        let (engine, metrics, swap) = rig();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut newest = 0;
                    while !over.load(Ordering::Relaxed) {
                        let seen = swap.load(&engine, &metrics);
                        assert_eq!(policy(&seen), part(&seen));
                        assert!(seen.state.generation() >= newest, "an older one came again");
                        newest = seen.state.generation();
                    }
                });
            }
            for round in 0..200 {
                let name = format!("p{round}");
                swap.reload(&engine, &metrics, Some(state(&name)), named(&name));
                let seen = swap.load(&engine, &metrics);
                assert_eq!(policy(&seen), name, "in force once the reload has ended");
            }
            over.store(true, Ordering::Relaxed);
        });
    }
}
