//! Conversion of Python values to the JSON bytes that the core reads.
//!
//! Numbers keep their exact decimal value: integers of any size and `decimal.Decimal` are written in full. A value
//! without a JSON form (NaN, infinity, lone surrogates, too deep nesting) is written so that the core refuses it with
//! its own message. A value of an unsupported type is a mistake of the program, and raises `TypeError`.

use std::borrow::Cow;
use std::io::Write;

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple, PyType,
};

/// The depth at which writing stops: deeper than the core accepts, and shallow enough for any stack, so that a list
/// that contains itself ends too.
const MAX_WRITTEN_DEPTH: usize = 128;

/// An integer of more bits than this has more than the 1,000 digits that a call may have (`docs/policy.md` section 3).
const MAX_INTEGER_BITS: usize = 4_096;

/// The JSON bytes of `value`: bytes and text are JSON already, anything else is written as JSON.
pub(crate) fn to_json<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(bytes.as_bytes()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return match text.to_str() {
            Ok(text) => Ok(Cow::Borrowed(text.as_bytes())),
            // These bytes are not UTF-8, which the core then reports.
            Err(_) => Ok(Cow::Owned(surrogate_bytes(text)?)),
        };
    }
    if let Ok(bytes) = value.cast::<PyByteArray>() {
        return Ok(Cow::Owned(bytes.to_vec()));
    }
    if value.is_instance_of::<PyMemoryView>() {
        let bytes = value.py().get_type::<PyBytes>().call1((value,))?;
        return Ok(Cow::Owned(bytes.extract()?));
    }
    let mut writer = Writer {
        out: Vec::with_capacity(256),
        cut: false,
    };
    writer.value(value, 1)?;
    Ok(Cow::Owned(writer.out))
}

/// The bytes of a string with lone surrogates: not UTF-8, but recognisable.
fn surrogate_bytes(text: &Bound<'_, PyString>) -> PyResult<Vec<u8>> {
    text.call_method1(intern!(text.py(), "encode"), ("utf-8", "surrogatepass"))?
        .extract()
}

struct Writer {
    out: Vec<u8>,
    /// The document was cut off at a bracket that is too deep; nothing may follow.
    cut: bool,
}

impl Writer {
    fn value(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
        if let Ok(text) = value.cast::<PyString>() {
            self.string(text)
        } else if let Ok(flag) = value.cast::<PyBool>() {
            self.out
                .extend_from_slice(if flag.is_true() { b"true" } else { b"false" });
            Ok(())
        } else if let Ok(integer) = value.cast::<PyInt>() {
            self.integer(integer)
        } else if let Ok(float) = value.cast::<PyFloat>() {
            // The shortest text that reads back as this float. `NaN` and `inf` are not JSON, so the core refuses them.
            write!(self.out, "{:?}", float.value())?;
            Ok(())
        } else if value.is_none() {
            self.out.extend_from_slice(b"null");
            Ok(())
        } else if let Ok(object) = value.cast::<PyDict>() {
            self.object(object, depth)
        } else if let Ok(list) = value.cast::<PyList>() {
            self.list(list.iter(), depth)
        } else if let Ok(tuple) = value.cast::<PyTuple>() {
            self.list(tuple.iter(), depth)
        } else if value.is_instance(decimal(value.py())?)? {
            self.out.extend_from_slice(value.str()?.to_str()?.as_bytes());
            Ok(())
        } else {
            let kind = value.get_type();
            Err(PyTypeError::new_err(format!(
                "a value of type `{}` has no JSON form; expected dict, list, tuple, str, int, float, Decimal, bool or None",
                kind.name()?
            )))
        }
    }

    fn object(&mut self, object: &Bound<'_, PyDict>, depth: usize) -> PyResult<()> {
        if self.opens(b'{', depth) {
            let mut first = true;
            for (key, value) in object.iter() {
                self.separate(&mut first);
                let key = key.cast::<PyString>().map_err(|error| {
                    PyTypeError::new_err(format!(
                        "keys of a JSON object are strings, got a key that is none: {error}"
                    ))
                })?;
                self.string(key)?;
                self.out.push(b':');
                self.value(&value, depth + 1)?;
                if self.cut {
                    return Ok(());
                }
            }
            self.out.push(b'}');
        }
        Ok(())
    }

    fn list<'py>(&mut self, elements: impl Iterator<Item = Bound<'py, PyAny>>, depth: usize) -> PyResult<()> {
        if self.opens(b'[', depth) {
            let mut first = true;
            for element in elements {
                self.separate(&mut first);
                self.value(&element, depth + 1)?;
                if self.cut {
                    return Ok(());
                }
            }
            self.out.push(b']');
        }
        Ok(())
    }

    /// Writes an opening bracket; false if its contents are too deep to be written.
    fn opens(&mut self, bracket: u8, depth: usize) -> bool {
        self.out.push(bracket);
        self.cut = depth > MAX_WRITTEN_DEPTH;
        !self.cut
    }

    fn separate(&mut self, first: &mut bool) {
        if !std::mem::take(first) {
            self.out.push(b',');
        }
    }

    fn integer(&mut self, integer: &Bound<'_, PyInt>) -> PyResult<()> {
        if let Ok(small) = integer.extract::<i64>() {
            write!(self.out, "{small}")?;
            return Ok(());
        }
        let py = integer.py();
        let bits: usize = integer.call_method0(intern!(py, "bit_length"))?.extract()?;
        if bits > MAX_INTEGER_BITS {
            // Python refuses to print the longest integers. Any number of that length causes the core's own refusal.
            self.out
                .extend_from_slice("9".repeat(MAX_INTEGER_BITS).as_bytes());
            return Ok(());
        }
        // `int.__repr__`, because subclasses (enums) print differently.
        let text = py
            .get_type::<PyInt>()
            .call_method1(intern!(py, "__repr__"), (integer,))?;
        self.out
            .extend_from_slice(text.cast::<PyString>()?.to_str()?.as_bytes());
        Ok(())
    }

    fn string(&mut self, text: &Bound<'_, PyString>) -> PyResult<()> {
        let encoded;
        let bytes = if let Ok(text) = text.to_str() {
            text.as_bytes()
        } else {
            encoded = surrogate_bytes(text)?;
            &encoded
        };
        self.out.push(b'"');
        let mut rest = bytes;
        while let Some(at) = rest
            .iter()
            .position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'))
        {
            let (plain, special) = rest.split_at(at);
            self.out.extend_from_slice(plain);
            if let [byte, after @ ..] = special {
                write!(self.out, "\\u{byte:04x}")?;
                rest = after;
            }
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
        Ok(())
    }
}

/// The class `decimal.Decimal`.
fn decimal(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static DECIMAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    DECIMAL.import(py, "decimal", "Decimal")
}
