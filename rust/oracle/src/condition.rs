//! Conditions and checks (`docs/policy.md` sections 1 and 3).

use crate::json::{Json, quoted};
use crate::operators::{self, is_negative};
use crate::path::{Path, PathEnd};
use crate::truth::{self, EvaluationError, Truth, TruthResult};

#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Any(Vec<Condition>),
    All(Vec<Condition>),
    Not(Box<Condition>),
    Test { path: Path, op: String, value: Json },
}

/// A check and its part of the rule pointer.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) which: String,
    pub(crate) conditions: Vec<Condition>,
}

/// The meaning of several values at the end of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantifier {
    Every,
    Some,
}

impl Quantifier {
    const fn swapped(self) -> Self {
        match self {
            Self::Every => Self::Some,
            Self::Some => Self::Every,
        }
    }
}

/// The source of the values of paths: one call.
pub(crate) type Values<'v> = &'v dyn Fn(&Path) -> Vec<PathEnd>;

impl Condition {
    pub(crate) fn read(json: &Json) -> Result<Self, String> {
        let list =
            |json: &Json| -> Result<Vec<Self>, String> { json.elements().iter().map(Self::read).collect() };
        if let Some(parts) = json.get("any") {
            return Ok(Self::Any(list(parts)?));
        }
        if let Some(parts) = json.get("all") {
            return Ok(Self::All(list(parts)?));
        }
        if let Some(part) = json.get("not") {
            return Ok(Self::Not(Box::new(Self::read(part)?)));
        }
        let text = |name| json.get(name).and_then(Json::text);
        let path = text("path").ok_or("a condition without path")?;
        Ok(Self::Test {
            path: Path::parse(path).ok_or_else(|| format!("the path {}", quoted(path)))?,
            op: text("op").ok_or("a condition without op")?.to_owned(),
            value: json.get("value").cloned().ok_or("a condition without value")?,
        })
    }

    fn judge(&self, quantifier: Quantifier, values: Values<'_>) -> TruthResult {
        let judged = |parts: &[Self]| -> Vec<TruthResult> {
            parts.iter().map(|part| part.judge(quantifier, values)).collect()
        };
        match self {
            Self::Any(parts) => truth::any(&judged(parts)),
            Self::All(parts) => truth::all(&judged(parts)),
            Self::Not(part) => truth::not(part.judge(quantifier.swapped(), values)),
            Self::Test { path, op, value } => {
                let each: Vec<TruthResult> = values(path).iter().map(|end| test(op, value, end)).collect();
                match quantifier {
                    Quantifier::Every => truth::all(&each),
                    Quantifier::Some => truth::any(&each),
                }
            }
        }
    }
}

fn test(op: &str, value: &Json, end: &PathEnd) -> TruthResult {
    match end {
        PathEnd::WrongKind => Err(EvaluationError),
        PathEnd::Missing if op == "exists" => Ok(matches!(value, Json::Bool(false)).into()),
        PathEnd::Missing if is_negative(op) => Ok(Truth::PresumedTrue),
        PathEnd::Missing => Ok(Truth::PresumedFalse),
        PathEnd::Value(got) => operators::holds(op, value, got).map(Truth::from),
    }
}

impl Check {
    pub(crate) fn read_list(json: Option<&Json>) -> Result<Vec<Self>, String> {
        let checks = json.map_or(&[][..], Json::elements);
        checks
            .iter()
            .enumerate()
            .map(|(index, check)| Self::read(check, index))
            .collect()
    }

    fn read(json: &Json, index: usize) -> Result<Self, String> {
        let conditions = json
            .get("conditions")
            .ok_or("a check without conditions")?
            .elements();
        let first = conditions.first().and_then(|first| {
            let (path, op) = (first.get("path")?.text()?, first.get("op")?.text()?);
            Some(format!("{path}-{op}"))
        });
        let name = json.get("name").and_then(Json::text).map(str::to_owned);
        Ok(Self {
            which: name.or(first).unwrap_or_else(|| index.to_string()),
            conditions: conditions.iter().map(Condition::read).collect::<Result<_, _>>()?,
        })
    }

    fn judge(&self, quantifier: Quantifier, values: Values<'_>) -> TruthResult {
        let judged: Vec<TruthResult> = self
            .conditions
            .iter()
            .map(|condition| condition.judge(quantifier, values))
            .collect();
        truth::all(&judged)
    }

    /// Under `require`: only true satisfies.
    pub(crate) fn is_met(&self, values: Values<'_>) -> bool {
        self.judge(Quantifier::Every, values) == Ok(Truth::True)
    }

    /// Under `deny_if` and `when`: true, presumed true and an error all fire.
    pub(crate) fn fires(&self, values: Values<'_>) -> bool {
        self.judge(Quantifier::Some, values)
            .is_ok_and(|truth| truth >= Truth::PresumedTrue)
            || self.judge(Quantifier::Some, values).is_err()
    }
}
