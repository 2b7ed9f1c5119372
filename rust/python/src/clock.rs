//! Instants, given by the caller or read from the system's clock.

use callgate_core::Now;
use callgate_server::{Clock, SystemClock};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyInt;
use std::sync::LazyLock;

/// The latest accepted instant: beyond it a float cannot represent microseconds (the year 2255).
const MAX_UNIX_US: u64 = (1 << 53) - 1;

/// The machine's clock, shared by in-process engines and servers without a manual clock, so that both count alike.
pub(crate) fn system() -> Clock {
    static SYSTEM: LazyLock<Clock> = LazyLock::new(|| Clock::System(SystemClock::new()));
    SYSTEM.clone()
}

/// An instant from the caller: `now_ms`, milliseconds since 1970, int or float.
pub(crate) fn instant(now_ms: &Bound<'_, PyAny>) -> PyResult<Now> {
    Ok(Now::from_unix_us(unix_us(now_ms)?))
}

/// Converts milliseconds since 1970 to the nearest whole microsecond.
fn unix_us(now_ms: &Bound<'_, PyAny>) -> PyResult<u64> {
    let us = if now_ms.is_instance_of::<PyInt>() {
        now_ms.extract::<u64>().ok().and_then(|ms| ms.checked_mul(1_000))
    } else {
        let us = (now_ms.extract::<f64>()? * 1_000.0).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a whole number between 0 and 2^53, where f64 is exact"
        )]
        (0.0..=MAX_UNIX_US as f64).contains(&us).then_some(us as u64)
    };
    us.filter(|us| *us <= MAX_UNIX_US).ok_or_else(|| {
        PyValueError::new_err(format!(
            "a time of `{now_ms}` ms: expected milliseconds since 1970, from 0 to {}",
            MAX_UNIX_US / 1_000
        ))
    })
}

/// A clock that changes only by `set` and `advance`, for tests of a `Server`.
///
/// Starts at `now_ms` milliseconds since 1970; None means 0.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct ManualClock {
    pub(crate) clock: callgate_server::ManualClock,
}

#[pymethods]
impl ManualClock {
    #[new]
    #[pyo3(signature = (now_ms = None))]
    fn py_new(now_ms: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        Ok(Self {
            clock: callgate_server::ManualClock::new(now_ms.map_or(Ok(0), unix_us)?),
        })
    }

    /// Milliseconds since 1970.
    #[getter]
    #[expect(clippy::cast_precision_loss, reason = "times lie below 2^53 microseconds")]
    fn now_ms(&self) -> f64 {
        self.clock.now_us() as f64 / 1_000.0
    }

    /// Sets it to `now_ms` milliseconds since 1970, even backwards.
    fn set(&self, now_ms: &Bound<'_, PyAny>) -> PyResult<()> {
        self.clock.set_us(unix_us(now_ms)?);
        Ok(())
    }

    /// Moves it forward by `ms` milliseconds.
    fn advance(&self, ms: &Bound<'_, PyAny>) -> PyResult<()> {
        self.clock.advance_us(unix_us(ms)?);
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!("ManualClock(now_ms={})", self.now_ms())
    }
}
