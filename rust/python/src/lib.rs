//! The Python module `callgate._callgate`: conversion between Python's values and the Rust crates, and one mapping of
//! errors. The documentation of classes and functions is that of Python's users: docstrings, in Google's style. The stub
//! `python/callgate/_callgate.pyi` holds their types, and copies of the docstrings, which `make stub` writes.

#![expect(
    clippy::doc_markdown,
    reason = "docstrings name exceptions and parameters as Google's style has them, without backticks"
)]

mod approval;
mod approvals;
mod args;
mod audit;
mod bench;
mod call;
mod candidates;
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
mod freezes;
mod gateway;
mod grants;
mod keywords;
mod load;
mod metrics;
mod oauth;
mod peek;
mod pins;
mod policy_info;
mod prose;
mod proxies;
mod replay;
mod server;
mod setup;
mod shared;
mod sizes;
mod text;
mod webhook;
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
    use crate::approval::Approval;
    #[pymodule_export]
    use crate::approvals::ApprovalQueue;
    #[pymodule_export]
    use crate::bench::{BenchCalls, bench_hgrm, bench_run};
    #[pymodule_export]
    use crate::clock::ManualClock;
    #[pymodule_export]
    use crate::decision::{Decision, LimitState, Shadow};
    #[pymodule_export]
    use crate::document::DocumentTree;
    #[pymodule_export]
    use crate::engine::Engine;
    #[pymodule_export]
    use crate::explain::{ConditionStep, Explanation, Step};
    #[pymodule_export]
    use crate::feed::{DecisionListener, GrantTally};
    #[pymodule_export]
    use crate::grants::ManagedGrants;
    #[pymodule_export]
    use crate::metrics::{MetricFamily, Metrics};
    #[pymodule_export]
    use crate::peek::{Peek, PeekedLimit};
    #[pymodule_export]
    use crate::policy_info::PolicyInfo;
    #[pymodule_export]
    use crate::prose::{SentenceScorer, TextPatterns, sentence_terms};
    #[pymodule_export]
    use crate::replay::{Replay, ReplayedLine};
    #[pymodule_export]
    use crate::server::Server;
    #[pymodule_export]
    use crate::webhook::Webhook;
    #[pymodule_export]
    use crate::wrap::Wrap;

    /// The warnings about a policy file or a folder of them: file, line, column and message of each.
    ///
    /// Raises:
    ///     PolicyError: A document has a fault.
    ///     ConfigError: A file cannot be read.
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
    ///
    /// Empty if it can be loaded; at most 100.
    ///
    /// Raises:
    ///     ConfigError: The file cannot be read.
    #[pyfunction]
    #[pyo3(signature = (path))]
    fn policy_faults(py: Python<'_>, path: PathBuf) -> PyResult<Vec<(usize, usize, String)>> {
        let faults = py.detach(move || crate::load::faults_of(&path))?;
        Ok(crate::load::placed(faults))
    }

    /// Every fault of a catalogue file, in document order: line, column and message of each.
    ///
    /// Empty if it can be loaded; at most 100.
    ///
    /// Raises:
    ///     ConfigError: The file cannot be read.
    #[pyfunction]
    #[pyo3(signature = (path))]
    fn catalogue_faults(py: Python<'_>, path: PathBuf) -> PyResult<Vec<(usize, usize, String)>> {
        let faults = py.detach(move || crate::load::catalogue_faults_of(&path))?;
        Ok(crate::load::placed(faults))
    }

    /// The settings of a policy that change nothing in this version: line, column and message of each.
    ///
    /// Empty for a policy with a fault, which its engine reports.
    #[pyfunction]
    #[pyo3(signature = (file, content))]
    fn ineffective_settings(py: Python<'_>, file: &str, content: &[u8]) -> Vec<(usize, usize, String)> {
        let warnings = py.detach(|| crate::load::ineffective_settings(file, content));
        warnings
            .into_iter()
            .map(|warning| (warning.line, warning.column, warning.message))
            .collect()
    }

    /// Facts about a file of counters, even while a process uses it: version, counters, bytes and so on.
    ///
    /// Raises:
    ///     StoreError: The file does not exist, or is foreign, newer, or too damaged to read.
    #[pyfunction]
    #[pyo3(signature = (path))]
    fn counters_facts(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyDict>> {
        crate::counters::facts(py, path)
    }

    /// Replaces a damaged file by one with every intact counter, and keeps the damaged file beside it.
    ///
    /// Returns:
    ///     Counters kept; the number of doubtful ones among them, from blocks that do not match their checksum;
    ///     counters dropped; doubtful blocks; blocks dropped because they are unreadable; damaged resets, whose counts
    ///     are as before them; and the path of the old file.
    ///
    /// Raises:
    ///     StoreError: The file is in use, foreign, newer, or too damaged to repair; or the disk is full.
    #[pyfunction]
    #[pyo3(signature = (path))]
    fn counters_repair(py: Python<'_>, path: PathBuf) -> PyResult<crate::counters::Repair> {
        crate::counters::repair(py, path)
    }

    /// The pinned tools of one server or of all servers.
    ///
    /// Returns:
    ///     For each server ``server``, ``is_complete`` (true after a complete list), ``unfinished_since_unix_s`` (the
    ///     start of its first list, if that is unfinished for more than a day, else None), ``first_lists_since_unix_s``
    ///     (start of the time for first lists of other variants, None if it is over or has not begun), ``variants``
    ///     (the kinds of clients that were shown lists, each with true if a complete first list of it was accepted) and
    ///     ``tools``. For each tool ``tool``, ``state`` (``pinned``, ``changed`` or ``new``), ``pinned`` (the accepted
    ///     forms, latest last) and ``listed`` (the listed forms that are not accepted, latest last). For each form
    ///     ``digest``, ``endpoint``, ``listed_at_unix_s``, ``variants`` (those in whose lists it was accepted, or that
    ///     were shown it last), ``is_ambiguous`` (listed twice, with different definitions) and ``members``: names and
    ///     JSON over several lines.
    ///
    /// Raises:
    ///     ConfigError: No tools of that server are pinned.
    ///     StoreError: A file cannot be read, or is damaged.
    #[pyfunction]
    #[pyo3(signature = (folder, server=None))]
    fn pins_read<'py>(
        py: Python<'py>,
        folder: PathBuf,
        server: Option<&str>,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        crate::pins::read(py, folder, server)
    }

    /// Accepts tools in the form that their server listed last.
    ///
    /// Args:
    ///     folder: The folder of pins.
    ///     server: The server's name.
    ///     tools: The names of the tools; None for all that are changed or new.
    ///     digest: The required prefix of the digest of each tool.
    ///     keeps_others: True to keep forms that were accepted before.
    ///     variant: Accept only the forms for clients of this variant, and keep those of other variants.
    ///
    /// Returns:
    ///     The newly accepted tools, each with its digest.
    ///
    /// Raises:
    ///     ConfigError: The server has no such tool, lists it twice with different definitions, or the digest differs.
    ///     StoreError: A file cannot be read or written, or is damaged.
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

    /// Records and saves a complete list, as if the server had just sent it.
    ///
    /// Args:
    ///     folder: The folder of pins, which is created if it does not exist.
    ///     server: The server's name.
    ///     url: The server's URL; pass either this or `command`.
    ///     command: The command that starts the server.
    ///     answer: A JSON-RPC answer to ``tools/list``, or its result.
    ///     variant: The variant of clients that are shown the list; None for all.
    ///
    /// Returns:
    ///     Tools that became ``changed`` or ``new``.
    ///
    /// Raises:
    ///     ConfigError: The list is incomplete or too large.
    ///     StoreError: A file cannot be read or written, or is damaged.
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

    /// Removes the accepted and the listed tools of a server.
    ///
    /// Raises:
    ///     ConfigError: No tools of that server are pinned.
    ///     StoreError: The file cannot be removed.
    #[pyfunction]
    #[pyo3(signature = (folder, server))]
    fn pins_reset(py: Python<'_>, folder: PathBuf, server: &str) -> PyResult<()> {
        Ok(py.detach(move || crate::pins::reset(&folder, server))?)
    }

    /// The rows of a file of freezes; without the file there are none.
    ///
    /// Returns:
    ///     For each row ``server``, ``tool`` and ``grant`` (None if it is not about one), ``reason``, ``until_us`` (None
    ///     without an end), ``at_us`` and ``by``. Times are microseconds since 1970.
    ///
    /// Raises:
    ///     ConfigError: The file cannot be read, or has a fault, with its line and column.
    #[pyfunction]
    #[pyo3(signature = (path))]
    fn freezes_read(py: Python<'_>, path: PathBuf) -> PyResult<Vec<Bound<'_, PyDict>>> {
        let rows = py
            .detach(move || callgate_server::read_freezes(&path))
            .map_err(crate::error::Error::Freezes)?;
        crate::freezes::rows(py, &rows)
    }

    /// The JSON bytes of an arguments value, as `Engine.check` reads it.
    ///
    /// Raises:
    ///     TypeError: It contains a value of a type without a JSON form.
    #[pyfunction]
    #[pyo3(signature = (args))]
    fn args_json<'py>(args: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        if let Ok(bytes) = args.cast::<PyBytes>() {
            return Ok(bytes.clone());
        }
        let bytes: Cow<'_, [u8]> = crate::args::to_json(args)?;
        Ok(PyBytes::new(args.py(), &bytes))
    }

    /// Connects the client at standard input and output to a server with streamable HTTP (``docs/stdio.md``).
    ///
    /// Args:
    ///     url: The server's endpoint.
    ///     headers: Fields of every request, names and values.
    ///     ca: Certificates in PEM of the trusted authorities; None for the system's.
    ///
    /// Returns:
    ///     The exit code: 0 at the end of the input, 128 plus the number of a signal.
    ///
    /// Raises:
    ///     ConfigError: The URL or a field is invalid.
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

    /// The most file descriptors that this process may open, and the number of them that connections leave free.
    ///
    /// Reloads, the admin port and files use those. None without a limit.
    #[pyfunction]
    fn descriptor_limit() -> Option<(u64, u64)> {
        callgate_server::descriptor_limit()
    }

    /// The hash of a token in the form of configurations: keyed BLAKE3, 64 hexadecimal digits.
    ///
    /// Args:
    ///     key: 32 random bytes, a secret of the sidecar.
    ///     token: The token; upper and lower case differ.
    ///
    /// Raises:
    ///     ConfigError: The key is not 32 bytes long.
    #[pyfunction]
    #[pyo3(signature = (key, token))]
    fn hash_token(key: &[u8], token: &str) -> PyResult<String> {
        let key = crate::setup::token_key("key", key)?;
        Ok(key.digest(callgate_core::grant::Token::new(token)).to_hex())
    }

    /// A new random token: ``cgt_`` and 43 characters of URL-safe base64.
    #[pyfunction]
    fn new_token() -> PyResult<String> {
        callgate_server::new_token().map_err(crate::sizes::no_randomness)
    }

    /// The JSON Schema (2020-12) of the policy format.
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
