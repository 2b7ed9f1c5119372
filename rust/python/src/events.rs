//! Conversion of the data plane's events for Python's log.

use callgate_server::{Event, FieldValue};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Level, name and fields of each event.
pub(crate) type Events<'py> = Vec<(&'static str, &'static str, Bound<'py, PyDict>)>;

/// Converts the events.
pub(crate) fn convert(py: Python<'_>, events: Vec<Event>) -> PyResult<Events<'_>> {
    let convert = |event: Event| {
        let fields = PyDict::new(py);
        for (name, value) in event.fields {
            match value {
                FieldValue::Text(text) => fields.set_item(name, text)?,
                FieldValue::Number(number) => fields.set_item(name, number)?,
            }
        }
        Ok((event.level.as_str(), event.event, fields))
    };
    events.into_iter().map(convert).collect()
}
