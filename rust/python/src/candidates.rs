//! The results of candidates as plain Python values.

use callgate_core::Outcome;
use callgate_server::{CandidateChange, CandidateReport};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The fields of one server's report.
pub(crate) fn report(py: Python<'_>, report: CandidateReport) -> PyResult<Bound<'_, PyDict>> {
    let fields = PyDict::new(py);
    fields.set_item("server", report.server)?;
    fields.set_item("policy", report.policy)?;
    fields.set_item("version", report.version)?;
    fields.set_item("since_us", report.since_us)?;
    let counts = report.counts.into_iter();
    let counts: Vec<_> = counts
        .map(|(live, candidate, count)| (live.as_str(), candidate.as_str(), count))
        .collect();
    fields.set_item("counts", counts)?;
    let changes = report.changes.into_iter().map(|one| change(py, one));
    fields.set_item("changes", changes.collect::<PyResult<Vec<_>>>()?)?;
    fields.set_item("other_changes", report.other_changes)?;
    Ok(fields)
}

fn change(py: Python<'_>, change: CandidateChange) -> PyResult<Bound<'_, PyDict>> {
    let answer = |(outcome, rule): (Outcome, String)| (outcome.as_str(), rule);
    let fields = PyDict::new(py);
    fields.set_item("tool", change.tool)?;
    fields.set_item("live", answer(change.live))?;
    fields.set_item("candidate", answer(change.candidate))?;
    fields.set_item("count", change.count)?;
    let examples = change.examples.into_iter();
    let examples: Vec<_> = examples.map(|one| (one.decided_at_us, one.grant)).collect();
    fields.set_item("examples", examples)?;
    Ok(fields)
}
