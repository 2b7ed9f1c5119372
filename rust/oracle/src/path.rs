//! Paths and the values that they reach (`docs/policy.md` section 3).

use crate::json::Json;

/// Elements that one `[*]` may visit.
const MAX_VISITS: usize = 10_000;

/// The first step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Args,
    Label(String),
    /// `tool`, `time.hour` and similar roots.
    Fixed(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
    Every,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) root: Root,
    pub(crate) steps: Vec<Step>,
}

/// One end of a path.
#[derive(Clone, Debug)]
pub(crate) enum PathEnd {
    Value(Json),
    Missing,
    WrongKind,
}

impl Path {
    /// Reads a path of a loaded policy, whose form is therefore not checked again.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        for root in ["args", "grant.labels"] {
            let Some(rest) = text.strip_prefix(root) else {
                continue;
            };
            let mut steps = steps(rest)?;
            if root == "args" {
                return Some(Self {
                    root: Root::Args,
                    steps,
                });
            }
            let Some(Step::Key(label)) = steps.pop() else {
                return None;
            };
            return Some(Self {
                root: Root::Label(label),
                steps,
            });
        }
        Some(Self {
            root: Root::Fixed(text.to_owned()),
            steps: Vec::new(),
        })
    }
}

fn steps(mut rest: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(dotted) = rest.strip_prefix('.') {
            let end = dotted.find(['.', '[', ']', '"']).unwrap_or(dotted.len());
            steps.push(Step::Key(dotted[..end].to_owned()));
            rest = &dotted[end..];
        } else if let Some(after) = rest.strip_prefix("[*]") {
            steps.push(Step::Every);
            rest = after;
        } else if rest.starts_with("[\"") {
            // The first end at which the quotes form a JSON string, so that an escaped quote does not end it.
            let (end, key) = rest.match_indices("\"]").find_map(|(at, _)| {
                let key: String = serde_json::from_str(rest.get(1..=at)?).ok()?;
                Some((at + 2, key))
            })?;
            steps.push(Step::Key(key));
            rest = &rest[end..];
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        }
    }
    Some(steps)
}

/// All ends that the steps reach from a value.
pub(crate) fn walk(from: Option<&Json>, steps: &[Step]) -> Vec<PathEnd> {
    let mut visits = vec![0; steps.len()];
    let mut ends = Vec::new();
    go(from, steps, &mut visits, &mut ends);
    if visits.iter().any(|visited| *visited > MAX_VISITS) {
        return vec![PathEnd::WrongKind];
    }
    ends
}

fn go(from: Option<&Json>, steps: &[Step], visits: &mut [usize], ends: &mut Vec<PathEnd>) {
    let (Some((step, later)), Some((visited, visits_later))) =
        (steps.split_first(), visits.split_first_mut())
    else {
        ends.push(from.map_or(PathEnd::Missing, |value| PathEnd::Value(value.clone())));
        return;
    };
    match (step, from) {
        (_, None | Some(Json::Null)) => ends.push(PathEnd::Missing),
        (Step::Key(key), Some(object @ Json::Object(_))) => go(object.get(key), later, visits_later, ends),
        (Step::Index(index), Some(Json::List(elements))) => {
            go(elements.get(*index), later, visits_later, ends);
        }
        (Step::Every, Some(Json::List(elements))) => {
            if elements.is_empty() {
                ends.push(PathEnd::Missing);
            }
            for element in elements {
                *visited += 1;
                go(Some(element), later, visits_later, ends);
            }
        }
        _ => ends.push(PathEnd::WrongKind),
    }
}
