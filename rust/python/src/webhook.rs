//! `Webhook`: a receiver of messages, met as MCP servers behind the gateway are.

use std::time::Duration;

use callgate_gateway::WebhookReply;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::Error;

/// A receiver of messages over HTTP; no connection is made before `post`.
///
/// Connections to link-local addresses and to the metadata services of clouds are refused, whatever the receiver's name
/// leads to, and redirects are not followed.
///
/// Args:
///     url: The receiver's URL, with ``http`` or ``https``.
///     ca: Certificates in PEM of the trusted authorities; None for the system's.
///     allow_link_local: True to connect to link-local addresses and metadata services as well.
///     timeout_ms: Longest time of a `post`, from the look-up of the receiver's name to the end of the reply.
///
/// Raises:
///     ConfigError: The URL or the certificates are invalid.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct Webhook {
    hook: callgate_gateway::Webhook,
}

/// Status, the field `retry-after`, and the beginning of the body.
type Reply<'py> = (u16, Option<String>, Bound<'py, PyBytes>);

#[pymethods]
impl Webhook {
    #[new]
    #[pyo3(signature = (url, *, ca = None, allow_link_local = false, timeout_ms = 10_000))]
    fn py_new(url: &str, ca: Option<&[u8]>, allow_link_local: bool, timeout_ms: u64) -> PyResult<Self> {
        let timeout = Duration::from_millis(timeout_ms);
        let hook = callgate_gateway::Webhook::new(url, ca, allow_link_local, timeout);
        Ok(Self {
            hook: hook.map_err(|error| Error::Value(format!("`{}`", error.part), error.message))?,
        })
    }

    /// Sends a message.
    ///
    /// Args:
    ///     fields: Header fields, names and values.
    ///     body: The message.
    ///
    /// Returns:
    ///     The status, the field ``Retry-After`` if there is one, and the first 1,024 bytes of the body of a reply
    ///     whose status is not one of success.
    ///
    /// Raises:
    ///     ConfigError: A field is invalid.
    ///     ConnectionError: The receiver has not answered.
    fn post<'py>(
        &self,
        py: Python<'py>,
        fields: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> PyResult<Reply<'py>> {
        let reply = py.detach(move || self.send(&fields, body))?;
        let beginning = PyBytes::new(py, &reply.beginning);
        Ok((reply.status, reply.retry_after, beginning))
    }
}

impl Webhook {
    fn send(&self, fields: &[(String, String)], body: Vec<u8>) -> Result<WebhookReply, Error> {
        let fields = callgate_gateway::Webhook::fields(fields)
            .map_err(|error| Error::Value(format!("`{}`", error.part), error.message))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::Value("webhook".to_owned(), error.to_string()))?;
        let answered = runtime.block_on(self.hook.post(&fields, body.into()));
        // The system's resolver may still wait for an answer that nobody needs any more.
        runtime.shutdown_background();
        answered.map_err(Error::Unanswered)
    }
}
