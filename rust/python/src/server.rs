//! `Server`: the data plane, on its own threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callgate_server::{Clock, LimitMut, Limits, Reload, ServerConfig};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict, PyMapping};

use crate::approvals::ApprovalQueue;
use crate::candidates;
use crate::clock::ManualClock;
use crate::engine::{Engine, compile};
use crate::error::Error;
use crate::events::{self, Events};
use crate::feed::{self, DecisionListener, GrantTally};
use crate::metrics::{MetricFamily, Metrics};
use crate::{keywords, load, setup};

/// The data plane: decisions over gRPC and HTTP on one port and on a Unix socket, on its own threads.
///
/// `start` or a ``with`` block starts it, once.
///
/// Args:
///     engine: The engine with the policies and counters.
///     listen: TCP address, ``127.0.0.1:0`` by default; port 0 takes a free one. None for no TCP.
///     socket: Path of a Unix socket to create, for this user, root and the users of `peps`.
///     workers: Worker threads; 0 for one per core.
///     clock: A manual clock, for tests; None for the system's.
///     grace_ms: Longest time that `stop` waits for calls in flight; None for 10 s.
///     allowed_hosts: Hosts that `Host` and `Origin` of HTTP requests may name, in addition to the loopback names.
///     audit: The decision log (``docs/decision-log.md``); None for none. ``path`` is a file, or ``-`` for standard
///         output; ``mode`` is ``"best_effort"`` (default) or ``"required"``; ``max_bytes`` (256 MiB) and
///         ``max_age_s`` (0) rotate, 0 for never; ``keep`` (8) rotated files; ``sync_interval_ms`` (1000), 0 for
///         never; ``signing`` signs the log (``docs/audit.md``): ``key``, the content of the PEM file, ``public_key``,
///         ``former_keys``, ``statements``, ``expires_unix_s``, ``stream``, ``checkpoint_interval_ms`` and
///         ``logged_of_million``.
///     peps: Enforcement points, each with a ``name`` and one or more credentials: ``token_hash`` (see
///         `hash_token`) or ``tokens`` (as of grants, in `Engine.from_config`), ``certificates`` (DNS names or URIs
///         in a client certificate), ``uids`` (users of the socket); with ``vouches`` it may name a configured grant
///         by its id. An empty list admits no client, None admits every client.
///     pep_key: 32 bytes, the key of the PEPs' token hashes.
///     tls: PEM contents ``certificate`` (with its chain) and ``key``, and ``client_ca`` to require client
///         certificates. None for TCP without TLS. The socket never has TLS.
///     proxies: Sources of the caller, the server and the tool in requests of a proxy (``docs/proxies.md``):
///         ``identity``, a list of ``("token",)``, ``("spiffe",)``, ``("header", NAME)`` or
///         ``("metadata", NAMESPACE, KEY, ...)``; ``server``, a list of ``("extension", NAME)``, ``("path",)``,
///         ``("host",)``, ``("token",)`` or ``("always", NAME)``; ``hosts``, servers by lower-case host; ``paths``,
///         templates such as ``/mcp/{server}``; ``methods``, those allowed and those denied beside the known ones;
///         ``tool_errors``, true for status 200 on denied MCP calls; ``mcp_metadata``, the namespace in which
///         Envoy's MCP filter describes the body, None to ignore such metadata.
///     gateway: The MCP servers behind the gateway (``docs/gateway.md``): ``servers``, by name, each with its
///         ``url`` and, to override the defaults, ``ca`` (PEM), ``headers`` (names and values),
///         ``allow_link_local``, ``connect_timeout_ms``, ``answer_timeout_ms``, ``max_requests``,
///         ``max_requests_per_grant``, ``max_idle_connections``, ``idle_timeout_ms``, ``list_limit_bytes`` and
///         ``pinning``, ``"off"``, ``"report"`` or ``"enforce"`` (default); ``methods``, as above; ``public_url``,
///         the gateway's URL for clients; ``lists_allowed_only``, true to leave out of lists the tools that the
///         caller may never call; ``pins_folder``, None to pin nothing; ``first_lists_s``, the time in seconds
///         after a server's first complete list in which first lists of other variants are accepted (24 hours);
///         ``oauth``, the issuer whose tokens are accepted, or a list of issuers, None for none: ``issuer``,
///         ``prefix`` (of the claim in the grant's id; required if there are several issuers), ``jwks`` (the keys)
///         or ``jwks_url`` (by default from the issuer's metadata), ``jwks_ca`` (PEM), ``audience``,
///         ``algorithms``, ``grant`` and, by label, ``labels`` (lists of names that lead to a claim),
///         ``clock_skew_ms``, ``scopes``; ``allowed_origins``, the origins of pages whose scripts may use the
///         gateway.
///     freeze_file: The file of freezes (``docs/operations.md``), which is read at the start and twice a second after
///         it; None for none.
///     approvals: The queue of questions about calls that need a person's approval; None to deny them,
///         ``(approval store unavailable)``.
///     **limits: Bounds of the decision port: the keys of ``limits`` in ``docs/configuration.md``, a time in
///         milliseconds as ``header_timeout_ms``; None for the default.
///
/// Raises:
///     ConfigError: A value has the wrong form.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct Server {
    engine: Arc<callgate_core::Engine>,
    clock: Clock,
    config: ServerConfig,
    running: Mutex<Option<Arc<callgate_server::Server>>>,
}

