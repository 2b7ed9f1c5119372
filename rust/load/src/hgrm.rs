//! Latencies as a percentile distribution (`.hgrm`), the text form that plotters of `HdrHistogram` read.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use crate::error::LoadError;

/// Lines per halving of the distance to 100 %, as other implementations have by default.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

const NS_PER_US: f64 = 1e3;

/// Converts the `histogram` of a report into a percentile distribution in microseconds.
pub fn percentile_distribution(histogram: &str) -> Result<String, LoadError> {
    let unreadable =
        || LoadError::Option("the histogram is unreadable: expected HdrHistogram V2 in base64".to_owned());
    let bytes = STANDARD.decode(histogram).map_err(|_| unreadable())?;
    let histogram: Histogram<u64> = Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .map_err(|_| unreadable())?;
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = distribution(&histogram, &mut text);
    Ok(text)
}

#[expect(clippy::cast_precision_loss, reason = "an hour of nanoseconds is below 2^53")]
fn distribution(histogram: &Histogram<u64>, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        count += step.count_since_last_iteration();
        let value_us = step.value_iterated_to().min(histogram.max()) as f64 / NS_PER_US;
        let quantile = step.quantile_iterated_to();
        write!(out, "{value_us:12.3} {quantile:2.12} {count:10}")?;
        if quantile < 1.0 {
            write!(out, " {:14.2}", 1.0 / (1.0 - quantile))?;
        }
        out.push('\n');
    }
    writeln!(
        out,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]",
        histogram.mean() / NS_PER_US,
        histogram.stdev() / NS_PER_US
    )?;
    writeln!(
        out,
        "#[Max     = {:12.3}, Total count    = {:12}]",
        histogram.max() as f64 / NS_PER_US,
        histogram.len()
    )?;
    let sub_buckets = (2 * 10_u64.pow(u32::from(histogram.sigfig()))).next_power_of_two();
    writeln!(
        out,
        "#[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]",
        histogram.buckets()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::serialised;
    use crate::stats::Stats;

    #[test]
    fn a_distribution_counts_every_request() {
        let mut stats = Stats::new();
        for number in 1..=1_000_u64 {
            stats.answer(&[0, 1, 0, 0, 0], Some(number * 1_000));
        }
        let text = percentile_distribution(&serialised(&stats.latency).unwrap()).unwrap();
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .take_while(|line| !line.starts_with('#'))
            .map(|line| {
                line.split_whitespace()
                    .map(|cell| cell.parse().unwrap())
                    .collect()
            })
            .collect();
        let half = rows.iter().find(|row| row[1] >= 0.5).unwrap();
        assert!((half[0] - 500.0).abs() < 1.0 && half[2] >= 500.0, "{half:?}");
        let last = rows.last().unwrap();
        assert!((last[0] - 1_000.0).abs() < 1.0, "{last:?}");
        assert_eq!(last[1..], [1.0, 1_000.0]);
        assert!(rows.is_sorted_by(|one, next| one[0] <= next[0] && one[2] <= next[2]));
        assert!(text.contains("Total count    =         1000]"), "{text}");
        assert!(text.contains("SubBuckets     =         2048]"), "{text}");
    }

    #[test]
    fn nothing_measured_is_an_empty_distribution() {
        let text = percentile_distribution(&serialised(&Stats::new().latency).unwrap()).unwrap();
        assert!(text.contains("Total count    =            0]"), "{text}");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "?", "AAAA", "HISTFAAA"] {
            let message = percentile_distribution(text).unwrap_err().to_string();
            assert!(message.contains("expected HdrHistogram V2"), "{message}");
        }
    }
}
