//! Documents of the configuration and of `callgate convert`, read as policies are.

use callgate_core::policy::read::{self, Content, Member, Node, Position};
use callgate_core::policy::{Format, PolicyError};
use pyo3::PyTypeInfo;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyInt, PyList, PyTuple};

use crate::error::Error;

/// A JSON or YAML document, read as policies are, with the place of every value.
///
/// YAML has the structure of JSON: no anchors, aliases and tags, every key text and none twice, at most 64 levels.
///
/// Reads a document.
///
/// Args:
///     file: Its name in errors.
///     content: The document.
///     is_json: JSON if true, else YAML.
///
/// Raises:
///     PolicyError: It is not of this format; says where.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct DocumentTree {
    /// None if the document is empty.
    root: Option<Node>,
}

/// A step on the way from the top of a document to a value.
#[derive(FromPyObject)]
enum Step {
    Index(usize),
    Key(String),
}

#[pymethods]
impl DocumentTree {
    #[new]
    #[pyo3(signature = (file, content, *, is_json))]
    fn py_new(py: Python<'_>, file: &str, content: &[u8], is_json: bool) -> PyResult<Self> {
        let format = if is_json { Format::Json } else { Format::Yaml };
        let root = py.detach(|| read::document(format, content)).map_err(|fault| {
            Error::Policy(PolicyError {
                file: file.to_owned(),
                line: fault.at.line,
                column: fault.at.column,
                message: fault.message,
            })
        })?;
        Ok(Self { root })
    }

    /// True if it holds no value, not even null.
    #[getter]
    fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The whole document as dicts, lists and scalars; None if it is empty.
    ///
    /// A number with a fraction or an exponent is the nearest float, any other an exact int.
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.root {
            Some(root) => to_python(py, root),
            None => Ok(py.None().into_bound(py)),
        }
    }

    /// Line and column, from 1, of the value at a path, or of its key; of the nearest above if there is none.
    #[pyo3(signature = (path, *, of_key = false))]
    fn place(&self, path: &Bound<'_, PyTuple>, of_key: bool) -> (usize, usize) {
        let Some(root) = &self.root else {
            return (1, 1);
        };
        let mut at = root.at;
        let mut node = root;
        for (depth, step) in path.iter().enumerate() {
            let Some((key_at, next)) = child(node, &step) else {
                break;
            };
            let is_last = depth + 1 == path.len();
            at = key_at.filter(|_| of_key && is_last).unwrap_or(next.at);
            node = next;
        }
        (at.line, at.column)
    }
}

/// The value one step further, and the place of its key if it has one.
fn child<'n>(node: &'n Node, step: &Bound<'_, PyAny>) -> Option<(Option<Position>, &'n Node)> {
    // Text that is not Unicode is the key of nothing.
    match (&node.content, step.extract::<Step>().ok()?) {
        (Content::List(elements), Step::Index(index)) => elements.get(index).map(|element| (None, element)),
        (Content::Object(members), Step::Key(wanted)) => members
            .iter()
            .find(|member| member.key == wanted)
            .map(|Member { key_at, value, .. }| (Some(*key_at), value)),
        _ => None,
    }
}

/// INVARIANT: the reader bounds the depth, so recursion is safe.
fn to_python<'py>(py: Python<'py>, node: &Node) -> PyResult<Bound<'py, PyAny>> {
    match &node.content {
        Content::Null => Ok(py.None().into_bound(py)),
        Content::Bool(value) => Ok(value.into_pyobject(py)?.to_owned().into_any()),
        Content::Number(text) => number(py, text),
        Content::String(text) => Ok(text.into_pyobject(py)?.into_any()),
        Content::List(elements) => {
            let list = PyList::empty(py);
            for element in elements {
                list.append(to_python(py, element)?)?;
            }
            Ok(list.into_any())
        }
        Content::Object(members) => {
            let object = PyDict::new(py);
            for member in members {
                object.set_item(&member.key, to_python(py, &member.value)?)?;
            }
            Ok(object.into_any())
        }
    }
}

/// A whole number as it is; one with a fraction or an exponent as the nearest float.
fn number<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(whole) = text.parse::<i64>() {
        return Ok(whole.into_pyobject(py)?.into_any());
    }
    if text.contains(['.', 'e', 'E']) {
        return PyFloat::type_object(py).call1((text,));
    }
    PyInt::type_object(py).call1((text,))
}
