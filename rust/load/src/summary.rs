//! The report from the counts, with notes and warnings about its numbers.

use std::collections::BTreeMap;

use callgate_core::Outcome;

use crate::error::LoadError;
use crate::options::Method;
use crate::plan::Plan;
use crate::report::{Bytes, Delay, Generator, Latency, Report, per_second, round, serialised};
use crate::run::Observation;

/// Delay of one request in a hundred above which the generator has measured itself, in microseconds.
const LATE_US: f64 = 1_000.0;

/// Busy share of its threads' time above which the generator may have been the bottleneck.
const BUSY_SHARE: f64 = 0.9;

/// The end of a run.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) was_interrupted: bool,
    /// Seconds into the run, and the reason.
    pub(crate) vanished: Option<(f64, String)>,
}

/// Builds the report.
pub(crate) fn summarise(
    plan: &Plan,
    threads: usize,
    room: usize,
    observation: Observation,
) -> Result<Report, LoadError> {
    let Observation {
        total,
        intervals,
        elapsed_s,
        cpu_s,
        summary,
    } = observation;
    let is_open_loop = plan.options.rate.is_some();
    let generator = Generator {
        threads,
        cpu_s: round(cpu_s),
        delay_us: is_open_loop.then(|| Delay::of(&total.delay)),
        unsent: total.unsent,
        reconnects: total.reconnects,
    };
    let outcomes = Outcome::ALL
        .into_iter()
        .zip(total.outcomes.iter().skip(1))
        .map(|(outcome, count)| (outcome.as_str(), *count))
        .collect();
    let errors: BTreeMap<_, _> = total
        .errors
        .iter()
        .map(|(label, errors)| (label.clone().into_owned(), errors.clone()))
        .collect();
    let warnings = warnings(plan, room, &generator, elapsed_s);
    Ok(Report {
        ended: match (&summary.vanished, summary.was_interrupted) {
            (Some(_), _) => "target vanished",
            (None, true) => "interrupted",
            (None, false) => "complete",
        },
        vanished: summary
            .vanished
            .map(|(at_s, why)| format!("gone {at_s:.1} s into the run: {why}")),
        elapsed_s: round(elapsed_s),
        requests: total.requests,
        requests_per_second: per_second(total.answered, elapsed_s),
        decisions_per_second: per_second(total.decided, elapsed_s),
        outcomes,
        errors,
        latency_us: Latency::of(&total.latency),
        bytes: Bytes {
            sent: total.bytes_sent,
            received: total.bytes_received,
        },
        generator,
        intervals,
        notes: notes(is_open_loop),
        warnings,
        histogram: serialised(&total.latency)?,
    })
}

fn notes(is_open_loop: bool) -> Vec<String> {
    let note = if is_open_loop {
        "fixed rate: latency counts from when a request was due, so waiting behind slow answers is in it"
    } else {
        "closed loop: a slow answer holds back the next request, so these latencies hide queueing; \
         --rate shows what callers at a fixed rate would see"
    };
    vec![note.to_owned()]
}

fn warnings(plan: &Plan, room: usize, generator: &Generator, elapsed_s: f64) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(delay) = generator.delay_us.as_ref().filter(|delay| delay.p99 > LATE_US) {
        warnings.push(format!(
            "the generator itself fell behind: 1 % of the requests were sent more than {:.1} ms late, with room to \
             send them; lower --rate, or give it more --threads or a machine of its own",
            delay.p99 / 1e3
        ));
    }
    if generator.unsent > 0 {
        warnings.push(format!(
            "{} requests were due but never sent, because all streams were busy: the target does not keep this rate, \
             or --connections and --streams are too few",
            generator.unsent
        ));
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of threads")]
    let available_s = elapsed_s * generator.threads as f64;
    if generator.cpu_s > BUSY_SHARE * available_s {
        warnings.push(format!(
            "the generator used {:.1} s of CPU in {elapsed_s:.1} s on {} thread(s): the target may be faster than this; \
             give it more --threads or a machine of its own",
            generator.cpu_s, generator.threads
        ));
    }
    if plan.options.method != Method::Stream && room < plan.options.streams {
        warnings.push(format!(
            "the target allows {room} streams per connection, so no more were in flight than that"
        ));
    }
    if generator.reconnects > 0 {
        warnings.push(format!(
            "{} connections were opened anew during the run",
            generator.reconnects
        ));
    }
    warnings
}
