//! One line of a decision log (`docs/decision-log.md`).

use std::sync::Arc;

use callgate_counters::Micros;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::known::{KnownArgs, is_cut_key};
use crate::Outcome;
use crate::grant::TOKEN_PREFIX;
use crate::json::{Kind, Scaled, Tape, Value, ValueWriter, scaled};
use crate::policy::ast::{Path, Step};
use crate::policy::parse_argument_path;
use crate::request::MAX_ARGS_DEPTH;

/// Nesting of a line: the line, its object of values, and a value as deep as arguments may be.
const MAX_DEPTH: usize = MAX_ARGS_DEPTH + 2;
/// Characters of a name that a line keeps: a name of that many may be longer.
const NAME_CHARACTERS: usize = 128;
/// Decimals of an amount.
const DECIMALS: u32 = 6;
/// Most different paths that are remembered; a policy has fewer.
const MOST_PATHS: usize = 4_096;

/// Paths by their text, so that each is read once.
#[derive(Debug, Default)]
pub(super) struct Paths(HashMap<String, Option<Arc<Path>>>);

impl Paths {
    fn get(&mut self, text: &str) -> Option<Arc<Path>> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let path = parse_argument_path(text).map(Arc::new);
        if self.0.len() < MOST_PATHS {
            self.0.insert(text.to_owned(), path.clone());
        }
        path
    }
}

/// A name as a line has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoggedName<'t> {
    pub(super) text: &'t str,
    /// False if the log may have cut it or hidden a part of it.
    pub(super) is_whole: bool,
}

/// One entry of `args`.
#[derive(Clone, Debug)]
pub(super) struct LoggedArg<'t> {
    pub(super) path: Arc<Path>,
    /// The value, or the list of the values of a path with `[*]`.
    pub(super) value: Value<'t>,
    pub(super) is_cut: bool,
    /// True if a part of it is hidden.
    pub(super) is_damaged: bool,
}

/// The labels of the grant as a line has them.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoggedLabels<'t> {
    /// The digest of all labels: null without labels, and `None` in a line that has none.
    digest: Option<Value<'t>>,
    values: Option<Value<'t>>,
    cut: Option<Value<'t>>,
}

/// A logged label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoggedLabel<'t> {
    Value(&'t str),
    Absent,
    NotLogged,
}

/// One decision of the log.
#[derive(Clone, Debug)]
pub(super) struct LoggedCall<'t> {
    pub(super) decided_at_us: u64,
    pub(super) protocol: &'t str,
    pub(super) server: LoggedName<'t>,
    pub(super) grant: LoggedName<'t>,
    pub(super) session: LoggedName<'t>,
    pub(super) tool: LoggedName<'t>,
    pub(super) outcome: Outcome,
    pub(super) rule: &'t str,
    pub(super) policy: &'t str,
    /// False if the arguments were not well formed, or no policy was reached.
    pub(super) has_args: bool,
    pub(super) are_args_unseen: bool,
    pub(super) args: KnownArgs<'t>,
    pub(super) labels: LoggedLabels<'t>,
    /// The limits that applied, as the line lists them.
    limits: Option<Value<'t>>,
    pub(super) shadow: Option<(&'t str, &'t str)>,
    /// Empty if there is none.
    pub(super) approval: &'t str,
}

