//! The result of each operator for a value that is present (`docs/policy.md` section 3).

use crate::json::Json;
use crate::net;
use crate::truth::EvaluationError;

type Holds = Result<bool, EvaluationError>;

/// Operators that a missing value is presumed to satisfy.
pub(crate) fn is_negative(op: &str) -> bool {
    matches!(op, "neq" | "not_in" | "not_regex" | "not_contains")
}

pub(crate) fn holds(op: &str, value: &Json, got: &Json) -> Holds {
    match op {
        "eq" => Ok(equal(value, got)),
        "in" => Ok(value.elements().iter().any(|one| equal(one, got))),
        "exists" => Ok(matches!(value, Json::Bool(true))),
        "lt" | "lte" | "gt" | "gte" => compares(op, value, got),
        "regex" => regex(value, got),
        "contains" => contains(value, got),
        "starts_with" => Ok(string(got)?.starts_with(string(value)?)),
        "ends_with" => Ok(string(got)?.ends_with(string(value)?)),
        "path_within" => path_within(value, got),
        "host_in" => {
            let host = net::host(string(got)?).ok_or(EvaluationError)?;
            Ok(one_or_list(value)
                .iter()
                .any(|one| one.text().is_some_and(|one| net::is_host(&host, one))))
        }
        "cidr_in" => {
            let address = net::address(string(got)?).ok_or(EvaluationError)?;
            Ok(one_or_list(value)
                .iter()
                .any(|one| one.text().is_some_and(|one| net::is_inside(address, one))))
        }
        _ => match (op.strip_prefix("not_"), op.strip_prefix("len_")) {
            _ if op == "neq" => Ok(!equal(value, got)),
            (Some(positive), _) => holds(positive, value, got).map(|holds| !holds),
            (_, Some(comparison)) => compares(comparison, value, &length(got)?),
            _ => Err(EvaluationError),
        },
    }
}

fn equal(one: &Json, other: &Json) -> bool {
    one.key() == other.key()
}

fn string(json: &Json) -> Result<&str, EvaluationError> {
    json.text().ok_or(EvaluationError)
}

fn one_or_list(value: &Json) -> &[Json] {
    match value {
        Json::List(list) => list,
        one => std::slice::from_ref(one),
    }
}

fn compares(op: &str, value: &Json, got: &Json) -> Holds {
    let bound = value.number().ok_or(EvaluationError)?;
    let got = got.number().ok_or(EvaluationError)?;
    if got.is_abs_at_least_1e308() {
        return Err(EvaluationError);
    }
    Ok(match op {
        "lt" => got < bound,
        "lte" => got <= bound,
        "gt" => got > bound,
        _ => got >= bound,
    })
}

fn regex(value: &Json, got: &Json) -> Holds {
    let regex = regex::Regex::new(string(value)?).map_err(|_| EvaluationError)?;
    Ok(regex.is_match(string(got)?))
}

fn contains(value: &Json, got: &Json) -> Holds {
    match (got, value) {
        (Json::Text(got), Json::Text(part)) => Ok(got.contains(part.as_str())),
        (Json::Text(_), _) => Ok(false),
        (Json::List(elements), _) => Ok(elements.iter().any(|element| equal(element, value))),
        _ => Err(EvaluationError),
    }
}

fn length(got: &Json) -> Result<Json, EvaluationError> {
    let length = match got {
        Json::Text(text) => text.chars().count(),
        Json::List(elements) => elements.len(),
        Json::Object(members) => members.len(),
        _ => return Err(EvaluationError),
    };
    i64::try_from(length)
        .map(Json::whole)
        .map_err(|_| EvaluationError)
}

fn path_within(value: &Json, got: &Json) -> Holds {
    let path = folders(string(got)?).ok_or(EvaluationError)?;
    Ok(one_or_list(value)
        .iter()
        .filter_map(|folder| folders(folder.text()?))
        .any(|folder| path.starts_with(&folder)))
}

/// The folders of an absolute path from the root on, with `.`, `..` and `//` resolved.
fn folders(path: &str) -> Option<Vec<&str>> {
    if !path.starts_with('/') || path.contains('\0') {
        return None;
    }
    let mut folders = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                folders.pop();
            }
            name => folders.push(name),
        }
    }
    Some(folders)
}
