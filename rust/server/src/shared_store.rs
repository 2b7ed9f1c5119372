//! The way of calls to the store of shared counts, and its worker.

use std::sync::Arc;
use std::time::Duration;

use callgate_core::approval::{StoreAnswer, StoreAsk};
use callgate_core::{Engine, Now};
use callgate_counters::Counters;
use callgate_counters::lease::{Ask, Counted, Shared, UnitsAsk};
use callgate_shared::{Node, SharedConfig, SharedError, Worker};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::events::{Events, FieldValue, Level};

/// Asks the worker that speaks to the store, and waits for it no longer than the budget.
#[derive(Clone, Debug)]
pub(crate) struct SharedStore {
    shared: Arc<Shared>,
    budget: Duration,
}

/// This process, as the worker sees it.
struct Process {
    engine: Arc<Engine>,
    clock: Clock,
    events: Arc<Events>,
}

impl Node for Process {
    fn counters(&self) -> &Counters {
        self.engine.store()
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn store_changed(&self, fault: Option<&SharedError>) {
        match fault {
            None => self
                .events
                .push(Level::Info, "shared_store_connected", Vec::new()),
            Some(fault) => {
                // Not cut as names of callers are: it says what to do at its end.
                let fields = vec![("error", FieldValue::Text(fault.to_string()))];
                self.events.push(Level::Error, "shared_store_failed", fields);
            }
        }
    }
}

impl SharedStore {
    /// Starts the worker. Nothing is shared if the engine was made without a key for the identities of counts.
    pub(crate) fn start(
        config: &SharedConfig,
        engine: &Arc<Engine>,
        clock: &Clock,
        events: &Arc<Events>,
    ) -> Result<(Self, Worker), SharedError> {
        let Some(shared) = engine.store().shared() else {
            return Err(SharedError::Url(
                "the engine has no key for shared counts".to_owned(),
            ));
        };
        let process = Process {
            engine: Arc::clone(engine),
            clock: clock.clone(),
            events: Arc::clone(events),
        };
        let worker = Worker::start(config, Arc::clone(shared), process)?;
        let store = Self {
            shared: Arc::clone(shared),
            budget: config.budget,
        };
        Ok((store, worker))
    }

    /// Asks at once. What the store took for a caller that has gone, or after the budget, goes back.
    pub(crate) fn ask(&self, asked: StoreAsk) -> impl Future<Output = StoreAnswer> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        self.shared.ask(Ask::Units(UnitsAsk {
            policy: Arc::clone(&asked.policy),
            owner: Arc::clone(&asked.grant),
            demands: asked.demands.clone(),
            scopes: asked.scopes.clone(),
            answer: Box::new(move |counted| {
                // Who waits no more drops the answer, and with it the units.
                let _ = answer.send(counted);
            }),
        }));
        let budget = self.budget;
        async move {
            let counted = match tokio::time::timeout(budget, answered).await {
                Ok(Ok(counted)) => counted,
                Ok(Err(_)) | Err(_) => Counted::default(),
            };
            StoreAnswer { asked, counted }
        }
    }
}