/// The content of a line.
#[derive(Debug)]
pub(super) enum Line<'t> {
    Call(Box<LoggedCall<'t>>),
    /// A line of another kind, by its name.
    Other(&'t str),
}

/// Reads the time of a line, in Unix microseconds; `None` if it has none.
pub fn line_time_us(line: &[u8]) -> Option<u64> {
    let mut tape = Tape::new();
    integer(tape.parse(line, MAX_DEPTH).ok()?.get("decided_at_us")?)
}

/// Reads a line, or says in a few words why it is none of a decision log.
pub(super) fn read<'t>(tape: &'t mut Tape, line: &'t [u8], paths: &mut Paths) -> Result<Line<'t>, String> {
    let line = tape.parse(line, MAX_DEPTH).map_err(|error| error.to_string())?;
    if line.kind() != Kind::Object {
        return Err("it is no JSON object".to_owned());
    }
    if let Some(kind) = line.get("kind").and_then(Value::as_str) {
        return Ok(Line::Other(kind));
    }
    let decided_at_us = line.get("decided_at_us").and_then(integer);
    let outcome = text(line, "outcome")?;
    let args_keys = line.get("args_keys").ok_or("its `args_keys` is missing")?;
    let call = LoggedCall {
        decided_at_us: decided_at_us.ok_or("its `decided_at_us` is no time in microseconds")?,
        protocol: text(line, "protocol")?,
        server: name(line, "server")?,
        grant: name(line, "grant")?,
        session: name(line, "session")?,
        tool: name(line, "tool")?,
        outcome: Outcome::ALL
            .into_iter()
            .find(|known| known.as_str() == outcome)
            .ok_or("its `outcome` is none that is known")?,
        rule: text(line, "rule")?,
        policy: text(line, "policy")?,
        has_args: args_keys.kind() == Kind::Array,
        are_args_unseen: line.get("args_unseen").and_then(Value::as_bool) == Some(true),
        args: args(line, args_keys, paths),
        labels: LoggedLabels {
            digest: line.get("labels_digest"),
            values: line.get("labels"),
            cut: line.get("labels_cut"),
        },
        limits: line.get("limits"),
        shadow: line.get("shadow").and_then(shadow),
        approval: line.get("approval").and_then(Value::as_str).unwrap_or_default(),
    };
    Ok(Line::Call(Box::new(call)))
}

/// Appends the arguments as JSON to `json`, if the line has them whole; false if it has not.
pub(super) fn write_whole(args: &KnownArgs<'_>, json: &mut String) -> bool {
    let usable = |logged: &&LoggedArg<'_>| !logged.is_cut && !logged.is_damaged;
    if let Some(all) = args
        .logged
        .iter()
        .filter(usable)
        .find(|one| one.path.steps.is_empty())
    {
        json.push_str(all.value.raw());
        return true;
    }
    let is_cut = args
        .keys
        .iter()
        .any(|key| is_cut_key(key) || key.contains(TOKEN_PREFIX));
    if !args.are_all_keys || is_cut {
        return false;
    }
    let value_of = |key: &str| {
        let own = |logged: &&LoggedArg<'_>| is_key(&logged.path, key);
        args.logged.iter().filter(usable).find(own)
    };
    let Some(values) = args
        .keys
        .iter()
        .map(|key| value_of(key))
        .collect::<Option<Vec<_>>>()
    else {
        return false;
    };
    ValueWriter::new(json).object(|object| {
        for (key, logged) in args.keys.iter().zip(values) {
            object.member(key).json(logged.value.raw());
        }
    });
    true
}

/// True for the path of one top-level argument.
fn is_key(path: &Path, key: &str) -> bool {
    matches!(path.steps.as_slice(), [Step::Key(own)] if own == key)
}

impl LoggedCall<'_> {
    /// True if the call was allowed because a person had approved it.
    pub(super) fn was_approved(&self) -> bool {
        self.outcome == Outcome::Allow && !self.approval.is_empty()
    }

    /// True if the limit on this counter was lower than `max` when the call was decided.
    pub(super) fn had_lower_max(&self, counter: &str, max: Micros) -> bool {
        let mut limits = self.limits.into_iter().flat_map(Value::elements);
        let limit = limits.find(|limit| limit.get("counter").and_then(Value::as_str) == Some(counter));
        let logged = limit.and_then(|limit| limit.get("max")?.as_number());
        match logged.map(|text| scaled(text, DECIMALS)) {
            Some(Scaled::Units(units)) => Micros(units) < max,
            _ => false,
        }
    }
}

impl<'t> LoggedLabels<'t> {
    /// The digest of the labels: `Some("")` if the grant had none, `None` if the line has no digest.
    pub(super) fn digest(self) -> Option<&'t str> {
        let digest = self.digest?;
        match digest.kind() {
            Kind::Null => Some(""),
            _ => digest.as_str().filter(|digest| !digest.is_empty()),
        }
    }

    pub(super) fn get(self, name: &str) -> LoggedLabel<'t> {
        let is_name = |cut: Value<'_>| cut.as_str() == Some(name);
        let is_cut = self.cut.is_some_and(|cut| cut.elements().any(is_name));
        match self.values.and_then(|values| values.get(name)) {
            Some(value) if value.kind() == Kind::Null => LoggedLabel::Absent,
            Some(value) if !is_cut => match value.as_str() {
                Some(text) if !text.contains(TOKEN_PREFIX) => LoggedLabel::Value(text),
                _ => LoggedLabel::NotLogged,
            },
            _ => LoggedLabel::NotLogged,
        }
    }
}

fn args<'t>(line: Value<'t>, keys: Value<'t>, paths: &mut Paths) -> KnownArgs<'t> {
    let cut: SmallVec<[&str; 4]> = line
        .get("args_cut")
        .into_iter()
        .flat_map(Value::elements)
        .filter_map(Value::as_str)
        .collect();
    let members = line.get("args").into_iter().flat_map(Value::members);
    let logged = members.filter_map(|(path, value)| {
        Some(LoggedArg {
            path: paths.get(path)?,
            value,
            is_cut: cut.contains(&path),
            is_damaged: value.raw().contains(TOKEN_PREFIX),
        })
    });
    KnownArgs {
        object: line,
        whole: None,
        keys: keys.elements().filter_map(Value::as_str).collect(),
        are_all_keys: keys.kind() == Kind::Array && line.get("args_keys_omitted").is_none(),
        logged: logged.collect(),
    }
}

fn shadow(value: Value<'_>) -> Option<(&str, &str)> {
    Some((value.get("outcome")?.as_str()?, value.get("rule")?.as_str()?))
}

fn text<'t>(line: Value<'t>, field: &str) -> Result<&'t str, String> {
    match line.get(field) {
        None => Err(format!("its `{field}` is missing")),
        Some(value) => value.as_str().ok_or_else(|| format!("its `{field}` is no text")),
    }
}

fn name<'t>(line: Value<'t>, field: &str) -> Result<LoggedName<'t>, String> {
    let text = text(line, field)?;
    let is_cut = text.chars().take(NAME_CHARACTERS).count() == NAME_CHARACTERS;
    Ok(LoggedName {
        text,
        is_whole: !is_cut && !text.contains(TOKEN_PREFIX),
    })
}

fn integer(value: Value<'_>) -> Option<u64> {
    value.as_number()?.parse().ok()
}
