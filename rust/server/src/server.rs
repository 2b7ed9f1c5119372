//! Starting and stopping.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use callgate_core::freeze::{Freeze, FreezeRow, FreezeScope};
use callgate_core::{Engine, State};
use callgate_shared::{State as StoreState, Worker};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::approvals::Approvals;
use crate::audit::{Audit, AuditHead};
use crate::candidate::CandidateReport;
use crate::clock::Clock;
use crate::config::ServerConfig;
use crate::doors::{Access, Health, Services};
use crate::error::{ReloadError, StartError};
use crate::events::{Event, Level};
use crate::feed::{DecisionFilter, DecisionListener, GrantTally, TooManyListenersError};
use crate::freeze_file::FreezeWatch;
use crate::gate::Gate;
use crate::identity::{PepRegistry, PepSpec};
use crate::in_force::{Gateway, GatewayConfig, Parts, Pinning, Sessions};
use crate::listener::Listener;
use crate::metrics::MetricsSnapshot;
use crate::net::{Acceptor, BoundSocket, bind_socket, bind_tcp};
use crate::phase::Phase;
use crate::proxy::ProxyConfig;
use crate::threads::{Patrol, Threads};
use crate::tls::{PreparedTls, Tls, TlsError, TlsPem};
use crate::{flush, upkeep};

/// Beyond the grace, how long the threads get to see that it is over.
const CLOSING_TIME: Duration = Duration::from_secs(2);

/// Longest wait of a stop for the decision log to be written.
const FLUSHING_TIME: Duration = Duration::from_secs(5);

/// The changes of [`Server::reload`]; `None` stays as it is.
#[derive(Debug, Default)]
pub struct Reload {
    /// The engine's compiled state.
    pub state: Option<State>,
    /// The enforcement points that may ask; an empty list is nobody.
    pub peps: Option<Vec<PepSpec>>,
    /// The certificates, for new connections.
    pub tls: Option<TlsPem>,
    /// The reading of proxies' requests.
    pub proxies: Option<ProxyConfig>,
    /// The servers behind the gateway.
    pub gateway: Option<GatewayConfig>,
}

/// A running data plane. Dropping it stops it.
pub struct Server {
    services: Arc<Services>,
    health: Health,
    address: Option<SocketAddr>,
    socket: Option<BoundSocket>,
    tls: Option<Tls>,
    // Held by whoever changes the configuration.
    reloading: Mutex<PepRegistry>,
    grace: Duration,
    phase: watch::Sender<Phase>,
    permits: Arc<Semaphore>,
    max_connections: usize,
    handle: Handle,
    // Taken by the first `stop`; others wait for it at the lock.
    running: Mutex<Option<Running>>,
    /// Opened when the first configuration asks for it, once.
    pinning: OnceLock<Pinning>,
    freezes: Option<FreezeWatch>,
    /// Speaks to the store of shared counters until the server stops.
    shared: Mutex<Option<Worker>>,
}

/// The threads of a server that has not been stopped, and the tasks that accept its connections.
struct Running {
    /// Accepts connections, and does what is no connection's work.
    runtime: Runtime,
    /// Serve connections.
    threads: Arc<Threads>,
    listeners: Vec<JoinHandle<()>>,
}

impl Server {
    /// Refuses what [`Server::start`] would refuse, as far as that can be known without binding anything.
    pub fn check(config: &ServerConfig) -> Result<(), StartError> {
        if config.listen.is_none() && config.socket.is_none() {
            return Err(StartError::NoListener);
        }
        PepRegistry::new(config.pep_key.clone(), Clock::default()).list(config.peps.clone())?;
        config.tls.as_ref().map(Tls::new).transpose()?;
        Gateway::new(config.gateway.clone(), None, None)?;
        config.audit.as_ref().map(Audit::check).transpose()?;
        Ok(())
    }

