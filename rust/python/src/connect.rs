//! `connect`: connects a client that speaks MCP over pipes to a server that speaks streamable HTTP.

use callgate_gateway::upstream::UpstreamConfig;
use callgate_pipes::connect::{ConnectSettings, connect};
use pyo3::prelude::*;

use crate::error::Error;

/// The timeout of a reply; in practice the client decides how long it waits.
const ANSWER_TIMEOUT_MS: u64 = 7 * 24 * 3_600_000;

/// The longest line of a client. Results of sampling are the longest ones, and the server has its own limit.
const LINE_LIMIT_BYTES: usize = 64 << 20;

const WORKERS: usize = 2;

/// Connects standard input and output to the server; returns the exit code.
pub(crate) fn run(
    py: Python<'_>,
    url: String,
    headers: Vec<(String, String)>,
    ca: Option<Vec<u8>>,
) -> PyResult<i32> {
    let settings = ConnectSettings {
        upstream: UpstreamConfig {
            headers,
            ca_pem: ca,
            // The user who starts the process has named the address.
            allow_link_local: true,
            answer_timeout_ms: ANSWER_TIMEOUT_MS,
            ..UpstreamConfig::at(url)
        },
        line_limit_bytes: LINE_LIMIT_BYTES,
    };
    py.detach(|| {
        let fault = |error: String| Error::Value("connect".to_owned(), error);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("callgate-connect")
            .enable_all()
            .build()
            .map_err(|error| fault(error.to_string()))?;
        let ended = runtime.block_on(connect(settings));
        // A thread may still wait for input that is no longer needed.
        runtime.shutdown_background();
        ended.map_err(|error| fault(error.to_string()).into())
    })
}
