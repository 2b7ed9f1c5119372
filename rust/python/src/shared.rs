//! The store of counters that nodes share, as Python passes it.

use std::time::Duration;

use callgate_shared::{SharedConfig, hash_key};
use pyo3::prelude::*;

use crate::setup::Fields;

/// The store of counters that nodes share, and the key of their identities.
pub(crate) struct SharedArgument {
    pub(crate) config: SharedConfig,
    pub(crate) hash_key: [u8; 16],
}

impl<'py> FromPyObject<'_, 'py> for SharedArgument {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let mapping = value.to_owned();
        let fields = Fields::named("shared".to_owned(), &mapping)?;
        fields.refuse_others(&[
            "url",
            "password",
            "ca_pem",
            "budget_ms",
            "prefix",
            "lease_ms",
            "recovery_ms",
            "grant_key",
        ])?;
        let grant_key: Vec<u8> = fields.required("grant_key")?;
        let recovery_ms: Option<u64> = fields.optional("recovery_ms")?;
        Ok(Self {
            config: SharedConfig {
                url: fields.required("url")?,
                password: fields.optional("password")?,
                ca_pem: fields.optional("ca_pem")?,
                prefix: fields.required("prefix")?,
                lease: Duration::from_millis(fields.required("lease_ms")?),
                recovery: recovery_ms.map(Duration::from_millis),
                budget: Duration::from_millis(fields.required("budget_ms")?),
            },
            hash_key: hash_key(&grant_key),
        })
    }
}
