//! The record of a decision in a batch: `put_*` write it and [`Record::read`] reads it, in the same order.

use std::ops::ControlFlow;
use std::time::Duration;

use callgate_core::engine::Seen;
use callgate_core::json::{Kind, Value};
use callgate_core::{Decision, Fingerprint, LimitState, Outcome};
use callgate_mcp::TraceParent;

use super::LoggedRequest;
use super::batch::{Batch, Mark, Reader, cut};
use crate::candidate::CandidateAnswer;
use crate::protocol::Protocol;

/// Characters of a caller's name that a line keeps.
const NAME_CHARACTERS: usize = 128;
/// Characters of a rule pointer or a path that a line keeps: the operator's, but a line has to end.
const RULE_CHARACTERS: usize = 256;
/// Keys of the arguments that a line keeps, and characters of each.
const KEYS: usize = 32;
const KEY_CHARACTERS: usize = 64;
/// Limits that a line names.
const LIMITS: usize = 8;
/// Paths of `log_args` that a line names, values of one `[*]`, and values in all.
const PATHS: usize = 32;
const VALUES_OF_ONE_PATH: usize = 16;
const VALUES: usize = 64;
/// Characters of a string, bytes of any other scalar, bytes of a list or object that a line keeps.
const STRING_CHARACTERS: usize = 256;
const SCALAR_BYTES: usize = 256;
const NESTED_BYTES: usize = 1_024;
/// Labels of `log_labels` that a line names, and characters of a value.
const LABELS: usize = 32;
const LABEL_CHARACTERS: usize = 256;
/// Bytes from which on a line keeps no more values.
const VALUES_BYTES: usize = 4_096;

/// The kept form of an argument's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept<'b> {
    /// JSON in the caller's own bytes, which were parsed before.
    Json(&'b str),
    /// The beginning of a string.
    Beginning(&'b str),
    /// No value, because it is too long.
    Nothing,
}

/// One path of `log_args` and its values.
#[derive(Clone, Debug)]
pub(super) struct LoggedArg<'b> {
    pub(super) path: &'b str,
    /// The path holds `[*]`: the values are elements of a list.
    pub(super) is_many: bool,
    /// True if there were more values than `values` holds.
    pub(super) is_cut: bool,
    pub(super) values: Vec<Kept<'b>>,
}

/// The labels of the grant, as a line keeps them.
#[derive(Clone, Debug)]
pub(super) struct LoggedLabels<'b> {
    /// The digest of all labels; `None` if the grant has none.
    pub(super) digest: Option<u64>,
    pub(super) values: Vec<LoggedLabel<'b>>,
}

/// One name of `log_labels`.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoggedLabel<'b> {
    pub(super) name: &'b str,
    /// `None` if the grant has no such label.
    pub(super) value: Option<&'b str>,
    pub(super) is_cut: bool,
}

/// One limit that applied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit<'b> {
    pub(super) counter: &'b str,
    pub(super) max_micros: u64,
    pub(super) remaining_micros: u64,
    pub(super) over_micros: u64,
    pub(super) reset_after_ms: u64,
}