impl Server {
    fn running(&self) -> MutexGuard<'_, Option<Arc<callgate_server::Server>>> {
        // The lock guards one pointer, which a panic cannot leave half-written.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn started(&self) -> Result<Arc<callgate_server::Server>, Error> {
        self.running().clone().ok_or(Error::ServerState(
            "the server has not been started; call `start` first",
        ))
    }
}

#[pymethods]
impl Server {
    #[new]
    #[pyo3(signature = (
        engine, listen = Some("127.0.0.1:0".to_owned()), socket = None, workers = 0, clock = None, *, grace_ms = None,
        allowed_hosts = Vec::new(), audit = None, peps = None, pep_key = None, tls = None, proxies = None,
        gateway = None, freeze_file = None, approvals = None, **limits
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "one keyword for each setting is what Python callers expect"
    )]
    fn py_new(
        engine: &Bound<'_, Engine>,
        listen: Option<String>,
        socket: Option<PathBuf>,
        workers: usize,
        clock: Option<&Bound<'_, ManualClock>>,
        grace_ms: Option<u64>,
        allowed_hosts: Vec<String>,
        audit: Option<&Bound<'_, PyMapping>>,
        peps: Option<&Bound<'_, PyAny>>,
        pep_key: Option<&[u8]>,
        tls: Option<&Bound<'_, PyAny>>,
        proxies: Option<&Bound<'_, PyMapping>>,
        gateway: Option<&Bound<'_, PyMapping>>,
        freeze_file: Option<PathBuf>,
        approvals: Option<&Bound<'_, ApprovalQueue>>,
        limits: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let limits = read_limits(limits)?;
        let engine = engine.get();
        if clock.is_some() && engine.core.store().is_durable() {
            return Err(Error::ServerState(
                "a clock set by hand and counters in a file: expected one of them, because the file lives on the \
                 machine's clock",
            )
            .into());
        }
        Ok(Self {
            engine: Arc::clone(&engine.core),
            clock: clock.map_or_else(
                || engine.clock.clone(),
                |manual| Clock::Manual(manual.get().clock.clone()),
            ),
            config: ServerConfig {
                listen,
                socket,
                workers,
                grace_ms: grace_ms.unwrap_or(ServerConfig::default().grace_ms),
                limits,
                flush_interval_ms: engine.flush_interval_ms,
                allowed_hosts,
                approvals: approvals.map(|queue| queue.get().channel()),
                shared: engine.shared.clone(),
                freeze_file,
                audit: audit.map(crate::audit::config).transpose()?,
                peps: peps.map(setup::peps).transpose()?,
                pep_key: pep_key.map(|key| setup::token_key("pep_key", key)).transpose()?,
                tls: tls.map(setup::tls).transpose()?,
                proxies: proxies
                    .map(crate::proxies::config)
                    .transpose()?
                    .unwrap_or_default(),
                gateway: gateway
                    .map(crate::gateway::config)
                    .transpose()?
                    .unwrap_or_default(),
            },
            running: Mutex::default(),
        })
    }

    /// Finds faults for which `start` would fail, without binding anything.
    ///
    /// Raises:
    ///     ConfigError: `peps`, `tls` or `gateway` cannot be used, or there is nothing to listen on.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| callgate_server::Server::check(&self.config))
            .map_err(Error::from)?;
        Ok(())
    }

    /// Starts listening; returns when the address is bound.
    ///
    /// Raises:
    ///     ConfigError: The address, the socket, the decision log or the file of freezes cannot be opened, a limit is
    ///         0, `peps` or `tls` cannot be used, or the server was started before.
    fn start(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            let mut running = self.running();
            if running.is_some() {
                return Err(Error::ServerState(
                    "the server has been started before; make another one",
                ));
            }
            let server = callgate_server::Server::start(
                Arc::clone(&self.engine),
                self.clock.clone(),
                self.config.clone(),
            )?;
            // The health service knows the decision service only after its first status.
            server.set_serving(true);
            *running = Some(Arc::new(server));
            Ok(())
        })?;
        Ok(())
    }

    /// Stops accepting, finishes calls in flight within the grace period, then closes. May be called again.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| {
            // The lock is not held while the server finishes calls in flight, so that metrics stay available.
            let server = self.running().clone();
            if let Some(server) = server {
                server.stop();
            }
        });
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().start(slf.py())?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, pyo3::types::PyTuple>) {
        self.stop(py);
    }

    /// The bound TCP address, such as ``127.0.0.1:9191``; None without TCP.
    ///
    /// Raises:
    ///     ConfigError: The server has not been started. The members below raise it too.
    #[getter]
    fn address(&self) -> PyResult<Option<String>> {
        Ok(self.started()?.address().map(|address| address.to_string()))
    }

    /// Path of the Unix socket, if there is one.
    #[getter]
    fn socket(&self) -> PyResult<Option<String>> {
        Ok(self
            .started()?
            .socket()
            .map(|path| path.to_string_lossy().into_owned()))
    }

    /// The failure of the last flush of the counters' file; None after a success, and for counters in memory.
    #[getter]
    fn store_failure(&self) -> PyResult<Option<String>> {
        Ok(self.started()?.store_failure())
    }

    /// The store of counters that nodes share; None without one, and once the server has stopped.
    ///
    /// ``fault`` is the reason for which it is not used now, or None; it has answered ``calls``, and ``failures`` were
    /// not answered; this node has a share of ``leased`` counts.
    #[getter]
    fn shared_store<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(state) = self.started()?.shared_store() else {
            return Ok(None);
        };
        let fields = PyDict::new(py);
        fields.set_item("fault", state.fault)?;
        fields.set_item("calls", state.calls)?;
        fields.set_item("failures", state.failures)?;
        fields.set_item("leased", state.leased)?;
        Ok(Some(fields))
    }

    /// The freezes in the file, read anew: rows as `freezes_read` returns them, and the fault of the file.
    ///
    /// With a fault, the file cannot be read, and the rows are those in force from before. Without a file there are
    /// none.
    fn freezes<'py>(&self, py: Python<'py>) -> PyResult<(Vec<Bound<'py, PyDict>>, Option<String>)> {
        let server = self.started()?;
        let (rows, fault) = py.detach(|| server.freezes()).unwrap_or_default();
        Ok((crate::freezes::rows(py, &rows)?, fault))
    }

    /// The fault of the file of freezes when it was read last; None if it was read, and without a file.
    #[getter]
    fn freeze_fault(&self) -> PyResult<Option<String>> {
        Ok(self.started()?.freeze_fault())
    }

    /// The servers behind the gateway that did not answer as MCP servers when they were last tried, with the reason.
    ///
    /// They are tried at the start and every 30 s; a server that was not tried yet is not among them.
    #[getter]
    fn upstream_faults(&self) -> PyResult<Vec<(String, String)>> {
        Ok(self.started()?.upstream_faults())
    }

    /// Replaces the configuration of server and engine, all or nothing; each call uses one from start to end.
    ///
    /// Args:
    ///     path: New policies, with `catalogue`, in the form of `Engine.reload_file`. Pass either this or `policies`;
    ///         with neither, the engine is not changed.
    ///     catalogue: Facts about the tools.
    ///     policies: A whole configuration, with `servers`, `grants`, `grant_key`, `rate_limits` and `candidates`, in
    ///         the form of `Engine.reload_config`.
    ///     servers: The known servers.
    ///     grants: The grants; an empty list admits no caller. With None, callers name the grant that is charged.
    ///     grant_key: The key of the grants' token hashes.
    ///     peps: The enforcement points, also for open connections; None to keep them, an empty list to admit no
    ///         client.
    ///     tls: Certificates for new connections; None to keep them.
    ///     rate_limits: The rate limits; None for none.
    ///     proxies: The rules for requests of proxies, in the form of `Server`; None to keep them.
    ///     gateway: The servers behind the gateway, in the form of `Server`; None to keep them.
    ///     candidates: The policies that are weighed beside those of servers; None for none.
    ///
    /// Raises:
    ///     PolicyError: A document has a fault.
    ///     ConfigError: A file cannot be read, a grant or enforcement point has a fault, or certificates are expired,
    ///         cannot be read or do not belong together.
    #[pyo3(signature = (
        path = None, catalogue = None, *, policies = None, servers = None, grants = None, grant_key = None, peps = None,
        tls = None, rate_limits = None, proxies = None, gateway = None, candidates = None
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "one keyword per part of a configuration"
    )]
    fn reload(
        &self,
        py: Python<'_>,
        path: Option<PathBuf>,
        catalogue: Option<&Bound<'_, PyAny>>,
        policies: Option<&Bound<'_, PyAny>>,
        servers: Option<&Bound<'_, PyAny>>,
        grants: Option<&Bound<'_, PyAny>>,
        grant_key: Option<&[u8]>,
        peps: Option<&Bound<'_, PyAny>>,
        tls: Option<&Bound<'_, PyAny>>,
        rate_limits: Option<&Bound<'_, PyAny>>,
        proxies: Option<&Bound<'_, PyMapping>>,
        gateway: Option<&Bound<'_, PyMapping>>,
        candidates: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let server = self.started()?;
        let has_parts =
            grants.is_some() || grant_key.is_some() || rate_limits.is_some() || candidates.is_some();
        let state = match (path, policies, servers) {
            (Some(path), None, None) if !has_parts => {
                Some(compile(py, catalogue, move || load::policies_at(&path))?)
            }
            (None, Some(policies), Some(servers)) => Some(setup::state(
                py,
                (policies, servers, candidates),
                (grants, grant_key),
                catalogue,
                rate_limits,
            )?),
            (None, None, None) if !has_parts && catalogue.is_none() => None,
            _ => {
                return Err(PyTypeError::new_err(
                    "expected `path`, or `policies` and `servers` with what belongs to them, or none of them",
                ));
            }
        };
        let reload = Reload {
            state,
            peps: peps.map(setup::peps).transpose()?,
            tls: tls.map(setup::tls).transpose()?,
            proxies: proxies.map(crate::proxies::config).transpose()?,
            gateway: gateway.map(crate::gateway::config).transpose()?,
        };
        py.detach(|| server.reload(reload)).map_err(Error::from)?;
        Ok(())
    }

    /// Sets the answer of `grpc.health.v1`.
    fn set_serving(&self, serving: bool) -> PyResult<()> {
        self.started()?.set_serving(serving);
        Ok(())
    }

    /// The current numbers.
    fn metrics(&self, py: Python<'_>) -> PyResult<Metrics> {
        let server = self.started()?;
        Ok(Metrics::from(py.detach(|| server.metrics())))
    }

    /// The current numbers as the metrics page shows them, in its order.
    fn metric_families(&self, py: Python<'_>) -> PyResult<Vec<MetricFamily>> {
        let server = self.started()?;
        let families = py.detach(|| server.metrics().families());
        Ok(families.into_iter().map(MetricFamily::from).collect())
    }

    /// The newest checkpoint of the signed decision log; None if there is none yet.
    ///
    /// Its note, its origin, its size, and the number of the last admin change under it that this process has written.
    fn audit_head(&self) -> PyResult<Option<crate::audit::Head>> {
        Ok(self.started()?.audit_head().map(crate::audit::head))
    }

    /// Notes whether the signed decision log has a second writer.
    ///
    /// Somebody else writes its stream, or has continued the log otherwise. Meanwhile calls are denied if `mode` is
    /// `required`.
    fn set_audit_contested(&self, is_contested: bool) -> PyResult<()> {
        self.started()?.set_audit_contested(is_contested);
        Ok(())
    }

    /// Adds a line, one JSON object, to the signed decision log; false if too many wait, or there is no such log.
    fn record_in_audit(&self, line: &str) -> PyResult<bool> {
        Ok(self.started()?.record_in_audit(line))
    }

    /// The results of the policies that are weighed beside those of servers (``docs/replay.md``), by server.
    ///
    /// Returns:
    ///     For each server ``server``, ``policy``, ``version``, ``since_us``, ``counts`` (the outcome that was
    ///     answered, that of the candidate, number), ``changes`` and ``other_changes`` (calls beyond the kinds that
    ///     are told apart). For each kind of changed calls ``tool``, ``live`` and ``candidate`` (outcome and rule),
    ///     ``count`` and ``examples`` (microseconds since 1970, grant).
    fn candidates<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let reports = self.started()?.candidates();
        reports
            .into_iter()
            .map(|report| candidates::report(py, report))
            .collect()
    }

    /// Follows the decisions on these grants and tools with these outcomes, of each any if there are none.
    ///
    /// Args:
    ///     grants: Ids of grants.
    ///     tools: Names of tools.
    ///     outcomes: Outcomes.
    ///     sampled: The part of the decisions without a trace that is followed, from 0 to 1. Of those in a trace, the
    ///         ones whose trace is sampled are followed, and those with an approval always. None for all decisions.
    ///
    /// Raises:
    ///     ConfigError: The server has not been started, or it has too many listeners.
    ///     ValueError: Not an outcome, or not a part.
    #[pyo3(signature = (*, grants = Vec::new(), tools = Vec::new(), outcomes = Vec::new(), sampled = None))]
    fn listen(
        &self,
        grants: Vec<String>,
        tools: Vec<String>,
        outcomes: Vec<String>,
        sampled: Option<f64>,
    ) -> PyResult<DecisionListener> {
        let filter = feed::filter(grants, tools, outcomes, sampled)?;
        let listener = self.started()?.listen(filter).map_err(Error::Listeners)?;
        Ok(DecisionListener::from(listener))
    }

    /// Counts the decisions of each grant.
    ///
    /// Raises:
    ///     ConfigError: The server has not been started, or it has too many listeners.
    fn tally_grants(&self) -> PyResult<GrantTally> {
        let tally = self.started()?.tally_grants().map_err(Error::Listeners)?;
        Ok(GrantTally::from(tally))
    }

    /// Takes up to `max` waiting events, oldest first: level, event, fields. Values of arguments never appear.
    #[pyo3(signature = (max = 1_000))]
    fn drain_events<'py>(&self, py: Python<'py>, max: usize) -> PyResult<Events<'py>> {
        events::convert(py, self.started()?.drain_events(max))
    }
}

/// The bounds by name; None stands for the default.
fn read_limits(given: Option<&Bound<'_, PyDict>>) -> PyResult<Limits> {
    let mut limits = Limits::default();
    for (key, value) in given.into_iter().flatten() {
        let key: String = key.extract()?;
        let limit = limits
            .get_mut(&key)
            .ok_or_else(|| keywords::unexpected("Server.__new__()", &key))?;
        if value.is_none() {
            continue;
        }
        match limit {
            LimitMut::Usize(limit) => *limit = keywords::value(&key, &value)?,
            LimitMut::U32(limit) => *limit = keywords::value(&key, &value)?,
            LimitMut::U64(limit) => *limit = keywords::value(&key, &value)?,
        }
    }
    Ok(limits)
}