    /// Binds what `config` names and serves on threads of its own.
    ///
    /// Returns once both listeners accept. Errors name what to change; nothing is left behind.
    pub fn start(engine: Arc<Engine>, clock: Clock, config: ServerConfig) -> Result<Self, StartError> {
        let ServerConfig {
            listen,
            socket,
            workers,
            grace_ms,
            limits,
            flush_interval_ms,
            allowed_hosts,
            approvals,
            shared,
            freeze_file,
            audit,
            peps,
            pep_key,
            tls,
            proxies,
            gateway,
        } = config;
        limits.check()?;
        if listen.is_none() && socket.is_none() {
            return Err(StartError::NoListener);
        }
        let mut registry = PepRegistry::new(pep_key.clone(), clock.clone());
        let peps = registry.list(peps)?;
        let tls = tls.as_ref().map(Tls::new).transpose()?;
        let threads = Arc::new(Threads::start(workers).map_err(StartError::Threads)?);
        let runtime = background().map_err(StartError::Threads)?;
        let entered = runtime.enter();
        let tcp = listen.as_deref().map(bind_tcp).transpose()?;
        let address = tcp.as_ref().map(|(_, address)| *address);
        let access = Access::new(&allowed_hosts, tls.is_some());
        let (health, health_service) = Health::new();
        // Nobody can ask yet, so nobody sees a server that does not serve.
        wait_for(runtime.handle(), CLOSING_TIME, health.clone().set_serving(true));
        let for_others = peps.has_uids();
        let clock = clock.shifted(engine.store().clock_shift_us());
        let mut gate = Gate::new(engine, clock, Parts::new(peps, proxies));
        gate.approvals = approvals.map(Approvals::new);
        gate.audit = audit
            .map(|audit| Audit::start(&audit, Arc::clone(&gate.events)))
            .transpose()?;
        let freezes = FreezeWatch::start(freeze_file, &gate.engine, &gate.events)?;
        let sessions = Sessions::of(pep_key.as_ref());
        gate.sessions = Some(sessions.map_err(|error| StartError::Randomness(error.to_string()))?);
        let pinning = OnceLock::new();
        let pins = Pinning::opened(&pinning, gateway.pins_folder.as_deref(), &gate.events)?;
        let gateway = Arc::new(Gateway::new(gateway, pins, None)?);
        gate.reload(None, |parts| parts.gateway = gateway);
        let worker = shared.map(|shared| gate.share(&shared, &limits)).transpose()?;
        let (phase, watching) = watch::channel(Phase::Serving);
        let services = Services::new(gate, access, limits, health_service, &watching)?;
        let services = Arc::new(services);
        // Last of what can fail, so that no file is left behind.
        let unix = socket
            .as_deref()
            .map(|path| bind_socket(path, for_others))
            .transpose()?;

        let max_connections = limits.max_connections.min(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(max_connections));
        let acceptor = Acceptor {
            services: Arc::clone(&services),
            phase: watching.clone(),
            threads: Arc::clone(&threads),
            permits: Arc::clone(&permits),
            limits,
        };
        let mut listeners = Vec::new();
        if let Some((socket, address)) = tcp {
            let listener = Listener::Tcp {
                loopback: address.ip().is_loopback(),
            };
            listeners.push(runtime.spawn(acceptor.clone().tcp(socket, listener, tls.clone())));
        }
        let socket = unix.map(|(listener, socket)| {
            listeners.push(runtime.spawn(acceptor.unix(listener)));
            socket
        });
        run_upkeep(&runtime, &services.gate, &threads, (watching, flush_interval_ms));
        drop(entered);

        let server = Self {
            services,
            health,
            address,
            socket,
            tls,
            reloading: Mutex::new(registry),
            grace: Duration::from_millis(grace_ms),
            phase,
            permits,
            max_connections,
            handle: runtime.handle().clone(),
            running: Mutex::new(Some(Running {
                runtime,
                threads,
                listeners,
            })),
            pinning,
            freezes,
            shared: Mutex::new(worker),
        };
        server.log_started();
        Ok(server)
    }

