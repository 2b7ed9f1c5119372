//! The `audit` argument of `Server`: a mapping, converted to the data plane's configuration.

use std::path::PathBuf;

use callgate_server::{AuditConfig, AuditMode, AuditTarget};
use pyo3::prelude::*;
use pyo3::types::PyMapping;

use crate::error::Error;

const KEYS: &str = "`path`, `mode`, `max_bytes`, `max_age_s`, `keep`, `sync_interval_ms`";
/// The highest number of rotated files; a larger one is a mistake, because each rotation renames all of them.
const MAX_KEPT_FILES: u32 = 1_000;

/// Reads the mapping; an absent key has the default of [`AuditConfig::new`].
pub(crate) fn config(audit: &Bound<'_, PyMapping>) -> PyResult<AuditConfig> {
    let mut config = AuditConfig::new(AuditTarget::Stdout);
    let mut path = None;
    for item in audit.items()?.iter() {
        let (key, value): (String, Bound<'_, PyAny>) = item
            .extract()
            .map_err(|_| config_error("expected its keys to be strings".to_owned()))?;
        match key.as_str() {
            "path" => {
                let given: PathBuf = value.extract().map_err(|_| wrong_value(&key, "a path, or `-`"))?;
                path = Some(given);
            }
            "mode" => {
                config.mode = mode(&value).ok_or_else(|| wrong_value(&key, "`best_effort` or `required`"))?;
            }
            "max_bytes" => config.max_bytes = count(&key, &value)?,
            "max_age_s" => config.max_age_s = count(&key, &value)?,
            "sync_interval_ms" => config.sync_interval_ms = count(&key, &value)?,
            "keep" => {
                config.keep = value
                    .extract()
                    .ok()
                    .filter(|keep| (1..=MAX_KEPT_FILES).contains(keep))
                    .ok_or_else(|| wrong_value(&key, "a number of files from 1 to 1000"))?;
            }
            _ => return Err(config_error(format!("unknown key `{key}`, expected {KEYS}"))),
        }
    }
    let path = path.ok_or_else(|| {
        config_error("`path` is missing; name a file, or `-` for standard output".to_owned())
    })?;
    if path.as_os_str().is_empty() {
        return Err(wrong_value("path", "a path, or `-`"));
    }
    if path.as_os_str() != "-" {
        config.target = AuditTarget::File(path);
    }
    Ok(config)
}

fn mode(value: &Bound<'_, PyAny>) -> Option<AuditMode> {
    match value.extract::<String>().ok()?.as_str() {
        "best_effort" => Some(AuditMode::BestEffort),
        "required" => Some(AuditMode::Required),
        _ => None,
    }
}

fn count(key: &str, value: &Bound<'_, PyAny>) -> PyResult<u64> {
    value
        .extract()
        .map_err(|_| wrong_value(key, "a whole number, 0 for never"))
}

fn wrong_value(key: &str, expected: &str) -> PyErr {
    config_error(format!("`{key}`: expected {expected}"))
}

fn config_error(message: String) -> PyErr {
    Error::Audit(message).into()
}
