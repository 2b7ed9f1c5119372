//! Counters in a file: its place, its properties and its repair.

use std::path::PathBuf;

use callgate_core::engine::{Reset, ResetLimit};
use callgate_counters::{ClockReading, Facts, Repaired};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::Error;

/// The file that `counters` names; `None` for memory.
pub(crate) fn place(counters: Option<&str>) -> Result<Option<PathBuf>, Error> {
    match counters {
        None | Some("memory") => Ok(None),
        Some(text) => match text.strip_prefix("file:") {
            Some(path) if !path.is_empty() => Ok(Some(PathBuf::from(path))),
            _ => Err(Error::Counters(text.to_owned())),
        },
    }
}

/// Reads the machine's clocks.
pub(crate) fn read_clocks() -> Result<ClockReading, Error> {
    callgate_server::read_clocks().map_err(Error::Clocks)
}

/// The properties of a file, by name.
pub(crate) fn facts(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    let facts = py.detach(move || Facts::read(&path).map_err(Error::from))?;
    let Facts {
        version,
        bytes,
        blocks,
        blocks_used,
        blocks_damaged,
        blocks_missing,
        counters,
        counters_damaged,
        layouts,
        resets,
        resets_damaged,
        clean,
        pid,
        created_unix_s,
        flushed_unix_us,
    } = facts;
    let found = PyDict::new(py);
    found.set_item("version", version)?;
    found.set_item("counters", counters)?;
    found.set_item("counters_damaged", counters_damaged)?;
    found.set_item("layouts", layouts)?;
    found.set_item("resets", resets)?;
    found.set_item("resets_damaged", resets_damaged)?;
    found.set_item("bytes", bytes)?;
    found.set_item("blocks", blocks)?;
    found.set_item("blocks_used", blocks_used)?;
    found.set_item("blocks_damaged", blocks_damaged)?;
    found.set_item("blocks_missing", blocks_missing)?;
    found.set_item("clean", clean)?;
    found.set_item("pid", pid)?;
    found.set_item("created_unix_s", created_unix_s)?;
    found.set_item("flushed_unix_us", flushed_unix_us)?;
    Ok(found)
}

/// Counters kept, doubtful and dropped; blocks doubtful and dropped; resets dropped; the path of the damaged file.
pub(crate) type Repair = (usize, usize, usize, u32, u32, usize, PathBuf);

/// Repairs a file.
pub(crate) fn repair(py: Python<'_>, path: PathBuf) -> PyResult<Repair> {
    let Repaired {
        kept,
        dropped,
        doubtful,
        blocks_doubtful,
        blocks_dropped,
        resets_dropped,
        set_aside,
    } = py.detach(move || Repaired::at(&path, &read_clocks()?).map_err(Error::from))?;
    Ok((
        kept,
        doubtful,
        dropped,
        blocks_doubtful,
        blocks_dropped,
        resets_dropped,
        set_aside,
    ))
}

/// The result of a reset, by name.
pub(crate) fn reset<'py>(py: Python<'py>, reset: &Reset) -> PyResult<Bound<'py, PyDict>> {
    let limit = |limit: &ResetLimit| {
        let found = PyDict::new(py);
        found.set_item("policy", &limit.policy)?;
        found.set_item("rule", &limit.rule)?;
        found.set_item("counter", &limit.counter)?;
        found.set_item("shared", limit.is_shared)?;
        Ok::<_, PyErr>(found)
    };
    let limits = reset.limits.iter().map(&limit).collect::<PyResult<Vec<_>>>()?;
    let kept = reset
        .kept
        .iter()
        .map(|kept| {
            let found = limit(&kept.limit)?;
            found.set_item("reason", kept.reason.as_str())?;
            Ok(found)
        })
        .collect::<PyResult<Vec<_>>>()?;
    let found = PyDict::new(py);
    found.set_item("limits", limits)?;
    found.set_item("kept", kept)?;
    found.set_item("grant_counters", reset.grant_counters)?;
    Ok(found)
}
