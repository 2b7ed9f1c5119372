//! One call, from Python's values to the core's request.

use std::borrow::Cow;

use callgate_core::Request;
use callgate_core::request::DEFAULT_SERVER;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyString};

use crate::args;

/// A call as Python hands it over.
pub(crate) struct Call<'a, 'py> {
    pub(crate) grant: &'a Bound<'py, PyString>,
    pub(crate) tool: &'a Bound<'py, PyString>,
    pub(crate) args: Option<&'a Bound<'py, PyAny>>,
    pub(crate) server: Option<&'a Bound<'py, PyString>>,
    pub(crate) session: Option<&'a Bound<'py, PyString>>,
    pub(crate) labels: Option<&'a Bound<'py, PyDict>>,
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
        let server = self.server.map_or(Ok(""), |server| text(server, "server"))?;
        let labels = self.labels.map_or(Ok(Vec::new()), labels)?;
        let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        let args_json = self.args.map_or(Ok(Cow::Borrowed(&[][..])), args::to_json)?;
        Ok(ask(&Request {
            grant: text(self.grant, "grant")?,
            tool: text(self.tool, "tool")?,
            server: if server.is_empty() { DEFAULT_SERVER } else { server },
            session: self.session.map(|session| text(session, "session")).transpose()?,
            labels: &labels,
            args_json: &args_json,
            reserve,
        }))
    }
}

fn text<'a>(value: &'a Bound<'_, PyString>, field: &'static str) -> Result<&'a str, Fault> {
    value.to_str().map_err(|_| Fault::NotUnicode(field))
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
