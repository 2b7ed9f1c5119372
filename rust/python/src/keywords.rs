//! Keyword arguments that are taken as a mapping, because several functions share them or another crate lists them.

use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// Declares keyword arguments, each once with its type and its default.
macro_rules! keywords {
    (
        $(#[$about:meta])*
        $visible:vis struct $name:ident {
            $($(#[$meaning:meta])* $key:ident: $type:ty = $default:expr,)+
        }
    ) => {
        $(#[$about])*
        $visible struct $name {
            $($(#[$meaning])* $visible $key: $type,)+
        }

        impl $name {
            /// The keywords of a call; `function` is its name in messages.
            $visible fn read(function: &str, given: Option<&Bound<'_, pyo3::types::PyDict>>) -> PyResult<Self> {
                let mut read = Self { $($key: $default,)+ };
                for (key, value) in given.into_iter().flatten() {
                    match key.extract::<String>()?.as_str() {
                        $(stringify!($key) => read.$key = crate::keywords::value(stringify!($key), &value)?,)+
                        other => return Err(crate::keywords::unexpected(function, other)),
                    }
                }
                Ok(read)
            }
        }
    };
}

pub(crate) use keywords;

/// Converts the value of a keyword; an error names the keyword as those of other arguments do.
pub(crate) fn value<'py, T: FromPyObjectOwned<'py>>(key: &str, value: &Bound<'py, PyAny>) -> PyResult<T> {
    value.extract::<T>().map_err(|error| {
        let error: PyErr = error.into();
        // Python 3.10 has no notes: there the error stays as it is.
        let note = format!("while processing '{key}'");
        let _ = error.value(value.py()).call_method1("add_note", (note,));
        error
    })
}

/// The error for a keyword that the function does not have.
pub(crate) fn unexpected(function: &str, key: &str) -> PyErr {
    PyTypeError::new_err(format!("{function} got an unexpected keyword argument '{key}'"))
}
