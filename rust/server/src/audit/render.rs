//! Records as JSON lines; `docs/decision-log.md` says what each field means.

use std::borrow::Cow;
use std::fmt::Write as _;

use callgate_core::grant::without_tokens;
use callgate_core::json::canonical::write_string;
use callgate_counters::Micros;

use super::batch::Reader;
use super::record::{Kept, LoggedArg, NAMES, Record};
use super::time::Times;

/// Renders records; keeps what neighbours have in common.
#[derive(Debug, Default)]
pub(super) struct Renderer {
    times: Times,
}

impl Renderer {
    /// Appends the line of the next record of a batch.
    pub(super) fn line(&mut self, reader: &mut Reader<'_>, out: &mut String) {
        let record = Record::read(reader);
        let start = out.len();
        out.push_str("{\"time\":\"");
        self.times.write(record.decided_at_us, out);
        out.push_str("\",\"decided_at_us\":");
        integer(record.decided_at_us, out);
        out.push_str(",\"protocol\":\"");
        out.push_str(record.protocol);
        out.push('"');
        for (field, name) in NAMES.into_iter().zip(record.names) {
            text(field, name, out);
        }
        word("outcome", record.outcome, out);
        text("rule", record.rule, out);
        text("policy", record.policy, out);
        text("policy_version", record.policy_version, out);
        arguments(&record, out);
        limits(&record, out);
        if let Some(retry_after_ms) = record.retry_after_ms {
            out.push_str(",\"retry_after_ms\":");
            integer(retry_after_ms, out);
        }
        if let Some((outcome, rule)) = record.shadow {
            out.push_str(",\"shadow\":{\"outcome\":\"");
            out.push_str(outcome);
            out.push('"');
            text("rule", rule, out);
            out.push('}');
        }
        if let Some(fingerprint) = record.fingerprint {
            // Writing to a string cannot fail.
            let _ = write!(out, ",\"fingerprint\":\"{fingerprint}\"");
        }
        if let Some(traceparent) = record.traceparent {
            // Writing to a string cannot fail.
            let _ = write!(out, ",\"traceparent\":\"{traceparent}\"");
        }
        out.push_str(",\"duration_ns\":");
        integer(record.duration_ns, out);
        out.push_str("}\n");
        // Of the whole line, because every name and value in it is a caller's.
        let without = match without_tokens(out.get(start..).unwrap_or_default()) {
            Cow::Borrowed(_) => return,
            Cow::Owned(line) => line,
        };
        out.truncate(start);
        out.push_str(&without);
    }
}

fn arguments(record: &Record<'_>, out: &mut String) {
    out.push_str(",\"args_keys\":");
    match &record.keys {
        None => out.push_str("null"),
        Some(keys) => list(keys, out, |key, out| write_string(key, out)),
    }
    if record.keys_omitted > 0 {
        out.push_str(",\"args_keys_omitted\":");
        integer(u64::from(record.keys_omitted), out);
    }
    if record.args.is_empty() {
        return;
    }
    for (index, arg) in record.args.iter().enumerate() {
        out.push_str(if index == 0 { ",\"args\":{" } else { "," });
        write_string(arg.path, out);
        out.push(':');
        argument(arg, out);
    }
    out.push('}');
    let cut: Vec<&LoggedArg<'_>> = record.args.iter().filter(|arg| arg.is_cut).collect();
    if !cut.is_empty() {
        out.push_str(",\"args_cut\":");
        list(&cut, out, |arg, out| write_string(arg.path, out));
    }
}

fn argument(arg: &LoggedArg<'_>, out: &mut String) {
    match arg.values.as_slice() {
        values if arg.is_many => list(values, out, value),
        [one] => value(one, out),
        _ => out.push_str("null"),
    }
}

fn value(kept: &Kept<'_>, out: &mut String) {
    match kept {
        Kept::Json(json) => one_line(json, out),
        Kept::Beginning(text) => write_string(text, out),
        Kept::Nothing => out.push_str("null"),
    }
}

fn limits(record: &Record<'_>, out: &mut String) {
    if record.limits.is_empty() {
        return;
    }
    out.push_str(",\"limits\":");
    list(&record.limits, out, |limit, out| {
        out.push_str("{\"counter\":");
        write_string(limit.counter, out);
        for (name, amount) in [("max", limit.max_micros), ("remaining", limit.remaining_micros)] {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            units(amount, out);
        }
        out.push_str(",\"reset_after_ms\":");
        integer(limit.reset_after_ms, out);
        out.push('}');
    });
    if record.limits_omitted > 0 {
        out.push_str(",\"limits_omitted\":");
        integer(u64::from(record.limits_omitted), out);
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

fn list<T>(items: &[T], out: &mut String, mut write: impl FnMut(&T, &mut String)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

fn text(field: &str, value: &str, out: &mut String) {
    out.push_str(",\"");
    out.push_str(field);
    out.push_str("\":");
    write_string(value, out);
}

/// A field whose value needs no escapes.
fn word(field: &str, value: &str, out: &mut String) {
    out.push_str(",\"");
    out.push_str(field);
    out.push_str("\":\"");
    out.push_str(value);
    out.push('"');
}

fn integer(number: u64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(number));
}

fn units(micros: u64, out: &mut String) {
    if micros.is_multiple_of(Micros::ONE.0) {
        integer(micros / Micros::ONE.0, out);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(out, "{}", Micros(micros));
    }
}
