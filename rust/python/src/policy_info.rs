//! `PolicyInfo`: facts about one loaded policy.

use pyo3::prelude::*;

/// Facts about one loaded policy.
#[pyclass(frozen, eq, hash, get_all, module = "callgate._callgate")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct PolicyInfo {
    /// The policy's server; None if it serves every server.
    pub(crate) server: Option<String>,
    /// The name of the policy.
    pub(crate) name: String,
    /// First 12 hex digits of the SHA-256 of the canonical document.
    pub(crate) version: String,
    /// The tools that it names exactly.
    pub(crate) tools: Vec<String>,
}

#[pymethods]
impl PolicyInfo {
    fn __repr__(&self) -> String {
        let Self {
            server,
            name,
            version,
            tools,
        } = self;
        let server = server.as_deref().unwrap_or("(any)");
        format!(
            "<PolicyInfo server={server} name={name} version={version} tools={}>",
            tools.len()
        )
    }
}