/// One decision, as the writer reads it.
#[derive(Clone, Debug)]
pub(super) struct Record<'b> {
    /// `None` if the arguments were not well formed.
    pub(super) keys: Option<Vec<&'b str>>,
    pub(super) keys_omitted: u32,
    pub(super) args: Vec<LoggedArg<'b>>,
    /// The arguments were read as none, because the proxy forwards no body.
    pub(super) are_args_unseen: bool,
    /// `None` if no policy decided the call.
    pub(super) labels: Option<LoggedLabels<'b>>,
    pub(super) decided_at_us: u64,
    pub(super) duration_ns: u64,
    pub(super) protocol: &'static str,
    pub(super) traceparent: Option<TraceParent>,
    pub(super) outcome: &'static str,
    pub(super) names: [&'b str; 4],
    pub(super) rule: &'b str,
    pub(super) policy: &'b str,
    pub(super) policy_version: &'b str,
    pub(super) retry_after_ms: Option<u64>,
    pub(super) shadow: Option<(&'static str, &'b str)>,
    /// The other answer of the candidate: outcome, rule and version of its policy.
    pub(super) candidate: Option<(&'static str, &'b str, &'b str)>,
    pub(super) fingerprint: Option<Fingerprint>,
    /// Empty if there is none.
    pub(super) approval: &'b str,
    pub(super) limits: Vec<Limit<'b>>,
    pub(super) limits_omitted: u32,
}

/// The names, in the order of [`Record::names`].
pub(super) const NAMES: [&str; 4] = ["server", "grant", "session", "tool"];

/// First number of a record whose arguments were read, and of one whose arguments the proxy did not forward.
const SEEN: u32 = 1;
const UNSEEN: u32 = 2;

/// First number of the labels: no policy decided the call, the grant has none, or a digest follows.
const WITHOUT_POLICY: u32 = 0;
const WITHOUT_LABELS: u32 = 1;
const LABELLED: u32 = 2;

/// First number of a label's value.
const ABSENT: u32 = 0;
const WHOLE: u32 = 1;
const CUT: u32 = 2;

/// Adds the parts of the call that may be kept: of its arguments, and of the labels of its grant.
pub(super) fn put_call(batch: &mut Batch, seen: Seen<'_>) {
    put_arguments(batch, seen);
    put_labels(batch, seen);
}

fn put_arguments(batch: &mut Batch, seen: Seen<'_>) {
    batch.put(if seen.are_args_known() { SEEN } else { UNSEEN });
    let keys = seen.keys();
    batch.put(number(keys.len().min(KEYS)));
    batch.put(number(keys.len().saturating_sub(KEYS)));
    for key in keys.take(KEYS) {
        batch.put_text(cut(key, KEY_CHARACTERS));
    }
    let (hole, start) = (batch.hole(), batch.mark());
    let (mut paths, mut values) = (0, 0);
    for path in seen.logged().take(PATHS) {
        let before = batch.mark();
        batch.put_text(cut(path.text(), RULE_CHARACTERS));
        batch.put(u32::from(path.is_many()));
        let (count_hole, cut_hole) = (batch.hole(), batch.hole());
        let (mut count, mut is_cut) = (0, false);
        seen.each_value(path, |value| {
            if count == VALUES_OF_ONE_PATH || values == VALUES || batch.text_since(start) >= VALUES_BYTES {
                is_cut = true;
                return ControlFlow::Break(());
            }
            is_cut |= put_value(batch, value);
            count += 1;
            values += 1;
            ControlFlow::Continue(())
        });
        if count == 0 && !is_cut {
            batch.rewind(before);
            continue;
        }
        batch.fill(count_hole, number(count));
        batch.fill(cut_hole, u32::from(is_cut));
        paths += 1;
    }
    batch.fill(hole, paths);
}

fn put_labels(batch: &mut Batch, seen: Seen<'_>) {
    let Some(labels) = seen.labels() else {
        batch.put(WITHOUT_POLICY);
        return;
    };
    match labels.digest() {
        None => batch.put(WITHOUT_LABELS),
        Some(digest) => {
            batch.put(LABELLED);
            batch.put_long(digest);
        }
    }
    let (hole, mut count) = (batch.hole(), 0);
    for (name, value) in labels.logged().take(LABELS) {
        batch.put_text(cut(name, NAME_CHARACTERS));
        let kept = value.map(|value| cut(value, LABEL_CHARACTERS));
        batch.put(match (value, kept) {
            (Some(value), Some(kept)) if kept.len() == value.len() => WHOLE,
            (Some(_), _) => CUT,
            (None, _) => ABSENT,
        });
        batch.put_text(kept.unwrap_or_default());
        count += 1;
    }
    batch.fill(hole, count);
}

/// Adds one value; returns true if it was cut.
fn put_value(batch: &mut Batch, value: Value<'_>) -> bool {
    let json = value.raw();
    let longest = match value.kind() {
        Kind::Array | Kind::Object => NESTED_BYTES,
        Kind::Null | Kind::Bool | Kind::Number | Kind::String => SCALAR_BYTES,
    };
    if json.len() <= longest {
        batch.put(0);
        batch.put_text(json);
        return false;
    }
    if let Some(text) = value.as_str() {
        let beginning = cut(text, STRING_CHARACTERS);
        batch.put(1);
        batch.put_text(beginning);
        beginning.len() < text.len()
    } else {
        batch.put(2);
        true
    }
}

/// Adds the decision, after the call; removes the parts of the call if they were not read to the end.
pub(super) fn put_decision(
    batch: &mut Batch,
    (start, seen): (Mark, bool),
    asked: LoggedRequest<'_>,
    decision: &Decision<'_>,
    candidate: Option<&CandidateAnswer>,
    took: Duration,
) {
    if !seen {
        batch.rewind(start);
        batch.put(0);
    }
    batch.put_long(decision.decided_at_us);
    batch.put_long(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    batch.put(asked.ingress.protocol as u32);
    put_traceparent(batch, asked.ingress.traceparent);
    batch.put(index(decision.outcome));
    for name in [
        asked.identity.server,
        asked.identity.grant,
        asked.session.unwrap_or_default(),
        asked.tool,
    ] {
        batch.put_text(cut(name, NAME_CHARACTERS));
    }
    batch.put_text(cut(&decision.rule, RULE_CHARACTERS));
    batch.put_text(cut(&decision.policy, NAME_CHARACTERS));
    batch.put_text(cut(&decision.policy_version, NAME_CHARACTERS));
    batch.put(u32::from(decision.retry_after_ms.is_some()));
    if let Some(retry_after_ms) = decision.retry_after_ms {
        batch.put_long(retry_after_ms);
    }
    batch.put(u32::from(decision.shadow.is_some()));
    if let Some(shadow) = &decision.shadow {
        batch.put(index(shadow.outcome));
        batch.put_text(cut(&shadow.rule, RULE_CHARACTERS));
    }
    batch.put(u32::from(candidate.is_some()));
    if let Some(candidate) = candidate {
        batch.put(index(candidate.outcome));
        batch.put_text(cut(&candidate.rule, RULE_CHARACTERS));
        batch.put_text(cut(&candidate.policy_version, NAME_CHARACTERS));
    }
    batch.put(u32::from(decision.fingerprint.is_some()));
    if let Some(fingerprint) = &decision.fingerprint {
        for four in fingerprint.as_bytes().as_chunks::<4>().0 {
            batch.put(u32::from_be_bytes(*four));
        }
    }
    batch.put_text(cut(&decision.approval, NAME_CHARACTERS));
    batch.put(number(decision.limits.len().min(LIMITS)));
    batch.put(number(decision.limits.len().saturating_sub(LIMITS)));
    decision
        .limits
        .iter()
        .take(LIMITS)
        .for_each(|limit| put_limit(batch, limit));
    batch.finish_record();
}

fn put_traceparent(batch: &mut Batch, traceparent: Option<TraceParent>) {
    batch.put(u32::from(traceparent.is_some()));
    if let Some(TraceParent {
        trace_id,
        parent_id,
        flags,
    }) = traceparent
    {
        for eight in trace_id.to_be_bytes().as_chunks::<8>().0 {
            batch.put_long(u64::from_be_bytes(*eight));
        }
        batch.put_long(parent_id);
        batch.put(u32::from(flags));
    }
}

fn put_limit(batch: &mut Batch, limit: &LimitState<'_>) {
    batch.put_text(cut(&limit.counter, NAME_CHARACTERS));
    batch.put_long(limit.max.0);
    batch.put_long(limit.remaining.0);
    batch.put_long(limit.over.0);
    batch.put_long(limit.reset_after_ms);
}

impl<'b> Record<'b> {
    /// Reads the next record of a batch.
    pub(super) fn read(reader: &mut Reader<'b>) -> Self {
        let (mut keys, mut keys_omitted, mut args, mut labels) = (None, 0, Vec::new(), None);
        let first = reader.number();
        if first == SEEN || first == UNSEEN {
            let count = reader.number();
            keys_omitted = reader.number();
            keys = Some((0..count).map(|_| reader.text()).collect());
            args = (0..reader.number()).map(|_| read_argument(reader)).collect();
            labels = read_labels(reader);
        }
        Self {
            keys,
            keys_omitted,
            args,
            are_args_unseen: first == UNSEEN,
            labels,
            decided_at_us: reader.long(),
            duration_ns: reader.long(),
            protocol: Protocol::ALL
                .get(reader.number() as usize)
                .map_or("", |protocol| protocol.as_str()),
            traceparent: (reader.number() == 1).then(|| traceparent(reader)),
            outcome: outcome(reader),
            names: std::array::from_fn(|_| reader.text()),
            rule: reader.text(),
            policy: reader.text(),
            policy_version: reader.text(),
            retry_after_ms: (reader.number() == 1).then(|| reader.long()),
            shadow: (reader.number() == 1).then(|| (outcome(reader), reader.text())),
            candidate: (reader.number() == 1).then(|| (outcome(reader), reader.text(), reader.text())),
            fingerprint: (reader.number() == 1).then(|| fingerprint(reader)),
            approval: reader.text(),
            limits: Vec::new(),
            limits_omitted: 0,
        }
        .with_limits(reader)
    }

    fn with_limits(mut self, reader: &mut Reader<'b>) -> Self {
        let count = reader.number();
        self.limits_omitted = reader.number();
        self.limits.extend((0..count).map(|_| Limit {
            counter: reader.text(),
            max_micros: reader.long(),
            remaining_micros: reader.long(),
            over_micros: reader.long(),
            reset_after_ms: reader.long(),
        }));
        self
    }
}

fn read_argument<'b>(reader: &mut Reader<'b>) -> LoggedArg<'b> {
    let path = reader.text();
    let [is_many, count, is_cut] = std::array::from_fn(|_| reader.number());
    let values = (0..count).map(|_| match reader.number() {
        0 => Kept::Json(reader.text()),
        1 => Kept::Beginning(reader.text()),
        _ => Kept::Nothing,
    });
    LoggedArg {
        path,
        is_many: is_many == 1,
        is_cut: is_cut == 1,
        values: values.collect(),
    }
}

