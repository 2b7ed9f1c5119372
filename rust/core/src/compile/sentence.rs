//! Generated messages: the demands of a check on a call, in words that a model can act on.

use crate::json::{Constant, Decimal};
use crate::policy::ast::{Condition, HostPattern, Op};

/// The longest clause in bytes; a longer one would not be read.
const MAX_CLAUSE: usize = 400;
/// The longest constant in a message, in characters.
const MAX_CONSTANT: usize = 60;
/// The highest number of list members in a message.
const MAX_LISTED: usize = 8;

/// The clause that a call must satisfy so that these conditions all hold (`must_hold`), or do not all hold.
///
/// "`args.amount` must not be greater than 50000"; empty if a call cannot change anything.
pub(super) fn clause(conditions: &[Condition], must_hold: bool) -> String {
    let clause = joined(conditions, must_hold, if must_hold { " and " } else { " or " });
    if clause.len() <= MAX_CLAUSE {
        clause
    } else {
        String::from("its rules on these arguments are not met")
    }
}

fn joined(conditions: &[Condition], must_hold: bool, word: &str) -> String {
    let one = conditions.len() == 1;
    let clauses: Vec<String> = conditions
        .iter()
        .map(|condition| nested(condition, must_hold, one))
        .collect();
    clauses.join(word)
}

fn nested(condition: &Condition, must_hold: bool, alone: bool) -> String {
    let (list, word) = match condition {
        Condition::Test { path, op } => {
            let (affirms, predicate) = predicate(op);
            let must = if affirms == must_hold { "must" } else { "must not" };
            return format!("`{}` {must} {predicate}", path.text);
        }
        Condition::Not(inner) => return nested(inner, !must_hold, alone),
        // A negated list becomes a list of negations: not (a or b) is (not a) and (not b).
        Condition::Any(list) => (list, if must_hold { " or " } else { " and " }),
        Condition::All(list) => (list, if must_hold { " and " } else { " or " }),
    };
    let text = joined(list, must_hold, word);
    if alone || list.len() == 1 {
        text
    } else {
        format!("({text})")
    }
}

/// The operator's predicate after "must"; `false` if it is a prohibition.
fn predicate(op: &Op) -> (bool, String) {
    match op {
        Op::Eq(value) => (true, format!("be {}", constant(value))),
        Op::Neq(value) => (false, format!("be {}", constant(value))),
        Op::In(values) => (true, format!("be one of {}", list(values, constant))),
        Op::NotIn(values) => (false, format!("be one of {}", list(values, constant))),
        Op::Lt(value) => (true, format!("be less than {}", decimal(value))),
        Op::Lte(value) => (false, format!("be greater than {}", decimal(value))),
        Op::Gt(value) => (true, format!("be greater than {}", decimal(value))),
        Op::Gte(value) => (false, format!("be less than {}", decimal(value))),
        Op::Regex(regex) => (true, format!("match the pattern `{}`", shortened(regex.as_str()))),
        Op::NotRegex(regex) => (
            false,
            format!("match the pattern `{}`", shortened(regex.as_str())),
        ),
        Op::Contains(value) => (true, format!("contain {}", constant(value))),
        Op::NotContains(value) => (false, format!("contain {}", constant(value))),
        Op::StartsWith(text) => (true, format!("start with {}", quoted(text))),
        Op::EndsWith(text) => (true, format!("end with {}", quoted(text))),
        Op::LenLt(length) => (true, format!("be shorter than {length}")),
        Op::LenLte(length) => (false, format!("be longer than {length}")),
        Op::LenGt(length) => (true, format!("be longer than {length}")),
        Op::LenGte(length) => (false, format!("be shorter than {length}")),
        Op::PathWithin(folders) => (
            true,
            format!("be a path within {}", list(folders, |folder| folder_name(folder))),
        ),
        Op::HostIn(hosts) => (true, format!("be a URL with a host among {}", list(hosts, host))),
        Op::CidrIn(networks) => {
            let network =
                |network: &crate::policy::ast::Network| format!("{}/{}", network.address, network.prefix);
            (
                true,
                format!("be an IP address within {}", list(networks, network)),
            )
        }
        Op::Exists(present) => (*present, String::from("be present")),
    }
}

fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    let mut shown: Vec<String> = items.iter().take(MAX_LISTED).map(show).collect();
    if items.len() > MAX_LISTED {
        shown.push(format!("{} more", items.len() - MAX_LISTED));
    }
    shown.join(", ")
}

fn host(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Below(host) => format!("*.{host}"),
    }
}

/// The root folder is stored as an empty string.
fn folder_name(folder: &str) -> String {
    if folder.is_empty() {
        String::from("/")
    } else {
        folder.to_owned()
    }
}

fn constant(value: &Constant) -> String {
    match value {
        Constant::Null => String::from("null"),
        Constant::Bool(value) => value.to_string(),
        Constant::Number(number) => decimal(number),
        Constant::String(text) => quoted(text),
        Constant::Array(_) => String::from("the list of the policy"),
        Constant::Object(_) => String::from("the object of the policy"),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", shortened(text))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_CONSTANT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}

/// A number as people write it, unless that takes many zeros.
fn decimal(number: &Decimal) -> String {
    const MAX_ZEROS: usize = 15;
    let mut canonical = String::new();
    number.write_canonical(&mut canonical);
    let Some((digits, exponent)) = canonical.split_once('e') else {
        return canonical;
    };
    let Ok(exponent) = exponent.parse::<i32>() else {
        return canonical;
    };
    let places = exponent.unsigned_abs() as usize;
    if places > MAX_ZEROS {
        return shortened(&canonical);
    }
    if exponent >= 0 {
        return shortened(&format!("{digits}{}", "0".repeat(places)));
    }
    let (sign, digits) = digits
        .strip_prefix('-')
        .map_or(("", digits), |digits| ("-", digits));
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    shortened(&format!("{sign}{whole}.{fraction}"))
}
