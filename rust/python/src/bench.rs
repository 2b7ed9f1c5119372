//! `BenchCalls` and `bench_run`: load tests.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use callgate_load::{Calls, Generate, Options, Report, Run, Target, Tls, Token, percentile_distribution};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::error::Error;
use crate::load;

/// Interval of the checks for signals and of the progress callback.
const TICK: Duration = Duration::from_millis(20);
const TICKS_PER_PROGRESS: u32 = 10;

/// The calls of a load test, sent in turn.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct BenchCalls {
    calls: Calls,
}

#[pymethods]
impl BenchCalls {
    /// Reads JSON lines, with `grant` or `grant_token`, `tool`, `args`, `server`, `session` and `labels`.
    ///
    /// Raises:
    ///     ConfigError: The file cannot be read, or a line has a fault; shown as ``file:line:column: message``.
    #[staticmethod]
    fn from_file(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let calls = py.detach(move || Calls::read(&path)).map_err(Error::from)?;
        Ok(Self { calls })
    }

    /// Generates calls that satisfy and calls that violate a policy, or each policy of a folder.
    ///
    /// Args:
    ///     path: See `Engine.from_file`.
    ///     catalogue: Facts about the tools.
    ///     grants: Distinct grants, from 1 to 1,000,000: ``grant-000001`` and so on.
    ///     seed: The same seed gives the same calls.
    ///
    /// Raises:
    ///     PolicyError: A document has a fault.
    ///     ConfigError: A file cannot be read, or an option has an invalid value.
    #[staticmethod]
    #[pyo3(signature = (path, catalogue = None, *, grants = 1, seed = 1))]
    fn from_policy(
        py: Python<'_>,
        path: PathBuf,
        catalogue: Option<&Bound<'_, PyAny>>,
        grants: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let catalogue = load::catalogue(catalogue)?;
        let calls = py.detach(move || -> Result<Calls, Error> {
            let policies = load::policies_at(&path)?;
            Ok(Calls::generate(policies, catalogue, Generate { grants, seed })?)
        })?;
        Ok(Self { calls })
    }

    /// Writes the calls in the format of `from_file`.
    ///
    /// Raises:
    ///     ConfigError: The file cannot be written.
    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(move || {
            let write = || {
                let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
                self.calls.write(&mut file)?;
                file.flush()
            };
            write().map_err(|error| Error::Unwritable(path, error))
        })?;
        Ok(())
    }

    fn __len__(&self) -> usize {
        self.calls.len()
    }
}

/// Runs a load test on its own threads, and returns the `result` of its report as JSON (`docs/load-tests.md`).
///
/// The first Ctrl-C ends the run early, and the measurements so far are reported; the second one is raised.
///
/// Args:
///     target: ``HOST:PORT``, ``https://HOST:PORT`` or ``unix:PATH``.
///     calls: The calls to send.
///     method: ``check``, ``batch`` or ``stream``.
///     batch_size: Calls of a batch; None for 64.
///     connections: None for 4.
///     streams: Requests in flight on each connection; None for 16.
///     rate: Requests per second of all connections together, at fixed times; None for a closed loop.
///     duration_ms: Duration of the measurement; None for 10 s.
///     warmup_ms: Duration of the same load before it; None for 1 s.
///     timeout_ms: Longest time of one answer; None for 10 s.
///     threads: Threads that generate the load; 0 for half of the cores.
///     token: Sent as ``authorization: Bearer``.
///     tls_ca: PEM file of the trusted authorities for the target's certificate.
///     tls_cert: PEM file of the client's own certificate, for mutual TLS.
///     tls_key: PEM file of that certificate's key.
///     progress: Called a few times a second with a JSON object; an exception from it ends the run.
///
/// Raises:
///     ConfigError: An option has an invalid value, the target cannot be reached, or no call got an answer.
#[pyfunction]
#[pyo3(signature = (
    target, calls, *, method = "check", batch_size = None, connections = None, streams = None, rate = None,
    duration_ms = None, warmup_ms = None, timeout_ms = None, threads = 0, token = None, tls_ca = None, tls_cert = None,
    tls_key = None, progress = None
))]
#[expect(clippy::too_many_arguments, reason = "one keyword per option")]
pub(crate) fn bench_run<'py>(
    py: Python<'py>,
    target: &str,
    calls: &Bound<'_, BenchCalls>,
    method: &str,
    batch_size: Option<usize>,
    connections: Option<usize>,
    streams: Option<usize>,
    rate: Option<f64>,
    duration_ms: Option<u64>,
    warmup_ms: Option<u64>,
    timeout_ms: Option<u64>,
    threads: usize,
    token: Option<String>,
    tls_ca: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Bound<'py, PyString>> {
    let defaults = Options::new(Target::parse(target).map_err(Error::from)?);
    let options = Options {
        tls: Tls {
            ca: tls_ca,
            certificate: tls_cert,
            key: tls_key,
        },
        token: token.map(Token::new).transpose().map_err(Error::from)?,
        method: method.parse().map_err(Error::from)?,
        batch_size: batch_size.unwrap_or(defaults.batch_size),
        connections: connections.unwrap_or(defaults.connections),
        streams: streams.unwrap_or(defaults.streams),
        rate,
        duration_ms: duration_ms.unwrap_or(defaults.duration_ms),
        warmup_ms: warmup_ms.unwrap_or(defaults.warmup_ms),
        timeout_ms: timeout_ms.unwrap_or(defaults.timeout_ms),
        threads,
        ..defaults
    };
    let calls = &calls.get().calls;
    let run = py.detach(|| Run::start(options, calls)).map_err(Error::from)?;
    watch(py, &run, progress)?;
    let report: Report = py.detach(|| run.finish()).map_err(Error::from)?;
    Ok(PyString::new(py, &report.to_json()))
}

/// Converts the `histogram` of a report into a percentile distribution in microseconds (`.hgrm`).
///
/// Raises:
///     ConfigError: The text is no HdrHistogram in base64.
#[pyfunction]
pub(crate) fn bench_hgrm(histogram: &str) -> PyResult<String> {
    Ok(percentile_distribution(histogram).map_err(Error::from)?)
}

/// Waits for the end of a run. The first Ctrl-C ends it early with the results so far; the second one aborts it.
fn watch(py: Python<'_>, run: &Run, progress: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    let mut was_stopped = false;
    for tick in 1_u32.. {
        if run.is_finished() {
            break;
        }
        py.detach(|| std::thread::sleep(TICK));
        let told = py.check_signals().and_then(|()| match progress {
            Some(progress) if tick % TICKS_PER_PROGRESS == 0 => {
                progress.call1((run.progress().to_json(),)).map(drop)
            }
            _ => Ok(()),
        });
        if let Err(error) = told {
            run.stop();
            if was_stopped || !error.is_instance_of::<PyKeyboardInterrupt>(py) {
                return Err(error);
            }
            was_stopped = true;
        }
    }
    Ok(())
}
