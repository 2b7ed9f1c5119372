//! Values as `repr` shows them, and as `pickle` and `copy` take them.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// Characters of a text that a `repr` shows.
const SHOWN_CHARACTERS: usize = 80;

/// Items of a list that a `repr` shows.
const SHOWN_ITEMS: usize = 4;

/// A text in a `repr`: quoted on one line, shortened, and without what looks like a token or a key.
pub(crate) fn shown(py: Python<'_>, text: &str) -> PyResult<String> {
    let masked = py.import("callgate.text")?.call_method1("masked", (text,))?;
    let masked: String = masked.extract()?;
    let mut shown: String = masked.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < masked.len() {
        shown.push_str("...");
    }
    Ok(PyString::new(py, &shown).repr()?.to_string())
}

/// A list in a `repr`: its first items, and the number of the others.
pub(crate) fn shown_list<T>(items: &[T], show: impl FnMut(&T) -> PyResult<String>) -> PyResult<String> {
    let shown: Vec<_> = items
        .iter()
        .take(SHOWN_ITEMS)
        .map(show)
        .collect::<PyResult<_>>()?;
    let others = items.len() - shown.len();
    let others = if others > 0 {
        format!(" and {others} more")
    } else {
        String::new()
    };
    Ok(format!("[{}{others}]", shown.join(", ")))
}

/// The call that makes an equal value, for `pickle` in all its protocols and for `copy`: the constructor with the fields
/// as keywords.
pub(crate) fn reduced<'py>(
    value: &Bound<'py, PyAny>,
    fields: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyTuple>> {
    let py = value.py();
    let make = py.import("copyreg")?.getattr("__newobj_ex__")?;
    (make, (value.get_type(), PyTuple::empty(py), fields)).into_pyobject(py)
}
