//! Freezes as Python values.

use callgate_core::Now;
use callgate_core::freeze::{Freeze, FreezeRow, FreezeScope};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::Error;

/// The rows of a file.
pub(crate) fn rows<'py>(py: Python<'py>, rows: &[FreezeRow]) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let row = |row: &FreezeRow| {
        let fields = fields(py, &row.freeze)?;
        fields.set_item("at_us", row.at_us)?;
        fields.set_item("by", &row.by)?;
        Ok(fields)
    };
    rows.iter().map(row).collect()
}

/// The fields of a freeze.
pub(crate) fn fields<'py>(py: Python<'py>, freeze: &Freeze) -> PyResult<Bound<'py, PyDict>> {
    let scope = freeze.scope();
    let fields = PyDict::new(py);
    fields.set_item("server", scope.server())?;
    fields.set_item("tool", scope.tool())?;
    fields.set_item("grant", scope.grant())?;
    fields.set_item("reason", freeze.reason())?;
    fields.set_item("until_us", freeze.until_us())?;
    Ok(fields)
}

/// The calls that these names select.
pub(crate) fn scope(server: Option<&str>, tool: Option<&str>, grant: Option<&str>) -> PyResult<FreezeScope> {
    FreezeScope::new(server, tool, grant).map_err(|fault| Error::Value("freeze".to_owned(), fault).into())
}

/// A freeze until a time, or for a time from now on.
pub(crate) fn freeze(
    scope: FreezeScope,
    reason: &str,
    until_us: Option<u64>,
    for_ms: Option<u64>,
    now: Now,
) -> PyResult<Freeze> {
    let until_us = match (until_us, for_ms) {
        (Some(_), Some(_)) => {
            return Err(PyValueError::new_err(
                "expected either `until_us` or `for_ms`, not both",
            ));
        }
        (None, Some(for_ms)) => Some(now.unix_us().saturating_add(for_ms.saturating_mul(1_000))),
        (until_us, None) => until_us,
    };
    Freeze::new(scope, reason, until_us).map_err(|fault| Error::Value("freeze".to_owned(), fault).into())
}
