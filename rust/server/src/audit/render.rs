//! Records as JSON lines; `docs/decision-log.md` says what each field means.

use std::borrow::Cow;

use callgate_core::grant::without_tokens;
use callgate_core::json::{ObjectWriter, ValueWriter};
use callgate_counters::Micros;

use super::batch::Reader;
use super::record::{Kept, LoggedArg, LoggedLabels, NAMES, Record};
use super::sampling::Sampler;
use super::time::Times;

/// Renders records; keeps what neighbours have in common.
#[derive(Debug, Default)]
pub(super) struct Renderer {
    times: Times,
    sampler: Option<Sampler>,
}

impl Renderer {
    /// A renderer that leaves out what the sampler says.
    pub(super) fn new(sampler: Option<Sampler>) -> Self {
        Self {
            times: Times::default(),
            sampler,
        }
    }

    /// The records that were left out so far.
    pub(super) fn skipped(&self) -> u64 {
        self.sampler.as_ref().map_or(0, Sampler::skipped)
    }

    /// Appends the line of the next record of a batch, unless it is left out.
    pub(super) fn line(&mut self, reader: &mut Reader<'_>, out: &mut String) {
        let record = Record::read(reader);
        if self
            .sampler
            .as_mut()
            .is_some_and(|sampler| sampler.skips(&record))
        {
            return;
        }
        let start = out.len();
        ValueWriter::new(out).object(|line| self.fields(&record, line));
        out.push('\n');
        // Of the whole line, because every name and value in it is a caller's.
        let without = match without_tokens(out.get(start..).unwrap_or_default()) {
            Cow::Borrowed(_) => return,
            Cow::Owned(line) => line,
        };
        out.truncate(start);
        out.push_str(&without);
    }

    fn fields(&mut self, record: &Record<'_>, line: &mut ObjectWriter<'_>) {
        line.field("time").with(|out| {
            out.push('"');
            self.times.write(record.decided_at_us, out);
            out.push('"');
        });
        line.field("decided_at_us").integer(record.decided_at_us);
        line.field("protocol").text(record.protocol);
        for (field, name) in NAMES.into_iter().zip(record.names) {
            line.field(field).text(name);
        }
        line.field("outcome").text(record.outcome);
        line.field("rule").text(record.rule);
        line.field("policy").text(record.policy);
        line.field("policy_version").text(record.policy_version);
        arguments(record, line);
        if let Some(kept) = &record.labels {
            labels(kept, line);
        }
        limits(record, line);
        if let Some(retry_after_ms) = record.retry_after_ms {
            line.field("retry_after_ms").integer(retry_after_ms);
        }
        if let Some((outcome, rule)) = record.shadow {
            line.field("shadow").object(|shadow| {
                shadow.field("outcome").text(outcome);
                shadow.field("rule").text(rule);
            });
        }
        if let Some((outcome, rule, policy_version)) = record.candidate {
            line.field("candidate").object(|candidate| {
                candidate.field("outcome").text(outcome);
                candidate.field("rule").text(rule);
                candidate.field("policy_version").text(policy_version);
            });
        }
        if let Some(fingerprint) = record.fingerprint {
            line.field("fingerprint").plain(fingerprint);
        }
        if !record.approval.is_empty() {
            line.field("approval").text(record.approval);
        }
        if let Some(traceparent) = record.traceparent {
            line.field("traceparent").plain(traceparent);
        }
        line.field("duration_ns").integer(record.duration_ns);
    }
}

fn arguments(record: &Record<'_>, line: &mut ObjectWriter<'_>) {
    let args_keys = line.field("args_keys");
    match &record.keys {
        None => args_keys.null(),
        Some(keys) => args_keys.texts(keys.iter().copied()),
    }
    if record.keys_omitted > 0 {
        line.field("args_keys_omitted")
            .integer(u64::from(record.keys_omitted));
    }
    if record.are_args_unseen {
        line.field("args_unseen").boolean(true);
    }
    if record.args.is_empty() {
        return;
    }
    line.field("args").object(|args| {
        for arg in &record.args {
            argument(arg, args.member(arg.path));
        }
    });
    let mut cut = record.args.iter().filter(|arg| arg.is_cut).peekable();
    if cut.peek().is_some() {
        line.field("args_cut").texts(cut.map(|arg| arg.path));
    }
}

fn labels(labels: &LoggedLabels<'_>, line: &mut ObjectWriter<'_>) {
    let digest = line.field("labels_digest");
    match labels.digest {
        None => digest.null(),
        Some(bits) => digest.plain(format_args!("{bits:016x}")),
    }
    if labels.values.is_empty() {
        return;
    }
    line.field("labels").object(|members| {
        for label in &labels.values {
            let member = members.member(label.name);
            match label.value {
                None => member.null(),
                Some(value) => member.text(value),
            }
        }
    });
    let mut cut = labels.values.iter().filter(|label| label.is_cut).peekable();
    if cut.peek().is_some() {
        line.field("labels_cut").texts(cut.map(|label| label.name));
    }
}

fn argument(arg: &LoggedArg<'_>, json: ValueWriter<'_>) {
    match arg.values.as_slice() {
        values if arg.is_many => json.list(|list| {
            for kept in values {
                value(kept, list.element());
            }
        }),
        [one] => value(one, json),
        _ => json.null(),
    }
}

fn value(kept: &Kept<'_>, json: ValueWriter<'_>) {
    match kept {
        Kept::Json(kept) => json.with(|out| one_line(kept, out)),
        Kept::Beginning(text) => json.text(text),
        Kept::Nothing => json.null(),
    }
}

fn limits(record: &Record<'_>, line: &mut ObjectWriter<'_>) {
    if record.limits.is_empty() {
        return;
    }
    line.field("limits").list(|limits| {
        for limit in &record.limits {
            limits.element().object(|member| {
                member.field("counter").text(limit.counter);
                units(limit.max_micros, member.field("max"));
                units(limit.remaining_micros, member.field("remaining"));
                if limit.over_micros > 0 {
                    units(limit.over_micros, member.field("over"));
                }
                member.field("reset_after_ms").integer(limit.reset_after_ms);
            });
        }
    });
    if record.limits_omitted > 0 {
        line.field("limits_omitted")
            .integer(u64::from(record.limits_omitted));
    }
}

/// Appends JSON text without the white space between its tokens: a line break among it would end the line.
fn one_line(json: &str, out: &mut String) {
    let (mut in_string, mut escaped) = (false, false);
    for character in json.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_string = character == '"';
        }
        out.push(character);
    }
}

fn units(micros: u64, json: ValueWriter<'_>) {
    if micros.is_multiple_of(Micros::ONE.0) {
        json.integer(micros / Micros::ONE.0);
    } else {
        json.number(Micros(micros));
    }
}
