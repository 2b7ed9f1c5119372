//! One call: conversion of Python's values to the core's request.

use std::borrow::Cow;

use callgate_core::{Args, Caller, Pep, Request, ReservationId};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyString};

use crate::args;

/// A call as Python passes it.
pub(crate) struct PythonCall<'a, 'py> {
    pub(crate) grant: Option<&'a Bound<'py, PyString>>,
    pub(crate) grant_token: Option<&'a Bound<'py, PyString>>,
    pub(crate) tool: &'a Bound<'py, PyString>,
    pub(crate) args: Option<&'a Bound<'py, PyAny>>,
    pub(crate) server: Option<&'a Bound<'py, PyString>>,
    pub(crate) session: Option<&'a Bound<'py, PyString>>,
    pub(crate) labels: Option<&'a Bound<'py, PyDict>>,
    /// A caller in this process may name a configured grant by its id; a peer on the network may not.
    pub(crate) vouched: bool,
}

/// The reason for which a call cannot become a request.
pub(crate) enum CallError {
    /// This field has a lone surrogate and is therefore not text: the call is denied.
    NotUnicode(&'static str),
    /// A value of a wrong type: an exception.
    Python(PyErr),
}

impl From<PyErr> for CallError {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl PythonCall<'_, '_> {
    /// Passes the call to `ask` as the core's request.
    pub(crate) fn ask<T>(
        &self,
        reserve: Option<ReservationId>,
        ask: impl FnOnce(&Request<'_>) -> T,
    ) -> Result<T, CallError> {
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
            pins: None,
            unseen_member: None,
        }))
    }
}

fn text<'a>(value: &'a Bound<'_, PyString>, field: &'static str) -> Result<&'a str, CallError> {
    value.to_str().map_err(|_| CallError::NotUnicode(field))
}

fn optional<'a>(value: Option<&'a Bound<'_, PyString>>, field: &'static str) -> Result<&'a str, CallError> {
    value.map_or(Ok(""), |value| text(value, field))
}

fn labels(dict: &Bound<'_, PyDict>) -> Result<Vec<(PyBackedStr, PyBackedStr)>, CallError> {
    let backed = |value: Bound<'_, PyAny>| -> Result<PyBackedStr, CallError> {
        let value = value.cast_into::<PyString>().map_err(PyErr::from)?;
        PyBackedStr::try_from(value).map_err(|_| CallError::NotUnicode("labels"))
    };
    dict.iter()
        .map(|(name, value)| Ok((backed(name)?, backed(value)?)))
        .collect()
}