    /// The bound TCP address, with the port that was taken.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The path of the Unix socket.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_ref().map(BoundSocket::path)
    }

    /// Puts another configuration in force, for open connections too, but for certificates; refused, the one before stays.
    ///
    /// Each call goes by one configuration from start to end: never by a state of one and enforcement points of the other.
    pub fn reload(&self, reload: Reload) -> Result<(), ReloadError> {
        let Reload {
            state,
            peps,
            tls,
            proxies,
            gateway,
        } = reload;
        // Another one would mix its certificates with these.
        let mut registry = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = &self.services.gate;
        // Steps that can fail come first.
        let tls = tls.map(|pem| self.prepare_tls(&pem)).transpose()?;
        let peps = peps.map(|peps| registry.list(Some(peps))).transpose()?;
        let gateway = gateway
            .map(|config| {
                let folder = config.pins_folder.as_deref();
                let pins = Pinning::opened(&self.pinning, folder, &gate.events)?;
                Gateway::new(config, pins, Some(&gate.configuration().parts.gateway))
            })
            .transpose()?;
        let others = peps.is_some();
        gate.reload(state, |parts| {
            if let Some(peps) = peps {
                parts.peps = Arc::new(peps);
            }
            if let Some(proxies) = proxies {
                parts.proxies = Arc::new(proxies);
            }
            if let Some(gateway) = gateway {
                parts.gateway = Arc::new(gateway);
            }
        });
        // Last: connections made under the certificates before are there in any case, and meet what is in force now. Those
        // made under the new ones never meet what was before.
        if let Some(tls) = tls {
            tls.put_in_force();
        }
        if others {
            self.open_socket_for_others();
        }
        Ok(())
    }

    fn prepare_tls(&self, pem: &TlsPem) -> Result<PreparedTls<'_>, TlsError> {
        match &self.tls {
            Some(tls) => tls.prepare(pem),
            None => Err(TlsError {
                part: "listener",
                message:
                    "it was started without certificates and goes on in the clear; restart to change that"
                        .to_owned(),
            }),
        }
    }

    fn open_socket_for_others(&self) {
        let gate = &self.services.gate;
        if let Some(socket) = &self.socket
            && let Err(error) = socket.open_for_others(gate.configuration().parts.peps.has_uids())
        {
            // Callers are checked anyway: at worst a new one cannot connect yet.
            let error = error.to_string();
            let fields = vec![("error", error.as_str().into())];
            gate.events.push(Level::Error, "socket_mode_failed", fields);
        }
    }

    /// Sets the answer of `grpc.health.v1`, for the server as a whole and for the decision service.
    pub fn set_serving(&self, serving: bool) {
        wait_for(
            &self.handle,
            CLOSING_TIME,
            self.health.clone().set_serving(serving),
        );
    }

    /// Stops accepting, finishes what is in flight within the grace, then closes. Blocks until that is done; a second
    /// call waits for the first and does nothing. Health answers "not serving" meanwhile, and the socket file is removed.
    pub fn stop(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Running {
            runtime,
            threads,
            listeners,
        }) = running.take()
        else {
            return;
        };
        let events = &self.services.gate.events;
        events.push(
            Level::Info,
            "server_stopping",
            vec![("connections", self.connections().into())],
        );
        wait_for(&self.handle, CLOSING_TIME, self.health.clone().end());
        // While it still listens: from then on another server may put its own in the place of one that nobody uses.
        if let Some(socket) = &self.socket {
            socket.remove();
        }
        self.phase.send_replace(Phase::Draining);
        let (permits, every, grace) = (Arc::clone(&self.permits), self.max_connections, self.grace);
        let drained = wait_for(&self.handle, grace + CLOSING_TIME, async move {
            // A listener closes its socket as it ends; until then it could still accept a connection.
            for listener in listeners {
                let _ = listener.await;
            }
            // Every permit is back when every connection is gone.
            let every = u32::try_from(every).unwrap_or(u32::MAX);
            tokio::time::timeout(grace, permits.acquire_many_owned(every))
                .await
                .is_ok()
        });
        let cut_off = if drained == Some(true) {
            0
        } else {
            self.connections()
        };
        self.phase.send_replace(Phase::Closed);
        threads.stop(CLOSING_TIME);
        // In the background, because a caller may itself stand on a runtime's thread, where waiting is forbidden.
        runtime.shutdown_background();
        if let Some(pinning) = self.pinning.get() {
            pinning.finish();
        }
        // After the last call that takes units: what this node does not use goes to the others.
        drop(self.worker().take());
        // After the last decision.
        if let Some(audit) = &self.services.gate.audit {
            audit.finish(FLUSHING_TIME);
        }
        self.services.gate.feed.end();
        events.push(
            Level::Info,
            "server_stopped",
            vec![("connections_cut_off", cut_off.into())],
        );
    }

    /// The numbers of the metrics page.
    pub fn metrics(&self) -> MetricsSnapshot {
        let gate = &self.services.gate;
        let configuration = gate.configuration();
        let (counters, counter_capacity) = gate.engine.counters();
        MetricsSnapshot {
            counters,
            counter_capacity,
            connections: self.connections(),
            events_dropped: gate.events.dropped(),
            freezes: self.freezes_in_force(),
            are_freezes_refused: self.freeze_fault().is_some(),
            audit_dropped: gate.audit.as_ref().map_or(0, Audit::dropped),
            signed_log: gate.audit.as_ref().and_then(Audit::signed_numbers),
            store_errors: gate.metrics.store.errors(gate.engine.store()),
            store_duration: gate.metrics.store.duration(),
            upstreams: configuration.parts.gateway.numbers(),
            candidates: configuration.candidates.counts(),
            ..gate.metrics.snapshot(&configuration.state)
        }
    }

    /// The newest checkpoint of a signed decision log; `None` if there is none yet.
    pub fn audit_head(&self) -> Option<AuditHead> {
        self.services.gate.audit.as_ref().and_then(Audit::head)
    }

    /// Notes that somebody else writes the stream of the signed decision log or has continued the log otherwise, or that
    /// this is over. Meanwhile calls are denied if every decision has to be logged.
    pub fn set_audit_contested(&self, is_contested: bool) {
        if let Some(audit) = &self.services.gate.audit {
            audit.set_contested(is_contested);
        }
    }

    /// Adds a line, one JSON object, to a signed decision log; false if too many wait, or there is no such log.
    pub fn record_in_audit(&self, line: &str) -> bool {
        let audit = self.services.gate.audit.as_ref();
        audit.is_some_and(|audit| audit.record(line))
    }

    /// What is known of the store of shared counters; `None` without one, and once the server has stopped.
    pub fn shared_store(&self) -> Option<StoreState> {
        self.worker().as_ref().map(Worker::state)
    }

    fn worker(&self) -> MutexGuard<'_, Option<Worker>> {
        // The lock guards one pointer, which a panic cannot leave half-written.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The freezes in the file, read anew, also those that have ended; with the reason if the file cannot be read, and those
    /// from before are in force. `None` without a file.
    pub fn freezes(&self) -> Option<(Vec<FreezeRow>, Option<String>)> {
        self.freezes.as_ref().map(|freezes| {
            freezes.read();
            freezes.state()
        })
    }

    /// The reason for which the file of freezes cannot be read now.
    pub fn freeze_fault(&self) -> Option<String> {
        self.freezes.as_ref().and_then(FreezeWatch::fault)
    }

    /// The results of the candidates in force, by server.
    pub fn candidates(&self) -> Vec<CandidateReport> {
        self.services.gate.configuration().candidates.reports()
    }

    /// The number of freezes in force, whatever their origin, by kind.
    fn freezes_in_force(&self) -> Vec<(&'static str, usize)> {
        let gate = &self.services.gate;
        let (freezes, unix_us) = (gate.engine.freezes(), gate.clock.now().unix_us());
        let in_force = |kind| {
            let of_kind =
                |freeze: &&(_, Freeze)| freeze.1.scope().kind() == kind && freeze.1.is_in_force(unix_us);
            (kind, freezes.iter().filter(of_kind).count())
        };
        FreezeScope::KINDS.map(in_force).to_vec()
    }

    /// The error of the last flush of the counters' file; `None` if it succeeded, and for counters in memory.
    pub fn store_failure(&self) -> Option<String> {
        self.services.gate.metrics.store.last_failure()
    }

    /// The servers behind the gateway that did not answer their last probe as MCP servers: names and reasons, by name.
    pub fn upstream_faults(&self) -> Vec<(String, String)> {
        let configuration = self.services.gate.configuration();
        let servers = configuration.parts.gateway.servers.values();
        let mut faults: Vec<_> = servers
            .filter_map(|entry| {
                let fault = entry.upstream.probe_fault()?;
                Some((entry.server.clone(), String::clone(&fault)))
            })
            .collect();
        faults.sort_unstable();
        faults
    }

    /// Follows the decisions that a filter admits, from now on.
    pub fn listen(&self, filter: DecisionFilter) -> Result<DecisionListener, TooManyListenersError> {
        DecisionListener::new(&self.services.gate.feed, filter)
    }

    /// Counts the decisions of each grant, from now on.
    pub fn tally_grants(&self) -> Result<GrantTally, TooManyListenersError> {
        GrantTally::new(&self.services.gate.feed)
    }

    /// Takes up to `max` events for the log, oldest first.
    pub fn drain_events(&self, max: usize) -> Vec<Event> {
        self.services.gate.events.drain(max)
    }

    fn connections(&self) -> usize {
        self.max_connections
            .saturating_sub(self.permits.available_permits())
    }

    fn log_started(&self) {
        let mut fields = Vec::new();
        if let Some(address) = self.address {
            fields.push(("address", address.to_string().as_str().into()));
        }
        if let Some(socket) = self.socket() {
            fields.push(("socket", socket.display().to_string().as_str().into()));
        }
        self.services
            .gate
            .events
            .push(Level::Info, "server_started", fields);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .field("socket", &self.socket())
            .finish_non_exhaustive()
    }
}

/// Begins what is done from time to time.
fn run_upkeep(
    runtime: &Runtime,
    gate: &Arc<Gate>,
    threads: &Arc<Threads>,
    (phase, flush_interval_ms): (watch::Receiver<Phase>, u64),
) {
    let flush_interval = Duration::from_millis(flush_interval_ms.max(1));
    if gate.engine.store().is_durable() {
        runtime.spawn(flush::run(Arc::clone(gate), phase.clone(), flush_interval));
    }
    let patrol = (Patrol::default(), Arc::clone(threads));
    runtime.spawn(upkeep::run(Arc::clone(gate), Some(patrol), phase));
}

/// The thread that accepts connections and does what is no connection's work.
fn background() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("callgate-accept")
        .enable_all()
        .build()
}

/// Runs a short task on the thread beside those of connections and waits for its result, from any thread.
fn wait_for<T: Send + 'static>(
    handle: &Handle,
    patience: Duration,
    task: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::sync_channel(1);
    handle.spawn(async move {
        // Nobody waits any more if it took too long.
        let _ = sender.send(task.await);
    });
    receiver.recv_timeout(patience).ok()
}
