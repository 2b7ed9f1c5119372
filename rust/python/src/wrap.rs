//! `Wrap`: runs between a client and a server that speak MCP over pipes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use callgate_gateway::pins::Mode;
use callgate_mcp::Methods;
use callgate_pipes::stdio::{ServerCommand, WrapError, WrapSettings};
use callgate_server::{AuditTarget, WrapCaller, WrapConfig};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyMapping};

use crate::approvals::ApprovalQueue;
use crate::engine::Engine;
use crate::error::Error;
use crate::events::{self, Events};

/// The longest reply that is held because it may be a list of tools: hundreds of times what servers send.
const HELD_LIMIT_BYTES: usize = 16 << 20;

/// The default time that a server may take for each step of its shutdown. It is a little less than the official clients
/// wait before each of theirs, so that callgate is not killed before the server has ended.
const GRACE_MS: u64 = 1_500;

/// An MCP server that communicates over pipes, with every line of its client judged (``docs/stdio.md``).
///
/// `run` starts the server.
///
/// Args:
///     engine: The engine with the policies and counters.
///     server: The server's name.
///     command: The program and its arguments.
///     grant: Id of the grant that is charged.
///     grant_token: The caller's token in place of `grant`, if grants are configured.
///     methods: Allowed methods and denied methods, in addition to the known ones.
///     lists_allowed_only: Leave tools that the caller may never call out of lists, and not only hidden ones.
///     audit: The decision log, as `Server` takes it; ``-`` is standard error here. None for none.
///     grace_ms: Longest time until the server ends after the end of its input, and again after SIGTERM; 1,500 by
///         default.
///     line_limit_bytes: The longest line of the client that is judged; None for 4 MiB.
///     held_limit_bytes: The longest reply that is held because it may be a list of tools; 16 MiB by default.
///     hidden_variables: Variables of the environment that the server does not get.
///     pins_folder: The folder of the server's accepted tools; None to pin nothing.
///     pinning: Treatment of tools that differ from the accepted ones: ``"off"``, ``"report"`` or ``"enforce"``
///         (default).
///     first_lists_s: Time in seconds after the server's first complete list in which first lists of other
///         variants are accepted; None for 24 hours.
///     freeze_file: The file of freezes, read twice a second; None for none.
///     approvals: The queue of questions about calls that need a person's approval; None to deny them.
///
/// Raises:
///     ConfigError: A value has the wrong form, or the decision log, the folder of pins or the file of freezes cannot
///         be opened.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct Wrap {
    wrap: callgate_server::Wrap,
}

#[pymethods]
impl Wrap {
    #[new]
    #[pyo3(signature = (
        engine, server, command, *, grant = None, grant_token = None, methods = None, lists_allowed_only = false, audit = None,
        grace_ms = GRACE_MS, line_limit_bytes = None, held_limit_bytes = HELD_LIMIT_BYTES, hidden_variables = Vec::new(),
        pins_folder = None, pinning = None, first_lists_s = None, freeze_file = None,
        approvals = None
    ))]
    #[expect(
        clippy::too_many_arguments,
        reason = "one keyword for each setting is what Python callers expect"
    )]
    fn py_new(
        engine: &Bound<'_, Engine>,
        server: String,
        command: Vec<OsString>,
        grant: Option<String>,
        grant_token: Option<String>,
        methods: Option<&Bound<'_, PyAny>>,
        lists_allowed_only: bool,
        audit: Option<&Bound<'_, PyMapping>>,
        grace_ms: u64,
        line_limit_bytes: Option<usize>,
        held_limit_bytes: usize,
        hidden_variables: Vec<String>,
        pins_folder: Option<PathBuf>,
        pinning: Option<&str>,
        first_lists_s: Option<u64>,
        freeze_file: Option<PathBuf>,
        approvals: Option<&Bound<'_, ApprovalQueue>>,
    ) -> PyResult<Self> {
        let engine = engine.get();
        let mut words = command.into_iter();
        let program = words
            .next()
            .ok_or_else(|| config_error("command", "expected a program and its arguments"))?;
        let caller = match (grant, grant_token) {
            (Some(grant), None) => WrapCaller::Grant(grant),
            (None, Some(token)) => WrapCaller::Token(token),
            _ => return Err(config_error("grant", "expected either `grant` or `grant_token`")),
        };
        let mut audit = audit.map(crate::audit::config).transpose()?;
        if let Some(audit) = &mut audit
            && audit.target == AuditTarget::Stdout
        {
            // Standard output belongs to the client.
            audit.target = AuditTarget::Stderr;
        }
        let mode = match pinning {
            None => Mode::default(),
            Some(word) => word
                .parse()
                .map_err(|error| config_error("pinning", &format!("{error}")))?,
        };
        let usual = callgate_server::Limits::default();
        let config = WrapConfig {
            server,
            caller,
            methods: methods.map(read_methods).transpose()?.unwrap_or_default(),
            lists_allowed_only,
            settings: WrapSettings {
                command: ServerCommand {
                    program,
                    args: words.collect(),
                    hidden_variables,
                },
                grace: Duration::from_millis(grace_ms),
                line_limit_bytes: line_limit_bytes.unwrap_or(usual.body_limit_bytes),
                held_limit_bytes,
            },
            approvals: approvals.map(|queue| queue.get().channel()),
            freeze_file,
            audit,
            pins: pins_folder.map(|folder| (folder, mode)),
            first_lists: first_lists_s.map(Duration::from_secs),
            flush_interval_ms: engine.flush_interval_ms,
        };
        let wrap = callgate_server::Wrap::new(Arc::clone(&engine.core), engine.clock.clone(), config)
            .map_err(Error::from)?;
        Ok(Self { wrap })
    }

    /// Relays between standard input and output and the server until the server has ended.
    ///
    /// Returns:
    ///     The exit code, as of a shell that runs the server (128 plus the number of a signal), and the reason for
    ///     which it could not be started, if any.
    fn run(&self, py: Python<'_>) -> PyResult<(i32, Option<String>)> {
        match py.detach(|| self.wrap.run()) {
            Ok(code) => Ok((code, None)),
            Err(WrapError::Spawn(error)) => Ok((error.exit_code, Some(error.to_string()))),
            Err(error @ WrapError::System(_)) => Err(config_error("server", &error.to_string())),
        }
    }

    /// Takes up to `max` waiting events, oldest first: level, event, fields. Values of arguments never appear.
    #[pyo3(signature = (max = 1_000))]
    fn drain_events<'py>(&self, py: Python<'py>, max: usize) -> PyResult<Events<'py>> {
        events::convert(py, self.wrap.drain_events(max))
    }
}

fn read_methods(methods: &Bound<'_, PyAny>) -> PyResult<Methods> {
    let (allow, deny): (Vec<String>, Vec<String>) = methods
        .extract()
        .map_err(|_| config_error("methods", "expected two lists, those allowed and those denied"))?;
    Methods::new(&allow, &deny).map_err(|error| config_error("methods", &error.to_string()))
}

fn config_error(place: &str, message: &str) -> PyErr {
    Error::Value(place.to_owned(), message.to_owned()).into()
}
