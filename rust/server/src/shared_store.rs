//! The way of calls to the store of shared counts, and its worker.

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use callgate_core::approval::{StoreAnswer, StoreAsk};
use callgate_core::{Engine, Now, ReservationId};
use callgate_counters::Counters;
use callgate_counters::lease::{Ask, Counted, Settlement, SettlementAsk, SettlementError, Shared, UnitsAsk};
use callgate_shared::{Node, SharedConfig, SharedError, Worker};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::events::{Events, FieldValue, Level};

/// Asks the worker that speaks to the store, and waits for it no longer than the budget.
#[derive(Clone, Debug)]
pub(crate) struct SharedStore {
    shared: Arc<Shared>,
    budget: Duration,
    settler: SettlerSlot,
}

/// The part of this process that settles reservations by its rules.
pub(crate) trait Settler: fmt::Debug + Send + Sync {
    /// True if the enforcement point of this name has reserved this here.
    fn has_reserved(&self, reservation: ReservationId, pep: &str) -> bool;
    /// Settles it; false if there is none of this enforcement point.
    fn settle(&self, reservation: ReservationId, pep: &str, is_roll_back: bool) -> bool;
}

/// The settler of this process, once it is there.
type SettlerSlot = Arc<OnceLock<Weak<dyn Settler>>>;

/// This process, as the worker sees it.
struct Process {
    engine: Arc<Engine>,
    clock: Clock,
    events: Arc<Events>,
    settler: SettlerSlot,
}

impl Process {
    fn with<R: Default>(
        &self,
        settlement: &Settlement,
        ask: impl FnOnce(&dyn Settler, ReservationId) -> R,
    ) -> R {
        let settler = self.settler.get().and_then(Weak::upgrade);
        match (settler, settlement.reservation.parse()) {
            (Some(settler), Ok(reservation)) => ask(&*settler, reservation),
            _ => R::default(),
        }
    }
}

impl Node for Process {
    fn counters(&self) -> &Counters {
        self.engine.store()
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn has_reservations(&self) -> bool {
        self.engine.has_reservations()
    }

    fn has_reserved(&self, settlement: &Settlement) -> bool {
        self.with(settlement, |settler, reservation| {
            settler.has_reserved(reservation, &settlement.pep)
        })
    }

    fn settle(&self, settlement: &Settlement) -> bool {
        self.with(settlement, |settler, reservation| {
            settler.settle(reservation, &settlement.pep, settlement.is_roll_back)
        })
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
        let settler = SettlerSlot::default();
        let process = Process {
            settler: Arc::clone(&settler),
            engine: Arc::clone(engine),
            clock: clock.clone(),
            events: Arc::clone(events),
        };
        let worker = Worker::start(config, Arc::clone(shared), process)?;
        let store = Self {
            shared: Arc::clone(shared),
            budget: config.budget,
            settler,
        };
        Ok((store, worker))
    }

    /// Lets this settle what other nodes ask for, from now on.
    pub(crate) fn serve(&self, settler: &Arc<dyn Settler>) {
        // Set once, at the start.
        let _ = self.settler.set(Arc::downgrade(settler));
    }

    /// Asks the other nodes to settle a reservation; false if nothing was settled, and nothing will be.
    /// `patience` is the time for which the caller waits.
    pub(crate) async fn settle(
        &self,
        settlement: Settlement,
        patience: Option<Duration>,
    ) -> Result<bool, SettlementError> {
        let (answer, answered) = oneshot::channel();
        self.shared.ask(Ask::Settle(SettlementAsk {
            settlement,
            patience,
            answer: Box::new(move |outcome| {
                // The settlement is made for a caller that has gone as well.
                let _ = answer.send(outcome);
            }),
        }));
        // The worker has a bound of its own; that it ends is told by the dropped sender.
        answered.await.unwrap_or(Err(SettlementError::Unanswered))
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
