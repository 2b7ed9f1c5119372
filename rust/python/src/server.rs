//! `Server`: the data plane, on its own threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use callgate_server::{Clock, LimitMut, Limits, Reload, ServerConfig};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict, PyMapping};

use crate::clock::ManualClock;
use crate::engine::{Engine, compile};
use crate::error::Error;
use crate::events::{self, Events};
use crate::feed::{self, DecisionListener, GrantTally};
use crate::metrics::{MetricFamily, Metrics};
use crate::{keywords, load, setup};

/// The data plane: decisions over gRPC and HTTP. After a stop, its metrics stay available.
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
        gateway = None, **limits
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

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| callgate_server::Server::check(&self.config))
            .map_err(Error::from)?;
        Ok(())
    }

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

    #[getter]
    fn address(&self) -> PyResult<Option<String>> {
        Ok(self.started()?.address().map(|address| address.to_string()))
    }

    #[getter]
    fn socket(&self) -> PyResult<Option<String>> {
        Ok(self
            .started()?
            .socket()
            .map(|path| path.to_string_lossy().into_owned()))
    }

    #[getter]
    fn store_failure(&self) -> PyResult<Option<String>> {
        Ok(self.started()?.store_failure())
    }

    #[getter]
    fn upstream_faults(&self) -> PyResult<Vec<(String, String)>> {
        Ok(self.started()?.upstream_faults())
    }

    #[pyo3(signature = (
        path = None, catalogue = None, *, policies = None, servers = None, grants = None, grant_key = None, peps = None,
        tls = None, rate_limits = None, proxies = None, gateway = None
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
    ) -> PyResult<()> {
        let server = self.started()?;
        let has_parts = grants.is_some() || grant_key.is_some() || rate_limits.is_some();
        let state = match (path, policies, servers) {
            (Some(path), None, None) if !has_parts => {
                Some(compile(py, catalogue, move || load::policies_at(&path))?)
            }
            (None, Some(policies), Some(servers)) => Some(setup::state(
                py,
                policies,
                servers,
                grants,
                grant_key,
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

    fn set_serving(&self, serving: bool) -> PyResult<()> {
        self.started()?.set_serving(serving);
        Ok(())
    }

    fn metrics(&self, py: Python<'_>) -> PyResult<Metrics> {
        let server = self.started()?;
        Ok(Metrics::from(py.detach(|| server.metrics())))
    }

    fn metric_families(&self, py: Python<'_>) -> PyResult<Vec<MetricFamily>> {
        let server = self.started()?;
        let families = py.detach(|| server.metrics().families());
        Ok(families.into_iter().map(MetricFamily::from).collect())
    }

    #[pyo3(signature = (*, grants = Vec::new(), tools = Vec::new(), outcomes = Vec::new()))]
    fn listen(
        &self,
        grants: Vec<String>,
        tools: Vec<String>,
        outcomes: Vec<String>,
    ) -> PyResult<DecisionListener> {
        let filter = feed::filter(grants, tools, outcomes)?;
        let listener = self.started()?.listen(filter).map_err(Error::Listeners)?;
        Ok(DecisionListener::from(listener))
    }

    fn tally_grants(&self) -> PyResult<GrantTally> {
        let tally = self.started()?.tally_grants().map_err(Error::Listeners)?;
        Ok(GrantTally::from(tally))
    }

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