fn read_labels<'b>(reader: &mut Reader<'b>) -> Option<LoggedLabels<'b>> {
    let digest = match reader.number() {
        WITHOUT_POLICY => return None,
        WITHOUT_LABELS => None,
        _ => Some(reader.long()),
    };
    let values = (0..reader.number()).map(|_| {
        let (name, state, value) = (reader.text(), reader.number(), reader.text());
        LoggedLabel {
            name,
            value: (state != ABSENT).then_some(value),
            is_cut: state == CUT,
        }
    });
    Some(LoggedLabels {
        digest,
        values: values.collect(),
    })
}

fn traceparent(reader: &mut Reader<'_>) -> TraceParent {
    TraceParent {
        trace_id: u128::from(reader.long()) << 64 | u128::from(reader.long()),
        parent_id: reader.long(),
        flags: u8::try_from(reader.number()).unwrap_or_default(),
    }
}

fn fingerprint(reader: &mut Reader<'_>) -> Fingerprint {
    let mut bytes = [0; 32];
    for four in bytes.as_chunks_mut::<4>().0 {
        *four = reader.number().to_be_bytes();
    }
    Fingerprint::new(bytes)
}

fn outcome(reader: &mut Reader<'_>) -> &'static str {
    Outcome::ALL
        .get(reader.number() as usize)
        .map_or("", |outcome| outcome.as_str())
}

fn index(outcome: Outcome) -> u32 {
    number(
        Outcome::ALL
            .into_iter()
            .position(|one| one == outcome)
            .unwrap_or(Outcome::ALL.len()),
    )
}

/// Every count here is small, or a number of keys in a document of less than 4 GiB.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
