//! One call, from Python's values to the core's request.

use std::borrow::Cow;

use callgate_core::{Args, Caller, Pep, Request};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyString};

use crate::args;

/// A call as Python hands it over.
pub(crate) struct Call<'a, 'py> {
    pub(crate) grant: Option<&'a Bound<'py, PyString>>,
    pub(crate) grant_token: Option<&'a Bound<'py, PyString>>,
    pub(crate) tool: &'a Bound<'py, PyString>,
    pub(crate) args: Option<&'a Bound<'py, PyAny>>,
    pub(crate) server: Option<&'a Bound<'py, PyString>>,
    pub(crate) session: Option<&'a Bound<'py, PyString>>,
    pub(crate) labels: Option<&'a Bound<'py, PyDict>>,
    /// Whoever calls in this process may name a configured grant by its id; a network's peer may not.
    pub(crate) vouched: bool,
}

/// Why no request can be made of a call.
pub(crate) enum Fault {
    /// This field holds a lone surrogate, so it is no text: the call is answered with a denial.
    NotUnicode(&'static str),
    /// The program handed over something of a wrong type: an exception.
    Python(PyErr),
}

impl From<PyErr> for Fault {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl Call<'_, '_> {
    /// Hands the call to `ask` as the core's request.
    pub(crate) fn ask<T>(
        &self,
        reserve: Option<u128>,
        ask: impl FnOnce(&Request<'_>) -> T,
    ) -> Result<T, Fault> {
        let labels = self.labels.map_or(Ok(Vec::new()), labels)?;
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        let args_json = self.args.map_or(Ok(Cow::Borrowed(&[][..])), args::to_json)?;
        let caller = Caller::new(
            optional(self.grant, "grant")?,
            optional(self.grant_token, "grant_token")?,
            &labels,
        );
        Ok(ask(&Request {
            caller,
            pep: Pep {
                vouches: self.vouched,
                ..Pep::UNNAMED
            },
            tool: text(self.tool, "tool")?,
            server: optional(self.server, "server")?,
            session: Some(optional(self.session, "session")?),
            args: Args::Json(&args_json),
            reserve,
        }))
    }
}

fn text<'a>(value: &'a Bound<'_, PyString>, field: &'static str) -> Result<&'a str, Fault> {
    value.to_str().map_err(|_| Fault::NotUnicode(field))
}

fn optional<'a>(value: Option<&'a Bound<'_, PyString>>, field: &'static str) -> Result<&'a str, Fault> {
    value.map_or(Ok(""), |value| text(value, field))
}

fn labels(dict: &Bound<'_, PyDict>) -> Result<Vec<(PyBackedStr, PyBackedStr)>, Fault> {
    let backed = |value: Bound<'_, PyAny>| -> Result<PyBackedStr, Fault> {
        let value = value.cast_into::<PyString>().map_err(PyErr::from)?;
        PyBackedStr::try_from(value).map_err(|_| Fault::NotUnicode("labels"))
    };
    dict.iter()
        .map(|(name, value)| Ok((backed(name)?, backed(value)?)))
        .collect()
}
