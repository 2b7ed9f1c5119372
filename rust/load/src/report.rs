//! The report of a run, as `docs/load-tests.md` describes it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use serde::Serialize;

use crate::error::LoadError;
use crate::stats::Stats;

const NS_PER_US: f64 = 1e3;

/// The results of a run. Each time has the unit in its name.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `complete`, `interrupted` or `target vanished`.
    pub ended: &'static str,
    /// The reason for which the target was gone at the end, if it was.
    pub vanished: Option<String>,
    /// Length of the measurement.
    pub elapsed_s: f64,
    /// Measured requests that were answered.
    pub requests: u64,
    /// Answers per second of the measurement.
    pub requests_per_second: f64,
    /// Decisions in those answers, per second.
    pub decisions_per_second: f64,
    /// Decisions by outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Measured requests that were not answered, by reason.
    pub errors: BTreeMap<String, ErrorCount>,
    /// Latencies, from a request's due time to its answer.
    pub latency_us: Latency,
    /// Bytes of HTTP/2 in both directions during the measurement.
    pub bytes: Bytes,
    /// Figures of the generator itself.
    pub generator: Generator,
    /// Samples of equal length, in order.
    pub intervals: Vec<Interval>,
    /// Facts that a reader needs to interpret the numbers.
    pub notes: Vec<String>,
    /// Reasons to doubt the numbers.
    pub warnings: Vec<String>,
    /// The latencies in nanoseconds: `HdrHistogram` V2, compressed, in base64: the form that every implementation reads.
    pub histogram: String,
}

/// Errors of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ErrorCount {
    /// Their number.
    pub count: u64,
    /// Additional information of the first one; may be empty.
    pub detail: String,
}

/// Latencies.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "percentiles")]
pub struct Latency {
    pub mean: f64,
    pub min: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    #[serde(rename = "p99.9")]
    pub p999: f64,
    #[serde(rename = "p99.99")]
    pub p9999: f64,
    pub max: f64,
}

/// Bytes on the wire, without TLS.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "said by their names")]
pub struct Bytes {
    pub sent: u64,
    pub received: u64,
}

/// Figures of the generator itself.
#[derive(Clone, Debug, Serialize)]
pub struct Generator {
    /// Threads of the generator.
    pub threads: usize,
    /// CPU time of the process during the measurement.
    pub cpu_s: f64,
    /// Delay of requests that were due and had room; only in an open loop.
    pub delay_us: Option<Delay>,
    /// Requests that were due but never sent, because too many were in flight.
    pub unsent: u64,
    /// Connections that were reopened.
    pub reconnects: u64,
}

/// The delay of requests after their due time.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "percentiles")]
pub struct Delay {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

/// A part of the measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Interval {
    /// Its begin, counted from the start of the measurement.
    pub at_s: f64,
    /// Its length.
    pub elapsed_s: f64,
    /// Answers per second.
    pub requests_per_second: f64,
    /// Requests that failed.
    pub errors: u64,
    /// 50th percentile of the answers in this interval.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// Maximum.
    pub max_us: f64,
}

impl Report {
    /// The report as a JSON object.
    pub fn to_json(&self) -> String {
        // Numbers, texts and maps with texts as keys: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Interval {
    pub(crate) fn of(stats: &Stats, at_s: f64, elapsed_s: f64) -> Self {
        Self {
            at_s: round(at_s),
            elapsed_s: round(elapsed_s),
            requests_per_second: per_second(stats.answered, elapsed_s),
            errors: stats.error_count(),
            p50_us: percentile_us(&stats.latency, 50.0),
            p99_us: percentile_us(&stats.latency, 99.0),
            max_us: us(stats.latency.max()),
        }
    }
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            mean: round(histogram.mean() / NS_PER_US),
            min: us(histogram.min()),
            p50: percentile_us(histogram, 50.0),
            p90: percentile_us(histogram, 90.0),
            p99: percentile_us(histogram, 99.0),
            p999: percentile_us(histogram, 99.9),
            p9999: percentile_us(histogram, 99.99),
            max: us(histogram.max()),
        }
    }
}

impl Delay {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            p50: percentile_us(histogram, 50.0),
            p99: percentile_us(histogram, 99.0),
            max: us(histogram.max()),
        }
    }
}

/// The histogram as text.
pub(crate) fn serialised(histogram: &Histogram<u64>) -> Result<String, LoadError> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .map_err(|error| LoadError::Machine(format!("the histogram cannot be written: {error:?}")))?;
    Ok(STANDARD.encode(bytes))
}

pub(crate) fn percentile_us(histogram: &Histogram<u64>, percentile: f64) -> f64 {
    us(histogram.value_at_percentile(percentile).min(histogram.max()))
}

#[expect(clippy::cast_precision_loss, reason = "an hour of nanoseconds is below 2^53")]
fn us(ns: u64) -> f64 {
    round(ns as f64 / NS_PER_US)
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 requests")]
pub(crate) fn per_second(count: u64, elapsed_s: f64) -> f64 {
    if elapsed_s > 0.0 {
        round(count as f64 / elapsed_s)
    } else {
        0.0
    }
}

/// Rounds to three decimals: nanoseconds of microseconds, milliseconds of seconds.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::Deserializer;

    #[test]
    fn a_histogram_is_in_the_compressed_form() {
        let bytes = STANDARD
            .decode(serialised(&Stats::new().latency).unwrap())
            .unwrap();
        assert_eq!(bytes[..4], [0x1c, 0x84, 0x93, 0x14]);
    }

    #[test]
    fn a_histogram_comes_back_from_its_text() {
        let mut stats = Stats::new();
        for number in 1..10_000_u64 {
            stats.answer(&[0, 1, 0, 0, 0], Some(number * 977));
        }
        let text = serialised(&stats.latency).unwrap();
        let bytes = STANDARD.decode(text).unwrap();
        let back: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!(back, stats.latency);
    }

    #[test]
    fn percentiles_are_microseconds() {
        let mut stats = Stats::new();
        for _ in 0..99 {
            stats.answer(&[0, 1, 0, 0, 0], Some(100_000));
        }
        stats.answer(&[0, 1, 0, 0, 0], Some(5_000_000));
        let latency = Latency::of(&stats.latency);
        assert!((latency.p50 - 100.0).abs() < 0.2, "{latency:?}");
        assert!((latency.p999 - 5_000.0).abs() < 10.0, "{latency:?}");
        assert!((latency.max - 5_000.0).abs() < 10.0, "{latency:?}");
    }
}
