//! The Python module `callgate._callgate`: conversion between Python's values and the Rust crates, and one mapping of
//! errors. Types and documentation for Python's side live in `python/callgate/_callgate.pyi`.

mod args;
mod audit;
mod bench;
mod call;
mod clock;
mod connect;
mod counters;
mod decision;
mod document;
mod engine;
mod error;
mod events;
mod explain;
mod feed;
mod gateway;
mod keywords;
mod load;
mod metrics;
mod oauth;
mod peek;
mod pins;
mod proxies;
mod server;
mod setup;
mod wrap;

// Threads of the data plane allocate and free memory all the time; with the system's allocator they wait for each
// other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// callgate's Rust half; use the package `callgate`, which exports it.
#[pyo3::pymodule(gil_used = false)]
mod _callgate {
    use std::borrow::Cow;
    use std::path::PathBuf;

    use pyo3::prelude::*;
    use pyo3::types::{PyBytes, PyDict};

    #[pymodule_export]
    use crate::bench::{BenchCalls, bench_hgrm, bench_run};
    #[pymodule_export]
    use crate::clock::ManualClock;
    #[pymodule_export]
    use crate::decision::{Decision, LimitState, Shadow};
    #[pymodule_export]
    use crate::document::DocumentTree;
    #[pymodule_export]
    use crate::engine::{Engine, PolicyInfo};
    #[pymodule_export]
    use crate::explain::{ConditionStep, Explanation, Step};
    #[pymodule_export]
    use crate::feed::{DecisionListener, GrantTally};
    #[pymodule_export]
    use crate::metrics::{MetricFamily, Metrics};
    #[pymodule_export]
    use crate::peek::{Peek, PeekedLimit};
    #[pymodule_export]
    use crate::server::Server;
    #[pymodule_export]
    use crate::wrap::Wrap;

    /// The warnings about a policy file or a folder of them: file, line, column and message of each.
    #[pyfunction]
    #[pyo3(signature = (path))]
    fn validate(py: Python<'_>, path: PathBuf) -> PyResult<Vec<(String, usize, usize, String)>> {
        let warnings = py.detach(move || crate::load::warnings_at(&path))?;
        Ok(warnings
            .into_iter()
            .map(|(file, warning)| (file, warning.line, warning.column, warning.message))
            .collect())
    }

    /// Every fault of a policy file, in document order: line, column and message of each.
    #[pyfunction]
    #[pyo3(signature = (path))]
    fn policy_faults(py: Python<'_>, path: PathBuf) -> PyResult<Vec<(usize, usize, String)>> {
        let faults = py.detach(move || crate::load::faults_of(&path))?;
        Ok(faults
            .into_iter()
            .map(|fault| (fault.line, fault.column, fault.message))
            .collect())
    }

    /// The settings of a policy that change nothing in this version: line, column and message of each.
    #[pyfunction]
    #[pyo3(signature = (file, content))]
    fn ineffective_settings(py: Python<'_>, file: &str, content: &[u8]) -> Vec<(usize, usize, String)> {
        let warnings = py.detach(|| crate::load::ineffective_settings(file, content));
        warnings
            .into_iter()
            .map(|warning| (warning.line, warning.column, warning.message))
            .collect()
    }

    /// The properties of a counter file.
    #[pyfunction]
    #[pyo3(signature = (path))]
    fn counters_facts(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyDict>> {
        crate::counters::facts(py, path)
    }

    /// Repairs a counter file.
    #[pyfunction]
    #[pyo3(signature = (path))]
    fn counters_repair(py: Python<'_>, path: PathBuf) -> PyResult<crate::counters::Repair> {
        crate::counters::repair(py, path)
    }

    /// The pinned tools of one server or of all servers.
    #[pyfunction]
    #[pyo3(signature = (folder, server=None))]
    fn pins_read<'py>(
        py: Python<'py>,
        folder: PathBuf,
        server: Option<&str>,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        crate::pins::read(py, folder, server)
    }

    /// Accepts tools as their server last listed them; returns the accepted tools with their digests.
    #[pyfunction]
    #[pyo3(signature = (folder, server, tools=None, digest=None, keeps_others=false, variant=None))]
    fn pins_accept(
        py: Python<'_>,
        folder: PathBuf,
        server: &str,
        tools: Option<Vec<String>>,
        digest: Option<&str>,
        keeps_others: bool,
        variant: Option<&str>,
    ) -> PyResult<Vec<(String, String)>> {
        let accepted = py.detach(move || {
            let tools = tools.as_deref();
            crate::pins::accept(&folder, server, tools, digest, keeps_others, variant)
        })?;
        Ok(accepted)
    }

    /// Records a complete list as if the server had just sent it; returns the tools that are changed or new.
    #[pyfunction]
    #[pyo3(signature = (folder, server, url, command, answer, variant=None))]
    fn pins_record(
        py: Python<'_>,
        folder: PathBuf,
        server: &str,
        url: Option<&str>,
        command: Option<Vec<String>>,
        answer: &[u8],
        variant: Option<&str>,
    ) -> PyResult<Vec<(String, &'static str)>> {
        let changed = py.detach(move || {
            let endpoint = crate::pins::endpoint(url, command.as_deref())?;
            crate::pins::record(&folder, server, endpoint, answer, variant)
        })?;
        Ok(changed)
    }

    /// Removes the accepted tools of a server.
    #[pyfunction]
    #[pyo3(signature = (folder, server))]
    fn pins_reset(py: Python<'_>, folder: PathBuf, server: &str) -> PyResult<()> {
        Ok(py.detach(move || crate::pins::reset(&folder, server))?)
    }

    /// The JSON bytes of an arguments value, as `Engine.check` reads it.
    #[pyfunction]
    #[pyo3(signature = (args))]
    fn args_json<'py>(args: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        if let Ok(bytes) = args.cast::<PyBytes>() {
            return Ok(bytes.clone());
        }
        let bytes: Cow<'_, [u8]> = crate::args::to_json(args)?;
        Ok(PyBytes::new(args.py(), &bytes))
    }

    /// Connects a client on standard input and output to a server that speaks streamable HTTP; returns the exit code.
    #[pyfunction]
    #[pyo3(signature = (url, *, headers = Vec::new(), ca = None))]
    fn connect(
        py: Python<'_>,
        url: String,
        headers: Vec<(String, String)>,
        ca: Option<Vec<u8>>,
    ) -> PyResult<i32> {
        crate::connect::run(py, url, headers, ca)
    }

    /// The limit of open file descriptors, and how many of them connections leave free.
    #[pyfunction]
    fn descriptor_limit() -> Option<(u64, u64)> {
        callgate_server::descriptor_limit()
    }

    /// The keyed hash of a token, for use in configurations.
    #[pyfunction]
    #[pyo3(signature = (key, token))]
    fn hash_token(key: &[u8], token: &str) -> PyResult<String> {
        let key = crate::setup::token_key("key", key)?;
        Ok(key.digest(callgate_core::grant::Token::new(token)).to_hex())
    }

    /// A new random token.
    #[pyfunction]
    fn new_token() -> PyResult<String> {
        callgate_server::new_token().map_err(crate::engine::no_randomness)
    }

    /// The JSON Schema of the policy format.
    #[pyfunction]
    fn policy_schema() -> &'static str {
        callgate_core::policy::json_schema()
    }

    /// The version of this build.
    #[pyfunction]
    fn version() -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}
